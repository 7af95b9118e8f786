"""What each operator of a quantised network is called in QONNX, with every attribute written out (qonnx's conversion to
channels-last reads attributes without defaults).

Plain values only; `export` makes ONNX messages of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from model_ir.op import Op
from model_ir.ops.contraction import Conv, MatMul
from model_ir.ops.elementwise import Binary, Clip, LeakyRelu, Unary
from model_ir.ops.movement import Concat, Reshape, Transpose
from model_ir.ops.normalisation import BatchNorm, Gelu, LayerNorm, Softmax
from model_ir.ops.pooling import AveragePool, GlobalPool, MaxPool, Reduce
from model_ir.ops.quantisation import BipolarQuant, Quant, Trunc
from model_ir.ops.resampling import DepthToSpace

QONNX_DOMAIN = "qonnx.custom_op.general"
BASE_OPSET = 13
"""Since 13 Softmax is along one axis and ReduceSum reads its axes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeForm:
    """An ONNX node without names: `added` are constants it reads behind the operator's own inputs, by suffix."""

    op_type: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    added: Mapping[str, npt.NDArray[Any] | None] = field(default_factory=dict)
    domain: str = ""
    opset: int = BASE_OPSET
    """The ONNX operator set that knows this node."""


UNARY_NODES = {
    "abs": "Abs", "ceil": "Ceil", "erf": "Erf", "exp": "Exp", "floor": "Floor", "log": "Log", "neg": "Neg",
    "reciprocal": "Reciprocal", "relu": "Relu", "round": "Round", "sigmoid": "Sigmoid", "sign": "Sign",
    "softplus": "Softplus", "softsign": "Softsign", "sqrt": "Sqrt", "tanh": "Tanh",
}  # fmt: skip
BINARY_NODES = {"add": "Add", "div": "Div", "max": "Max", "min": "Min", "mul": "Mul", "pow": "Pow", "sub": "Sub"}
REDUCE_NODES = {"max": "ReduceMax", "mean": "ReduceMean", "min": "ReduceMin", "sum": "ReduceSum"}


def node_form(op: Op) -> NodeForm | None:
    """How QONNX says `op` (a MatMul as `plain` leaves it); None where it has no word for it."""
    write = _FORMS.get(type(op))
    return None if write is None else write(op)


def _matmul(op: MatMul) -> NodeForm | None:
    return None if len(op.inputs) > 2 or op.transpose_a or op.transpose_b else NodeForm(op_type="MatMul")


def _conv(op: Conv) -> NodeForm:
    windows = {"strides": op.strides, "pads": op.pads, "dilations": op.dilations}
    return NodeForm(op_type="Conv", attributes={**windows, "group": op.group})


def _unary(op: Unary) -> NodeForm | None:
    return NodeForm(op_type=UNARY_NODES[op.function]) if op.function in UNARY_NODES else None


def _binary(op: Binary) -> NodeForm | None:
    return NodeForm(op_type=BINARY_NODES[op.function]) if op.function in BINARY_NODES else None


def _clip(op: Clip) -> NodeForm:
    bounds = {"low": op.low, "high": op.high}
    added = {side: None if value is None else np.array(value, np.float32) for side, value in bounds.items()}
    return NodeForm(op_type="Clip", added=added)


def _pool(op: MaxPool | AveragePool) -> NodeForm | None:
    windows = {"kernel_shape": op.kernel, "strides": op.strides, "pads": op.pads, "ceil_mode": int(op.ceil_mode)}
    if isinstance(op, MaxPool):
        return NodeForm(op_type="MaxPool", attributes={**windows, "dilations": op.dilations})
    if any(step != 1 for step in op.dilations):  # ONNX's AveragePool has had them since operator set 19 only
        return None
    return NodeForm(op_type="AveragePool", attributes={**windows, "count_include_pad": int(op.count_include_pad)})


def _global_pool(op: GlobalPool) -> NodeForm:
    return NodeForm(op_type="GlobalMaxPool" if op.function == "max" else "GlobalAveragePool")


def _reduce(op: Reduce) -> NodeForm | None:
    if op.function not in REDUCE_NODES:
        return None
    kept = {"keepdims": int(op.keepdims)}
    if op.function == "sum":
        return NodeForm(op_type="ReduceSum", attributes=kept, added={"axes": np.array(op.axes, np.int64)})
    return NodeForm(op_type=REDUCE_NODES[op.function], attributes={**kept, "axes": op.axes})


def _gelu(op: Gelu) -> NodeForm:
    return NodeForm(op_type="Gelu", attributes={"approximate": op.approximate}, opset=20)


def _layer_norm(op: LayerNorm) -> NodeForm:
    return NodeForm(op_type="LayerNormalization", attributes={"axis": op.axis, "epsilon": op.epsilon}, opset=17)


def _quant(op: Quant) -> NodeForm:
    words = {"signed": int(op.signed), "narrow": int(op.narrow), "rounding_mode": op.rounding_mode}
    return NodeForm(op_type="Quant", attributes=words, domain=QONNX_DOMAIN)


def _trunc(op: Trunc) -> NodeForm:
    return NodeForm(op_type="Trunc", attributes={"rounding_mode": op.rounding_mode}, domain=QONNX_DOMAIN)


_FORMS: dict[type[Op], Callable[[Any], NodeForm | None]] = {
    AveragePool: _pool,
    BatchNorm: lambda op: NodeForm(op_type="BatchNormalization", attributes={"epsilon": op.epsilon}),
    Binary: _binary,
    BipolarQuant: lambda _: NodeForm(op_type="BipolarQuant", domain=QONNX_DOMAIN),
    Clip: _clip,
    Concat: lambda op: NodeForm(op_type="Concat", attributes={"axis": op.axis}),
    Conv: _conv,
    DepthToSpace: lambda op: NodeForm(op_type="DepthToSpace", attributes={"blocksize": op.block, "mode": op.mode}),
    Gelu: _gelu,
    GlobalPool: _global_pool,
    LayerNorm: _layer_norm,
    LeakyRelu: lambda op: NodeForm(op_type="LeakyRelu", attributes={"alpha": op.alpha}),
    MatMul: _matmul,
    MaxPool: _pool,
    Quant: _quant,
    Reduce: _reduce,
    Reshape: lambda op: NodeForm(op_type="Reshape", added={"shape": np.array(op.shape, np.int64)}),
    Softmax: lambda op: NodeForm(op_type="Softmax", attributes={"axis": op.axis}),
    Transpose: lambda op: NodeForm(op_type="Transpose", attributes={"perm": op.perm}),
    Trunc: _trunc,
    Unary: _unary,
}
