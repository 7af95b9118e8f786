"""`systolic map --hierarchy`: the matmuls and convolutions of a network, or one layer, onto any memory hierarchy."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from mapper.hierarchy.integer_program import solve_on_hierarchy
from mapper.solve import Objective, Solve, SolverName
from model_ir.errors import InputError
from model_ir.passes.pipeline import run_passes
from simulator.hierarchy.cost import HierarchyCost
from simulator.hierarchy.dataflow import dataflow
from simulator.hierarchy.description import Hierarchy
from simulator.hierarchy.file import load_hierarchy
from simulator.hierarchy.mapping import HierarchyMapping
from simulator.hierarchy.nest import TensorNest, tensor_nest
from systolic.layer_request import graph_of_sizes, is_sizes
from systolic.network import NetworkRequest, load_network

if TYPE_CHECKING:
    from model_ir.graph import Graph
    from systolic.pipeline import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class HierarchyRequest:
    """What was asked: a network (or a layer given by its sizes), one layer of it, a hierarchy, a dataflow, what to
    minimise and by whom, the gap from the bound that is good enough, seconds a layer, and how many processes."""

    network: NetworkRequest
    hierarchy: str
    layer: str | None = None
    dataflow: str = "free"
    objective: Objective = "latency"
    solver: SolverName = "highs"
    gap: float = 0.05
    time_limit_seconds: float = 10.0
    workers: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedLayer:
    """One layer's nest and its mapping. `identical_to` is the index of the first layer with the same nest."""

    name: str
    nest: TensorNest
    mapping: HierarchyMapping
    cost: HierarchyCost
    solve: Solve
    identical_to: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HierarchyRun:
    """What a request came to; `left_out` are operators that no hierarchy maps, with the reason."""

    hierarchy: Hierarchy
    dataflow: str
    objective: Objective
    layers: tuple[MappedLayer, ...]
    left_out: tuple[str, ...]


def map_onto_hierarchy(request: HierarchyRequest, progress: Progress) -> HierarchyRun:
    """Map every multiply-accumulate nest, equal ones once.

    Raises InputError for a bad request, a nest that has no place on a hierarchy (unless unsupported operators are to be
    skipped), and where no mapping of a layer was found.
    """
    hierarchy = load_hierarchy(request.hierarchy)
    dataflow(request.dataflow)
    nests, left_out = _nests(_graph(request.network), request)
    distinct = {_content(nest): nest for nest in nests}
    answers = dict(_searched(distinct, hierarchy, request, progress))
    first: dict[TensorNest, int] = {}
    layers = []
    for index, nest in enumerate(nests):
        mapping, cost, solve = answers[_content(nest)]
        layers.append(
            MappedLayer(
                name=nest.name,
                nest=nest,
                mapping=mapping,
                cost=cost,
                solve=solve,
                identical_to=first.setdefault(_content(nest), index),
            )
        )
    return HierarchyRun(
        hierarchy=hierarchy,
        dataflow=request.dataflow,
        objective=request.objective,
        layers=tuple(layers),
        left_out=left_out,
    )


def _graph(request: NetworkRequest) -> Graph:
    return graph_of_sizes(request.model) if is_sizes(request.model) else run_passes(load_network(request))


def _nests(graph: Graph, request: HierarchyRequest) -> tuple[list[TensorNest], tuple[str, ...]]:
    nests, left_out = [], []
    for op in graph.ops:
        nest = graph.nest_of(op)
        if nest.kind != "mac":
            continue
        try:
            nests.append(tensor_nest(nest))
        except InputError as error:
            if not request.network.skip_unsupported:
                raise
            left_out.append(str(error))
    if request.layer is not None:
        nests = [nest for nest in nests if nest.name == request.layer]
        if not nests:
            raise InputError("--layer", "no matmul or convolution of that name", value=request.layer)
    if not nests:
        raise InputError(graph.origin or graph.name, "has no matmul and no convolution to map")
    return nests, tuple(left_out)


def _content(nest: TensorNest) -> TensorNest:
    return replace(nest, name="")


Answer = tuple[HierarchyMapping, HierarchyCost, Solve]


def _searched(
    distinct: dict[TensorNest, TensorNest], hierarchy: Hierarchy, request: HierarchyRequest, progress: Progress
) -> Iterator[tuple[TensorNest, Answer]]:
    """The answer of every distinct nest, in processes of their own where there are several."""
    workers = min(len(distinct), request.workers or os.cpu_count() or 1)
    if workers == 1:
        for done, (key, nest) in enumerate(distinct.items(), 1):
            yield key, _answer(nest, hierarchy, request)
            progress("map", done, len(distinct))
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        jobs = {pool.submit(_answer, nest, hierarchy, request): key for key, nest in distinct.items()}
        for done, job in enumerate(as_completed(jobs), 1):
            yield jobs[job], job.result()
            progress("map", done, len(distinct))
    finally:
        pool.shutdown(cancel_futures=True)


def _answer(nest: TensorNest, hierarchy: Hierarchy, request: HierarchyRequest) -> Answer:
    return solve_on_hierarchy(
        nest,
        hierarchy,
        objective=request.objective,
        solver=request.solver,
        flow=dataflow(request.dataflow),
        gap=request.gap,
        time_limit_seconds=request.time_limit_seconds,
    )


def layer_rows(run: HierarchyRun) -> list[dict[str, Any]]:
    """One flat row a layer: cycles, utilisation, energy by level, DRAM bytes, the solver's evidence."""
    return [_row(layer, run.layers) for layer in run.layers]


def _row(layer: MappedLayer, layers: Sequence[MappedLayer]) -> dict[str, Any]:
    cost, solve = layer.cost, layer.solve
    return {
        "name": layer.name,
        "identical_to": layers[layer.identical_to].name,
        "dims": dict(layer.nest.dims),
        "macs": cost.macs,
        "cycles": cost.cycles,
        "compute_cycles": cost.compute_cycles,
        "utilisation": cost.utilisation,
        "dram_read_bytes": cost.dram_read_bytes,
        "dram_write_bytes": cost.dram_write_bytes,
        "energy_pj": cost.energy_pj,
        "mac_energy_pj": cost.mac_energy_pj,
        "energy_pj_by_level": {level.name: level.energy_pj for level in cost.levels},
        "cycles_by_level": {level.name: level.cycles for level in cost.levels},
        "minimised": solve.minimised,
        "solver": solve.solver,
        "solver_status": solve.status,
        "solver_objective": solve.objective,
        "solver_bound": solve.bound,
        "solver_gap": solve.gap,
        "solver_wall_seconds": solve.wall_seconds,
    }
