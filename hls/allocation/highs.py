"""The allocation's program on HiGHS, through scipy.optimize.milp.

HiGHS computes in floating point: it takes a literal within 1e-6 for a whole number and a row that is exceeded by 1e-6
for kept. So each answer is checked in integers, one that breaks a limit is forbidden and the program solved again; and
what HiGHS calls proven is lowered by that share of the objective's reach before it is called a bound here.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from hls.allocation.program import Answer, Program, Terms

_TOLERANCE = 1e-6
"""HiGHS's mip_feasibility_tolerance and primal_feasibility_tolerance, which scipy leaves at their defaults."""

_OBJECTIVE_REACH = 1e4
"""The objective is scaled to this reach, so that HiGHS's absolute gap of 1e-6 is far below its relative tolerance."""


def solve_highs(program: Program, seconds: float) -> Answer:
    """Minimise `program` within `seconds`."""
    end = perf_counter() + seconds
    everything = _Search(program=program, useless=(), reach=_reach(program, ()))
    first = everything.solve(end)
    if first.values is None or first.status != "optimal":
        return first
    # Choices that alone cost more than the answer found stretch the objective and with it HiGHS's tolerance.
    useless = _useless(program, _sum(program.objective, first.values))
    reach = _reach(program, useless)
    if reach > everything.reach / 2:
        return first
    second = _Search(program=program, useless=useless, reach=reach).solve(end)
    return first if second.values is None else second


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """`program` without the literals `useless`; `reach` is how far apart its objective's values can be."""

    program: Program
    useless: tuple[int, ...]
    reach: int

    def solve(self, end: float) -> Answer:
        program, scale = self.program, _OBJECTIVE_REACH / (self.reach or 1)
        forbidden: list[Terms] = [{literal: 1} for literal in self.useless]
        while True:
            answer = _milp(program, forbidden, scale, max(0.01, end - perf_counter()))
            if answer.x is None:
                return Answer(status="infeasible" if answer.status == 2 else "unknown", values=None, bound=-np.inf)
            values = np.round(answer.x).astype(np.bool_)
            if all(_sum(terms, values) <= limit for terms, limit in program.rows):
                break
            forbidden.append({index: 1 for choice in program.choices for index in choice if values[index]})
        bound = float(answer.mip_dual_bound) / scale - _TOLERANCE * self.reach
        return Answer(status="optimal" if answer.status == 0 else "feasible", values=values, bound=bound)


def _useless(program: Program, upper: int) -> tuple[int, ...]:
    """Literals that no point as good as `upper` has: with the least of every other choice they cost more."""
    costs = program.objective
    least = [min(costs.get(index, 0) for index in choice) for choice in program.choices]
    spare = upper - sum(least)
    pairs = zip(program.choices, least, strict=True)
    return tuple(index for choice, low in pairs for index in choice if costs.get(index, 0) - low > spare)


def _reach(program: Program, useless: tuple[int, ...]) -> int:
    """Sum over the choices of their largest less their least cost."""
    gone, total = set(useless), 0
    for choice in program.choices:
        costs = [program.objective.get(index, 0) for index in choice if index not in gone]
        total += max(costs) - min(costs)
    return total


def _milp(program: Program, forbidden: list[Terms], scale: float, seconds: float) -> Any:
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    rows: list[tuple[Terms, float, float]] = [(dict.fromkeys(choice, 1), 1.0, 1.0) for choice in program.choices]
    rows += [(link, 0.0, 0.0) for link in program.links]
    rows += [(terms, -np.inf, float(limit)) for terms, limit in program.rows]
    rows += [(terms, -np.inf, len(terms) - 1.0) for terms in forbidden]
    data: list[float] = []
    columns: list[int] = []
    starts, least, most = [0], [], []
    for terms, low, high in rows:
        largest = max(map(abs, terms.values()), default=1)
        data.extend(cost / largest for cost in terms.values())
        columns.extend(terms)
        starts.append(len(columns))
        least.append(low / largest)
        most.append(high / largest)
    costs = np.zeros(program.literals)
    for index, cost in program.objective.items():
        costs[index] = cost * scale
    matrix = csr_array((data, columns, starts), shape=(len(rows), program.literals))
    return milp(
        costs,
        integrality=np.ones(program.literals),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(matrix, np.array(least), np.array(most)),
        options={"time_limit": seconds, "mip_rel_gap": 0.0},
    )


def _sum(terms: Terms, values: npt.NDArray[np.bool_]) -> int:
    return sum(cost for index, cost in terms.items() if values[index])
