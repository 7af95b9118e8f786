"""The slow oracle of `hierarchy_cost`: runs the loops of a mapping step by step with the sets of elements that every
instance of every level holds, and counts what is moved. For nests of a few thousand multiply-accumulates.

Nothing is shared with the fast counts but the nouns and where a tile is fetched (`fill_loop`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product

from simulator.hierarchy.cost import Traffic
from simulator.hierarchy.description import ROLES, Hierarchy, Role
from simulator.hierarchy.mapping import (
    HierarchyMapping,
    PlacedLoop,
    check_legal,
    parent_level,
    write_loop,
)
from simulator.hierarchy.nest import Operand, TensorNest

Element = tuple[int, ...]
Path = tuple[int, ...]
"""An instance: the number of the chunk that it has of each spatial loop so far, outermost first."""
Ranges = dict[str, range]
"""What is left of every dim to the loops inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """What was counted: traffic by (level, role) of all instances and of the busiest one, the most elements one
    instance held, steps of the multipliers and multiply-accumulates."""

    traffic: dict[tuple[int, Role], Traffic]
    busiest: dict[tuple[int, Role], Traffic]
    largest: dict[tuple[int, Role], int]
    steps: int
    macs: int


def walk(nest: TensorNest, mapping: HierarchyMapping, hierarchy: Hierarchy) -> Walked:
    """Run the nest; raises what `check_legal` raises for a mapping that does not fit."""
    loops = check_legal(nest, mapping, hierarchy)
    runner = _Runner(nest=nest, mapping=mapping, hierarchy=hierarchy, loops=loops)
    runner.body(0, {(): {name: range(size) for name, size in nest.dims}}, entered=None, first=True)
    return runner.walked()


@dataclass(slots=True, kw_only=True)
class _Runner:
    nest: TensorNest
    mapping: HierarchyMapping
    hierarchy: Hierarchy
    loops: tuple[PlacedLoop, ...]
    counts: Counter[tuple[int, Role, Path, str]] = field(default_factory=Counter)
    held: dict[tuple[int, Role, Path], set[Element]] = field(default_factory=dict)
    started: dict[tuple[int, Path], set[Element]] = field(default_factory=dict)
    """Output elements of which an instance holds a partial sum."""
    largest: Counter[tuple[int, Role]] = field(default_factory=Counter)
    steps: int = 0
    macs: int = 0

    def body(self, place: int, instances: Mapping[Path, Ranges], *, entered: int | None, first: bool) -> None:
        """Run the loops from `place` in lock step; `entered` is the temporal loop whose step has just begun, `first`
        whether that is its first."""
        fetchers = [
            (level, role)
            for level in range(1, len(self.hierarchy.levels) + 1)
            for role in self._fetches(level, entered)
        ]
        tiles = (
            {each: self._tiles(place, instances, each[1], each[0]) for each in fetchers} if first is not None else {}
        )
        for level, role in fetchers:
            if role == "outputs":
                self._begin_sums(level, tiles[level, role])
            else:
                self._fetch(level, role, tiles[level, role], steps_on=not first)
        self._loop(place, instances)
        for level, role in reversed(fetchers):
            if role == "outputs":
                self._end_sums(level, tiles[level, role])

    def _fetches(self, level: int, entered: int | None) -> Iterator[Role]:
        levels = len(self.hierarchy.levels)
        for role in ROLES:
            kept = level == levels or role in self.mapping.levels[level].keeps
            if kept and write_loop(self.nest.operand(role), self.loops, level, levels) == entered:
                yield role

    def _loop(self, place: int, instances: Mapping[Path, Ranges]) -> None:
        if place == len(self.loops):
            self.steps += 1
            self.macs += len(instances)
            return
        loop = self.loops[place]
        if loop.axis is not None:
            self._loop(place + 1, dict(_spread(instances, loop)))
        else:
            trips = max(len(_chunks(ranges[loop.dim], loop.tile)) for ranges in instances.values())
            for number in range(trips):
                taking = dict(_taking(instances, loop, number))
                if loop.trips > 1:
                    self.body(place + 1, taking, entered=place, first=number == 0)
                else:
                    self._loop(place + 1, taking)

    def _tiles(self, place: int, instances: Mapping[Path, Ranges], role: Role, level: int) -> dict[Path, set[Element]]:
        """The elements that each instance of `level` touches until the loops from `place` are done."""
        operand = self.nest.operand(role)
        tiles: dict[Path, set[Element]] = {}
        reached = [(path, ranges, place) for path, ranges in instances.items()]
        while reached:
            path, ranges, at = reached.pop()
            if at == len(self.loops) or self.loops[at].level >= level:
                tiles.setdefault(path, set()).update(_touched(operand, ranges))
                continue
            loop = self.loops[at]
            for number, chunk in enumerate(_chunks(ranges[loop.dim], loop.tile)):
                inner = path if loop.axis is None else (*path, number)
                reached.append((inner, {**ranges, loop.dim: chunk}, at + 1))
        return tiles

    def _fetch(self, level: int, role: Role, tiles: Mapping[Path, set[Element]], *, steps_on: bool) -> None:
        parent = parent_level(self.mapping, role, level)
        memory = self.hierarchy.levels[level] if level < len(self.hierarchy.levels) else None
        sent: dict[Path, set[Element]] = {}
        for path, tile in tiles.items():
            slides = steps_on and memory is not None and memory.keeps_overlap
            new = tile - self.held.get((level, role, path), set()) if slides else tile
            self.held[level, role, path] = tile
            self._count(level, role, path, "fills", len(new))
            self.largest[level, role] = max(self.largest[level, role], len(tile))
            sent.setdefault(self._group(path, role, parent, level), set()).update(new)
        for group, elements in sent.items():
            self._count(parent, role, group[: self._depth(parent)], "sends", len(elements))

    def _begin_sums(self, level: int, tiles: Mapping[Path, set[Element]]) -> None:
        """Every instance of `level` begins its sums at nothing, or at what its parent has of them."""
        parent = parent_level(self.mapping, "outputs", level)
        served: dict[Path, set[Element]] = {}
        for path in sorted(tiles):
            self.largest[level, "outputs"] = max(self.largest[level, "outputs"], len(tiles[path]))
            known: set[Element] = set()
            if not self.hierarchy.levels[parent].accumulates:
                at = path[: self._depth(parent)]
                done = served.setdefault(self._group(path, "outputs", parent, level), set())
                known = (tiles[path] & self.started.get((parent, at), set())) - done
                done |= known
                self._count(parent, "outputs", at, "sends", len(known))
                self._count(level, "outputs", path, "fills", len(known))
            self.started[level, path] = known

    def _end_sums(self, level: int, tiles: Mapping[Path, set[Element]]) -> None:
        """Every instance of `level` writes its sums; those that the network adds arrive as one."""
        parent = parent_level(self.mapping, "outputs", level)
        arriving: dict[Path, set[Element]] = {}
        for path, tile in tiles.items():
            self._count(level, "outputs", path, "drains", len(tile))
            arriving.setdefault(self._group(path, "outputs", parent, level), set()).update(tile)
        for group, elements in arriving.items():
            at = group[: self._depth(parent)]
            known = self.started.setdefault((parent, at), set())
            self._count(parent, "outputs", at, "updates", len(elements))
            if self.hierarchy.levels[parent].accumulates:
                self._count(parent, "outputs", at, "additions", len(elements & known))
            known |= elements

    def _group(self, path: Path, role: Role, parent: int, level: int) -> Path:
        """The path with -1 for every loop inside `parent` whose instances the network serves together."""
        spatial = [loop for loop in self.loops if loop.axis is not None and loop.level < level]
        return tuple(
            -1 if loop.level >= parent and self._together(role, loop) else number
            for loop, number in zip(spatial, path, strict=True)
        )

    def _together(self, role: Role, loop: PlacedLoop) -> bool:
        axis = {axis.name: axis for axis in self.hierarchy.levels[loop.level].fanout}[str(loop.axis)]
        return axis.reduces_outputs if role == "outputs" else role in axis.multicast

    def _depth(self, level: int) -> int:
        return sum(loop.axis is not None and loop.level < level for loop in self.loops)

    def _count(self, level: int, role: Role, path: Path, what: str, amount: int) -> None:
        self.counts[level, role, path, what] += amount

    def walked(self) -> Walked:
        """The counts as traffic."""
        totals: dict[tuple[int, Role], Counter[str]] = {}
        most: dict[tuple[int, Role], Counter[str]] = {}
        for (level, role, _, what), amount in self.counts.items():
            totals.setdefault((level, role), Counter())[what] += amount
            busiest = most.setdefault((level, role), Counter())
            busiest[what] = max(busiest[what], amount)
        return Walked(
            traffic={key: Traffic(role=key[1], **counts) for key, counts in totals.items()},
            busiest={key: Traffic(role=key[1], **counts) for key, counts in most.items()},
            largest=dict(self.largest),
            steps=self.steps,
            macs=self.macs,
        )


def _chunks(whole: range, tile: int) -> list[range]:
    return [whole[first : first + tile] for first in range(0, len(whole), tile)]


def _spread(instances: Mapping[Path, Ranges], loop: PlacedLoop) -> Iterator[tuple[Path, Ranges]]:
    for path, ranges in instances.items():
        for number, chunk in enumerate(_chunks(ranges[loop.dim], loop.tile)):
            yield (*path, number), {**ranges, loop.dim: chunk}


def _taking(instances: Mapping[Path, Ranges], loop: PlacedLoop, number: int) -> Iterator[tuple[Path, Ranges]]:
    """The instances that have a chunk of that number, with it."""
    for path, ranges in instances.items():
        chunks = _chunks(ranges[loop.dim], loop.tile)
        if number < len(chunks):
            yield path, {**ranges, loop.dim: chunks[number]}


def _touched(operand: Operand, ranges: Ranges) -> set[Element]:
    """Elements at the points of a box of loops, padding left out."""
    axes = []
    for axis in operand.axes:
        reached = {
            axis.offset + sum(step * at for (_, step), at in zip(axis.terms, point, strict=True))
            for point in product(*(ranges[name] for name, _ in axis.terms))
        }
        axes.append([index for index in reached if 0 <= index < axis.size])
    return set(product(*axes))
