"""How many elements cross between two memories, and how many a tile has, as expressions of the choices of
`hierarchy.choices`: logarithms of what is there at least.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from mapper.hierarchy.choices import HierarchyChoices
from mapper.hierarchy.tables import SLACK, down, down_count, fetched, held, up
from mapper.linear_program import Condition, Linear, weighted_sum
from simulator.hierarchy.description import Dataflow, Hierarchy, Role
from simulator.hierarchy.nest import TensorAxis, TensorNest


class HierarchyTraffic(HierarchyChoices):
    """The choices, with what follows from them for every operand and pair of memories."""

    def __init__(self, nest: TensorNest, hierarchy: Hierarchy, flow: Dataflow, *, bypass: bool) -> None:
        super().__init__(nest, hierarchy, flow, bypass=bypass)
        self._windows: dict[tuple[int, int], Linear] = {}
        self._slides: dict[int, dict[str, int]] = {}
        self._multiples: dict[tuple[Role, int], tuple[list[Linear], list[Condition]]] = {}

    def multiples(self, role: Role, child: int) -> tuple[list[Linear], list[Condition]]:
        """For each level outside `child`, outermost first, the logarithm of how often its temporal loops make `child`
        fetch what it had before (loops that do not move the operand, unless they are innermost and nothing inside moves
        it), and the condition that they do so."""
        key = (role, child)
        if key in self._multiples:
            return self._multiples[key]
        moved = self.nest.operand(role).dims
        others = [name for name in self.names if name not in moved]
        found: list[Linear] = []
        counting: list[Condition] = []
        calm: int | None = None  # whether all levels between this one and `child` are quiet; None: there is none
        for level in reversed(range(child)):
            turns = Linear()
            for name in others:
                turns += self.turns[level][name]
            if child < self.count and others:
                free = self.linear.variable(0, 1)
                self.linear.at_most(Linear(terms={free: 1, self.innermost[level][role]: -1}), 0)
                if calm is not None:
                    self.linear.at_most(Linear(terms={free: 1, calm: -1}), 0)
                paid = self.linear.number(0, sum(up(self.whole[name]) for name in others) + SLACK)
                self.linear.at_most(turns - paid, 0, [(free, False)])
                found.append(paid)
                counting.append((free, False))
                now = self.quiet[level][role]
                if calm is not None:
                    both = self.linear.variable(0, 1)
                    self.linear.at_most(Linear(terms={both: 1, calm: -1}), 0)
                    self.linear.at_most(Linear(terms={both: 1, now: -1}), 0)
                    now = both
                calm = now
            else:
                found.append(turns)
        self._multiples[key] = found[::-1], counting[::-1]
        return self._multiples[key]

    def deliveries(self, role: Role, child: int, joint: int) -> Linear:
        """The logarithm of the elements that all instances of `child` fetch, with those that levels from `joint` on
        serve together as one (`joint` == `child`: none)."""
        operand = self.nest.operand(role)
        total = self._repeats(role, child, joint)
        for place, tensor_axis in enumerate(operand.axes):
            total += self._axis_elements(role, place, tensor_axis, child, joint)
        return total

    def _repeats(self, role: Role, child: int, joint: int) -> Linear:
        """The logarithm of how often each element is fetched, for loops that do not move the operand."""
        others = [name for name in self.names if name not in self.nest.operand(role).dims]
        paid, counting = self.multiples(role, child)
        ratio = Linear()
        for each in paid:
            ratio += each
        joined: list[tuple[int, Linear]] = []
        for (level, axis, name), share in self.share.items():
            if level < child and name in others:
                if level >= joint and self._serves(level, axis, role):
                    joined.append((level, self.spread[level, axis, name]))
                else:
                    ratio += share
        if not others:
            return ratio
        repeats = self.linear.number(0, sum(up(self.whole[name]) for name in others) + SLACK)
        self.linear.at_most(ratio - repeats, 0)
        for level in range(1, min(child + 1, self.count)):
            # Loops that all count make a whole number of tiles, of which the network serves some together.
            tiles = Linear()
            for name in others:
                ranges = self.ranges[name].ranges
                counts = [down(-(-self.whole[name] // most)) for _, most in ranges]
                tiles += weighted_sum(counts, self.size[level][name])
            for at, spread in joined:
                if at < level:
                    tiles -= spread
            self.linear.at_most(tiles - repeats, 0, counting[:level])
        return repeats

    def _axis_elements(self, role: Role, place: int, axis: TensorAxis, child: int, joint: int) -> Linear:
        names = [name for name, _ in axis.terms]
        wholes = tuple(self.whole[name] for name in names)
        if axis.dense:
            return Linear(constant=down(prod(wholes)))
        fetches = self._window(place, axis, child)
        together = [
            spread
            for (level, along, name), spread in self.spread.items()
            if joint <= level < child and name in names and self._serves(level, along, role)
        ]
        if not together:
            return fetches
        once = down_count(fetched(axis, wholes, wholes, once=True))
        total = self.linear.number(once, up(prod(wholes)) + SLACK)
        for spread in together:
            fetches -= spread
        self.linear.at_most(fetches - total, 0)
        return total

    def _window(self, place: int, axis: TensorAxis, child: int) -> Linear:
        """The logarithm of what all tiles at `child` fetch along an axis on which loops meet."""
        names = [name for name, _ in axis.terms]
        wholes = tuple(self.whole[name] for name in names)
        if child == self.count:
            return Linear(constant=down_count(fetched(axis, wholes, (1,) * len(names), once=False)))
        if len(names) not in (1, 2):
            return Linear(constant=down_count(fetched(axis, wholes, wholes, once=True)))
        key = (child, place)
        if key not in self._windows:

            def number(tile: tuple[int, ...]) -> int:
                return down_count(fetched(axis, wholes, tile, once=False))

            every = self._table(names, child, number, largest=True)
            overlaps = len(names) == 2 and self.hierarchy.levels[child].keeps_overlap
            self._windows[key] = self._sliding(axis, child, every) if overlaps else every
        return self._windows[key]

    def _sliding(self, axis: TensorAxis, child: int, every: Linear) -> Linear:
        """As `every` tile fetched whole, unless the loop that moves the window at `child` is one of this axis: then its
        steps together fetch no more than one tile of its whole range."""
        names = [name for name, _ in axis.terms]
        wholes = tuple(self.whole[name] for name in names)
        if child not in self._slides:
            axes = [each for each in self.nest.operand("inputs").axes if not each.dense and len(each.terms) == 2]
            moving = ["", *(name for each in axes for name, _ in each.terms)]
            self._slides[child] = dict(zip(moving, self.linear.one_of(len(moving)), strict=True))
        slides = self._slides[child]
        least, most = down_count(fetched(axis, wholes, wholes, once=True)), self.linear.range_of(every)[1]
        total = self.linear.number(min(0, least), max(most, least))
        self.linear.at_most(Linear(constant=least) - total, 0)
        self.linear.at_most(every - total, 0, [(slides[name], False) for name in names])
        for at, name in enumerate(names):
            other = names[1 - at]
            row = []
            for _, largest in self.ranges[other].ranges:
                tile = (wholes[0], largest) if at == 0 else (largest, wholes[1])
                row.append(down_count(fetched(axis, wholes, tile, once=False)))
            swept = weighted_sum(row, self.size[child][other])
            self.linear.at_most(swept - total, 0, [(slides[name], True)])
        return total

    def _table(self, names: Sequence[str], level: int, number: object, *, largest: bool) -> Linear:
        """At least the number of the tile sizes chosen at `level` (of each range the `largest` or the least size)."""
        assert callable(number)
        ranges = [[pair[largest] for pair in self.ranges[name].ranges] for name in names]
        literals = [self.size[level][name] for name in names]
        if len(names) == 1:
            return weighted_sum([number((size,)) for size in ranges[0]], literals[0])
        order = (0, 1) if len(ranges[0]) >= len(ranges[1]) else (1, 0)
        many, few = order
        rows = []
        for other in ranges[few]:
            tiles = [(size, other) if many == 0 else (other, size) for size in ranges[many]]
            rows.append([number(tile) for tile in tiles])
        total = self.linear.number(min(min(row) for row in rows), max(max(row) for row in rows))
        for literal, row in zip(literals[few], rows, strict=True):
            self.linear.at_most(weighted_sum(row, literals[many]) - total, 0, [(literal, True)])
        return total

    def tile(self, role: Role, level: int) -> Linear:
        """The logarithm of the elements of one instance's tile at `level`, at least."""
        total = Linear()
        for axis in self.nest.operand(role).axes:
            names = [name for name, _ in axis.terms]
            if axis.dense or len(names) not in (1, 2):
                # A window of three loops holds at least what any one of them moves over.
                held_by = names if axis.dense else names[:0]
                for name in held_by:
                    total += self.extent[level][name]
                continue

            def number(tile: tuple[int, ...], axis: TensorAxis = axis) -> int:
                return down(max(1, held(axis, tile)))

            total += self._table(names, level, number, largest=False)
        return total

    def _serves(self, level: int, name: str, role: Role) -> bool:
        axis = next(axis for axis in self.hierarchy.levels[level].fanout if axis.name == name)
        return axis.reduces_outputs if role == "outputs" else role in axis.multicast
