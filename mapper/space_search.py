"""One mapping space searched to the end: for one goal and then another among its optima, or for the product of two.

The least energy-delay product: of all mappings with fewer cycles than those already settled, the one of least energy
settles itself and all that are slower. So energy only grows and cycles only shrink, until the least energy left times
the least cycles possible is no better than what is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from mapper.cp_sat import CpSat
from mapper.highs import Highs
from mapper.linear_program import Linear, LinearProgram, Minimiser, Outcome
from mapper.mapping_program import Goal, MappingProgram
from mapper.mapping_space import Floor, Space
from mapper.objective import Key, key_from, key_of
from mapper.solve import Objective, SolverName
from simulator.analytical import analytical
from simulator.cost import Cost
from simulator.mapping import Mapping

SOLVERS: dict[SolverName, Callable[[LinearProgram], Minimiser]] = {"cp-sat": CpSat, "highs": Highs}

_GOALS: dict[Objective, tuple[Goal, Goal]] = {
    "latency": ("cycles", "bytes"),
    "traffic": ("bytes", "cycles"),
    "energy": ("energy", "cycles"),
    "energy_delay_product": ("energy", "cycles"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The best mapping found in a space and its cost (None: none as good as what was to beat), with the proven bounds
    of both numbers of the key among mappings as good as what was to beat."""

    mapping: Mapping | None
    cost: Cost | None
    bound: int
    tie_bound: int
    branches: int
    conflicts: int


def search(
    space: Space,
    objective: Objective,
    solver: SolverName,
    deadline: float,
    floor: Floor,
    *,
    hint: Mapping | None = None,
    to_beat: Key | None = None,
) -> Answer | None:
    """The best mapping in `space`, or None where it is proven to hold no legal one with a key as good as `to_beat`.

    `deadline` is a time of perf_counter, `floor` what no mapping of the nest goes below.
    """
    if not space.plans or not len(space.pixels):
        return None
    run = _Search(space, objective, solver, deadline, floor)
    if hint is not None:
        run.hints = run.program.hints(hint)
    if objective == "energy_delay_product":
        return run.least_product(to_beat)
    return run.least_of_both(to_beat)


class _Search:
    def __init__(self, space: Space, objective: Objective, solver: SolverName, deadline: float, floor: Floor) -> None:
        self.space, self.objective, self.deadline, self.floor = space, objective, deadline, floor
        self.program = MappingProgram(space, _GOALS[objective])
        self.solver = SOLVERS[solver](self.program.linear)
        self.hints: dict[int, int] = {}
        self.best: tuple[Key, Mapping, Cost] | None = None
        self.branches = self.conflicts = 0

    def least_of_both(self, to_beat: Key | None) -> Answer | None:
        """The first goal's least, then the second's among its optima."""
        bounds = list(key_from(self.floor.cycles, self.floor.bytes, self.floor.energy, self.objective))
        goals = [self.program.goals[goal] for goal in _GOALS[self.objective]]
        first = 0
        if to_beat is not None:
            self.program.linear.at_most(goals[0], to_beat[0])
            if to_beat[0] == bounds[0]:  # Nothing has less of the first goal, so only the second is open.
                self.program.linear.at_most(goals[1], to_beat[1])
                first = 1
        for stage, goal in list(enumerate(goals))[first:]:
            outcome = self._minimise(goal)
            if outcome.values is None and outcome.exhausted and stage == first:
                return None
            bounds[stage] = max(bounds[stage], outcome.bound)
            if outcome.values is None or self.best is None:
                break
            # The optima are among these, so this bounds the second goal whether or not the first is proven.
            self.program.linear.at_most(goal, self.best[0][stage])
        return self._answer(bounds[0], bounds[1])

    def least_product(self, to_beat: Key | None) -> Answer | None:
        """The least energy times cycles, then the least cycles among its optima."""
        energy, cycles = self.program.goals["energy"], self.program.goals["cycles"]
        floor, best, least_energy = self.floor, to_beat, self.floor.energy
        settled: list[Key] = []
        while best is None or best[0] // least_energy >= floor.cycles:
            if best is not None:
                self.program.linear.at_most(cycles, best[0] // least_energy)
            outcome = self._minimise(energy)
            if outcome.values is None and not outcome.exhausted:
                settled.append((least_energy * floor.cycles, floor.cycles))
            if outcome.values is None:
                break
            least_energy = max(least_energy, outcome.bound)
            cost = self._cost(outcome)
            settled.append((least_energy * int(cost.cycles), int(cost.cycles)))
            key = key_of(cost, self.space.accelerator, self.objective)
            best = key if best is None else min(best, key)
            self.program.linear.at_most(cycles, int(cost.cycles) - 1)
        if not settled:
            return None
        if best is not None:
            settled.append(best)
        return self._answer(*min(settled))

    def _minimise(self, goal: Linear) -> Outcome:
        outcome = self.solver.minimise(goal, self.hints, max(0.01, self.deadline - perf_counter()))
        self.branches, self.conflicts = self.branches + outcome.branches, self.conflicts + outcome.conflicts
        if outcome.values is not None:
            mapping = self.program.mapping(outcome.values)
            cost = analytical(self.space.nest, mapping, self.space.accelerator)
            found = (key_of(cost, self.space.accelerator, self.objective), mapping, cost)
            if self.best is None or found[0] < self.best[0]:
                self.best = found
            self.hints = self.program.hints(mapping)
        return outcome

    def _cost(self, outcome: Outcome) -> Cost:
        assert outcome.values is not None
        mapping = self.program.mapping(outcome.values)
        return analytical(self.space.nest, mapping, self.space.accelerator)

    def _answer(self, bound: int, tie_bound: int) -> Answer:
        return Answer(
            mapping=None if self.best is None else self.best[1],
            cost=None if self.best is None else self.best[2],
            bound=bound,
            tie_bound=tie_bound,
            branches=self.branches,
            conflicts=self.conflicts,
        )
