"""`systolic faults`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from systolic.network import NetworkRequest
from systolic.network_options import takes_network
from systolic.options import JsonOption


@takes_network
def faults(
    network: NetworkRequest,
    data: Annotated[
        Path, typer.Option("--data", metavar="FILE.npz", help="`y` (classes) and the input under its name, or `X`.")
    ],
    standardise: Annotated[
        bool, typer.Option("--standardise", help="Bring every feature to mean 0 and variance 1 over the file.")
    ] = False,
    rows: Annotated[
        int | None, typer.Option("--rows", min=1, help="First rows of the file to use (default: 2000, or all).")
    ] = None,
    flips: Annotated[
        int | None,
        typer.Option("--flips", min=3, help="Bits to flip, drawn evenly where there are more (default: 50000)."),
    ] = None,
    bits: Annotated[
        int | None,
        typer.Option("--bits", min=2, max=16, help="Of weights and activations, for a float network (default: 8)."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the draw of bits.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Flip stored weight bits of a quantised network: the damage, how well Hessian and gradient scores rank it, what
    triplicating the worst bits costs and leaves.

    MODEL is a QONNX file of a classifier, or a float one, which is quantised first.
    """
    from systolic.faults_job import FaultsRequest, faults_job
    from systolic.faults_show import print_faults
    from systolic.terminal import stage_progress

    request = FaultsRequest(
        network=network, data=data, standardise=standardise, rows=rows, flips=flips, bits=bits, seed=seed
    )
    with stage_progress() as progress:
        report = faults_job(request, progress)
    print_faults(report, as_json=as_json)
