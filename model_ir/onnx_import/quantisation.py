"""Converters for quantised networks: QONNX's Quant, BipolarQuant and Trunc, and ONNX's QuantizeLinear and
DequantizeLinear."""

from __future__ import annotations

import numpy as np

from model_ir.onnx_import.node import Node
from model_ir.onnx_import.scope import Converter, Scope
from model_ir.ops.contraction import MatMul
from model_ir.ops.elementwise import Binary, Cast
from model_ir.ops.quantisation import BipolarQuant, DequantizeLinear, Quant, QuantizeLinear, Trunc
from model_ir.precision import INT32, Precision, Rounding

# QONNX's rounding modes in the words of `Precision`; the others have none and keep the default.
_ROUNDINGS: dict[str, Rounding] = {
    "ROUND": "half_even",
    "HALF_EVEN": "half_even",
    "CEIL": "ceil",
    "FLOOR": "floor",
    "DOWN": "toward_zero",
}
_WIDEST_BITS = 64


def quant(scope: Scope, node: Node) -> None:
    """QONNX Quant; the result's precision is known where scale, zero point and bit width are constants."""
    signed, mode = node.flag("signed", True), node.text("rounding_mode", "ROUND")
    operands = tuple(node.required(position) for position in range(4))
    scope.emit(
        node, Quant, *operands, signed=signed, narrow=node.flag("narrow"), rounding_mode=mode,
        precision=_quant_precision(scope, node, signed, mode),
    )  # fmt: skip


def _quant_precision(scope: Scope, node: Node, signed: bool, mode: str) -> Precision | None:
    """Bits, scale and zero point; the largest scale and first zero point stand for per-channel ones. None where any is
    computed."""
    scale, zero_point, bits = (scope.value(name) for name in node.inputs[1:4])
    if scale is None or zero_point is None or bits is None or bits.size != 1 or not scale.size or not zero_point.size:
        return None
    width = float(bits.reshape(()))
    if not 0 < width <= _WIDEST_BITS or not np.all(np.isfinite(scale)) or not np.all(scale > 0):
        raise node.error("scale or bit width cannot be", value=(scale.reshape(-1)[:4].tolist(), width))
    if not np.all(np.isfinite(zero_point)):
        raise node.error("zero point is not a finite number", value=zero_point.reshape(-1)[:4].tolist())
    return Precision(
        bits=int(np.ceil(width)),
        signed=signed,
        scale=float(scale.max()),
        zero_point=round(float(zero_point.reshape(-1)[0])),
        rounding=_ROUNDINGS.get(mode.upper(), "half_even"),
    )


def bipolar_quant(scope: Scope, node: Node) -> None:
    """QONNX BipolarQuant."""
    scope.emit(node, BipolarQuant, node.required(0), node.required(1))


def trunc(scope: Scope, node: Node) -> None:
    """QONNX Trunc of version 1 (five inputs)."""
    if len(node.inputs) != 5:
        raise node.unsupported("Trunc with other than five inputs", value=len(node.inputs))
    scope.emit(node, Trunc, *node.inputs, rounding_mode=node.text("rounding_mode", "FLOOR"))


def quantize_linear(scope: Scope, node: Node) -> None:
    """QuantizeLinear per tensor or per axis."""
    _refuse_blocks(node)
    if node.integer("output_dtype", 0) and not node.input(2):
        raise node.unsupported("output_dtype without a zero point")
    scope.emit(node, QuantizeLinear, *_linear_operands(node), axis=_axis(scope, node))


def dequantize_linear(scope: Scope, node: Node) -> None:
    """DequantizeLinear per tensor or per axis."""
    _refuse_blocks(node)
    scope.emit(node, DequantizeLinear, *_linear_operands(node), axis=_axis(scope, node))


def _linear_operands(node: Node) -> tuple[str, ...]:
    return (node.required(0), node.required(1), *((node.inputs[2],) if node.input(2) else ()))


def _axis(scope: Scope, node: Node) -> int:
    """The axis of a scale vector; irrelevant (0) for a scalar scale."""
    if scope.tensor(node.required(1)).elements == 1:
        return 0
    return node.axis("axis", len(scope.shape(node.required(0))), 1)


def _refuse_blocks(node: Node) -> None:
    if node.integer("block_size", 0):
        raise node.unsupported("blocked quantisation", value=node.integer("block_size"))


def matmul_integer(scope: Scope, node: Node) -> None:
    """MatMulInteger with scalar zero points: int32 operands with the zero points subtracted."""
    left, right = (_centred(scope, node, position) for position in range(2))
    scope.emit(node, MatMul, left, right)


def _centred(scope: Scope, node: Node, position: int) -> str:
    wide = scope.step(node, Cast, node.required(position), to=INT32)
    zero = node.input(position + 2)
    if not zero:
        return wide
    if scope.tensor(zero).elements != 1:
        raise node.unsupported("a zero point per row or column")
    return scope.step(node, Binary, wide, scope.step(node, Cast, zero, to=INT32), function="sub")


CONVERTERS: dict[str, Converter] = {
    "DequantizeLinear": dequantize_linear,
    "MatMulInteger": matmul_integer,
    "QuantizeLinear": quantize_linear,
}
QONNX_CONVERTERS: dict[str, Converter] = {"BipolarQuant": bipolar_quant, "Quant": quant, "Trunc": trunc}
