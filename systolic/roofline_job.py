"""What `systolic roofline` does: networks on machines, and the page of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model_ir.graph import Graph
from model_ir.ops.normalisation import BatchNorm
from simulator.rooflines.counting import Counting
from simulator.rooflines.formats import format_bits, storage_of
from simulator.rooflines.machines import find_machine
from simulator.rooflines.network import NetworkRoofline, roofline_of, usable_format
from simulator.rooflines.operators import operators_of
from simulator.rooflines.work import Operator
from systolic.network import NetworkRequest, load_network
from systolic.text_file import write_text

DEFAULT_MACHINES = ("gemmini", "jetson-orin", "t4", "a100", "h100")


@dataclass(frozen=True, slots=True, kw_only=True)
class RooflineRequest:
    """What `systolic roofline` was asked: networks, machines, and the formats of activations (which the matrix unit
    computes in), weights and keys and values."""

    networks: Sequence[NetworkRequest]
    machines: Sequence[str] = DEFAULT_MACHINES
    precision: str = "int8"
    weights: str | None = None
    cache: str | None = None


def roofline_job(request: RooflineRequest) -> tuple[NetworkRoofline, ...]:
    """A roofline for every network on every machine, networks outermost.

    Raises InputError as `load_network`, `find_machine` and `usable_format` do."""
    format_bits(request.precision)
    storage = storage_of(request.precision, weights=request.weights, cache=request.cache)
    machines = [find_machine(name) for name in dict.fromkeys(request.machines)]
    formats = [usable_format(machine, request.precision) for machine in machines]
    found = []
    for network in request.networks:
        graph = prepared(load_network(network), network)
        counted: list[Counting] = []
        works: list[tuple[Operator, ...]] = []
        for machine, number_format in zip(machines, formats, strict=True):
            if machine.counting not in counted:
                counted.append(machine.counting)
                works.append(operators_of(graph, storage, machine.counting))
            operators = works[counted.index(machine.counting)]
            found.append(roofline_of(title_of(graph.name, network), operators, machine, number_format))
    return tuple(found)


def prepared(graph: Graph, request: NetworkRequest) -> Graph:
    """`graph` as it runs, after the passes. The catalogue builds its networks as the passes leave them but for batch
    normalisations to fold: without any, the passes' time is saved."""
    if request.is_file or any(isinstance(op, BatchNorm) for op in graph.ops):
        from model_ir.passes.pipeline import run_passes

        return run_passes(graph)
    return graph


def title_of(name: str, request: NetworkRequest) -> str:
    """The network's name and the options that were given."""
    chosen = ", ".join(f"{key} {value}" for key, value in request.options.items() if key != "skip_unsupported")
    return f"{name} ({chosen})" if chosen else name


def write_page(rooflines: Sequence[NetworkRoofline], page: Path) -> None:
    """The page of the rooflines; InputError where it cannot be written."""
    from reports.roofline_page import render_rooflines

    write_text(page, render_rooflines(rooflines))
