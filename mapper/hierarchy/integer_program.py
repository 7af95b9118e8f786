"""Mappings of any nest onto any memory hierarchy, each with a proven bound.

The program (`hierarchy.program`) bounds every mapping from below, and the tiles, spreading and orders of its answer are
a mapping up to rounding, from which `hierarchy.descent` moves on while the exact cost falls. What costs more than the
best mapping known is out of question, so a better one makes a tighter program. Where a nest is small, all mappings with
the tiles and the spreading that the program chose are costed one by one and that choice is struck out: so the bound
rises to the optimum.

The least energy-delay product: least energies under ever more cycles, from the least cycles on; a mapping whose cycles
lie between two limits costs at least the energy under the larger times the smaller.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from time import perf_counter
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from mapper.hierarchy.bound import lower_bound
from mapper.hierarchy.cells import Cell, Cells
from mapper.hierarchy.descent import Found, Question, descend, found, repaired, shapes_of
from mapper.hierarchy.program import GRAIN, Budget, HierarchyProgram
from mapper.hierarchy.search import hierarchy_search
from mapper.linear_program import Linear
from mapper.solve import Objective, Solve, SolverName
from mapper.space_search import SOLVERS
from model_ir.errors import InputError
from simulator.hierarchy.cost import HierarchyCost
from simulator.hierarchy.dataflow import DATAFLOWS
from simulator.hierarchy.description import ROLES, Dataflow, Hierarchy
from simulator.hierarchy.mapping import HierarchyMapping, LevelMapping, TemporalLoop, check_legal
from simulator.hierarchy.nest import TensorNest

_FIRST_EVALUATIONS = 120
"""Mappings that the search for a first one costs."""

_EVALUATIONS_PER_SECOND = 500
"""What annealing costs at least on one core, for sharing out time."""

_MOST_EVALUATIONS = 4000
"""Beyond this annealing has been seen to gain little."""

_PROGRAM_GAP = 0.4
"""Share of the gap allowed that the program itself may leave."""

_SOLVER_SHARE = 0.5
"""Share of the time left that one program may take; rounding its answer takes time too."""

_DESCENT_SHARE = 0.3
"""Share of the time left that one descent may take."""

_EXACT = 1e-9
"""Costs are sums of floating-point numbers: two that differ by no more are equal."""

_Point = npt.NDArray[np.int64]
"""Values of a program's variables."""

Goal = Literal["cycles", "bytes", "energy"]
_GOALS: dict[Objective, Goal] = {"latency": "cycles", "traffic": "bytes", "energy": "energy"}


def solve_on_hierarchy(
    nest: TensorNest,
    hierarchy: Hierarchy,
    *,
    objective: Objective = "latency",
    solver: SolverName = "highs",
    flow: Dataflow = DATAFLOWS[0],
    bypass: bool = False,
    gap: float = 0.0,
    time_limit_seconds: float = 10.0,
) -> tuple[HierarchyMapping, HierarchyCost, Solve]:
    """A mapping, its cost, and how far it is at most from any other of that dataflow: within `gap` (relative) unless
    the time runs out. With `bypass` a level need not keep what it stores.

    Raises InfeasibleError where not even tiles of one element fit, InputError for an objective or solver that does not
    exist, and where no mapping with the dataflow was found.
    """
    for path, value, known in (("objective", objective, Objective), ("solver", solver, SolverName)):
        if value not in get_args(known):
            raise InputError(path, f"must be one of {', '.join(get_args(known))}", value=value)
    if not time_limit_seconds > 0:
        raise InputError("time_limit_seconds", "must be positive", value=time_limit_seconds)
    if not 0 <= gap < 1:
        raise InputError("gap", "must be at least 0 and below 1", value=gap)
    started = perf_counter()
    question = Question(nest=nest, hierarchy=hierarchy, objective=objective, flow=flow, bypass=bypass)
    run = _Run(question=question, solver=solver, gap=gap, deadline=started + time_limit_seconds)
    run.best = _first(question)
    run.bound = min(run.best.key[0], lower_bound(nest, hierarchy, objective))
    if objective == "energy_delay_product":
        run.sweep()
    else:
        run.close(_GOALS[objective])
    return run.best.mapping, run.best.cost, run.evidence(perf_counter() - started)


def _first(question: Question) -> Found:
    """Any mapping: of a short search, or one element at a time."""
    try:
        mapping, _, _ = hierarchy_search(
            question.nest,
            question.hierarchy,
            objective=question.objective,
            flow=question.flow,
            bypass=question.bypass,
            evaluations=_FIRST_EVALUATIONS,
        )
    except InputError:
        mapping = _one_by_one(question)
        check_legal(question.nest, mapping, question.hierarchy)
    first = found(question, mapping)
    if first is None:
        raise InputError(
            f"nest {question.nest.name}", "no mapping with the dataflow was found", value=question.flow.name
        )
    return first


def _searched(question: Question, evaluations: int) -> Found | None:
    try:
        mapping, _, _ = hierarchy_search(
            question.nest,
            question.hierarchy,
            objective=question.objective,
            flow=question.flow,
            bypass=question.bypass,
            evaluations=evaluations,
        )
    except InputError:
        return None
    return found(question, mapping)


def _one_by_one(question: Question) -> HierarchyMapping:
    loops = tuple(TemporalLoop(dim=name, tile=1) for name, _ in question.nest.dims)
    keeps = [
        tuple(role for role in ROLES if role in level.stores and not (index and question.bypass))
        for index, level in enumerate(question.hierarchy.levels)
    ]
    return HierarchyMapping(
        levels=tuple(LevelMapping(temporal=() if index else loops, keeps=kept) for index, kept in enumerate(keeps))
    )


@dataclass(slots=True, kw_only=True)
class _Run:
    question: Question
    solver: SolverName
    gap: float
    deadline: float
    best: Found = field(init=False)
    bound: float = 0.0
    branches: int = 0
    struck: list[Cell] = field(default_factory=list)
    annealed: bool = False

    def close(self, goal: Goal) -> None:
        """Solve, round and strike out until the bound meets the best mapping, or nothing helps, or time is out."""
        cells = Cells.of(self.question.nest, self.question.hierarchy)
        self.annealed = cells.ways is not None
        while self._open(self.best.key[0], self.bound) and perf_counter() < self.deadline:
            budget = self.best.key[0] * (1 + _EXACT)
            program = self.program(Budget(**{goal: budget}))
            least, values = self.least(program, getattr(program, goal), budget)
            self.bound = min(self.best.key[0], max(self.bound, least))
            if values is None or not self._open(self.best.key[0], self.bound):
                return
            before = self.best.key[0]
            self.round(program, values)
            self.anneal()
            cell = cells.at(program, values)
            if cell is not None and cell not in self.struck:
                for mapping in cells.mappings(cell, self.question):
                    self.take(found(self.question, mapping))
                self.struck.append(cell)
            elif self.best.key[0] >= before:
                return

    def sweep(self) -> None:
        """Least energies under ever more cycles."""
        least_cycles, least_energy = self._least("cycles", inf), self._least("energy", inf)
        self.bound = max(self.bound, least_cycles * least_energy)
        low, settled = least_cycles, inf
        while low * least_energy < min(self.best.key[0], settled) and perf_counter() < self.deadline:
            high = low * (1 + max(0.02, self.gap / 2))
            energy = max(least_energy, self._least("energy", high))
            settled = min(settled, low * energy)
            low = high
        self.bound = min(self.best.key[0], max(self.bound, min(settled, low * least_energy)))

    def _least(self, goal: Goal, cycles: float) -> float:
        """The least of a goal, of mappings of at most so many cycles that are not worse than the best."""
        product, cost = self.best.key[0], self.best.cost
        floors = {
            "cycles": lower_bound(self.question.nest, self.question.hierarchy, "latency"),
            "energy": lower_bound(self.question.nest, self.question.hierarchy, "energy"),
        }
        most = {"cycles": product / floors["energy"], "energy": product / floors["cycles"]}
        if goal == "cycles":
            budget = Budget(cycles=min(most["cycles"], cost.cycles))
            full = budget.cycles
        else:
            budget = Budget(energy=most["energy"], cycles=cycles if cycles < inf else None)
            full = budget.energy
        assert full is not None
        program = self.program(budget)
        least, values = self.least(program, getattr(program, goal), full)
        if values is not None:
            self.round(program, values)
        return max(least, floors[goal])

    def program(self, budget: Budget) -> HierarchyProgram:
        """The program under a budget, without what is struck out."""
        question = self.question
        program = HierarchyProgram(
            question.nest, question.hierarchy, budget, flow=question.flow, bypass=question.bypass
        )
        for cell in self.struck:
            literals = cell.literals(program)
            program.linear.at_most(Linear(terms=dict.fromkeys(literals, 1)), len(literals) - 1)
        return program

    def least(
        self, program: HierarchyProgram, goal: Linear, budget: float
    ) -> tuple[float, npt.NDArray[np.int64] | None]:
        """The proven least of a goal, `budget` being a whole one; and the point found, None where there is none."""
        seconds = max(0.01, _SOLVER_SHARE * (self.deadline - perf_counter()))
        outcome = SOLVERS[self.solver](program.linear).minimise(goal, {}, seconds, self.gap * _PROGRAM_GAP)
        self.branches += outcome.branches
        if outcome.values is None:
            # Nothing at all costs less than the budget; or nothing is known.
            return (budget if outcome.exhausted else 0.0), None
        return (outcome.bound - program.slop) / GRAIN * budget, outcome.values

    def round(self, program: HierarchyProgram, values: _Point) -> None:
        """Mappings near a point of the program."""
        for shape in shapes_of(program, values):
            now = perf_counter()
            until = now + _DESCENT_SHARE * max(0.0, self.deadline - now)
            self.take(descend(self.question, repaired(self.question, shape), until))

    def anneal(self) -> None:
        """Once, where rounding did not do and the nest is too large to close mapping by mapping: another search."""
        seconds = self.deadline - perf_counter()
        evaluations = min(_MOST_EVALUATIONS, int(seconds / 2 * _EVALUATIONS_PER_SECOND))
        if self.annealed or evaluations < _FIRST_EVALUATIONS or not self._open(self.best.key[0], self.bound):
            return
        self.annealed = True
        self.take(_searched(self.question, evaluations))

    def take(self, other: Found | None) -> None:
        """Keep the better one."""
        if other is not None and other.key < self.best.key:
            self.best = other

    def _open(self, first: float, bound: float) -> bool:
        return first - bound > max(self.gap, _EXACT) * first

    def evidence(self, seconds: float) -> Solve:
        """What is proven."""
        first, second = self.best.key
        tie: Objective = "traffic" if self.question.objective == "latency" else "latency"
        bound = first if first - self.bound <= _EXACT * first else self.bound
        tie_bound = min(second, lower_bound(self.question.nest, self.question.hierarchy, tie))
        return Solve(
            solver=self.solver,
            status="optimal" if (bound, tie_bound) == (first, second) else "feasible",
            minimised=self.question.objective,
            objective=first,
            bound=bound,
            tie_objective=second,
            tie_bound=tie_bound,
            wall_seconds=seconds,
            branches=self.branches,
            conflicts=0,
        )
