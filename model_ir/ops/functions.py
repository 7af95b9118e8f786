"""The pointwise functions of one and of two arguments: definition and operation count of each, by ONNX operator name in
lower case.

Counts are per element, a comparison, exponential, logarithm, root, division or trigonometric function counting as one
operation like an addition does (the convention of the roofline literature's FLOP; sources of the formulas: ONNX
operator specification).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from model_ir.ops.arrays import erf, is_integer, sigmoid

SELU_ALPHA = 1.67326319217681884765625
SELU_GAMMA = 1.05070102214813232421875
"""Klambauer et al., Self-Normalizing Neural Networks, NeurIPS 2017, as the ONNX Selu defaults round them."""

GELU_SIGMOID_SLOPE = 1.702
"""Hendrycks and Gimpel, Gaussian Error Linear Units, 2016: x * sigmoid(1.702 x)."""

UnaryFunction = Callable[[Any, Any], Any]
BinaryFunction = Callable[[Any, Any, Any], Any]


def _softplus(xp: Any, x: Any) -> Any:
    return xp.logaddexp(x, 0.0)


def _selu(xp: Any, x: Any) -> Any:
    return SELU_GAMMA * xp.where(x > 0, x, SELU_ALPHA * xp.expm1(xp.minimum(x, 0)))


def _hard_swish(xp: Any, x: Any) -> Any:
    return x * xp.clip(x / 6 + 0.5, 0, 1)


UNARY: dict[str, tuple[float, UnaryFunction]] = {
    "relu": (1, lambda xp, x: xp.maximum(x, 0)),
    "sigmoid": (4, sigmoid),
    "tanh": (1, lambda xp, x: xp.tanh(x)),
    "erf": (1, erf),
    "exp": (1, lambda xp, x: xp.exp(x)),
    "log": (1, lambda xp, x: xp.log(x)),
    "sqrt": (1, lambda xp, x: xp.sqrt(x)),
    "neg": (1, lambda _, x: -x),
    "abs": (1, lambda xp, x: xp.abs(x)),
    "reciprocal": (1, lambda _, x: 1 / x),
    "floor": (1, lambda xp, x: xp.floor(x)),
    "ceil": (1, lambda xp, x: xp.ceil(x)),
    "round": (1, lambda xp, x: xp.round(x)),
    "sign": (1, lambda xp, x: xp.sign(x)),
    "not": (1, lambda xp, x: xp.logical_not(x)),
    "isnan": (1, lambda xp, x: xp.isnan(x)),
    "softplus": (4, _softplus),
    "softsign": (3, lambda xp, x: x / (1 + xp.abs(x))),
    "silu": (5, lambda xp, x: x * sigmoid(xp, x)),
    "gelu_sigmoid": (6, lambda xp, x: x * sigmoid(xp, GELU_SIGMOID_SLOPE * x)),
    "hard_swish": (5, _hard_swish),
    "mish": (6, lambda xp, x: x * xp.tanh(_softplus(xp, x))),
    "selu": (4, _selu),
    "sin": (1, lambda xp, x: xp.sin(x)),
    "cos": (1, lambda xp, x: xp.cos(x)),
    "tan": (1, lambda xp, x: xp.tan(x)),
    "asin": (1, lambda xp, x: xp.arcsin(x)),
    "acos": (1, lambda xp, x: xp.arccos(x)),
    "atan": (1, lambda xp, x: xp.arctan(x)),
    "sinh": (1, lambda xp, x: xp.sinh(x)),
    "cosh": (1, lambda xp, x: xp.cosh(x)),
}
"""Operations per element, and the function of (array module, array)."""

BOOLEAN_UNARY = frozenset({"not", "isnan"})


def _divide(xp: Any, a: Any, b: Any) -> Any:
    """ONNX Div: integers truncate towards zero."""
    if not is_integer(a):
        return a / b
    return xp.sign(a) * xp.sign(b) * (xp.abs(a) // xp.abs(b))


BINARY: dict[str, BinaryFunction] = {
    "add": lambda _, a, b: a + b,
    "sub": lambda _, a, b: a - b,
    "mul": lambda _, a, b: a * b,
    "div": _divide,
    "pow": lambda xp, a, b: xp.power(a, b).astype(a.dtype),
    "max": lambda xp, a, b: xp.maximum(a, b),
    "min": lambda xp, a, b: xp.minimum(a, b),
    "mod": lambda xp, a, b: xp.mod(a, b),
    "fmod": lambda xp, a, b: xp.fmod(a, b),
    "equal": lambda _, a, b: a == b,
    "less": lambda _, a, b: a < b,
    "greater": lambda _, a, b: a > b,
    "less_equal": lambda _, a, b: a <= b,
    "greater_equal": lambda _, a, b: a >= b,
    "and": lambda xp, a, b: xp.logical_and(a, b),
    "or": lambda xp, a, b: xp.logical_or(a, b),
    "xor": lambda xp, a, b: xp.logical_xor(a, b),
}
"""The function of (array module, left, right), one operation per element; `mod` has the divisor's sign, `fmod` the
dividend's."""

BOOLEAN_BINARY = frozenset({"equal", "less", "greater", "less_equal", "greater_equal", "and", "or", "xor"})
