"""The case study on a terminal: a table a step, in 80 columns, and the reasons of rows outside their bound."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.case_study import CaseRow, CaseStudy
from reports.case_study_text import case_study_record, difference_text, headline, value_text, verdict_text

_STYLE: Final[dict[str, Any]] = {
    "title_justify": "left",
    "box": SIMPLE_HEAD,
    "pad_edge": False,
    "collapse_padding": True,
}


def print_case_study(study: CaseStudy, page: Path, *, as_json: bool) -> None:
    """The rows, step by step, and where the page lies; as JSON one object with all that the page is made of."""
    console = Console()
    if as_json:
        console.print_json(data=case_study_record(study) | {"page": str(page)})
        return
    for table in step_tables(study):
        console.print(table)
    console.print(f"{headline(study)} * gated. {study.seconds:.0f} s.", markup=False)
    console.print(f"page, with the reasons: {page}", markup=False, soft_wrap=True)


def step_tables(study: CaseStudy) -> Iterator[Table]:
    """One table a step."""
    for step, rows in groupby(study.rows, key=lambda row: row.step):
        table = Table(title=Text(step), **_STYLE)
        table.add_column("", ratio=1)
        for head in ("ours", "printed", "difference"):
            table.add_column(head, justify="right", no_wrap=True)
        table.add_column("")
        for row in rows:
            table.add_row(*_cells(row))
        yield table


def _cells(row: CaseRow) -> tuple[Text, ...]:
    colour = "green" if row.within else ("bold red" if row.gated else "yellow")
    return (
        Text(f"{row.name}{' *' if row.gated else ''}"),
        Text(value_text(row.ours, row.unit)),
        Text(value_text(row.published, row.unit)),
        Text(difference_text(row)),
        Text(verdict_text(row), style=colour),
    )
