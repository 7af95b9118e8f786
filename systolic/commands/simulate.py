"""`systolic simulate`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from systolic.limits import MAX_SIMULATED_CYCLES, TRACED_CYCLES
from systolic.network import NetworkRequest
from systolic.network_options import takes_network
from systolic.options import (
    AcceleratorOption,
    JsonOption,
    LayerOption,
    MaxCyclesOption,
    TimeLimitOption,
    TraceCyclesOption,
    TraceFromOption,
    TraceOption,
    WorkersOption,
)


@takes_network
def simulate(
    network: NetworkRequest,
    accelerator: AcceleratorOption = "gemmini",
    layer: LayerOption = None,
    check_values: Annotated[
        bool, typer.Option("--check-values", help="Also run the commands on random int8 data and compare with numpy.")
    ] = False,
    commands: Annotated[
        int, typer.Option("--commands", min=0, help="Print the first N commands of each layer's program.")
    ] = 0,
    workers: WorkersOption = None,
    time_limit: TimeLimitOption = 10.0,
    max_cycles: MaxCyclesOption = MAX_SIMULATED_CYCLES,
    trace: TraceOption = None,
    trace_from: TraceFromOption = 0,
    trace_cycles: TraceCyclesOption = TRACED_CYCLES,
    as_json: JsonOption = False,
) -> None:
    """Schedule and simulate layers cycle by cycle and show cycles and stalls, without leaving a run folder.

    A trace shows every distinct layer that runs as commands, one after another.
    """
    from simulator.accelerator_file import load_accelerator
    from systolic.network import load_network
    from systolic.pipeline import check_layer_values, layers_of, schedule, simulate_layers
    from systolic.show import print_simulations
    from systolic.terminal import stage_progress
    from systolic.tracing_job import TraceRequest, distinct_layers, layer_streams, trace_streams

    wanted = TraceRequest(path=trace, first_cycle=trace_from, cycles=trace_cycles) if trace else None
    machine = load_accelerator(accelerator)
    layers = layers_of(load_network(network), machine, skip_unsupported=network.skip_unsupported, only=layer)
    with stage_progress() as progress:
        schedules = schedule(layers, machine, workers=workers, time_limit_seconds=time_limit, progress=progress)
        runs = simulate_layers(layers, schedules, machine, workers=workers, max_cycles=max_cycles, progress=progress)
        checked = check_layer_values(runs, machine, progress=progress) if check_values else ()
        if wanted:
            trace_streams(layer_streams(runs, machine, distinct_layers(runs)), machine, wanted, progress)
    print_simulations(runs, machine, checked=checked, commands=commands, as_json=as_json)
