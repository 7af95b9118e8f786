"""The figures of the case study as plain plotly dictionaries; colours as in `reports.figures`."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, Final

from reports.case_study import Breakdown, CaseRow, CaseStudy, SearchPoint
from reports.case_study_text import value_text
from reports.palette import SERIES
from reports.units import percent, si

Figure = dict[str, Any]
_LEGEND: Final[Figure] = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"}


def figures_of(study: CaseStudy) -> dict[str, Figure]:
    """Every figure that the study has numbers for."""
    figures = {}
    if study.breakdowns:
        figures["breakdown"] = breakdown_figure(study.breakdowns)
        figures["area"] = area_figure(study.areas)
    memory = [row for row in study.rows if row.step == "memory" and row.unit == "share"]
    for name, rows, title in (
        ("memory", memory, "utilisation of the array"),
        ("fusion", [row for row in study.rows if row.step == "fusion"], "change of latency by fusing"),
        ("gains", [row for row in study.rows if row.unit == "times"], "times"),
    ):
        if rows:
            figures[name] = pairs_figure(rows, title)
    if study.architectures:
        figures["search"] = search_figure(study.architectures)
    return figures


def breakdown_figure(breakdowns: Sequence[Breakdown]) -> Figure:
    """Four stacked bars: shares of the time of both machines, ours and printed."""
    names = list(dict.fromkeys(part.name for one in breakdowns for part in one.parts))
    bars = [label for one in breakdowns for label in (f"{one.name}: ours", f"{one.name}: printed")]
    traces = []
    for rank, name in enumerate(names):
        shares: list[float | None] = []
        hover = []
        for one in breakdowns:
            part = next((part for part in one.parts if part.name == name), None)
            ours = one.share(name) if part else None
            printed = part.published if part else None
            shares += [ours, printed]
            hover += [f"{name}: {percent(ours or 0)}, {si(part.cycles if part else 0, 'cycles')}"]
            hover += [f"{name}: {percent(printed or 0)} printed"]
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": name,
                "y": bars,
                "x": shares,
                "customdata": hover,
                "hovertemplate": "%{customdata}<extra></extra>",
                "marker": {"color": f"var({SERIES[rank % len(SERIES)]})"},
            }
        )
    return {
        "data": traces,
        "layout": {
            "barmode": "stack",
            "xaxis": {"title": {"text": "share of the time"}, "tickformat": ".0%", "range": [0, 1]},
            "yaxis": {"autorange": "reversed", "automargin": True},
            "legend": _LEGEND,
        },
    }


def pairs_figure(rows: Sequence[CaseRow], title: str) -> Figure:
    """Ours and the printed number side by side, row by row."""
    names = [html.escape(row.name) for row in rows]

    def bars(name: str, values: list[float], colour: str) -> Figure:
        return {
            "type": "bar",
            "orientation": "h",
            "name": name,
            "y": names,
            "x": values,
            "customdata": [value_text(value, row.unit) for value, row in zip(values, rows, strict=True)],
            "hovertemplate": "%{y}: %{customdata}<extra>" + name + "</extra>",
            "marker": {"color": f"var({colour})"},
        }

    ours, printed = [row.ours for row in rows], [row.published for row in rows]
    axis: Figure = {"title": {"text": title}}
    if rows[0].unit != "times":
        axis["tickformat"] = ".0%"
    else:
        axis["type"] = "log"
    return {
        "data": [bars("printed", printed, "--grey"), bars("ours", ours, "--blue")],
        "layout": {
            "barmode": "group",
            "height": 140 + 34 * len(rows),
            "xaxis": axis,
            "yaxis": {"autorange": "reversed", "automargin": True},
            "legend": _LEGEND,
        },
    }


def area_figure(areas: Sequence[tuple[str, float]]) -> Figure:
    """One stacked bar of the accelerator with its integer units."""
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": name,
            "y": ["45 nm"],
            "x": [um2 / 1e6],
            "hovertemplate": f"{name}: {um2 / 1e6:.3f} mm²<extra></extra>",
            "marker": {"color": f"var({SERIES[rank % len(SERIES)]})"},
        }
        for rank, (name, um2) in enumerate(areas)
    ]
    return {
        "data": traces,
        "layout": {
            "barmode": "stack",
            "height": 200,
            "xaxis": {"title": {"text": "mm²"}},
            "yaxis": {"automargin": True},
            "legend": _LEGEND,
        },
    }


def search_figure(points: Sequence[SearchPoint]) -> Figure:
    """Energy-delay product over weights, both relative to the baseline: all that were tried, and the front."""
    kinds = (
        ("tried", [point for point in points if not point.on_front], "--grey", 5),
        ("most weights for its cost", [point for point in points if point.on_front], "--blue", 9),
    )
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": [round(point.weights, 4) for point in chosen],
                "y": [round(point.edp, 4) for point in chosen],
                "customdata": [
                    f"d {point.features}, heads {list(point.heads)}, FFN {list(point.hidden)}<br>"
                    f"latency {percent(point.latency)}, energy {percent(point.energy)}"
                    for point in chosen
                ],
                "hovertemplate": "%{customdata}<extra></extra>",
                "marker": {"color": f"var({colour})", "size": size},
            }
            for name, chosen, colour, size in kinds
        ],
        "layout": {
            "xaxis": {"title": {"text": "weights of the layers over the baseline's"}, "tickformat": ".0%"},
            "yaxis": {"title": {"text": "energy-delay product over the baseline's"}, "type": "log"},
            "legend": _LEGEND,
        },
    }
