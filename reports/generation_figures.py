"""The figures of generative inference as plain plotly dictionaries; colours as in `reports.figures`."""

from __future__ import annotations

import html
from collections.abc import Sequence
from math import inf, isnan
from typing import Any, Final, Literal

import numpy as np

from reports.generation import FloatArray, GenerationStudy, differing
from reports.log_axis import MOST_TICKS, log_axis
from reports.palette import OTHER, SERIES
from reports.units import count, printable, shortened, si, times

Figure = dict[str, Any]

MOST_SERIES: Final = len(SERIES)
_MOST_BATCHES: Final = 6
_LEGEND: Final = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"}
_KIND_COLOURS: Final = {
    "projections": "--blue",
    "feed-forward": "--sky",
    "attention": "--orange",
    "recomputation": "--red",
    "logits": "--green",
    "element-wise": "--purple",
    "encoder": "--brown",
}


def token_figure(studies: Sequence[GenerationStudy]) -> Figure:
    """Time of a token over the context, a line a study at its smallest batch; hollow where it does not fit."""
    traces = []
    for name, colour, study in _series(studies):
        batch = study.found.batches[0]
        values = study.found.token_seconds[:, 0]
        hover = [
            f"{name}, batch {count(batch)}<br>{si(value, 's')} a token at {count(context)} tokens{_over(study, row, 0)}"
            for row, (context, value) in enumerate(zip(study.found.contexts, values, strict=True))
        ]
        traces.append(_line(name, colour, study.found.contexts, values, study.fits[:, 0], hover))
    shown = [study.found.token_seconds[:, 0] for _, _, study in _series(studies)]
    across = _axis_of("context, tokens", studies, "contexts")
    return _figure(traces, across, log_axis("time of a token", shown, "s"))


def throughput_figure(studies: Sequence[GenerationStudy]) -> Figure:
    """Tokens a second over the batch, a line a study at its shortest context; hollow where it does not fit, a diamond
    where the ridge is crossed."""
    traces = []
    for name, colour, study in _series(studies):
        context, values = study.found.contexts[0], study.found.tokens_per_second[0]
        hover = [
            f"{name}, context {count(context)}<br>{si(value, '')} tokens/s at batch {count(batch)}"
            f"{_over(study, 0, column)}"
            for column, (batch, value) in enumerate(zip(study.found.batches, values, strict=True))
        ]
        traces.append(_line(name, colour, study.found.batches, values, study.fits[0], hover))
        crossing = float(study.ridge_batches[0])
        if not isnan(crossing) and study.found.batches[0] <= crossing <= study.found.batches[-1]:
            traces.append(_diamond(name, colour, crossing, _between(study.found.batches, values, crossing)))
    rates_shown = [study.found.tokens_per_second[0] for _, _, study in _series(studies)]
    return _figure(traces, _axis_of("batch, sequences", studies, "batches"), log_axis("output tokens/s", rates_shown))


def map_figure(study: GenerationStudy) -> Figure:
    """Tokens a second at every context and batch as colours, where memory ends, and from which batch on decoding is
    bound by compute. A single context or batch has no map: bars instead."""
    found = study.found
    if min(found.shape) < 2:
        return _bars(study)
    rates = np.log10(found.tokens_per_second)
    fits = study.fits
    hover = [
        [
            f"context {count(context)}, batch {count(batch)}<br>"
            f"{si(found.tokens_per_second[row, column], '')} tokens/s, "
            f"{si(found.token_seconds[row, column], 's')} a token{_over(study, row, column)}"
            for column, batch in enumerate(found.batches)
        ]
        for row, context in enumerate(found.contexts)
    ]
    heat = {
        "type": "heatmap",
        "x": found.batches.tolist(),
        "y": found.contexts.tolist(),
        "z": [
            [round(float(value), 3) if fits[row, column] else None for column, value in enumerate(values)]
            for row, values in enumerate(rates)
        ],
        "customdata": hover,
        "hovertemplate": "%{customdata}<extra></extra>",
        "hoverongaps": True,
        "colorscale": [[0, "var(--purple)"], [0.5, "var(--sky)"], [1, "var(--yellow)"]],
        "colorbar": _colourbar(rates[fits]) if fits.any() else {},
        "showscale": bool(fits.any()),
    }
    ridge = study.ridge_batches
    inside = ~np.isnan(ridge) & (ridge <= found.batches[-1])
    line = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "bound by compute from here on",
        "x": ridge[inside].tolist(),
        "y": found.contexts[inside].tolist(),
        "line": {"color": "var(--red)", "width": 3, "dash": "dash"},
        "marker": {"color": "var(--red)", "size": 8},
        "hovertemplate": "bound by compute from batch %{x:,} on<extra></extra>",
        "showlegend": True,
    }
    across, along = _axis_of("batch, sequences", (study,), "batches"), _axis_of("context, tokens", (study,), "contexts")
    figure = _figure([heat, line], across, along)
    if not fits.all():
        figure["layout"]["annotations"] = [_empty_note()]
    return figure


def memory_figure(study: GenerationStudy) -> Figure:
    """Bytes in memory over the context, a line a batch, beside the weights alone and the capacity."""
    found = study.found
    total = found.table(found.memory.total_bytes)
    traces = []
    for rank, column in enumerate(_spread(len(found.batches), _MOST_BATCHES)):
        batch, values = found.batches[column], total[:, column]
        parts = (
            ("weights", found.memory.weight_bytes),
            ("kept of earlier tokens", found.memory.cache_bytes),
            ("activations", found.memory.activation_bytes),
            *((("for the draft", found.memory.extra_bytes),) if study.way == "draft" else ()),
        )
        hover = [
            f"context {count(context)}, batch {count(batch)}: {_bytes(values[row])}<br>"
            + ", ".join(f"{name} {_bytes(found.table(part)[row, column])}" for name, part in parts)
            for row, context in enumerate(found.contexts)
        ]
        colour = SERIES[rank % len(SERIES)]
        traces.append(_line(f"batch {count(batch)}", colour, found.contexts, values, study.fits[:, column], hover))
    weights = np.full(found.shape[0], found.memory.weight_bytes)
    traces.append(_level("weights", "--grey", "dash", found.contexts, weights))
    if found.memory.capacity_bytes != inf:
        capacity = np.full(found.shape[0], found.memory.capacity_bytes)
        name = html.escape(printable(study.machine, 40), quote=False)
        label = f"{name}: {_bytes(found.memory.capacity_bytes)}"
        traces.append(_level(label, "--ink", "dot", found.contexts, capacity))
    shown = [total, [found.memory.weight_bytes]]
    return _figure(traces, _axis_of("context, tokens", (study,), "contexts"), log_axis("memory", shown, "B"))


def kinds_figure(study: GenerationStudy) -> Figure:
    """Where the time of a decoding pass goes, over the context at the smallest batch, as shares."""
    found = study.found
    whole = found.table(found.decoded.step.seconds)[:, 0]
    traces = []
    for kind, seconds in found.decoded.step.seconds_by_kind.items():
        values = found.table(seconds)[:, 0]
        hover = [f"{si(value, 's')}" for value in values]
        traces.append(_part(kind, _KIND_COLOURS.get(kind, OTHER), found.contexts, 100 * values / whole, hover))
    axis = {"title": {"text": "share of a pass, %"}, "range": [0, 100]}
    layout = {"barmode": "stack", "xaxis": _categories("context, tokens"), "yaxis": axis}
    return {"data": traces, "layout": {**layout, "legend": _LEGEND, "hovermode": "closest"}}


def _series(studies: Sequence[GenerationStudy]) -> list[tuple[str, str, GenerationStudy]]:
    """Name, colour and study of the first MOST_SERIES; names are escaped for plotly, which reads markup."""
    names = [html.escape(printable(shortened(name, 48)), quote=False) for name in differing(studies)]
    return list(zip(names, SERIES, studies, strict=False))


def _line(name: str, colour: str, x: FloatArray, y: FloatArray, fits: Any, hover: Sequence[str]) -> Figure:
    symbols = ["circle" if each else "circle-open" for each in fits]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": x.tolist(),
        "y": _rounded(y),
        "line": {"color": f"var({colour})", "width": 2},
        "marker": {"color": f"var({colour})", "symbol": symbols, "size": 8},
        "customdata": list(hover),
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def _diamond(name: str, colour: str, x: float, y: float) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"{name}: ridge",
        "showlegend": False,
        "x": [x],
        "y": [float(f"{y:.5g}")],
        "marker": {
            "color": f"var({colour})",
            "symbol": "diamond",
            "size": 13,
            "line": {"width": 2, "color": "var(--card)"},
        },
        "hovertemplate": f"{name}<br>bound by compute from batch {count(x)} on<extra></extra>",
    }


def _bars(study: GenerationStudy) -> Figure:
    found = study.found
    along_context = found.shape[0] >= found.shape[1]
    axis = found.contexts if along_context else found.batches
    rates = found.tokens_per_second.reshape(-1)
    hover = [f"{si(rate, '')} tokens/s" for rate in rates]
    bar = _part("tokens/s", "--blue", axis, rates, hover)
    title = "context, tokens" if along_context else "batch, sequences"
    layout = {"xaxis": _categories(title), "yaxis": {"title": {"text": "output tokens/s"}, "rangemode": "tozero"}}
    return {"data": [bar], "layout": {**layout, "showlegend": False}}


def _part(name: str, colour: str, x: FloatArray, y: FloatArray, hover: Sequence[str]) -> Figure:
    return {
        "type": "bar",
        "name": name,
        "x": [count(value) for value in x],
        "y": _rounded(y),
        "marker": {"color": f"var({colour})"},
        "customdata": list(hover),
        "hovertemplate": f"{name}: %{{customdata}}<extra></extra>",
    }


def _level(name: str, colour: str, dash: str, x: FloatArray, y: FloatArray) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": x.tolist(),
        "y": _rounded(y),
        "line": {"color": f"var({colour})", "width": 2, "dash": dash},
        "hoverinfo": "skip",
    }


def _spread(size: int, most: int) -> list[int]:
    """Places 0 to size - 1, or `most` of them evenly spread with both ends."""
    if size <= most:
        return list(range(size))
    return [round(place * (size - 1) / (most - 1)) for place in range(most)]


def _colourbar(rates: FloatArray) -> Figure:
    ticks = np.linspace(float(rates.min()), float(rates.max()), 5)
    return {
        "title": {"text": "tokens/s", "side": "right"},
        "tickvals": [round(float(tick), 3) for tick in ticks],
        "ticktext": [si(10 ** float(tick), "") for tick in ticks],
        "thickness": 14,
        "outlinewidth": 0,
    }


def _empty_note() -> Figure:
    return {
        "text": "empty: does not fit in memory",
        "xref": "paper",
        "yref": "paper",
        "x": 0.99,
        "y": 0.98,
        "showarrow": False,
        "xanchor": "right",
        "yanchor": "top",
        "font": {"color": "var(--muted)"},
    }


def _figure(data: list[Figure], x: Figure, y: Figure) -> Figure:
    return {"data": data, "layout": {"xaxis": x, "yaxis": y, "legend": _LEGEND, "hovermode": "closest"}}


def _axis_of(title: str, studies: Sequence[GenerationStudy], axis: Literal["contexts", "batches"]) -> Figure:
    """A logarithmic axis of contexts or batches, ticked at those asked for where they are few."""
    values = sorted({float(value) for study in studies for value in getattr(study.found, axis)})
    if len(values) > MOST_TICKS:
        return log_axis(title, [values])
    ticks = {"tickvals": values, "ticktext": [count(value) for value in values]}
    return {"type": "log", "title": {"text": title}, "tickangle": 0, **ticks}


def _categories(title: str) -> Figure:
    return {"type": "category", "title": {"text": title}}


def _over(study: GenerationStudy, row: int, column: int) -> str:
    gain = float(study.gain[row, column])
    text = "" if study.plain is None else f"<br>{times(gain)} the rate of one by one"
    if study.fits[row, column]:
        return text
    excess = study.found.table(study.found.memory.excess_bytes)[row, column]
    return f"{text}<br>does not fit: {_bytes(excess)} too many"


def _bytes(value: float) -> str:
    return si(value, "B")


def _between(x: FloatArray, y: FloatArray, at: float) -> float:
    return float(np.exp(np.interp(np.log(at), np.log(x), np.log(y))))


def _rounded(values: FloatArray) -> list[float]:
    return [float(f"{value:.5g}") for value in values.tolist()]
