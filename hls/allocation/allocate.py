"""`allocate`: the bits that cost least under the budgets, with the solver's proof or the minimum that is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from time import perf_counter
from typing import Literal

from hls.allocation.cp_sat import solve_cp_sat
from hls.allocation.grid import GridAmount, GridProblem, on_grid
from hls.allocation.highs import solve_highs
from hls.allocation.problem import BudgetError, Problem, check
from hls.allocation.program import Answer, Solver, build, places_of
from model_ir.errors import InputError

SolverName = Literal["cp-sat", "highs"]

SOLVERS: Mapping[str, Solver] = {"cp-sat": solve_cp_sat, "highs": solve_highs}


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """Chosen bits and the evidence: `objective` and its proven lower `bound` in the objective's unit, what of each
    budget is spent. `status` is "optimal" when the solver proves it, "feasible" when the time ran out before."""

    bits: Mapping[str, int]
    objective: float
    bound: float
    amounts: Mapping[str, float]
    status: Literal["optimal", "feasible"]
    solver: str
    seconds: float

    @property
    def gap(self) -> float:
        """Relative distance of the objective from its bound; 0 when they are equal."""
        return (self.objective - self.bound) / abs(self.objective) if self.objective > self.bound else 0.0


def allocate(problem: Problem, *, solver: SolverName = "cp-sat", seconds: float = 60.0) -> Allocation:
    """The bits of least objective that meet every budget.

    Raises BudgetError with the minimum of each budget when nothing meets them, InputError for a malformed problem, an
    unknown solver and when `seconds` of wall time pass without any answer.
    """
    start = perf_counter()
    grid = on_grid(check(problem))
    answer, places = _minimise(grid, grid.objective, solver, seconds)
    if places is None:
        raise _infeasible(grid, solver, seconds)
    bits = grid.bits(places)
    objective = problem.objective.of(bits)
    proven = grid.objective.real(answer.bound + grid.objective.constant - grid.objective.rounding)
    return Allocation(
        bits=bits,
        objective=objective,
        bound=min(objective, proven),
        amounts={budget.amount.name: budget.amount.of(bits) for budget in problem.budgets},
        status="optimal" if answer.status == "optimal" else "feasible",
        solver=solver,
        seconds=perf_counter() - start,
    )


def minima(problem: Problem, *, solver: SolverName = "cp-sat", seconds: float = 60.0) -> dict[str, float]:
    """The least that each budget's amount can be when no other budget counts, by name, in the amount's unit."""
    return _minima(on_grid(check(problem)), solver, seconds)


def _minima(grid: GridProblem, solver: str, seconds: float) -> dict[str, float]:
    least = {}
    for amount in grid.budgets:
        _, places = _minimise(grid, amount, solver, seconds, limited=False)
        if places is not None:
            least[amount.amount.name] = amount.amount.of(grid.bits(places))
    return least


def _minimise(
    grid: GridProblem, objective: GridAmount, solver: str, seconds: float, *, limited: bool = True
) -> tuple[Answer, dict[str, int] | None]:
    if solver not in SOLVERS:
        raise InputError("solver", "unknown solver", value=repr(solver), limit=", ".join(SOLVERS))
    program = build(grid, objective, limited=limited)
    answer = SOLVERS[solver](program, seconds)
    if answer.status == "unknown":
        raise InputError("allocation", "the time ran out before any answer was found", value=f"{seconds:g} s")
    return answer, None if answer.values is None else places_of(grid, program, answer.values)


def _infeasible(grid: GridProblem, solver: str, seconds: float) -> BudgetError:
    """The budget that is too small by itself or, when each is large enough alone, the first that is too small beside
    the others before it."""
    least = _minima(grid, solver, seconds)
    listed = ", ".join(
        f"{budget.amount.name} {least[budget.amount.name]:.10g} {budget.amount.unit}" for budget in grid.problem.budgets
    )
    for index, limit in enumerate(grid.limits):
        budget = grid.problem.budgets[index]
        if limit is not None and least[budget.amount.name] > budget.limit:
            return BudgetError(budget, least[budget.amount.name], least, f"least of each budget alone: {listed}")
    for index, budget in enumerate(grid.problem.budgets):
        before = GridProblem(
            problem=grid.problem,
            objective=grid.objective,
            budgets=grid.budgets,
            limits=tuple(limit if place < index else None for place, limit in enumerate(grid.limits)),
        )
        _, places = _minimise(before, grid.budgets[index], solver, seconds)
        minimum = inf if places is None else budget.amount.of(grid.bits(places))
        if minimum > budget.limit:
            hint = f"least beside the budgets before it; least of each budget alone: {listed}"
            return BudgetError(budget, minimum, least, hint)
    raise AssertionError("a program without an answer has budgets that exclude each other")
