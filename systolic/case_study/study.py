"""The case study as one function: a request in, rows and what lies behind them out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from model_ir.errors import InputError
from reports.case_study import Breakdown, CaseRow, CaseStudy
from systolic.case_study.accelerator_steps import (
    REBALANCED,
    START,
    AcceleratorRuns,
    accelerator_rows,
    baseline_breakdown,
    integer_breakdown,
)
from systolic.case_study.encoder import BERT_BASE_512, EncoderRun, run_integer, run_matmuls
from systolic.case_study.machines import survey_machine
from systolic.case_study.published import UTILISATION

if TYPE_CHECKING:
    from systolic.pipeline import Progress

Key = TypeVar("Key")
Answer = TypeVar("Answer")

STEPS = ("accelerator",)
"""What can be asked for, in the order of the study."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseStudyRequest:
    """Which steps (of `STEPS`), and with how many threads (None: one a core)."""

    steps: tuple[str, ...] = STEPS
    workers: int | None = None


def case_study(request: CaseStudyRequest, progress: Progress) -> CaseStudy:
    """The study. Raises InputError for a step that does not exist."""
    for step in request.steps:
        if step not in STEPS:
            raise InputError("--steps", "no such step", value=step, limit=", ".join(STEPS))
    rows: list[CaseRow] = []
    breakdowns: list[Breakdown] = []
    if "accelerator" in request.steps:
        runs = _accelerator_runs(request.workers, progress)
        rows += accelerator_rows(runs)
        breakdowns += [baseline_breakdown(runs.matmuls[START]), integer_breakdown(runs.integer)]
    return CaseStudy(rows=tuple(rows), breakdowns=tuple(breakdowns))


def _accelerator_runs(workers: int | None, progress: Progress) -> AcceleratorRuns:
    """Matmuls under every pair of memories of figure 13, and all of the network with the units."""

    def matmuls(sizes: tuple[int, int]) -> Callable[[], EncoderRun]:
        return lambda: run_matmuls(BERT_BASE_512, survey_machine(*sizes), wide=True)

    jobs: dict[Any, Callable[[], EncoderRun]] = {sizes: matmuls(sizes) for sizes in UTILISATION}
    jobs["units"] = lambda: run_integer(BERT_BASE_512, survey_machine(*REBALANCED, units=True))
    done = dict(in_parallel(jobs.items(), "simulate", workers, progress))
    integer = done.pop("units")
    return AcceleratorRuns(matmuls={sizes: done[sizes] for sizes in UTILISATION}, integer=integer)


def in_parallel(
    jobs: Iterable[tuple[Key, Callable[[], Answer]]], stage: str, workers: int | None, progress: Progress
) -> Iterable[tuple[Key, Answer]]:
    """(key, answer) of every job as it is done; threads, since the engine and the solvers leave the interpreter."""
    pool = ThreadPoolExecutor(workers or os.cpu_count() or 1)
    try:
        futures = {pool.submit(job): key for key, job in jobs}
        for count, future in enumerate(as_completed(futures), 1):
            progress(stage, count, len(futures))
            yield futures[future], future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
