"""Operators of integer-only networks: int8 in memory, int32 in the accumulator, dyadic factors between them.

Matrix products and convolutions of integers are `contraction`'s own (int8 operands, int32 sums); `Requantise` is what
brings their sums back to 8 bits. The arithmetic is `integer_arithmetic`'s; scales are recorded in the precisions, and
no value depends on them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from model_ir.loop_nest import LoopNest
from model_ir.op import Op
from model_ir.ops.checks import (
    axes_of,
    broadcast,
    expect_shape,
    output,
    rank_at_least,
    refusal,
    required,
)
from model_ir.ops.integer_arithmetic import (
    ONE,
    SOFTMAX_ONE,
    Dyadic,
    NormConstants,
    gelu_unit,
    i_gelu,
    i_layer_norm,
    i_softmax,
    loaded,
    requantised,
)
from model_ir.ops.nests import access, at, output_dims, pointwise
from model_ir.precision import INT8, INT32, Precision
from model_ir.tensor import Tensor

TABLE_ROWS = 256


def _integers(op: Op, *tensors: Tensor, bits: int = 32) -> None:
    """Refuse operands that are no signed integers of at most `bits`."""
    for tensor in tensors:
        precision = tensor.precision
        if precision.is_float or not precision.signed or precision.bits > bits:
            raise refusal(op, f"{tensor.name!r} is not of signed integers", value=precision, limit=f"int{bits}")


def _int8(scale: float) -> Precision:
    return replace(INT8, scale=scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requantise(Op):
    """Integers times `factor`, rounded half to even, saturated to int8; with `relu`, negative ones become 0 first.

    What every store of Gemmini's accumulator does (AccumulatorScale.scala).
    """

    factor: Dyadic
    relu: bool = False

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape of x; one unit of the result is 1 / factor units of x."""
        (x,) = required(self, inputs, 1)
        _integers(self, x)
        return output(self, x.shape, _int8(x.precision.scale / self.factor.value))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """saturate(round(max(x, 0 if relu) * factor))."""
        x = inputs[0].astype(np.int32)
        return (requantised(xp, xp.maximum(x, np.int32(0)) if self.relu else x, self.factor),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """4 operations per element, 5 with ReLU: multiply, round, two comparisons."""
        return pointwise(self, "quantise", inputs, outputs[0], constants, flops=5 if self.relu else 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegerAdd(Op):
    """int8 a and b, each brought to one grid by its factor (rounded, saturated to 8 bits), added in int32, and with
    `factor` requantised to int8; without, the int32 sums.

    Gemmini's residual addition: two scaling loads into the accumulator and a store (sp_tiled_resadd, gemmini.h).
    """

    a_factor: Dyadic = ONE
    b_factor: Dyadic = ONE
    factor: Dyadic | None = None

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The numpy broadcast of both."""
        a, b = required(self, inputs, 2)
        _integers(self, a, b, bits=8)
        scale = a.precision.scale / self.a_factor.value
        precision = replace(INT32, scale=scale) if self.factor is None else _int8(scale / self.factor.value)
        return output(self, broadcast(self, a.shape, b.shape), precision)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """[requantised] round(a * a_factor) + round(b * b_factor)."""
        total = loaded(xp, inputs[0], self.a_factor) + loaded(xp, inputs[1], self.b_factor)
        return (total if self.factor is None else requantised(xp, total, self.factor),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """5 operations per element, 7 with the store's: two multiplications and roundings, one addition."""
        return pointwise(self, "add", inputs, outputs[0], constants, flops=5 if self.factor is None else 7)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelMultiply(Op):
    """int8 x (..., C) times one int8 weight per channel plus one int32 bias per channel: int32.

    What LayerNorm's scale and bias are where no matrix product takes them in; a depthwise 1x1 convolution on the array.
    Inputs x, weight (C), bias (C).
    """

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape of x."""
        x, weight, bias = required(self, inputs, 3)
        rank_at_least(self, x, 2)
        _integers(self, x, weight, bias)
        for vector in (weight, bias):
            expect_shape(self, vector, (x.shape[-1],), "per-channel vector")
        return output(self, x.shape, replace(INT32, scale=x.precision.scale * weight.precision.scale))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """x * weight + bias."""
        x, weight, bias = inputs
        return (x.astype(np.int32) * weight.astype(np.int32) + bias.astype(np.int32),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """Loops over rows b0, b1, ... and channels c; one multiply-accumulate each."""
        x, weight, bias = required(self, inputs, 3)
        dims = (*output_dims(x.shape[:-1], "b"), ("c", x.shape[-1]))
        full = [at(name) for name, _ in dims]
        return LoopNest(
            name=self.name,
            kind="mac",
            function="conv",
            dims=dims,
            reads=(
                access(x, full, dims, constants),
                access(weight, (at("c"),), dims, constants),
                access(bias, (at("c"),), dims, constants),
            ),
            write=access(outputs[0], full, dims, constants),
            flops_per_point=2.0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegerGelu(Op):
    """I-BERT's integer GELU of int8, requantised to int8 (arXiv 2101.01321, section 3.4, Algorithm 2).

    int32 sums of a matrix product do not fit it: at their fine scale the square of its argument leaves 32 bits.
    """

    constants: NormConstants
    factor: Dyadic

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape of x."""
        (x,) = required(self, inputs, 1)
        _integers(self, x, bits=8)
        return output(self, x.shape, _int8(gelu_unit(x.precision.scale) / self.factor.value))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """saturate(round(i_gelu(x) * factor))."""
        return (requantised(xp, i_gelu(xp, inputs[0].astype(np.int32), self.constants), self.factor),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """11 operations per element: sign, product, minimum, sum, square, sum, product, sum, product, multiply,
        round."""
        return pointwise(self, "gelu", inputs, outputs[0], constants, flops=11)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegerSoftmax(Op):
    """I-BERT's integer softmax over the last axis, int8 out: 127 stands for 1 / factor (arXiv 2101.01321, section 3.5,
    Algorithm 3)."""

    constants: NormConstants
    factor: Dyadic

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape of x."""
        (x,) = required(self, inputs, 1)
        rank_at_least(self, x, 1)
        _integers(self, x)
        return output(self, x.shape, _int8(1 / (SOFTMAX_ONE * self.factor.value)))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """saturate(round(i_exp(x - max) * ((127 / sum) * factor)))."""
        return (i_softmax(xp, inputs[0].astype(np.int32), self.constants, self.factor),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """14 operations per element: maximum; twice subtract, multiply, shift, multiply-add; sum; multiply, round."""
        return pointwise(self, "softmax", inputs, outputs[0], constants, flops=14)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegerLayerNorm(Op):
    """I-BERT's integer standardisation over the last axis, without scale and bias, int8 out: one unit is 1 / factor
    deviations (arXiv 2101.01321, section 3.6, Algorithm 4).

    `gain` multiplies x first, as loading it so many times onto itself does: the integer square root is then so much
    finer.
    """

    factor: Dyadic
    gain: int = 1

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape of x."""
        (x,) = required(self, inputs, 1)
        rank_at_least(self, x, 1)
        _integers(self, x)
        if self.gain < 1:
            raise refusal(self, "gain must be positive", value=self.gain, limit=1)
        return output(self, x.shape, _int8(1 / self.factor.value))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """saturate(round((gain x - mean) * ((1 / deviation) * factor)))."""
        return (i_layer_norm(xp, inputs[0].astype(np.int32) * np.int32(self.gain), self.factor),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """7 operations per element: sum, subtract, square, sum, subtract, multiply, round."""
        return pointwise(self, "layer_norm", inputs, outputs[0], constants, flops=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegerTable(Op):
    """Any function of one int8 number as its 256 results, those of -128 to 127 in order; tanh and the like, for which
    I-BERT has no polynomial. Inputs x, table (256) of int8, or of int32 for what is added to sums."""

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape of x with the precision of the table."""
        x, table = required(self, inputs, 2)
        _integers(self, x, bits=8)
        _integers(self, table)
        expect_shape(self, table, (TABLE_ROWS,), "table")
        return output(self, x.shape, table.precision)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """table[x + 128]."""
        x, table = inputs
        return (xp.take(table, x.astype(np.int32) + TABLE_ROWS // 2),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """1 operation per element: the address; the table is read at any place."""
        x, table = required(self, inputs, 2)
        dims = output_dims(x.shape)
        full = [at(name) for name, _ in dims]
        reads = (access(x, full, dims, constants), replace(access(table, (at(),), dims, constants), indices=()))
        return LoopNest(
            name=self.name,
            kind="elementwise",
            function="lookup",
            dims=dims,
            reads=reads,
            write=access(outputs[0], full, dims, constants),
            flops_per_point=1,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegerMean(Op):
    """The int32 sum along `axes` of int8, requantised to int8 by `factor`, which holds the 1 / count."""

    axes: tuple[int, ...]
    factor: Dyadic
    keepdims: bool = True

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape without the axes, or with 1 in their place if `keepdims`."""
        (x,) = required(self, inputs, 1)
        _integers(self, x, bits=8)
        axes = axes_of(self, self.axes, len(x.shape))
        kept = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
        shape = kept if self.keepdims else tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
        return output(self, shape, _int8(x.precision.scale / self.factor.value))

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """saturate(round(sum(x) * factor))."""
        axes = axes_of(self, self.axes, inputs[0].ndim)
        total = xp.sum(inputs[0], axis=axes, keepdims=self.keepdims, dtype=np.int32)
        return (requantised(xp, total, self.factor),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """Loops over all axes of x; one addition each (the products with the factor, one a result, are left out)."""
        (x,) = required(self, inputs, 1)
        axes = axes_of(self, self.axes, len(x.shape))
        dims = output_dims(x.shape)
        kept = [at() if axis in axes else at(f"d{axis}") for axis in range(len(x.shape))]
        written = kept if self.keepdims else [index for axis, index in enumerate(kept) if axis not in axes]
        return LoopNest(
            name=self.name,
            kind="elementwise",
            function="reduce",
            dims=dims,
            reads=(access(x, [at(name) for name, _ in dims], dims, constants),),
            write=access(outputs[0], written, dims, constants),
            flops_per_point=1,
        )
