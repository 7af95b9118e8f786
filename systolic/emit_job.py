"""`systolic emit`: a network's or a layer's chosen schedules as a C file for real Gemmini."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from mapper.gemmini_c.c_file import Emitted, c_file, emitted_layer, host_header
from model_ir.errors import InputError
from simulator.accelerator_file import load_accelerator
from systolic.layer_request import graph_and_layer
from systolic.limits import MAX_SIMULATED_CYCLES
from systolic.network import NetworkRequest
from systolic.pipeline import LayerRun, Progress, layers_of, prepare, schedule, simulate_layers
from systolic.recording import mapping_text, shape_text
from systolic.text_file import write_text

if TYPE_CHECKING:
    from model_ir.graph import Graph
    from simulator.accelerator import Accelerator

SEEDS_A_LAYER = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class EmitRequest:
    """What `systolic emit` was asked: a network or a LAYER, a machine, where the C file and the header go, the seed of
    the operands that are drawn."""

    network: NetworkRequest
    gemmini_c: Path
    host_header: Path | None = None
    accelerator: str = "gemmini"
    seed: int = 0
    workers: int | None = None
    time_limit_seconds: float = 10.0
    max_cycles: float = MAX_SIMULATED_CYCLES


def emit_job(request: EmitRequest, progress: Progress) -> tuple[Emitted, ...]:
    """Schedule, simulate and write the C file; returns what is in it.

    The schedule is the one that `systolic run` runs. Raises InputError for a layer without commands, a machine or a
    layer that no C can be written for, and unwritable files.
    """
    machine = load_accelerator(request.accelerator)
    graph, name = graph_and_layer(request.network)
    graph = prepare(graph, machine)
    layers = layers_of(graph, machine, skip_unsupported=request.network.skip_unsupported, only=name)
    if all(layer.work is None for layer in layers):
        raise InputError(request.network.model, "nothing of it runs as commands", value=layers[0].kind)
    schedules = schedule(
        layers, machine, workers=request.workers, time_limit_seconds=request.time_limit_seconds, progress=progress
    )
    runs = simulate_layers(
        layers, schedules, machine, workers=request.workers, max_cycles=request.max_cycles, progress=progress
    )
    chosen = _to_emit(runs, graph)
    emitted = []
    for number, run in enumerate(chosen):
        progress("emit", number, len(chosen))
        emitted.append(_emitted(run, runs, graph, machine, request.seed + SEEDS_A_LAYER * number))
    progress("emit", len(chosen), len(chosen))
    write_text(request.gemmini_c, c_file(_title(request, machine), emitted, machine), problem="cannot be written")
    if request.host_header is not None:
        write_text(request.host_header, host_header(), problem="cannot be written")
    return tuple(emitted)


def _to_emit(runs: tuple[LayerRun, ...], graph: Graph) -> list[LayerRun]:
    """Every layer that runs as commands; of those that do the same work on drawn operands only the first."""
    return [
        run
        for index, run in enumerate(runs)
        if run.result is not None and (run.identical_to == index or _has_own_values(run, graph))
    ]


def _has_own_values(run: LayerRun, graph: Graph) -> bool:
    return any(read.tensor in graph.constants for read in run.layer.nest.reads)


def _emitted(run: LayerRun, runs: tuple[LayerRun, ...], graph: Graph, machine: Accelerator, seed: int) -> Emitted:
    assert run.result is not None
    alike = [other.layer.name for other in runs if other.result is not None and other.identical_to == run.identical_to]
    others = [name for name in alike if name != run.layer.name]
    description = [f"{shape_text(run.layer)}: {run.result.cycles:,} cycles on the cycle-level simulator"]
    if run.mapping is not None:
        description.append(mapping_text(run.mapping))
    if others and not _has_own_values(run, graph):
        description.append(f"the same work as {', '.join(others)}")
    return emitted_layer(run.layer, run.mapping, machine, constants=graph.constants, description=description, seed=seed)


def _title(request: EmitRequest, machine: Accelerator) -> tuple[str, ...]:
    return (
        f"{request.network.model} on {machine.name}, by systolic {version('systolic')}.",
        "",
        "Every layer that the array or the accumulator computes, by the schedule that systolic chose, to the command.",
        "Layers run one after another, each on operands of its own: what the host does between them is not here.",
        "Inputs are drawn integers; weights and biases are the network's, quantised, where it has them, and drawn",
        "where a layer's comment says so. Expected outputs are integer numpy's, times the layer's output scale.",
    )
