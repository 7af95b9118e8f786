"""The page's table of hardware counters: one row a layer, under the machine's own names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reports.breakdown import rows_of
from reports.columns import COUNTER_PREFIX, counter_columns
from reports.tables import Cell, escaped, name_cell, number, table_body
from reports.units import count

if TYPE_CHECKING:
    from reports.record import RunRecord

_BREAK: Final = "<wbr>"


def counters_table(record: RunRecord) -> str:
    """An HTML table of every layer that has counters, the run's totals in its head; "" where there are none.

    What a counter means is shown by hovering over its name.
    """
    layers = record.layers
    columns = counter_columns(layers)
    counted = layers.loc[layers[columns].notna().any(axis=1)] if columns else layers.head(0)
    if counted.empty:
        return ""
    names = [column.removeprefix(COUNTER_PREFIX) for column in columns]
    meanings = record.header.counter_meanings
    heads = "".join(_head(name, meanings.get(name, "")) for name in names)
    sums = "".join(f'<td class="number">{count(float(counted[column].sum()))}</td>' for column in columns)
    rows = [_row(row, columns) for row in rows_of(counted)]
    layer_head = '<th scope="col" class="text"><button type="button">Layer</button></th>'
    cycles_head = '<th scope="col" class="number"><button type="button">Cycles</button></th>'
    total = f'<td class="text">all of them</td><td class="number">{count(float(counted["cycles"].sum()))}</td>'
    return (
        f'<table id="table-counters"><thead><tr>{layer_head}{cycles_head}{heads}</tr></thead>'
        f"<tbody>{table_body(rows, numeric=range(1, 2 + len(names)))}</tbody>"
        f"<tfoot><tr>{total}{sums}</tr></tfoot></table>"
    )


def _row(row: Any, columns: list[str]) -> list[Cell]:
    return [
        name_cell(row.index, row.name),
        number(row.cycles),
        *(number(float(getattr(row, column))) for column in columns),
    ]


def _head(name: str, meaning: str) -> str:
    shown = escaped(name).replace("_", f"_{_BREAK}")
    title = f' title="{escaped(meaning)}"' if meaning else ""
    return f'<th scope="col" class="number"{title}><button type="button">{shown}</button></th>'
