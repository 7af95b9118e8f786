"""`systolic memory-wall`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from systolic.commands.roofline import CacheOption, MachinesOption, PageOption, WeightsOption
from systolic.network import NetworkRequest
from systolic.network_options import takes_any_networks
from systolic.options import JsonOption


@takes_any_networks
def memory_wall(
    networks: list[NetworkRequest],
    machine: MachinesOption = None,
    precision: Annotated[
        str, typer.Option("--precision", help="Of activations and of the matrix unit; fp16 as the trends' peaks.")
    ] = "fp16",
    weights: WeightsOption = None,
    kv: CacheOption = None,
    points: Annotated[
        Path | None,
        typer.Option("--points", metavar="FILE", help="Hardware over time, a CSV: series,date,value,unit."),
    ] = None,
    out: PageOption = None,
    as_json: JsonOption = False,
) -> None:
    """How fast peaks, bandwidths and models grow; in which year, on which machine, networks become bandwidth-bound."""
    from systolic.memory_wall_job import MemoryWallRequest, memory_wall_job, write_page
    from systolic.memory_wall_show import print_wall

    request = MemoryWallRequest(
        networks=networks, machines=machine, precision=precision, weights=weights, cache=kv, points=points
    )
    wall = memory_wall_job(request)
    if out is not None:
        write_page(wall, out)
    print_wall(wall, page=out, as_json=as_json)
