"""`systolic run`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from systolic.limits import MAX_SIMULATED_CYCLES, TRACED_CYCLES
from systolic.network import NetworkRequest
from systolic.network_options import takes_network
from systolic.options import (
    AcceleratorOption,
    CacheOption,
    JsonOption,
    MaxCyclesOption,
    NoCacheOption,
    TimeLimitOption,
    TraceCyclesOption,
    TraceFromOption,
    TraceOption,
    WorkersOption,
)
from systolic.schedule_cache import default_cache_folder


@takes_network
def run(
    network: NetworkRequest,
    accelerator: AcceleratorOption = "gemmini",
    out: Annotated[Path, typer.Option("--out", help="Folder that holds run folders.")] = Path("runs"),
    name: Annotated[str | None, typer.Option("--name", help="Name of the run (default: network-accelerator).")] = None,
    timeline: Annotated[
        list[str] | None,
        typer.Option("--timeline", metavar="LAYER", help="Also keep this layer's schedule as a timeline; repeatable."),
    ] = None,
    workers: WorkersOption = None,
    time_limit: TimeLimitOption = 10.0,
    max_cycles: MaxCyclesOption = MAX_SIMULATED_CYCLES,
    cache: CacheOption = None,
    no_cache: NoCacheOption = False,
    trace: TraceOption = None,
    trace_from: TraceFromOption = 0,
    trace_cycles: TraceCyclesOption = TRACED_CYCLES,
    as_json: JsonOption = False,
) -> None:
    """Import, schedule, simulate and report a network: leaves runs/NAME with run.json, tables and one HTML page.

    A trace shows the layers that get a timeline: the slowest ones and those named.
    """
    from systolic.job import RunRequest, run_job
    from systolic.show import print_record
    from systolic.terminal import stage_progress
    from systolic.tracing_job import TraceRequest

    request = RunRequest(
        network=network,
        accelerator=accelerator,
        out=out,
        name=name,
        timelines=tuple(timeline or ()),
        workers=workers,
        time_limit_seconds=time_limit,
        max_cycles=max_cycles,
        cache=None if no_cache else cache or default_cache_folder(),
        trace=TraceRequest(path=trace, first_cycle=trace_from, cycles=trace_cycles) if trace else None,
    )
    with stage_progress() as progress:
        folder, record = run_job(request, progress)
    print_record(record, folder, as_json=as_json)
