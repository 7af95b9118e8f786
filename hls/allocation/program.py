"""The allocation as a 0/1 program: one literal a choice of bits, one a pair of choices where a table has two variables.

The literals of a pair's choices add up to those of either variable's choice: exact linearisation of the product (in the
linear relaxation already the convex hull of a pair; Sherali and Adams, SIAM J. Discrete Math. 3, 1990).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from hls.allocation.grid import GridAmount, GridProblem

SolverStatus = Literal["optimal", "feasible", "infeasible", "unknown"]
Terms = dict[int, int]
"""Coefficient by literal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Minimise `objective` over 0/1 literals: of each of `choices` exactly one is 1, each of `links` is zero, each row
    of `rows` is at most its limit. `literal[v]` is the first literal of variable v, its choices in order."""

    literals: int
    literal: Mapping[str, int]
    choices: tuple[tuple[int, ...], ...]
    links: tuple[Terms, ...]
    objective: Terms
    rows: tuple[tuple[Terms, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a solver says: literals of the best point found (None without one) and a proven lower bound of the
    objective, in steps of the grid without its constant."""

    status: SolverStatus
    values: npt.NDArray[np.bool_] | None
    bound: float


class Solver(Protocol):
    """Minimises a program within `seconds` of wall time."""

    def __call__(self, program: Program, seconds: float) -> Answer:
        """Solve `program`."""
        ...


def build(grid: GridProblem, objective: GridAmount, *, limited: bool = True) -> Program:
    """The program that minimises `objective` under the grid's limits (none where not `limited`)."""
    writer = _Writer(grid)
    terms = writer.terms(objective)
    rows = []
    for amount, limit in zip(grid.budgets, grid.limits, strict=True):
        if limited and limit is not None:
            rows.append((writer.terms(amount), limit - amount.constant))
    return Program(
        literals=writer.count,
        literal=writer.first,
        choices=tuple(writer.choices),
        links=tuple(writer.links),
        objective=terms,
        rows=tuple(rows),
    )


def places_of(grid: GridProblem, program: Program, values: npt.NDArray[np.bool_]) -> dict[str, int]:
    """The chosen place of each variable at a point of the program."""
    return {
        name: int(np.argmax(values[program.literal[name] : program.literal[name] + len(bits)]))
        for name, bits in grid.problem.choices.items()
    }


class _Writer:
    def __init__(self, grid: GridProblem) -> None:
        self.count = 0
        self.first: dict[str, int] = {}
        self.choices: list[tuple[int, ...]] = []
        self.links: list[Terms] = []
        self._sizes = {name: len(bits) for name, bits in grid.problem.choices.items()}
        self._pairs: dict[tuple[str, str], int] = {}
        for name, size in self._sizes.items():
            self.first[name] = self._one_of(size)

    def terms(self, amount: GridAmount) -> Terms:
        """`amount` without its constant as a sum over literals."""
        terms: Terms = {}
        for name, table in amount.singles.items():
            for place, cost in enumerate(table):
                _add(terms, self.first[name] + place, cost)
        for (first, second), rows in amount.pairs.items():
            start = self._pair(first, second)
            costs = rows if (first, second) in self._pairs else tuple(zip(*rows, strict=True))
            for place, cost in enumerate(cost for row in costs for cost in row):
                _add(terms, start + place, cost)
        return terms

    def _pair(self, first: str, second: str) -> int:
        """The first literal of the pair's choices, the first variable's choice outer."""
        known = self._pairs.get((first, second), self._pairs.get((second, first)))
        if known is not None:
            return known
        rows, columns = self._sizes[first], self._sizes[second]
        start = self._pairs[first, second] = self._one_of(rows * columns)
        for row in range(rows):
            joint = {start + row * columns + column: 1 for column in range(columns)}
            self.links.append({**joint, self.first[first] + row: -1})
        for column in range(columns):
            joint = {start + row * columns + column: 1 for row in range(rows)}
            self.links.append({**joint, self.first[second] + column: -1})
        return start

    def _one_of(self, size: int) -> int:
        start, self.count = self.count, self.count + size
        self.choices.append(tuple(range(start, start + size)))
        return start


def _add(terms: Terms, literal: int, cost: int) -> None:
    if cost:
        terms[literal] = terms.get(literal, 0) + cost
