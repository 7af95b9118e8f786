"""`systolic emit`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from systolic.limits import MAX_SIMULATED_CYCLES
from systolic.network import NetworkRequest
from systolic.network_options import takes_network_or_layer
from systolic.options import AcceleratorOption, JsonOption, MaxCyclesOption, TimeLimitOption, WorkersOption


@takes_network_or_layer
def emit(
    network: NetworkRequest,
    gemmini_c: Annotated[Path, typer.Option("--gemmini-c", metavar="FILE", help="The C file to write.")],
    host_header: Annotated[
        Path | None,
        typer.Option(
            "--host-header", metavar="FILE", help="Also write a header that runs it where there is no Gemmini."
        ),
    ] = None,
    accelerator: AcceleratorOption = "gemmini",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the operands that are drawn.")] = 0,
    workers: WorkersOption = None,
    time_limit: TimeLimitOption = 10.0,
    max_cycles: MaxCyclesOption = MAX_SIMULATED_CYCLES,
    as_json: JsonOption = False,
) -> None:
    """Write the schedules that run as a C file of Gemmini's own intrinsics, with operands and a self-check."""
    from systolic.emit_job import EmitRequest, emit_job
    from systolic.show import print_emitted
    from systolic.terminal import stage_progress

    request = EmitRequest(
        network=network,
        gemmini_c=gemmini_c,
        host_header=host_header,
        accelerator=accelerator,
        seed=seed,
        workers=workers,
        time_limit_seconds=time_limit,
        max_cycles=max_cycles,
    )
    with stage_progress() as progress:
        emitted = emit_job(request, progress)
    print_emitted(emitted, gemmini_c, as_json=as_json)
