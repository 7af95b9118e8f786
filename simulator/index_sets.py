"""Sets of whole numbers from 0 as bits of one int: what a tile touches along one axis of a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache


@lru_cache(maxsize=1 << 16)
def box_image(terms: tuple[tuple[int, int], ...]) -> int:
    """The set of values of sum(step * position) over the box of `terms` (count of positions, step >= 0)."""
    if not terms:
        return 1
    *others, (count, step) = terms
    return shifted_union(box_image(tuple(others)), count, step)


def shifted_union(members: int, count: int, step: int) -> int:
    """The union of `count` copies of `members`, each `step` further than the one before."""
    done = 1
    while done < count:
        turns = min(done, count - done)
        members |= members << (step * turns)
        done += turns
    return members


def moved(members: int, distance: int, size: int) -> int:
    """`members` moved by `distance` (also backwards), of which those in 0..size-1 remain."""
    members = members << distance if distance >= 0 else members >> -distance
    return members & ((1 << size) - 1)


def image_size(terms: Sequence[tuple[int, int]]) -> int:
    """Distinct values of sum(step * position) over the box of `terms` (count of positions, step of either sign)."""
    return box_image(tuple((count, abs(step)) for count, step in terms)).bit_count()
