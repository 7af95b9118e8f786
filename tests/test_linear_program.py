"""Linear programs: both solvers against trying every point, on small random programs of all kinds of rows."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapper.cp_sat import CpSat
from mapper.highs import Highs
from mapper.linear_program import Linear, LinearProgram, Outcome, weighted_sum

SOLVERS = {"cp-sat": CpSat, "highs": Highs}


def value(expression: Linear, point: tuple[int, ...]) -> int:
    return expression.constant + sum(factor * point[variable] for variable, factor in expression.terms.items())


def admits(program: LinearProgram, point: tuple[int, ...]) -> bool:
    """Whether a point satisfies everything that the program says, read off its definition."""
    for row in program.rows:
        if all(point[variable] == wanted for variable, wanted in row.when):
            number = value(row.expression, point)
            if (row.most is not None and number > row.most) or (row.least is not None and number < row.least):
                return False
    sums = [(sum(point[variable] for variable in choice.variables), choice.exact) for choice in program.choices]
    return all(total == 1 if exact else total <= 1 for total, exact in sums)


def least(program: LinearProgram, goal: Linear) -> int | None:
    ranges = [range(low, high + 1) for low, high in zip(program.least, program.most, strict=True)]
    return min((value(goal, point) for point in product(*ranges) if admits(program, point)), default=None)


@st.composite
def programs(draw: st.DrawFn) -> tuple[LinearProgram, Linear, Linear, int]:
    """A program of two choices, a number that one of them picks and one pressed from below; its goal; and a later row
    (expression, limit)."""
    program, coefficient = LinearProgram(), st.integers(-9, 9)
    first, second = program.one_of(draw(st.integers(1, 3))), program.one_of(draw(st.integers(1, 3)))
    literals = [*first, *second]
    program.at_most_one(draw(st.lists(st.sampled_from(literals), max_size=3, unique=True)))
    number = program.number(0, 60)
    picked = program.number(-5, 20)
    program.equal(weighted_sum([draw(st.integers(-5, 20)) for _ in first], first) - picked, 0)
    program.at_most(picked - number, draw(coefficient))
    for _ in range(draw(st.integers(1, 4))):
        terms = {literal: draw(coefficient) for literal in draw(st.lists(st.sampled_from(literals), unique=True))}
        conditions = st.tuples(st.sampled_from(literals), st.booleans())
        when = draw(st.lists(conditions, max_size=2, unique_by=lambda condition: condition[0]))
        pressed = draw(st.sampled_from((0, -1)))
        program.at_most(Linear(terms=terms, constant=draw(coefficient)) + pressed * number, draw(coefficient), when)
    goal = number + weighted_sum([draw(coefficient) for _ in second], second) + draw(coefficient)
    return program, goal, weighted_sum([draw(coefficient) for _ in literals], literals), draw(coefficient)


def check(program: LinearProgram, goal: Linear, outcome: Outcome) -> None:
    best = least(program, goal)
    assert outcome.exhausted
    if best is None:
        assert outcome.values is None
        return
    assert outcome.values is not None
    point = tuple(outcome.values.tolist())
    assert admits(program, point)
    assert (value(goal, point), outcome.bound) == (best, best)


@pytest.mark.parametrize("solver", SOLVERS)
@settings(max_examples=80, deadline=None, derandomize=True)
@given(case=programs())
def test_solvers_find_and_prove_the_least_and_follow_new_rows(
    case: tuple[LinearProgram, Linear, Linear, int], solver: str
) -> None:
    program, goal, expression, limit = case
    model = SOLVERS[solver](program)
    first = model.minimise(goal, {}, 10.0)
    check(program, goal, first)
    program.at_most(expression, limit)
    hints = {} if first.values is None else dict(enumerate(first.values.tolist()))
    check(program, goal, model.minimise(goal, hints if expression_holds(expression, limit, first) else {}, 10.0))


def expression_holds(expression: Linear, limit: int, outcome: Outcome) -> bool:
    return outcome.values is not None and value(expression, tuple(outcome.values.tolist())) <= limit


def test_expressions_add_up() -> None:
    x, y = Linear(terms={0: 1}), Linear(terms={1: 1})
    expression = 3 - 2 * (x + 2 * y - 1) + x * 4
    assert value(expression, (10, 100)) == 3 - 2 * (10 + 200 - 1) + 40
    assert (x * 0).terms == {}


@pytest.mark.parametrize("solver", SOLVERS)
def test_no_time_claims_nothing(solver: str) -> None:
    """A knapsack too hard for no time at all: whatever is said must be true."""
    program, generator = LinearProgram(), np.random.default_rng(0)
    items = [program.one_of(2)[0] for _ in range(40)]
    weights = generator.integers(10**5, 10**6, 40).tolist()
    program.at_most(weighted_sum(weights, items), sum(weights) // 2)
    goal = -weighted_sum(weights, items)
    outcome = SOLVERS[solver](program).minimise(goal, {}, 1e-9)
    assert outcome.bound <= -(sum(weights) // 2) + 10**5
    if outcome.values is None:
        assert not outcome.exhausted
