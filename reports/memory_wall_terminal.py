"""The memory wall on a terminal, and as JSON: the same numbers as the page."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from reports.units import BY, UNMEASURED, percent, printable, shortened, three_digits

if TYPE_CHECKING:
    from simulator.memory_wall.trends import Trend
    from simulator.memory_wall.wall import Verdict, Wall

PRINTED: Final = {"compute": 3.0, "dram": 1.6, "interconnect": 1.4}
"""Growth in two years as Gholami et al. print it (AI and Memory Wall, arXiv 2403.14123, figure 1)."""
_STYLE: Final[dict[str, Any]] = {"title_justify": "left", "box": SIMPLE_HEAD, "pad_edge": False}


def wall_tables(wall: Wall) -> Iterator[Table]:
    """What grows how fast; when each network passes the trends' ridge point; each network on each machine."""
    yield _trends_table(wall)
    crossings = _table("When the trends' ridge point passes a network", "network", ("FLOP/B", "year", "first machine"))
    for network, year in wall.crossings.items():
        first = wall.first_bound(network)
        held = f"{first.machine.name}, {shown_whole(first.machine.year)}" if first else "none of these"
        _add(crossings, shortened(network, 50), three_digits(wall.intensities[network]), shown_year(year), held)
    yield crossings
    for network in wall.crossings:
        heads = ("year", "format", "FLOP/B", "ridge", "bound by", "in memory", "crossing")
        table = _table(shortened(network, 60), "machine", heads)
        for one in wall.verdicts:
            if one.network == network:
                _add(table, *verdict_cells(one))
        yield table


def verdict_cells(one: Verdict) -> tuple[str, ...]:
    """A network's verdict on one machine: machine, its year, format, intensity, ridge point, what bounds the network,
    share of time bound by memory, and the year its line crosses."""
    year = one.machine.year or 0.0
    since = "since" if one.crossing_year <= year else "from"
    return (
        one.machine.name,
        shown_whole(year),
        one.number_format,
        three_digits(one.intensity),
        three_digits(one.ridge),
        "bandwidth" if one.bandwidth_bound else "compute",
        percent(one.memory_share),
        f"{since} {shown_year(one.crossing_year)}",
    )


def shown_year(year: float) -> str:
    """A year to one decimal; a dash for never."""
    return f"{year:.1f}" if isfinite(year) else UNMEASURED


def shown_whole(year: float | None) -> str:
    """The year that a moment is in; nothing for none."""
    return "" if year is None else str(int(year))


def wall_json(wall: Wall) -> dict[str, Any]:
    """Everything that the tables show, by names with units."""
    return {
        "trends": [_trend_json(trend) for trend in (*wall.trends.values(), wall.models)],
        "ridge_growth_per_two_years": wall.ridge_per_two_years,
        "networks": [
            {
                "name": network,
                "compulsory_flops_per_byte": wall.intensities[network],
                "trend_crossing_year": year if isfinite(year) else None,
                "first_bandwidth_bound_machine": first.machine.name if (first := wall.first_bound(network)) else None,
                "machines": [_verdict_json(one) for one in wall.verdicts if one.network == network],
            }
            for network, year in wall.crossings.items()
        ],
    }


def _trends_table(wall: Wall) -> Table:
    table = _table("Growth in two years", "what", ("points", f"fitted {BY}", f"printed {BY}", "R²"))
    for trend in (*wall.trends.values(), wall.models):
        printed = PRINTED.get(trend.series)
        shown = f"{printed:.1f}" if printed else ""
        _add(
            table,
            trend.series,
            str(len(trend.points)),
            f"{trend.per_two_years:.3f}",
            shown,
            f"{trend.determination:.3f}",
        )
    _add(table, "ridge point (compute over DRAM)", "", f"{wall.ridge_per_two_years:.3f}", "1.9", "")
    return table


def _trend_json(trend: Trend) -> dict[str, Any]:
    return {
        "series": trend.series,
        "unit": trend.unit,
        "points": len(trend.points),
        "per_two_years": trend.per_two_years,
        "printed_per_two_years": PRINTED.get(trend.series),
        "r_squared": trend.determination,
    }


def _verdict_json(one: Verdict) -> dict[str, Any]:
    return {
        "machine": one.machine.name,
        "year": one.machine.year,
        "format": one.number_format,
        "flops_per_byte": one.intensity,
        "ridge_flops_per_byte": one.ridge,
        "bandwidth_bound": one.bandwidth_bound,
        "memory_share": one.memory_share,
        "crossing_year": one.crossing_year if isfinite(one.crossing_year) else None,
    }


def _table(title: str, first: str, numbers: tuple[str, ...]) -> Table:
    table = Table(title=Text(printable(title)), **_STYLE)
    table.add_column(first, no_wrap=True)
    for head in numbers:
        table.add_column(head, justify="right", no_wrap=True)
    return table


def _add(table: Table, *cells: str) -> None:
    table.add_row(*(Text(printable(cell)) for cell in cells))
