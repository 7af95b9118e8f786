"""The case study as one function: a request in, rows and what lies behind them out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from model_ir.errors import InputError
from reports.case_study import Breakdown, CaseRow, CaseStudy, SearchPoint
from reports.mapspace_published import PublishedSpread
from systolic.case_study.accelerator_steps import (
    REBALANCED,
    START,
    AcceleratorRuns,
    accelerator_rows,
    baseline_breakdown,
    integer_breakdown,
)
from systolic.case_study.encoder import BERT_BASE_512, EncoderRun, run_integer, run_matmuls
from systolic.case_study.fusion_steps import fusion_jobs, fusion_rows
from systolic.case_study.machines import survey_dram_bytes_per_cycle, survey_machine
from systolic.case_study.mapping_steps import mapping_rows, studied
from systolic.case_study.published import SEARCH_PICK, SEARCH_START, UTILISATION
from systolic.case_study.search_steps import SMALLEST, SearchRuns, search, search_rows, simulate_architecture
from systolic.case_study.silicon_steps import units_area

if TYPE_CHECKING:
    from systolic.pipeline import Progress

Key = TypeVar("Key")
Answer = TypeVar("Answer")

STEPS = ("accelerator", "fusion", "mapping", "search")
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
    started = time.perf_counter()
    rows: list[CaseRow] = []
    breakdowns: list[Breakdown] = []
    if "accelerator" in request.steps:
        runs = _accelerator_runs(request.workers, progress)
        rows += accelerator_rows(runs)
        breakdowns += [baseline_breakdown(runs.matmuls[START]), integer_breakdown(runs.integer)]
    if "fusion" in request.steps:
        rows += fusion_rows(dict(in_parallel(fusion_jobs().items(), "fusion", request.workers, progress)))
    if "mapping" in request.steps:
        layers = {spread.name: partial(_rows_of, spread) for spread in studied()}
        found = dict(in_parallel(layers.items(), "mapping", request.workers, progress))
        rows += [row for name in layers for row in found[name]]
    points: tuple[SearchPoint, ...] = ()
    if "search" in request.steps:
        both = {
            "start": partial(simulate_architecture, SEARCH_START),
            "pick": partial(simulate_architecture, SEARCH_PICK),
            "smallest": partial(simulate_architecture, SMALLEST),
        }
        points = search()
        simulated = dict(in_parallel(both.items(), "search", request.workers, progress))
        gain = breakdowns[0].cycles / breakdowns[1].cycles if breakdowns else None
        rows += search_rows(SearchRuns(**simulated), gain)
    return CaseStudy(
        rows=tuple(rows),
        breakdowns=tuple(breakdowns),
        areas=tuple((part.name, part.um2) for part in units_area()) if "accelerator" in request.steps else (),
        architectures=points,
        seconds=time.perf_counter() - started,
    )


def _rows_of(spread: PublishedSpread) -> list[CaseRow]:
    return list(mapping_rows(spread))


def _accelerator_runs(workers: int | None, progress: Progress) -> AcceleratorRuns:
    """Matmuls under every pair of memories of figure 13 at either bandwidth, and all of the network with the units."""

    def matmuls(sizes: tuple[int, int], bandwidth: float | None) -> Callable[[], EncoderRun]:
        return lambda: run_matmuls(BERT_BASE_512, survey_machine(*sizes, dram_bytes_per_cycle=bandwidth), wide=True)

    jobs: dict[Any, Callable[[], EncoderRun]] = {
        "units": lambda: run_integer(BERT_BASE_512, survey_machine(*REBALANCED, units=True))
    }
    bandwidths = {"ours": None, "theirs": survey_dram_bytes_per_cycle()}
    jobs |= {(way, sizes): matmuls(sizes, at) for way, at in bandwidths.items() for sizes in UTILISATION}
    done = dict(in_parallel(jobs.items(), "simulate", workers, progress))
    ours, theirs = ({sizes: done[way, sizes] for sizes in UTILISATION} for way in bandwidths)
    return AcceleratorRuns(matmuls=ours, slower=theirs, integer=done["units"])


def in_parallel(
    jobs: Iterable[tuple[Key, Callable[[], Answer]]], stage: str, workers: int | None, progress: Progress
) -> Iterable[tuple[Key, Answer]]:
    """(key, answer) of every job as it is done; threads, since the engine leaves the interpreter. The first job runs
    alone: what it has compiled is not compiled by several threads at once."""
    (first, job), *others = jobs
    yield first, job()
    progress(stage, 1, len(others) + 1)
    pool = ThreadPoolExecutor(workers or os.cpu_count() or 1)
    try:
        futures = {pool.submit(other): key for key, other in others}
        for count, future in enumerate(as_completed(futures), 2):
            progress(stage, count, len(others) + 1)
            yield futures[future], future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
