"""The allocation's program on OR-tools CP-SAT: exact integers, deterministic (one worker, fixed seed)."""

from __future__ import annotations

from typing import Any

import numpy as np

from hls.allocation.program import Answer, Program, SolverStatus, Terms


def solve_cp_sat(program: Program, seconds: float) -> Answer:
    """Minimise `program` within `seconds`."""
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    literals = [model.new_bool_var("") for _ in range(program.literals)]

    def linear(terms: Terms) -> Any:
        return cp_model.LinearExpr.weighted_sum([literals[index] for index in terms], list(terms.values()))

    for choice in program.choices:
        model.add_exactly_one([literals[index] for index in choice])
    for link in program.links:
        model.add(linear(link) == 0)
    for terms, limit in program.rows:
        model.add(linear(terms) <= limit)
    model.minimize(linear(program.objective))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 1
    solver.parameters.linearization_level = 2
    # Ctrl-C belongs to Python.
    solver.parameters.catch_sigint_signal = False
    solver.parameters.max_time_in_seconds = seconds
    names: dict[object, SolverStatus] = {
        cp_model.OPTIMAL: "optimal",
        cp_model.FEASIBLE: "feasible",
        cp_model.INFEASIBLE: "infeasible",
    }
    status = names.get(solver.solve(model), "unknown")
    found = status in ("optimal", "feasible")
    values = np.array([solver.boolean_value(literal) for literal in literals], np.bool_) if found else None
    return Answer(status=status, values=values, bound=solver.best_objective_bound if found else -np.inf)
