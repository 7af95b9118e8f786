"""What `systolic memory-wall` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model_ir.errors import InputError
from simulator.memory_wall.trends import hardware_trends, model_trend
from simulator.memory_wall.wall import Wall, memory_wall
from simulator.rooflines.machine_file import load_machine, machine_names
from simulator.rooflines.network import usable_format
from systolic.network import NetworkRequest
from systolic.roofline_job import RooflineRequest, roofline_job
from systolic.text_file import write_text

DEFAULT_NETWORKS = (
    NetworkRequest(model="bert-base", seq=512),
    NetworkRequest(model="gpt2", seq=1024),
    NetworkRequest(model="gpt2", phase="decode", context=1023),
    NetworkRequest(model="gpt2", phase="decode", context=511, batch=32),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryWallRequest:
    """What `systolic memory-wall` was asked; no networks: DEFAULT_NETWORKS, no machines: all that ship with a year, are
    no paper's model and compute in the format asked for."""

    networks: Sequence[NetworkRequest] = ()
    machines: Sequence[str] | None = None
    precision: str = "fp16"
    weights: str | None = None
    cache: str | None = None
    points: Path | None = None


def memory_wall_job(request: MemoryWallRequest) -> Wall:
    """Raises InputError as `roofline_job`, `hardware_trends` and `memory_wall` do."""
    rooflines = roofline_job(
        RooflineRequest(
            networks=request.networks or DEFAULT_NETWORKS,
            machines=request.machines or default_machines(request.precision),
            precision=request.precision,
            weights=request.weights,
            cache=request.cache,
        )
    )
    return memory_wall(rooflines, hardware_trends(request.points), model_trend())


def default_machines(precision: str) -> tuple[str, ...]:
    """Machines that ship, were sold and compute in `precision`; InputError where there are none."""
    found = []
    for name in machine_names():
        machine = load_machine(name)
        try:
            usable_format(machine, precision)
        except InputError:
            continue
        if machine.year is not None and not machine.is_model:
            found.append(name)
    if not found:
        raise InputError("precision", "no machine that ships computes in this format", value=precision)
    return tuple(found)


def write_page(wall: Wall, page: Path) -> None:
    """The page of the answer; InputError where it cannot be written."""
    from reports.memory_wall_page import render_memory_wall

    write_text(page, render_memory_wall(wall))
