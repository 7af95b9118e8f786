"""Real factors between two grids as multiplier / 2^shift."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from model_ir.ops.requantisation import MOST_SHIFT

MULTIPLIER_BITS = 31


def dyadic_factors(ratios: Sequence[Fraction]) -> tuple[tuple[int, ...], int]:
    """Multipliers below 2^31 and their one shift: exactly `ratios` where such exist, else the nearest of the finest
    shift at which the largest fits (an error of at most 2^-31 of it); multipliers that do not fit are saturated (every
    sum but 0 is clipped then)."""
    dyadic = all(ratio.denominator & (ratio.denominator - 1) == 0 for ratio in ratios)
    finest = max(ratio.denominator for ratio in ratios).bit_length() - 1
    shift = min(finest, MOST_SHIFT) if dyadic else MOST_SHIFT
    while shift > 0 and round(max(ratios) * (1 << shift)) >> MULTIPLIER_BITS:
        shift -= 1
    most = (1 << MULTIPLIER_BITS) - 1
    return tuple(min(round(ratio * (1 << shift)), most) for ratio in ratios), shift
