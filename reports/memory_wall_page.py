"""The memory wall as one HTML page that stands alone."""

from __future__ import annotations

from reports.memory_wall_figures import growth_figure, ridge_figure
from reports.memory_wall_terminal import PRINTED, shown_year, verdict_cells
from reports.page_frame import filled, framed
from reports.tables import Cell, escaped, number, table
from reports.units import BY, UNMEASURED, shortened, three_digits
from simulator.memory_wall.wall import Wall


def render_memory_wall(wall: Wall) -> str:
    """The whole page."""
    networks = ", ".join(wall.crossings)
    body = filled(
        "memory_wall.html",
        networks=escaped(shortened(networks, 60)),
        headline=escaped(_headline(wall), 3000),
        verdicts=_verdicts_table(wall),
        trends=_trends_table(wall),
    )
    figures = {"ridges": ridge_figure(wall), "growth": growth_figure(wall)}
    return framed(title="The memory wall", body=body, figures=figures)


def _headline(wall: Wall) -> str:
    parts = [
        f"{shortened(network, 60)} ({three_digits(wall.intensities[network])} FLOP/B) from {shown_year(year)}"
        for network, year in wall.crossings.items()
    ]
    return (
        f"Peaks grow {wall.trends['compute'].per_two_years:.2f}{BY} in two years, DRAM bandwidth"
        f" {wall.trends['dram'].per_two_years:.2f}{BY}: ridge points rise {wall.ridge_per_two_years:.2f}{BY}."
        f" On the trend, bandwidth bounds {'; '.join(parts)}."
    )


def _verdicts_table(wall: Wall) -> str:
    heads = ("Network", "Machine", "Year", "Format", "FLOP/B", "Ridge", "Bound by", "Time in memory", "Crossing")
    rows = []
    for place, network in enumerate(wall.crossings):
        for one in wall.verdicts:
            if one.network != network:
                continue
            machine, year, number_format, intensity, ridge, bound, share, crossing = verdict_cells(one)
            rows.append(
                (
                    Cell(shown=shortened(network, 40), whole=network, value=float(place)),
                    Cell(shown=machine, whole=one.machine.description),
                    Cell(shown=year, value=one.machine.year),
                    Cell(shown=number_format),
                    Cell(shown=intensity, value=one.intensity),
                    Cell(shown=ridge, value=one.ridge),
                    Cell(shown=bound),
                    Cell(shown=share, value=one.memory_share, share=one.memory_share),
                    Cell(shown=crossing, value=one.crossing_year),
                )
            )
    return table(heads, rows, numeric=(2, 4, 5, 7, 8), identifier="verdicts")


def _trends_table(wall: Wall) -> str:
    heads = ("What", "Points", "Fitted, in two years", "Printed", "Difference", "R²")
    rows = []
    for trend in (*wall.trends.values(), wall.models):
        printed = PRINTED.get(trend.series)
        difference = f"{100 * (trend.per_two_years / printed - 1):+.1f} %" if printed else UNMEASURED
        rows.append(
            (
                Cell(shown=trend.series, below=trend.unit.replace("_", " ")),
                number(len(trend.points)),
                Cell(shown=f"{trend.per_two_years:.3f}{BY}", value=trend.per_two_years),
                Cell(shown=f"{printed:.1f}{BY}" if printed else UNMEASURED),
                Cell(shown=difference),
                Cell(shown=f"{trend.determination:.3f}", value=trend.determination),
            )
        )
    return table(heads, rows, numeric=range(1, 6), sortable=False)
