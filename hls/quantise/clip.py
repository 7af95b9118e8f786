"""From values to the scale and zero point of one grid: by their range, a percentile of it, or least squared error.

Least squared error: powers of two are all tried; of other scales a coarse and then a fine scan of clips, of zero points
those that the two ends of the range give (Nagel et al., A White Paper on Neural Network Quantization, arXiv 2106.08295,
section 3.1, names the three criteria).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, frexp, ldexp, log2
from typing import Any

import numpy as np
import numpy.typing as npt

from hls.quantise.scheme import Scheme

Array = npt.NDArray[Any]
COARSE, FINE = 48, 33
"""Clips of the first scan, as equal parts of the range, and of the second, between the neighbours of the best."""
EXPONENTS_BELOW, EXPONENTS_ABOVE = 14, 2
"""Powers of two tried around the one that just holds the range."""
SETTLING_STEPS = 4
"""Rounds of least squares behind the scans; each lowers the error or leaves it."""
ENDS = 24
"""Positions of each end of a range with zero point, scanned one end after the other, twice."""
LEAST_SCALE = 2.0**-60
"""Of values that are next to nothing; sums of products of such scales are still normal float32 numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Width:
    """The integers of a grid: `bits`, `signed`, `narrow`."""

    bits: int
    signed: bool
    narrow: bool = False

    @property
    def bipolar(self) -> bool:
        """Whether they are -1 and 1."""
        return self.signed and self.bits == 1

    @property
    def limits(self) -> tuple[int, int]:
        """The lowest and the highest."""
        if self.bipolar:
            return -1, 1
        half = 1 << (self.bits - 1)
        return (self.narrow - half, half - 1) if self.signed else (0, 2 * half - 1 - self.narrow)


def squared_errors(values: Array, scales: Array, zero_points: Array, width: Width) -> Array:
    """Sum of squared rounding errors of `values` (n,) for each of (k,) scales and zero points: (k,) float64."""
    low, high = width.limits
    errors = np.empty(len(scales))
    for place, (scale, zero) in enumerate(zip(scales, zero_points, strict=True)):
        scaled = values / scale
        if width.bipolar:
            stored = np.where(scaled >= 0, 1.0, -1.0)
        else:
            stored = np.clip(np.round(scaled), low - zero, high - zero)
        errors[place] = np.sum(np.square(stored * scale - values))
    return errors


def symmetric_fit(values: Array, width: Width, scheme: Scheme) -> float:
    """The scale of a grid without zero point for `values` (n,)."""
    low, high = width.limits
    least, greatest = _range(values, scheme)
    whole = max(greatest / high, least / low if low else 0.0)
    if whole < LEAST_SCALE:
        return 1.0
    if scheme.clip != "error":
        return snapped(whole, scheme, up=True)
    if scheme.scales == "power-of-two":
        top = ceil(log2(whole))
        return _best(values, np.ldexp(1.0, np.arange(top + EXPONENTS_ABOVE, top - EXPONENTS_BELOW, -1)), width)
    coarse = whole * np.arange(COARSE, 0, -1) / COARSE
    best = _best(values, coarse, width)
    fine = np.linspace(best + whole / COARSE, max(best - whole / COARSE, best / FINE), FINE)
    return snapped(_settled(values, _best(values, np.append(fine, best), width), width), scheme)


def affine_fit(values: Array, width: Width, scheme: Scheme) -> tuple[float, int]:
    """Scale and zero point for `values` (n,); zero is always one of the numbers."""
    least, greatest = _range(values, scheme)
    if greatest - least < LEAST_SCALE:
        return 1.0, 0
    if scheme.clip != "error":
        return _between(least, greatest, width, scheme)
    low, high = least, greatest
    parts = np.arange(ENDS, -1, -1) / ENDS
    for _ in range(2):
        high = _best_end(values, [(low, greatest * part) for part in parts], width, scheme)[1]
        low = _best_end(values, [(least * part, high) for part in parts], width, scheme)[0]
    return _between(low, high, width, scheme)


def snapped(scale: float, scheme: Scheme, *, up: bool = False) -> float:
    """The nearest scale (`up`: the nearest that is not below) that the scheme allows and float32 holds."""
    if scheme.scales == "power-of-two":
        return ldexp(1.0, ceil(log2(scale)) if up else round(log2(scale)))
    mantissa, exponent = frexp(scale)
    bits = 24 if scheme.scales == "free" else scheme.dyadic_bits
    whole = ceil(ldexp(mantissa, bits)) if up else round(ldexp(mantissa, bits))
    return ldexp(float(whole), exponent - bits)


def _range(values: Array, scheme: Scheme) -> tuple[float, float]:
    """Lowest and highest value, zero among them; with a percentile, of those that it keeps on each side."""
    if scheme.clip != "percentile":
        return min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    tail = (100 - scheme.percentile) / 2
    least, greatest = np.percentile(values, [tail, 100 - tail])
    return min(float(least), 0.0), max(float(greatest), 0.0)


def _best(values: Array, scales: Array, width: Width) -> float:
    """The scale of least squared error, the first of equals."""
    errors = squared_errors(values, scales, np.zeros(len(scales)), width)
    return float(scales[int(np.argmin(errors))])


def _settled(values: Array, scale: float, width: Width) -> float:
    """`scale` moved to where its integers fit best, by least squares, and again with the integers of that scale."""
    low, high = width.limits
    for _ in range(SETTLING_STEPS):
        scaled = values / scale
        stored = np.where(scaled >= 0, 1.0, -1.0) if width.bipolar else np.clip(np.round(scaled), low, high)
        product = float(stored @ values)
        if product <= 0:
            break
        scale = product / float(stored @ stored)
    return scale


def _between(least: float, greatest: float, width: Width, scheme: Scheme) -> tuple[float, int]:
    """Scale and zero point whose numbers span at least [least, greatest], up to the rounding of the zero point."""
    low, high = width.limits
    scale = snapped(max(greatest - least, LEAST_SCALE) / (high - low), scheme, up=scheme.clip != "error")
    return scale, min(max(low + floor(-least / scale + 0.5), low), high)


def _best_end(values: Array, ends: list[tuple[float, float]], width: Width, scheme: Scheme) -> tuple[float, float]:
    fits = [_between(least, greatest, width, scheme) for least, greatest in ends]
    scales, zeros = (np.array(column) for column in zip(*fits, strict=True))
    return ends[int(np.argmin(squared_errors(values, scales, zeros, width)))]
