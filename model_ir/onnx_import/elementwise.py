"""Converters for operators that work element by element."""

from __future__ import annotations

import numpy as np

from model_ir.onnx_import.node import Node
from model_ir.onnx_import.scope import Converter, Scope
from model_ir.onnx_import.tensor import precision_of
from model_ir.ops.elementwise import Binary, Cast, Clip, Elu, HardSigmoid, LeakyRelu, PRelu, Unary, Where
from model_ir.ops.functions import SELU_ALPHA, SELU_GAMMA
from model_ir.ops.movement import Reshape
from model_ir.ops.normalisation import Gelu

UNARY_FUNCTIONS: dict[str, str] = {
    "Abs": "abs",
    "Acos": "acos",
    "Asin": "asin",
    "Atan": "atan",
    "Ceil": "ceil",
    "Cos": "cos",
    "Cosh": "cosh",
    "Erf": "erf",
    "Exp": "exp",
    "Floor": "floor",
    "HardSwish": "hard_swish",
    "IsNaN": "isnan",
    "Log": "log",
    "Mish": "mish",
    "Neg": "neg",
    "Not": "not",
    "Reciprocal": "reciprocal",
    "Relu": "relu",
    "Round": "round",
    "Sigmoid": "sigmoid",
    "Sign": "sign",
    "Sin": "sin",
    "Sinh": "sinh",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Sqrt": "sqrt",
    "Tan": "tan",
    "Tanh": "tanh",
}
BINARY_FUNCTIONS: dict[str, str] = {
    "Add": "add",
    "And": "and",
    "Div": "div",
    "Equal": "equal",
    "Greater": "greater",
    "GreaterOrEqual": "greater_equal",
    "Less": "less",
    "LessOrEqual": "less_equal",
    "Mul": "mul",
    "Or": "or",
    "Pow": "pow",
    "Sub": "sub",
    "Xor": "xor",
}
VARIADIC_FUNCTIONS: dict[str, str] = {"Max": "max", "Mean": "add", "Min": "min", "Sum": "add"}


def unary(scope: Scope, node: Node) -> None:
    """An operator of UNARY_FUNCTIONS."""
    scope.emit(node, Unary, node.required(0), function=UNARY_FUNCTIONS[node.op_type])


def binary(scope: Scope, node: Node) -> None:
    """An operator of BINARY_FUNCTIONS."""
    function = BINARY_FUNCTIONS[node.op_type]
    exponent = scope.value(node.required(1)) if function == "pow" else None
    if exponent is not None and exponent.dtype.kind in "iu" and bool(np.any(exponent < 0)):
        raise node.unsupported("a negative whole exponent", value=int(np.min(exponent)))
    scope.emit(node, Binary, node.required(0), node.required(1), function=function)


def variadic(scope: Scope, node: Node) -> None:
    """Sum, Mean, Max, Min: a chain of two-operand operators."""
    function = VARIADIC_FUNCTIONS[node.op_type]
    total, *rest = (node.required(position) for position in range(len(node.inputs)))
    mean = node.op_type == "Mean" and bool(rest)
    if not rest:
        scope.emit(node, Reshape, total, shape=scope.shape(total))
        return
    for name in rest[:-1]:
        total = scope.step(node, Binary, total, name, function=function)
    if not mean:
        scope.emit(node, Binary, total, rest[-1], function=function)
        return
    total = scope.step(node, Binary, total, rest[-1], function=function)
    scope.emit(node, Binary, total, scope.scalar(node, len(node.inputs), total), function="div")


def mod(scope: Scope, node: Node) -> None:
    """Mod: the sign of the divisor, or of the dividend with fmod=1."""
    scope.emit(node, Binary, node.required(0), node.required(1), function="fmod" if node.flag("fmod") else "mod")


def clip(scope: Scope, node: Node) -> None:
    """Clip: bounds as attributes (opset < 11) or as static inputs."""
    if node.opset < 11:
        low = node.real("min") if node.has("min") else None
        high = node.real("max") if node.has("max") else None
    else:
        low = scope.static_scalar(node, node.inputs[1], "the lower bound") if node.input(1) else None
        high = scope.static_scalar(node, node.inputs[2], "the upper bound") if node.input(2) else None
    for bound in (low, high):
        if bound is not None and np.isnan(bound):
            raise node.error("a bound is not a number", value=bound)
    low = None if low == -np.inf else low
    high = None if high == np.inf else high
    scope.emit(node, Clip, node.required(0), low=low, high=high)


def leaky_relu(scope: Scope, node: Node) -> None:
    """LeakyRelu."""
    scope.emit(node, LeakyRelu, node.required(0), alpha=node.real("alpha", 0.01))


def prelu(scope: Scope, node: Node) -> None:
    """PRelu."""
    scope.emit(node, PRelu, node.required(0), node.required(1))


def elu(scope: Scope, node: Node) -> None:
    """Elu."""
    scope.emit(node, Elu, node.required(0), alpha=node.real("alpha", 1.0))


def celu(scope: Scope, node: Node) -> None:
    """Celu with alpha 1, where it is Elu."""
    if node.real("alpha", 1.0) != 1.0:
        raise node.unsupported("alpha other than 1", value=node.real("alpha"))
    scope.emit(node, Elu, node.required(0), alpha=1.0)


def selu(scope: Scope, node: Node) -> None:
    """Selu with its own constants."""
    alpha, gamma = node.real("alpha", SELU_ALPHA), node.real("gamma", SELU_GAMMA)
    if not np.isclose(alpha, SELU_ALPHA, rtol=1e-6, atol=0) or not np.isclose(gamma, SELU_GAMMA, rtol=1e-6, atol=0):
        raise node.unsupported("Selu with other constants", value=(alpha, gamma))
    scope.emit(node, Unary, node.required(0), function="selu")


def hard_sigmoid(scope: Scope, node: Node) -> None:
    """HardSigmoid."""
    scope.emit(node, HardSigmoid, node.required(0), alpha=node.real("alpha", 0.2), beta=node.real("beta", 0.5))


def swish(scope: Scope, node: Node) -> None:
    """Swish of operator set 24: x * sigmoid(alpha x)."""
    x, alpha = node.required(0), node.real("alpha", 1.0)
    if alpha == 1.0:
        scope.emit(node, Unary, x, function="silu")
        return
    _scaled_silu(scope, node, x, alpha)


def quick_gelu(scope: Scope, node: Node) -> None:
    """QuickGelu of onnxruntime: x * sigmoid(alpha x), alpha 1.702 by default."""
    _scaled_silu(scope, node, node.required(0), node.real("alpha", 1.702))


def _scaled_silu(scope: Scope, node: Node, x: str, alpha: float) -> None:
    scaled = scope.step(node, Binary, x, scope.scalar(node, alpha, x), function="mul")
    scope.emit(node, Binary, x, scope.step(node, Unary, scaled, function="sigmoid"), function="mul")


def gelu(scope: Scope, node: Node) -> None:
    """Gelu, exact or by tanh."""
    approximate = node.text("approximate", "none")
    if approximate not in ("none", "tanh"):
        raise node.error("unknown approximation", value=repr(approximate), limit="none, tanh")
    scope.emit(node, Gelu, node.required(0), approximate=approximate)


def fast_gelu(scope: Scope, node: Node) -> None:
    """FastGelu of onnxruntime: the tanh form, with an optional bias added first."""
    _biased_gelu(scope, node, "tanh")


def bias_gelu(scope: Scope, node: Node) -> None:
    """BiasGelu of onnxruntime: the exact form after adding a bias."""
    _biased_gelu(scope, node, "none")


def _biased_gelu(scope: Scope, node: Node, approximate: str) -> None:
    x = node.required(0)
    if node.input(1):
        x = scope.step(node, Binary, x, node.inputs[1], function="add")
    scope.emit(node, Gelu, x, approximate=approximate)


def where(scope: Scope, node: Node) -> None:
    """Where."""
    scope.emit(node, Where, *(node.required(position) for position in range(3)))


def cast(scope: Scope, node: Node) -> None:
    """Cast to the element type `to`."""
    scope.emit(
        node, Cast, node.required(0), to=precision_of(node.integer("to"), node.where, f"output of {node.label!r}")
    )


def cast_like(scope: Scope, node: Node) -> None:
    """Cast to the element type of the second input."""
    scope.emit(node, Cast, node.required(0), to=scope.tensor(node.required(1)).precision)


CONVERTERS: dict[str, Converter] = {
    **dict.fromkeys(UNARY_FUNCTIONS, unary),
    **dict.fromkeys(BINARY_FUNCTIONS, binary),
    **dict.fromkeys(VARIADIC_FUNCTIONS, variadic),
    "Cast": cast,
    "CastLike": cast_like,
    "Celu": celu,
    "Clip": clip,
    "Elu": elu,
    "Gelu": gelu,
    "HardSigmoid": hard_sigmoid,
    "LeakyRelu": leaky_relu,
    "Mod": mod,
    "PRelu": prelu,
    "Selu": selu,
    "Swish": swish,
    "Where": where,
}
CONTRIB_CONVERTERS: dict[str, Converter] = {
    "BiasGelu": bias_gelu,
    "FastGelu": fast_gelu,
    "Gelu": gelu,
    "QuickGelu": quick_gelu,
}
