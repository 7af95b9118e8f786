"""The figures of a firmware run as plain plotly dictionaries; colours as in `reports.figures`."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any, Final

from reports.firmware import Design, FirmwareRun, Method, TensorRow
from reports.log_axis import log_axis
from reports.palette import SERIES
from reports.units import count, printable, shortened

Figure = dict[str, Any]
Cost = Callable[[Design], float | None]

_METHODS: Final[dict[Method, tuple[str, str]]] = {
    "float": ("--ink", "star"),
    "uniform": ("--orange", "square"),
    "squared error": ("--purple", "triangle-up"),
    "Hessian-aware": ("--blue", "circle"),
    "as given": ("--green", "diamond"),
}
_SHOWN_BELOW_BEST: Final = 5.0
"""Points of accuracy under the best that a figure reaches down to."""
COSTS: Final[dict[str, tuple[str, Cost]]] = {
    "bops": ("bit operations", lambda design: design.bops),
    "luts": ("LUTs, estimated", lambda design: design.luts),
    "latency": ("latency, cycles, estimated", lambda design: design.latency_cycles),
}


def figures_of(run: FirmwareRun) -> dict[str, Figure]:
    """Every figure that the run has numbers for, by the `data-figure` of its place."""
    figures = {
        name: accuracy_figure(run, title, cost)
        for name, (title, cost) in COSTS.items()
        if any(cost(design) is not None for design in run.designs if design.method != "float")
    }
    if run.tensors:
        figures |= {"sensitivity": sensitivity_figure(run.tensors), "bits": bits_figure(run)}
    if run.faults is not None:
        figures |= {"faults": protection_figure(run), "rankings": ranking_figure(run)}
    return figures


def accuracy_figure(run: FirmwareRun, title: str, cost: Cost) -> Figure:
    """Test accuracy with error bars against one cost: a colour and shape a method, hollow where not retrained; the
    float network is a level, because it costs what no firmware does."""
    foot = _accuracy_range(run)[0]
    traces = [_too_low(run, cost)]
    for method, (colour, symbol) in _METHODS.items():
        for retrained in (True, False):
            found = [
                design
                for design in run.designs
                if (design.method, design.retrained) == (method, retrained)
                and cost(design) is not None
                and 100 * design.test.accuracy >= foot
            ]
            if method != "float" and found:
                traces.append(_points(found, cost, colour, symbol if retrained else f"{symbol}-open"))
    chosen = run.design
    if cost(chosen) is not None:
        traces.append(_ring(chosen, cost))
    shapes, notes = _float_level(run)
    across = [value for d in run.designs if d.method != "float" and (value := cost(d)) is not None]
    layout = {
        "xaxis": log_axis(title, [across]) if max(across) > 2 * min(across) else {"title": {"text": title}},
        "yaxis": {"title": {"text": "test accuracy, %"}, "range": _accuracy_range(run)},
        "showlegend": False,
        "hovermode": "closest",
        "shapes": shapes,
        "annotations": notes,
    }
    return {"data": traces, "layout": layout}


def legend(run: FirmwareRun) -> tuple[tuple[str, str], ...]:
    """Name and colour of every method in the run."""
    found = {design.method for design in run.designs}
    return tuple((method, colour) for method, (colour, _) in _METHODS.items() if method in found and method != "float")


def sensitivity_figure(tensors: Sequence[TensorRow]) -> Figure:
    """Omega over bits, a line a tensor, activations dashed; a dot where the chosen bits are."""
    traces: list[Figure] = []
    for rank, row in enumerate(tensors):
        colour = f"var({SERIES[rank % len(SERIES)]})"
        line = {"color": colour, "width": 2, "dash": "solid" if row.kind == "weight" else "dot"}
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": _name(row.name),
                "x": list(row.omega),
                "y": [_positive(value) for value in row.omega.values()],
                "line": line,
                "hovertemplate": "%{x} bits: %{y:.3g}",
            }
        )
        if row.bits in row.omega:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "x": [row.bits],
                    "y": [_positive(row.omega[row.bits])],
                    "marker": {"color": colour, "size": 10},
                    "showlegend": False,
                    "hoverinfo": "skip",
                }
            )
    return {
        "data": traces,
        "layout": {
            "xaxis": {"title": {"text": "bits"}, "dtick": 1},
            "yaxis": {"title": {"text": "Omega"}, "type": "log", "exponentformat": "power"},
            "hovermode": "closest",
        },
    }


def bits_figure(run: FirmwareRun) -> Figure:
    """A bar a tensor: the bits of the chosen design."""
    rows = list(reversed(run.tensors))
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": [row.bits for row in rows],
        "y": [_name(row.name) for row in rows],
        "text": [str(row.bits) for row in rows],
        "marker": {"color": ["var(--blue)" if row.kind == "weight" else "var(--sky)" for row in rows]},
        "customdata": [f"{row.kind}, {count(row.elements)} numbers" for row in rows],
        "hovertemplate": "%{y}: %{x} bits<br>%{customdata}<extra></extra>",
    }
    layout = {"xaxis": {"title": {"text": "bits"}, "dtick": 1}, "yaxis": {"automargin": True}, "hovermode": "closest"}
    return {"data": [bars], "layout": layout}


def protection_figure(run: FirmwareRun) -> Figure:
    """Damage that is left over the share of bits in triplicate, a line a ranking."""
    assert run.faults is not None
    traces = []
    for rank, (name, points) in enumerate(run.faults.curves):
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": _name(name),
                "x": [100 * point.protected / run.faults.flips for point in points],
                "y": [100 * point.damage_left for point in points],
                "customdata": [f"{count(point.protected)} bits, {count(point.voter_luts)} voters" for point in points],
                "hovertemplate": "%{customdata}: %{y:.1f} % left",
                "line": {"color": f"var({SERIES[rank % len(SERIES)]})", "width": 2},
            }
        )
    return {
        "data": traces,
        "layout": {
            "xaxis": {"title": {"text": "bits in triplicate, %"}},
            "yaxis": {"title": {"text": "damage left, %"}, "rangemode": "tozero"},
            "legend": {"x": 1, "xanchor": "right", "y": 1},
            "hovermode": "closest",
        },
    }


def ranking_figure(run: FirmwareRun) -> Figure:
    """Spearman's correlation of every score with measured damage, with its bootstrap error."""
    assert run.faults is not None
    rankings = list(reversed(run.faults.rankings))
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": [ranking.spearman for ranking in rankings],
        "y": [_name(ranking.score) for ranking in rankings],
        "error_x": {"type": "data", "array": [ranking.sigma for ranking in rankings], "color": "var(--ink)"},
        "marker": {"color": "var(--green)"},
        "hovertemplate": "%{y}: %{x:.3f}<extra></extra>",
    }
    layout = {
        "xaxis": {"title": {"text": "rank correlation with measured damage"}, "range": [-0.2, 1]},
        "yaxis": {"automargin": True},
        "hovermode": "closest",
    }
    return {"data": [bars], "layout": layout}


def _points(designs: Sequence[Design], cost: Cost, colour: str, symbol: str) -> Figure:
    first = designs[0]
    ordered = sorted(designs, key=lambda design: float(cost(design) or 0))
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"{first.method}{'' if first.retrained else ', not retrained'}",
        "x": [cost(design) for design in ordered],
        "y": [100 * design.test.accuracy for design in ordered],
        "error_y": {"type": "data", "array": [100 * design.test.sigma for design in ordered], "thickness": 1},
        "marker": {"color": f"var({colour})", "symbol": symbol, "size": 9},
        "customdata": [_hover(design) for design in ordered],
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def _ring(design: Design, cost: Cost) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "became firmware",
        "x": [cost(design)],
        "y": [100 * design.test.accuracy],
        "marker": {"color": "var(--red)", "symbol": "circle-open", "size": 20, "line": {"width": 2}},
        "hoverinfo": "skip",
    }


def _float_level(run: FirmwareRun) -> tuple[list[Figure], list[Figure]]:
    design = next((design for design in run.designs if design.method == "float"), None)
    if design is None:
        return [], []
    level, sigma = 100 * design.test.accuracy, 100 * design.test.sigma
    across = {"xref": "paper", "x0": 0, "x1": 1}
    band = {"type": "rect", **across, "y0": level - sigma, "y1": level + sigma, "opacity": 0.15}
    line = {
        "type": "line",
        **across,
        "y0": level,
        "y1": level,
        "line": {"color": "var(--ink)", "dash": "dash", "width": 1},
    }
    note = {
        "xref": "paper",
        "x": 0.01,
        "xanchor": "left",
        "y": level,
        "yanchor": "bottom",
        "text": f"float {level:.1f} %",
        "showarrow": False,
    }
    return [band | {"fillcolor": "var(--ink)", "line": {"width": 0}}, line], [note]


def _accuracy_range(run: FirmwareRun) -> list[float]:
    """Room for error bars, but a network that rounding has broken does not push the others together."""
    accuracies = [100 * design.test.accuracy for design in run.designs]
    best = max(accuracies)
    return [max(min(accuracies), best - _SHOWN_BELOW_BEST) - 1, best + 1]


def _too_low(run: FirmwareRun, cost: Cost) -> Figure:
    """What falls below the figure: an arrow at its foot, named on hovering."""
    foot = _accuracy_range(run)[0]
    low = [design for design in run.designs if cost(design) and 100 * design.test.accuracy < foot]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [cost(design) for design in low],
        "y": [foot] * len(low),
        "cliponaxis": False,
        "marker": {
            "symbol": "arrow-down",
            "size": 9,
            "color": [f"var({_METHODS[design.method][0]})" for design in low],
        },
        "customdata": [_hover(design) for design in low],
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def _hover(design: Design) -> str:
    luts = "" if design.luts is None else f"<br>{count(design.luts)} LUTs estimated"
    latency = "" if design.latency_cycles is None else f", {design.latency_cycles} cycles"
    return (
        f"{_name(design.name)}<br>{100 * design.test.accuracy:.2f} ± {100 * design.test.sigma:.2f} %"
        f"<br>{count(design.bops)} BOPs, {design.average_bits:.2f} bits a weight{luts}{latency}"
    )


def _positive(value: float) -> float | None:
    """What a logarithmic axis can show."""
    return value if value > 0 else None


def _name(text: str) -> str:
    return html.escape(printable(shortened(text, 40)), quote=False)
