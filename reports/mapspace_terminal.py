"""Mapping-space studies on a terminal: the same numbers as the page, in 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from reports.mapspace import PJ, MapspaceStudy, spreads_of
from reports.units import BY, percent, printable, shortened, si, times

_STYLE: Final[dict[str, Any]] = {
    "title_justify": "left",
    "box": SIMPLE_HEAD,
    "pad_edge": False,
    "collapse_padding": True,
}


def study_tables(study: MapspaceStudy) -> Iterator[Table]:
    """How the study's energy-delay products spread relative to the least sampled, beside what the survey printed of the
    layer; and the mappings that are marked."""
    title = f"{shortened(study.layer, 30)}: {len(study):,} of about {study.space:,.0f} legal mappings"
    spreads = _table(title, "EDP over the least", ("number", "10th pct.", "median", "largest", f"within 3{BY}"))
    for kind, spread in spreads_of(study).items():
        ratios = (spread.tenth_percentile, spread.median, spread.largest)
        _add(spreads, kind, f"{spread.samples:,}", *map(times, ratios), percent(spread.near_share))
    if (printed := study.published) is not None:
        ratio = times(printed.tenth_percentile)
        _add(spreads, "printed by the survey", "100,000", ratio, "", f"to 10⁴{BY}", percent(printed.near_share))
    yield spreads
    marks = _table("", "mapping", ("EDP", "relative", "better", "cycles", "energy"))
    for mark in study.marked:
        figures = (si(study.edp_of(mark), "Js"), times(study.relative_of(mark)), percent(study.better_than(mark)))
        _add(marks, mark.name, *figures, f"{mark.cycles:,.0f}", si(mark.energy_pj * PJ, "J"))
    yield marks


def _table(title: str, first: str, numbers: Sequence[str]) -> Table:
    table = Table(title=Text(printable(title)) if title else None, **_STYLE)
    table.add_column(first, no_wrap=True)
    for head in numbers:
        table.add_column(head, justify="right", no_wrap=True)
    return table


def _add(table: Table, *cells: str) -> None:
    table.add_row(*(Text(printable(cell)) for cell in cells))
