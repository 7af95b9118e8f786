"""Numbers for the relaxed program of a nest on a hierarchy: what a dim may be cut to, and logarithms of what tiles of a
window hold and fetch at least, in whole units that a solver can take.

A logarithm is rounded down, a `SLACK` of units covers what rounding may add up to, so that what is bounded from below
stays below the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor, gcd, log

from simulator.hierarchy.nest import TensorAxis
from simulator.index_sets import box_image, image_size, moved

UNITS = 1 << 18
"""Units of a logarithm: 2**18 to the factor e."""

LOOSE = 4
"""Units by which one row of a few rounded logarithms may be off."""

SLACK = 64
"""Units by which a sum of rounded logarithms may be above the true one: more than its terms."""

_SINGLES = 8
"""Tile sizes up to this are told apart one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Tile sizes of a loop of `size`, as ranges of sizes (least, most) that are not told apart, ascending."""

    size: int
    ranges: tuple[tuple[int, int], ...]


def down(number: float) -> int:
    """Units of log(number), rounded down."""
    return floor(log(number) * UNITS)


def down_count(count: int) -> int:
    """Units of log(count), rounded down; of next to nothing for a window that lies in the padding."""
    return down(count if count else 1e-6)


def up(number: float) -> int:
    """Units of log(number), rounded up."""
    return ceil(log(number) * UNITS)


def sizes_of(size: int, *, singles: int = _SINGLES) -> Sizes:
    """Small sizes one by one; larger ones from one useful size to the next (the least that needs so many tiles)."""
    starts = {*range(1, min(size, singles) + 1), *(-(-size // tiles) for tiles in range(1, size // singles + 1)), size}
    ordered = sorted(starts)
    ends = [*(start - 1 for start in ordered[1:]), size]
    return Sizes(size=size, ranges=tuple(zip(ordered, ends, strict=True)))


@lru_cache(maxsize=1 << 16)
def held(axis: TensorAxis, extents: tuple[int, ...]) -> int:
    """Elements along `axis` that a tile of these extents (in the order of the axis's terms) takes."""
    return min(axis.size, image_size([(extent, step) for extent, (_, step) in zip(extents, axis.terms, strict=True)]))


@lru_cache(maxsize=1 << 16)
def fetched(axis: TensorAxis, wholes: tuple[int, ...], tile: tuple[int, ...], *, once: bool) -> int:
    """Elements along `axis` that all tiles of at most `tile` positions of loops of `wholes` together have, at least;
    with `once` (a memory that keeps the overlap of windows) those of the whole alone."""
    union = moved(box_image(tuple(_terms(axis, wholes))), _low(axis, wholes), axis.size).bit_count()
    if once:
        return union
    best = max(union, ceil(_pairs(axis, wholes) / _sharing(axis, tile)))
    if len(tile) == 2:
        for cut in (0, 1):
            if tile[1 - cut] == wholes[1 - cut] and abs(axis.terms[1 - cut][1]) == 1:
                best = max(best, union + (ceil(wholes[cut] / tile[cut]) - 1) * _least_overlap(axis, wholes, cut))
    return best


def _terms(axis: TensorAxis, extents: tuple[int, ...]) -> list[tuple[int, int]]:
    return [(extent, abs(step)) for extent, (_, step) in zip(extents, axis.terms, strict=True)]


def _low(axis: TensorAxis, extents: tuple[int, ...]) -> int:
    return axis.offset + sum(min(0, step) * (extent - 1) for extent, (_, step) in zip(extents, axis.terms, strict=True))


@lru_cache(maxsize=1 << 12)
def _pairs(axis: TensorAxis, wholes: tuple[int, ...]) -> int:
    """Points of the axis's loops that are no padding."""
    counts = {axis.offset: 1}
    for extent, (_, step) in zip(wholes, axis.terms, strict=True):
        summed: dict[int, int] = {}
        for index, count in counts.items():
            for position in range(extent):
                at = index + step * position
                summed[at] = summed.get(at, 0) + count
        counts = summed
    return sum(count for index, count in counts.items() if 0 <= index < axis.size)


def _sharing(axis: TensorAxis, tile: tuple[int, ...]) -> int:
    """The most points of a tile that are of one element: all but the last loop choose one, and every point is at its
    own element where two loops' steps cannot make up for each other."""
    if len(tile) == 1:
        return 1
    if len(tile) == 2:
        (_, first), (_, second) = axis.terms
        common = gcd(first, second)
        return min(ceil(tile[0] / (abs(second) // common)), ceil(tile[1] / (abs(first) // common)))
    points = 1
    for extent in sorted(tile)[:-1]:
        points *= extent
    return points


@lru_cache(maxsize=1 << 12)
def _least_overlap(axis: TensorAxis, wholes: tuple[int, ...], cut: int) -> int:
    """Elements on both sides of the cut of loop `cut` that has the fewest. With the other loop whole and of unit steps
    the points of an element are neighbours, so every cut between them is one more fetch."""
    (first, second) = (axis.terms[cut][1], axis.terms[1 - cut][1])
    low_second = min(0, second) * (wholes[1 - cut] - 1)

    def side(start: int, count: int) -> int:
        ends = (first * start, first * (start + count - 1))
        box = box_image(((count, abs(first)), (wholes[1 - cut], abs(second))))
        return moved(box, axis.offset + min(ends) + low_second, axis.size)

    whole = wholes[cut]
    return min((side(0, at) & side(at, whole - at)).bit_count() for at in range(1, whole))
