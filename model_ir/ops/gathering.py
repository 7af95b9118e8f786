"""Operators whose addresses are data: gathering and scattering by index. A negative index counts from the end of its
axis."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from model_ir.loop_nest import LoopNest
from model_ir.op import Op
from model_ir.ops.checks import axis_of, output, rank_at_least, refusal, required
from model_ir.ops.nests import access, at, broadcast_indices, move, opaque, output_dims
from model_ir.tensor import Tensor


def _wrapped(xp: Any, indices: Any, size: int) -> Any:
    return xp.where(indices < 0, indices + size, indices)


def _gather_nest(
    op: Op, function: str, x: Tensor, indices: Tensor, result: Tensor, constants: frozenset[str]
) -> LoopNest:
    """At most as many elements of x are read as the output has; the indices are read once."""
    dims = output_dims(result.shape)
    target = [at(name) for name, _ in dims]
    reads = [opaque(x, constants, result.elements), opaque(indices, constants)]
    return move(op, function, dims, reads, access(result, target, dims, constants))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gather(Op):
    """Slices of x along `axis` in the order of the indices (ONNX Gather; an embedding look-up at axis 0). Inputs x,
    indices."""

    axis: int = 0

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """x's shape with `axis` replaced by the shape of the indices."""
        x, indices = required(self, inputs, 2)
        axis = axis_of(self, self.axis, len(x.shape))
        return output(self, x.shape[:axis] + indices.shape + x.shape[axis + 1 :], x.precision)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """take(x, indices, axis)."""
        x, indices = inputs
        return (xp.take(x, _wrapped(xp, indices, x.shape[self.axis]), axis=self.axis),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """A data-dependent read of at most as many elements as the output has."""
        x, indices = required(self, inputs, 2)
        return _gather_nest(self, "gather", x, indices, outputs[0], constants)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatherElements(Op):
    """Output element p is x at p with its `axis` coordinate replaced by the index at p (ONNX GatherElements). Inputs x,
    indices."""

    axis: int = 0

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape of the indices; InputError unless it lies within x's on every other axis."""
        x, indices = required(self, inputs, 2)
        axis = axis_of(self, self.axis, len(x.shape))
        others = [place for place in range(len(x.shape)) if place != axis]
        if len(indices.shape) != len(x.shape) or any(indices.shape[place] > x.shape[place] for place in others):
            raise refusal(self, "indices do not fit the data", value=indices.shape, limit=x.shape)
        return output(self, indices.shape, x.precision)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """take_along_axis of the part of x that the indices cover."""
        x, indices = inputs
        axis = self.axis % x.ndim
        covered = tuple(slice(None if a == axis else size) for a, size in enumerate(indices.shape))
        return (xp.take_along_axis(x[covered], _wrapped(xp, indices, x.shape[axis]), axis=axis),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """A data-dependent read of at most as many elements as the output has."""
        x, indices = required(self, inputs, 2)
        return _gather_nest(self, "gather", x, indices, outputs[0], constants)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatherNd(Op):
    """Slices of x addressed by the vectors along the last axis of the indices (ONNX GatherND). Inputs x, indices.

    The first `batch_dims` axes of both are matched instead of addressed.
    """

    batch_dims: int = 0

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """indices.shape[:-1] + x.shape[batch_dims + indices.shape[-1]:]."""
        x, indices = required(self, inputs, 2)
        rank_at_least(self, indices, self.batch_dims + 1)
        depth = self.batch_dims + indices.shape[-1]
        if depth > len(x.shape) or self.batch_dims < 0:
            raise refusal(self, "index vectors are longer than the data's rank", value=depth, limit=len(x.shape))
        if x.shape[: self.batch_dims] != indices.shape[: self.batch_dims]:
            raise refusal(self, "batch axes differ", value=indices.shape, limit=x.shape)
        return output(self, indices.shape[:-1] + x.shape[depth:], x.precision)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """x[batch, indices[..., 0], indices[..., 1], ...]."""
        x, indices = inputs
        batch = tuple(
            np.arange(x.shape[axis]).reshape((-1,) + (1,) * (indices.ndim - 2 - axis))
            for axis in range(self.batch_dims)
        )
        depth = indices.shape[-1]
        addresses = (_wrapped(xp, indices[..., i], x.shape[self.batch_dims + i]) for i in range(depth))
        return (x[(*batch, *addresses)],)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """A data-dependent read of at most as many elements as the output has."""
        x, indices = required(self, inputs, 2)
        return _gather_nest(self, "gather", x, indices, outputs[0], constants)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScatterNd(Op):
    """x with the slices addressed by the indices' last axis replaced by updates (ONNX ScatterND without reduction).

    Inputs x, indices, updates. Where indices repeat, which update stays is undefined, as in the specification.
    """

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape of x; InputError unless the updates have the shape of the addressed slices."""
        x, indices, updates = required(self, inputs, 3)
        rank_at_least(self, indices, 1)
        depth = indices.shape[-1]
        if depth > len(x.shape):
            raise refusal(self, "index vectors are longer than the data's rank", value=depth, limit=len(x.shape))
        slices = indices.shape[:-1] + x.shape[depth:]
        if updates.shape != slices:
            raise refusal(self, "updates have the wrong shape", value=updates.shape, limit=slices)
        return output(self, x.shape, x.precision)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """A copy of x with x[indices[..., 0], ...] = updates, built from a flat position for every row of x."""
        x, indices, updates = inputs
        depth = indices.shape[-1]
        rows, width = prod(x.shape[:depth]), prod(x.shape[depth:])
        position = sum(
            _wrapped(xp, indices[..., i], x.shape[i]) * prod(x.shape[i + 1 : depth]) for i in range(depth)
        ).reshape(-1)
        source = xp.concatenate([x.reshape(rows, width), updates.reshape(-1, width)])
        order = xp.argsort(xp.concatenate([xp.arange(rows), position]), stable=True)
        sorted_rows = xp.concatenate([xp.arange(rows), position])[order]
        last = xp.searchsorted(sorted_rows, xp.arange(rows), side="right") - 1
        return (source[order[last]].reshape(x.shape),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """x copied, the updates written over it at data-dependent places."""
        x, indices, updates = required(self, inputs, 3)
        dims = output_dims(x.shape)
        full = broadcast_indices(x.shape, dims)
        reads = [access(x, full, dims, constants), opaque(indices, constants), opaque(updates, constants)]
        return move(self, "scatter", dims, reads, access(outputs[0], [at(name) for name, _ in dims], dims, constants))
