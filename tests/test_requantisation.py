"""Requantisation in two words equals Python's own integers, ties, saturation, zero points and all."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_oracle import build, describe, evaluate_both

from model_ir.errors import InputError
from model_ir.ops.requantisation import DyadicRequantise, scaled_sums
from model_ir.precision import FLOAT32, INT32, Precision

many = settings(max_examples=150, deadline=None, derandomize=True)


@st.composite
def cases(draw: Any) -> tuple[list[int], int, int]:
    """Sums, a multiplier and a shift: ties, their neighbours, and the ends of the range."""
    shift = draw(st.integers(0, 62))
    multiplier = draw(st.integers(0, 2**31 - 1) | st.integers(0, 30).map(lambda power: 1 << power))
    sums = draw(st.lists(st.integers(-(2**31) + 1, 2**31 - 1) | st.integers(-300, 300), min_size=1, max_size=8))
    if multiplier & (multiplier - 1) == 0 and multiplier and 0 < shift - multiplier.bit_length() + 1 <= 24:
        step = 1 << (shift - multiplier.bit_length() + 1)
        sums += [odd * step // 2 + near for odd in (-5, -3, -1, 1, 3, 5) for near in (-1, 0, 1)]
    return sums, multiplier, shift


@many
@given(cases(), st.integers(1, 16), st.booleans(), st.booleans(), st.data())
def test_requantisation_is_exact(
    case: tuple[list[int], int, int], bits: int, signed: bool, narrow: bool, data: Any
) -> None:
    sums, multiplier, shift = case
    zero = (
        0 if signed and bits == 1 else data.draw(st.integers(-(2 ** (bits - 1)) if signed else 0, 2 ** (bits - 1) - 1))
    )
    op = build(
        DyadicRequantise, 2, shift=shift, narrow=narrow, precision=Precision(bits=bits, signed=signed, zero_point=zero)
    )
    expected = []
    for value in sums:
        exact = round(Fraction(value * multiplier, 1 << shift) + zero)
        low, high = (narrow - 2 ** (bits - 1), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1 - narrow)
        expected.append((1 if value >= 0 else -1) if signed and bits == 1 else min(max(exact, low), high))
    arrays = [np.array(sums, np.int32), np.array(multiplier, np.int32)]
    for (result,) in evaluate_both(op, arrays):
        assert np.asarray(result).tolist() == expected
        assert np.asarray(result).dtype.itemsize == (1 if bits <= 8 else 2)


def test_every_channel_has_its_multiplier() -> None:
    x = np.arange(-6, 6, dtype=np.int32).reshape(1, 3, 4)
    multiplier = np.array([1, 2, 4], np.int32).reshape(3, 1)
    found = scaled_sums(np, x, multiplier, 2)
    np.testing.assert_array_equal(found, np.round(x * multiplier / 4).astype(np.int32))


@pytest.mark.parametrize(
    ("arrays", "attributes", "words"),
    [
        ([np.zeros(3, np.float32), np.zeros((), np.int32)], {}, "not of integers"),
        ([np.zeros(3, np.int32), np.zeros(4, np.int32)], {}, "broadcast"),
        ([np.zeros(3, np.int32), np.zeros((), np.int32)], {"shift": 63}, "shift"),
        ([np.zeros(3, np.int32), np.zeros((), np.int32)], {"precision": INT32}, "below 32"),
        ([np.zeros(3, np.int32), np.zeros((), np.int32)], {"precision": FLOAT32}, "below 32"),
    ],
)
def test_misfits_are_refused(arrays: list[Any], attributes: dict[str, Any], words: str) -> None:
    op = build(DyadicRequantise, 2, **{"shift": 3, "precision": Precision(bits=4), **attributes})
    with pytest.raises(InputError, match=words):
        op.infer(describe(arrays))
