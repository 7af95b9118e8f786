"""`systolic map`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from mapper.solve import SolverName
from model_ir.errors import InputError
from systolic.network import NetworkRequest
from systolic.network_options import takes_network
from systolic.options import AcceleratorOption, JsonOption, LayerOption, ObjectiveOption, TimeLimitOption, WorkersOption

SolverOption = Annotated[
    SolverName | None,
    typer.Option("--solver", help="Who solves the integer programs (default: cp-sat; highs with --hierarchy)."),
]
GapOption = Annotated[
    float,
    typer.Option("--gap", min=0.0, max=0.99, help="With --hierarchy: distance from the proven bound to stop at."),
]
HierarchyOption = Annotated[
    str | None,
    typer.Option(
        "--hierarchy", help="Map onto a name of `systolic hierarchies`, or a TOML file, instead of a Gemmini."
    ),
]
DataflowOption = Annotated[
    str,
    typer.Option("--dataflow", help="With --hierarchy: free, or weight-, output-, input- or row-stationary."),
]
LoopsOption = Annotated[bool, typer.Option("--loops", help="With --hierarchy: print each mapping's loops.")]


@takes_network
def map_layers(
    network: NetworkRequest,
    accelerator: AcceleratorOption = "gemmini",
    layer: LayerOption = None,
    objective: ObjectiveOption = "latency",
    solver: SolverOption = None,
    workers: WorkersOption = None,
    time_limit: TimeLimitOption = 10.0,
    hierarchy: HierarchyOption = None,
    dataflow: DataflowOption = "free",
    gap: GapOption = 0.05,
    loops: LoopsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Schedule a network's layers and show each mapping with the solver's proof.

    With --hierarchy the machine is any tree of memories instead of a Gemmini, and MODEL may also be a layer's sizes
    (512,768,3072 or 56x56x64,3x3x64,p1).
    """
    if hierarchy is None and (loops or dataflow != "free"):
        raise InputError("--loops" if loops else "--dataflow", "is for --hierarchy")
    if hierarchy is not None:
        if accelerator != "gemmini":
            raise InputError("--accelerator", "one machine at a time: --hierarchy is another", value=accelerator)
        from systolic.hierarchy_job import HierarchyRequest
        from systolic.hierarchy_show import run_and_print

        request = HierarchyRequest(
            network=network,
            hierarchy=hierarchy,
            layer=layer,
            dataflow=dataflow,
            objective=objective,
            solver=solver or "highs",
            gap=gap,
            time_limit_seconds=time_limit,
            workers=workers,
        )
        run_and_print(request, loops=loops, as_json=as_json)
        return
    from simulator.accelerator_file import load_accelerator
    from systolic.network import load_network
    from systolic.pipeline import layers_of, schedule
    from systolic.show import print_schedules
    from systolic.terminal import stage_progress

    machine = load_accelerator(accelerator)
    layers = layers_of(load_network(network), machine, skip_unsupported=network.skip_unsupported, only=layer)
    with stage_progress() as progress:
        schedules = schedule(
            layers,
            machine,
            objective=objective,
            solver=solver or "cp-sat",
            workers=workers,
            time_limit_seconds=time_limit,
            progress=progress,
        )
    print_schedules(layers, schedules, machine, as_json=as_json)
