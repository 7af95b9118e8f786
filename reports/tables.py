"""The page's HTML tables. Every cell is escaped here, and nowhere else; a cell carries the number it is sorted by."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reports.breakdown import costliest_sets, rows_of, solved_nests, traffic_in_total, tried_nests
from reports.units import BY, UNMEASURED, byte_size, count, percent, printable, shortened, si, three_digits, times

if TYPE_CHECKING:
    import pandas as pd

    from reports.record import RunRecord

_NAME_WIDTH: Final = 36
_COSTLIEST_WIDTH: Final = 60
_SHAPE_WIDTH: Final = 40
_MAPPING_WIDTH: Final = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What is shown, what hovering shows (the whole text), and the number it is sorted by (None: by what is shown)."""

    shown: str
    whole: str = ""
    value: float | None = None
    below: str = ""
    """A second, smaller line."""
    share: float | None = None
    """A fraction of 1 drawn as a bar behind the text."""


def costliest_table(record: RunRecord, limit: int = 15) -> str:
    """The sets of identical layers that take the most cycles, with every model's cycles for one of them."""
    sets = costliest_sets(record, limit)
    largest = sets["share"].max() or 1.0
    heads = ("Layer and mapping", BY, "Shape", "Share", "Cycles", "Roofline", "Analytical", "Heuristic")
    rows = [
        (
            name_cell(row.index, row.name, _COSTLIEST_WIDTH, row.mapping or f"{row.kind} on: {row.where}"),
            number(row.times),
            _text(row.shape, _SHAPE_WIDTH),
            Cell(shown=percent(row.share), value=row.share, share=row.share / largest),
            number(row.cycles),
            number(row.roofline_cycles),
            number(row.analytical_cycles),
            number(row.heuristic_cycles),
            Cell(shown=times(row.over_roofline), value=row.over_roofline),
        )
        for row in rows_of(sets)
    ]
    return table((*heads, "Over roofline"), rows, numeric=(1, *range(3, 9)))


def layers_table(layers: pd.DataFrame) -> str:
    """Every layer, in network order."""
    heads = (
        "#",
        "Layer",
        "Kind",
        "Where",
        "Costed by",
        "Shape",
        "Cycles",
        "Utilisation",
        "MACs",
        "DRAM",
        "FLOP/B",
        "Energy",
    )
    rows = [
        (
            number(row.index),
            _text(row.name, _NAME_WIDTH),
            _text(row.kind, 18),
            _text(row.where, 18),
            _text(row.costed_by, 18),
            _text(row.shape, _SHAPE_WIDTH),
            number(row.cycles),
            _percent(row.utilisation if row.macs else math.nan),
            number(row.macs),
            _bytes(row.dram_read_bytes + row.dram_write_bytes),
            Cell(shown=_digits(row.arithmetic_intensity), value=row.arithmetic_intensity),
            Cell(shown=si(row.energy_pj * 1e-12, "J"), value=row.energy_pj),
        )
        for row in rows_of(layers)
    ]
    return table(heads, rows, numeric=(0, *range(6, 12)), identifier="layers")


def solver_table(layers: pd.DataFrame) -> str:
    """Every nest that a solver saw, once: what it proved, and what it gained over the machine's heuristic."""
    heads = (
        "Layer",
        "Shape",
        "Solver",
        "Status",
        "Cycles found",
        "Proven bound",
        "Gap",
        "Heuristic",
        "Gain",
        "Solve time",
    )
    rows = [
        (
            name_cell(row.index, row.name),
            _text(row.shape, _SHAPE_WIDTH),
            _text(row.solver, 18),
            _text(row.solver_status, 18),
            number(row.solver_objective_cycles),
            number(row.solver_bound_cycles),
            _percent(row.solver_gap),
            number(row.heuristic_cycles),
            Cell(shown=times(row.gain), value=row.gain),
            Cell(shown=si(row.solver_wall_seconds, "s"), value=row.solver_wall_seconds),
        )
        for row in rows_of(solved_nests(layers))
    ]
    return table(heads, rows, numeric=range(4, 10), identifier="solver")


def quality_table(layers: pd.DataFrame) -> str:
    """Every nest whose mappings ran on the cycle engine: ours and the heuristic's against what no mapping goes
    below."""
    heads = ("Layer", "Shape", "Tried", "Bound", "Cycles", "Over bound", "Heuristic", "Over bound", "Better by")
    rows = [
        (
            name_cell(row.index, row.name, below=row.mapping),
            _text(row.shape, _SHAPE_WIDTH),
            number(row.mappings_tried),
            number(row.array_bound_cycles),
            number(row.cycles),
            _percent(row.gap),
            number(row.heuristic_simulated_cycles),
            _percent(row.heuristic_gap),
            Cell(shown=times(row.better), value=row.better),
        )
        for row in rows_of(tried_nests(layers))
    ]
    return table(heads, rows, numeric=range(2, 9), identifier="quality")


def traffic_table(record: RunRecord) -> str:
    """Bytes read and written at every memory, in total and per MAC."""
    macs = record.header.totals.macs
    rows = [
        (
            Cell(shown=memory),
            _bytes(read),
            _bytes(written),
            Cell(shown=_digits((read + written) / macs if macs else math.nan)),
        )
        for memory, read, written in traffic_in_total(record.layers)
    ]
    return table(("Memory", "Read", "Written", "Bytes per MAC"), rows, numeric=range(1, 4), sortable=False)


def facts_table(facts: Iterable[tuple[str, str]]) -> str:
    """Two columns: a fact's name and its value."""
    rows = "".join(
        f'<tr><th scope="row">{escaped(name)}</th><td>{escaped(value, limit=2000)}</td></tr>' for name, value in facts
    )
    return f'<table class="facts"><tbody>{rows}</tbody></table>'


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    *,
    numeric: Iterable[int] = (),
    identifier: str = "",
    sortable: bool = True,
) -> str:
    """An HTML table; columns in `numeric` are set flush right and sort by value; `identifier` names it."""
    right = set(numeric)
    classes = ['class="number"' if column in right else 'class="text"' for column in range(len(heads))]
    head = "".join(
        f'<th scope="col" {classes[column]}>{_head(text, sortable)}</th>' for column, text in enumerate(heads)
    )
    label = f' id="table-{identifier}"' if identifier else ""
    return f"<table{label}><thead><tr>{head}</tr></thead><tbody>{table_body(rows, numeric=right)}</tbody></table>"


def table_body(rows: Iterable[Sequence[Cell]], *, numeric: Iterable[int]) -> str:
    """The rows of an HTML table; columns in `numeric` are set flush right."""
    right = set(numeric)
    return "".join(
        "<tr>"
        + "".join(
            _cell(cell, 'class="number"' if column in right else 'class="text"') for column, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )


def number(value: float) -> Cell:
    """A count with thousands separators; what was not measured is a dash and sorts last."""
    return Cell(shown=count(value), value=value)


def escaped(text: str, limit: int = 400) -> str:
    """`text` for HTML content and quoted attributes, control characters made visible, cut at `limit` characters."""
    return html.escape(printable(text, limit), quote=True)


def name_cell(index: int, name: str, width: int = _NAME_WIDTH, below: str = "") -> Cell:
    """A layer's name, cut to `width`, with its number and whole name on hovering."""
    return Cell(shown=shortened(name, width), whole=f"{index}: {name}", below=shortened(below, _MAPPING_WIDTH))


def _text(text: str, width: int) -> Cell:
    shown = shortened(text, width)
    return Cell(shown=shown or UNMEASURED, whole=text if shown != text else "")


def _percent(fraction: float) -> Cell:
    return Cell(shown=percent(fraction), value=fraction)


def _bytes(value: float) -> Cell:
    return Cell(shown=byte_size(value), value=value)


def _digits(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:.2e}" if abs(value) < 0.001 else three_digits(value)


def _head(text: str, sortable: bool) -> str:
    return f'<button type="button">{escaped(text)}</button>' if sortable else escaped(text)


def _cell(cell: Cell, css_class: str) -> str:
    title = f' title="{escaped(cell.whole)}"' if cell.whole else ""
    value = "" if cell.value is None else f' data-value="{cell.value if math.isfinite(cell.value) else ""}"'
    below = f"<small>{escaped(cell.below)}</small>" if cell.below else ""
    bar = "" if cell.share is None else f'<i style="width:{100 * min(max(cell.share, 0.0), 1.0):.1f}%"></i>'
    return f"<td {css_class}{title}{value}>{bar}{escaped(cell.shown)}{below}</td>"
