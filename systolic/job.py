"""The main job: a network and a machine in, a run folder out. The two ends of the pipeline that touch the disk."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from model_ir.errors import InputError
from reports.columns import layers_frame, timelines_frame
from reports.page import render_page
from reports.record import RunHeader, RunRecord, totals_of, write_record
from simulator.accelerator_file import load_accelerator
from systolic.limits import MAX_SIMULATED_CYCLES
from systolic.network import NetworkRequest, content_hash, load_network
from systolic.pipeline import Progress, layers_of, no_such_layer, schedule, simulate_layers
from systolic.recording import (
    counter_meanings,
    layer_rows,
    machine_facts,
    notes_of,
    package_versions,
    ranks_of,
    timeline_layers,
    timeline_rows,
)
from systolic.run_folder import new_run_folder
from systolic.schedule_cache import ScheduleCache
from systolic.tracing_job import TraceRequest, layer_streams, trace_streams

if TYPE_CHECKING:
    from mapper.lower import Layer

PAGE_FILE = "report.html"
SLOWEST_WITH_TIMELINE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What `systolic run` was asked: network, machine (name or TOML file), where to leave the run, how to solve.

    `timelines` names layers whose schedule is kept beside the slowest ones'; `cache` is the folder of solved
    schedules, None for none; `trace` asks for a trace of the layers with a timeline.
    """

    network: NetworkRequest
    accelerator: str = "gemmini"
    out: Path = Path("runs")
    name: str | None = None
    timelines: tuple[str, ...] = ()
    workers: int | None = None
    time_limit_seconds: float = 10.0
    max_cycles: float = MAX_SIMULATED_CYCLES
    cache: Path | None = None
    trace: TraceRequest | None = None


def run_job(request: RunRequest, progress: Progress) -> tuple[Path, RunRecord]:
    """Import, lower, schedule, simulate and report; returns the run folder and what is in it.

    Raises InputError (bad file, option, machine or folder) and InfeasibleError (a layer that fits no tile); then no
    folder is left.
    """
    started = datetime.now(UTC)
    wall_seconds: dict[str, float] = {}
    machine = load_accelerator(request.accelerator)
    place = request.out / _run_name(request, machine.name)
    with new_run_folder(place) as folder:
        cache = None if request.cache is None else ScheduleCache(request.cache)
        with _stage("import", wall_seconds, progress):
            graph = load_network(request.network)
            layers = layers_of(graph, machine, skip_unsupported=request.network.skip_unsupported)
            _check_names(request.timelines, layers)
        with _stage("schedule", wall_seconds):
            schedules = schedule(
                layers,
                machine,
                workers=request.workers,
                time_limit_seconds=request.time_limit_seconds,
                cache=cache,
                progress=progress,
            )
        with _stage("simulate", wall_seconds):
            runs = simulate_layers(
                layers,
                schedules,
                machine,
                workers=request.workers,
                max_cycles=request.max_cycles,
                progress=progress,
            )
            shown = timeline_layers(runs, also=request.timelines, slowest=SLOWEST_WITH_TIMELINE)
            timelines = timeline_rows(runs, machine, shown)
            if request.trace is not None:
                trace_streams(layer_streams(runs, machine, shown), machine, request.trace, progress)
        with _stage("report", {}, progress):
            facts = machine_facts(machine)
            layer_table = layers_frame(layer_rows(runs, machine))
            header = RunHeader(
                network=graph.name,
                origin=graph.origin,
                accelerator=facts,
                options=options_of(request),
                input_hashes=content_hash(request.network),
                package_versions=package_versions(),
                seed=0,
                started=started.isoformat(timespec="seconds"),
                wall_seconds=wall_seconds,
                totals=totals_of(layer_table, facts),
                notes=notes_of(runs, machine),
                rank_correlation=ranks_of(runs),
                counter_meanings=counter_meanings(),
            )
            record = RunRecord(header=header, layers=layer_table, timelines=timelines_frame(timelines))
            write_page(record, folder)
        write_record(record, folder)
    return place, record


def write_page(record: RunRecord, folder: Path) -> None:
    """Write the run's HTML page into `folder`. Raises InputError where that cannot be."""
    try:
        (folder / PAGE_FILE).write_text(render_page(record), encoding="utf-8")
    except OSError as error:
        raise InputError(str(folder / PAGE_FILE), f"cannot write the page: {error.strerror}") from error


def options_of(request: RunRequest) -> dict[str, str | int | float | bool | None]:
    """What was asked, for the record."""
    return {
        "model": request.network.model,
        **request.network.options,
        "accelerator": request.accelerator,
        "time_limit_seconds": request.time_limit_seconds,
    }


def _run_name(request: RunRequest, accelerator: str) -> str:
    network = Path(request.network.model).stem if request.network.is_file else request.network.model
    name = request.name if request.name is not None else f"{network}-{accelerator}"
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", name):
        if request.name is not None:
            raise InputError("--name", "a run's name is letters, digits and ._+-", value=name)
        name = re.sub(r"[^A-Za-z0-9_.+-]", "_", name).lstrip(".+-") or "run"
    return name


def _check_names(wanted: tuple[str, ...], layers: tuple[Layer, ...]) -> None:
    names = {layer.name for layer in layers}
    for name in wanted:
        if name not in names:
            raise no_such_layer("--timeline", name, layers)


@contextmanager
def _stage(stage: str, wall_seconds: dict[str, float], progress: Progress | None = None) -> Iterator[None]:
    """Time a stage into `wall_seconds`; stages that do not report their own progress get a bar of one step."""
    if progress is not None:
        progress(stage, 0, 1)
    start = time.perf_counter()
    yield
    wall_seconds[stage] = time.perf_counter() - start
    if progress is not None:
        progress(stage, 1, 1)
