"""How many elements cross between two levels of a hierarchy, counted exactly from the loops of a mapping.

Loops split the range of one dim each, so what a mapping does to a nest is a product over dims (over the axes of a
tensor, where loops meet on one): along each, chunks are numbered by the loops that made them, and what is counted is
the size of every distinct visit of a chunk. What becomes of a loop in a count is its `Turn`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from itertools import product
from math import prod

from simulator.hierarchy.nest import Operand, TensorAxis, TensorNest
from simulator.index_sets import box_image, moved


class Turn(IntEnum):
    """How the chunks of one loop are counted."""

    EACH = 0
    """Every chunk is a visit of its own."""
    TOGETHER = 1
    """Chunks of several instances that are served at once: what they share counts once."""
    BUSIEST = 2
    """Only the instance that has most."""
    FIRST = 3
    """Only the first chunk: the loop does not move the operand, or stands inside the place where it is fetched."""


Chain = tuple[tuple[int, Turn], ...]
"""The loops over one dim, outermost first: tile and turn."""


def visits(extent: int, chain: Chain) -> int:
    """Visits that a loop range of `extent` makes where the operand does not depend on it.

    A smaller chunk makes a subset of the visits of a larger one, so instances served together count as the first.
    """
    if not chain:
        return 1
    (tile, turn), inner = chain[0], chain[1:]
    if turn is not Turn.EACH:
        return visits(min(extent, tile), inner)
    whole, rest = divmod(extent, tile)
    return whole * visits(tile, inner) + (visits(rest, inner) if rest else 0)


def positions(extent: int, chain: Chain) -> int:
    """Positions of a loop range of `extent` that are visited, each of which is another element."""
    if all(turn is Turn.EACH or turn is Turn.TOGETHER for _, turn in chain):
        return extent
    (tile, turn), inner = chain[0], chain[1:]
    if turn in (Turn.BUSIEST, Turn.FIRST):
        return positions(min(extent, tile), inner)
    whole, rest = divmod(extent, tile)
    return whole * positions(tile, inner) + (positions(rest, inner) if rest else 0)


def elements(
    nest: TensorNest,
    operand: Operand,
    chain_of: Mapping[str, Chain],
    *,
    sliding: tuple[str, int] | None = None,
) -> int:
    """Elements of `operand` over all visits of `chain_of` (a dim that is not in it has no loops), padding left out.

    `sliding`: dim and place in its chain of a loop whose steps, but for the first, bring only what is new.
    """
    sizes = dict(nest.dims)
    total = prod([visits(size, chain_of.get(name, ())) for name, size in nest.dims if name not in operand.dims])
    for axis in operand.axes:
        names = [name for name, _ in axis.terms]
        if axis.dense:
            total *= prod([positions(sizes[name], chain_of.get(name, ())) for name in names])
        else:
            slide = (names.index(sliding[0]), sliding[1]) if sliding and sliding[0] in names else None
            total *= _window_elements(axis, tuple([(sizes[name], chain_of.get(name, ())) for name in names]), slide)
    return total


@lru_cache(maxsize=1 << 16)
def _window_elements(axis: TensorAxis, ranges: tuple[tuple[int, Chain], ...], slide: tuple[int, int] | None) -> int:
    """As `elements`, along one axis on which loops meet or run into padding: by the sets of indices themselves."""
    dims = [
        _chunks(extent, chain, step, slide[1] if slide is not None and slide[0] == which else None)
        for which, ((extent, chain), (_, step)) in enumerate(zip(ranges, axis.terms, strict=True))
    ]
    steps = [abs(step) for _, step in axis.terms]
    served: dict[tuple[Path, ...], dict[tuple[Path, ...], int]] = {}
    for combination in product(*dims):
        touched = _touched(axis, steps, [chunk.place for chunk in combination])
        if any(chunk.before is not None for chunk in combination):
            touched &= ~_touched(axis, steps, [chunk.before or chunk.place for chunk in combination])
        together = served.setdefault(tuple([chunk.busiest for chunk in combination]), {})
        visit = tuple([chunk.visit for chunk in combination])
        together[visit] = together.get(visit, 0) | touched
    return max(sum([members.bit_count() for members in visited.values()]) for visited in served.values())


Path = tuple[int, ...]
"""Number of the chunk at each loop of a chain, or at those of one turn."""

Place = tuple[int, int]
"""What a chunk adds to the lowest index that is reached, and its size."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """What the loops over one dim leave at one point of their run; `before`: what the loop that slides left one step
    earlier, where it is not at its first."""

    visit: Path
    busiest: Path
    place: Place
    before: Place | None


def _chunks(extent: int, chain: Chain, step: int, slides: int | None) -> list[_Chunk]:
    leaves = dict(_leaves(extent, chain, step))
    chunks = []
    for path, place in leaves.items():
        moves = slides is not None and path[slides] > 0
        earlier = (*path[:slides], path[slides] - 1, *path[slides + 1 :]) if moves and slides is not None else None
        chunks.append(
            _Chunk(
                _part(path, chain, Turn.EACH),
                _part(path, chain, Turn.BUSIEST),
                place,
                leaves[earlier] if earlier is not None else None,
            )
        )
    return chunks


def _leaves(extent: int, chain: Chain, step: int, start: int = 0) -> Iterator[tuple[Path, Place]]:
    if not chain:
        yield (), (step * (start if step > 0 else start + extent - 1), extent)
        return
    (tile, turn), inner = chain[0], chain[1:]
    for number, first in enumerate(range(0, extent, tile)):
        for path, place in _leaves(min(tile, extent - first), inner, step, start + first):
            yield (number, *path), place
        if turn is Turn.FIRST:
            return


def _part(path: Path, chain: Chain, turn: Turn) -> Path:
    return tuple([number for number, (_, own) in zip(path, chain, strict=True) if own is turn])


def _touched(axis: TensorAxis, steps: Sequence[int], places: Sequence[Place]) -> int:
    """The set of indices of `axis` that a box of loop positions reaches."""
    low = axis.offset + sum([first for first, _ in places])
    box = box_image(tuple([(size, step) for (_, size), step in zip(places, steps, strict=True)]))
    return moved(box, low, axis.size)
