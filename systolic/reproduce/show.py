"""Reproduced tables on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from reports.reproduction import ReproducedTable
from reports.reproduction_page import reproduction_record
from reports.reproduction_terminal import reproduction_tables
from systolic.show import print_json


def print_reproduction(page: Path, tables: Sequence[ReproducedTable], *, as_json: bool) -> None:
    """A line a table, the rows outside their bounds, and where the page is; or everything as one JSON object."""
    if as_json:
        print_json({"page": str(page), **reproduction_record(tables)})
        return
    console = Console()
    for table in reproduction_tables(tables):
        console.print(table)
    console.print(f"page: {page}", highlight=False, markup=False, soft_wrap=True)
