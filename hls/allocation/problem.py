"""Which bits may be chosen, what they cost and what may be spent: the nouns of the allocation, in no solver's words.

A cost is a sum of tables, one entry of each table counting: tables of one tensor's bits and of two tensors' bits at
once. A product of two bit widths is a table of two, so nothing here is approximated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import fsum, inf, isfinite

from model_ir.errors import InfeasibleError, InputError

Bits = Mapping[str, int]
"""Bits by variable: a tensor, a group of its channels, or whatever is to be one precision."""

Single = Mapping[int, float]
"""Cost by bits."""

Pair = Mapping[tuple[int, int], float]
"""Cost by the bits of the first and of the second variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """A quantity in `unit` that a choice of bits decides: `constant` plus an entry of every table."""

    name: str
    unit: str
    singles: Mapping[str, Single] = field(default_factory=dict, repr=False)
    pairs: Mapping[tuple[str, str], Pair] = field(default_factory=dict, repr=False)
    constant: float = 0.0

    def of(self, bits: Bits) -> float:
        """The amount at `bits`, summed without rounding."""
        ones = (table[bits[name]] for name, table in self.singles.items())
        twos = (table[bits[first], bits[second]] for (first, second), table in self.pairs.items())
        return fsum((self.constant, *ones, *twos))


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """At most `limit` of `amount`, in the amount's unit; infinite: counted and not limited."""

    amount: Amount
    limit: float = inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Choose the bits of every variable among `choices` so that `objective` is least and every budget holds."""

    choices: Mapping[str, tuple[int, ...]]
    objective: Amount
    budgets: tuple[Budget, ...] = ()

    @property
    def combinations(self) -> int:
        """How many choices of bits there are."""
        count = 1
        for bits in self.choices.values():
            count *= len(bits)
        return count


class BudgetError(InfeasibleError):
    """No choice of bits meets the budgets. `minima` has the least that each budget alone can be brought to."""

    def __init__(self, budget: Budget, minimum: float, minima: Mapping[str, float], hint: str) -> None:
        """`minimum` is what `budget` would have to allow, in its unit."""
        amount = budget.amount
        super().__init__(
            f"budget {amount.name!r}, minimum {minimum:.10g}",
            demand=minimum,
            capacity=budget.limit,
            unit=amount.unit,
            hint=hint,
        )
        self.minima = dict(minima)


def check(problem: Problem) -> Problem:
    """Return `problem` if it is well formed; otherwise raise InputError that names the table, the entry and why."""
    if not problem.choices:
        raise InputError("allocation", "there is nothing to choose bits for")
    for name, bits in problem.choices.items():
        if not bits or len(set(bits)) != len(bits) or min(bits) < 1:
            raise InputError(f"choices of {name!r}", "must be distinct widths of at least 1 bit", value=bits)
    amounts = [problem.objective, *(budget.amount for budget in problem.budgets)]
    names = [amount.name for amount in amounts]
    if len(set(names)) != len(names):
        raise InputError("allocation", "two amounts share a name", value=", ".join(names))
    for amount in amounts:
        _check_amount(problem, amount)
    for budget in problem.budgets:
        if budget.limit != budget.limit:
            raise InputError(f"budget {budget.amount.name!r}", "the limit is not a number", value=budget.limit)
    return problem


def _check_amount(problem: Problem, amount: Amount) -> None:
    where = f"table {amount.name!r}"
    for name, single in amount.singles.items():
        for bits in _bits(problem, where, name):
            _check_entry(f"{where} of {name!r} at {bits} bits", single.get(bits))
    for (first, second), pair in amount.pairs.items():
        if first == second:
            raise InputError(where, f"pairs {first!r} with itself: give one table of its bits")
        for one in _bits(problem, where, first):
            for other in _bits(problem, where, second):
                _check_entry(f"{where} of {first!r}, {second!r} at {one}, {other} bits", pair.get((one, other)))


def _bits(problem: Problem, where: str, name: str) -> tuple[int, ...]:
    if name not in problem.choices:
        raise InputError(where, "names something that has no choices of bits", value=repr(name))
    return problem.choices[name]


def _check_entry(where: str, value: float | None) -> None:
    if value is None:
        raise InputError(where, "has no entry")
    if not isfinite(value):
        raise InputError(where, "is not a finite number", value=value)
