"""The mapper's integer program: tile sizes, loop order, operand placement and dataflow, on CP-SAT or HiGHS.

One choice of pixel tile, one of output-channel tile and one plan (dataflow, order, placements, input-channel tile); the
cost of a choice is the analytical model's, exactly. Products of two choices' numbers are one linear constraint per
choice of one of them, enforced when that choice is made: the objective presses on each from above, so inequalities
suffice. Kernel loops stay whole in a tile unless nothing fits; then every kernel tile is a program of its own and the
best answer stands.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from time import perf_counter
from typing import get_args

from mapper.heuristic import heuristic, smallest_mapping
from mapper.mapping_space import Floor, floor_of, least_cycles, space_of
from mapper.objective import Key, in_units, key_from, key_of
from mapper.solve import Objective, Solve, SolverName
from mapper.space_search import Answer, search
from model_ir.errors import InfeasibleError, InputError
from simulator.accelerator import Accelerator
from simulator.analytical import analytical
from simulator.array_nest import ArrayNest
from simulator.cost import Cost
from simulator.mapping import Mapping, check_legal

PROGRAM_VERSION = 8
"""To be raised when the same question may get another of several equally good answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    nest: ArrayNest
    accelerator: Accelerator
    objective: Objective
    solver: SolverName
    deadline: float
    floor: Floor

    @property
    def floor_key(self) -> Key:
        """What no mapping's key goes below."""
        return key_from(self.floor.cycles, self.floor.bytes, self.floor.energy, self.objective)

    def key(self, cost: Cost) -> Key:
        return key_of(cost, self.accelerator, self.objective)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Baseline:
    mapping: Mapping
    cost: Cost


def solve(
    nest: ArrayNest,
    accelerator: Accelerator,
    *,
    objective: Objective = "latency",
    solver: SolverName = "cp-sat",
    time_limit_seconds: float = 10.0,
) -> tuple[Mapping, Solve]:
    """The best mapping of `nest` and the evidence; `objective` first, and among its optima traffic (latency) or latency
    (everything else).

    Never worse than Gemmini's heuristic. Raises InfeasibleError where not even the smallest tile fits, InputError for
    an objective or solver that does not exist and a time limit that is not positive.
    """
    for path, value, known in (("objective", objective, Objective), ("solver", solver, SolverName)):
        if value not in get_args(known):
            raise InputError(path, f"must be one of {', '.join(get_args(known))}", value=value)
    if not time_limit_seconds > 0:
        raise InputError("time_limit_seconds", "must be positive", value=time_limit_seconds)
    started = perf_counter()
    question = _Question(
        nest=nest,
        accelerator=accelerator,
        objective=objective,
        solver=solver,
        deadline=started + time_limit_seconds,
        floor=floor_of(nest, accelerator),
    )
    baseline = _baseline(nest, accelerator)
    answers = _answers(question, baseline)
    if baseline is None and all(answer.mapping is None for answer in answers):
        # Nothing fits, which this says, or the time was too short to find what does.
        mapping = smallest_mapping(nest, accelerator)
        check_legal(nest, mapping, accelerator)
        baseline = _Baseline(mapping=mapping, cost=analytical(nest, mapping, accelerator))
    return _verdict(question, answers, baseline, perf_counter() - started)


def _answers(question: _Question, baseline: _Baseline | None) -> list[Answer]:
    """One program for every kernel tile, the whole kernel first: it is nearly always the best, and the others need only
    try to beat it. An answer without a mapping stands for what the time did not suffice for."""
    nest, floor = question.nest, question.floor
    answers: list[Answer] = []
    best = question.key(baseline.cost) if baseline is not None else None
    for kernel in product(range(nest.kernel_rows, 0, -1), range(nest.kernel_columns, 0, -1)):
        if best == question.floor_key:
            break
        if perf_counter() >= question.deadline:
            first, second = question.floor_key
            answers.append(Answer(mapping=None, cost=None, bound=first, tie_bound=second, branches=0, conflicts=0))
            break
        limit = _cycles_limit(question, best)
        if limit is not None and least_cycles(nest, question.accelerator, floor, kernel[1]) > limit:
            continue
        space = space_of(nest, question.accelerator, kernel, question.objective, limit)
        answer = search(
            space,
            question.objective,
            question.solver,
            question.deadline,
            floor,
            hint=baseline.mapping if baseline is not None else None,
            to_beat=best,
        )
        if answer is None:
            continue
        answers.append(answer)
        if answer.cost is not None:
            key = question.key(answer.cost)
            best = key if best is None else min(best, key)
    return answers


def _cycles_limit(question: _Question, best: Key | None) -> int | None:
    """Cycles above which a mapping is worse than `best`, where the objective says so."""
    if best is None or question.objective in ("traffic", "energy"):
        return None
    return best[0] if question.objective == "latency" else best[0] // question.floor.energy


def _baseline(nest: ArrayNest, accelerator: Accelerator) -> _Baseline | None:
    try:
        mapping = heuristic(nest, accelerator)
    except InfeasibleError:
        return None
    return _Baseline(mapping=mapping, cost=analytical(nest, mapping, accelerator))


def _doubled(question: _Question, mapping: Mapping) -> Mapping:
    """`mapping` with two copies of its buffers while there is room, the result's first: no byte more, and faster."""
    for wider in (
        replace(mapping, c_copies=2),
        replace(mapping, c_copies=2, a_copies=2),
        replace(mapping, c_copies=2, a_copies=2, b_copies=2),
    ):
        try:
            check_legal(question.nest, wider, question.accelerator)
        except InfeasibleError:
            break
        mapping = wider
    return mapping


def _verdict(
    question: _Question, answers: list[Answer], baseline: _Baseline | None, seconds: float
) -> tuple[Mapping, Solve]:
    """The best answer of all programs, or the heuristic's where no program has one as good."""
    candidates = [
        (question.key(answer.cost), answer.mapping, "")
        for answer in answers
        if answer.mapping is not None and answer.cost is not None
    ]
    if baseline is not None:
        note = "Gemmini's heuristic: no better mapping was found"
        candidates.append((question.key(baseline.cost), baseline.mapping, note))
    key, mapping, note = min(candidates, key=lambda candidate: candidate[0])
    bound = min([key, *((answer.bound, answer.tie_bound) for answer in answers)])

    def units(first: int) -> float:
        return in_units(first, question.accelerator, question.objective)

    return _doubled(question, mapping), Solve(
        solver="heuristic" if note else question.solver,
        status="optimal" if key == bound else "feasible",
        minimised=question.objective,
        objective=units(key[0]),
        bound=units(bound[0]),
        tie_objective=key[1],
        tie_bound=min(key[1], bound[1]),
        wall_seconds=seconds,
        branches=sum(answer.branches for answer in answers),
        conflicts=sum(answer.conflicts for answer in answers),
        note=note,
    )
