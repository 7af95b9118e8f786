"""The figures of a plan as plain plotly dictionaries; colours as in `reports.figures`."""

from __future__ import annotations

import html
from typing import Any, Final

from reports.palette import SERIES
from reports.plan import ArraysReport, BudgetReport, PlanReport, by_kind, change
from reports.units import byte_size, count, percent, printable, shortened

Figure = dict[str, Any]

ALONE: Final = "alone"
_NAMES: Final = 3


def gains_figure(report: PlanReport) -> Figure:
    """For every kind of group, its cycles in the plan and its layers' cycles one by one."""
    kinds = by_kind(report)
    names = [f"{_text(kind)} ({numbers[0]})" for kind, numbers in kinds.items()]
    hover = [
        f"{_text(kind)}: {count(apart)} to {count(cycles)} cycles ({change(cycles, apart)}),"
        f" {byte_size(moved_apart)} to {byte_size(moved)} of DRAM ({change(moved, moved_apart)})"
        for kind, (_, cycles, apart, moved, moved_apart) in kinds.items()
    ]

    def bars(name: str, place: int, colour: str) -> Figure:
        return {
            "type": "bar",
            "orientation": "h",
            "name": name,
            "y": names,
            "x": [numbers[place] for numbers in kinds.values()],
            "customdata": hover,
            "hovertemplate": "%{customdata}<extra></extra>",
            "marker": {"color": f"var({colour})"},
        }

    return {
        "data": [bars("layer by layer", 2, "--grey"), bars("planned", 1, "--blue")],
        "layout": {
            "barmode": "group",
            "xaxis": {"title": {"text": "cycles"}, "exponentformat": "SI", "rangemode": "tozero"},
            "yaxis": {"autorange": "reversed"},
            "legend": _LEGEND,
        },
    }


_LEGEND: Final[Figure] = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"}


def memory_figure(report: PlanReport, memory: str) -> Figure:
    """Rows of one memory over the layers in their order: what the layers' own tiles take, and every tensor that stays,
    stacked; the dotted line is the capacity."""
    layers = list(range(len(report.layers)))
    own = [0] * len(layers)
    for group in report.groups:
        rows = group.scratchpad_rows if memory == "scratchpad" else group.accumulator_rows
        for layer in range(group.first, group.last + 1):
            own[layer] = rows
    hover = [f"{number}: {_text(name)}" for number, name in enumerate(report.layers)]
    traces: list[Figure] = [_rows("the layer's own tiles", layers, own, hover, "--grey")]
    staying = [residence for residence in report.residences if residence.memory == memory]
    for rank, residence in enumerate(staying):
        window = range(residence.first, residence.last + 1)
        text = [f"{_text(residence.tensor)} stays, {count(residence.rows)} rows<br>{hover[layer]}" for layer in window]
        trace = _rows(_text(residence.tensor), list(window), [residence.rows] * len(window), text, _colour(rank))
        traces.append(trace | {"showlegend": False})
    capacity = report.scratchpad_rows if memory == "scratchpad" else report.accumulator_rows
    return {
        "data": traces,
        "layout": {
            "barmode": "stack",
            "bargap": 0,
            "showlegend": False,
            "xaxis": {"title": {"text": "layer, in the order of execution"}, "showgrid": False, "zeroline": False},
            "yaxis": {"title": {"text": f"{memory} rows"}, "rangemode": "tozero", "range": [0, 1.06 * capacity]},
            "shapes": [
                {
                    "type": "line",
                    "xref": "paper",
                    "x0": 0,
                    "x1": 1,
                    "y0": capacity,
                    "y1": capacity,
                    "line": {"color": "var(--ink)", "width": 1, "dash": "dot"},
                }
            ],
        },
    }


def _rows(name: str, x: list[int], y: list[int], hover: list[str], colour: str) -> Figure:
    return {
        "type": "bar",
        "name": name,
        "x": x,
        "y": y,
        "customdata": hover,
        "hovertemplate": "%{customdata}<br>%{y:,} rows<extra></extra>",
        "marker": {"color": f"var({colour})", "line": {"width": 0}},
    }


def _colour(rank: int) -> str:
    return SERIES[rank % len(SERIES)]


def arrays_figure(arrays: ArraysReport) -> Figure:
    """Which array does what when: a bar a group, coloured by input."""
    lanes = sorted({placement.lane for placement in arrays.placements})
    traces = []
    for number in range(arrays.inputs):
        placed = [placement for placement in arrays.placements if placement.input == number]
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": f"input {number + 1}",
                "y": [placement.lane for placement in placed],
                "base": [placement.start for placement in placed],
                "x": [placement.end - placement.start for placement in placed],
                "customdata": [
                    f"{_names(placement.names)}<br>input {number + 1}, cycles {count(placement.start)} to"
                    f" {count(placement.end)}, {percent(placement.share)} of the bandwidth"
                    for placement in placed
                ],
                "hovertemplate": "%{customdata}<extra></extra>",
                "marker": {"color": f"var({_colour(number)})", "line": {"width": 0.5, "color": "var(--card)"}},
            }
        )
    return {
        "data": traces,
        "layout": {
            "barmode": "overlay",
            "bargap": 0.25,
            "xaxis": {"title": {"text": "cycles"}, "exponentformat": "SI", "rangemode": "tozero"},
            "yaxis": {"categoryorder": "array", "categoryarray": lanes, "autorange": "reversed"},
            "legend": _LEGEND,
        },
    }


def budget_figure(budget: BudgetReport) -> Figure:
    """Most bytes on chip in every stage against the budget, and the stages in which something comes again."""
    stages = list(enumerate(budget.stages))
    level = {
        "type": "scatter",
        "mode": "lines",
        "name": "most bytes on chip",
        "x": [number for number, _ in stages],
        "y": [stage.peak_bytes for _, stage in stages],
        "customdata": [f"{number}: {_text(stage.name)}, {byte_size(stage.peak_bytes)}" for number, stage in stages],
        "hovertemplate": "%{customdata}<extra></extra>",
        "line": {"shape": "hvh", "width": 1.5, "color": "var(--blue)"},
        "fill": "tozeroy",
    }
    marks = [
        _again("fetched again", "--orange", "triangle-down", [(n, s.fetched, s.peak_bytes) for n, s in stages]),
        _again("computed again", "--green", "diamond", [(n, s.computed_again, s.peak_bytes) for n, s in stages]),
    ]
    top = max(budget.budget_bytes, *(stage.peak_bytes for stage in budget.stages))
    line = {"color": "var(--ink)", "width": 1, "dash": "dot"}
    shape = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "line": line}
    return {
        "data": [level, *marks],
        "layout": {
            "xaxis": {"title": {"text": "stage: the first to compute its tensor"}, "showgrid": False},
            "yaxis": {"title": {"text": "bytes on chip"}, "exponentformat": "SI", "range": [0, 1.08 * top]},
            "shapes": [shape | {"y0": budget.budget_bytes, "y1": budget.budget_bytes}],
            "legend": _LEGEND,
        },
    }


def _again(name: str, colour: str, symbol: str, found: list[tuple[int, tuple[str, ...], int]]) -> Figure:
    shown = [(number, names, level) for number, names, level in found if names]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [number for number, _, _ in shown],
        "y": [level for _, _, level in shown],
        "customdata": [f"{name} in stage {number}: {_names(names)}" for number, names, _ in shown],
        "hovertemplate": "%{customdata}<extra></extra>",
        "marker": {
            "color": f"var({colour})",
            "symbol": symbol,
            "size": 10,
            "line": {"width": 1, "color": "var(--card)"},
        },
    }


def _names(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return " + ".join(_text(shortened(name, 48)) for name in names[:_NAMES]) + more


def _text(text: str) -> str:
    return html.escape(printable(str(text), limit=120), quote=False)
