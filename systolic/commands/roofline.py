"""`systolic roofline`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from systolic.network import NetworkRequest
from systolic.network_options import takes_networks
from systolic.options import JsonOption

MachinesOption = Annotated[
    list[str] | None,
    typer.Option("--machine", "-m", help="A name of `systolic machines`, or a TOML file; repeatable."),
]
PrecisionOption = Annotated[
    str, typer.Option("--precision", help="Of activations and of the matrix unit: int8, fp8, fp16, bf16, fp32, ...")
]
WeightsOption = Annotated[
    str | None, typer.Option("--weights", help="Format of the weights in memory (default: --precision).")
]
CacheOption = Annotated[
    str | None, typer.Option("--kv", help="Format of keys and values in memory (default: --precision).")
]
PageOption = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Also write one HTML page.")]


@takes_networks
def roofline(
    networks: list[NetworkRequest],
    machine: MachinesOption = None,
    precision: PrecisionOption = "int8",
    weights: WeightsOption = None,
    kv: CacheOption = None,
    layers: Annotated[bool, typer.Option("--layers", help="Also a table of every layer.")] = False,
    operators: Annotated[bool, typer.Option("--operators", help="Also a table of every operator.")] = False,
    out: PageOption = None,
    as_json: JsonOption = False,
) -> None:
    """FLOPs, bytes and intensity of networks at every memory of machines, and what those attain of their peak.

    Bytes are compulsory (each tensor once) and with the memories' real sizes.
    """
    from systolic.roofline_job import DEFAULT_MACHINES, RooflineRequest, roofline_job, write_page
    from systolic.roofline_show import print_rooflines

    request = RooflineRequest(
        networks=networks,
        machines=machine or DEFAULT_MACHINES,
        precision=precision,
        weights=weights,
        cache=kv,
    )
    rooflines = roofline_job(request)
    if out is not None:
        write_page(rooflines, out)
    print_rooflines(rooflines, page=out, layers=layers, operators=operators, as_json=as_json)
