"""From a Graph to the layers that a machine executes one after another.

Decides, per operator, what the array does, what its store path applies on the way out (bias, scale, activation), what
is a residual add through the accumulator, and what is left to the vector unit or the host. No cycle is counted here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal

from mapper.grouped import pack_groups
from mapper.layout import channels_last_tensors, stored_nest
from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.loop_nest import LoopNest
from model_ir.op import Op
from model_ir.ops.elementwise import Binary, Clip
from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.nest_view import array_nest
from simulator.vector_cost import is_fused

Activation = Literal["none", "relu"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualAdd:
    """An addition of two tensors of `rows` x `channels` that the accumulator performs."""

    rows: int
    channels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One step of the machine's program.

    `nest` is the main operator's; `fused` are the operators that the store path applies to its result. `work` is what
    the array or the accumulator executes as a command stream, None where vector unit, store path or host do the work
    and a formula costs it.
    """

    name: str
    kind: str
    nest: LoopNest
    work: ArrayNest | ResidualAdd | None
    activation: Activation = "none"
    fused: tuple[str, ...] = ()
    note: str = ""


def lower(graph: Graph, accelerator: Accelerator, *, skip_unsupported: bool = False) -> tuple[Layer, ...]:
    """The layers of `graph` on `accelerator`, in execution order; every operator is in exactly one of them.

    Raises InputError for a multiply-accumulate nest that the array cannot express, unless `skip_unsupported` leaves it
    to the host.
    """
    readers = Counter(name for op in graph.ops for name in op.inputs)
    readers.update(graph.outputs)
    next_reader = {name: op for op in reversed(graph.ops) for name in op.inputs}
    channels_last = channels_last_tensors(graph)
    covered: set[str] = set()
    layers = []
    for op in graph.ops:
        if op.name in covered:
            continue
        nest = _nest_on_machine(graph, op, channels_last)
        work, note = _array_work(graph, op, nest, accelerator, skip_unsupported)
        fused = _fusable_tail(graph, op, accelerator, readers, next_reader) if work is not None else ()
        covered.update(item.name for item in fused)
        layers.append(
            Layer(
                name=op.name,
                kind=nest.function,
                nest=nest,
                work=work,
                activation="relu" if any(_activation_of(graph, item) == "relu" for item in fused) else "none",
                fused=tuple(item.name for item in fused),
                note=note,
            )
        )
    return tuple(layers)


def _nest_on_machine(graph: Graph, op: Op, channels_last: frozenset[str]) -> LoopNest:
    """The operator's nest as stored; a multiplication by one constant is a view: integers only get another scale."""
    nest = stored_nest(graph, op, channels_last)
    if any(_is_constant_scale(graph, op, name) for name in op.inputs):
        return replace(nest, kind="move", function="view")
    return nest


def _array_work(
    graph: Graph, op: Op, nest: LoopNest, accelerator: Accelerator, skip_unsupported: bool
) -> tuple[ArrayNest | ResidualAdd | None, str]:
    if nest.kind == "mac":
        try:
            view = array_nest(_with_padded_parameters(graph, nest, accelerator))
            return (pack_groups(view, accelerator) if nest.reads[1].tensor in graph.parameters else view), ""
        except InputError as error:
            if not skip_unsupported:
                raise
            return None, f"left to the host: {error}"
    if isinstance(op, Binary) and op.function == "add" and "add" in accelerator.store_path_functions:
        shapes = {graph.tensors[name].shape for name in (*op.inputs, *op.outputs)}
        if len(shapes) == 1 and not graph.parameters.intersection(op.inputs):
            channels = nest.write.shape[-1]
            return ResidualAdd(rows=nest.points // channels, channels=channels), ""
    return None, ""


def _with_padded_parameters(graph: Graph, nest: LoopNest, accelerator: Accelerator) -> LoopNest:
    """`nest` with the rows of parameters that take several DMA requests begun at whole ones: the compiler lays
    parameters out, and a row across a request's boundary costs one more (Gemmini's DMA.scala aligns every request to
    its size)."""
    request = accelerator.dma.request_bytes // accelerator.input_bytes
    reads = []
    for access in nest.reads:
        row = access.shape[-1] if access.shape else 0
        if access.tensor in graph.parameters and row > request and len(access.indices) == len(access.shape) > 1:
            access = replace(access, shape=(*access.shape[:-1], -(-row // request) * request))
        reads.append(access)
    return replace(nest, reads=tuple(reads))


def _fusable_tail(
    graph: Graph, op: Op, accelerator: Accelerator, readers: Counter[str], next_reader: dict[str, Op]
) -> tuple[Op, ...]:
    """The chain of operators after `op` that its store applies: a scale by one constant, then one activation."""
    tail: list[Op] = []
    output = op.outputs[0]
    while readers[output] == 1 and output in next_reader:
        reader = next_reader[output]
        if _is_constant_scale(graph, reader, output):
            tail.append(reader)
            output = reader.outputs[0]
            continue
        if is_fused(_activation_of(graph, reader), accelerator):
            tail.append(reader)
        break
    return tuple(tail)


def _is_constant_scale(graph: Graph, op: Op, operand: str) -> bool:
    if not isinstance(op, Binary) or op.function not in ("mul", "div"):
        return False
    if op.function == "div" and op.inputs[0] != operand:
        return False
    others = [name for name in op.inputs if name != operand]
    return len(others) == 1 and others[0] in graph.parameters and graph.tensors[others[0]].elements == 1


def _activation_of(graph: Graph, op: Op) -> str:
    """The function of `op`; a clip from zero up is a ReLU, whose upper limit is the store's saturation (the output
    scale places it)."""
    return "relu" if isinstance(op, Clip) and op.low == 0.0 else graph.nest_of(op).function
