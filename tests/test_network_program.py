"""The program across layers against every execution there is, on random small problems."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapper.across_layers.exhaustive import network_exhaustive
from mapper.across_layers.problem import MEMORIES, Choice, NetworkProblem, Residence, check_problem, conflict_of
from mapper.across_layers.program import solve_network
from model_ir.errors import InfeasibleError, InputError


@st.composite
def problems(draw: st.DrawFn) -> NetworkProblem:
    """Up to five layers; every layer has a choice for each set of residences that touch it, or nearly; some neighbours
    can be fused, which leaves no residence of theirs in effect."""
    layers = draw(st.integers(1, 5))
    residences = []
    for number in range(draw(st.integers(0, 3)) if layers > 1 else 0):
        first = draw(st.integers(0, layers - 2))
        last = draw(st.integers(first + 1, layers - 1))
        between = draw(st.sets(st.integers(first, last), max_size=1))
        residences.append(
            Residence(
                tensor=f"t{number}",
                memory=draw(st.sampled_from(MEMORIES)),
                rows=draw(st.integers(1, 8)),
                first=first,
                last=last,
                touched=frozenset({first, last} | between),
            )
        )
    choices = []
    for layer in range(layers):
        touching = [number for number, residence in enumerate(residences) if layer in residence.touched]
        for size in range(len(touching) + 1):
            for known in combinations(touching, size):
                if not known or draw(st.integers(0, 5)):
                    choices.append(_choice(draw, (layer,), known))
    for first in range(layers - 1):
        if draw(st.booleans()):
            choices.append(_choice(draw, tuple(range(first, draw(st.integers(first + 2, layers)))), ()))
    return NetworkProblem(
        layers=layers,
        choices=tuple(choices),
        residences=tuple(residences),
        capacity={"scratchpad": draw(st.integers(4, 16)), "accumulator": draw(st.integers(4, 16))},
    )


def _choice(draw: st.DrawFn, layers: tuple[int, ...], known: tuple[int, ...]) -> Choice:
    return Choice(
        layers=layers,
        kind="",
        residences=frozenset(known),
        key=(draw(st.integers(1, 9)), draw(st.integers(1, 9))),
        rows={"scratchpad": draw(st.integers(0, 6)), "accumulator": draw(st.integers(0, 6))},
    )


@settings(derandomize=True, deadline=None, max_examples=120)
@given(problems())
def test_the_program_is_as_good_as_trying_everything(problem: NetworkProblem) -> None:
    try:
        expected = network_exhaustive(problem)
    except InfeasibleError:
        with pytest.raises(InfeasibleError):
            solve_network(problem, workers=1)
        return
    found = solve_network(problem, workers=1)
    assert conflict_of(problem, found.choices) == ""
    assert found.key == expected.key
    assert found.solve.status == "optimal"
    assert (found.solve.objective, found.solve.tie_objective) == (
        expected.solve.objective,
        expected.solve.tie_objective,
    )
    known = {number for choice in found.choices for number in choice.residences}
    assert found.residences == tuple(problem.residences[number] for number in sorted(known))


@settings(derandomize=True, deadline=None, max_examples=30)
@given(problems(), st.sampled_from(MEMORIES))
def test_more_memory_is_never_slower(problem: NetworkProblem, memory: str) -> None:
    try:
        before = solve_network(problem, workers=1).key
    except InfeasibleError:
        return
    larger = NetworkProblem(
        layers=problem.layers,
        choices=problem.choices,
        residences=problem.residences,
        capacity=problem.capacity | {memory: problem.capacity[memory] + 3},
    )
    assert solve_network(larger, workers=1).key <= before


def test_nonsense_is_refused() -> None:
    choice = Choice(layers=(0,), kind="", residences=frozenset(), key=(1, 1), rows={})
    sound = {"layers": 2, "residences": (), "capacity": {"scratchpad": 1, "accumulator": 1}}
    for layers, message in (((0, 2), "neighbours"), ((1, 2), "no such layer"), ((), "neighbours")):
        wrong = Choice(layers=layers, kind="", residences=frozenset(), key=(1, 1), rows={})
        with pytest.raises(InputError, match=message):
            check_problem(NetworkProblem(choices=(wrong,), **sound))
    stray = Choice(layers=(0,), kind="", residences=frozenset({3}), key=(1, 1), rows={})
    with pytest.raises(InputError, match="no such residence"):
        check_problem(NetworkProblem(choices=(stray,), **sound))
    with pytest.raises(InputError, match="positive"):
        solve_network(NetworkProblem(choices=(choice,), **sound), time_limit_seconds=0)


def test_an_answer_that_cannot_be_says_what_is_missing() -> None:
    choice = Choice(layers=(0,), kind="", residences=frozenset(), key=(1, 1), rows={"scratchpad": 9})
    problem = NetworkProblem(layers=1, choices=(choice,), residences=(), capacity={"scratchpad": 5, "accumulator": 5})
    with pytest.raises(InfeasibleError, match="needs 9 rows, has 5 rows"):
        solve_network(problem)
