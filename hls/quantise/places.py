"""Where a network rounds, and whether all between can be integers: the operators that quantisation takes."""

from __future__ import annotations

from dataclasses import dataclass

from hls.layers import activations_of, sources_of
from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.op import Op
from model_ir.ops.contraction import Conv, MatMul
from model_ir.ops.elementwise import Binary, Unary
from model_ir.ops.movement import Pad, Reshape, Slice, Split, Transpose
from model_ir.ops.normalisation import BatchNorm, Gelu, LayerNorm, Softmax
from model_ir.ops.pooling import MaxPool

KEEP_GRID = (MaxPool, Reshape, Transpose, Slice, Split)
"""Operators whose results are some of their input's numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """`activations` that layers read, `added`: other tensors that additions read, and for every addition its two
    operands; each by the output of its producer. `sources` says what moved tensors are a rearrangement of."""

    activations: tuple[str, ...]
    added: tuple[str, ...]
    additions: tuple[tuple[str, str], ...]
    sources: dict[str, str]

    @property
    def rounded(self) -> tuple[str, ...]:
        """All tensors that are computed and get a grid."""
        return (*self.activations, *self.added)

    def source(self, name: str) -> str:
        """The producer's output that `name` is a rearrangement of."""
        return self.sources.get(name, name)


def places_of(graph: Graph) -> Places:
    """Where `graph` rounds.

    Raises InputError for the first operator that has no exact integer form here.
    """
    for op in graph.ops:
        check_operator(graph, op)
    sources, activations = sources_of(graph), activations_of(graph)
    additions = tuple(
        (sources.get(op.inputs[0], op.inputs[0]), sources.get(op.inputs[1], op.inputs[1]))
        for op in graph.ops
        if isinstance(op, Binary)
    )
    added = dict.fromkeys(name for pair in additions for name in pair if name not in activations)
    return Places(activations=activations, added=tuple(added), additions=additions, sources=sources)


def check_operator(graph: Graph, op: Op) -> None:
    """Raise InputError unless `op` can be exact in integers."""
    where = f"{op.kind} {op.name!r}"
    match op:
        case MatMul() | Conv():
            if op.inputs[1] not in graph.parameters or op.inputs[0] in graph.parameters:
                raise InputError(
                    where, "must multiply an activation with a weight to be quantised", value=op.inputs[:2]
                )
        case Binary():
            if op.function != "add" or any(name in graph.parameters for name in op.inputs):
                raise InputError(where, "only sums of two activations can be quantised", value=op.function)
        case Unary():
            if op.function != "relu":
                raise InputError(where, "has no exact integer form", value=op.function, limit="relu")
        case Pad():
            if op.mode == "constant" and op.value != 0:
                raise InputError(where, "pads with a number that need not be on the grid", value=op.value, limit=0)
        case BatchNorm():
            raise InputError(where, "fold it first (model_ir.passes); only one behind a Conv or MatMul folds")
        case Softmax() | LayerNorm() | Gelu():
            raise InputError(where, "is not exact in fixed point; Transformers become integers with `systolic integer`")
        case _ if not isinstance(op, KEEP_GRID):
            known = ("MatMul", "Conv", "Binary add", "Unary relu", "Pad", *(kind.__name__ for kind in KEEP_GRID))
            raise InputError(where, "cannot be quantised", limit=", ".join(known))
