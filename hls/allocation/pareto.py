"""Whole Pareto fronts of objective against one budget: ZeroQ's dynamic programme, and by integer programs one after
another where tables have two variables or other budgets count too. Both are exact on the solvers' grid.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

import numpy as np
import numpy.typing as npt

from hls.allocation.cp_sat import solve_cp_sat
from hls.allocation.grid import GridAmount, GridProblem, on_grid
from hls.allocation.problem import Budget, Problem, check
from hls.allocation.program import build, places_of
from model_ir.errors import InfeasibleError, InputError

MOST_POINTS = 2_000_000
"""Points of a partial front that the dynamic programme keeps (48 bytes each)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoPoint:
    """Bits that nothing beats in both: the objective and the budget's amount, each in its unit."""

    bits: dict[str, int]
    objective: float
    amount: float


def front_by_dynamic_programme(problem: Problem, budget: str) -> tuple[ParetoPoint, ...]:
    """The front of a problem whose tables have one variable each, cheapest amount first; nothing above the limit.

    Layer by layer, every partial choice that another beats in both is dropped (Cai et al., ZeroQ, arXiv 2001.00281,
    section 3.3). Raises InputError for tables of two variables or another limited budget, InfeasibleError for a front
    of more than `MOST_POINTS`.
    """
    grid, place = _grid_of(problem, budget)
    amount = grid.budgets[place]
    if amount.pairs or grid.objective.pairs:
        raise InputError("dynamic programme", "a table has two variables; take front_by_programs")
    if any(limit is not None for index, limit in enumerate(grid.limits) if index != place):
        raise InputError("dynamic programme", "another budget is limited; take front_by_programs")
    front = _Front(amounts=np.zeros(1, np.int64), objectives=np.zeros(1, np.int64))
    steps: list[npt.NDArray[np.int64]] = []
    for name, choices in problem.choices.items():
        front, step = _extended(front, _costs(amount, name, len(choices)), _costs(grid.objective, name, len(choices)))
        if len(step) > MOST_POINTS:
            raise InfeasibleError(
                "dynamic programme",
                demand=len(step),
                capacity=MOST_POINTS,
                unit="points",
                hint="round the tables, or take front_by_programs",
            )
        steps.append(step)
    limit = grid.limits[place]
    kept = range(len(front.amounts)) if limit is None else np.flatnonzero(front.amounts + amount.constant <= limit)
    return tuple(_point(grid, amount, _trace(grid, steps, int(index))) for index in kept)


def front_by_programs(problem: Problem, budget: str, *, seconds: float = 60.0) -> tuple[ParetoPoint, ...]:
    """The front under all other budgets, cheapest amount first, by CP-SAT: the least objective, at it the least amount,
    then the same below that amount, until nothing is left.

    Raises InputError when a program is not solved to the optimum in `seconds`.
    """
    grid, place = _grid_of(problem, budget)
    amount = grid.budgets[place]
    points: list[ParetoPoint] = []
    while True:
        best = _solve(grid, grid.objective, seconds)
        if best is None:
            return tuple(reversed(points))
        # Among the objective's optima, the least amount: the objective becomes one more limit.
        tied = replace(grid, budgets=(*grid.budgets, grid.objective), limits=(*grid.limits, grid.objective.of(best)))
        least = _solve(tied, amount, seconds) or best
        points.append(_point(grid, amount, least))
        limits = list(grid.limits)
        limits[place] = amount.of(least) - 1
        grid = replace(grid, limits=tuple(limits))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Front:
    """Points of a partial front, amounts rising and objectives falling."""

    amounts: npt.NDArray[np.int64]
    objectives: npt.NDArray[np.int64]


def _extended(
    front: _Front, amounts: npt.NDArray[np.int64], objectives: npt.NDArray[np.int64]
) -> tuple[_Front, npt.NDArray[np.int64]]:
    """The front with one more variable, and of each point: place in the old front * choices + choice."""
    all_amounts = (front.amounts[:, None] + amounts).ravel()
    all_objectives = (front.objectives[:, None] + objectives).ravel()
    order = np.lexsort((all_objectives, all_amounts))
    falling = all_objectives[order]
    best_before = np.minimum.accumulate(falling)
    kept = order[np.concatenate(([True], falling[1:] < best_before[:-1]))]
    return _Front(amounts=all_amounts[kept], objectives=all_objectives[kept]), kept


def _trace(grid: GridProblem, steps: list[npt.NDArray[np.int64]], index: int) -> dict[str, int]:
    places: dict[str, int] = {}
    for (name, choices), step in zip(reversed(list(grid.problem.choices.items())), reversed(steps), strict=True):
        index, places[name] = divmod(int(step[index]), len(choices))
    return places


def _costs(amount: GridAmount, name: str, count: int) -> npt.NDArray[np.int64]:
    return np.array(amount.singles.get(name, (0,) * count), np.int64)


def _point(grid: GridProblem, amount: GridAmount, places: dict[str, int]) -> ParetoPoint:
    bits = grid.bits(places)
    return ParetoPoint(bits=bits, objective=grid.problem.objective.of(bits), amount=amount.amount.of(bits))


def _solve(grid: GridProblem, objective: GridAmount, seconds: float) -> dict[str, int] | None:
    program = build(grid, objective)
    answer = solve_cp_sat(program, seconds)
    if answer.status == "infeasible":
        return None
    if answer.status != "optimal" or answer.values is None:
        raise InputError("front", "a program was not solved to the optimum in time", value=f"{seconds:g} s")
    return places_of(grid, program, answer.values)


def _grid_of(problem: Problem, budget: str) -> tuple[GridProblem, int]:
    names = [item.amount.name for item in problem.budgets]
    if budget not in names:
        raise InputError("front", "no budget has this name", value=repr(budget), limit=", ".join(names))
    return on_grid(check(problem)), names.index(budget)


def unlimited(problem: Problem) -> Problem:
    """`problem` with its budgets counted and not limited."""
    return replace(problem, budgets=tuple(Budget(amount=item.amount, limit=inf) for item in problem.budgets))
