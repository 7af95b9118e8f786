"""Quantisers in training: Quant's own values, and derivatives as they are defined, element by element in plain
Python."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, floor, log
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hls.retraining.quantisers import digits_of
from hls.retraining.straight_through import StraightThrough, scale_at
from model_ir.ops.quantisation import BipolarQuant, Quant

ROUND: dict[str, Callable[[float], int]] = {"ROUND": round, "FLOOR": floor, "CEIL": ceil}


def op(quantiser: Quant | BipolarQuant) -> StraightThrough:
    return StraightThrough(name="q", inputs=quantiser.inputs, outputs=("y",), quantiser=quantiser)


def quant(**kind: Any) -> Quant:
    return Quant(name="q", inputs=("x", "s", "z", "b"), outputs=("y",), **kind)


def by_definition(x: float, s: float, z: float, bits: int, kind: Quant) -> tuple[float, float]:
    """Derivatives with respect to x and to s of (round(clip(x / s + z)) - z) s, where round counts as the identity."""
    low = (-(2 ** (bits - 1)) + kind.narrow) if kind.signed else 0
    high = 2 ** (bits - 1) - 1 if kind.signed else 2**bits - 1 - kind.narrow
    v = x / s + z
    if low <= v <= high:
        return 1.0, ROUND[kind.rounding_mode](v) - v
    return 0.0, (low if v < low else high) - z


@settings(derandomize=True, deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**31),
    bits=st.integers(2, 8),
    signed=st.booleans(),
    narrow=st.booleans(),
    rounding=st.sampled_from(sorted(ROUND)),
    zero_point=st.integers(0, 3),
    per_channel=st.booleans(),
)
def test_values_and_derivatives_are_as_defined(
    seed: int, bits: int, signed: bool, narrow: bool, rounding: str, zero_point: int, per_channel: bool
) -> None:
    kind = quant(signed=signed, narrow=narrow, rounding_mode=rounding)
    draw = np.random.default_rng(seed)
    scale = np.exp2(draw.integers(-6, 3, (4,) if per_channel else ())).astype(np.float32)
    x = (draw.normal(size=(5, 4)) * scale * 2 ** (bits - 1)).astype(np.float32)
    upstream = draw.normal(size=x.shape).astype(np.float32)
    rest = np.float32(zero_point), np.float32(bits)
    (expected,) = kind.evaluate(np, x, scale, *rest)
    (found,) = op(kind).evaluate(jnp, x, scale, *rest)
    assert np.array_equal(found, expected)

    slopes = jax.grad(lambda x, s: jnp.sum(upstream * op(kind).evaluate(jnp, x, s, *rest)[0]), (0, 1))(x, scale)
    scales = np.broadcast_to(scale, x.shape)
    defined = [
        [by_definition(float(x[i, j]), float(scales[i, j]), zero_point, bits, kind) for j in range(4)] for i in range(5)
    ]
    by_x, by_s = (upstream * np.array(defined)[..., place] for place in (0, 1))
    np.testing.assert_allclose(slopes[0], by_x, rtol=1e-6)
    np.testing.assert_allclose(slopes[1], by_s.sum(axis=0) if per_channel else by_s.sum(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", [quant(), BipolarQuant(name="q", inputs=("x", "s"), outputs=("y",))])
def test_one_bit_passes_what_lies_within_the_levels(kind: Quant | BipolarQuant) -> None:
    x = np.array([-3.0, -0.5, -0.2, 0.0, 0.4, 0.6], np.float32)
    rest = (np.float32(0), np.float32(1)) if isinstance(kind, Quant) else ()

    def total(x: Any, s: Any) -> Any:
        return jnp.sum(jnp.arange(1.0, 7.0) * op(kind).evaluate(jnp, x, s, *rest)[0])

    s = np.float32(0.5)
    assert np.array_equal(op(kind).evaluate(jnp, x, s, *rest)[0], [-0.5, -0.5, -0.5, 0.5, 0.5, 0.5])
    by_x, by_s = jax.grad(total, (0, 1))(x, s)
    assert np.array_equal(by_x, [0, 2, 3, 4, 5, 0])
    assert by_s == -1 - 2 - 3 + 4 + 5 + 6


@settings(derandomize=True, deadline=None, max_examples=60)
@given(exponent=st.integers(-20, 10), shift=st.floats(-6, 6, width=32))
def test_powers_of_two_stay_powers_of_two(exponent: int, shift: float) -> None:
    start = np.float32(2.0**exponent)
    scale = np.asarray(scale_at(start, jnp.float32(shift), 1))
    assert digits_of(scale) == 1
    # The nearer of the two neighbours, in the scale itself.
    exact = float(start) * 2.0**shift
    assert abs(float(scale) - exact) <= min(abs(2.0**k - exact) for k in range(-30, 20)) * (1 + 1e-5)


@pytest.mark.parametrize("start", [0.25, 0.625, 0.1, [0.5, 0.1], [1.0, 129 / 1024]])
def test_scales_keep_their_digits_start_where_they_were_and_have_a_slope(start: Any) -> None:
    start = np.asarray(start, np.float32)
    digits = digits_of(start)
    assert np.array_equal(scale_at(start, jnp.zeros(start.shape), digits), start)
    for shift in np.linspace(-2, 2, 41, dtype=np.float32):
        moved = np.asarray(scale_at(start, jnp.full(start.shape, shift), digits))
        assert digits_of(moved) <= digits
        # Half a unit of the last digit kept, and what float32 makes of the power.
        np.testing.assert_allclose(moved, start * 2.0**shift, rtol=2.0**-digits + 1e-6)
        slope = jax.grad(lambda t: jnp.sum(scale_at(start, t, digits)))(jnp.full(start.shape, shift))
        np.testing.assert_allclose(slope, moved * log(2), rtol=1e-6)


def test_digits_are_counted() -> None:
    counts = {1.0: 1, 0.125: 1, 3.0: 2, 0.75: 2, 5 / 1024: 3, 255 / 256: 8, 0.1: 24}
    assert {value: digits_of(np.array(value)) for value in counts} == counts
    assert digits_of(np.array([0.5, 0.75])) == 2
