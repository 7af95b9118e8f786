"""Operators of quantised networks: QONNX's fake quantisers (real values in, representable real values out) and ONNX's
integer ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from model_ir.loop_nest import LoopNest
from model_ir.op import Op
from model_ir.ops.arrays import along, storage_dtype
from model_ir.ops.checks import axis_of, broadcasts_to, expect_shape, maybe, output, refusal, required
from model_ir.ops.nests import access, at, output_dims, pointwise
from model_ir.precision import UINT8, Precision
from model_ir.tensor import Tensor

ROUNDINGS: dict[str, Callable[[Any, Any], Any]] = {
    "ROUND": lambda xp, x: xp.round(x),
    "HALF_EVEN": lambda xp, x: xp.round(x),
    "CEIL": lambda xp, x: xp.ceil(x),
    "FLOOR": lambda xp, x: xp.floor(x),
    "UP": lambda xp, x: xp.sign(x) * xp.ceil(xp.abs(x)),
    "DOWN": lambda xp, x: xp.trunc(x),
    "HALF_UP": lambda xp, x: xp.sign(x) * xp.floor(xp.abs(x) + 0.5),
    "HALF_DOWN": lambda xp, x: xp.sign(x) * xp.ceil(xp.abs(x) - 0.5),
}
"""QONNX's rounding modes (qonnx.custom_op.general.intquant.resolve_rounding_mode)."""


def _check_fake_quantiser(op: Op, x: Tensor, rounding_mode: str, parameters: tuple[Tensor, ...]) -> None:
    if rounding_mode.upper() not in ROUNDINGS:
        raise refusal(op, "unknown rounding_mode", value=rounding_mode, limit=", ".join(ROUNDINGS))
    for parameter in parameters:
        if not broadcasts_to(parameter.shape, x.shape):
            raise refusal(
                op, f"{parameter.name!r} does not broadcast to the input", value=parameter.shape, limit=x.shape
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Quant(Op):
    """QONNX Quant: x rounded to the nearest `scale * (integer of bit_width bits - zero_point)` (Pappalardo et al.,
    QONNX, 2022).

    Inputs x, scale, zero_point, bit_width. `narrow` drops the lowest value (signed) or the highest (unsigned).
    `precision` is what the creator knows of the result when scale, zero point and bit width are constants; without it
    the result keeps x's precision.
    """

    signed: bool = True
    narrow: bool = False
    rounding_mode: str = "ROUND"
    precision: Precision | None = None

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape of x; InputError unless the parameters broadcast to it."""
        x, *parameters = required(self, inputs, 4)
        _check_fake_quantiser(self, x, self.rounding_mode, tuple(parameters))
        return output(self, x.shape, self.precision or x.precision)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """(round(clip(x / scale + zero_point)) - zero_point) * scale; one signed bit means the values -1 and 1."""
        x, scale, zero_point, bits = (xp.asarray(value) for value in inputs)
        scaled = x / scale + zero_point
        half = 2.0 ** (bits - 1)
        low = -half + self.narrow if self.signed else 0.0
        high = half - 1 if self.signed else 2 * half - 1 - self.narrow
        clipped = xp.minimum(xp.maximum(scaled, low), high)
        integers = ROUNDINGS[self.rounding_mode.upper()](xp, clipped)
        if self.signed:
            integers = xp.where(bits == 1, xp.where(scaled >= 0, 1.0, -1.0), integers)
        return (((integers - zero_point) * scale).astype(x.dtype),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """7 operations per element: divide, add, two comparisons, round, subtract, multiply."""
        return pointwise(self, "quantise", inputs, outputs[0], constants, flops=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class BipolarQuant(Op):
    """QONNX BipolarQuant: scale where x >= 0, else -scale. Inputs x, scale."""

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape and precision of x."""
        x, scale = required(self, inputs, 2)
        _check_fake_quantiser(self, x, "ROUND", (scale,))
        return output(self, x.shape, x.precision)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """where(x >= 0, 1, -1) * scale."""
        x, scale = inputs
        return ((xp.where(x >= 0, 1.0, -1.0) * scale).astype(x.dtype),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """2 operations per element: compare, multiply."""
        return pointwise(self, "quantise", inputs, outputs[0], constants, flops=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunc(Op):
    """QONNX Trunc (version 1): drops the lowest bits of x's integers but keeps their scale.

    Inputs x, scale, zero_point, input bit width, output bit width.
    """

    rounding_mode: str = "FLOOR"

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape and precision of x."""
        x, *parameters = required(self, inputs, 5)
        _check_fake_quantiser(self, x, self.rounding_mode, tuple(parameters))
        return output(self, x.shape, x.precision)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """(rounding(round(x / scale + zero_point) / 2^(bits in - bits out)) - zero_point) * scale."""
        x, scale, zero_point, bits_in, bits_out = (xp.asarray(value) for value in inputs)
        integers = xp.round(x / scale + zero_point) / 2.0 ** (bits_in - bits_out)
        return (((ROUNDINGS[self.rounding_mode.upper()](xp, integers) - zero_point) * scale).astype(x.dtype),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """7 operations per element: divide, add, round, divide, round, subtract, multiply."""
        return pointwise(self, "quantise", inputs, outputs[0], constants, flops=7)


def _on_axis(op: Op, x: Tensor, axis: int, parameter: Tensor | None) -> None:
    """A scale or zero point is a scalar, one element, or a vector over `axis`."""
    if parameter is not None and parameter.elements != 1:
        expect_shape(op, parameter, (x.shape[axis_of(op, axis, len(x.shape))],), "per-axis parameter")


def _spread(parameter: Any, axis: int, rank: int) -> Any:
    return (
        parameter.reshape(()) if parameter.size == 1 else parameter.reshape(along(parameter.shape, axis % rank, rank))
    )


def _linear_nest(
    op: QuantizeLinear | DequantizeLinear,
    function: str,
    inputs: tuple[Tensor | None, ...],
    result: Tensor,
    constants: frozenset[str],
    flops: float,
) -> LoopNest:
    x, *_ = required(op, inputs, 2, optional=1)
    dims = output_dims(result.shape)
    full = [at(name) for name, _ in dims]
    reads = [access(x, full, dims, constants)]
    for parameter in inputs[1:]:
        if parameter is not None:
            per_axis = at() if parameter.elements == 1 else full[op.axis % len(x.shape)]
            reads.append(access(parameter, [per_axis] * len(parameter.shape), dims, constants))
    write = access(result, full, dims, constants)
    return LoopNest(
        name=op.name,
        kind="elementwise",
        function=function,
        dims=dims,
        reads=tuple(reads),
        write=write,
        flops_per_point=flops,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizeLinear(Op):
    """saturate(round(x / scale) + zero_point) as integers, scale per tensor or along `axis` (ONNX QuantizeLinear).

    Inputs x, scale[, zero_point]; the zero point's precision is the result's, UINT8 without one.
    """

    axis: int = 1

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape of x with the precision of the zero point."""
        x, scale = required(self, inputs, 2, optional=1)
        zero_point = maybe(inputs, 2)
        for parameter in (scale, zero_point):
            _on_axis(self, x, self.axis, parameter)
        return output(self, x.shape, UINT8 if zero_point is None else zero_point.precision)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """clip(round half to even(x / scale) + zero_point, lowest, highest)."""
        x, scale, zero_point = (*inputs, None)[:3]
        dtype = storage_dtype(UINT8) if zero_point is None else zero_point.dtype
        rounded = xp.round(x / _spread(scale, self.axis, x.ndim))
        if zero_point is not None:
            rounded = rounded + _spread(zero_point, self.axis, x.ndim).astype(rounded.dtype)
        limits = np.iinfo(dtype)
        return (xp.clip(rounded, float(limits.min), float(limits.max)).astype(dtype),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """5 operations per element: divide, round, add, two comparisons."""
        return _linear_nest(self, "quantise", inputs, outputs[0], constants, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class DequantizeLinear(Op):
    """(x - zero_point) * scale as floats, scale per tensor or along `axis` (ONNX DequantizeLinear). Inputs x, scale[,
    zero_point]."""

    axis: int = 1

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape of x with the precision of the scale."""
        x, scale = required(self, inputs, 2, optional=1)
        for parameter in (scale, maybe(inputs, 2)):
            _on_axis(self, x, self.axis, parameter)
        return output(self, x.shape, scale.precision)

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """(x - zero_point) * scale in the type of the scale."""
        x, scale, zero_point = (*inputs, None)[:3]
        values = x.astype(scale.dtype)
        if zero_point is not None:
            values = values - _spread(zero_point, self.axis, x.ndim).astype(scale.dtype)
        return (values * _spread(scale, self.axis, x.ndim),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """2 operations per element: subtract, multiply."""
        return _linear_nest(self, "dequantise", inputs, outputs[0], constants, 2)
