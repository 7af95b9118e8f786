"""`systolic plan`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from systolic.network import NetworkRequest
from systolic.network_options import takes_network
from systolic.options import AcceleratorOption, CacheOption, JsonOption, NoCacheOption, ObjectiveOption, WorkersOption
from systolic.schedule_cache import default_cache_folder


@takes_network
def plan(
    network: NetworkRequest,
    accelerator: AcceleratorOption = "gemmini",
    objective: ObjectiveOption = "latency",
    result_path: Annotated[
        bool, typer.Option("--result-path", help="Let results go to the scratchpad, a path that Gemmini lacks.")
    ] = False,
    arrays: Annotated[int, typer.Option("--arrays", min=1, help="Arrays that share one memory.")] = 1,
    inputs: Annotated[int, typer.Option("--inputs", min=1, help="Independent inputs to spread over them.")] = 1,
    memory_budget: Annotated[
        int | None,
        typer.Option("--memory-budget-bytes", min=1, help="Bytes for activations: keep, fetch or compute again."),
    ] = None,
    workers: WorkersOption = None,
    time_limit: Annotated[
        float, typer.Option("--time-limit", min=0.1, help="Seconds each program across layers may take.")
    ] = 20.0,
    cache: CacheOption = None,
    no_cache: NoCacheOption = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The page (default: runs/plan-MODEL-MACHINE.html).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Schedule a network across its layers: what runs as one, what stays on chip, which array does what when."""
    from systolic.plan_job import PlanRequest, plan_job
    from systolic.show import print_plan
    from systolic.terminal import stage_progress

    request = PlanRequest(
        network=network,
        accelerator=accelerator,
        objective=objective,
        result_path=result_path,
        arrays=arrays,
        inputs=inputs,
        memory_budget_bytes=memory_budget,
        time_limit_seconds=time_limit,
        workers=workers,
        cache=None if no_cache else cache or default_cache_folder(),
        out=out,
    )
    with stage_progress() as progress:
        page, report = plan_job(request, progress)
    print_plan(page, report, as_json=as_json)
