"""The plotly figures of the page as plain dictionaries: roofline, cycles and traffic by layer, solver's evidence.

A colour is written `var(--name)`; the page's script puts in the value for the light or the dark page. Text that comes
from the record passes through `_text`, because plotly reads a subset of HTML in labels.
"""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any, Final

from reports.breakdown import cycles_by_cause, rows_of, solved_nests
from reports.palette import cause_colour, cause_pattern, kind_colours
from reports.units import byte_size, count, percent, printable, shortened, si, times

if TYPE_CHECKING:
    import pandas as pd

    from reports.record import Machine, RunRecord

Figure = dict[str, Any]

_NAMED_TICKS: Final = 12
_NAMES_IN_HOVER: Final = 5
_SMALLEST_MARKER, _LARGEST_MARKER, _LARGEST_OF_MANY = 5.0, 40.0, 26.0
_MANY_MARKERS: Final = 100
_TRAFFIC_ROWS: Final = (("DRAM", "dram"), ("Scratchpad", "scratchpad"), ("Accumulator", "accumulator"))


def roofline_figure(record: RunRecord) -> Figure:
    """Operations per second against FLOP per DRAM byte, both logarithmic: a marker for every set of identical layers
    with the same cost, its area their cycles, its colour their kind; and the roofs of the memory port and the mesh.

    The port reads and writes at once, so the bytes are those of the direction that is busy for longer, written bytes
    weighted by how much faster they go: no layer can be above either roof.
    Source: Williams, Waterman and Patterson, Roofline, CACM 52(4), 2009, Figure 1.
    """
    machine = record.header.accelerator
    drawn = on_roofline(record)
    drawn["rate"] = drawn["flops"] / drawn["cycles"] * machine.clock_hz
    by_kind = drawn.groupby("kind")["cycles"].sum().sort_values(ascending=False, kind="stable")
    colours = kind_colours([str(kind) for kind in by_kind.index])
    scale = _marker_scale([float(group["cycles"].sum()) for _, group in _alike(drawn)])
    traces = [_roofline_markers(drawn.loc[drawn["kind"] == kind], kind, colours[kind], scale) for kind in colours]
    span = _intensity_span(drawn, machine)
    return {"data": [*_roofs(machine, span), *traces], "layout": _roofline_layout(drawn, machine, span)}


def on_roofline(record: RunRecord) -> pd.DataFrame:
    """The layers that compute and move something, with `flops` and `intensity`: FLOP per byte of the direction of the
    memory port that is busy for longer, in bytes at the speed of reading."""
    layers, machine = record.layers, record.header.accelerator
    moved = layers["dram_read_bytes"] + layers["dram_write_bytes"]
    written = layers["dram_write_bytes"] * (machine.memory_bytes_per_cycle / machine.write_bytes_per_cycle)
    busier = layers["dram_read_bytes"].clip(lower=written)
    drawn = layers.assign(flops=layers["arithmetic_intensity"] * moved)
    drawn["intensity"] = drawn["flops"] / busier.where(busier > 0)
    return drawn.loc[(drawn["cycles"] > 0) & (drawn["intensity"] > 0)].copy()


def cycles_figure(record: RunRecord) -> Figure:
    """A stacked bar a layer, in network order: cycles by cause."""
    layers = record.layers
    causes = cycles_by_cause(layers, record.header.accelerator.peak_macs_per_cycle)
    traces: list[Figure] = [
        {
            "type": "bar",
            "name": _text(str(cause)),
            "x": layers["index"].tolist(),
            "y": [value or None for value in causes[cause].round(1).tolist()],
            "marker": _bar_style(cause_colour(str(cause)), cause_pattern(str(cause)), len(layers)),
            "customdata": [count(value) for value in causes[cause]],
            "hovertemplate": "%{customdata} cycles",
        }
        for cause in causes.columns
    ]
    totals = [
        f"{index}: {_text(name)}: {count(total)} cycles"
        for index, name, total in zip(layers["index"], layers["name"], layers["cycles"], strict=True)
    ]
    return {
        "data": [_heading(layers, totals), *traces],
        "layout": _by_layer_layout(layers) | {"yaxis": _value_axis("cycles")},
    }


def traffic_figure(layers: pd.DataFrame) -> Figure:
    """Three rows of stacked bars a layer, in network order: bytes read and written at each memory."""
    traces: list[Figure] = [_heading(layers, [_text(name) for name in layers["name"]])]
    layout = _by_layer_layout(layers)
    for row, (memory, column) in enumerate(_TRAFFIC_ROWS):
        suffix = "" if row == 0 else str(row + 1)
        for direction, colour in (("read", "--blue"), ("write", "--orange")):
            values = layers[f"{column}_{direction}_bytes"].fillna(0.0)
            traces.append(
                {
                    "type": "bar",
                    "name": direction,
                    "legendgroup": direction,
                    "showlegend": row == 0,
                    "x": layers["index"].tolist(),
                    "y": [value or None for value in values.tolist()],
                    "yaxis": f"y{suffix}",
                    "customdata": [f"{memory} {direction} {byte_size(value)}" for value in values],
                    "hovertemplate": "%{customdata}<extra></extra>",
                    "marker": _bar_style(colour, "", len(layers)),
                }
            )
        domain = [1 - (row + 1) / 3 + 0.045, 1 - row / 3]
        layout[f"yaxis{suffix}"] = _value_axis(f"{memory}, bytes") | {"domain": domain}
    layout["xaxis"] |= {"anchor": "y3"}
    return {"data": traces, "layout": layout}


def solver_figure(layers: pd.DataFrame) -> Figure:
    """For every solved nest, worst heuristic first: the solver's and the heuristic's cycles over the proven bound."""
    nests = solved_nests(layers)
    bound = nests["solver_bound_cycles"]
    nests["found"] = nests["solver_objective_cycles"] / bound.where(bound > 0)
    nests["before"] = nests["heuristic_cycles"] / bound.where(bound > 0)
    nests = nests.sort_values("before", ascending=False, kind="stable")
    ranks = list(range(1, len(nests) + 1))
    hover = [
        f"{_text(row.name)}<br>{_text(row.shape)}<br>{_text(row.solver_status)}, gap {percent(row.solver_gap)}, "
        f"heuristic {times(row.gain)} of it"
        for row in rows_of(nests)
    ]
    reach: list[float | None] = []
    for found, before in zip(nests["found"], nests["before"], strict=True):
        reach += [_finite(found), _finite(before), None]
    stems = [rank for rank in ranks for _ in range(3)]
    traces: list[Figure] = [
        {"type": "scatter", "mode": "lines", "x": stems, "y": reach, "line": {"color": "var(--grid)", "width": 2}}
        | {"hoverinfo": "skip", "showlegend": False},
        _ratio_markers("the machine's heuristic", ranks, nests["before"], hover, "--orange", "diamond"),
        _ratio_markers("integer program", ranks, nests["found"], hover, "--blue", "circle"),
    ]
    reach_above = max([0.1, *(ratio - 1 for ratio in reach if ratio is not None)])
    layout = {
        "xaxis": {"title": {"text": "distinct layers, worst heuristic first"}, "dtick": max(1, len(nests) // 10)}
        | {"range": [0.5, max(len(nests), 1) + 0.5], "showgrid": False},
        "yaxis": {
            "title": {"text": "cycles ÷ proven lower bound"},
            "range": [1 - 0.06 * reach_above, 1 + 1.08 * reach_above],
        },
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"},
        "shapes": [_bound_line()],
    }
    return {"data": traces, "layout": layout}


def _roofline_markers(layers: pd.DataFrame, kind: str, colour: str, scale: float) -> Figure:
    sets = [group for _, group in _alike(layers)]
    # The costliest first, so that small markers end on top of large ones and can be reached.
    sets.sort(key=lambda group: -float(group["cycles"].sum()))
    sizes = [max(_SMALLEST_MARKER, scale * math.sqrt(group["cycles"].sum())) for group in sets]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": _text(shortened(kind, 24)),
        "x": [float(group["intensity"].iloc[0]) for group in sets],
        "y": [float(group["rate"].iloc[0]) for group in sets],
        "customdata": [_set_hover(group) for group in sets],
        "hovertemplate": "%{customdata}<extra></extra>",
        "marker": {"size": sizes, "color": f"var({colour})", "opacity": 0.78}
        | {"line": {"width": 1, "color": "var(--card)"}},
    }


def _marker_scale(cycles: list[float]) -> float:
    """Diameter in pixels per square root of a cycle."""
    largest = _LARGEST_MARKER if len(cycles) <= _MANY_MARKERS else _LARGEST_OF_MANY
    return largest / math.sqrt(max(cycles, default=1.0))


def _alike(layers: pd.DataFrame) -> list[tuple[object, pd.DataFrame]]:
    return list(layers.groupby(["identical_to", "intensity", "cycles"], sort=False))


def _set_hover(group: pd.DataFrame) -> str:
    first = group.iloc[0]
    names = [f"<b>{_text(shortened(name, 70))}</b>" for name in group["name"].iloc[:_NAMES_IN_HOVER]]
    more = len(group) - len(names)
    lines = [*names, *([f"and {count(more)} more like it"] if more else [])]
    each = " each" if len(group) > 1 else ""
    lines += [
        f"{_text(first['kind'])} {_text(first['shape'])}",
        f"{count(first['cycles'])} cycles{each}, {percent(first['utilisation'])} of peak",
        f"{first['intensity']:,.3g} FLOP/B, {si(first['rate'], 'OP/s')}",
    ]
    return "<br>".join(lines)


def _intensity_span(drawn: pd.DataFrame, machine: Machine) -> tuple[float, float]:
    ridge = 2 * machine.peak_macs_per_cycle / machine.memory_bytes_per_cycle
    found = [ridge, *drawn["intensity"].tolist()]
    return min(found) / 3, max(max(found) * 3, ridge * 6)


def _roofs(machine: Machine, span: tuple[float, float]) -> list[Figure]:
    peak = 2 * machine.peak_macs_per_cycle * machine.clock_hz
    bandwidth = machine.memory_bytes_per_cycle * machine.clock_hz
    ridge = peak / bandwidth
    line = {"type": "scatter", "mode": "lines", "showlegend": False, "hoverinfo": "skip"}
    return [
        line
        | {"x": [span[0], ridge, span[1]], "y": [span[0] * bandwidth, peak, peak]}
        | {"line": {"color": "var(--ink)", "width": 2}},
        line
        | {"x": [span[0], ridge, ridge], "y": [peak, peak, span[0] * bandwidth / 100]}
        | {"line": {"color": "var(--muted)", "width": 1, "dash": "dot"}},
    ]


def _roofline_layout(drawn: pd.DataFrame, machine: Machine, span: tuple[float, float]) -> Figure:
    peak = 2 * machine.peak_macs_per_cycle * machine.clock_hz
    bandwidth = machine.memory_bytes_per_cycle * machine.clock_hz
    ridge = peak / bandwidth
    lowest = min([span[0] * bandwidth, *(drawn["rate"] / 2).tolist()])
    mark = {"showarrow": False, "font": {"size": 12, "color": "var(--ink)"}}
    on_slope = span[0] * (ridge / span[0]) ** 0.4
    labels = [
        # Left of the ridge, where no layer can be.
        mark
        | {"x": math.log10(span[0]), "y": math.log10(peak), "xanchor": "left", "yanchor": "bottom"}
        | {"text": f"mesh: {si(peak, 'OP/s')}", "xshift": 4},
        # The page's script turns this one to lie along the slope: its angle depends on the size of the figure.
        mark
        | {"x": math.log10(on_slope), "y": math.log10(on_slope * bandwidth), "name": "slope"}
        | {"text": f"memory: {si(bandwidth, 'B/s')}{_out(machine)}"},
        mark
        | {"x": math.log10(ridge), "y": 0, "yref": "paper", "xanchor": "left", "yanchor": "bottom"}
        | {"text": f"ridge: {ridge:,.3g} FLOP/B", "xshift": 5, "font": {"size": 11, "color": "var(--muted)"}},
    ]
    height = (math.log10(lowest), math.log10(peak * 2.2))
    return {
        "xaxis": _log_axis(
            "FLOP per DRAM byte moved in the busier direction", math.log10(span[0]), math.log10(span[1])
        ),
        "yaxis": _log_axis("achieved, OP/s", *height),
        "legend": {
            "orientation": "h",
            "y": 1.02,
            "yanchor": "bottom",
            "x": 0,
            "xanchor": "left",
            "itemsizing": "constant",
        },
        "annotations": labels,
        "hovermode": "closest",
    }


def _out(machine: Machine) -> str:
    if machine.write_bytes_per_cycle == machine.memory_bytes_per_cycle:
        return " each way"
    return f" in, {si(machine.write_bytes_per_cycle * machine.clock_hz, 'B/s')} out"


def _log_axis(title: str, low: float, high: float) -> Figure:
    minor = {"dtick": "D1", "showgrid": high - low < 2.5, "gridcolor": "var(--edge)", "ticks": ""}
    return {"type": "log", "dtick": 1, "minor": minor, "range": [low, high]} | {
        "title": {"text": title},
        "exponentformat": "SI",
    }


def _by_layer_layout(layers: pd.DataFrame) -> Figure:
    size = len(layers)
    # Few layers would make bars as wide as the page: the axis keeps room for at least eight.
    room = max(size, 8)
    axis: Figure = {"title": {"text": "layer, in network order"}, "showgrid": False, "zeroline": False}
    axis |= {"unifiedhovertitle": {"text": "layer %{x}"}}
    axis |= {"range": [(size - room) / 2 - 0.6, (size + room) / 2 - 0.4]}
    if size <= _NAMED_TICKS:
        axis |= {"tickvals": layers["index"].tolist(), "title": None, "tickangle": -22}
        axis |= {"ticktext": [_text(shortened(name, 22)) for name in layers["name"]]}
    return {
        "barmode": "stack",
        "bargap": 0.25 if size <= 60 else 0.12 if size <= 200 else 0.0,
        "xaxis": axis,
        "hovermode": "x unified",
        "hoversubplots": "axis",
        "legend": {
            "orientation": "h",
            "y": 1.02,
            "yanchor": "bottom",
            "x": 0,
            "xanchor": "left",
            "traceorder": "normal",
        },
    }


def _heading(layers: pd.DataFrame, texts: list[str]) -> Figure:
    """An unseen line at zero that gives the common hover of a layer its first line."""
    return {
        "type": "scatter",
        "mode": "lines",
        "showlegend": False,
        "x": layers["index"].tolist(),
        "y": [0] * len(layers),
        "line": {"width": 0},
        "customdata": texts,
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def _bar_style(colour: str, pattern: str, bars: int) -> Figure:
    style: Figure = {"color": f"var({colour})", "line": {"width": 0}}
    if pattern and bars <= 120:
        style["pattern"] = {
            "shape": pattern,
            "size": 5,
            "solidity": 0.25,
            "fgcolor": "var(--card)",
            "fillmode": "overlay",
        }
    return style


def _value_axis(title: str) -> Figure:
    return {"title": {"text": title}, "rangemode": "tozero", "exponentformat": "SI", "hoverformat": ",.0f"}


def _ratio_markers(
    name: str, ranks: list[int], ratios: pd.Series, hover: list[str], colour: str, symbol: str
) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": ranks,
        "y": [_finite(ratio) for ratio in ratios],
        "customdata": hover,
        "hovertemplate": "%{customdata}<extra></extra>",
        "marker": {
            "color": f"var({colour})",
            "symbol": symbol,
            "size": 8,
            "line": {"width": 1, "color": "var(--card)"},
        },
    }


def _bound_line() -> Figure:
    line = {"color": "var(--ink)", "width": 1, "dash": "dot"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 1, "y1": 1, "line": line}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _text(text: str) -> str:
    return html.escape(printable(str(text), limit=120), quote=False)
