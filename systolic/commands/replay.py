"""`systolic replay`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from systolic.limits import TRACED_CYCLES
from systolic.options import AcceleratorOption, TraceCyclesOption, TraceFromOption, TraceOption, WorkersOption

JsonLinesOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object a row on stdout instead of tables.")
]
MemoryLatencyOption = Annotated[
    int | None,
    typer.Option(
        "--latency-cycles", min=1, help="Memory latency of rows that state none (default: the accelerator's)."
    ),
]
CyclesPerBeatOption = Annotated[
    int | None,
    typer.Option(
        "--cycles-per-beat", min=1, help="Cycles a beat of rows that state none (default: the accelerator's)."
    ),
]
CommandGapOption = Annotated[
    int, typer.Option("--command-gap-cycles", min=0, help="Extra cycles between commands in rows that state none.")
]


def replay(
    streams: Annotated[
        Path, typer.Argument(metavar="STREAM", help="Command streams, one JSON object a line (.jsonl or .jsonl.gz).")
    ],
    accelerator: AcceleratorOption = "gemmini",
    latency_cycles: MemoryLatencyOption = None,
    cycles_per_beat: CyclesPerBeatOption = None,
    command_gap_cycles: CommandGapOption = 0,
    values: Annotated[
        bool, typer.Option("--values/--no-values", help="Compute the output's digest where a row names I and J.")
    ] = True,
    workers: WorkersOption = None,
    trace: TraceOption = None,
    trace_from: TraceFromOption = 0,
    trace_cycles: TraceCyclesOption = TRACED_CYCLES,
    as_json: JsonLinesOption = False,
) -> None:
    """Run raw Gemmini commands on the cycle engine, and compare with what was measured where the rows say it."""
    from simulator.accelerator_file import load_accelerator
    from systolic.replay_job import ReplayRequest, replay_file
    from systolic.replay_show import print_json_lines, print_tables
    from systolic.terminal import stage_progress
    from systolic.tracing_job import TraceRequest, row_streams, trace_streams

    wanted = TraceRequest(path=trace, first_cycle=trace_from, cycles=trace_cycles) if trace else None
    request = ReplayRequest(
        streams=streams,
        accelerator=load_accelerator(accelerator),
        latency_cycles=latency_cycles,
        cycles_per_beat=cycles_per_beat,
        command_gap_cycles=command_gap_cycles,
        values=values,
        workers=workers,
    )
    with stage_progress() as progress:
        replayed = replay_file(request, progress)
        if as_json:
            print_json_lines(replayed)
        else:
            print_tables(replayed, request.accelerator.name)
        if wanted:
            trace_streams(row_streams(request), request.accelerator, wanted, progress)
