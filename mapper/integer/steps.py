"""Which operators of an integer-only network run as one program, and on what: array, normaliser, store path, or host.

Sums of products leave the array through the requantisation, or the softmax, that reads them alone; an addition whose
sums only a LayerNorm reads is normalised in the accumulator. What the machine has no commands for (embeddings, means,
tables, moves, the quantisation at the border) the host computes, on the same integers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from mapper.grouped import pack_groups
from mapper.layout import channels_last_tensors, stored_nest
from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.loop_nest import LoopNest
from model_ir.op import Op
from model_ir.ops.contraction import Conv, MatMul
from model_ir.ops.integer import (
    ChannelMultiply,
    IntegerAdd,
    IntegerGelu,
    IntegerLayerNorm,
    IntegerSoftmax,
    Requantise,
)
from model_ir.ops.movement import Reshape, Transpose
from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.mapping import ceil_div
from simulator.nest_view import array_nest

Place = Literal["array", "array + normaliser", "normaliser", "store path", "host", "view"]
SUMS = (MatMul, Conv, ChannelMultiply)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Operators `ops` that run as one, on `place`; the last one's output is the step's.

    `nest` is the sum of products in memory, `work` as the array sees it, where there is one. `note` says why work that
    the machine could have done is left to the host.
    """

    ops: tuple[Op, ...]
    place: Place
    nest: LoopNest | None = None
    work: ArrayNest | None = None
    note: str = ""

    @property
    def name(self) -> str:
        """The first operator's name."""
        return self.ops[0].name

    @property
    def output(self) -> str:
        """The tensor that the step makes."""
        return self.ops[-1].outputs[0]

    @property
    def kind(self) -> str:
        """The operators in words."""
        return " + ".join(op.kind for op in self.ops)

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the step reads and does not make itself."""
        made = {name for op in self.ops for name in op.outputs}
        return tuple(name for op in self.ops for name in op.inputs if name and name not in made)


def integer_steps(graph: Graph, accelerator: Accelerator) -> tuple[Step, ...]:
    """The steps of an integer-only `graph` on `accelerator`, in an order in which each finds its operands.

    Raises InputError where the machine's integers are not int8 with int32 sums.
    """
    array = accelerator.array
    if (array.input_bits, array.accumulator_bits) != (8, 32):
        raise InputError(f"{accelerator.name}.array.input_bits", "integer networks are of int8 into int32",
                         value=array.input_bits, limit=8)  # fmt: skip
    return tuple(_steps(graph, accelerator))


def _steps(graph: Graph, accelerator: Accelerator) -> Iterator[Step]:
    readers = Counter(name for op in graph.ops for name in op.inputs)
    readers.update(graph.outputs)
    next_reader = {name: op for op in reversed(graph.ops) for name in op.inputs}
    channels_last = channels_last_tensors(graph)
    covered: set[str] = set()
    for op in graph.ops:
        if op.name in covered:
            continue
        reader = next_reader.get(op.outputs[0]) if readers[op.outputs[0]] == 1 else None
        step = _step(graph, op, reader, accelerator, channels_last)
        covered.update(item.name for item in step.ops)
        yield step


def _step(graph: Graph, op: Op, reader: Op | None, accelerator: Accelerator, channels_last: frozenset[str]) -> Step:
    normalises = accelerator.normaliser is not None
    if isinstance(op, SUMS):
        return _array_step(graph, op, reader, accelerator, channels_last)
    if isinstance(op, IntegerAdd) and _moved_alike(graph, op) and "add" in accelerator.store_path_functions:
        if op.factor is not None:
            return Step(ops=(op,), place="store path")
        if isinstance(reader, IntegerLayerNorm) and normalises:
            return _normaliser_step(graph, (op, reader), accelerator)
    byte = graph.tensors[op.inputs[0]].precision.bits == 8
    if isinstance(op, IntegerSoftmax) and normalises:
        return _normaliser_step(graph, (op,), accelerator)
    if isinstance(op, IntegerLayerNorm) and normalises and byte:
        return _normaliser_step(graph, (op,), accelerator)
    if isinstance(op, IntegerGelu) and "gelu" in accelerator.fused_activations and normalises:
        return Step(ops=(op,), place="store path")
    if isinstance(op, Requantise) and byte and not op.relu:
        return Step(ops=(op,), place="store path")
    if isinstance(op, Reshape | Transpose):
        return Step(ops=(op,), place="view")
    return Step(ops=(op,), place="host")


def _normaliser_step(graph: Graph, ops: tuple[Op, ...], accelerator: Accelerator) -> Step:
    """`ops` on the normaliser, or on the host where its rows are too long."""
    problem = _too_long(graph.tensors[ops[-1].outputs[0]].shape[-1], accelerator)
    return Step(ops=ops, place="host" if problem else "normaliser", note=problem)


def _moved_alike(graph: Graph, op: Op) -> bool:
    """Whether a residual addition's operands have as many elements as its result, or are constants that the compiler
    stores repeated."""
    shape = graph.tensors[op.outputs[0]].shape
    return all(graph.tensors[name].shape == shape or name in graph.parameters for name in op.inputs)


def _array_step(
    graph: Graph, op: Op, reader: Op | None, accelerator: Accelerator, channels_last: frozenset[str]
) -> Step:
    nest = stored_nest(graph, op, channels_last)
    try:
        work = array_nest(nest)
    except InputError as error:
        return Step(ops=(op,), place="host", note=str(error))
    if nest.reads[1].tensor in graph.parameters:
        work = pack_groups(work, accelerator)
    if isinstance(reader, Requantise):
        return Step(ops=(op, reader), place="array", nest=nest, work=work)
    whole = work.c_stride == work.out_channels and _is_matmul(work) and not _too_long(work.out_channels, accelerator)
    if isinstance(reader, IntegerSoftmax) and accelerator.normaliser is not None and whole:
        return Step(ops=(op, reader), place="array + normaliser", nest=nest, work=work)
    return Step(ops=(op,), place="array", nest=nest, work=work)


def _is_matmul(work: ArrayNest) -> bool:
    return work.kernel_rows == work.kernel_columns == work.images == work.out_rows == 1


def _too_long(columns: int, accelerator: Accelerator) -> str:
    """Why rows of so many sums cannot be normalised, "" where they can: two blocks of rows lie in the accumulator."""
    needed, limit = 2 * ceil_div(columns, accelerator.dim) * accelerator.dim, accelerator.accumulator_rows
    return f"two blocks of rows take {needed} rows of the accumulator's {limit}" if needed > limit else ""


def on_machine(steps: Iterable[Step]) -> tuple[Step, ...]:
    """The steps that run as commands."""
    return tuple(step for step in steps if step.place not in ("host", "view"))
