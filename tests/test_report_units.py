"""Numbers and names as people read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.units import byte_size, count, percent, printable, shortened, si, three_digits, times


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (count(12_345_678), "12,345,678"),
        (count(math.nan), "\N{EN DASH}"),
        (si(0.00123, "s"), "1.23 ms"),
        (si(0.0, "s"), "0 s"),
        (si(999.96e-6, "s"), "1.00 ms"),
        (si(1e9, "Hz"), "1 GHz"),
        (si(5.12e11, "OP/s"), "512 GOP/s"),
        (si(3e-9, "J"), "3 nJ"),
        (byte_size(262_144), "256 KiB"),
        (byte_size(1_048_575), "1.00 MiB"),
        (byte_size(7), "7 B"),
        (percent(0.4216), "42.2 %"),
        (percent(0.0001), "<0.1 %"),
        (percent(0.0), "0.0 %"),
        (times(1.254), "1.25\N{MULTIPLICATION SIGN}"),
        (three_digits(12.345), "12.3"),
        (three_digits(1234.5), "1,234"),
        (three_digits(0.05832), "0.0583"),
    ],
)
def test_numbers_read_well(shown: str, expected: str) -> None:
    assert shown == expected


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.floats(1e-8, 1e17))
def test_prefixes_leave_at_most_four_digits_and_the_value(value: float) -> None:
    number, unit = si(value, "s").split(" ")
    scale = {"n": 1e-9, "µ": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}[unit[:-1]]
    assert float(number.replace(",", "")) * scale == pytest.approx(value, rel=6e-3)
    assert value >= 1e15 or float(number.replace(",", "")) < 1000


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.text(max_size=80), st.integers(5, 60))
def test_a_shortened_name_fits_and_keeps_its_ends(text: str, width: int) -> None:
    clean, short = printable(text), shortened(text, width)
    assert len(short) == min(len(clean), width)
    assert clean.startswith(short.partition("…")[0]) or "…" in clean
    assert short[-1:] == clean[-1:]


def test_characters_that_hide_or_reverse_are_made_visible() -> None:
    assert printable("a\u202eb\0c\x1b\ud800") == "a�b�c��"
