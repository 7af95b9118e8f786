"""A good mapping onto a hierarchy by simulated annealing: an answer without proof, and the start of those with one.

A state is the size that the tile of each dim has inside each place for a loop (`hierarchy_space.Slot`), the operand
whose loops are outermost and the next at each level, the copies and what is passed by. A step changes how many chunks
one loop makes, taking the factor from, or giving it to, a place further inside. Random choices come from a fixed seed:
the same question has the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice, permutations
from math import exp, inf, log, prod
from operator import attrgetter
from random import Random
from time import perf_counter

from mapper.hierarchy.bound import lower_bound
from mapper.hierarchy.objective import compared
from mapper.hierarchy.space import hierarchy_slots
from mapper.solve import Objective, Solve
from model_ir.errors import InfeasibleError, InputError
from simulator.hierarchy.cost import HierarchyCost, hierarchy_cost
from simulator.hierarchy.dataflow import DATAFLOWS, obeys
from simulator.hierarchy.description import ROLES, Dataflow, Hierarchy, Role
from simulator.hierarchy.mapping import (
    HierarchyMapping,
    LevelMapping,
    SpatialLoop,
    TemporalLoop,
    check_legal,
)
from simulator.hierarchy.nest import TensorNest

EVALUATIONS = 4000
"""Mappings costed for one nest, unless said otherwise."""

_ORDERS = tuple(permutations(ROLES))
_STARTS = 6
"""Ways to spread a nest that annealing starts from."""
_BEAM = 64
"""Ways to spread a nest that are kept while axes are given to dims."""
_HOT, _COLD = 0.05, 0.001
"""Temperature, in logarithms of the cost, at the beginning and the end of one annealing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """`tiles[dim][slot]`; per level the index of its order, whether it has two copies, what it keeps."""

    tiles: tuple[tuple[int, ...], ...]
    orders: tuple[int, ...]
    doubled: tuple[bool, ...]
    keeps: tuple[tuple[Role, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    score: float
    state: _State
    mapping: HierarchyMapping
    cost: HierarchyCost


def hierarchy_search(
    nest: TensorNest,
    hierarchy: Hierarchy,
    *,
    objective: Objective = "latency",
    flow: Dataflow = DATAFLOWS[0],
    bypass: bool = False,
    evaluations: int = EVALUATIONS,
) -> tuple[HierarchyMapping, HierarchyCost, Solve]:
    """A mapping with its cost; `Solve` says how far it is, at most, from any mapping (`hierarchy.bound`).

    Raises InputError where no mapping with the dataflow was found that fits.
    """
    started = perf_counter()
    search = _Search(nest, hierarchy, objective, flow, bypass)
    best = search.run(evaluations)
    if best is None:
        raise InputError(f"nest {nest.name}", f"no mapping of it onto {hierarchy.name} was found", value=flow.name)
    first, second = compared(best.cost, objective)
    bound = lower_bound(nest, hierarchy, objective)
    tie_bound = lower_bound(nest, hierarchy, "traffic" if objective == "latency" else "latency")
    evidence = Solve(
        solver="annealing",
        status="optimal" if (bound, tie_bound) == (first, second) else "feasible",
        minimised=objective,
        objective=first,
        bound=bound,
        tie_objective=second,
        tie_bound=tie_bound,
        wall_seconds=perf_counter() - started,
        branches=search.costed,
        conflicts=0,
        note="searched, not proven",
    )
    return best.mapping, best.cost, evidence


def _counts(extent: int, size: int) -> list[int]:
    """Numbers of chunks of `extent`, at most `size`, that no smaller number makes as small: 2, ..."""
    return [count for count in range(2, min(extent, size) + 1) if -(-extent // count) < -(-extent // (count - 1))]


@lru_cache(maxsize=1 << 12)
def _divisors(number: int) -> tuple[int, ...]:
    return tuple(divisor for divisor in range(1, number + 1) if number % divisor == 0)


class _Search:
    def __init__(
        self, nest: TensorNest, hierarchy: Hierarchy, objective: Objective, flow: Dataflow, bypass: bool
    ) -> None:
        self.nest, self.hierarchy, self.objective, self.flow, self.bypass = nest, hierarchy, objective, flow, bypass
        self.slots = hierarchy_slots(hierarchy)
        self.random = Random(0)
        self.seen: dict[_State, _Found | None] = {}
        self.costed = 0

    def run(self, evaluations: int) -> _Found | None:
        """The best state met within so many costed mappings; fewer once nothing can be better."""
        bound = lower_bound(self.nest, self.hierarchy, self.objective)
        legal = (found for found in map(self.found, self.starts()) if found is not None)
        starts = sorted(islice(legal, 2 * _STARTS), key=lambda found: (found.cost.compute_cycles, found.score))[
            :_STARTS
        ]
        best: _Found | None = None
        temporal = [place for place, slot in enumerate(self.slots) if slot.axis is None]
        for place, start in enumerate(starts):
            share = (evaluations - self.costed) // (len(starts) - place + 3)
            ended = self.anneal(start, share, places=temporal)
            if best is None or ended.score < best.score:
                best = ended
            if compared(best.cost, self.objective)[0] == bound:
                break
        if best is None:
            return None
        everywhere = range(len(self.slots))
        left = evaluations - self.costed
        if compared(best.cost, self.objective)[0] > bound:
            best = self.anneal(best, left * 2 // 3, places=everywhere, hot=_HOT)
            left -= left * 2 // 3
        return self.polish(best, min(left, evaluations // 4), everywhere)

    def polish(self, best: _Found, evaluations: int, places: Sequence[int]) -> _Found:
        """A state as good by the objective and better by what decides among equals, if one is met."""
        most, _ = compared(best.cost, self.objective)
        scores: dict[_State, float] = {}

        def tie(found: _Found) -> float:
            if found.state not in scores:
                first, second = compared(found.cost, self.objective)
                worth = log(second + 1) + 1e-2 * log(found.cost.energy_pj + 1)
                scores[found.state] = worth if first <= most else inf
            return scores[found.state]

        return self.anneal(best, evaluations, places=places, hot=_HOT, score=tie)

    def anneal(
        self,
        start: _Found,
        evaluations: int,
        *,
        places: Sequence[int],
        hot: float = _HOT,
        score: Callable[[_Found], float] = attrgetter("score"),
    ) -> _Found:
        """The best state met on a random walk that turns from any step to steps that are better; loops change in
        `places`, in the others they keep their trips."""
        here = best = start
        begun, tries = self.costed, 0
        while self.costed - begun < evaluations and tries < 20 * evaluations:
            tries += 1
            done = max((self.costed - begun) / evaluations, tries / (20 * evaluations))
            found = self.found(self.neighbour(here.state, places))
            if found is None:
                continue
            temperature = hot * (_COLD / hot) ** done
            worse = score(found) - score(here)
            if worse <= 0 or self.random.random() < exp(-worse / temperature):
                here = found
                if score(here) < score(best):
                    best = here
        return best

    def found(self, state: _State) -> _Found | None:
        """The state's mapping and cost, None where it does not fit or lacks the dataflow."""
        if state not in self.seen:
            self.seen[state] = self._costed(state)
        return self.seen[state]

    def _costed(self, state: _State) -> _Found | None:
        if not self._spreads(state):
            return None
        mapping = self.mapping(state)
        try:
            loops = check_legal(self.nest, mapping, self.hierarchy)
        except (InfeasibleError, InputError):
            return None
        if not obeys(self.nest, loops, mapping, self.flow):
            return None
        self.costed += 1
        cost = hierarchy_cost(self.nest, mapping, self.hierarchy)
        return _Found(score=self.score(cost), state=state, mapping=mapping, cost=cost)

    def _spreads(self, state: _State) -> bool:
        for place, slot in enumerate(self.slots):
            if (
                slot.axis is not None
                and prod(self.trips(state, dim, place) for dim in range(len(state.tiles))) > slot.size
            ):
                return False
        return True

    def score(self, cost: HierarchyCost) -> float:
        """The objective's logarithm; a little of what else is worth having leads the way where that is level."""
        first, second = compared(cost, self.objective)
        ports = cost.compute_cycles + sum(level.cycles for level in cost.levels)
        return log(first) + 1e-3 * log(second) + 1e-2 * log(ports) + 1e-3 * log(cost.energy_pj + 1)

    def trips(self, state: _State, dim: int, place: int) -> int:
        """Chunks of a dim's loop in a slot."""
        tiles = state.tiles[dim]
        return -(-(tiles[place - 1] if place else self.nest.dims[dim][1]) // tiles[place])

    def mapping(self, state: _State) -> HierarchyMapping:
        """The mapping that a state is."""
        levels = []
        for index in range(len(self.hierarchy.levels)):
            temporal: list[TemporalLoop] = []
            spatial: list[SpatialLoop] = []
            for place, slot in enumerate(self.slots):
                if slot.level != index:
                    continue
                for dim, (name, _) in enumerate(self.nest.dims):
                    if self.trips(state, dim, place) == 1:
                        continue
                    tile = state.tiles[dim][place]
                    if slot.axis is None:
                        temporal.append(TemporalLoop(dim=name, tile=tile))
                    else:
                        spatial.append(SpatialLoop(dim=name, tile=tile, axis=slot.axis))
            order = [self.nest.operand(role).dims for role in _ORDERS[state.orders[index]]]
            temporal.sort(key=lambda loop: tuple(loop.dim not in dims for dims in order))
            levels.append(
                LevelMapping(
                    temporal=tuple(temporal),
                    spatial=tuple(spatial),
                    keeps=state.keeps[index],
                    double_buffered=state.keeps[index] if state.doubled[index] else (),
                )
            )
        return HierarchyMapping(levels=tuple(levels))

    # Where to begin

    def starts(self) -> Iterator[_State]:
        """The widest spreads over the axes, all else in DRAM."""
        for spread in self._spread():
            levels = self.hierarchy.levels
            first = next(index for index, order in enumerate(_ORDERS) if self.flow.stationary in (None, order[0]))
            yield _State(
                tiles=tuple(self._tiles(dim, spread[dim]) for dim in range(len(self.nest.dims))),
                orders=(first,) * len(levels),
                doubled=tuple(not level.streams and index > 0 for index, level in enumerate(levels)),
                keeps=tuple(tuple(role for role in ROLES if role in level.stores) for level in levels),
            )

    def _spread(self) -> list[tuple[tuple[int, ...], ...]]:
        """Trips of each dim in each slot: for one axis after the other, those that take fewest steps most loops first,
        axes that take few kinds of loops before those that take many."""
        none = (1,) * len(self.slots)
        beam = [((none,) * len(self.nest.dims), tuple(self._outside(dim) for dim in range(len(self.nest.dims))))]
        axes = [place for place, slot in enumerate(self.slots) if slot.axis is not None]
        for place in sorted(axes, key=lambda place: len(self.slots[place].kinds)):
            wider = {}
            for trips, left in beam:
                for given in self._given(place, left):
                    spread = tuple(
                        (*row[:place], count, *row[place + 1 :]) for row, count in zip(trips, given, strict=True)
                    )
                    wider[spread] = tuple(-(-extent // count) for extent, count in zip(left, given, strict=True))
            beam = sorted(wider.items(), key=lambda item: prod(item[1]))[:_BEAM]
        return [trips for trips, _ in beam]

    def _given(self, place: int, left: Sequence[int]) -> list[tuple[int, ...]]:
        """Ways to share an axis among at most two dims."""
        slot = self.slots[place]
        fit = [dim for dim, kind in enumerate(self.nest.kinds) if kind in slot.kinds and left[dim] > 1]
        none = [1] * len(left)
        ways = [tuple(none)]
        for dim in fit:
            for count in _counts(left[dim], slot.size):
                one = [*none[:dim], count, *none[dim + 1 :]]
                ways.append(tuple(one))
                for other in fit:
                    if other > dim:
                        most = _counts(left[other], slot.size // count)
                        ways.extend((*one[:other], more, *one[other + 1 :]) for more in most[-1:])
        return ways

    def _outside(self, dim: int) -> int:
        """Positions of a dim that may be spread: one where the dataflow wants all of it inside."""
        return 1 if self.nest.kinds[dim] in self.flow.whole_inside else self.nest.dims[dim][1]

    def _tiles(self, dim: int, spread: Sequence[int]) -> tuple[int, ...]:
        """Spread as said; the rest of the dim steps at the outermost level, or where the dataflow wants all of it: at
        the innermost that stores inputs."""
        size = self.nest.dims[dim][1]
        if self.nest.kinds[dim] in self.flow.whole_inside:
            inner = max(index for index, level in enumerate(self.hierarchy.levels) if "inputs" in level.stores)
            return tuple(1 if slot.level >= inner else size for slot in self.slots)
        inside = prod(spread)
        tiles = [min(size, inside)]
        for trips in spread[1:]:
            tiles.append(-(-tiles[-1] // trips))
        return tuple(tiles)

    # Where to go

    def neighbour(self, state: _State, places: Sequence[int]) -> _State:
        """A random state one step away."""
        draw = self.random.random()
        levels = len(self.hierarchy.levels)
        if draw < 0.75 and state.tiles:
            return self._resized(state, places)
        level = self.random.randrange(levels)
        if draw < 0.92 or level == 0:
            orders = list(state.orders)
            orders[level] = self.random.randrange(len(_ORDERS))
            return replace(state, orders=tuple(orders))
        if draw < 0.96 or not self.bypass:
            doubled = list(state.doubled)
            doubled[level] = not doubled[level] and not self.hierarchy.levels[level].streams
            return replace(state, doubled=tuple(doubled))
        keeps = list(state.keeps)
        role = self.random.choice(self.hierarchy.levels[level].stores)
        kept = set(keeps[level]) ^ {role}
        keeps[level] = tuple(each for each in ROLES if each in kept)
        return replace(state, keeps=tuple(keeps))

    def _resized(self, state: _State, places: Sequence[int]) -> _State:
        """Another number of chunks for one loop, with the factor moved to or from a place further inside: one that
        divides what is there for both, most of the time."""
        dim = self.random.randrange(len(state.tiles))
        outer, inner = sorted(self.random.sample(places, 2))
        tiles = list(state.tiles[dim])
        extent = tiles[outer - 1] if outer else self.nest.dims[dim][1]
        least = tiles[inner]
        if extent == least:
            return state
        trips = -(-extent // tiles[outer])
        most = -(-extent // least)
        wanted = self.random.choice((1, trips // 2, trips - 1, trips + 1, trips * 2, most))
        if self.random.random() < 0.7:
            wanted = self.random.choice(_divisors(trips * -(-tiles[inner - 1] // least)))
        if self.slots[outer].axis is not None:
            wanted = min(wanted, self.slots[outer].size) if self.nest.kinds[dim] in self.slots[outer].kinds else 1
        size = -(-extent // min(max(1, wanted), most))
        ratio = size / tiles[outer]
        before = extent
        for place in range(outer, inner):
            scaled = size if place == outer else round(tiles[place] * ratio)
            tiles[place] = before = min(before, max(least, scaled))
        if self._misplaced(dim, tiles):
            return state
        changed = list(state.tiles)
        changed[dim] = tuple(tiles)
        return replace(state, tiles=tuple(changed))

    def _misplaced(self, dim: int, tiles: Sequence[int]) -> bool:
        """Whether a loop of this kind ended on an axis that does not take it, or is too short."""
        before = self.nest.dims[dim][1]
        for slot, tile in zip(self.slots, tiles, strict=True):
            trips = -(-before // tile)
            if slot.axis is not None and trips > 1 and (trips > slot.size or self.nest.kinds[dim] not in slot.kinds):
                return True
            before = tile
        return False
