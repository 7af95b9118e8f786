"""A run on a terminal: rich tables for people, one dictionary for scripts. The same numbers as the page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from reports.breakdown import COMPUTING, PARTLY, WAITING, costliest_sets, cycles_by_cause, cycles_in_total, rows_of
from reports.overview import tiles
from reports.record import verified
from reports.units import BY, count, percent, printable, shortened, times

if TYPE_CHECKING:
    from reports.record import RunRecord

_PLAIN_STYLE: Final[dict[str, Any]] = {
    "title_justify": "left",
    "box": SIMPLE_HEAD,
    "pad_edge": False,
    "collapse_padding": True,
}
_SHORT: Final = {
    COMPUTING: "compute",
    PARTLY: "partly",
    "bank conflict": "bank",
    "dependency": "dep.",
    "command": "cmd.",
}
"""Causes under names that fit a terminal; those of waiting stand under the cause alone."""


def summary_table(record: RunRecord) -> Table:
    """The run in some ten lines: the page's tiles, then where the cycles went."""
    header = record.header
    table = Table(title=_plain(f"{header.network} on {header.accelerator.name}", 76), show_header=False, **_PLAIN_STYLE)
    table.add_column("")
    table.add_column("", justify="right")
    table.add_column("", style="dim")
    for name, value, detail in tiles(record):
        table.add_row(name, value, _plain(detail, 60))
    table.add_section()
    total = max(header.totals.cycles, 1.0)
    for cause, cycles in sorted(cycles_in_total(record), key=lambda part: -part[1]):
        table.add_row(_plain(cause, 40), count(cycles), f"cycles, {percent(cycles / total)}")
    return table


def layers_table(record: RunRecord, limit: int = 15) -> Table:
    """The sets of identical layers that take the most cycles in all, costliest first. A narrow terminal cuts
    names and shapes, never numbers."""
    shown = costliest_sets(record, limit)
    heads = (BY, "cycles", "share", "/roofline", "used")
    cells = [_figures(row) for row in rows_of(shown)]
    table = Table(title=f"The {len(shown)} costliest layers (identical ones counted together)", **_PLAIN_STYLE)
    # Columns that may wrap are the first that rich makes narrower; without a blank to wrap at, they are cut.
    table.add_column("layer", overflow="ellipsis", min_width=18)
    table.add_column("shape", overflow="ellipsis")
    for column, head in enumerate(heads):
        width = max([len(head), *(len(row[column]) for row in cells)])
        table.add_column(head, justify="right", no_wrap=True, min_width=width)
    for row, figures in zip(rows_of(shown), cells, strict=True):
        table.add_row(_plain(row.name, 40), _plain(row.shape, 28), *figures)
    return table


def causes_table(record: RunRecord, limit: int = 15) -> Table:
    """Where the cycles of the costliest layers on the array went, in percent of each: computing, computing with a
    partly filled mesh, and waiting by cause."""
    causes = cycles_by_cause(record.layers, record.header.accelerator.peak_macs_per_cycle)
    shown = [
        row for row in rows_of(costliest_sets(record, limit)) if row.costed_by == "simulated" and row.where == "array"
    ]
    parts = causes.loc[[row.index for row in shown]]
    parts = parts.loc[:, (parts > 0).any(axis=0)]
    table = Table(title="Percent of each layer in which the array computes, or waits for ...", **_PLAIN_STYLE)
    table.add_column("layer", overflow="ellipsis", min_width=18)
    for cause in parts.columns:
        name = str(cause).removeprefix(WAITING)
        table.add_column(_plain(_SHORT.get(name, name), 11), justify="right", no_wrap=True)
    for row in shown:
        shares = [_share(float(spent) / row.cycles) for spent in parts.loc[row.index]]
        table.add_row(_plain(row.name, 40), *shares)
    return table


def record_as_json(record: RunRecord) -> dict[str, Any]:
    """The run without its timelines as plain values for `json.dumps`: the header's fields, `cycles_by_cause`, and
    `layers`, one dictionary a layer; what was not measured is None."""
    sound = verified(record)
    header: dict[str, Any] = msgspec.to_builtins(sound.header)
    layers = [
        {column: _value(value) for column, value in row.items()} for row in sound.layers.to_dict(orient="records")
    ]
    return {**header, "cycles_by_cause": dict(cycles_in_total(sound)), "layers": layers}


def _figures(row: Any) -> tuple[str, ...]:
    return (
        count(row.times),
        count(row.cycles),
        percent(row.share),
        times(row.over_roofline),
        percent(row.utilisation if row.macs else math.nan),
    )


def _share(share: float) -> str:
    if share <= 0:
        return ""
    return f"{100 * share:.0f}" if share >= 0.005 else "<1"


def _value(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(text: str, width: int) -> Text:
    """One line of text without rich's markup: a layer named "[red]" is shown as it is named."""
    return Text(shortened(printable(text), width).replace(" ", "\N{NO-BREAK SPACE}"))
