"""`systolic reproduce`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from systolic.options import JsonOption


def reproduce(
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="TABLE", help="Only this table, or those that begin so; repeatable."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the page and its numbers.")] = Path(
        "runs/reproduce"
    ),
    ground_truth: Annotated[
        Path, typer.Option("--ground-truth", metavar="FOLDER", help="Folder of what was measured on Gemmini's RTL.")
    ] = Path("../shared/ground_truth"),
    as_json: JsonOption = False,
) -> None:
    """Make the published tables and figures again and show ours beside them; exit code 1 where a bound is not kept."""
    from reports.reproduction import outside
    from systolic.reproduce.run import ReproduceRequest, reproduce_job
    from systolic.reproduce.show import print_reproduction
    from systolic.terminal import stage_progress

    request = ReproduceRequest(only=tuple(only or ()), out=out, ground_truth=ground_truth)
    with stage_progress() as progress:
        page, tables = reproduce_job(request, progress)
    print_reproduction(page, tables, as_json=as_json)
    if outside(tables):
        raise typer.Exit(1)
