"""`systolic case-study`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from systolic.options import JsonOption, WorkersOption


def case_study(
    steps: Annotated[
        str | None,
        typer.Option("--steps", help="Some of accelerator,fusion,mapping,search (default: all)."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the page and its text go.")] = Path(
        "runs/case-study"
    ),
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the full-stack survey's accelerator case study again, each step's gain beside the printed one.

    Exit code 1 where a gated row is outside its bound.
    """
    from reports.case_study_terminal import print_case_study
    from systolic.case_study.job import case_study_job
    from systolic.case_study.study import STEPS, CaseStudyRequest
    from systolic.terminal import stage_progress

    chosen = STEPS if steps is None else tuple(step.strip() for step in steps.split(","))
    with stage_progress() as progress:
        page, study = case_study_job(CaseStudyRequest(steps=chosen, workers=workers), out, progress)
    print_case_study(study, page, as_json=as_json)
    if study.failed:
        raise typer.Exit(1)
