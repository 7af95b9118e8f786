"""Options that several commands take, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mapper.solve import Objective

AcceleratorOption = Annotated[
    str, typer.Option("--accelerator", "-a", help="A name of `systolic accelerators`, or a TOML file.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout instead of tables.")]
LayerOption = Annotated[str | None, typer.Option("--layer", help="Only this layer.")]
WorkersOption = Annotated[int | None, typer.Option("--workers", min=1, help="Threads (default: one a core).")]
TimeLimitOption = Annotated[
    float, typer.Option("--time-limit", min=0.1, help="Seconds the solver may take for one layer.")
]
ObjectiveOption = Annotated[
    Objective, typer.Option("--objective", help="What to minimise; latency or traffic decides among equals.")
]
MaxCyclesOption = Annotated[
    float, typer.Option("--max-cycles", min=1, help="Refuse to simulate more cycles than this (distinct layers once).")
]
TraceOption = Annotated[
    Path | None,
    typer.Option(
        "--trace", metavar="FILE", help="Leave what each unit did as a trace for ui.perfetto.dev (.json[.gz])."
    ),
]
TraceFromOption = Annotated[
    int, typer.Option("--trace-from", min=0, help="First cycle of each layer or stream that the trace shows.")
]
TraceCyclesOption = Annotated[
    int, typer.Option("--trace-cycles", min=1, help="Cycles of each layer or stream that the trace shows.")
]
CacheOption = Annotated[
    Path | None, typer.Option("--cache", help="Folder of solved schedules (default: the user's cache folder).")
]
NoCacheOption = Annotated[bool, typer.Option("--no-cache", help="Neither read nor keep solved schedules.")]
