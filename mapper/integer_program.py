"""The mapper's integer program: tile sizes, loop order, operand placement and dataflow by OR-tools CP-SAT.

One choice of pixel tile, one of output-channel tile and one plan (dataflow, order, placements, input-channel tile); the
cost of a choice is the analytical model's, exactly. Products of two choices' numbers are one linear constraint per
choice of one of them, enforced when that choice is made: the objective presses on each from above, so inequalities
suffice. Kernel loops stay whole in a tile unless nothing fits; then every kernel tile is a program of its own and the
best answer stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from time import perf_counter

from mapper.heuristic import heuristic, smallest_mapping
from mapper.mapping_program import Answer, least_bytes, least_cycles, solve_space, space_of
from mapper.solve import Objective, Solve
from model_ir.errors import InfeasibleError, InputError
from simulator.accelerator import Accelerator
from simulator.analytical import analytical
from simulator.array_nest import ArrayNest
from simulator.cost import Cost
from simulator.mapping import Mapping, check_legal

PROGRAM_VERSION = 2
"""To be raised when the same question may get another of several equally good answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Baseline:
    mapping: Mapping
    cost: Cost


def solve(
    nest: ArrayNest,
    accelerator: Accelerator,
    *,
    objective: Objective = "cycles",
    time_limit_seconds: float = 10.0,
) -> tuple[Mapping, Solve]:
    """The best mapping of `nest` and the evidence; `objective` first, the other of cycles and traffic among its optima.

    Never worse than Gemmini's heuristic. Raises InfeasibleError where not even the smallest tile fits, InputError for a
    time limit that is not positive.
    """
    if not time_limit_seconds > 0:
        raise InputError("time_limit_seconds", "must be positive", value=time_limit_seconds)
    started = perf_counter()
    baseline = _baseline(nest, accelerator)
    floor = _ordered(least_cycles(nest, accelerator), least_bytes(nest, accelerator), objective)
    answers = _answers(nest, accelerator, objective, started + time_limit_seconds, baseline, floor)
    if baseline is None and all(answer.mapping is None for answer in answers):
        # Nothing fits, which this says, or the time was too short to find what does.
        mapping = smallest_mapping(nest, accelerator)
        check_legal(nest, mapping, accelerator)
        baseline = _Baseline(mapping=mapping, cost=analytical(nest, mapping, accelerator))
    return _verdict(answers, baseline, objective, floor, perf_counter() - started)


def _answers(
    nest: ArrayNest,
    accelerator: Accelerator,
    objective: Objective,
    deadline: float,
    baseline: _Baseline | None,
    floor: tuple[int, int],
) -> list[Answer]:
    """One program for every kernel tile, the whole kernel first: it is nearly always the best, and the others need only
    try to beat it. An answer without a mapping stands for what the time did not suffice for."""
    answers: list[Answer] = []
    best: tuple[int, int] | None = None
    for kernel in product(range(nest.kernel_rows, 0, -1), range(nest.kernel_columns, 0, -1)):
        if best == floor:
            break
        if perf_counter() >= deadline:
            answers.append(Answer(mapping=None, cost=None, bound=floor[0], tie_bound=floor[1], branches=0, conflicts=0))
            break
        limit = best[0] if best else int(baseline.cost.cycles) if baseline else None
        space = space_of(nest, accelerator, kernel, limit if objective == "cycles" else None)
        hint = baseline.mapping if baseline and best is None else None
        answer = solve_space(space, objective, deadline, floor, hint=hint, to_beat=best)
        if answer is None:
            continue
        answers.append(answer)
        if answer.cost is not None:
            key = _key(answer.cost, objective)
            best = key if best is None else min(best, key)
    return answers


def _baseline(nest: ArrayNest, accelerator: Accelerator) -> _Baseline | None:
    try:
        mapping = heuristic(nest, accelerator)
    except InfeasibleError:
        return None
    return _Baseline(mapping=mapping, cost=analytical(nest, mapping, accelerator))


def _verdict(
    answers: list[Answer],
    baseline: _Baseline | None,
    objective: Objective,
    floor: tuple[int, int],
    seconds: float,
) -> tuple[Mapping, Solve]:
    """The best answer of all programs, or the heuristic's where that lies outside every program's space and is
    better."""
    candidates = [
        (_key(answer.cost, objective), answer.mapping, "")
        for answer in answers
        if answer.mapping is not None and answer.cost is not None
    ]
    if baseline is not None:
        note = "Gemmini's heuristic: better than all that the program found"
        candidates.append((_key(baseline.cost, objective), baseline.mapping, note))
    (first, second), mapping, note = min(candidates, key=lambda candidate: candidate[0])
    bound, tie_bound = min(((answer.bound, answer.tie_bound) for answer in answers), default=floor)
    return mapping, Solve(
        solver="heuristic" if note else "cp-sat",
        status="optimal" if (first, second) == (bound, tie_bound) else "feasible",
        objective=first,
        bound=min(first, bound),
        tie_objective=second,
        tie_bound=min(second, tie_bound),
        wall_seconds=seconds,
        branches=sum(answer.branches for answer in answers),
        conflicts=sum(answer.conflicts for answer in answers),
        note=note,
    )


def _key(cost: Cost, objective: Objective) -> tuple[int, int]:
    return _ordered(int(cost.cycles), cost.dram_bytes, objective)


def _ordered(cycles: int, traffic: int, objective: Objective) -> tuple[int, int]:
    return (cycles, traffic) if objective == "cycles" else (traffic, cycles)
