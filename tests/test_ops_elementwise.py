"""Pointwise operators equal onnxruntime (or their float64 formula where onnxruntime has none) under numpy
broadcasting."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes
from onnx import TensorProto
from onnx_oracle import PRECISIONS, assert_same, build, check, describe, evaluate_both, integers, normal

from model_ir.errors import InputError
from model_ir.ops.elementwise import Binary, Cast, Clip, Elu, HardSigmoid, LeakyRelu, PRelu, Unary, Where
from model_ir.ops.functions import BINARY, UNARY

few = settings(max_examples=6, deadline=None, derandomize=True)
shapes = st.lists(st.integers(1, 5), max_size=4).map(tuple)

ONNX_UNARY = {
    "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "erf": "Erf", "exp": "Exp", "neg": "Neg", "abs": "Abs",
    "reciprocal": "Reciprocal", "floor": "Floor", "ceil": "Ceil", "round": "Round", "sign": "Sign", "isnan": "IsNaN",
    "softplus": "Softplus", "softsign": "Softsign", "hard_swish": "HardSwish", "mish": "Mish", "selu": "Selu",
    "sin": "Sin", "cos": "Cos", "tan": "Tan", "atan": "Atan", "sinh": "Sinh", "cosh": "Cosh",
}  # fmt: skip
POSITIVE_UNARY = {"log": "Log", "sqrt": "Sqrt"}
UNIT_UNARY = {"asin": "Asin", "acos": "Acos"}
FORMULA_UNARY = {
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu_sigmoid": lambda x: x / (1 + np.exp(-1.702 * x)),
}


def test_every_unary_function_has_an_oracle() -> None:
    assert {*ONNX_UNARY, *POSITIVE_UNARY, *UNIT_UNARY, *FORMULA_UNARY, "not"} == set(UNARY)


@pytest.mark.parametrize("function", ONNX_UNARY)
@few
@given(shapes)
def test_unary(function: str, shape: tuple[int, ...]) -> None:
    check(build(Unary, 1, function=function), [normal(shape, scale=3.0)], ONNX_UNARY[function])


@pytest.mark.parametrize("function", POSITIVE_UNARY)
def test_unary_of_positive_numbers(function: str) -> None:
    check(build(Unary, 1, function=function), [np.abs(normal((3, 50), scale=3.0))], POSITIVE_UNARY[function])


@pytest.mark.parametrize("function", UNIT_UNARY)
def test_unary_of_the_unit_interval(function: str) -> None:
    check(build(Unary, 1, function=function), [np.tanh(normal((3, 50)))], UNIT_UNARY[function])


@pytest.mark.parametrize("function", FORMULA_UNARY)
def test_unary_equals_its_formula(function: str) -> None:
    x = normal((3, 50), scale=3.0)
    expected = FORMULA_UNARY[function](x.astype(np.float64)).astype(np.float32)
    for result in evaluate_both(build(Unary, 1, function=function), [x]):
        assert_same(result[0], expected, function)


def test_not() -> None:
    check(build(Unary, 1, function="not"), [normal((4, 5)) > 0], "Not")


@pytest.mark.parametrize("function", ["sigmoid", "silu", "gelu_sigmoid", "softplus", "mish", "selu", "tanh", "erf"])
def test_unary_neither_overflows_nor_loses_its_derivative(function: str) -> None:
    """Large arguments raise no warning (warnings are errors) and the derivative at 0 is that of a central
    difference."""
    op = build(Unary, 1, function=function)
    x = np.array([-1e4, -90.0, 0.0, 90.0, 1e4], dtype=np.float32)
    assert np.all(np.isfinite(op.evaluate(np, x)[0]))
    gradient = jax.grad(lambda value: jnp.sum(op.evaluate(jnp, value)[0]))(jnp.asarray(x))
    assert np.all(np.isfinite(gradient))
    if function != "selu":
        step = 1e-3
        low, high = (op.evaluate(np, np.array([value]))[0][0] for value in (-step, step))
        assert float(gradient[2]) == pytest.approx((high - low) / (2 * step), rel=1e-3)


ONNX_BINARY = {
    "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "max": "Max", "min": "Min",
    "equal": "Equal", "less": "Less", "greater": "Greater", "less_equal": "LessOrEqual",
    "greater_equal": "GreaterOrEqual",
}  # fmt: skip
BOOLEAN = {"and": "And", "or": "Or", "xor": "Xor"}
OTHER_BINARY = {"pow", "mod", "fmod"}


def test_every_binary_function_has_an_oracle() -> None:
    assert {*ONNX_BINARY, *BOOLEAN, *OTHER_BINARY} == set(BINARY)


@pytest.mark.parametrize("function", ONNX_BINARY)
@few
@given(mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=4))
def test_binary(function: str, drawn: Any) -> None:
    left, right = drawn.input_shapes
    check(build(Binary, 2, function=function), [normal(left, 1), normal(right, 2)], ONNX_BINARY[function])


@pytest.mark.parametrize("function", ["add", "sub", "mul", "div", "max", "min", "equal", "less"])
def test_binary_of_integers(function: str) -> None:
    left, right = integers((4, 9), -20, 20, 1, np.int32), integers((4, 9), 1, 7, 2, np.int32)
    right *= np.where(integers((4, 9), 0, 2, 3) == 1, 1, -1).astype(np.int32)
    check(build(Binary, 2, function=function), [left, right], ONNX_BINARY[function])


@pytest.mark.parametrize("function", BOOLEAN)
def test_binary_of_booleans(function: str) -> None:
    check(build(Binary, 2, function=function), [normal((4, 5), 1) > 0, normal((5,), 2) > 0], BOOLEAN[function])


def test_power_keeps_the_type_of_the_base() -> None:
    op = build(Binary, 2, function="pow")
    check(op, [np.abs(normal((4, 5), 1)), normal((5,), 2)], "Pow")
    check(op, [normal((4, 5), 1), np.array(2, np.int32)], "Pow")
    check(op, [integers((4, 5), 0, 5, 1, np.int32), np.array(2.0, np.float32)], "Pow")


def test_mod_has_the_sign_of_the_divisor_and_fmod_of_the_dividend() -> None:
    arrays = [integers((30,), -20, 20, 1, np.int32), integers((30,), 1, 7, 2, np.int32) * np.int32(-1)]
    check(build(Binary, 2, function="mod"), arrays, "Mod")
    check(build(Binary, 2, function="fmod"), arrays, "Mod", fmod=1)
    check(build(Binary, 2, function="fmod"), [normal((30,), 1, 9), normal((30,), 2)], "Mod", fmod=1)


@few
@given(shapes, st.floats(-2, 2))
def test_parametric_activations(shape: tuple[int, ...], alpha: float) -> None:
    x = normal(shape, scale=3.0)
    check(build(LeakyRelu, 1, alpha=alpha), [x], "LeakyRelu", alpha=alpha)
    check(build(Elu, 1, alpha=alpha), [x], "Elu", alpha=alpha)
    check(build(HardSigmoid, 1, alpha=0.3, beta=alpha), [x], "HardSigmoid", alpha=0.3, beta=alpha)
    check(build(PRelu, 2), [x, normal(shape[-1:], 2)], "PRelu")


@pytest.mark.parametrize(("low", "high"), [(None, None), (0.0, 6.0), (-1.0, None), (None, 0.5), (1.0, -1.0)])
def test_clip(low: float | None, high: float | None) -> None:
    x = normal((4, 30), scale=4.0)
    bounds = [None if bound is None else np.array(bound, np.float32) for bound in (low, high)]
    check(build(Clip, 1, low=low, high=high), [x], "Clip", node_arrays=[x, *bounds])


def test_clip_of_integers() -> None:
    x = integers((40,), -20, 20, dtype=np.int32)
    check(build(Clip, 1, low=-3, high=9), [x], "Clip", node_arrays=[x, np.array(-3, np.int32), np.array(9, np.int32)])


@few
@given(mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=4))
def test_where(drawn: Any) -> None:
    condition, x, y = (normal(shape, seed) for seed, shape in enumerate(drawn.input_shapes))
    check(build(Where, 3), [np.asarray(condition > 0), x, y], "Where")


@pytest.mark.parametrize("target", ["float16", "float32", "int8", "uint8", "int32", "int64", "bool"])
@pytest.mark.parametrize("source", ["float32", "int32", "bool"])
def test_cast(source: str, target: str) -> None:
    x = (np.abs(normal((40,), scale=20.0))).astype(source)
    onnx_type = {"float32": "FLOAT"}.get(target, target.upper())
    check(build(Cast, 1, to=PRECISIONS[target]), [x], "Cast", to=getattr(TensorProto, onnx_type))


@pytest.mark.parametrize(
    ("op", "shapes", "words"),
    [
        (build(Unary, 1, function="frobnicate"), [(3,)], ["frobnicate", "relu"]),
        (build(Unary, 2, function="relu"), [(3,), (3,)], ["number of inputs", "limit 1"]),
        (build(Binary, 2, function="add"), [(3, 4), (3,)], ["(3, 4) and (3,)"]),
        (build(Binary, 2, function="matmul"), [(3,), (3,)], ["matmul"]),
        (build(PRelu, 2), [(3,), (2, 3)], ["slope", "(2, 3)"]),
        (build(Where, 3), [(3,), (2,), (1,)], ["broadcast"]),
    ],
)
def test_misfits_are_refused(op: Any, shapes: list[tuple[int, ...]], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        op.infer(describe([np.zeros(shape, np.float32) for shape in shapes]))
    for word in [op.kind, "'node'", *words]:
        assert word in str(caught.value)


def test_an_absent_required_input_is_refused() -> None:
    with pytest.raises(InputError, match="required input is absent"):
        build(Binary, 2, function="add").infer((None, *describe([normal((3,))])))
