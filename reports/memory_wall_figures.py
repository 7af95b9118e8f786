"""The memory wall's figures as plain plotly dictionaries; colours as in `reports.figures`."""

from __future__ import annotations

import html
from collections.abc import Sequence
from math import ceil, floor, isfinite, log10
from typing import Any, Final

from reports.memory_wall_terminal import shown_year
from reports.palette import SERIES
from reports.units import BY, printable, shortened, si, three_digits
from simulator.memory_wall.trends import Trend
from simulator.memory_wall.wall import Verdict, Wall

Figure = dict[str, Any]

_HUES: Final = {"compute": "--blue", "dram": "--orange", "interconnect": "--green", "models": "--purple"}
_NAMES: Final = {
    "compute": "peak operations a second",
    "dram": "DRAM bandwidth",
    "interconnect": "interconnect",
    "models": "parameters of language models",
}
_HEIGHT_PIXELS: Final = 540
_LINE_PIXELS: Final = 15
_NAMES_SHARE: Final = 0.5
"""Of the years drawn, room for names at the right."""


def growth_figure(wall: Wall) -> Figure:
    """Every series relative to its own line in the year of its first point, logarithmic, with its fitted line."""
    traces: list[Figure] = []
    ends = []
    last = max(point.year for trend in (*wall.trends.values(), wall.models) for point in trend.points)
    for trend in (*wall.trends.values(), wall.models):
        hue = _HUES.get(trend.series, SERIES[-1])
        start = min(point.year for point in trend.points)
        base = trend.at(start)
        traces += [_points_trace(trend, base, hue), _line_trace(trend, start, last, base, hue)]
        ends.append((trend.at(last) / base, f"{_NAMES.get(trend.series, trend.series)}", trend.per_two_years, hue))
    values = [value for trace in traces for value in trace["y"]]
    low, high = log10(min(values)) - 0.2, log10(max(values)) + 0.3
    return {
        "data": traces,
        "layout": {
            "xaxis": {
                "title": {"text": "year"},
                "range": [1996, last + 14],
                "tickvals": list(range(1996, int(last) + 1, 4)),
            },
            "yaxis": _log_axis("relative to the fitted line at its first point", low, high),
            "annotations": _apart(
                [(value, f"{name}: {growth:.2f}{BY} / 2 years", hue) for value, name, growth, hue in ends],
                last,
                low,
                high,
            ),
            "showlegend": False,
            "hovermode": "closest",
        },
    }


def ridge_figure(wall: Wall) -> Figure:
    """Ridge points of machines and of the trends over time against the intensities of networks: right of where a
    network's line is crossed, bandwidth bounds it."""
    machines = list({one.machine.name: one for one in wall.verdicts}.values())
    years = [one.machine.year or 0.0 for one in machines]
    crossings = [year for year in wall.crossings.values() if isfinite(year) and 1990 <= year <= 2040]
    first = floor(min([*years, *crossings, 2008])) - 2
    last = ceil(max([*years, *crossings, 2024]))
    found = [*(one.ridge for one in machines), *wall.intensities.values(), wall.ridge_at(first), wall.ridge_at(last)]
    low, high = log10(min(found)) - 0.25, log10(max(found)) + 0.25
    traces = [_trend_ridge(wall, first, last), _machine_marks(machines)]
    annotations = _apart(
        [
            (intensity, _network_name(network, wall), SERIES[(rank + 2) % len(SERIES)])
            for rank, (network, intensity) in enumerate(wall.intensities.items())
        ],
        last,
        low,
        high,
    )
    for rank, (network, intensity) in enumerate(wall.intensities.items()):
        traces += _network_traces(network, intensity, wall, first, last, SERIES[(rank + 2) % len(SERIES)])
    return {
        "data": traces,
        "layout": {
            "xaxis": {
                "title": {"text": "year"},
                "range": [first, last + (last - first) * _NAMES_SHARE],
                "tickvals": list(range(first + first % 2, last + 1, 2 if last - first < 30 else 4)),
            },
            "yaxis": _log_axis("FLOP per byte of DRAM", low, high),
            "annotations": [
                *annotations,
                *_machine_names(machines, low, high, last - first),
            ],
            "showlegend": False,
            "hovermode": "closest",
        },
    }


def _network_name(network: str, wall: Wall) -> str:
    """What stands right of a network's line: name, intensity, and from when on bandwidth bounds it."""
    name = _text(shortened(network, 36))
    return f"{name}: {three_digits(wall.intensities[network])}, from {shown_year(wall.crossings[network])}"


def _trend_ridge(wall: Wall, first: float, last: float) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [first, last],
        "y": [wall.ridge_at(first), wall.ridge_at(last)],
        "line": {"color": "var(--ink)", "width": 2.5},
        "hovertemplate": f"trend of ridge points, {wall.ridge_per_two_years:.2f}{BY} / 2 years<extra></extra>",
    }


def _machine_marks(machines: Sequence[Verdict]) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [one.machine.year for one in machines],
        "y": [one.ridge for one in machines],
        "customdata": [
            f"{_text(one.machine.name)}, {one.number_format}: ridge {three_digits(one.ridge)} FLOP/B"
            for one in machines
        ],
        "hovertemplate": "%{customdata}<extra></extra>",
        "marker": {"size": 10, "color": "var(--blue)", "line": {"width": 1, "color": "var(--card)"}},
    }


def _machine_names(machines: Sequence[Verdict], low: float, high: float, years: float) -> list[Figure]:
    """A name beside every machine, left where a later one stands close at its right, lower where both are taken."""
    found: list[Figure] = []
    boxes: list[tuple[float, float, float]] = []
    for one in sorted(machines, key=lambda one: one.ridge):
        x, y = one.machine.year or 0.0, log10(one.ridge)
        width = (len(one.machine.name) * 6.6 + 14) / 1040 * years * (1 + _NAMES_SHARE)
        height = (high - low) * _LINE_PIXELS / _HEIGHT_PIXELS
        choices = [(x, x + width, y, "left"), (x - width, x, y, "right")]
        choices += [(x, x + width, y + step * height, "left") for step in (1, -1, 2, -2)]
        clear = (
            choice
            for choice in choices
            if all(choice[1] <= a or choice[0] >= b or abs(choice[2] - h) >= height for a, b, h in boxes)
        )
        left, right, level, side = next(clear, choices[0])
        boxes.append((left, right, level))
        found.append(
            {
                "x": x,
                "y": level,
                "xanchor": side,
                "xshift": 8 if side == "left" else -8,
                "showarrow": False,
                "text": _text(one.machine.name),
                "font": {"size": 12, "color": "var(--blue)"},
            }
        )
    return found


def _network_traces(network: str, intensity: float, wall: Wall, first: float, last: float, hue: str) -> list[Figure]:
    year = wall.crossings[network]
    line = {
        "type": "scatter",
        "mode": "lines",
        "x": [first, last],
        "y": [intensity, intensity],
        "line": {"color": f"var({hue})", "width": 1.5, "dash": "dash"},
        "hovertemplate": f"{_text(network)}: {three_digits(intensity)} FLOP/B<extra></extra>",
    }
    if not first <= year <= last:
        return [line]
    mark = {
        "type": "scatter",
        "mode": "markers",
        "x": [year],
        "y": [intensity],
        "marker": {"size": 11, "symbol": "circle-open", "color": f"var({hue})", "line": {"width": 2.5}},
        "hovertemplate": f"{_text(network)} is bound by bandwidth from {shown_year(year)} on<extra></extra>",
    }
    return [line, mark]


def _points_trace(trend: Trend, base: float, hue: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [round(point.year, 2) for point in trend.points],
        "y": [point.value / base for point in trend.points],
        "customdata": [f"{_text(point.name)} {si(point.value, '')} {_text(trend.unit)}" for point in trend.points],
        "hovertemplate": "%{customdata}, %{x:.1f}<extra></extra>",
        "marker": {"size": 7, "color": f"var({hue})", "line": {"width": 1, "color": "var(--card)"}},
    }


def _line_trace(trend: Trend, start: float, last: float, base: float, hue: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "hoverinfo": "skip",
        "x": [start, last],
        "y": [1.0, trend.at(last) / base],
        "line": {"color": f"var({hue})", "width": 2},
    }


def _apart(ends: Sequence[tuple[float, str, str]], x: float, low: float, high: float) -> list[Figure]:
    """Names right of `x` at their values, pushed apart where those are close."""
    step = (high - low) * _LINE_PIXELS / _HEIGHT_PIXELS
    placed: list[Figure] = []
    height = low
    for value, text, hue in sorted(ends):
        height = max(log10(value), height + step if placed else low)
        placed.append(
            {
                "x": x,
                "y": height,
                "xanchor": "left",
                "yanchor": "middle",
                "xshift": 8,
                "showarrow": False,
                "text": text,
                "font": {"size": 12, "color": f"var({hue})"},
            }
        )
    return placed


def _log_axis(title: str, low: float, high: float) -> Figure:
    decades = range(ceil(low), floor(high) + 1)
    return {
        "type": "log",
        "range": [low, high],
        "tickvals": [10.0**decade for decade in decades],
        "ticktext": [si(10.0**decade, "") if decade >= 0 else f"{10.0**decade:g}" for decade in decades],
        "title": {"text": title},
    }


def _text(text: str) -> str:
    return html.escape(printable(text), quote=False)
