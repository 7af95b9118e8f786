"""The integer program across layers: which choices, which residences; by OR-tools CP-SAT, with proof.

A binary a choice and one a residence. Every layer is executed by exactly one choice; a residence is in effect exactly
if the choice of every layer that touches it says so; at every layer, the rows of its choice and of what is resident fit
each memory. Costs add up, since layers run one after another, so the program is linear and its optimum is that of the
choices offered. The first objective is minimised, then the second among its optima.
"""

from __future__ import annotations

from math import ceil
from time import perf_counter
from typing import Any

from ortools.sat.python import cp_model

from mapper.across_layers.problem import MEMORIES, Choice, NetworkAnswer, NetworkProblem, check_problem, key_of_all
from mapper.solve import Objective, Solve
from model_ir.errors import InfeasibleError, InputError


def solve_network(
    problem: NetworkProblem, *, minimised: Objective = "latency", time_limit_seconds: float = 60.0, workers: int = 2
) -> NetworkAnswer:
    """The best execution of the network and the evidence; `minimised` names what the keys count.

    Raises InfeasibleError where no execution fits, InputError for a problem that means nothing, for a time limit that
    is not positive, and where the time did not suffice for any answer.
    """
    if not time_limit_seconds > 0:
        raise InputError("time_limit_seconds", "must be positive", value=time_limit_seconds)
    started = perf_counter()
    model, taken = _model(check_problem(problem))
    first = _terms(problem, taken, 0)
    model.minimize(first)
    solver = _solver(time_limit_seconds, workers)
    status = solver.solve(model)
    if status == cp_model.INFEASIBLE:
        raise InfeasibleError(
            "rows on chip for the least demanding choice of every layer",
            **_least_demand(problem),
            unit="rows",
            hint="take a machine with more memory",
        )
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        raise InputError("time_limit_seconds", "no answer in that time", value=time_limit_seconds)
    chosen = _chosen(problem, taken, solver)
    best, second = key_of_all(chosen)
    bound, tie_bound = _bound(solver, status, best), 0
    branches, conflicts = solver.num_branches, solver.num_conflicts
    if bound == best:
        model.add(first <= best)
        for variable in taken:
            model.add_hint(variable, solver.value(variable))
        model.minimize(_terms(problem, taken, 1))
        again = _solver(max(0.1, time_limit_seconds - (perf_counter() - started)), workers)
        status = again.solve(model)
        if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            chosen = _chosen(problem, taken, again)
            second = key_of_all(chosen)[1]
            tie_bound = _bound(again, status, second)
        branches, conflicts = branches + again.num_branches, conflicts + again.num_conflicts
    in_effect = sorted(frozenset().union(*(choice.residences for choice in chosen)))
    return NetworkAnswer(
        choices=chosen,
        residences=tuple(problem.residences[number] for number in in_effect),
        solve=Solve(
            solver="cp-sat",
            minimised=minimised,
            status="optimal" if (bound, tie_bound) == (best, second) else "feasible",
            objective=best,
            bound=bound,
            tie_objective=second,
            tie_bound=tie_bound,
            wall_seconds=perf_counter() - started,
            branches=branches,
            conflicts=conflicts,
        ),
    )


def _model(problem: NetworkProblem) -> tuple[Any, list[Any]]:
    model = cp_model.CpModel()
    taken = [model.new_bool_var(f"choice {number}") for number in range(len(problem.choices))]
    resident = [model.new_bool_var(f"residence {number}") for number in range(len(problem.residences))]
    of_layer: list[list[int]] = [[] for _ in range(problem.layers)]
    for number, choice in enumerate(problem.choices):
        for layer in choice.layers:
            of_layer[layer].append(number)
    for numbers in of_layer:
        model.add_exactly_one(taken[number] for number in numbers)
    for number, residence in enumerate(problem.residences):
        for layer in residence.touched:
            knowing = [taken[other] for other in of_layer[layer] if number in problem.choices[other].residences]
            model.add(sum(knowing) == resident[number])
    for layer, numbers in enumerate(of_layer):
        for memory in MEMORIES:
            rows = [problem.choices[number].rows.get(memory, 0) * taken[number] for number in numbers]
            rows += [
                residence.rows * resident[number]
                for number, residence in enumerate(problem.residences)
                if residence.memory == memory and residence.first <= layer <= residence.last
            ]
            model.add(sum(rows) <= problem.capacity[memory])
    return model, taken


def _terms(problem: NetworkProblem, taken: list[Any], part: int) -> Any:
    return sum(choice.key[part] * variable for choice, variable in zip(problem.choices, taken, strict=True))


def _chosen(problem: NetworkProblem, taken: list[Any], solver: Any) -> tuple[Choice, ...]:
    chosen = [choice for choice, variable in zip(problem.choices, taken, strict=True) if solver.boolean_value(variable)]
    return tuple(sorted(chosen, key=lambda choice: choice.layers))


def _bound(solver: Any, status: Any, best: int) -> int:
    """The proven bound: `best` itself where the solver says so, else the next integer above the solver's float."""
    return best if status == cp_model.OPTIMAL else min(best, ceil(solver.best_objective_bound - 1e-6))


def _solver(seconds: float, workers: int) -> Any:
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = seconds
    solver.parameters.num_workers = workers
    solver.parameters.random_seed = 0
    return solver


def _least_demand(problem: NetworkProblem) -> dict[str, float]:
    """Rows and capacity of the layer and memory that even the least demanding choice exceeds most, nothing resident."""
    worst: tuple[int, int, int] | None = None
    for layer in range(problem.layers):
        for memory in MEMORIES:
            rows = [choice.rows.get(memory, 0) for choice in problem.choices if layer in choice.layers]
            demand, capacity = min(rows, default=1), problem.capacity[memory]
            if worst is None or demand - capacity > worst[0]:
                worst = demand - capacity, demand, capacity
    assert worst is not None, "a problem without layers is never infeasible"
    return {"demand": worst[1], "capacity": worst[2]}
