"""Roofline plots as plain plotly dictionaries: several machines, kernels labelled once; colours as in
`reports.figures`.

Machines are lines in colours of their own, named at their right ends; kernels are symbols, named above the roofs.
Names are set apart here, in pixels of a figure WIDTH x HEIGHT, since plotly lets them overlap.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Any, Final

from reports.palette import OTHER, SERIES
from reports.units import byte_size, percent, printable, shortened, si, three_digits
from simulator.rooflines.machine import bandwidth_of, peak_of
from simulator.rooflines.network import NetworkRoofline, Row, added, rows

Figure = dict[str, Any]

WIDTH, HEIGHT = 1040, 540
"""Pixels of the plotted area in a window of 1200 x 800."""
_LINE_PIXELS: Final = 15
_CHARACTER_PIXELS: Final = 6.3
_NAME_DECADES: Final = 0.19
"""Of the width, kept free for the machines' names at the right."""
_LABELLED: Final = 12
_LONGEST_NAME: Final = 34
_FAR_APART: Final = 1.05
"""Compulsory and real intensity are both drawn where they differ by more than this factor."""
_MOST_WITH_INNER_ROOFS: Final = 3
_SYMBOLS: Final = (
    "circle",
    "square",
    "diamond",
    "triangle-up",
    "cross",
    "star",
    "triangle-down",
    "pentagon",
    "x",
    "hexagon",
    "triangle-right",
    "bowtie",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """What has one symbol: its name, and its row on every machine."""

    name: str
    rows: tuple[Row, ...]


def colours(count: int) -> list[str]:
    """The CSS property of each machine's colour."""
    return [SERIES[rank] if rank < len(SERIES) else OTHER for rank in range(count)]


def network_figure(rooflines: Sequence[NetworkRoofline]) -> Figure:
    """The kernels of one network, parts of a layer added up over all layers, on every machine."""
    return roofline_plot(rooflines, kernels_of(rooflines))


def overview_figure(networks: Sequence[Sequence[NetworkRoofline]]) -> Figure:
    """Whole networks as kernels; `networks` holds the rooflines of each on the same machines."""
    kernels = [
        Kernel(name=same[0].network, rows=tuple(rows(roofline, "network")[0] for roofline in same)) for same in networks
    ]
    return roofline_plot(networks[0], kernels)


def kernels_of(rooflines: Sequence[NetworkRoofline]) -> list[Kernel]:
    """The parts that compute and move, those of a kind that lie in one place on every machine as one; first what takes
    most of any machine's time."""
    by_part = list(zip(*(rows(roofline, "part") for roofline in rooflines), strict=True))
    totals = [sum(row.seconds for row in column) or 1.0 for column in zip(*by_part, strict=True)]
    together: dict[tuple[object, ...], list[tuple[Row, ...]]] = {}
    for same in by_part:
        if same[0].flops and same[0].ideal_bytes:
            place = (f"{value:.2g}" for row in same for value in (roof_intensity(row), row.flops_per_second))
            together.setdefault((same[0].kind, *place), []).append(same)
    kernels = []
    for group in together.values():
        name = _joined([same[0].name for same in group], group[0][0].kind)
        kernels.append(Kernel(name=name, rows=tuple(added(name, column) for column in zip(*group, strict=True))))
    return sorted(kernels, key=lambda kernel: -max(row.seconds / t for row, t in zip(kernel.rows, totals, strict=True)))


def roof_intensity(row: Row) -> float:
    """FLOPs per byte of the outermost memory's busier direction: where the row stands below the roof."""
    return row.flops / row.busy_bytes[0] if row.busy_bytes[0] else 0.0


def ideal_roof_intensity(row: Row) -> float:
    """As `roof_intensity`, with compulsory traffic."""
    return row.flops / row.ideal_busy_bytes if row.ideal_busy_bytes else 0.0


def roofline_plot(rooflines: Sequence[NetworkRoofline], kernels: Sequence[Kernel]) -> Figure:
    """Operations a second against FLOP per byte of the outermost memory, both logarithmic (Williams, Waterman and
    Patterson, CACM 52(4), 2009, figure 1)."""
    low, end, high = _intensity_span(rooflines, kernels)
    names = _label_rows(kernels[:_LABELLED], low, high)
    bottom, top = _rate_span(rooflines, kernels, low, 1 + max(names, default=0))
    hues = colours(len(rooflines))
    traces = [
        trace
        for roofline, hue in zip(rooflines, hues, strict=True)
        for trace in _roofs(roofline, hue, low, end, inner=len(rooflines) <= _MOST_WITH_INNER_ROOFS)
    ]
    for rank, roofline in enumerate(rooflines):
        traces += _markers(roofline, kernels, rank, hues[rank])
    annotations = [
        *_machine_names(rooflines, hues, end, bottom, top),
        *_kernel_names(kernels[:_LABELLED], names, top, bottom),
    ]
    return {
        "data": traces,
        "layout": {
            "xaxis": _log_axis("FLOP per byte of the outermost memory, in its busier direction", low, high, end, ""),
            "yaxis": _log_axis(
                "attainable", bottom, top, max(log10(_peak(roofline)) for roofline in rooflines), "OP/s"
            ),
            "annotations": annotations,
            "shapes": _leaders(kernels[:_LABELLED], names, top, bottom),
            "showlegend": False,
            "hovermode": "closest",
        },
    }


def _intensity_span(rooflines: Sequence[NetworkRoofline], kernels: Sequence[Kernel]) -> tuple[float, float, float]:
    """Decades: where the axis starts, where the roofs end, where the axis ends."""
    found = [_ridge(roofline) for roofline in rooflines]
    found += [value for kernel in kernels for row in kernel.rows for value in _places(row)]
    low, end = log10(min(found)) - 0.3, log10(max(found)) + 0.4
    return low, end, end + (end - low) * _NAME_DECADES / (1 - _NAME_DECADES)


def _rate_span(
    rooflines: Sequence[NetworkRoofline], kernels: Sequence[Kernel], low: float, name_rows: int
) -> tuple[float, float]:
    """Decades of the vertical axis, with room for the kernels' names above the highest roof."""
    peaks = [log10(_peak(roofline)) for roofline in rooflines]
    lowest = [log10(row.flops_per_second) for kernel in kernels for row in kernel.rows if row.seconds]
    slopes = [low + log10(bandwidth_of(roofline.machine.boundaries[0])) for roofline in rooflines]
    bottom, peak = min([*lowest, *slopes]) - 0.25, max(peaks)
    room = (name_rows * _LINE_PIXELS + 26) / HEIGHT
    return bottom, peak + (peak - bottom) * room / (1 - room)


def _roofs(roofline: NetworkRoofline, hue: str, low: float, end: float, *, inner: bool) -> list[Figure]:
    peak = _peak(roofline)
    found = []
    for place, level in enumerate(roofline.machine.boundaries[: None if inner else 1]):
        ridge = peak / bandwidth_of(level)
        start = min(10**low, ridge)
        found.append(
            {
                "type": "scatter",
                "mode": "lines",
                "hoverinfo": "skip",
                "x": [start, ridge, 10**end],
                "y": [start * bandwidth_of(level), peak, peak],
                "line": {"color": f"var({hue})", "width": 2.5 if place == 0 else 1}
                | ({"dash": "dot"} if place else {}),
            }
        )
    return found


def _markers(roofline: NetworkRoofline, kernels: Sequence[Kernel], rank: int, hue: str) -> list[Figure]:
    """The kernels on one machine, and where compulsory traffic alone would leave them."""
    whole = sum(row.seconds for row in rows(roofline, "network")) or 1.0
    drawn = [(place, kernel.rows[rank]) for place, kernel in enumerate(kernels) if kernel.rows[rank].seconds]
    lines_x: list[float | None] = []
    lines_y: list[float | None] = []
    for _, row in drawn:
        ideal, real = _places(row)
        if ideal <= _FAR_APART * real:
            continue
        lines_x += [ideal, real, None]
        lines_y += [row.ideal_flops_per_second, row.flops_per_second, None]
    return [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "hoverinfo": "skip",
            "x": lines_x,
            "y": lines_y,
            "line": {"color": f"var({hue})", "width": 1, "dash": "dot"},
            "marker": {"symbol": "circle-open", "size": 5, "color": f"var({hue})"},
        },
        {
            "type": "scatter",
            "mode": "markers",
            "name": _text(roofline.machine.name),
            "x": [roof_intensity(row) for _, row in drawn],
            "y": [row.flops_per_second for _, row in drawn],
            "customdata": [_hover(kernels[place].name, row, roofline, whole) for place, row in drawn],
            "hovertemplate": "%{customdata}<extra></extra>",
            "marker": {
                "symbol": [_SYMBOLS[place % len(_SYMBOLS)] if place < _LABELLED else "circle" for place, _ in drawn],
                "size": [11 if place < _LABELLED else 5 for place, _ in drawn],
                "color": f"var({hue})",
                "line": {"width": 1, "color": "var(--card)"},
            },
        },
    ]


def _hover(name: str, row: Row, roofline: NetworkRoofline, whole: float) -> str:
    levels = [
        f"{_text(memory)}: {byte_size(moved)}, {three_digits(intensity)} FLOP/B"
        for memory, moved, intensity in zip(roofline.limits[1:], row.bytes, row.intensities, strict=True)
    ]
    return "<br>".join(
        (
            f"<b>{_text(shortened(name, 70))}</b> on {_text(roofline.machine.name)}",
            f"{si(row.flops, 'FLOP')}, compulsory {byte_size(row.ideal_bytes)}, "
            f"{three_digits(row.ideal_intensity)} FLOP/B",
            *levels,
            f"{si(row.flops_per_second, 'OP/s')}, {percent(row.flops_per_second / _peak(roofline))} of peak",
            f"{si(row.seconds, 's')}, {percent(row.seconds / whole)} of the network, bound by "
            f"{_text(roofline.limits[row.bound])}",
        )
    )


def _machine_names(
    rooflines: Sequence[NetworkRoofline], hues: Sequence[str], end: float, bottom: float, top: float
) -> list[Figure]:
    """The machines' names right of their roofs, pushed apart where peaks are close."""
    apart = (top - bottom) * _LINE_PIXELS / HEIGHT
    order = sorted(range(len(rooflines)), key=lambda rank: _peak(rooflines[rank]))
    heights: list[float] = []
    for rank in order:
        wanted = log10(_peak(rooflines[rank]))
        heights.append(max(wanted, heights[-1] + apart) if heights else wanted)
    return [
        {
            "x": end,
            "y": height,
            "xanchor": "left",
            "yanchor": "middle",
            "xshift": 6,
            "showarrow": False,
            "text": f"{_text(shortened(rooflines[rank].machine.name, 16))} {si(_peak(rooflines[rank]), 'OP/s')}",
            "font": {"size": 12, "color": f"var({hues[rank]})"},
        }
        for rank, height in zip(order, heights, strict=True)
    ]


def _label_rows(kernels: Sequence[Kernel], low: float, high: float) -> list[int]:
    """For every kernel the first row, counted from the top, in which its name stands clear of those already there."""
    taken: list[list[tuple[float, float]]] = []
    found = [0] * len(kernels)
    for rank in sorted(range(len(kernels)), key=lambda rank: _top_intensity(kernels[rank])):
        centre = (log10(_top_intensity(kernels[rank])) - low) / (high - low) * WIDTH
        half = (len(_label(kernels[rank])) + 3) * _CHARACTER_PIXELS / 2
        left, right = centre - half, centre + half
        place = next(
            (row for row, spans in enumerate(taken) if all(right < a or left > b for a, b in spans)), len(taken)
        )
        if place == len(taken):
            taken.append([])
        taken[place].append((left, right))
        found[rank] = place
    return found


def _kernel_names(kernels: Sequence[Kernel], places: Sequence[int], top: float, bottom: float) -> list[Figure]:
    return [
        {
            "x": log10(_top_intensity(kernel)),
            "y": _name_height(places[rank], top, bottom),
            "showarrow": False,
            "text": f"{_GLYPHS[_SYMBOLS[rank % len(_SYMBOLS)]]} {_text(_label(kernel))}",
            "font": {"size": 11.5, "color": "var(--ink)"},
            "bgcolor": "var(--card)",
            "borderpad": 0,
        }
        for rank, kernel in enumerate(kernels)
    ]


def _leaders(kernels: Sequence[Kernel], places: Sequence[int], top: float, bottom: float) -> list[Figure]:
    """Thin lines from the kernels' names down to their highest marker."""
    gap = (top - bottom) * _LINE_PIXELS / HEIGHT / 2
    return [
        {
            "type": "line",
            "layer": "below",
            "x0": _top_intensity(kernel),
            "x1": _top_intensity(kernel),
            "y0": 10 ** (_name_height(place, top, bottom) - gap),
            "y1": max(row.flops_per_second for row in kernel.rows),
            "line": {"color": "var(--muted)", "width": 0.7},
        }
        for kernel, place in zip(kernels, places, strict=True)
    ]


_GLYPHS: Final = dict(zip(_SYMBOLS, "●■◆▲✚★▼⬟✖⬢▶⧓", strict=True))


def _name_height(row: int, top: float, bottom: float) -> float:
    return top - (top - bottom) * (row + 0.8) * _LINE_PIXELS / HEIGHT


def _top_intensity(kernel: Kernel) -> float:
    """Intensity where the kernel is fastest: below its name."""
    return roof_intensity(max(kernel.rows, key=lambda row: row.flops_per_second))


def _label(kernel: Kernel) -> str:
    return shortened(kernel.name, _LONGEST_NAME)


def _places(row: Row) -> tuple[float, float]:
    return ideal_roof_intensity(row), roof_intensity(row)


def _joined(names: Sequence[str], kind: str) -> str:
    """Names of parts that are alike, what they share said once (attention.query/key/value), or their kind."""
    first, *others = names
    stem = first.rpartition(".")[0]
    if not others:
        return first
    joined = f"{stem}.{'/'.join(name.rpartition('.')[2] for name in names)}"
    if stem and all(name.rpartition(".")[0] == stem for name in others) and len(joined) <= _LONGEST_NAME:
        return joined
    return f"{kind}, {len(names)} parts"


def _log_axis(title: str, low: float, high: float, last: float, unit: str) -> Figure:
    """An axis over the decades `low` to `high`, named up to `last`."""
    decades = range(ceil(low), floor(last) + 1)
    return {
        "type": "log",
        "range": [low, high],
        "tickvals": [10.0**decade for decade in decades],
        "ticktext": [si(10.0**decade, unit) if unit or decade >= 0 else f"{10.0**decade:g}" for decade in decades],
        "title": {"text": title},
    }


def _peak(roofline: NetworkRoofline) -> float:
    return peak_of(roofline.machine, roofline.number_format).operations_per_second


def _ridge(roofline: NetworkRoofline) -> float:
    return _peak(roofline) / bandwidth_of(roofline.machine.boundaries[0])


def _text(text: str) -> str:
    return html.escape(printable(text), quote=False)
