"""Cells: all mappings whose tiles have given sizes at every memory and whose loops are spread over given numbers of
instances. In a nest small enough, each is costed one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import comb, prod

import numpy as np
import numpy.typing as npt

from mapper.hierarchy.descent import Question
from mapper.hierarchy.program import HierarchyProgram
from mapper.hierarchy.space import Slot, Split, dim_splits, hierarchy_slots, mappings_of_tiling
from simulator.hierarchy.description import Hierarchy
from simulator.hierarchy.mapping import HierarchyMapping
from simulator.hierarchy.nest import TensorNest

_MOST_SPLITS = 20_000
"""Ways to cut one dim, at most, of a nest that is small."""

_MOST_TILINGS = 500
"""Ways to cut all dims beyond which a cell is not searched."""

Cut = tuple[tuple[int, ...], tuple[int, ...]]
"""Of one dim: its tile at every level inside the first, and the instances along every axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The cut of every dim, in the nest's order."""

    cuts: tuple[Cut, ...]

    def literals(self, program: HierarchyProgram) -> list[int]:
        """The choices of a program that make the cell; sizes and numbers of instances are told apart one by one."""
        axes = [(level, axis.name) for level, axis in program.axes]
        chosen = []
        for (name, _), (tiles, trips) in zip(program.nest.dims, self.cuts, strict=True):
            for level, tile in enumerate(tiles, start=1):
                chosen.append(program.size[level][name][program.ranges[name].ranges.index((tile, tile))])
            for (level, axis), count in zip(axes, trips, strict=True):
                key = (level, axis, name)
                if key in program.trips:
                    chosen.append(program.trips[key][program.trip_ranges[key].index((count, count))])
        return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """The cells of a nest: for each dim the ways to cut it by their cut; none where the nest is not small."""

    slots: tuple[Slot, ...]
    ways: tuple[dict[Cut, list[Split]], ...] | None

    @staticmethod
    def of(nest: TensorNest, hierarchy: Hierarchy) -> Cells:
        """The cells of `nest` on `hierarchy`."""
        slots = hierarchy_slots(hierarchy)
        if any(comb(size + len(slots) - 1, len(slots)) > _MOST_SPLITS for _, size in nest.dims):
            return Cells(slots=slots, ways=None)
        ways = []
        for (_, size), kind in zip(nest.dims, nest.kinds, strict=True):
            by_cut: dict[Cut, list[Split]] = {}
            for split in dim_splits(size, slots, kind, "any"):
                by_cut.setdefault(_cut(size, slots, split), []).append(split)
            ways.append(by_cut)
        return Cells(slots=slots, ways=tuple(ways))

    def at(self, program: HierarchyProgram, values: npt.NDArray[np.int64]) -> Cell | None:
        """The cell of a point of the program; None where the program does not tell its sizes apart, or the cell is
        large."""
        if self.ways is None:
            return None
        cuts = []
        for name in program.names:
            tiles = [program.ranges[name].ranges[_one(values, literals[name])] for literals in program.size[1:-1]]
            trips = [
                program.trip_ranges[key][_one(values, program.trips[key])] if key in program.trips else (1, 1)
                for key in ((level, axis.name, name) for level, axis in program.axes)
            ]
            if any(least != most for least, most in (*tiles, *trips)):
                return None
            cuts.append((tuple(least for least, _ in tiles), tuple(least for least, _ in trips)))
        cell = Cell(cuts=tuple(cuts))
        tilings = prod(len(self._splits(dim, cut)) for dim, cut in enumerate(cell.cuts))
        return cell if tilings <= _MOST_TILINGS else None

    def mappings(self, cell: Cell, question: Question) -> Iterator[HierarchyMapping]:
        """All legal mappings of a cell."""
        for chosen in product(*(self._splits(dim, cut) for dim, cut in enumerate(cell.cuts))):
            yield from mappings_of_tiling(
                question.nest, question.hierarchy, chosen, flow=question.flow, bypass=question.bypass
            )

    def _splits(self, dim: int, cut: Cut) -> list[Split]:
        assert self.ways is not None
        return self.ways[dim].get(cut, [])


def _one(values: npt.NDArray[np.int64], literals: tuple[int, ...]) -> int:
    return int(np.argmax(values[list(literals)]))


def _cut(size: int, slots: tuple[Slot, ...], split: Split) -> Cut:
    tiles, trips, before = [], [], size
    for place, (slot, tile) in enumerate(zip(slots, split, strict=True)):
        if slot.axis is None and place:
            tiles.append(before)
        if slot.axis is not None:
            trips.append(-(-before // tile))
        before = tile
    return tuple(tiles), tuple(trips)
