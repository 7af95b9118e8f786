"""Reads `published.toml`: the printed tables and figures as data."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final

import msgspec

from model_ir.errors import InputError
from reports.reproduction import Kind, ReproducedRow, ReproducedTable

_SOURCE: Final = "systolic/reproduce/published.toml"


class PublishedTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was printed: cells as text by row, in the order of `columns` (units); "" where nothing was.

    `bound` is the largest relative difference of every judged cell, `bounds` those of single columns; a column without
    either is shown and not judged. `reasons` say, by row, why ours differs.
    """

    id: str
    title: str
    source: str
    kind: Kind
    columns: tuple[str, ...]
    command: str
    rows: dict[str, tuple[str, ...]]
    bound: float | None = None
    bounds: dict[str, float] = {}
    less_is_better: bool = False
    note: str = ""
    reasons: dict[str, str] = {}

    def bound_of(self, column: str) -> float | None:
        """The bound of a column's cells; None where they are not judged."""
        return self.bounds.get(column, self.bound)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    table: tuple[PublishedTable, ...]


class Missing(msgspec.Struct, frozen=True):
    """Why a number of ours was not made."""

    reason: str


Ours = dict[tuple[str, str], float | Missing]
"""Our number for (row, column) of a published table."""


@cache
def published_tables() -> tuple[PublishedTable, ...]:
    """Every published table, in the order shown. Raises InputError where the file contradicts itself."""
    text = resources.files("systolic.reproduce").joinpath("published.toml").read_text(encoding="utf-8")
    tables = msgspec.toml.decode(text, type=_File).table
    for table in tables:
        _check(table)
    if len({table.id for table in tables}) < len(tables):
        raise InputError(_SOURCE, "two tables of one id")
    return tables


def published_table(identifier: str) -> PublishedTable:
    """The published table of that id; InputError names those there are."""
    for table in published_tables():
        if table.id == identifier:
            return table
    raise InputError("--only", "no such table", value=identifier, limit=", ".join(t.id for t in published_tables()))


def beside(table: PublishedTable, ours: Ours, seconds: float) -> ReproducedTable:
    """The published table with our numbers. Raises InputError for a number of ours that stands beside nothing, and for
    a printed one that has none of ours nor a reason."""
    cells = {
        (row, column): printed
        for row, columns in table.rows.items()
        for column, printed in zip(table.columns, columns, strict=True)
        if printed
    }
    for cell in [*(ours.keys() - cells.keys()), *(cells.keys() - ours.keys())]:
        if cell in cells or cell[0] not in table.rows or cell[1] not in table.columns:
            raise InputError(f"{table.id}: {' '.join(cell)}", "ours and the printed table have different cells")
    return ReproducedTable(
        id=table.id,
        title=table.title,
        source=table.source,
        kind=table.kind,
        command=table.command,
        note=table.note,
        seconds=seconds,
        rows=tuple(_row(table, row, column, printed, ours[row, column]) for (row, column), printed in cells.items()),
    )


def _row(table: PublishedTable, row: str, column: str, printed: str, ours: float | Missing) -> ReproducedRow:
    missing = isinstance(ours, Missing)
    return ReproducedRow(
        what=row,
        unit=column,
        printed=printed,
        ours=None if isinstance(ours, Missing) else float(ours),
        bound=None if missing else table.bound_of(column),
        less_is_better=table.less_is_better,
        reason=ours.reason if isinstance(ours, Missing) else table.reasons.get(row, ""),
    )


def _check(table: PublishedTable) -> None:
    for row, cells in table.rows.items():
        if len(cells) != len(table.columns):
            raise InputError(f"{_SOURCE}: {table.id}: {row}", "cells", value=len(cells), limit=len(table.columns))
        for cell in filter(None, cells):
            try:
                float(cell)
            except ValueError:
                raise InputError(f"{_SOURCE}: {table.id}: {row}", "is no number", value=cell) from None
    for name in table.reasons:
        if name not in table.rows:
            raise InputError(f"{_SOURCE}: {table.id}", "a reason for a row that is not there", value=name)
