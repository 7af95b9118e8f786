"""The accelerator case study's rows as reproduced tables: a table a step."""

from __future__ import annotations

import time
from typing import Final

from reports.case_study import CaseRow, Unit
from reports.reproduction import ReproducedRow, ReproducedTable
from systolic.case_study.study import CaseStudyRequest, case_study
from systolic.pipeline import Progress

SOURCE: Final = "arXiv 2302.14017v1"
_SHOWN: Final[dict[Unit, tuple[float, str]]] = {
    "times": (1.0, "times"),
    "share": (100.0, "%"),
    "change": (100.0, "change, %"),
    "number": (1.0, "number"),
}
"""What a row's numbers are multiplied by, and the unit then."""


def case_study_tables(progress: Progress) -> tuple[ReproducedTable, ...]:
    """The study, a table a step in the study's order."""
    started = time.perf_counter()
    rows = case_study(CaseStudyRequest(), progress).rows
    seconds, steps = time.perf_counter() - started, dict.fromkeys(row.step for row in rows)
    return tuple(
        ReproducedTable(
            id=f"case-study-{step.replace(' ', '-')}",
            title=f"Accelerator case study: {step}",
            source=SOURCE,
            kind="seen",
            command="systolic case-study",
            rows=tuple(map(reproduced_row, (row for row in rows if row.step == step))),
            seconds=seconds / len(steps),
        )
        for step in steps
    )


def reproduced_row(row: CaseRow) -> ReproducedRow:
    """A row of the study, in percent where it is a share or a change."""
    factor, unit = _SHOWN[row.unit]
    return ReproducedRow(
        what=f"{row.name} ({row.where})",
        unit=unit,
        printed=f"{row.published * factor:.4g}",
        ours=row.ours * factor,
        bound=row.bound if row.gated else None,
        is_change=row.unit == "change",
        reason=row.reason,
    )
