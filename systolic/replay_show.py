"""What `systolic replay` prints: one JSON object a row, or tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.fidelity import FidelityRow, summarise
from reports.units import UNMEASURED, count, printable
from systolic.replay_compare import compared
from systolic.replay_run import Replayed

SHOWN_ROWS = 1000
ALL_CAUSES_FROM_COLUMNS = 120
"""A narrower terminal shows no requests and the largest cause of stalls alone; all stand in `--json`."""


def print_json_lines(replayed: Iterable[Replayed]) -> None:
    """One JSON object a row, each on a line of its own, as soon as it is known."""
    for one in replayed:
        sys.stdout.write(json.dumps(as_json(one)) + "\n")
        sys.stdout.flush()


def as_json(replayed: Replayed) -> dict[str, Any]:
    """The row's result as plain values; `output_sha256` only where the row names I and J."""
    result = replayed.result
    row: dict[str, Any] = {
        "name": replayed.row.name,
        "cycles": result.cycles,
        "accepted_at": result.accepted_at.tolist(),
        "read_requests": result.read_requests,
        "read_bytes": result.read_bytes,
        "write_requests": result.write_requests,
        "write_bytes": result.write_bytes,
        "stalls": result.stall_cycles,
    }
    if replayed.output_sha256 is not None:
        row["output_sha256"] = replayed.output_sha256
    return row


def print_tables(replayed: Iterable[Replayed], accelerator_name: str) -> None:
    """The first SHOWN_ROWS rows with cycles, traffic and stalls, then errors by family where cycles were measured."""
    rows: list[FidelityRow] = []
    notes: dict[str, None] = {}
    console = Console()
    all_causes = console.width >= ALL_CAUSES_FROM_COLUMNS
    table = Table(title=Text(printable(accelerator_name)), box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("row", overflow="fold", min_width=12)
    for head in ("cycles", "measured", "error", *(["requests"] if all_causes else []), "bytes", "busy"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("stalls by cause" if all_causes else "stalls most")
    for one in replayed:
        rows.append(compared(one))
        notes |= dict.fromkeys(one.result.notes)
        if len(rows) <= SHOWN_ROWS:
            table.add_row(*_cells(one, rows[-1], all_causes))
    console.print(table)
    if len(rows) > SHOWN_ROWS:
        console.print(f"and {len(rows) - SHOWN_ROWS:,} rows more", highlight=False)
    for note in notes:
        console.print(f"note: {note}", style="dim", markup=False)
    if any(row.error is not None for row in rows):
        print_families(rows)


def print_families(rows: Sequence[FidelityRow]) -> None:
    """Errors by family, of the rows that have measured cycles."""
    Console().print(_family_table(rows))


def _cells(replayed: Replayed, row: FidelityRow, all_causes: bool) -> tuple[Text, ...]:
    result = replayed.result
    waits = [(cause, cycles) for cause, cycles in result.stall_cycles.items() if cycles]
    if not all_causes:
        waits = sorted(waits, key=lambda wait: -wait[1])[:1]
    stalls = ", ".join(f"{cause} {count(cycles)}" for cause, cycles in waits)
    cells = (
        printable(row.name),
        count(row.cycles),
        UNMEASURED if row.measured_cycles is None else count(row.measured_cycles),
        UNMEASURED if row.error is None else f"{100 * row.error:+.2f} %",
        *([count(result.read_requests + result.write_requests)] if all_causes else []),
        count(result.read_bytes + result.write_bytes),
        f"{100 * result.execute_busy_cycles / result.cycles:.0f} %" if result.cycles else UNMEASURED,
        stalls,
    )
    return tuple(Text(cell) for cell in cells)


def _family_table(rows: Sequence[FidelityRow]) -> Table:
    table = Table("family", title="cycles against those measured", box=SIMPLE_HEAD, pad_edge=False)
    heads = ("rows", "exact", "mean", "p95", "worst", "near", "traffic", "values")
    for head in heads:
        table.add_column(head, justify="right")
    for family in summarise(rows):
        near = family.accepted_near
        table.add_row(
            Text(printable(family.family or UNMEASURED)),
            count(family.rows),
            count(family.exact_rows),
            *(f"{100 * error:.3f} %" for error in (family.mean_error, family.p95_error, family.worst_error)),
            UNMEASURED if near != near else f"{100 * near:.2f} %",
            *(
                UNMEASURED if not known else f"{held}/{known}"
                for held, known in (family.traffic_exact, family.values_exact)
            ),
        )
    return table
