"""Which tensors lie channels-last in the machine's memory, and loop nests re-addressed accordingly.

The array wants a pixel's channels side by side, so convolutions and what surrounds them keep (N, C, spatial...)
tensors as (N, spatial..., C). Operators that only look at elements one by one follow their neighbours.
"""

from __future__ import annotations

from dataclasses import replace

from model_ir.graph import Graph
from model_ir.loop_nest import Access, LoopNest
from model_ir.op import Op
from model_ir.ops.contraction import Conv, ConvTranspose
from model_ir.ops.elementwise import Binary, Clip, LeakyRelu, Unary
from model_ir.ops.movement import Concat, Pad, Slice, Split
from model_ir.ops.normalisation import BatchNorm, Gelu, GroupNorm, InstanceNorm, Lrn
from model_ir.ops.pooling import AveragePool, GlobalPool, MaxPool

IMAGE_OPERATORS = (Conv, ConvTranspose, BatchNorm, InstanceNorm, GroupNorm, Lrn, MaxPool, AveragePool, GlobalPool)
"""Their loop nests already address data and result channels-last."""

FOLLOWERS = (Unary, Binary, Clip, LeakyRelu, Gelu, Concat, Split, Slice, Pad)
"""Operators that work on either layout, provided that all their tensors have the same."""


def channels_last_tensors(graph: Graph) -> frozenset[str]:
    """Names of the activations that image operators read or write, and of those that followers tie to them."""
    found: set[str] = set()
    for op in graph.ops:
        if isinstance(op, IMAGE_OPERATORS):
            found.update((op.inputs[0], *op.outputs))
    followers = [names for names in (_tied(graph, op) for op in graph.ops) if names]
    size = -1
    while size != len(found):
        size = len(found)
        # Forwards and backwards once each settles a chain of any length in one direction.
        for names in (*followers, *reversed(followers)):
            if not found.isdisjoint(names):
                found.update(names)
    return frozenset(found)


def _tied(graph: Graph, op: Op) -> tuple[str, ...]:
    if not isinstance(op, FOLLOWERS):
        return ()
    rank = len(graph.tensors[op.outputs[0]].shape)
    activations = [name for name in (*op.inputs, *op.outputs) if name and name not in graph.parameters]
    return tuple(name for name in activations if rank > 2 and len(graph.tensors[name].shape) == rank)


def stored_nest(graph: Graph, op: Op, channels_last: frozenset[str]) -> LoopNest:
    """The operator's nest with every access in the storage order of its tensor; a move that moves nothing is a view."""
    nest = graph.nest_of(op)
    if isinstance(op, IMAGE_OPERATORS) or nest.function == "view":
        return nest
    nest = replace(
        nest,
        reads=tuple(_stored(access, channels_last) for access in nest.reads),
        write=_stored(nest.write, channels_last),
    )
    if nest.kind == "move" and len(nest.reads) == 1 and _moves_nothing(nest.reads[0], nest.write):
        return replace(nest, function="view")
    return nest


def _stored(access: Access, channels_last: frozenset[str]) -> Access:
    rank = len(access.shape)
    if access.tensor not in channels_last or len(access.indices) != rank:
        return access
    order = (0, *range(2, rank), 1)
    return replace(
        access,
        shape=tuple(access.shape[axis] for axis in order),
        indices=tuple(access.indices[axis] for axis in order),
    )


def _moves_nothing(read: Access, write: Access) -> bool:
    return read.shape == write.shape and read.indices == write.indices and bool(read.indices)
