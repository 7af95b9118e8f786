"""The figures of a mapping-space study as plain plotly dictionaries; colours as in `reports.figures`."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reports.mapspace import PJ, FloatArray, MapspaceStudy
from reports.palette import SERIES
from reports.units import BY, count, percent, printable, shortened, si, times

Figure = dict[str, Any]

_BINS: Final = 90
_CELLS: Final = 64
_CURVE_POINTS: Final = 240
_NEAR_EDGE: Final = 15.0
_MARKS: Final = {
    "optimum": ("--green", "diamond"),
    "fastest": ("--purple", "triangle-up"),
    "heuristic": ("--orange", "square"),
    "best": ("--ink", "circle-open"),
}


def distribution_figure(study: MapspaceStudy) -> Figure:
    """Mappings by energy-delay product relative to the least sampled, on a logarithmic axis; the share that is at least
    as good; and where the marked mappings lie."""
    relative = study.relative
    lowest = min(1.0, *(study.relative_of(mark) for mark in study.marked)) / 1.15
    highest = max(float(relative.max()), *(study.relative_of(mark) for mark in study.marked)) * 1.15
    edges = np.geomspace(lowest, highest, _BINS + 1)
    counts, _ = np.histogram(relative, edges)
    tallest = int(counts.max())
    hover = [
        f"{times(low)} to {times(high)}: {count(number)} mappings"
        for low, high, number in zip(edges[:-1], edges[1:], counts.tolist(), strict=True)
    ]
    bars = {
        "type": "scatter",
        "mode": "lines",
        "name": "mappings",
        "x": _rounded(edges),
        "y": [*counts.tolist(), 0],
        "line": {"shape": "hv", "width": 1, "color": "var(--blue)"},
        "fill": "tozeroy",
        "customdata": [*hover, ""],
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    marks = [_mark_line(study, kind, tallest) for kind in _MARKS]
    return {
        "data": [bars, _cumulative(relative, "y2", "at least as good"), *(mark for mark in marks if mark)],
        "layout": _log_layout(math.log10(lowest), math.log10(highest)),
    }


def near_optimum_figure(studies: Sequence[MapspaceStudy]) -> Figure:
    """The cumulative distribution of every study near its best, with the printed tenth percentiles as crosses: the
    survey's figure 19."""
    traces = []
    for rank, study in enumerate(studies):
        colour = SERIES[rank % len(SERIES)]
        curve = _cumulative(study.relative, "y", _name(study))
        traces.append(curve | {"line": {"color": f"var({colour})", "width": 2}})
        if study.published is not None:
            traces.append(_published_mark(study, colour))
    return {
        "data": traces,
        "layout": {
            "xaxis": {"title": {"text": "EDP relative to the least sampled"}, "range": [1, _NEAR_EDGE]},
            "yaxis": {"title": {"text": "share of the mappings, %"}, "rangemode": "tozero", "range": [0, 60]},
            "legend": _LEGEND,
            "hovermode": "closest",
        },
    }


def plane_figure(study: MapspaceStudy) -> Figure:
    """Where the mappings lie in latency and energy, both logarithmic: how many fall into each cell, and the marks."""
    x, y = np.log10(study.cycles.astype(np.float64)), np.log10(study.energy_pj * PJ)
    cells, across, along = np.histogram2d(x, y, bins=_CELLS)
    shown = np.where(cells > 0, np.log10(np.maximum(cells, 1)), np.nan).T
    heat = {
        "type": "heatmap",
        "x": _rounded(10**across),
        "y": _rounded(10**along),
        "z": [[None if math.isnan(value) else round(value, 3) for value in row] for row in shown.tolist()],
        "customdata": cells.T.astype(int).tolist(),
        "hovertemplate": "%{customdata:,} mappings near %{x:.3s} cycles, %{y:.3s}J<extra></extra>",
        "colorscale": [[0, "var(--sky)"], [1, "var(--blue)"]],
        "showscale": False,
    }
    marks = [_mark_point(study, kind) for kind in _MARKS]
    axis = {"type": "log", "exponentformat": "SI", "dtick": "D2"}
    return {
        "data": [heat, *(mark for mark in marks if mark)],
        "layout": {
            "xaxis": axis | {"title": {"text": "latency, cycles"}},
            "yaxis": axis | {"title": {"text": "energy, J"}},
            "legend": _LEGEND,
            "hovermode": "closest",
        },
    }


_LEGEND: Final = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"}


def _log_layout(low: float, high: float) -> Figure:
    return {
        "xaxis": {
            "type": "log",
            "range": [low, high],
            "dtick": 1,
            "title": {"text": "energy-delay product relative to the least sampled"},
        },
        "yaxis": {"title": {"text": "mappings"}, "rangemode": "tozero"},
        "yaxis2": {
            "title": {"text": "at least as good, %"},
            "overlaying": "y",
            "side": "right",
            "range": [0, 100],
            "tickmode": "linear",
            "tick0": 0,
            "dtick": 25,
            "showgrid": False,
        },
        "legend": _LEGEND,
        "hovermode": "closest",
    }


def _cumulative(relative: FloatArray, axis: str, name: str) -> Figure:
    """The share of the mappings up to each ratio; points dense where the best are."""
    shares = np.unique(np.concatenate((np.linspace(0, 5, _CURVE_POINTS), np.linspace(5, 100, _CURVE_POINTS))))
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": _rounded(np.percentile(relative, shares)),
        "y": _rounded(shares),
        "yaxis": axis,
        "line": {"color": "var(--muted)", "width": 1.5},
        "hovertemplate": f"%{{y:.1f}} % of the mappings within %{{x:.2f}}{BY}<extra></extra>",
    }


def _mark_line(study: MapspaceStudy, kind: str, height: int) -> Figure | None:
    mark = getattr(study, kind)
    if mark is None or kind == "best":
        return None
    colour, symbol = _MARKS[kind]
    ratio = study.relative_of(mark)
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": f"{mark.name}: {times(ratio)}",
        "x": [ratio, ratio],
        "y": [0, height * 1.04],
        "line": {"color": f"var({colour})", "width": 2},
        "marker": {"color": f"var({colour})", "symbol": symbol, "size": [1, 10]},
        "customdata": [_hover(study, kind)] * 2,
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def _mark_point(study: MapspaceStudy, kind: str) -> Figure | None:
    mark = getattr(study, kind)
    if mark is None:
        return None
    colour, symbol = _MARKS[kind]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": mark.name,
        "x": [mark.cycles],
        "y": [mark.energy_pj * PJ],
        "marker": {
            "color": f"var({colour})",
            "symbol": symbol,
            "size": 12,
            "line": {"width": 2, "color": "var(--card)"},
        }
        if not symbol.endswith("open")
        else {"color": f"var({colour})", "symbol": symbol, "size": 13, "line": {"width": 2}},
        "customdata": [_hover(study, kind)],
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def _hover(study: MapspaceStudy, kind: str) -> str:
    mark = getattr(study, kind)
    return (
        f"{mark.name}: {times(study.relative_of(mark))} the least sampled EDP<br>{count(mark.cycles)} cycles, "
        f"{si(mark.energy_pj * PJ, 'J')}<br>{percent(study.better_than(mark))} of the samples are better"
    )


def _published_mark(study: MapspaceStudy, colour: str) -> Figure:
    published = study.published
    assert published is not None
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"printed: {published.name}",
        "showlegend": False,
        "x": [published.tenth_percentile],
        "y": [10],
        "marker": {
            "color": f"var({colour})",
            "symbol": "x-thin",
            "size": 11,
            "line": {"width": 3, "color": f"var({colour})"},
        },
        "hovertemplate": f"printed for {published.name}: tenth percentile at %{{x}}{BY}<extra></extra>",
    }


def _name(study: MapspaceStudy) -> str:
    name = study.published.name if study.published is not None else study.layer
    return html.escape(printable(shortened(name, 40)), quote=False)


def _rounded(values: npt.NDArray[np.float64]) -> list[float]:
    return [float(f"{value:.5g}") for value in values.tolist()]
