"""The oracle of the program across layers: every way to put choices together, checked by the rules alone."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

from mapper.across_layers.problem import Choice, NetworkAnswer, NetworkProblem, check_problem, conflict_of, key_of_all
from mapper.solve import Objective, Solve
from model_ir.errors import InfeasibleError


def network_exhaustive(problem: NetworkProblem, *, minimised: Objective = "latency") -> NetworkAnswer:
    """The best execution of all; time is exponential in the layers. Raises InfeasibleError where there is none."""
    started = perf_counter()
    best: tuple[Choice, ...] | None = None
    visited = 0
    for choices in _covers(check_problem(problem), 0):
        visited += 1
        if conflict_of(problem, choices):
            continue
        if best is None or key_of_all(choices) < key_of_all(best):
            best = choices
    if best is None:
        raise InfeasibleError("executions of the network", demand=1, capacity=0, unit="found")
    in_effect = sorted(frozenset().union(*(choice.residences for choice in best)))
    return NetworkAnswer(
        choices=best,
        residences=tuple(problem.residences[number] for number in in_effect),
        solve=Solve.of_all(minimised, key_of_all(best), visited=visited, seconds=perf_counter() - started),
    )


def _covers(problem: NetworkProblem, layer: int) -> Iterator[tuple[Choice, ...]]:
    if layer == problem.layers:
        yield ()
        return
    for choice in problem.choices:
        if choice.layers[0] == layer:
            for rest in _covers(problem, choice.layers[-1] + 1):
                yield choice, *rest
