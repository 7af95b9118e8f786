"""What `systolic generate` found, on a terminal: the same numbers as the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import isnan
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from reports.generation import GenerationStudy, point_rows
from reports.units import count, printable, si, times

ROWS: Final = 24
_SIZES: Final = ("layers", "features", "heads")
_STYLE: Final[dict[str, Any]] = {
    "title_justify": "left",
    "box": SIMPLE_HEAD,
    "pad_edge": False,
    "padding": (0, 0),
}


def study_tables(study: GenerationStudy) -> Iterator[Table]:
    """The points of a study, at most ROWS of them spread over all, and where the ridge is crossed."""
    title = f"{study.model} on {study.machine}, {study.precision}, {study.way}"
    rows = list(point_rows(study))
    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        "context": lambda row: count(row["context"]),
        "batch": lambda row: count(row["batch"]),
        "first": lambda row: si(row["first_token_seconds"], "s"),
        "a token": lambda row: si(row["token_seconds"], "s"),
        "tokens/s": lambda row: si(row["tokens_per_second"], ""),
        "memory": lambda row: si(row["memory_bytes"], "B"),
        "bound": lambda row: row["decode_bound_by"],
    }
    if not all(row["fits"] for row in rows):
        columns["too many"] = lambda row: "" if row["fits"] else si(row["excess_bytes"], "B")
    if study.plain is not None:
        columns["gain"] = lambda row: times(row["times_one_by_one"])
    if study.request_seconds is not None:
        columns["request"] = lambda row: si(row["request_seconds"], "s")
    points = _table(title, list(columns))
    for row in _spread(rows):
        _add(points, *(shown(row) for shown in columns.values()))
    yield points
    yield _ridge_table(study)


def models_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Models by name with their sizes."""
    table = Table(**_STYLE)
    for head in ("name", "parameters", "layers", "width", "heads", "writes"):
        table.add_column(head, justify="left" if head in ("name", "writes") else "right", no_wrap=True)
    for row in rows:
        total, active = (si(row[key], "") for key in ("parameters", "active_parameters"))
        sizes = (total if total == active else f"{total}, {active} a token", *(str(row[key]) for key in _SIZES))
        _add(table, row["name"], *sizes, row["writes"])
    return table


def shown_of(study: GenerationStudy) -> str:
    """How many points of a study the table leaves out; "" where none."""
    points = study.found.shape[0] * study.found.shape[1]
    return f"{ROWS} of {points:,} points; --csv or --json has all of them" if points > ROWS else ""


def _ridge_table(study: GenerationStudy) -> Table:
    found = study.found
    title = f"where the ridge ({found.ridge_flops_per_byte:,.0f} FLOP/B) is crossed"
    table = _table(title, ("decoding at context", "from batch", "prefill at batch", "from tokens"))
    contexts = _spread(list(zip(found.contexts.tolist(), study.ridge_batches.tolist(), strict=True)), 8)
    batches = _spread(list(zip(found.batches.tolist(), study.ridge_prompts.tolist(), strict=True)), 8)
    for place in range(max(len(contexts), len(batches))):
        left = contexts[place] if place < len(contexts) else None
        right = batches[place] if place < len(batches) else None
        _add(table, *_crossing(left), *_crossing(right))
    return table


def _crossing(found: tuple[float, float] | None) -> tuple[str, str]:
    if found is None:
        return "", ""
    where, value = found
    return count(where), "never" if isnan(value) else count(value)


def _spread(rows: Sequence[Any], most: int = ROWS) -> list[Any]:
    """All rows, or `most` of them evenly spread, the first and the last among them."""
    if len(rows) <= most:
        return list(rows)
    return [rows[round(place * (len(rows) - 1) / (most - 1))] for place in range(most)]


def _table(title: str, heads: Sequence[str]) -> Table:
    table = Table(title=Text(printable(title)), **_STYLE)
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    return table


def _add(table: Table, *cells: str) -> None:
    table.add_row(*(Text(printable(cell)) for cell in cells))
