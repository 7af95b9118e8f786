"""Converters for sums of products: MatMul, Gemm, convolutions, Einsum and their integer kin."""

from __future__ import annotations

from typing import Any

from model_ir.onnx_import.node import Node
from model_ir.onnx_import.scope import Converter, Scope
from model_ir.onnx_import.windows import checked, same_upper, spatial, windows
from model_ir.ops.contraction import Conv, ConvTranspose, Einsum, MatMul
from model_ir.ops.elementwise import Binary
from model_ir.tensor import Shape


def matmul(scope: Scope, node: Node) -> None:
    """MatMul."""
    scope.emit(node, MatMul, node.required(0), node.required(1))


def fused_matmul(scope: Scope, node: Node) -> None:
    """FusedMatMul of onnxruntime: transposed operands and a factor."""
    if node.flag("transBatchA") or node.flag("transBatchB"):
        raise node.unsupported("a transposed batch axis")
    flags = {"transpose_a": node.flag("transA"), "transpose_b": node.flag("transB")}
    _scaled_matmul(scope, node, node.real("alpha", 1.0), "", flags)


def gemm(scope: Scope, node: Node) -> None:
    """Gemm: alpha A' B' + beta C; the factors are separate operators where they are not 1."""
    for position in range(2):
        if len(scope.shape(node.required(position))) != 2:
            raise node.error(f"operand {position} is not a matrix", value=scope.shape(node.inputs[position]))
    bias, beta = node.input(2), node.real("beta", 1.0)
    if bias and beta != 1.0:
        bias = scope.step(node, Binary, bias, scope.scalar(node, beta, bias), function="mul")
    flags = {"transpose_a": node.flag("transA"), "transpose_b": node.flag("transB")}
    _scaled_matmul(scope, node, node.real("alpha", 1.0), bias, flags)


def _scaled_matmul(scope: Scope, node: Node, alpha: float, bias: str, flags: dict[str, Any]) -> None:
    operands = (node.required(0), node.required(1))
    if alpha == 1.0:
        scope.emit(node, MatMul, *operands, *((bias,) if bias else ()), **flags)
        return
    product = scope.step(node, MatMul, *operands, **flags)
    factor = scope.scalar(node, alpha, product)
    if not bias:
        scope.emit(node, Binary, product, factor, function="mul")
        return
    scope.emit(node, Binary, scope.step(node, Binary, product, factor, function="mul"), bias, function="add")


def conv(scope: Scope, node: Node) -> None:
    """Conv, 1-d to 3-d."""
    sizes, kernel = _kernel(scope, node)
    strides, pads, dilations = windows(node, sizes, kernel)
    group = node.integer("group", 1)
    scope.emit(node, Conv, *node.inputs[:3], strides=strides, pads=pads, dilations=dilations, group=group)


def conv_transpose(scope: Scope, node: Node) -> None:
    """ConvTranspose; `output_shape` and automatic padding become explicit pads as the ONNX specification says."""
    sizes, kernel = _kernel(scope, node)
    rank = len(sizes)
    strides = checked(node, "strides", node.integers("strides", (1,) * rank), rank, 1)
    dilations = checked(node, "dilations", node.integers("dilations", (1,) * rank), rank, 1)
    extra = checked(node, "output_padding", node.integers("output_padding", (0,) * rank), rank, 0)
    automatic = node.text("auto_pad", "NOTSET")
    full = [
        stride * (size - 1) + more + dilation * (taps - 1) + 1
        for stride, size, more, dilation, taps in zip(strides, sizes, extra, dilations, kernel, strict=True)
    ]
    if node.has("output_shape"):
        wanted = checked(node, "output_shape", node.integers("output_shape"), rank, 1)
        pads = _cropping(node, full, wanted, automatic == "SAME_UPPER")
    elif automatic == "NOTSET":
        pads = checked(node, "pads", node.integers("pads", (0,) * 2 * rank), 2 * rank, 0)
    elif automatic == "VALID":
        pads = (0,) * 2 * rank
    else:
        wanted = tuple(size * stride for size, stride in zip(sizes, strides, strict=True))
        pads = _cropping(node, full, wanted, same_upper(node, automatic))
    scope.emit(
        node, ConvTranspose, *node.inputs[:3], strides=strides, pads=pads, dilations=dilations, output_padding=extra,
        group=node.integer("group", 1),
    )  # fmt: skip


def _cropping(node: Node, full: list[int], wanted: Shape, upper: bool) -> tuple[int, ...]:
    totals = tuple(have - want for have, want in zip(full, wanted, strict=True))
    if min(totals) < 0:
        raise node.unsupported("an output_shape larger than the transposed convolution", value=wanted)
    small = tuple(total // 2 for total in totals)
    large = tuple(total - half for total, half in zip(totals, small, strict=True))
    return (*small, *large) if upper else (*large, *small)


def _kernel(scope: Scope, node: Node) -> tuple[Shape, Shape]:
    """Spatial sizes of the input and the kernel; InputError where `kernel_shape` contradicts the weight."""
    sizes = spatial(node, scope.shape(node.required(0)))
    weight = scope.shape(node.required(1))
    if len(weight) != len(sizes) + 2:
        raise node.error("weight and input have different ranks", value=weight)
    kernel = node.integers("kernel_shape", weight[2:])
    if kernel != weight[2:]:
        raise node.error("kernel_shape contradicts the weight", value=kernel[:16], limit=weight[2:])
    return sizes, kernel


def einsum(scope: Scope, node: Node) -> None:
    """Einsum."""
    scope.emit(node, Einsum, *node.inputs, equation=node.text("equation").replace(" ", ""))


CONVERTERS: dict[str, Converter] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Einsum": einsum,
    "Gemm": gemm,
    "MatMul": matmul,
}
CONTRIB_CONVERTERS: dict[str, Converter] = {"FusedMatMul": fused_matmul}
