"""The mapping-space study of a layer: sample, cost, solve, and put beside what was published."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mapper.mapspace_costs import Costs
from mapper.mapspace_sample import sample_costs, sample_mappings
from mapper.schedule import Scheduled, schedule
from model_ir.errors import InputError
from reports.mapspace import MapspaceStudy, MarkedMapping
from reports.mapspace_page import render_mapspace
from reports.mapspace_published import PUBLISHED, published_of
from simulator.accelerator_file import load_accelerator
from simulator.array_nest import ArrayNest
from simulator.cost import Cost
from simulator.mapping import Mapping
from systolic.layer_request import layer_of
from systolic.network import NetworkRequest
from systolic.recording import mapping_text, shape_text
from systolic.text_file import file_name, write_text

if TYPE_CHECKING:
    from mapper.lower import Layer
    from simulator.accelerator import Accelerator
    from simulator.tile_sums import IntArray
    from systolic.pipeline import Progress

SURVEY = "survey"
"""In place of a layer: all those of the published study."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapspaceRequest:
    """What `systolic mapspace` was asked: a layer (or SURVEY), a machine, how many samples of which seed, the page."""

    layer: NetworkRequest
    accelerator: str = "gemmini"
    samples: int = 100_000
    seed: int = 0
    time_limit_seconds: float = 10.0
    out: Path | None = None


def mapspace_job(request: MapspaceRequest, progress: Progress) -> tuple[Path, tuple[MapspaceStudy, ...]]:
    """The page that was written and the studies in it. Raises InputError for a layer without mappings (no matmul or
    convolution), a bad option or an unwritable page, InfeasibleError where no mapping is legal."""
    machine = load_accelerator(request.accelerator)
    wanted = (
        [replace(request.layer, model=published.layer) for published in PUBLISHED]
        if request.layer.model == SURVEY
        else [request.layer]
    )
    layers = [layer_of(one, machine) for one in wanted]
    studies = tuple(study_of(layer, machine, request, progress) for layer in layers)
    page = (
        request.out
        or Path("runs") / f"mapspace-{file_name(request.layer.model, otherwise='layer')}-{machine.name}.html"
    )
    write_text(page, render_mapspace(studies))
    return page, studies


def study_of(layer: Layer, machine: Accelerator, request: MapspaceRequest, progress: Progress) -> MapspaceStudy:
    """One layer's study; `seconds` are those of sampling and costing alone."""
    nest = layer.work
    if not isinstance(nest, ArrayNest):
        raise InputError(layer.name, "is no matmul or convolution: it has no mappings", value=layer.kind)
    started = time.perf_counter()
    stage = f"sample {layer.name}"
    sample = sample_mappings(
        nest,
        machine,
        request.samples,
        seed=request.seed,
        progress=lambda done, total: progress(stage, done, total),
    )
    costs = sample_costs(nest, sample, machine)
    seconds = time.perf_counter() - started
    least = int(np.argmin(costs.cycles * costs.energy_pj))
    shape = shape_text(layer)
    optimum, fastest, heuristic = _solved(nest, machine, request.time_limit_seconds)
    return MapspaceStudy(
        layer=layer.name,
        shape=shape,
        accelerator=machine.name,
        clock_hz=machine.clock_hz,
        seed=request.seed,
        cycles=costs.cycles,
        energy_pj=costs.energy_pj,
        dividing=sample.dividing(nest),
        starved_cycles=starved_cycles(costs, machine, request.seed),
        distinct=sample.distinct,
        space=sample.space,
        seconds=seconds,
        best=MarkedMapping(
            name="best sample",
            mapping=mapping_text(sample.mapping(least)),
            cycles=float(costs.cycles[least]),
            energy_pj=float(costs.energy_pj[least]),
            dram_bytes=int(costs.dram_bytes[least]),
        ),
        optimum=optimum,
        fastest=fastest,
        heuristic=heuristic,
        published=published_of(shape),
    )


def starved_cycles(costs: Costs, machine: Accelerator, seed: int) -> IntArray:
    """Cycles (n,) were the array filled by chance: rows and columns in use drawn from the divisors of its sides, every
    one as likely, and the array's work longer by as much. A bound from below: feeding it is not made slower."""
    generator = np.random.default_rng((seed, 1))
    slower = np.ones(len(costs.cycles), np.int64)
    for side in (machine.array.rows, machine.array.columns):
        used = np.array([size for size in range(1, side + 1) if side % size == 0], np.int64)
        slower *= side // generator.choice(used, len(slower))
    cycles: IntArray = np.maximum(costs.cycles, costs.compute_cycles * slower)
    return cycles


def _solved(
    nest: ArrayNest, machine: Accelerator, limit: float
) -> tuple[MarkedMapping, MarkedMapping, MarkedMapping | None]:
    """The integer programs' mappings for the energy-delay product and for latency, and Gemmini's heuristic (None where
    that finds no tile)."""
    optimum = schedule(nest, machine, objective="energy_delay_product", time_limit_seconds=limit)
    fastest = schedule(nest, machine, objective="latency", time_limit_seconds=limit)
    heuristic = None
    if optimum.heuristic_mapping is not None and optimum.heuristic_cost is not None:
        heuristic = _mark("Gemmini's heuristic", optimum.heuristic_mapping, optimum.heuristic_cost)
    return _solution("integer program, EDP", optimum), _solution("integer program, latency", fastest), heuristic


def _solution(name: str, found: Scheduled) -> MarkedMapping:
    evidence = f"{found.solve.solver}: {found.solve.status}, gap {found.solve.gap:.1%}"
    return _mark(name, found.mapping, found.cost, evidence)


def _mark(name: str, mapping: Mapping, cost: Cost, evidence: str = "") -> MarkedMapping:
    return MarkedMapping(
        name=name,
        mapping=mapping_text(mapping),
        cycles=cost.cycles,
        energy_pj=cost.energy_pj,
        dram_bytes=cost.dram_bytes,
        evidence=evidence,
    )
