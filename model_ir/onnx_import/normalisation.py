"""Converters for normalisations and softmax, ONNX's own and the fused ones that onnxruntime's optimiser writes."""

from __future__ import annotations

from math import prod

import numpy as np

from model_ir.onnx_import.node import Node
from model_ir.onnx_import.scope import Converter, Scope
from model_ir.op import Op
from model_ir.ops.elementwise import Binary
from model_ir.ops.movement import Reshape
from model_ir.ops.normalisation import (
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LogSoftmax,
    LpNormalization,
    Lrn,
    RmsNorm,
    Softmax,
)


def batch_normalization(scope: Scope, node: Node) -> None:
    """BatchNormalization at inference."""
    if node.flag("training_mode") or len(node.outputs) > 1:
        raise node.unsupported("training mode")
    if not node.flag("spatial", True):
        raise node.unsupported("a normalisation of every pixel by itself (spatial=0, before operator set 9)")
    scope.emit(node, BatchNorm, *(node.required(position) for position in range(5)), epsilon=_epsilon(node))


def layer_normalization(scope: Scope, node: Node) -> None:
    """LayerNormalization without its optional statistics outputs."""
    _only_output(node)
    axis = node.axis("axis", len(scope.shape(node.required(0))), -1)
    scope.emit(node, LayerNorm, *_operands(node, 2, 3), axis=axis, epsilon=_epsilon(node))


def rms_normalization(scope: Scope, node: Node) -> None:
    """RMSNormalization, and SimplifiedLayerNormalization of onnxruntime."""
    _only_output(node)
    axis = node.axis("axis", len(scope.shape(node.required(0))), -1)
    scope.emit(node, RmsNorm, *_operands(node, 2, 2), axis=axis, epsilon=_epsilon(node))


def skip_layer_normalization(scope: Scope, node: Node) -> None:
    """SkipLayerNormalization of onnxruntime: inputs x, skip, scale[, shift[, bias]]; the fourth output is the sum."""
    total = _skip_sum(scope, node, node.input(4))
    operands = (total, node.required(2), *((node.inputs[3],) if node.input(3) else ()))
    scope.emit(node, LayerNorm, *operands, axis=len(scope.shape(total)) - 1, epsilon=_epsilon(node, 1e-12))


def skip_rms_normalization(scope: Scope, node: Node) -> None:
    """SkipSimplifiedLayerNormalization of onnxruntime: inputs x, skip, scale[, bias]; the fourth output is the sum."""
    total = _skip_sum(scope, node, node.input(3))
    scope.emit(node, RmsNorm, total, node.required(2), axis=len(scope.shape(total)) - 1, epsilon=_epsilon(node, 1e-12))


def _skip_sum(scope: Scope, node: Node, bias: str) -> str:
    if any(node.outputs[1:3]):
        raise node.unsupported("the statistics outputs")
    x, skip = node.required(0), node.required(1)
    if bias:
        x = scope.step(node, Binary, x, bias, function="add")
    wanted = node.outputs[3:4]
    if wanted:
        return scope.emit(node, Binary, x, skip, outputs=wanted, function="add")
    return scope.step(node, Binary, x, skip, function="add")


def instance_normalization(scope: Scope, node: Node) -> None:
    """InstanceNormalization."""
    scope.emit(node, InstanceNorm, *_operands(node, 3, 3), epsilon=_epsilon(node))


def group_normalization(scope: Scope, node: Node) -> None:
    """GroupNormalization; before opset 21 scale and bias are per group and are repeated for its channels."""
    x, *vectors = _operands(node, 3, 3)
    groups = node.integer("num_groups")
    channels = (*scope.shape(x), 0, 0)[1]
    if node.opset < 21:
        if groups < 1 or channels % groups:
            raise node.error("groups do not divide the channels", value=groups, limit=channels)
        static = [scope.static(node, name, "a scale per group") for name in vectors]
        vectors = [
            scope.constant(np.repeat(value, channels // groups), scope.fresh(f"{node.label}/per_channel"))
            for value in static
        ]
    scope.emit(node, GroupNorm, x, *vectors, groups=groups, epsilon=_epsilon(node))


def softmax(scope: Scope, node: Node) -> None:
    """Softmax."""
    _softmax(scope, node, Softmax)


def log_softmax(scope: Scope, node: Node) -> None:
    """LogSoftmax."""
    _softmax(scope, node, LogSoftmax)


def _softmax(scope: Scope, node: Node, op_type: type[Op]) -> None:
    """Along one axis; before opset 13 over all axes from `axis` (default 1) on, flattened."""
    x = node.required(0)
    shape = scope.shape(x)
    axis = node.axis("axis", len(shape), -1 if node.opset >= 13 else 1) if shape else 0
    if node.opset >= 13 or prod(shape[axis + 1 :]) == 1:
        scope.emit(node, op_type, x, axis=axis)
        return
    flat = scope.step(node, Reshape, x, shape=(prod(shape[:axis]), prod(shape[axis:])))
    scope.emit(node, Reshape, scope.step(node, op_type, flat, axis=1), shape=shape)


def lrn(scope: Scope, node: Node) -> None:
    """LRN across channels."""
    size = node.integer("size")
    channels = (*scope.shape(node.required(0)), 0, 0)[1]
    if not 1 <= size <= 2 * channels:
        raise node.error("the window does not fit the channels", value=size, limit=f"1 to {2 * channels}")
    alpha, beta, bias = node.real("alpha", 1e-4), node.real("beta", 0.75), node.real("bias", 1.0)
    scope.emit(node, Lrn, node.inputs[0], size=size, alpha=alpha, beta=beta, bias=bias)


def lp_normalization(scope: Scope, node: Node) -> None:
    """LpNormalization with p 1 or 2."""
    axis = node.axis("axis", len(scope.shape(node.required(0))), -1)
    scope.emit(node, LpNormalization, node.inputs[0], axis=axis, p=node.integer("p", 2))


def _operands(node: Node, least: int, most: int) -> tuple[str, ...]:
    return (
        *(node.required(position) for position in range(least)),
        *(name for name in node.inputs[least:most] if name),
    )


def _only_output(node: Node) -> None:
    if any(node.outputs[1:]):
        raise node.unsupported("a statistics output")


def _epsilon(node: Node, default: float = 1e-5) -> float:
    epsilon = node.real("epsilon", default)
    if epsilon < 0:
        raise node.error("epsilon is negative", value=epsilon, limit="0 or more")
    return epsilon


CONVERTERS: dict[str, Converter] = {
    "BatchNormalization": batch_normalization,
    "GroupNormalization": group_normalization,
    "InstanceNormalization": instance_normalization,
    "LRN": lrn,
    "LayerNormalization": layer_normalization,
    "LogSoftmax": log_softmax,
    "LpNormalization": lp_normalization,
    "RMSNormalization": rms_normalization,
    # onnxruntime registers this one in ONNX's own domain.
    "SimplifiedLayerNormalization": rms_normalization,
    "Softmax": softmax,
}
CONTRIB_CONVERTERS: dict[str, Converter] = {
    "LayerNormalization": layer_normalization,
    "SimplifiedLayerNormalization": rms_normalization,
    "SkipLayerNormalization": skip_layer_normalization,
    "SkipSimplifiedLayerNormalization": skip_rms_normalization,
}
