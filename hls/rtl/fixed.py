"""One fixed-point number of da4ml's symbolic kind: constants told apart, rounding and clipping as QONNX's Quant does.

Steps are powers of two, so a number's `low`, `high` and `step` are exact.
"""

from __future__ import annotations

from math import log2
from typing import Any

import numpy as np

Symbol = Any
"""da4ml.trace.FixedVariable."""


def fraction_bits(step: float) -> int:
    """f of step = 2^-f."""
    return -round(log2(step))


def is_constant(value: Symbol) -> bool:
    """Whether hardware is needed for it at all."""
    return bool(value.low == value.high)


def constant_like(value: Symbol, number: float) -> Symbol:
    """`number` as a symbol that can be combined with `value`."""
    return type(value).from_const(float(number), hwconf=value.hwconf)


def floored(value: Symbol, step: float) -> Symbol:
    """The largest multiple of `step` not above `value`: its low bits dropped."""
    if is_constant(value):
        return constant_like(value, float(np.floor(float(value.low) / step) * step))
    if float(value.step) >= step:
        return value
    signed, integer_bits, _ = value.kif
    return value.quantize(signed, integer_bits, fraction_bits(step))


def rounded(value: Symbol, step: float) -> Symbol:
    """`value` to the nearest multiple of `step`, ties to the even one.

    Adding half a step less one unit of the last place, plus that unit where the bit worth `step` is set, and dropping
    the low bits rounds ties up exactly where the neighbour below is odd.
    """
    if is_constant(value):
        return constant_like(value, float(np.round(float(value.low) / step) * step))
    unit = float(value.step)
    if unit >= step:
        return value
    fraction = fraction_bits(step)
    odd = value.quantize(0, 1 - fraction, fraction)
    return floored(value + (step / 2 - unit) + odd * (unit / step), step)


def at_least(value: Symbol, low: float) -> Symbol:
    """The larger of `value` and `low`."""
    return constant_like(value, max(low, float(value.low))) if is_constant(value) else value.max_of(low)


def clipped(value: Symbol, low: float, high: float) -> Symbol:
    """`value` limited to [low, high]."""
    raised = at_least(value, low)
    return constant_like(raised, min(high, float(raised.low))) if is_constant(raised) else raised.min_of(high)


def sign_of(value: Symbol, scale: float) -> Symbol:
    """`scale` where `value` >= 0, else -`scale`."""
    if value.low >= 0 or value.high < 0:
        return constant_like(value, scale if value.low >= 0 else -scale)
    return value.msb_mux(constant_like(value, -scale), constant_like(value, scale))
