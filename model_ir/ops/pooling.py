"""Operators that fold many elements into one: sliding-window pooling, global pooling, reductions along axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod
from typing import Any, Literal

import numpy as np

from model_ir.loop_nest import LoopNest
from model_ir.op import Op
from model_ir.ops.arrays import along, cast, is_integer, pad_spatial
from model_ir.ops.checks import axes_of, axis_of, output, rank_at_least, refusal, required
from model_ir.ops.nests import access, at, channels_last, output_dims
from model_ir.ops.precisions import computed
from model_ir.ops.windows import check_windows, spatial_loops, window_counts, window_slice
from model_ir.precision import INT64
from model_ir.tensor import Shape, Tensor


def _pooled_shape(
    op: MaxPool | AveragePool,
    x: Tensor,
) -> Shape:
    """(N, C, windows...); InputError if the windows do not fit or could lie in the padding alone."""
    rank_at_least(op, x, 3)
    rank = len(x.shape) - 2
    check_windows(op, rank, op.kernel, op.strides, op.pads, op.dilations)
    for pad, taps, dilation in zip(op.pads, op.kernel * 2, op.dilations * 2, strict=True):
        if pad > dilation * (taps - 1):
            raise refusal(op, "padding holds whole windows", value=op.pads, limit=f"at most {dilation * (taps - 1)}")
    counts = window_counts(op, x.shape[2:], op.kernel, op.strides, op.pads, op.dilations, ceil_mode=op.ceil_mode)
    return (*x.shape[:2], *counts)


def _fold_windows(op: MaxPool | AveragePool, x: Any, counts: Sequence[int], combine: Callable[[Any, Any], Any]) -> Any:
    """Combine the elements of every window, one spatial axis after the other, of an x that is padded as far as windows
    reach."""
    for axis, count in enumerate(counts):
        stride, dilation = op.strides[axis], op.dilations[axis]
        taps = [window_slice(x, axis + 2, tap * dilation, count, stride) for tap in range(op.kernel[axis])]
        x = reduce(combine, taps)
    return x


def _reach(op: MaxPool | AveragePool, sizes: Shape, counts: Sequence[int]) -> tuple[int, ...]:
    """Pads that let every window end inside: the operator's own, or more at the end for windows of the ceil mode."""
    rank = len(sizes)
    ends = (
        (count - 1) * op.strides[axis] + op.dilations[axis] * (op.kernel[axis] - 1) + 1 - op.pads[axis] - sizes[axis]
        for axis, count in enumerate(counts)
    )
    return (*op.pads[:rank], *(max(end, pad) for end, pad in zip(ends, op.pads[rank:], strict=True)))


def _pool_nest(
    op: MaxPool | AveragePool | GlobalPool,
    function: str,
    x: Tensor,
    result: Tensor,
    constants: frozenset[str],
    windows: tuple[Sequence[int], Sequence[int], Sequence[int], Sequence[int]],
    flops: float,
) -> LoopNest:
    kernel, strides, pads, dilations = windows
    taps = spatial_loops("k", len(kernel)) if len(kernel) <= 3 else tuple(f"k{axis}" for axis in range(len(kernel)))
    dims = output_dims(result.shape)
    nest_dims = (*dims, *zip(taps, kernel, strict=True))
    order = channels_last(len(x.shape))
    source = [
        at((f"d{axis + 2}", strides[axis]), (taps[axis], dilations[axis]), offset=-pads[axis])
        for axis in range(len(kernel))
    ]
    return LoopNest(
        name=op.name,
        kind="elementwise",
        function=function,
        dims=nest_dims,
        reads=(access(x, [at("d0"), at("d1"), *source], nest_dims, constants, order),),
        write=access(result, [at(name) for name, _ in dims], nest_dims, constants, order),
        flops_per_point=flops,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool(Op):
    """The largest element of every window of (N, C, spatial...), 1 to 3 spatial axes (ONNX MaxPool without Indices).

    `pads` lists the begin of every spatial axis, then the ends; padding never wins.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    ceil_mode: bool = False

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """(N, C, in...) -> (N, C, windows...)."""
        (x,) = required(self, inputs, 1)
        return output(self, _pooled_shape(self, x), x.precision)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """Y[n, c, p] = max over k of X[n, c, p * stride + k * dilation - pad]."""
        (x,) = inputs
        lowest = int(np.iinfo(x.dtype).min) if is_integer(x) else -np.inf
        counts = _pooled_shape(self, Tensor(name="x", shape=x.shape))[2:]
        padded = pad_spatial(xp, x, _reach(self, x.shape[2:], counts), lowest)
        return (_fold_windows(self, padded, counts, xp.maximum),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """Loops over output axes d0, ..., then window positions kh, kw; one comparison per point."""
        (x,) = required(self, inputs, 1)
        windows = (self.kernel, self.strides, self.pads, self.dilations)
        return _pool_nest(self, "max_pool", x, outputs[0], constants, windows, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragePool(Op):
    """The mean of every window of (N, C, spatial...), 1 to 3 spatial axes (ONNX AveragePool).

    Padding counts as zeros if `count_include_pad`, else only real elements are counted.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    ceil_mode: bool = False
    count_include_pad: bool = False

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """(N, C, in...) -> (N, C, windows...)."""
        (x,) = required(self, inputs, 1)
        return output(self, _pooled_shape(self, x), computed(x.precision))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """Y[n, c, p] = sum over k of X[n, c, p * stride + k * dilation - pad] / number of counted elements."""
        (x,) = inputs
        counts = _pooled_shape(self, Tensor(name="x", shape=x.shape))[2:]
        padded = pad_spatial(xp, x, _reach(self, x.shape[2:], counts))
        weights = xp.asarray(1 / self._counted(x.shape[2:], counts), dtype=x.dtype)
        return (_fold_windows(self, padded, counts, lambda a, b: a + b) * weights,)

    def _counted(self, sizes: Shape, counts: Sequence[int]) -> Any:
        """Elements that enter the mean of each window (windows reach beyond the padding in ceil mode, where nothing
        counts)."""
        rank = len(sizes)
        total = np.ones((), dtype=np.float64)
        for axis, (size, count) in enumerate(zip(sizes, counts, strict=True)):
            starts = np.arange(count)[:, None] * self.strides[axis] - self.pads[axis]
            positions = starts + np.arange(self.kernel[axis]) * self.dilations[axis]
            first, last = (-self.pads[axis], size + self.pads[rank + axis]) if self.count_include_pad else (0, size)
            inside = np.sum((positions >= first) & (positions < last), axis=1)
            total = total * inside.reshape(along(inside.shape, axis, rank))
        return total

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """Loops over output axes d0, ..., then window positions kh, kw; one addition per point and one multiply per
        output."""
        (x,) = required(self, inputs, 1)
        windows = (self.kernel, self.strides, self.pads, self.dilations)
        return _pool_nest(self, "average_pool", x, outputs[0], constants, windows, 1 + 1 / prod(self.kernel))


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalPool(Op):
    """The mean or largest element of each image and channel (ONNX GlobalAveragePool, GlobalMaxPool); spatial axes stay
    as 1."""

    function: Literal["mean", "max"] = "mean"

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """(N, C, spatial...) -> (N, C, 1...)."""
        (x,) = required(self, inputs, 1)
        rank_at_least(self, x, 3)
        if self.function not in ("mean", "max"):
            raise refusal(self, "unknown function", value=self.function, limit="mean, max")
        precision = x.precision if self.function == "max" else computed(x.precision)
        return output(self, (*x.shape[:2], *(1 for _ in x.shape[2:])), precision)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """mean or max over all axes after the second."""
        (x,) = inputs
        fold = xp.mean if self.function == "mean" else xp.max
        return (fold(x, axis=tuple(range(2, x.ndim)), keepdims=True),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """One window as large as the image: an "average_pool" or "max_pool" nest, one operation per input element."""
        (x,) = required(self, inputs, 1)
        rank = len(x.shape) - 2
        windows = (x.shape[2:], (1,) * rank, (0,) * 2 * rank, (1,) * rank)
        mean = self.function == "mean"
        flops = 1 + 1 / prod(x.shape[2:]) if mean else 1.0
        return _pool_nest(self, "average_pool" if mean else "max_pool", x, outputs[0], constants, windows, flops)


def _log_sum_exp(xp: Any, x: Any, axes: tuple[int, ...]) -> Any:
    highest = xp.max(x, axis=axes, keepdims=True)
    return highest + xp.log(xp.sum(xp.exp(x - highest), axis=axes, keepdims=True))


Reduction = Callable[[Any, Any, tuple[int, ...]], Any]

REDUCTIONS: dict[str, tuple[float, Reduction]] = {
    "mean": (1, lambda xp, x, axes: xp.mean(x, axis=axes, keepdims=True)),
    "sum": (1, lambda xp, x, axes: xp.sum(x, axis=axes, keepdims=True)),
    "max": (1, lambda xp, x, axes: xp.max(x, axis=axes, keepdims=True)),
    "min": (1, lambda xp, x, axes: xp.min(x, axis=axes, keepdims=True)),
    "prod": (1, lambda xp, x, axes: xp.prod(x, axis=axes, keepdims=True)),
    "l1": (2, lambda xp, x, axes: xp.sum(xp.abs(x), axis=axes, keepdims=True)),
    "l2": (2, lambda xp, x, axes: xp.sqrt(xp.sum(x * x, axis=axes, keepdims=True))),
    "sum_square": (2, lambda xp, x, axes: xp.sum(x * x, axis=axes, keepdims=True)),
    "log_sum": (1, lambda xp, x, axes: xp.log(xp.sum(x, axis=axes, keepdims=True))),
    "log_sum_exp": (4, _log_sum_exp),
}
"""Operations per input element, and the reduction of (array module, array, axes) that keeps the reduced axes as 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduce(Op):
    """A fold along `axes` (None: all) by a key of `REDUCTIONS` (ONNX ReduceMean, ReduceSum, ReduceMax, ...)."""

    function: str
    axes: tuple[int, ...] | None
    keepdims: bool = True

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape without the reduced axes, or with 1 in their place if `keepdims`."""
        (x,) = required(self, inputs, 1)
        if self.function not in REDUCTIONS:
            raise refusal(self, "unknown function", value=self.function, limit=", ".join(REDUCTIONS))
        axes = self._reduced(len(x.shape))
        precision = x.precision if self.function in ("max", "min") else computed(x.precision)
        return output(self, _without(x.shape, axes, self.keepdims), precision)

    def _reduced(self, rank: int) -> tuple[int, ...]:
        return tuple(range(rank)) if self.axes is None else axes_of(self, self.axes, rank)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """The definition in `REDUCTIONS`, in the type of x."""
        (x,) = inputs
        axes = self._reduced(x.ndim)
        y = REDUCTIONS[self.function][1](xp, x, axes).astype(x.dtype)
        return (y.reshape(_without(x.shape, axes, self.keepdims)),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """Loops over output axes d0, ..., then reduced axes r0, ...; operations per input element as in
        `REDUCTIONS`."""
        (x,) = required(self, inputs, 1)
        axes = self._reduced(len(x.shape))
        return _reduce_nest(self, "reduce", x, outputs[0], constants, axes, self.keepdims, REDUCTIONS[self.function][0])


def _without(shape: Shape, axes: Sequence[int], keepdims: bool) -> Shape:
    if keepdims:
        return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def _reduce_nest(
    op: Op,
    function: str,
    x: Tensor,
    result: Tensor,
    constants: frozenset[str],
    axes: Sequence[int],
    keepdims: bool,
    flops: float,
) -> LoopNest:
    kept = [axis for axis in range(len(x.shape)) if keepdims or axis not in axes]
    reduced = sorted(axes)
    dims = (*output_dims(result.shape), *((f"r{place}", x.shape[axis]) for place, axis in enumerate(reduced)))
    source = [
        at(f"r{reduced.index(axis)}") if axis in reduced else at(f"d{kept.index(axis)}") for axis in range(len(x.shape))
    ]
    return LoopNest(
        name=op.name,
        kind="elementwise",
        function=function,
        dims=dims,
        reads=(access(x, source, dims, constants),),
        write=access(result, [at(f"d{axis}") for axis in range(len(result.shape))], dims, constants),
        flops_per_point=flops,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgReduce(Op):
    """The index of the first largest or smallest element along `axis`, as INT64 (ONNX ArgMax, ArgMin)."""

    function: Literal["argmax", "argmin"]
    axis: int
    keepdims: bool = True

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape without `axis`, or with 1 in its place if `keepdims`."""
        (x,) = required(self, inputs, 1)
        if self.function not in ("argmax", "argmin"):
            raise refusal(self, "unknown function", value=self.function, limit="argmax, argmin")
        axis = axis_of(self, self.axis, len(x.shape))
        return output(self, _without(x.shape, (axis,), self.keepdims), INT64)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """argmax or argmin along `axis`."""
        fold = xp.argmax if self.function == "argmax" else xp.argmin
        return (cast(xp, fold(inputs[0], axis=self.axis, keepdims=self.keepdims), INT64),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """Loops over output axes d0, ..., then the reduced axis r0; one comparison per input element."""
        (x,) = required(self, inputs, 1)
        axis = axis_of(self, self.axis, len(x.shape))
        return _reduce_nest(self, "arg_reduce", x, outputs[0], constants, (axis,), self.keepdims, 1.0)
