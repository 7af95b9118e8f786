"""A network around one of its layers: what the layer reads and computes, and everything that follows from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from model_ir.graph import Graph, execute, verify
from model_ir.op import Op
from model_ir.ops.arrays import pad_spatial
from model_ir.ops.contraction import Conv, MatMul
from model_ir.ops.elementwise import Unary
from model_ir.ops.quantisation import Quant

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Loss (nats) and 1 for a correct answer, row by row."""

    losses: Array
    correct: Array


class Downstream:
    """What follows from one tensor of a graph: `cut` are the other tensors, of earlier layers, that it takes."""

    def __init__(self, graph: Graph, tensor: str) -> None:
        reached, ops = {tensor}, []
        for op in graph.ops:
            if reached & set(op.inputs):
                ops.append(op)
                reached |= set(op.outputs)
        read = dict.fromkeys(name for op in ops for name in op.inputs if name)
        read |= dict.fromkeys(graph.outputs)
        self.tensor = tensor
        self.cut = tuple(name for name in read if name not in reached and name not in graph.parameters)
        self.graph = verify(replace(graph, inputs=(tensor, *self.cut), ops=tuple(ops)))

    def rows(self, values: Mapping[str, Array], labels: Array) -> Rows:
        """Losses and answers where the tensor and the cut have these values."""
        losses, correct = self._compiled({name: values[name] for name in self.graph.inputs}, labels)
        return Rows(losses=np.asarray(losses), correct=np.asarray(correct))

    @cached_property
    def _compiled(self) -> Callable[[Mapping[str, Array], Array], tuple[Any, Any]]:
        output = self.graph.outputs[0]

        def run(values: Mapping[str, Any], labels: Any) -> tuple[Any, Any]:
            return judged(execute(self.graph, values, jnp)[output], labels)

        compiled: Callable[[Mapping[str, Array], Array], tuple[Any, Any]] = jax.jit(run)
        return compiled


def judged(logits: Any, labels: Any) -> tuple[Any, Any]:
    """Cross-entropy in nats and whether the largest logit is the label's, row by row."""
    likelihood = jax.nn.log_softmax(logits, axis=-1)
    losses = -jnp.take_along_axis(likelihood, labels[:, None], axis=-1)[:, 0]
    return losses, (jnp.argmax(logits, axis=-1) == labels).astype(jnp.int32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """How a constant of a layer changes the layer's sums: an element moves the channel `channel_of` says, by its
    change times `factors`, which takes what `laid_out` made of the layer's input, and elements, and gives (elements,
    rows, positions...). `axis` counts channels in the sums; `follows` are the operators that then see that channel
    alone."""

    op: Op
    axis: int
    channel_of: Array = field(repr=False)
    laid_out: Callable[[Array], Array] = field(repr=False)
    factors: Callable[[Array, Array], Array] = field(repr=False)
    follows: tuple[Op, ...] = field(repr=False)


def column_of(graph: Graph, tensor: str) -> Column | None:
    """How elements of `tensor` act; None where it is not the weight or bias of one matrix product or convolution."""
    readers = [op for op in graph.ops if tensor in op.inputs]
    if len(readers) != 1 or readers[0].inputs.count(tensor) != 1:
        return None
    (op,) = readers
    shape, place = graph.tensors[tensor].shape, op.inputs.index(tensor)
    index = np.indices(shape).reshape(len(shape), -1)
    if isinstance(op, MatMul) and not op.transpose_a and len(graph.tensors[op.inputs[0]].shape) > 1:
        axis = len(graph.tensors[op.outputs[0]].shape) - 1
        if place == 1 and len(shape) == 2:
            term, channel = (index[1], index[0]) if op.transpose_b else (index[0], index[1])
            return _column(graph, op, axis, channel, _terms_first, lambda x, element: x[term[element]])
        if place == 2 and len(shape) == 1:
            return _column(graph, op, axis, index[0], _as_is, _ones(graph, op, axis))
    if isinstance(op, Conv) and place == 1:
        pads = op.pads
        return _column(graph, op, 1, index[0], lambda x: pad_spatial(np, x, pads), _windows(graph, op, index))
    if isinstance(op, Conv):
        return _column(graph, op, 1, index[0], _as_is, _ones(graph, op, 1))
    return None


def _column(
    graph: Graph,
    op: Op,
    axis: int,
    channel: Array,
    laid_out: Callable[[Array], Array],
    factors: Callable[[Array, Array], Array],
) -> Column:
    follows = _follows(graph, op.outputs[0])
    return Column(op=op, axis=axis, channel_of=channel, laid_out=laid_out, factors=factors, follows=follows)


def _as_is(x: Array) -> Array:
    return x


def _terms_first(x: Array) -> Array:
    return np.ascontiguousarray(np.moveaxis(x, -1, 0))


def _follows(graph: Graph, tensor: str) -> tuple[Op, ...]:
    """Functions of one element and Quants with one scale, each the only reader of the one before."""
    found: list[Op] = []
    while tensor not in graph.outputs:
        readers = [op for op in graph.ops if tensor in op.inputs]
        if len(readers) != 1 or not isinstance(readers[0], Unary | Quant):
            break
        (op,) = readers
        if any(name not in graph.constants or graph.constants[name].size != 1 for name in op.inputs[1:]):
            break
        found.append(op)
        tensor = op.outputs[0]
    return tuple(found)


def followed(column: Column, graph: Graph, values: Array) -> Array:
    """`values` of one channel after the operators that see it alone."""
    for op in column.follows:
        (values,) = op.evaluate(np, values, *(graph.constants[name].reshape(()) for name in op.inputs[1:]))
    return values


def _ones(graph: Graph, op: Op, axis: int) -> Callable[[Array, Array], Array]:
    shape = list(graph.tensors[op.outputs[0]].shape)
    del shape[axis]

    def factor(x: Array, element: Array) -> Array:
        return np.ones((len(element), len(x), *shape[1:]), np.float32)

    return factor


def _windows(graph: Graph, op: Conv, index: Array) -> Callable[[Array, Array], Array]:
    """The input that each element of a convolution's weight meets at every position."""
    counts = graph.tensors[op.outputs[0]].shape[2:]
    per_group = graph.tensors[op.inputs[1]].shape[0] // op.group
    depth = graph.tensors[op.inputs[1]].shape[1]

    def one(padded: Array, element: int) -> Array:
        output, channel, *kernel = (int(row[element]) for row in index)
        source = output // per_group * depth + channel
        taken: tuple[Any, ...] = tuple(
            slice(start * dilation, start * dilation + (count - 1) * stride + 1, stride)
            for start, dilation, stride, count in zip(kernel, op.dilations, op.strides, counts, strict=True)
        )
        return np.asarray(padded[(slice(None), source, *taken)])

    return lambda padded, element: np.stack([one(padded, int(place)) for place in element])
