"""The choices of the integer program of a nest on a memory hierarchy (`hierarchy.program`): sizes of tiles, spreading,
which loops step, what is innermost, what is kept and in how many copies. Sizes and ratios are logarithms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import exp

import numpy as np
import numpy.typing as npt

from mapper.hierarchy.tables import LOOSE, UNITS, Sizes, down, sizes_of, up
from mapper.linear_program import Condition, Linear, LinearProgram, weighted_sum
from simulator.hierarchy.description import ROLES, Dataflow, Hierarchy, Role, SpatialAxis
from simulator.hierarchy.nest import TensorNest


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A memory `parent` that feeds the next memory inside that keeps the operand, `child` (number of levels: the
    multipliers); `when` the choice of what is kept makes it so."""

    role: Role
    parent: int
    child: int
    when: tuple[Condition, ...]


class HierarchyChoices:
    """`linear` is the program that the choices are variables of; `pairs` are the memories that feed one another."""

    def __init__(self, nest: TensorNest, hierarchy: Hierarchy, flow: Dataflow, *, bypass: bool) -> None:
        self.nest, self.hierarchy = nest, hierarchy
        self.count = len(hierarchy.levels)
        self.names = [name for name, _ in nest.dims]
        self.whole = dict(nest.dims)
        self.linear = LinearProgram()
        self._choose_sizes()
        self._choose_spread()
        self._choose_steps()
        self._choose_orders()
        self.pairs = self._choose_keeps(bypass)
        if not bypass:
            self._obey(flow)
        self._choose_copies()
        self.partial = {index: self.linear.variable(0, 1) for index in range(1, self.count)}
        """Whether what comes up into a level lacks terms of its sum."""

    @property
    def axes(self) -> list[tuple[int, SpatialAxis]]:
        """Every axis with its level."""
        return [(index, axis) for index, level in enumerate(self.hierarchy.levels) for axis in level.fanout]

    def size_at(self, level: int, name: str, values: npt.NDArray[np.int64]) -> float:
        """The tile of a dim that the logarithms of a point stand for."""
        extent = self.extent[level][name]
        return exp((extent.constant + sum(each * int(values[at]) for at, each in extent.terms.items())) / UNITS)

    def _choose_sizes(self) -> None:
        """`size[level][dim]`: literals of the ranges that the tile in one instance of a level may have; `extent`: its
        logarithm. Outside the first level it is the dim; inside the last one position."""
        self.ranges: dict[str, Sizes] = {name: sizes_of(size) for name, size in self.nest.dims}
        self.size: list[dict[str, tuple[int, ...]]] = [{} for _ in range(self.count + 1)]
        self.extent: list[dict[str, Linear]] = [
            {name: Linear(constant=down(size) if level == 0 else 0) for name, size in self.nest.dims}
            for level in range(self.count + 1)
        ]
        for level in range(1, self.count):
            for name in self.names:
                ranges = self.ranges[name].ranges
                literals = self.linear.one_of(len(ranges))
                extent = self.linear.number(0, up(self.whole[name]))
                self.linear.at_most(weighted_sum([down(least) for least, _ in ranges], literals) - extent, 0)
                self.linear.at_most(extent - weighted_sum([up(most) for _, most in ranges], literals), 0)
                self.size[level][name] = literals
                self.extent[level][name] = extent

    def _choose_spread(self) -> None:
        """`trips[level, axis, dim]`: literals of the numbers of instances (ranges of them) over which a dim may be
        spread; `spread`: their logarithm; `share`: the real ratio of the tiles, at most that."""
        self.trips: dict[tuple[int, str, str], tuple[int, ...]] = {}
        self.trip_ranges: dict[tuple[int, str, str], tuple[tuple[int, int], ...]] = {}
        self.spread: dict[tuple[int, str, str], Linear] = {}
        self.share: dict[tuple[int, str, str], Linear] = {}
        kinds = self.nest.kind_of
        for level, axis in self.axes:
            room = Linear()
            for name in self.names:
                most = min(axis.size, self.whole[name])
                if kinds[name] not in axis.dims or most == 1:
                    continue
                ranges = sizes_of(most, singles=min(most, 16)).ranges
                literals = self.linear.one_of(len(ranges))
                key = (level, axis.name, name)
                self.trips[key], self.trip_ranges[key] = literals, ranges
                least = weighted_sum([down(low) for low, _ in ranges], literals)
                self.spread[key] = weighted_sum([up(high) for _, high in ranges], literals)
                self.share[key] = self.linear.number(0, up(most))
                self.linear.at_most(self.share[key] - self.spread[key], 0)
                room += least
            if room.terms:
                self.linear.at_most(room, up(axis.size) + LOOSE)

    def _choose_steps(self) -> None:
        """`turns[level][dim]`: the logarithm of the real ratio of a level's temporal loop; `steps`: whether there is
        one."""
        self.turns: list[dict[str, Linear]] = []
        self.steps: list[dict[str, int]] = []
        for level in range(self.count):
            self.turns.append({})
            self.steps.append({})
            for name in self.names:
                turns = self.linear.number(0, up(self.whole[name]) + LOOSE)
                step = self.linear.variable(0, 1)
                ratio = self.extent[level][name] - self.extent[level + 1][name]
                shares = [share for (at, _, dim), share in self.share.items() if at == level and dim == name]
                for share in shares:
                    ratio -= share
                self.linear.at_most(ratio - LOOSE - turns, 0)
                self.linear.at_most(turns, 0, [(step, False)])
                self.linear.at_most(self.extent[level + 1][name] - self.extent[level][name], LOOSE)
                self.turns[level][name], self.steps[level][name] = turns, step

    def _choose_orders(self) -> None:
        """`innermost[level][role]`: the innermost loops of a level are those that do not move that operand; `quiet`: no
        loop of a level moves it."""
        self.innermost: list[dict[Role, int]] = []
        self.quiet: list[dict[Role, int]] = []
        for level in range(self.count):
            self.innermost.append(dict(zip(ROLES, self.linear.one_of(len(ROLES)), strict=True)))
            self.quiet.append({})
            for role in ROLES:
                quiet = self.linear.variable(0, 1)
                for name in self.nest.operand(role).dims:
                    self.linear.at_most_one([quiet, self.steps[level][name]])
                self.quiet[level][role] = quiet

    def _choose_keeps(self, bypass: bool) -> list[Pair]:
        """The pairs of neighbouring memories of each operand; with `bypass` a level may leave out what it stores."""
        pairs = []
        self.kept: dict[tuple[int, Role], tuple[Condition, ...]] = {}
        for role in ROLES:
            stores = [index for index, level in enumerate(self.hierarchy.levels) if index and role in level.stores]
            patterns = [stores]
            if bypass:
                patterns = [list(each) for count in range(len(stores) + 1) for each in combinations(stores, count)]
            literals = self.linear.one_of(len(patterns))
            chains = [[0, *pattern, self.count] for pattern in patterns]
            for index in stores:
                self.kept[index, role] = self._any(
                    [literal for literal, pattern in zip(literals, patterns, strict=True) if index in pattern], literals
                )
            neighbours = sorted({pair for chain in chains for pair in pairwise(chain)})
            for parent, child in neighbours:
                having = [
                    literal
                    for literal, chain in zip(literals, chains, strict=True)
                    if (parent, child) in pairwise(chain)
                ]
                pairs.append(Pair(role=role, parent=parent, child=child, when=self._any(having, literals)))
        return pairs

    def _obey(self, flow: Dataflow) -> None:
        """What the dataflow says of tiles in the innermost memory of the weights, and of loops outside that of the
        operand that stays."""
        kinds = self.nest.kind_of
        inner = max(pair.parent for pair in self.pairs if pair.role == "weights")
        for name in self.names if inner else ():
            literals = self.size[inner][name]
            if kinds[name] in flow.whole_inside:
                self.linear.equal(Linear(terms={literals[-1]: 1}), 1)
            if kinds[name] in flow.single_inside:
                self.linear.equal(Linear(terms={literals[0]: 1}), 1)
        between = [pair for pair in self.pairs if pair.role == flow.stationary and pair.child < self.count]
        if not between or flow.stationary is None:
            return
        moving = self.nest.operand(flow.stationary).dims
        levels = range(between[-1].parent, between[-1].child)
        for outside, inside in combinations(levels, 2):
            for name in self.names:
                for other in moving:
                    if name not in moving:
                        self.linear.at_most_one([self.steps[outside][name], self.steps[inside][other]])

    def _choose_copies(self) -> None:
        """Where a level does not stream and what it keeps changes: `doubled`, two copies, or `waits`, transfers that
        overlap with nothing."""
        self.doubled: dict[tuple[int, Role], int] = {}
        self.waits: dict[tuple[int, Role], int] = {}
        for level, role in self.kept:
            if not self.hierarchy.levels[level].streams:
                still, self.doubled[level, role], self.waits[level, role] = self.linear.one_of(3)
                for outside in range(level):
                    self.linear.at_most(Linear(terms={still: 1, self.quiet[outside][role]: -1}), 0)

    def _any(self, having: Sequence[int], literals: Sequence[int]) -> tuple[Condition, ...]:
        """Conditions under which one of `having`, of a choice of `literals`, is made."""
        if len(having) == len(literals):
            return ()
        if len(having) == 1:
            return ((having[0], True),)
        either = self.linear.variable(0, 1)
        self.linear.equal(weighted_sum([1] * len(having), having) - Linear(terms={either: 1}), 0)
        return ((either, True),)
