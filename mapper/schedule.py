"""Schedule the layers of a network: every distinct nest solved once, in parallel, with answers kept by content.

Threads suffice: CP-SAT releases the interpreter while it searches, and one worker per layer is as fast as two (layers
are many).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Any

import msgspec

from mapper.heuristic import heuristic
from mapper.integer_program import PROGRAM_VERSION, solve
from mapper.objective import in_units, key_of
from mapper.solve import Objective, Solve, SolverName
from model_ir.errors import InfeasibleError, InputError
from simulator.accelerator import Accelerator
from simulator.analytical import MODEL_VERSION, analytical
from simulator.array_nest import ArrayNest, Repeat
from simulator.cost import Cost
from simulator.mapping import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """One layer's mapping with its analytical cost and the solver's evidence, beside Gemmini's heuristic (None where
    that finds no tile that fits)."""

    mapping: Mapping
    cost: Cost
    solve: Solve
    heuristic_mapping: Mapping | None
    heuristic_cost: Cost | None


Progress = Callable[[int, int, Scheduled], None]
"""Called with distinct nests done, distinct nests in all, and the one just finished; from the caller's thread."""


def schedule_layers(
    nests: Sequence[ArrayNest],
    accelerator: Accelerator,
    *,
    objective: Objective = "latency",
    solver: SolverName = "cp-sat",
    time_limit_seconds: float = 10.0,
    workers: int | None = None,
    cache: MutableMapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> tuple[Scheduled, ...]:
    """The schedule of every nest, in order; `time_limit_seconds` is per distinct nest.

    `cache` maps `content_key` to `to_json(scheduled)`: answers found there are checked against the cost model and
    reused, proven ones are added. Raises InfeasibleError for a nest of which not even the smallest tile fits,
    InputError for no workers.
    """
    if workers is not None and workers < 1:
        raise InputError("workers", "must be at least 1", value=workers, limit=1)
    keys = [content_key(nest, accelerator, objective, solver) for nest in nests]
    distinct = dict(zip(keys, nests, strict=True))
    done: dict[str, Scheduled] = {}

    def finish(key: str, scheduled: Scheduled) -> None:
        done[key] = scheduled
        if progress is not None:
            progress(len(done), len(distinct), scheduled)

    for key, nest in distinct.items():
        kept = _kept(nest, accelerator, objective, cache.get(key)) if cache is not None else None
        if kept is not None:
            finish(key, kept)
    todo = {key: nest for key, nest in distinct.items() if key not in done}
    one = partial(
        schedule, accelerator=accelerator, objective=objective, solver=solver, time_limit_seconds=time_limit_seconds
    )
    for key, scheduled in _solved(todo, one, workers or _cores()):
        if cache is not None and scheduled.solve.status == "optimal":
            cache[key] = to_json(scheduled)
        finish(key, scheduled)
    return tuple(done[key] for key in keys)


def schedule(
    nest: ArrayNest,
    accelerator: Accelerator,
    *,
    objective: Objective = "latency",
    solver: SolverName = "cp-sat",
    time_limit_seconds: float = 10.0,
) -> Scheduled:
    """The schedule of one nest."""
    mapping, evidence = solve(
        nest, accelerator, objective=objective, solver=solver, time_limit_seconds=time_limit_seconds
    )
    try:
        baseline = heuristic(nest, accelerator)
    except InfeasibleError:
        baseline = None
    return Scheduled(
        mapping=mapping,
        cost=analytical(nest, mapping, accelerator),
        solve=evidence,
        heuristic_mapping=baseline,
        heuristic_cost=analytical(nest, baseline, accelerator) if baseline is not None else None,
    )


def content_key(nest: ArrayNest, accelerator: Accelerator, objective: Objective, solver: SolverName = "cp-sat") -> str:
    """SHA-256 (hex) over all that decides a schedule: the nest but for where its elements lie, the machine but for its
    names and host, the versions of cost model, integer program and solver, and the objective."""
    shape = replace(
        nest,
        a_stride=0,
        b_stride=0,
        c_stride=0,
        repeats=(Repeat(count=nest.repeat_count, a_stride=0, b_stride=0, c_stride=0),),
    )
    machine = {
        part: getattr(accelerator, part)
        for part in ("array", "scratchpad", "accumulator", "dma", "memory", "queues", "energy")
    }
    library = {"cp-sat": "ortools", "highs": "scipy"}[solver]
    versions = {"model": MODEL_VERSION, "program": PROGRAM_VERSION, library: version(library)}
    content = {"versions": versions, "objective": objective, "nest": shape, "machine": machine}
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def to_json(scheduled: Scheduled) -> dict[str, Any]:
    """`scheduled` as plain JSON values."""
    plain: dict[str, Any] = msgspec.to_builtins(scheduled)
    return plain


def from_json(plain: object) -> Scheduled:
    """The inverse of `to_json`; raises InputError where `plain` is not what it made."""
    try:
        return msgspec.convert(plain, Scheduled)
    except msgspec.ValidationError as error:
        raise InputError("stored schedule", str(error)) from error


def _kept(nest: ArrayNest, accelerator: Accelerator, objective: Objective, plain: object) -> Scheduled | None:
    """A stored answer, unless it is missing, damaged or not what the cost model says today."""
    if plain is None:
        return None
    try:
        kept = from_json(plain)
        cost = analytical(nest, kept.mapping, accelerator)
    except (InputError, InfeasibleError):
        return None
    first, second = key_of(cost, accelerator, objective)
    claimed = (kept.solve.objective, kept.solve.tie_objective)
    same = cost == kept.cost and claimed == (in_units(first, accelerator, objective), second)
    return kept if same else None


def _solved(
    todo: dict[str, ArrayNest], one: Callable[[ArrayNest], Scheduled], workers: int
) -> Iterator[tuple[str, Scheduled]]:
    """(key, `one` of the nest) of every nest as it is finished; on an error or interruption what has not begun is
    dropped."""
    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        keys: dict[Future[Scheduled], str] = {pool.submit(one, nest): key for key, nest in todo.items()}
        pending = set(keys)
        while pending:
            finished, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in finished:
                yield keys[future], future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
