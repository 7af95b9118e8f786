"""Linear programs of `mapper.linear_program` on HiGHS, through scipy.optimize.milp. The only file that knows it.

0/1 variables stay integer and everything else is relaxed, which can only lower a bound. A row under conditions is
relaxed by as much as the variables' bounds let it be exceeded (its own big M). HiGHS computes in floating point and
takes a 0/1 variable within 1e-6 for a whole number, so what it calls proven is lowered by that share of the goal's
reach before it is called a bound here.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from math import ceil, inf
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from mapper.linear_program import Linear, LinearProgram, Outcome, Row

_TOLERANCE = 1e-6
"""HiGHS's mip_feasibility_tolerance, which scipy leaves at its default; rows here are scaled to coefficients of at most
one, so a row is off by no more than this share of its largest term."""


class _StdoutAside:
    """HiGHS now and then says on the process's standard output what it is doing; while it works, that is the standard
    error. Several threads may be inside at once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._kept = -1

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                sys.stdout.flush()
                self._kept = os.dup(1)
                os.dup2(2, 1)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                ctypes.CDLL(None).fflush(None)  # what it said waits in the C library's buffer
                os.dup2(self._kept, 1)
                os.close(self._kept)


STDOUT_ASIDE = _StdoutAside()
"""For whoever calls HiGHS: what it says there is no part of a command's output."""


class Highs:
    """HiGHS's model of a program; it takes no hints."""

    def __init__(self, program: LinearProgram) -> None:
        self._program = program

    def minimise(
        self,
        goal: Linear,
        hints: Mapping[int, int],  # noqa: ARG002
        seconds: float,
        gap: float = 0.0,
    ) -> Outcome:
        """The least of `goal`; `hints` are ignored, scipy's interface has none."""
        program = self._program
        answer, scale = self._solved(goal, seconds, gap)
        smallest, largest = program.range_of(goal)
        values, bound = None, float(smallest)
        if answer.x is not None:
            values = np.round(np.asarray(answer.x) * scale).astype(np.int64)
            bound = float(answer.mip_dual_bound) + goal.constant - _TOLERANCE * (largest - smallest)
        return Outcome(
            values=values,
            bound=max(smallest, ceil(bound - _TOLERANCE)),
            exhausted=answer.status in (0, 2),
            branches=int(answer.mip_node_count or 0),
            conflicts=0,
        )

    def relaxation(self, goal: Linear, seconds: float) -> float | None:
        """The least of `goal` where no variable need be a whole number, as far as floating point goes: near the truth,
        no proof. None where there is no point at all."""
        answer, _ = self._solved(goal, seconds, 0.0, whole=False)
        return None if answer.x is None else float(answer.fun) + goal.constant

    def _solved(self, goal: Linear, seconds: float, gap: float, *, whole: bool = True) -> tuple[Any, Any]:
        """scipy's answer, and what its values are divided by."""
        from scipy.optimize import Bounds, LinearConstraint, milp

        program = self._program
        least, most = np.array(program.least, float), np.array(program.most, float)
        scale = np.maximum(np.maximum(abs(least), abs(most)), 1.0)
        costs = np.zeros(len(least))
        for variable, coefficient in goal.terms.items():
            costs[variable] = coefficient * scale[variable]
        matrix, low, high = self._matrix(scale)
        with STDOUT_ASIDE:
            answer = milp(
                costs,
                integrality=((least == 0) & (most == 1)).astype(int) if whole else None,
                bounds=Bounds(least / scale, most / scale),
                constraints=LinearConstraint(matrix, low, high),
                options={"time_limit": seconds, "mip_rel_gap": gap},
            )
        return answer, scale

    def _matrix(self, scale: Any) -> tuple[Any, Any, Any]:
        """Rows (scaled, sparse) with their lower and upper ends."""
        from scipy.sparse import csr_array

        program = self._program
        rows = [relaxed(program, row) for row in program.rows]
        for choice in program.choices:
            whole = Linear(terms=dict.fromkeys(choice.variables, 1))
            rows.append(Row(expression=whole, least=1 if choice.exact else None, most=1))
        data: list[npt.NDArray[np.float64]] = []
        columns: list[int] = []
        starts, low, high = [0], [], []
        for row in rows:
            terms = row.expression.terms
            numbers = np.fromiter(terms.values(), float, len(terms)) * scale[list(terms)]
            largest = max(abs(numbers).max(initial=0.0), 1.0)
            data.append(numbers / largest)
            columns.extend(terms)
            starts.append(len(columns))
            constant = row.expression.constant
            low.append(-inf if row.least is None else (row.least - constant) / largest)
            high.append(inf if row.most is None else (row.most - constant) / largest)
        shape = (len(rows), len(program.least))
        return csr_array((np.concatenate(data), columns, starts), shape=shape), np.array(low), np.array(high)


def relaxed(program: LinearProgram, row: Row) -> Row:
    """`row` without conditions: each that does not hold lets the expression grow to all that the bounds allow."""
    if not row.when or row.most is None:
        return row
    slack = program.range_of(row.expression)[1] - row.most
    if slack <= 0:
        return Row(expression=Linear(), least=None, most=0)
    broken = Linear(terms={literal: -1 if value else 1 for literal, value in row.when})
    allowance = broken + sum(value for _, value in row.when)
    return Row(expression=row.expression - slack * allowance, least=None, most=row.most)
