"""`systolic mapspace`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from systolic.network import NetworkRequest
from systolic.network_options import takes_layer
from systolic.options import AcceleratorOption, JsonOption, TimeLimitOption


@takes_layer
def mapspace(
    layer: NetworkRequest,
    accelerator: AcceleratorOption = "gemmini",
    samples: Annotated[int, typer.Option("--samples", min=1, help="Legal mappings to draw.")] = 100_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the random draw.")] = 0,
    time_limit: TimeLimitOption = 10.0,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The page (default: runs/mapspace-LAYER-MACHINE.html).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Sample a layer's legal mappings and show how their energy-delay products spread, the optimum and the heuristic.

    LAYER `survey` stands for the layers of the published study that ours is compared with.
    """
    from systolic.mapspace_job import MapspaceRequest, mapspace_job
    from systolic.show import print_mapspace
    from systolic.terminal import stage_progress

    request = MapspaceRequest(
        layer=layer, accelerator=accelerator, samples=samples, seed=seed, time_limit_seconds=time_limit, out=out
    )
    with stage_progress() as progress:
        page, studies = mapspace_job(request, progress)
    print_mapspace(page, studies, as_json=as_json)
