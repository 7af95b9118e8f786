"""The multiply-accumulate layers of a graph with the tensors whose precision they compute in.

A layer's input precision is its producer's output precision: an operand that is only moved or selected between its
producer and the layer (reshaped, transposed, sliced, max-pooled) is named by the producer's output, so that all its
readers share one name.
No machine, no precision and no solver enter this file.
"""

from __future__ import annotations

from dataclasses import dataclass

from model_ir.graph import Graph
from model_ir.op import Op
from model_ir.ops.contraction import Conv, ConvTranspose, MatMul
from model_ir.ops.pooling import MaxPool


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A multiply-accumulate operator of one sample.

    `activations` are its operands that are computed (two where it multiplies activations), `weight` the one that is a
    parameter, "" without one. `macs` counts multiply-accumulates of one sample, `reduction` those of one output.
    """

    name: str
    activations: tuple[str, ...]
    weight: str
    macs: int
    reduction: int

    @property
    def operands(self) -> tuple[str, str]:
        """The two tensors that are multiplied."""
        first, second = (*self.activations, self.weight)[:2]
        return first, second


def layers_of(graph: Graph) -> tuple[Layer, ...]:
    """The layers of `graph` in topological order; the first axis of its first input counts samples."""
    sources = sources_of(graph)
    samples = max(1, (*graph.tensors[graph.inputs[0]].shape, 1)[0])
    layers = []
    for op in graph.ops:
        nest = graph.nest_of(op)
        if nest.kind != "mac":
            continue
        kept = {term for index in nest.write.indices for term, _ in index.terms}
        reduction = 1
        for name, size in nest.dims:
            reduction *= 1 if name in kept else size
        names = [sources.get(access.tensor, access.tensor) for access in nest.reads[:2]]
        weights = [name for name in names if name in graph.parameters]
        layers.append(
            Layer(
                name=op.name,
                activations=tuple(name for name in names if name not in graph.parameters),
                weight=weights[0] if weights else "",
                macs=nest.macs // samples,
                reduction=reduction,
            )
        )
    return tuple(layer for layer in layers if layer.activations)


def sources_of(graph: Graph) -> dict[str, str]:
    """What each moved tensor is a rearrangement or selection of."""
    sources: dict[str, str] = {}
    for op in graph.ops:
        present = [name for name in op.inputs if name]
        if len(present) == 1 and (isinstance(op, MaxPool) or graph.nest_of(op).kind == "move"):
            sources |= dict.fromkeys(op.outputs, sources.get(present[0], present[0]))
    return sources


def weights_of(graph: Graph) -> tuple[str, ...]:
    """The parameters that layers multiply with, each once, in the order of the layers."""
    return tuple(dict.fromkeys(layer.weight for layer in layers_of(graph) if layer.weight))


def activations_of(graph: Graph) -> tuple[str, ...]:
    """The tensors that layers read and something computes (or feeds), each once, in the order of the layers."""
    return tuple(dict.fromkeys(name for layer in layers_of(graph) for name in layer.activations))


def output_axis(graph: Graph, weight: str) -> int:
    """The axis of `weight` that counts output channels; 0 where no layer says which."""
    for op in graph.ops:
        if len(op.inputs) > 1 and op.inputs[1] == weight:
            return _output_axis(op, len(graph.tensors[weight].shape))
    return 0


def _output_axis(op: Op, rank: int) -> int:
    match op:
        case MatMul():
            return rank - 2 if op.transpose_b else rank - 1
        case ConvTranspose():
            return 1
        case Conv():
            return 0
    return 0
