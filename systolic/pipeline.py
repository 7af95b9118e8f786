"""The way of the data, as code: a network and a machine in, simulated layers out. Nothing here touches the disk.

Graph -> prepare -> layers_of -> schedule -> simulate_layers -> (recording) RunRecord
"""

from __future__ import annotations

import os
from collections.abc import Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from mapper.lower import Layer, ResidualAdd, lower
from mapper.rerank import Simulated, fastest
from mapper.schedule import Progress as ScheduleProgress
from mapper.schedule import Scheduled, schedule_layers
from mapper.solve import Objective, SolverName
from mapper.value_check import ValueCheck, check_values
from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.passes.pipeline import run_passes
from model_ir.passes.precision import assign_precision
from model_ir.precision import Precision
from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.cost import Cost, Result
from simulator.energy import energy_pj
from simulator.mapping import Mapping
from simulator.roofline import roofline
from simulator.vector_cost import vector_cost
from systolic.limits import MAX_SIMULATED_CYCLES

Progress = Callable[[str, int, int], None]
"""Called with a stage, how many of its steps are done, and how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRun:
    """One layer on the machine: where it ran, what it cost, and the evidence, where there is any.

    `scheduled` is the integer program's answer (matmuls and convolutions), `mapping` the one that ran: that answer, or
    another near-optimal mapping or the machine's own heuristic where that simulates faster. `result` is the cycle
    engine's (whatever runs as commands); a layer without a result is costed by the formula of `simulator.vector_cost`.
    `tried` is every mapping that was simulated for it. `identical_to` is the index of the first layer with the same
    work.
    """

    layer: Layer
    identical_to: int
    where: str
    cost: Cost
    roofline: Cost
    scheduled: Scheduled | None = None
    mapping: Mapping | None = None
    result: Result | None = None
    tried: Simulated | None = None


def prepare(graph: Graph, accelerator: Accelerator) -> Graph:
    """`graph` with decomposed operators recognised, batch-norms folded, and floats in the precision of the array."""
    return assign_precision(run_passes(graph), Precision(bits=accelerator.array.input_bits))


def layers_of(
    graph: Graph, accelerator: Accelerator, *, skip_unsupported: bool = False, only: str | None = None
) -> tuple[Layer, ...]:
    """The layers of `graph` on `accelerator`; with `only`, just the one of that name (InputError if none)."""
    layers = lower(prepare(graph, accelerator), accelerator, skip_unsupported=skip_unsupported)
    if not layers:
        raise InputError(graph.origin or graph.name, "has no operator to run")
    if only is None:
        return layers
    chosen = tuple(layer for layer in layers if layer.name == only)
    if not chosen:
        raise no_such_layer("--layer", only, layers)
    return chosen


def no_such_layer(option: str, name: str, layers: tuple[Layer, ...]) -> InputError:
    """The error for a layer `name` that is not there, with the names nearest to it."""
    names = [layer.name for layer in layers]
    near = get_close_matches(name, names, n=3, cutoff=0.4) or names[:3]
    return InputError(option, f"no such layer among {len(names)}; near it: {', '.join(near)}", value=name)


def schedule(
    layers: tuple[Layer, ...],
    accelerator: Accelerator,
    *,
    objective: Objective = "latency",
    solver: SolverName = "cp-sat",
    workers: int | None = None,
    time_limit_seconds: float = 10.0,
    cache: MutableMapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> tuple[Scheduled | None, ...]:
    """The integer program's mapping of every matmul and convolution, None for the other layers."""
    nests = [layer.work for layer in layers if isinstance(layer.work, ArrayNest)]
    scheduled = iter(
        schedule_layers(
            nests,
            accelerator,
            objective=objective,
            solver=solver,
            workers=workers or os.cpu_count() or 1,
            time_limit_seconds=time_limit_seconds,
            cache=cache,
            progress=_schedule_progress(progress),
        )
    )
    return tuple(next(scheduled) if isinstance(layer.work, ArrayNest) else None for layer in layers)


def _schedule_progress(progress: Progress | None) -> ScheduleProgress | None:
    if progress is None:
        return None
    return lambda done, total, _scheduled: progress("schedule", done, total)


def simulate_layers(
    layers: tuple[Layer, ...],
    schedules: tuple[Scheduled | None, ...],
    accelerator: Accelerator,
    *,
    workers: int | None = None,
    max_cycles: float = MAX_SIMULATED_CYCLES,
    progress: Progress | None = None,
) -> tuple[LayerRun, ...]:
    """Run every layer's commands on the cycle engine (identical ones once), and cost the rest by formula.

    Raises InputError, before anything is simulated, where the cost models already promise more than `max_cycles`.
    """
    first: dict[Any, int] = {}
    identical = [
        first.setdefault(work_key(layer, plan), index)
        for index, (layer, plan) in enumerate(zip(layers, schedules, strict=True))
    ]
    to_simulate = [index for index in first.values() if layers[index].work is not None]
    least = sum(_least_cycles(layers[index], schedules[index], accelerator) for index in to_simulate)
    if least > max_cycles:
        raise InputError("--max-cycles", "too many cycles to simulate", value=f"{least:.3g}", limit=f"{max_cycles:.3g}")
    done_runs: dict[int, Simulated] = {}
    pool = ThreadPoolExecutor(workers or os.cpu_count() or 1)
    try:
        jobs = {pool.submit(fastest, layers[index], schedules[index], accelerator): index for index in to_simulate}
        for done, job in enumerate(as_completed(jobs), 1):
            done_runs[jobs[job]] = job.result()
            if progress is not None:
                progress("simulate", done, len(jobs))
    finally:
        # On an error or an interruption, what has not begun is dropped.
        pool.shutdown(wait=True, cancel_futures=True)
    return tuple(
        _layer_run(layer, plan, done_runs.get(original), original, accelerator)
        for layer, plan, original in zip(layers, schedules, identical, strict=True)
    )


def _least_cycles(layer: Layer, plan: Scheduled | None, accelerator: Accelerator) -> float:
    return roofline(layer.nest, accelerator).cycles if plan is None else plan.cost.cycles


def work_key(layer: Layer, plan: Scheduled | None) -> Any:
    """What makes two layers the same work for the machine."""
    if layer.work is None:
        nest = layer.nest
        return nest.kind, nest.function, nest.dims, tuple((a.shape, a.precision) for a in (*nest.reads, nest.write))
    return layer.work, layer.activation, None if plan is None else plan.mapping


def _layer_run(
    layer: Layer, plan: Scheduled | None, simulated: Simulated | None, identical_to: int, accelerator: Accelerator
) -> LayerRun:
    where: str
    if simulated is None:
        where, cost = vector_cost(layer.nest, accelerator)
    else:
        where = "store path" if isinstance(layer.work, ResidualAdd) else "array"
        cost = cost_of_result(simulated.result, layer.nest.macs, accelerator)
    return LayerRun(
        layer=layer,
        identical_to=identical_to,
        where=where,
        cost=cost,
        roofline=roofline(layer.nest, accelerator),
        scheduled=plan,
        mapping=simulated.mapping if simulated else None,
        result=simulated.result if simulated else None,
        tried=simulated,
    )


def cost_of_result(result: Result, macs: int, accelerator: Accelerator) -> Cost:
    """The engine's counts as a Cost; `macs` are those of the loop nest (the array also multiplies its padding)."""
    scratchpad_bytes = result.scratchpad_read_bytes + result.scratchpad_write_bytes
    accumulator_bytes = result.accumulator_read_bytes + result.accumulator_write_bytes
    dram_bytes = result.read_bytes + result.write_bytes
    return Cost(
        cycles=float(result.cycles),
        compute_cycles=float(result.execute_busy_cycles),
        read_cycles=float(result.load_busy_cycles),
        write_cycles=float(result.store_busy_cycles),
        macs=macs,
        dram_read_bytes=result.read_bytes,
        dram_write_bytes=result.write_bytes,
        scratchpad_read_bytes=result.scratchpad_read_bytes,
        scratchpad_write_bytes=result.scratchpad_write_bytes,
        accumulator_read_bytes=result.accumulator_read_bytes,
        accumulator_write_bytes=result.accumulator_write_bytes,
        energy_pj=energy_pj(
            accelerator,
            macs=macs,
            scratchpad_bytes=scratchpad_bytes,
            accumulator_bytes=accumulator_bytes,
            dram_bytes=dram_bytes,
        ),
    )


def check_layer_values(
    runs: tuple[LayerRun, ...], accelerator: Accelerator, *, progress: Progress | None = None
) -> tuple[ValueCheck, ...]:
    """Run the commands of every distinct matmul and convolution on random integers and compare with numpy."""
    checkable = [run for index, run in enumerate(runs) if run.scheduled is not None and run.identical_to == index]
    checks = []
    for done, run in enumerate(checkable, 1):
        if run.mapping is not None:
            checks.append(check_values(run.layer, run.mapping, accelerator))
        if progress is not None:
            progress("values", done, len(checkable))
    return tuple(checks)
