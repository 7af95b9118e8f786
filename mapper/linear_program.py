"""Integer linear programs in no solver's words: bounded integers, linear rows, choices, and rows that hold under
conditions.

A program is built once and then only ever tightened, so a solver's own model of it can follow along. `mapper.cp_sat`
and `mapper.highs` lower it; nothing here knows either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

Condition = tuple[int, bool]
"""A 0/1 variable and the value it must have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """The sum of `terms` (coefficient by variable) and a `constant`, integers all."""

    terms: Mapping[int, int] = field(default_factory=dict)
    constant: int = 0

    def __add__(self, other: Linear | int) -> Linear:
        """Sum of two expressions."""
        if isinstance(other, int):
            return Linear(terms=self.terms, constant=self.constant + other)
        terms = dict(self.terms)
        for variable, coefficient in other.terms.items():
            terms[variable] = terms.get(variable, 0) + coefficient
        return Linear(terms=terms, constant=self.constant + other.constant)

    __radd__ = __add__

    def __mul__(self, factor: int) -> Linear:
        """The expression times a number."""
        terms = {variable: factor * coefficient for variable, coefficient in self.terms.items()} if factor else {}
        return Linear(terms=terms, constant=factor * self.constant)

    __rmul__ = __mul__

    def __neg__(self) -> Linear:
        """The expression's negative."""
        return self * -1

    def __sub__(self, other: Linear | int) -> Linear:
        """Difference of two expressions."""
        return self + -other

    def __rsub__(self, other: int) -> Linear:
        """A number less the expression."""
        return -self + other


def weighted_sum(weights: Iterable[int], variables: Iterable[int]) -> Linear:
    """Sum of weight times variable, pair by pair; the variables are distinct."""
    return Linear(terms={variable: weight for variable, weight in zip(variables, weights, strict=True) if weight})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`least` <= expression <= `most` (None: open) where every condition of `when` holds; a row with conditions has no
    `least`."""

    expression: Linear
    least: int | None
    most: int | None
    when: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Of these 0/1 variables one is 1: exactly or, where not `exact`, at most."""

    variables: tuple[int, ...]
    exact: bool


class LinearProgram:
    """Variables are numbered from 0; `least` and `most` are their bounds."""

    def __init__(self) -> None:
        self.least: list[int] = []
        self.most: list[int] = []
        self.rows: list[Row] = []
        self.choices: list[Choice] = []

    def variable(self, least: int, most: int) -> int:
        """A new integer of [least, most]."""
        self.least.append(least)
        self.most.append(most)
        return len(self.least) - 1

    def number(self, least: int, most: int) -> Linear:
        """A new integer of [least, most] as an expression."""
        return Linear(terms={self.variable(least, most): 1})

    def one_of(self, count: int) -> tuple[int, ...]:
        """New 0/1 variables of which exactly one is 1."""
        literals = tuple(self.variable(0, 1) for _ in range(count))
        self.choices.append(Choice(variables=literals, exact=True))
        return literals

    def at_most_one(self, literals: Iterable[int]) -> None:
        """At most one of these 0/1 variables is 1."""
        self.choices.append(Choice(variables=tuple(literals), exact=False))

    def at_most(self, expression: Linear | int, limit: int, when: Sequence[Condition] = ()) -> None:
        """`expression` <= `limit` where every condition of `when` holds."""
        expression = expression if isinstance(expression, Linear) else Linear(constant=expression)
        if not expression.terms and expression.constant > limit:
            # Then not all of the conditions may hold.
            literals = Linear(terms={literal: 1 if value else -1 for literal, value in when})
            self.rows.append(Row(expression=literals, least=None, most=sum(value for _, value in when) - 1))
            return
        self.rows.append(Row(expression=expression, least=None, most=limit, when=tuple(when)))

    def equal(self, expression: Linear, value: int) -> None:
        """`expression` == `value`."""
        self.rows.append(Row(expression=expression, least=value, most=value))

    def range_of(self, expression: Linear) -> tuple[int, int]:
        """The least and most that the variables' bounds let `expression` be."""
        least = most = expression.constant
        for variable, coefficient in expression.terms.items():
            ends = (coefficient * self.least[variable], coefficient * self.most[variable])
            least, most = least + min(ends), most + max(ends)
        return least, most


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a solver says of one minimisation.

    `values` (variables,) of the best point found, None without one; `bound`: no point has a smaller goal; `exhausted`:
    the solver claims there is no better point, or, without values, no point at all. `branches` and `conflicts` count
    its work (a solver that has no conflicts says 0).
    """

    values: npt.NDArray[np.int64] | None
    bound: int
    exhausted: bool
    branches: int
    conflicts: int


class Minimiser(Protocol):
    """A solver's model of one program; follows rows that are added to it."""

    def minimise(self, goal: Linear, hints: Mapping[int, int], seconds: float, gap: float = 0.0) -> Outcome:
        """The least of `goal` over the program, from `hints` (values by variable) on, in `seconds` of wall time;
        within `gap` (relative) of the bound is good enough, and then `exhausted` says no more than that."""
        ...
