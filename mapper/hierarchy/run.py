"""One run of a mapper onto a memory hierarchy: the best mapping so far, the bound proven so far, and what moves either:
programs under a budget, rounding of their points, annealing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import numpy.typing as npt

from mapper.hierarchy.bound import lower_bound
from mapper.hierarchy.cells import Cell
from mapper.hierarchy.descent import Found, Question, descend, found, repaired, shapes_of
from mapper.hierarchy.program import GRAIN, Budget, HierarchyProgram
from mapper.hierarchy.search import hierarchy_search
from mapper.highs import Highs
from mapper.linear_program import Linear
from mapper.solve import Objective, Solve, SolverName
from mapper.space_search import SOLVERS
from model_ir.errors import InputError
from simulator.hierarchy.description import ROLES
from simulator.hierarchy.mapping import HierarchyMapping, LevelMapping, TemporalLoop, check_legal

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

EXACT = 1e-9
"""Costs are sums of floating-point numbers: two that differ by no more are equal."""

Point = npt.NDArray[np.int64]
"""Values of a program's variables."""


def first_mapping(question: Question) -> Found:
    """Any mapping: of a short search, or one element at a time. Raises InfeasibleError where that does not fit,
    InputError where it lacks the dataflow."""
    searched = _searched(question, _FIRST_EVALUATIONS)
    if searched is not None:
        return searched
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
class Run:
    """`best` and `bound` (of the question's objective), until `deadline` (perf_counter); `struck` are the cells whose
    mappings have all been costed."""

    question: Question
    solver: SolverName
    gap: float
    deadline: float
    best: Found
    bound: float = 0.0
    branches: int = 0
    struck: list[Cell] = field(default_factory=list)
    annealed: bool = False

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

    def relaxed(self, program: HierarchyProgram, goal: Linear) -> float | None:
        """The least of a goal without whole numbers, as a share of its budget: near the truth, no proof. None where
        nothing is within the budget."""
        least = Highs(program.linear).relaxation(goal, max(0.01, self.deadline - perf_counter()))
        return None if least is None else least / GRAIN

    def anything(self, program: HierarchyProgram) -> tuple[bool, Point | None]:
        """Whether it is proven that nothing costs as little as the program's budgets; else any point of it. Without a
        goal a solver is done many times sooner."""
        seconds = max(0.01, _SOLVER_SHARE * (self.deadline - perf_counter()))
        outcome = SOLVERS[self.solver](program.linear).minimise(Linear(), {}, seconds, self.gap)
        self.branches += outcome.branches
        return outcome.values is None and outcome.exhausted, outcome.values

    def least(self, program: HierarchyProgram, goal: Linear, budget: float) -> tuple[float, Point | None]:
        """The proven least of a goal, `budget` being a whole one; and the point found, None where there is none."""
        seconds = max(0.01, _SOLVER_SHARE * (self.deadline - perf_counter()))
        outcome = SOLVERS[self.solver](program.linear).minimise(goal, {}, seconds, self.gap * _PROGRAM_GAP)
        self.branches += outcome.branches
        if outcome.values is None:
            # Nothing at all costs less than the budget; or nothing is known.
            return (budget if outcome.exhausted else 0.0), None
        return (outcome.bound - program.slop) / GRAIN * budget, outcome.values

    def round(self, program: HierarchyProgram, values: Point) -> None:
        """Mappings near a point of the program: from its second shape on where the first leads to nothing better."""
        before = self.best
        for shape in shapes_of(program, values):
            now = perf_counter()
            until = now + _DESCENT_SHARE * max(0.0, self.deadline - now)
            self.take(descend(self.question, repaired(self.question, shape), until))
            if self.best is not before:
                return

    def anneal(self) -> None:
        """Once, where rounding did not do and the nest is too large to close mapping by mapping: another search."""
        seconds = self.deadline - perf_counter()
        evaluations = min(_MOST_EVALUATIONS, int(seconds / 2 * _EVALUATIONS_PER_SECOND))
        if self.annealed or evaluations < _FIRST_EVALUATIONS or not self.open:
            return
        self.annealed = True
        self.take(_searched(self.question, evaluations))

    def take(self, other: Found | None) -> None:
        """Keep the better one."""
        if other is not None and other.key < self.best.key:
            self.best = other

    @property
    def open(self) -> bool:
        """Whether more is to be proven and time is left."""
        first = self.best.key[0]
        return first - self.bound > max(self.gap, EXACT) * first and perf_counter() < self.deadline

    def prove(self, bound: float) -> None:
        """No mapping costs less."""
        self.bound = min(self.best.key[0], max(self.bound, bound))

    def evidence(self, seconds: float) -> Solve:
        """What is proven."""
        first, second = self.best.key
        tie: Objective = "traffic" if self.question.objective == "latency" else "latency"
        bound = first if first - self.bound <= EXACT * first else self.bound
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
