"""What `systolic roofline` and `systolic machines` print."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from reports.roofline_terminal import machines_table, roofline_json, roofline_tables
from simulator.rooflines.machine import Machine
from simulator.rooflines.network import Grouping, NetworkRoofline
from systolic.show import print_json, print_whole


def print_rooflines(
    rooflines: Sequence[NetworkRoofline], *, page: Path | None, layers: bool, operators: bool, as_json: bool
) -> None:
    """Tables by network and kind, by layer and by operator where asked for; or one object with all of them."""
    if as_json:
        print_json({"rooflines": list(map(roofline_json, rooflines))} | ({"page": str(page)} if page else {}))
        return
    wanted: list[Grouping] = ["network", "kind"]
    if layers:
        wanted.append("layer")
    if operators:
        wanted.append("operator")
    for one in rooflines:
        for table in roofline_tables(one, wanted):
            print_whole(table)
    if page is not None:
        Console().print(f"page: {page}", markup=False, soft_wrap=True)


def print_machines(machines: Sequence[Machine], *, as_json: bool) -> None:
    """One machine a row."""
    if as_json:
        print_json([msgspec.to_builtins(one) for one in machines])
        return
    Console().print(machines_table(machines))
