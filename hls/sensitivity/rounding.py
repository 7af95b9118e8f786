"""What rounding to so many bits does to a part of a network: the shift of its values, batch by batch.

Weights round symmetrically to a multiple of their largest magnitude / (2^(b-1) - 1), activations to 2^b - 1 steps of
the range that they have over all batches, zero among them (Jacob et al., arXiv 1712.05877, section 2.1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hls.parts import Part
from hls.sensitivity.surface import Surface
from model_ir.errors import InputError

Array = npt.NDArray[Any]
Shift = Callable[[int], tuple[Array, ...]]
"""Bits -> what rounding adds to the whole tensor in every batch; zero outside the part."""

LEAST_BITS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """The numbers scale * (integer - zero_point), integers of [low, high]."""

    scale: float
    zero_point: int
    low: int
    high: int

    def nearest(self, values: Array) -> Array:
        """Each value's nearest level, halves to even."""
        integers = np.clip(np.round(values / self.scale) + self.zero_point, self.low, self.high)
        return (integers - self.zero_point) * self.scale


def symmetric_levels(largest: float, bits: int) -> Levels:
    """Levels from -largest to largest, zero one of them. Raises InputError below 2 bits."""
    _check_bits(bits)
    high = 2 ** (bits - 1) - 1
    return Levels(scale=largest / high or 1.0, zero_point=0, low=-high, high=high)


def affine_levels(least: float, greatest: float, bits: int) -> Levels:
    """2^bits levels over [least, greatest] widened to zero, which is one of them. Raises InputError below 2 bits."""
    _check_bits(bits)
    least, greatest = min(least, 0.0), max(greatest, 0.0)
    high = 2**bits - 1
    scale = (greatest - least) / high or 1.0
    return Levels(scale=scale, zero_point=round(-least / scale), low=0, high=high)


def shift_of(surface: Surface, part: Part, *, groups: int = 1) -> Shift:
    """How rounding shifts `part`. `groups`: a weight's channels in so many runs along the part's axis, each with a
    range of its own (Q-BERT, Shen et al., arXiv 1909.05840, section 3.2).

    A part rounds with the range of its own values. Raises InputError for more groups than channels.
    """
    if part.tensor in surface.varying:
        batches = [surface.values(part.tensor, place) for place in range(len(surface.batches))]
        least = min(float(values[part.index].min()) for values in batches)
        greatest = max(float(values[part.index].max()) for values in batches)
        return lambda bits: tuple(
            _embedded(part, values, affine_levels(least, greatest, bits).nearest) for values in batches
        )
    weight = surface.values(part.tensor, 0).astype(np.float64)
    return lambda bits: (
        (_embedded(part, weight, lambda values: _by_groups(values, part.axis, groups, bits)),) * len(surface.batches)
    )


def squared_error(shifts: Sequence[Array]) -> float:
    """Squared length of a shift, mean over the batches."""
    return float(np.mean([np.sum(np.square(shift, dtype=np.float64)) for shift in shifts]))


def _by_groups(values: Array, axis: int, groups: int, bits: int) -> Array:
    channels = values.shape[axis] if values.ndim else 1
    if not 1 <= groups <= channels:
        raise InputError("groups", "from one to the number of channels", value=groups, limit=channels)
    if groups == 1:
        return symmetric_levels(float(abs(values).max()), bits).nearest(values)
    runs = np.split(values, [channels * index // groups for index in range(1, groups)], axis)
    return np.concatenate([_by_groups(run, axis, 1, bits) for run in runs], axis)


def _embedded(part: Part, values: Array, nearest: Callable[[Array], Array]) -> Array:
    inside = values[part.index]
    shift = np.zeros_like(values)
    shift[part.index] = nearest(inside) - inside
    return shift


def _check_bits(bits: int) -> None:
    if bits < LEAST_BITS:
        raise InputError("bits", "rounding takes more", value=bits, limit=f"at least {LEAST_BITS}")
