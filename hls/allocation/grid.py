"""Amounts as integers, so that every solver compares the same exact numbers.

An amount is put on a grid of a power of two of its unit, fine enough that the whole amount takes `GRID_BITS` bits:
tables of whole numbers, halves, ... stay what they are, other entries are off by less than 2^-GRID_BITS of the
largest total. A limit is widened by half a step an entry, so that what meets it exactly in real numbers still does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, frexp, inf, ldexp

from hls.allocation.problem import Amount, Bits, Budget, Problem

GRID_BITS = 40
"""CP-SAT has been seen to err on coefficients above 2^42; 2^-40 is a millionth of a millionth of the total."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GridAmount:
    """`amount` in steps of 2^-`shift` units: one row of each table per variable, in the order of its choices."""

    amount: Amount
    shift: int
    singles: Mapping[str, tuple[int, ...]]
    pairs: Mapping[tuple[str, str], tuple[tuple[int, ...], ...]]
    constant: int

    def of(self, places: Mapping[str, int]) -> int:
        """Steps when each variable takes the choice at its place."""
        ones = sum(table[places[name]] for name, table in self.singles.items())
        twos = sum(table[places[first]][places[second]] for (first, second), table in self.pairs.items())
        return self.constant + ones + twos

    @property
    def rounding(self) -> int:
        """Steps by which all entries' rounding together may shift the amount: half a step each."""
        return (len(self.singles) + len(self.pairs) + 2) // 2

    def real(self, steps: float) -> float:
        """`steps` in the amount's unit."""
        return ldexp(steps, -self.shift)


@dataclass(frozen=True, slots=True, kw_only=True)
class GridProblem:
    """A problem in integers; `limits` in steps of the budget at the same place, None where there is none."""

    problem: Problem
    objective: GridAmount
    budgets: tuple[GridAmount, ...]
    limits: tuple[int | None, ...]

    def feasible(self, places: Mapping[str, int]) -> bool:
        """Whether the choices at `places` meet every limit."""
        pairs = zip(self.budgets, self.limits, strict=True)
        return all(limit is None or budget.of(places) <= limit for budget, limit in pairs)

    def bits(self, places: Mapping[str, int]) -> dict[str, int]:
        """The bits at `places`."""
        return {name: choices[places[name]] for name, choices in self.problem.choices.items()}

    def places(self, bits: Bits) -> dict[str, int]:
        """Where `bits` stand among the choices."""
        return {name: choices.index(bits[name]) for name, choices in self.problem.choices.items()}


def on_grid(problem: Problem) -> GridProblem:
    """`problem` in integers."""
    budgets = tuple(_grid(problem, budget.amount) for budget in problem.budgets)
    return GridProblem(
        problem=problem,
        objective=_grid(problem, problem.objective),
        budgets=budgets,
        limits=tuple(_limit(budget, grid) for budget, grid in zip(problem.budgets, budgets, strict=True)),
    )


def _grid(problem: Problem, amount: Amount) -> GridAmount:
    tables = [list(single.values()) for single in amount.singles.values()]
    tables += [list(pair.values()) for pair in amount.pairs.values()]
    tables.append([amount.constant])
    reach = sum(max(map(abs, table), default=0.0) for table in tables)
    shift = GRID_BITS - frexp(reach)[1] if reach else 0

    def steps(values: Sequence[float]) -> tuple[int, ...]:
        return tuple(round(ldexp(value, shift)) for value in values)

    choices = problem.choices
    return GridAmount(
        amount=amount,
        shift=shift,
        singles={name: steps([table[bits] for bits in choices[name]]) for name, table in amount.singles.items()},
        pairs={
            (first, second): tuple(steps([table[one, other] for other in choices[second]]) for one in choices[first])
            for (first, second), table in amount.pairs.items()
        },
        constant=steps([amount.constant])[0],
    )


def _limit(budget: Budget, grid: GridAmount) -> int | None:
    if budget.limit == inf:
        return None
    highest = 1 << (GRID_BITS + 2)
    return floor(max(-highest, min(highest, ldexp(budget.limit, grid.shift)))) + grid.rounding
