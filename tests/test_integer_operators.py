"""The operators of integer-only networks: against definitions in Python's own integers, the machine's stages, jax, and
floating point with the published errors."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_ir.errors import InputError
from model_ir.ops import integer_arithmetic as arithmetic
from model_ir.ops.integer import (
    IntegerAdd,
    IntegerGelu,
    IntegerLayerNorm,
    IntegerMean,
    IntegerSoftmax,
    Requantise,
)
from model_ir.ops.integer_arithmetic import (
    ONE,
    Dyadic,
    dyadic,
    gelu_constants,
    gelu_fits,
    gelu_unit,
    layer_norm_fits,
    softmax_constants,
    softmax_fits,
)
from model_ir.precision import FLOAT32, INT8, Precision
from model_ir.tensor import Tensor
from simulator import normaliser

PUBLISHED_GELU_ERROR = 0.01815
PUBLISHED_EXP_ERROR = 1.91e-3
PROPERTY = settings(derandomize=True, deadline=None, max_examples=150)
INT32 = st.integers(-(1 << 31), (1 << 31) - 1)
FACTORS = st.builds(
    Dyadic,
    multiplier=st.integers(1 - (1 << 24), (1 << 24) - 1).filter(bool),
    shift=st.integers(0, 50),
)


def signed(value: int) -> int:
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


def rounded(value: Fraction) -> int:
    """To nearest, ties to even: what Python's round does to exact fractions."""
    return round(value)


def significant(value: int) -> int:
    """`value` rounded to 24 significant bits, ties to even."""
    drop = max(0, abs(value).bit_length() - 24)
    return rounded(Fraction(value, 1 << drop)) << drop


def exact_requantised(value: int, factor: Dyadic) -> int:
    """The file's definition, in integers only."""
    product = significant(significant(value) * factor.multiplier)
    return max(-128, min(127, rounded(Fraction(product, 1) / Fraction(2) ** factor.shift)))


def run(op: Any, *arrays: Any) -> Any:
    (result,) = op.evaluate(np, *arrays)
    return result


def node(kind: Any, inputs: int = 1, **attributes: Any) -> Any:
    return kind(name="node", inputs=tuple(f"x{i}" for i in range(inputs)), outputs=("y",), **attributes)


@PROPERTY
@given(st.lists(INT32, min_size=1, max_size=8), FACTORS)
def test_requantisation_is_its_definition_in_integers(values: list[int], factor: Dyadic) -> None:
    stored = np.array(values, np.int64).astype(np.int32)
    found = arithmetic.requantised(np, stored, factor)
    assert found.tolist() == [exact_requantised(value, factor) for value in values]


@settings(derandomize=True, deadline=None, max_examples=25)
@given(st.lists(INT32, min_size=4, max_size=4), FACTORS)
def test_requantise_and_its_relu(values: list[int], factor: Dyadic) -> None:
    stored = np.array(values, np.int64).astype(np.int32)
    expected = [exact_requantised(max(value, 0), factor) for value in values]
    assert run(node(Requantise, factor=factor, relu=True), stored).tolist() == expected


@PROPERTY
@given(st.floats(1e-30, 1e30), st.sampled_from((-1.0, 1.0)))
def test_a_dyadic_factor_is_the_nearest_binary32(value: float, sign: float) -> None:
    factor = dyadic(sign * value)
    assert factor.value == float(np.float32(sign * value))
    assert abs(factor.multiplier) < 1 << 24
    assert factor.multiplier % 2


@pytest.mark.parametrize("value", [0.0, float("inf"), float("nan"), 1e-42])
def test_a_factor_that_binary32_does_not_hold_is_refused(value: float) -> None:
    with pytest.raises(InputError, match="binary32"):
        dyadic(value)


@settings(derandomize=True, deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.integers(-128, 127), st.integers(-128, 127)), min_size=3, max_size=3), FACTORS, FACTORS)
def test_addition_rounds_both_loads_and_the_store(pairs: list[tuple[int, int]], load: Dyadic, store: Dyadic) -> None:
    a, b = (np.array(values, np.int8) for values in zip(*pairs, strict=True))
    total = [exact_requantised(x, load) + y for x, y in pairs]
    assert run(node(IntegerAdd, 2, a_factor=load), a, b).tolist() == total
    expected = [exact_requantised(value, store) for value in total]
    assert run(node(IntegerAdd, 2, a_factor=load, b_factor=ONE, factor=store), a, b).tolist() == expected


@PROPERTY
@given(st.lists(INT32, min_size=5, max_size=5), st.floats(2e-4, 0.3))
def test_functions_are_those_of_the_machine_whatever_the_bits(values: list[int], scale: float) -> None:
    """Also where sums wrap: the stages of `simulator.normaliser`, element by element."""
    stored = np.array(values, np.int64).astype(np.int32)
    exp, gelu = softmax_constants(scale), gelu_constants(max(scale, 1e-3))
    qb, qc, qln2, qln2_inv = exp
    assert arithmetic.i_exp(np, stored, exp).tolist() == [
        normaliser.i_exp(value, qln2, qln2_inv, qb, qc) for value in values
    ]
    assert arithmetic.i_gelu(np, stored, gelu).tolist() == [
        normaliser.i_gelu(value, gelu.qb, gelu.qc) for value in values
    ]
    assert arithmetic.i_sqrt(np, stored).tolist() == [math.isqrt(value % (1 << 32)) for value in values]


def plain_gelu(q: int, qb: int, qc: int) -> int:
    sign = -1 if q < 0 else 1
    return q * (sign * ((min(abs(q), -qb) + qb) ** 2 + qc) + qc)


def plain_exp(q: int, qb: int, qc: int, qln2: int, qln2_inv: int) -> int:
    z = (-q * qln2_inv) >> 16
    return ((q + z * qln2 + qb) ** 2 + qc) >> z


@pytest.mark.parametrize("scale", [1e-3, 0.01, 0.05, 0.2])
def test_gelu_of_every_byte_is_the_formula_without_wrapping(scale: float) -> None:
    constants = gelu_constants(scale)
    assert gelu_fits(constants)
    factor = dyadic(gelu_unit(scale) / scale)
    q = np.arange(-128, 128).astype(np.int8)
    exact = [exact_requantised(plain_gelu(int(value), constants.qb, constants.qc), factor) for value in q]
    assert run(node(IntegerGelu, constants=constants, factor=factor), q).tolist() == exact


def test_gelu_constants_that_could_wrap_are_known() -> None:
    scale = 5e-4
    constants = gelu_constants(scale)
    wraps = any(abs(plain_gelu(q, constants.qb, constants.qc)) >= 1 << 31 for q in range(-128, 128))
    assert wraps
    assert not gelu_fits(constants)


@pytest.mark.parametrize("scale", [0.01, 0.03, 0.05])
def test_gelu_error_is_within_the_published_one_and_the_rounding_of_its_grids(scale: float) -> None:
    """Published (facts, section 4): at most .01815 in exact arithmetic; the output's grid adds half a step, the integer
    constants 5 % of the input's."""
    factor = dyadic(gelu_unit(scale) / scale)
    q = np.arange(-128, 128).astype(np.int8)
    found = node(IntegerGelu, constants=gelu_constants(scale), factor=factor).evaluate(np, q)[0] * scale
    exact = np.array([x * 0.5 * (1 + math.erf(x / math.sqrt(2))) for x in q * scale])
    worst = np.abs(found - exact).max()
    assert worst <= PUBLISHED_GELU_ERROR + scale / 2 + 0.05 * scale
    assert worst > scale / 4


ROWS = st.tuples(st.integers(1, 5), st.integers(1, 40), st.integers(0, 1 << 20))


@settings(derandomize=True, deadline=None, max_examples=30)
@given(ROWS, st.floats(4e-4, 0.2), st.floats(0.5, 4))
def test_softmax_is_the_formula(shape: tuple[int, int, int], scale: float, factor: float) -> None:
    rows, columns, seed = shape
    constants, rescale = softmax_constants(scale), dyadic(factor)
    assert softmax_fits(constants, columns)
    spread = int(12 / scale)
    x = np.random.default_rng(seed).integers(-spread, spread + 1, (rows, columns)).astype(np.int32)
    expected = []
    for row in x.tolist():
        exponentials = [plain_exp(value - max(row), *constants) for value in row]
        assert sum(exponentials) < 1 << 31
        share = np.float32(127) / np.float32(sum(exponentials)) * np.float32(rescale.value)
        expected.append([int(np.clip(np.rint(np.float32(value) * share), -128, 127)) for value in exponentials])
    assert run(node(IntegerSoftmax, constants=constants, factor=rescale), x).tolist() == expected


@pytest.mark.parametrize("scale", [4e-4, 1e-3, 1e-2])
def test_softmax_error_is_that_of_its_exponential_and_its_grid(scale: float) -> None:
    """Published: i-exp is off by at most 1.91e-3 (2.13e-3 with the rounded digits of gemmini.h) of the largest
    term; in a quotient of sums twice that, and half a step of 1/127. A z that comes from a truncated 2^16 / qln2 adds
    what the bound takes in."""
    x = np.random.default_rng(1).integers(-int(4 / scale), int(4 / scale), (50, 32)).astype(np.int32)
    (found,) = node(IntegerSoftmax, constants=softmax_constants(scale), factor=ONE).evaluate(np, x)
    exact = np.exp(x * scale - (x * scale).max(axis=1, keepdims=True))
    exact /= exact.sum(axis=1, keepdims=True)
    assert np.abs(found / 127 - exact).max() <= 0.5 / 127 + 2 * PUBLISHED_EXP_ERROR + 2e-3


@settings(derandomize=True, deadline=None, max_examples=30)
@given(ROWS, st.integers(1, 16), st.floats(5, 60))
def test_layer_norm_is_the_formula(shape: tuple[int, int, int], gain: int, factor: float) -> None:
    rows, columns, seed = shape
    rescale = dyadic(factor)
    x = np.random.default_rng(seed).integers(-128, 128, (rows, columns)).astype(np.int8)
    assert layer_norm_fits(gain * 128, columns)
    expected = []
    for row in x.tolist():
        scaled = [gain * value for value in row]
        mean = int(Fraction(sum(scaled), columns))
        deviation = max(1, math.isqrt(sum((value - mean) ** 2 for value in scaled) // columns))
        share = np.float32(1) / np.float32(deviation) * np.float32(rescale.value)
        expected.append([int(np.clip(np.rint(np.float32(value - mean) * share), -128, 127)) for value in scaled])
    assert run(node(IntegerLayerNorm, gain=gain, factor=rescale), x).tolist() == expected


def test_gain_makes_layer_norm_finer() -> None:
    x = np.random.default_rng(0).integers(-20, 21, (200, 32)).astype(np.int8)
    exact = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)

    def worst(gain: int) -> float:
        (found,) = node(IntegerLayerNorm, gain=gain, factor=dyadic(30)).evaluate(np, x)
        return float(np.abs(found / 30 - exact).max())

    assert worst(16) < 0.05 < worst(1)
    assert worst(16) < worst(4) < worst(1)


@PROPERTY
@given(st.integers(1, 70_000), st.integers(1, 40_000))
def test_layer_norm_promises_no_wrap(count: int, magnitude: int) -> None:
    """The worst rows: half at each end, and one apart."""
    fits = layer_norm_fits(magnitude, count)
    for low in {count // 2, 1, count - 1}:
        mean = int(Fraction(magnitude * (count - low) - magnitude * low, count))
        total = low * (-magnitude - mean) ** 2 + (count - low) * (magnitude - mean) ** 2
        assert not fits or total < 1 << 31


def test_mean_is_one_rounding_of_the_whole_sum() -> None:
    x = np.random.default_rng(2).integers(-128, 128, (3, 7, 4)).astype(np.int8)
    factor = dyadic(1 / 7)
    found = run(node(IntegerMean, axes=(1,), keepdims=False, factor=factor), x)
    sums = x.astype(np.int64).sum(axis=1)
    assert found.tolist() == [[exact_requantised(int(value), factor) for value in row] for row in sums]


def drawn(low: int, high: int, *shape: int, kind: Any = np.int32) -> Any:
    return np.random.default_rng(5).integers(low, high, shape).astype(kind)


ON_JAX = (
    (node(Requantise, factor=dyadic(3.1e-5), relu=True), (drawn(-(1 << 31), 1 << 31, 2000),)),
    (node(IntegerAdd, 2, a_factor=dyadic(0.7), factor=dyadic(0.6)), tuple(drawn(-128, 128, 2, 99, kind=np.int8))),
    (
        node(IntegerGelu, constants=gelu_constants(0.04), factor=dyadic(gelu_unit(0.04) / 0.03)),
        (drawn(-128, 128, 500, kind=np.int8),),
    ),
    (
        node(IntegerSoftmax, constants=softmax_constants(4e-4), factor=dyadic(1.7)),
        (drawn(-9999, 9999, 40, 33),),
    ),
    (node(IntegerLayerNorm, gain=5, factor=dyadic(37.3)), (drawn(-256, 256, 60, 31),)),
    (node(IntegerMean, axes=(0,), factor=dyadic(0.33)), (drawn(-128, 128, 9, 50, kind=np.int8),)),
)


@pytest.mark.parametrize(("op", "arrays"), ON_JAX, ids=lambda value: getattr(value, "kind", ""))
def test_jax_computes_the_same_bits(op: Any, arrays: tuple[Any, ...]) -> None:
    on_jax = np.asarray(jax.jit(lambda *values: op.evaluate(jnp, *values)[0])(*arrays))
    on_numpy = run(op, *arrays)
    assert on_jax.dtype == on_numpy.dtype
    np.testing.assert_array_equal(on_jax, on_numpy)


@pytest.mark.parametrize("precision", [FLOAT32, Precision(bits=8, signed=False), Precision(bits=64)], ids=str)
def test_operands_that_are_no_signed_integers_are_refused(precision: Precision) -> None:
    x = Tensor(name="x0", shape=(4, 4), precision=precision)
    with pytest.raises(InputError, match="not of signed integers"):
        node(Requantise, factor=ONE).infer((x,))
    with pytest.raises(InputError, match="not of signed integers"):
        node(IntegerLayerNorm, factor=ONE).infer((x,))


def test_scales_follow_the_factors() -> None:
    x = Tensor(name="x0", shape=(2, 3), precision=Precision(bits=32, scale=0.5))
    (y,) = node(Requantise, factor=dyadic(0.25)).infer((x,))
    assert (y.precision.bits, y.precision.scale) == (8, 2.0)
    (p,) = node(IntegerSoftmax, constants=softmax_constants(0.01), factor=dyadic(2)).infer((x,))
    assert p.precision.scale == pytest.approx(1 / 254)
    small = Tensor(name="x0", shape=(2, 3), precision=INT8)
    (total,) = node(IntegerAdd, 2, a_factor=dyadic(0.5)).infer((small, small))
    assert total.precision == Precision(bits=32, scale=2.0)
