"""Converters for pooling and reductions."""

from __future__ import annotations

from typing import Any

from model_ir.onnx_import.node import Node
from model_ir.onnx_import.scope import Converter, Scope
from model_ir.onnx_import.windows import checked, spatial, windows
from model_ir.ops.movement import Reshape
from model_ir.ops.pooling import ArgReduce, AveragePool, GlobalPool, MaxPool, Reduce

REDUCTIONS: dict[str, str] = {
    "ReduceL1": "l1",
    "ReduceL2": "l2",
    "ReduceLogSum": "log_sum",
    "ReduceLogSumExp": "log_sum_exp",
    "ReduceMax": "max",
    "ReduceMean": "mean",
    "ReduceMin": "min",
    "ReduceProd": "prod",
    "ReduceSum": "sum",
    "ReduceSumSquare": "sum_square",
}
# Since when the axes are an input (ONNX operator change log).
_AXES_INPUT_SINCE = {"ReduceSum": 13}
_AXES_INPUT_SINCE_DEFAULT = 18


def max_pool(scope: Scope, node: Node) -> None:
    """MaxPool without indices."""
    if len(node.outputs) > 1:
        raise node.unsupported("the Indices output")
    scope.emit(node, MaxPool, node.inputs[0], **_window_attributes(scope, node))


def average_pool(scope: Scope, node: Node) -> None:
    """AveragePool."""
    counted = node.flag("count_include_pad")
    scope.emit(node, AveragePool, node.required(0), **_window_attributes(scope, node), count_include_pad=counted)


def _window_attributes(scope: Scope, node: Node) -> dict[str, Any]:
    sizes = spatial(node, scope.shape(node.required(0)))
    kernel = checked(node, "kernel_shape", node.integers("kernel_shape"), len(sizes), 1)
    strides, pads, dilations = windows(node, sizes, kernel)
    ceil_mode = node.flag("ceil_mode")
    return {"kernel": kernel, "strides": strides, "pads": pads, "dilations": dilations, "ceil_mode": ceil_mode}


def global_average_pool(scope: Scope, node: Node) -> None:
    """GlobalAveragePool."""
    scope.emit(node, GlobalPool, node.required(0), function="mean")


def global_max_pool(scope: Scope, node: Node) -> None:
    """GlobalMaxPool."""
    scope.emit(node, GlobalPool, node.required(0), function="max")


def reduce(scope: Scope, node: Node) -> None:
    """A reduction of REDUCTIONS: axes as attribute or as input, all of them by default."""
    shape = scope.shape(node.required(0))
    as_input = node.opset >= _AXES_INPUT_SINCE.get(node.op_type, _AXES_INPUT_SINCE_DEFAULT)
    written: tuple[int, ...] = ()
    if as_input and node.input(1):
        written = scope.static_integers(node, node.inputs[1], "axes")
    elif not as_input:
        written = node.integers("axes", ())
    if not written and node.flag("noop_with_empty_axes"):
        scope.emit(node, Reshape, node.inputs[0], shape=shape)
        return
    axes = tuple(node.normal_axis(axis, len(shape)) for axis in written) or tuple(range(len(shape)))
    keep = node.flag("keepdims", True)
    scope.emit(node, Reduce, node.inputs[0], function=REDUCTIONS[node.op_type], axes=axes, keepdims=keep)


def arg_max(scope: Scope, node: Node) -> None:
    """ArgMax."""
    _arg_reduce(scope, node, "argmax")


def arg_min(scope: Scope, node: Node) -> None:
    """ArgMin."""
    _arg_reduce(scope, node, "argmin")


def _arg_reduce(scope: Scope, node: Node, function: str) -> None:
    if node.flag("select_last_index"):
        raise node.unsupported("select_last_index")
    axis = node.axis("axis", len(scope.shape(node.required(0))), 0)
    scope.emit(node, ArgReduce, node.inputs[0], function=function, axis=axis, keepdims=node.flag("keepdims", True))


CONVERTERS: dict[str, Converter] = {
    **dict.fromkeys(REDUCTIONS, reduce),
    "ArgMax": arg_max,
    "ArgMin": arg_min,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
    "GlobalMaxPool": global_max_pool,
    "MaxPool": max_pool,
}
