"""The memory wall's figures as plain plotly dictionaries; colours as in `reports.figures`."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
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
_WIDTH_PIXELS: Final = 1040
_FIRST_YEAR: Final = 2014
_LETTER_PIXELS: Final = 6.8
_MARK_PIXELS: Final = 8
_NEAR_PIXELS: Final = 22
"""A name farther from its machine than this is tied to it by a line."""
Spot = tuple[float, float]
"""Pixels from the left and from the bottom of the plot."""
Box = tuple[float, float, float, float]
"""Left, right, bottom and top in pixels."""


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
    first = floor(min([*years, *crossings, _FIRST_YEAR])) - 2
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
    scale = _Scale(first=first, years=(last - first) * (1 + _NAMES_SHARE), low=low, high=high)
    names, ties = _machine_names(
        machines, _drawn(wall, machines, first, last, scale), [_name_box(one, scale) for one in annotations], scale
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
            "annotations": [*annotations, *names],
            "shapes": ties,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """Years from `first` on and decades from `low` to `high`, over the pixels of the plot."""

    first: float
    years: float
    low: float
    high: float

    def spot(self, year: float, value: float) -> Spot:
        """Where a year and a ridge point or intensity lie."""
        return (
            (year - self.first) / self.years * _WIDTH_PIXELS,
            (log10(value) - self.low) / (self.high - self.low) * _HEIGHT_PIXELS,
        )

    def year(self, pixels: float) -> float:
        """The year that many pixels from the left."""
        return self.first + pixels / _WIDTH_PIXELS * self.years

    def value(self, pixels: float) -> float:
        """The value that many pixels from the bottom."""
        return float(10 ** (self.low + pixels / _HEIGHT_PIXELS * (self.high - self.low)))


def _drawn(wall: Wall, machines: Sequence[Verdict], first: float, last: float, scale: _Scale) -> list[Spot]:
    """Spots of whatever a name should not lie on: the trend and the networks' lines every few pixels, and all marks."""
    ends = scale.spot(last, wall.ridge_at(last))
    start = scale.spot(first, wall.ridge_at(first))
    parts = [step / 300 for step in range(301)]
    trend = [tuple(a + (b - a) * part for a, b in zip(start, ends, strict=True)) for part in parts]
    spots: list[Spot] = [(x, y) for x, y in trend]
    for network, intensity in wall.intensities.items():
        spots += [scale.spot(first + (last - first) * part, intensity) for part in parts]
        if first <= wall.crossings[network] <= last:
            spots += _around(scale.spot(wall.crossings[network], intensity))
    for one in machines:
        spots += _around(scale.spot(one.machine.year or 0.0, one.ridge))
    return spots


def _around(spot: Spot) -> list[Spot]:
    """The corners and the middle of a mark."""
    x, y = spot
    return [(x + right, y + up) for right in (-5, 0, 5) for up in (-5, 0, 5)]


def _name_box(annotation: Figure, scale: _Scale) -> Box:
    """Where the name of a network stands."""
    left, middle = scale.spot(annotation["x"], 10 ** annotation["y"])
    left += annotation["xshift"]
    half = _LINE_PIXELS / 2
    return left, left + len(annotation["text"]) * _LETTER_PIXELS, middle - half, middle + half


def _machine_names(
    machines: Sequence[Verdict], drawn: Sequence[Spot], others: Sequence[Box], scale: _Scale
) -> tuple[list[Figure], list[Figure]]:
    """A name beside every machine, as near as it stands clear of all that is drawn and of the other names (`others`:
    those of networks), and lines to those that had to go far."""
    names: list[Figure] = []
    ties: list[Figure] = []
    taken = list(others)
    for one in sorted(machines, key=lambda one: one.ridge):
        mark = scale.spot(one.machine.year or 0.0, one.ridge)
        width = len(one.machine.name) * _LETTER_PIXELS
        places = [_box(mark, width, across, up) for across, up in _STEPS]
        clear = (box for box in places if _inside(box) and _is_clear(box, drawn, taken))
        left, right, bottom, top = next(clear, places[0])
        taken.append((left, right, bottom, top))
        names.append(
            {
                "x": one.machine.year or 0.0,
                "y": log10(one.ridge),
                "xanchor": "left" if right > mark[0] else "right",
                "yanchor": "middle",
                "xshift": round((left if right > mark[0] else right) - mark[0], 1),
                "yshift": round((bottom + top) / 2 - mark[1], 1),
                "showarrow": False,
                "text": _text(one.machine.name),
                "font": {"size": 12, "color": "var(--blue)"},
            }
        )
        end = (min(max(mark[0], left), right), min(max(mark[1], bottom), top))
        if abs(end[0] - mark[0]) + abs(end[1] - mark[1]) > _NEAR_PIXELS:
            ties.append(
                {
                    "type": "line",
                    "x0": mark[0] / _WIDTH_PIXELS * scale.years + scale.first,
                    "y0": one.ridge,
                    "x1": scale.year(end[0]),
                    "y1": scale.value(end[1]),
                    "line": {"color": "var(--blue)", "width": 0.8},
                }
            )
    return names, ties


_STEPS: Final = tuple(
    sorted(
        ((across, up) for across in (0.0, -1.0, -0.5) for up in range(-6, 7) if across != -0.5 or up),
        key=lambda step: (abs(step[1]), -step[0]),
    )
)
"""Places of a name, nearest first: right of its mark or so many of its widths to the left, and so many lines up."""


def _box(mark: Spot, width: float, across: float, up: int) -> Box:
    """A name at one of _STEPS."""
    beside = {0.0: _MARK_PIXELS, -1.0: -_MARK_PIXELS, -0.5: 0.0}[across]
    left, middle = mark[0] + across * width + beside, mark[1] + up * _LINE_PIXELS
    return left, left + width, middle - _LINE_PIXELS / 2, middle + _LINE_PIXELS / 2


def _inside(box: Box) -> bool:
    return box[0] >= 0 and box[1] <= _WIDTH_PIXELS and box[2] >= 0 and box[3] <= _HEIGHT_PIXELS


def _is_clear(box: Box, drawn: Sequence[Spot], taken: Sequence[Box]) -> bool:
    left, right, bottom, top = box
    if any(left < x < right and bottom < y < top for x, y in drawn):
        return False
    return all(right <= a or left >= b or top <= low or bottom >= high for a, b, low, high in taken)


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
