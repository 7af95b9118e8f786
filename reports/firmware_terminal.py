"""A firmware run on a terminal."""

from __future__ import annotations

from pathlib import Path

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.firmware import FirmwareRun
from reports.firmware_text import accuracy_text, count_text, headline, proof_text
from reports.units import printable, si


def print_firmware(run: FirmwareRun, page: Path, *, as_json: bool) -> None:
    """Designs, comparisons and counts, and where the page lies; as JSON the whole run."""
    console = Console()
    if as_json:
        console.print_json(data=msgspec.to_builtins(run, str_keys=True) | {"page": str(page)})
        return
    for table in (_designs(run), _matches(run), _counts(run)):
        if table.row_count:
            console.print(table)
    console.print(proof_text(run), markup=False, highlight=False)
    for note in run.notes:
        console.print(f"note: {note}", style="dim", markup=False)
    console.print(headline(run), markup=False, highlight=False)
    console.print(f"page: {page}", markup=False, soft_wrap=True)


def _table(title: str, *heads: str) -> Table:
    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for place, head in enumerate(heads):
        table.add_column(head, justify="right" if place else "left")
    return table


def _designs(run: FirmwareRun) -> Table:
    table = _table("designs (* became firmware)", "", "bits", "BOPs", "LUTs est.", "test")
    for design in run.designs:
        table.add_row(
            Text(printable(f"{design.name}{' *' if design.name == run.chosen else ''}")),
            f"{design.average_bits:.2f}",
            f"{design.bops:,.0f}",
            "" if design.luts is None else f"{design.luts:,.0f}",
            accuracy_text(design.test),
        )
    return table


def _matches(run: FirmwareRun) -> Table:
    table = _table("against the integer reference", "", "inputs", "mismatches", "time")
    for match in run.matches:
        style = "green" if match.mismatches == 0 else "bold red"
        table.add_row(
            Text(printable(match.what)),
            f"{match.inputs:,}",
            Text(f"{match.mismatches:,}", style=style),
            si(match.seconds, "s"),
        )
    return table


def _counts(run: FirmwareRun) -> Table:
    table = _table("hardware", "", "", "by")
    for item in run.counts:
        name = f"{item.what}{'' if item.measured else ', estimated'}"
        table.add_row(Text(printable(name)), Text(count_text(item)), Text(printable(item.tool)))
    return table
