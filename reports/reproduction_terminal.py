"""Reproduced tables on a terminal, in 80 columns: one line a table, then the rows that are outside their bounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from reports.reproduction import CLOSENESS, Closeness, ReproducedRow, ReproducedTable
from reports.reproduction_page import difference_text, ours_text
from reports.units import UNMEASURED, printable, shortened

_STYLE: Final[dict[str, Any]] = {
    "title_justify": "left",
    "box": SIMPLE_HEAD,
    "pad_edge": False,
    "collapse_padding": True,
}
_COLOURS: Final[dict[Closeness, str]] = {
    "exact": "blue",
    "close": "cyan",
    "near": "yellow",
    "far": "red",
    "skipped": "bright_black",
}
_NAME_WIDTH: Final = 33


def reproduction_tables(tables: Sequence[ReproducedTable]) -> Iterator[Table]:
    """A line a table with how many of its rows come how near; the rows outside their bounds, where there are any."""
    legend = "  ".join(f"{symbol} {meaning}" for symbol, meaning in CLOSENESS.values())
    overview = Table(caption=Text(legend), **_STYLE)
    overview.add_column("published", no_wrap=True)
    for head in (*(symbol for symbol, _ in CLOSENESS.values()), "within bound", "s"):
        overview.add_column(head, justify="right", no_wrap=True, min_width=len(head) if len(head) > 1 else 2)
    for table in tables:
        overview.add_row(
            Text(printable(f"{table.id}: {table.title}", _NAME_WIDTH)),
            *(_count(table, closeness) for closeness in CLOSENESS),
            Text(judged_text(table), style="bold red" if table.outside else ""),
            f"{table.seconds:.1f}",
        )
    yield overview
    missed = [(table, row) for table in tables for row in table.outside]
    if missed:
        yield _missed(missed)


def judged_text(table: ReproducedTable) -> str:
    """How many of the judged rows are within their bounds: "44 of 45"."""
    judged = len(table.judged)
    return f"{judged - len(table.outside)} of {judged}" if judged else UNMEASURED


def _count(table: ReproducedTable, closeness: Closeness) -> Text:
    count = sum(row.closeness == closeness for row in table.rows)
    return Text(str(count) if count else "", style=_COLOURS[closeness])


def _missed(rows: Sequence[tuple[ReproducedTable, ReproducedRow]]) -> Table:
    missed = Table(title=Text("outside their bounds", style="bold red"), **_STYLE)
    missed.add_column("row", no_wrap=True)
    for head in ("published", "ours", "difference", "bound"):
        missed.add_column(head, justify="right", no_wrap=True)
    for table, row in rows:
        name = shortened(f"{table.id}: {row.what}, {row.unit}", _NAME_WIDTH)
        figures = (row.printed, ours_text(row), difference_text(row), f"{row.bound:.1%}")
        missed.add_row(*(Text(printable(cell)) for cell in (name, *figures)))
    return missed
