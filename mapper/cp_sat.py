"""Linear programs of `mapper.linear_program` on OR-tools CP-SAT: exact integers, deterministic unless the time runs
out (one worker, fixed seed). The only file that knows OR-tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mapper.linear_program import Choice, Linear, LinearProgram, Outcome, Row

_SEED = 1
_SAFE_MAGNITUDE = 1 << 42
"""CP-SAT without presolve has been seen to call a program with larger numbers infeasible."""


class CpSat:
    """CP-SAT's model of a program."""

    def __init__(self, program: LinearProgram) -> None:
        from ortools.sat.python import cp_model

        self._cp_model: Any = cp_model
        self._program = program
        self._model: Any = cp_model.CpModel()
        self._variables: list[Any] = []
        self._rows = self._choices = self._magnitude = 0

    def minimise(self, goal: Linear, hints: Mapping[int, int], seconds: float, gap: float = 0.0) -> Outcome:
        """The least of `goal`; hints are of a point that is known to be in the program, or none."""
        self._follow()
        model, cp_model = self._model, self._cp_model
        model.minimize(self._expression(goal))
        model.clear_hints()
        for variable, value in hints.items():
            model.add_hint(self._variables[variable], value)
        branches = conflicts = 0
        # The choices are few and already reduced: presolve costs ten times the search.
        for presolve in (gap > 0 or self._magnitude > _SAFE_MAGNITUDE, True):
            solver = self._solver(presolve, seconds, gap)
            status = solver.solve(model)
            branches, conflicts = branches + solver.num_branches, conflicts + solver.num_conflicts
            if presolve or status != cp_model.INFEASIBLE or not hints:
                break  # else a point that is known was denied: ask again, with presolve
        found = status in (cp_model.OPTIMAL, cp_model.FEASIBLE)
        return Outcome(
            values=np.array([solver.value(variable) for variable in self._variables], np.int64) if found else None,
            bound=round(solver.best_objective_bound) if found else self._program.range_of(goal)[0],
            exhausted=status in (cp_model.OPTIMAL, cp_model.INFEASIBLE),
            branches=branches,
            conflicts=conflicts,
        )

    def _solver(self, presolve: bool, seconds: float, gap: float) -> Any:
        solver = self._cp_model.CpSolver()
        solver.parameters.num_workers = 1
        # Ctrl-C belongs to Python: the solver's own handler ends the process when several solve at once.
        solver.parameters.catch_sigint_signal = False
        solver.parameters.random_seed = _SEED
        solver.parameters.cp_model_presolve = presolve
        solver.parameters.max_time_in_seconds = seconds
        if gap:
            # Whoever is content with a gap has a program whose proof is in its linear relaxation.
            solver.parameters.relative_gap_limit = gap
            solver.parameters.linearization_level = 2
            solver.parameters.num_workers = 2
        return solver

    def _follow(self) -> None:
        """Take over what the program has gained since."""
        program, cp_model = self._program, self._cp_model
        for index in range(len(self._variables), len(program.least)):
            self._variables.append(self._model.new_int_var(program.least[index], program.most[index], ""))
        for choice in program.choices[self._choices :]:
            self._add_choice(choice)
        for row in program.rows[self._rows :]:
            self._add_row(row, cp_model)
        self._choices, self._rows = len(program.choices), len(program.rows)

    def _add_choice(self, choice: Choice) -> None:
        literals = [self._variables[variable] for variable in choice.variables]
        (self._model.add_exactly_one if choice.exact else self._model.add_at_most_one)(literals)

    def _add_row(self, row: Row, cp_model: Any) -> None:
        least = cp_model.INT_MIN if row.least is None else row.least
        most = cp_model.INT_MAX if row.most is None else row.most
        constraint = self._model.add_linear_constraint(self._expression(row.expression), least, most)
        if row.when:
            literals = [(self._variables[literal], value) for literal, value in row.when]
            constraint.only_enforce_if([literal if value else literal.negated() for literal, value in literals])
        for variable, coefficient in row.expression.terms.items():
            reach = max(abs(self._program.least[variable]), abs(self._program.most[variable]))
            self._magnitude = max(self._magnitude, abs(coefficient) * reach)

    def _expression(self, expression: Linear) -> Any:
        variables = [self._variables[variable] for variable in expression.terms]
        weighted = self._cp_model.LinearExpr.weighted_sum(variables, list(expression.terms.values()))
        return weighted + expression.constant
