"""The commands. Each parses, calls one function of the pipeline and shows the result; heavy modules load inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mapper.solve import Objective, SolverName
from model_ir.errors import InputError
from systolic.limits import MAX_SIMULATED_CYCLES, TRACED_CYCLES
from systolic.network import NetworkRequest
from systolic.network_options import takes_layer, takes_network, takes_network_or_layer
from systolic.schedule_cache import default_cache_folder

app = typer.Typer(
    name="systolic",
    help="Neural networks on systolic arrays: schedule by integer programming, simulate cycle by cycle, report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

AcceleratorOption = Annotated[
    str, typer.Option("--accelerator", "-a", help="A name of `systolic accelerators`, or a TOML file.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout instead of tables.")]
LayerOption = Annotated[str | None, typer.Option("--layer", help="Only this layer.")]
WorkersOption = Annotated[int | None, typer.Option("--workers", min=1, help="Threads (default: one a core).")]
TimeLimitOption = Annotated[
    float, typer.Option("--time-limit", min=0.1, help="Seconds the solver may take for one layer.")
]
ObjectiveOption = Annotated[
    Objective, typer.Option("--objective", help="What to minimise; latency or traffic decides among equals.")
]
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
MaxCyclesOption = Annotated[
    float, typer.Option("--max-cycles", min=1, help="Refuse to simulate more cycles than this (distinct layers once).")
]
TraceOption = Annotated[
    Path | None,
    typer.Option(
        "--trace", metavar="FILE", help="Leave what each unit did as a trace for ui.perfetto.dev (.json[.gz])."
    ),
]
TraceFromOption = Annotated[
    int, typer.Option("--trace-from", min=0, help="First cycle of each layer or stream that the trace shows.")
]
TraceCyclesOption = Annotated[
    int, typer.Option("--trace-cycles", min=1, help="Cycles of each layer or stream that the trace shows.")
]
JsonLinesOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object a row on stdout instead of tables.")
]
MemoryLatencyOption = Annotated[
    int | None,
    typer.Option(
        "--latency-cycles", min=1, help="Memory latency of rows that state none (default: the accelerator's)."
    ),
]
CyclesPerBeatOption = Annotated[
    int | None,
    typer.Option(
        "--cycles-per-beat", min=1, help="Cycles a beat of rows that state none (default: the accelerator's)."
    ),
]
CommandGapOption = Annotated[
    int, typer.Option("--command-gap-cycles", min=0, help="Extra cycles between commands in rows that state none.")
]


@app.command()
@takes_network
def run(
    network: NetworkRequest,
    accelerator: AcceleratorOption = "gemmini",
    out: Annotated[Path, typer.Option("--out", help="Folder that holds run folders.")] = Path("runs"),
    name: Annotated[str | None, typer.Option("--name", help="Name of the run (default: network-accelerator).")] = None,
    timeline: Annotated[
        list[str] | None,
        typer.Option("--timeline", metavar="LAYER", help="Also keep this layer's schedule as a timeline; repeatable."),
    ] = None,
    workers: WorkersOption = None,
    time_limit: TimeLimitOption = 10.0,
    max_cycles: MaxCyclesOption = MAX_SIMULATED_CYCLES,
    cache: Annotated[
        Path | None, typer.Option("--cache", help="Folder of solved schedules (default: the user's cache folder).")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Neither read nor keep solved schedules.")] = False,
    trace: TraceOption = None,
    trace_from: TraceFromOption = 0,
    trace_cycles: TraceCyclesOption = TRACED_CYCLES,
    as_json: JsonOption = False,
) -> None:
    """Import, schedule, simulate and report a network: leaves runs/NAME with run.json, tables and one HTML page.

    A trace shows the layers that get a timeline: the slowest ones and those named.
    """
    from systolic.job import RunRequest, run_job
    from systolic.show import print_record
    from systolic.terminal import stage_progress
    from systolic.tracing_job import TraceRequest

    request = RunRequest(
        network=network,
        accelerator=accelerator,
        out=out,
        name=name,
        timelines=tuple(timeline or ()),
        workers=workers,
        time_limit_seconds=time_limit,
        max_cycles=max_cycles,
        cache=None if no_cache else cache or default_cache_folder(),
        trace=TraceRequest(path=trace, first_cycle=trace_from, cycles=trace_cycles) if trace else None,
    )
    with stage_progress() as progress:
        folder, record = run_job(request, progress)
    print_record(record, folder, as_json=as_json)


@app.command()
def accelerators(as_json: JsonOption = False) -> None:
    """List the machines that ship with systolic; any of them, or your own TOML file, goes to --accelerator."""
    from simulator.accelerator_file import accelerator_names, load_accelerator
    from systolic.show import print_accelerators

    print_accelerators([load_accelerator(name) for name in accelerator_names()], as_json=as_json)


@app.command()
def hierarchies(as_json: JsonOption = False) -> None:
    """List the memory hierarchies that ship with systolic; any of them, or your own TOML file, goes to --hierarchy."""
    from simulator.hierarchy.file import hierarchy_names, load_hierarchy
    from systolic.hierarchy_show import print_hierarchies

    print_hierarchies([load_hierarchy(name) for name in hierarchy_names()], as_json=as_json)


@app.command()
def workloads(as_json: JsonOption = False) -> None:
    """List the networks of the catalogue and the options each takes."""
    from systolic.show import print_workloads

    print_workloads(as_json=as_json)


@app.command()
@takes_network
def show(network: NetworkRequest, as_json: JsonOption = False) -> None:
    """Show a network's operators, shapes, parameters, multiply-accumulates and arithmetic intensity."""
    from model_ir.passes.pipeline import run_passes
    from systolic.network import load_network
    from systolic.show import print_graph

    print_graph(run_passes(load_network(network)), as_json=as_json)


@app.command(name="map")
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


@app.command()
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


@app.command()
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
    from systolic.mapspace_command import MapspaceRequest, mapspace_job
    from systolic.show import print_mapspace
    from systolic.terminal import stage_progress

    request = MapspaceRequest(
        layer=layer, accelerator=accelerator, samples=samples, seed=seed, time_limit_seconds=time_limit, out=out
    )
    with stage_progress() as progress:
        page, studies = mapspace_job(request, progress)
    print_mapspace(page, studies, as_json=as_json)


@app.command()
@takes_network_or_layer
def emit(
    network: NetworkRequest,
    gemmini_c: Annotated[Path, typer.Option("--gemmini-c", metavar="FILE", help="The C file to write.")],
    host_header: Annotated[
        Path | None,
        typer.Option(
            "--host-header", metavar="FILE", help="Also write a header that runs it where there is no Gemmini."
        ),
    ] = None,
    accelerator: AcceleratorOption = "gemmini",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the operands that are drawn.")] = 0,
    workers: WorkersOption = None,
    time_limit: TimeLimitOption = 10.0,
    max_cycles: MaxCyclesOption = MAX_SIMULATED_CYCLES,
    as_json: JsonOption = False,
) -> None:
    """Write the schedules that run as a C file of Gemmini's own intrinsics, with operands and a self-check."""
    from systolic.emit_command import EmitRequest, emit_job
    from systolic.show import print_emitted
    from systolic.terminal import stage_progress

    request = EmitRequest(
        network=network,
        gemmini_c=gemmini_c,
        host_header=host_header,
        accelerator=accelerator,
        seed=seed,
        workers=workers,
        time_limit_seconds=time_limit,
        max_cycles=max_cycles,
    )
    with stage_progress() as progress:
        emitted = emit_job(request, progress)
    print_emitted(emitted, gemmini_c, as_json=as_json)


@app.command()
@takes_network
def plan(
    network: NetworkRequest,
    accelerator: AcceleratorOption = "gemmini",
    objective: ObjectiveOption = "latency",
    result_path: Annotated[
        bool, typer.Option("--result-path", help="Let results go to the scratchpad, a path that Gemmini lacks.")
    ] = False,
    arrays: Annotated[int, typer.Option("--arrays", min=1, help="Arrays that share one memory.")] = 1,
    inputs: Annotated[int, typer.Option("--inputs", min=1, help="Independent inputs to spread over them.")] = 1,
    memory_budget: Annotated[
        int | None,
        typer.Option("--memory-budget-bytes", min=1, help="Bytes for activations: keep, fetch or compute again."),
    ] = None,
    workers: WorkersOption = None,
    time_limit: Annotated[
        float, typer.Option("--time-limit", min=0.1, help="Seconds each program across layers may take.")
    ] = 20.0,
    cache: Annotated[
        Path | None, typer.Option("--cache", help="Folder of solved schedules (default: the user's cache folder).")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Neither read nor keep solved schedules.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The page (default: runs/plan-MODEL-MACHINE.html).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Schedule a network across its layers: what runs as one, what stays on chip, which array does what when."""
    from systolic.plan_command import PlanRequest, plan_job
    from systolic.show import print_plan
    from systolic.terminal import stage_progress

    request = PlanRequest(
        network=network,
        accelerator=accelerator,
        objective=objective,
        result_path=result_path,
        arrays=arrays,
        inputs=inputs,
        memory_budget_bytes=memory_budget,
        time_limit_seconds=time_limit,
        workers=workers,
        cache=None if no_cache else cache or default_cache_folder(),
        out=out,
    )
    with stage_progress() as progress:
        page, report = plan_job(request, progress)
    print_plan(page, report, as_json=as_json)


@app.command()
def replay(
    streams: Annotated[
        Path, typer.Argument(metavar="STREAM", help="Command streams, one JSON object a line (.jsonl or .jsonl.gz).")
    ],
    accelerator: AcceleratorOption = "gemmini",
    latency_cycles: MemoryLatencyOption = None,
    cycles_per_beat: CyclesPerBeatOption = None,
    command_gap_cycles: CommandGapOption = 0,
    values: Annotated[
        bool, typer.Option("--values/--no-values", help="Compute the output's digest where a row names I and J.")
    ] = True,
    workers: WorkersOption = None,
    trace: TraceOption = None,
    trace_from: TraceFromOption = 0,
    trace_cycles: TraceCyclesOption = TRACED_CYCLES,
    as_json: JsonLinesOption = False,
) -> None:
    """Run raw Gemmini commands on the cycle engine, and compare with what was measured where the rows say it."""
    from simulator.accelerator_file import load_accelerator
    from systolic.replay_job import ReplayRequest, replay_file
    from systolic.replay_show import print_json_lines, print_tables
    from systolic.terminal import stage_progress
    from systolic.tracing_job import TraceRequest, row_streams, trace_streams

    wanted = TraceRequest(path=trace, first_cycle=trace_from, cycles=trace_cycles) if trace else None
    request = ReplayRequest(
        streams=streams,
        accelerator=load_accelerator(accelerator),
        latency_cycles=latency_cycles,
        cycles_per_beat=cycles_per_beat,
        command_gap_cycles=command_gap_cycles,
        values=values,
        workers=workers,
    )
    with stage_progress() as progress:
        replayed = replay_file(request, progress)
        if as_json:
            print_json_lines(replayed)
        else:
            print_tables(replayed, request.accelerator.name)
        if wanted:
            trace_streams(row_streams(request), request.accelerator, wanted, progress)


@app.command()
def fidelity(
    ground_truth: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder of measured rows, such as ../shared/ground_truth.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The page to write; its plot goes beside it.")] = Path(
        "runs/fidelity.md"
    ),
    workers: WorkersOption = None,
) -> None:
    """Simulate everything that was measured of the RTL and write a page with the errors."""
    from systolic.fidelity import write_fidelity
    from systolic.replay_show import print_families
    from systolic.terminal import stage_progress

    with stage_progress() as progress:
        rows = write_fidelity(ground_truth, out, workers=workers, progress=progress)
    print_families(rows)


@app.command()
def report(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, such as runs/resnet50-gemmini.")],
    as_json: JsonOption = False,
) -> None:
    """Show a finished run again and write its HTML page anew."""
    from reports.record import read_record
    from systolic.job import write_page
    from systolic.show import print_record

    record = read_record(run_folder)
    write_page(record, run_folder)
    print_record(record, run_folder, as_json=as_json)
