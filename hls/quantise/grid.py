"""`Grid`: the numbers that a quantised tensor can hold, as QONNX's Quant defines them (Pappalardo et al., QONNX,
2022)."""

from __future__ import annotations

from dataclasses import dataclass
from math import frexp, isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError
from model_ir.ops.arrays import along

Array = npt.NDArray[Any]
MOST_BITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The numbers scale * (integer - zero_point), integers of `bits` bits.

    `scale` and `zero_point` have one element, or one for every position of `axis`. `narrow` leaves out the lowest
    integer (signed) or the highest (unsigned); one signed bit means the integers -1 and 1. Where positions of `axis`
    have widths of their own, `channel_bits` has them and `bits` is the widest. Scales are numbers that float32 holds.
    Raises InputError for what is no grid.
    """

    bits: int
    signed: bool
    narrow: bool = False
    scale: tuple[float, ...]
    zero_point: tuple[int, ...] = (0,)
    axis: int | None = None
    channel_bits: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for bits in (self.bits, *self.channel_bits):
            _require(1 <= bits <= MOST_BITS, "bits out of range", bits, f"1 to {MOST_BITS}")
        _require(max(self.channel_bits, default=self.bits) == self.bits, "bits must be its widest channel's", self.bits)
        lengths = {len(self.scale), len(self.zero_point), len(self.channel_bits) or 1}
        one = 0 not in lengths and len(lengths - {1}) <= (self.axis is not None)
        _require(one, "vectors need one length, and an axis", sorted(lengths))
        for scale in self.scale:
            exact = isfinite(scale) and scale > 0 and float(np.float32(scale)) == scale
            _require(exact, "scale must be a positive number that float32 holds", scale)
        low, high = self.limits(1)
        zeros = self.zero_points(1)
        inside = bool(np.all((low <= zeros) & (zeros <= high) & ~(self.bipolar & (zeros != 0))))
        _require(inside, "zero point must be one of its integers", self.zero_point)

    @property
    def power_of_two(self) -> bool:
        """Whether every scale is 2^k."""
        return all(frexp(scale)[0] == 0.5 for scale in self.scale)

    @property
    def fixed_point(self) -> bool:
        """Whether its numbers are fixed-point ones: one scale, a power of two, one width, no zero point."""
        one = len(self.scale) == 1 and not self.channel_bits
        return one and self.power_of_two and self.zero_point == (0,) and not self.bipolar.any()

    @property
    def bipolar(self) -> npt.NDArray[np.bool_]:
        """Which channels (a single flag for one width) hold -1 and 1."""
        return np.array([bits == 1 and self.signed for bits in self.channel_bits or (self.bits,)])

    def limits(self, rank: int) -> tuple[Array, Array]:
        """Lowest and highest integer, int64 arrays that broadcast against a tensor of `rank` axes."""
        half = 2 ** (self.widths(rank) - 1)
        low = np.where(self.signed, -half + (self.narrow and self.signed), 0)
        high = np.where(self.signed, half - 1, 2 * half - 1 - self.narrow)
        bipolar = (self.widths(rank) == 1) & self.signed
        return np.where(bipolar, -1, low), np.where(bipolar, 1, high)

    def scales(self, rank: int) -> Array:
        """`scale` as a float32 array that broadcasts against a tensor of `rank` axes: 0-d for one."""
        return self._spread(np.array(self.scale, np.float32), rank)

    def zero_points(self, rank: int) -> Array:
        """`zero_point` as an int64 array, as `scales`."""
        return self._spread(np.array(self.zero_point, np.int64), rank)

    def widths(self, rank: int) -> Array:
        """Bits as an int64 array, as `scales`."""
        return self._spread(np.array(self.channel_bits or (self.bits,), np.int64), rank)

    def stored(self, values: Array) -> Array:
        """The integers, int64, of the numbers nearest to `values` (halves to even), in the arithmetic of Quant."""
        rank = values.ndim
        low, high = self.limits(rank)
        scaled = values / self.scales(rank).astype(values.dtype) + self.zero_points(rank).astype(values.dtype)
        integers = np.round(np.clip(scaled, low.astype(values.dtype), high.astype(values.dtype)))
        bipolar = (self.widths(rank) == 1) & self.signed
        return np.where(bipolar, np.where(scaled >= 0, 1, -1), integers).astype(np.int64)

    def real(self, stored: Array) -> Array:
        """The numbers, float64, that integers stand for."""
        return (stored - self.zero_points(stored.ndim)) * self.scales(stored.ndim).astype(np.float64)

    def nearest(self, values: Array) -> Array:
        """The numbers, float64, nearest to `values`."""
        return self.real(self.stored(values))

    def _spread(self, vector: Array, rank: int) -> Array:
        if len(vector) == 1 or self.axis is None:
            return vector.reshape(())
        return vector.reshape(along(vector.shape, self.axis % rank, rank))


def _require(holds: bool, problem: str, value: object, limit: object = None) -> None:
    if not holds:
        raise InputError("grid", problem, value=value, limit=limit)
