"""From simulated layers to the tables and header of a RunRecord: naming and counting, no decision."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from math import nan
from typing import Any

from mapper.lower import Layer, ResidualAdd
from mapper.program import layer_programs
from mapper.rerank import rank_correlation
from mapper.schedule import Scheduled
from reports.breakdown import WAITING
from reports.columns import COUNTER_PREFIX
from reports.record import Machine, RankCorrelation
from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.cost import STALL_CAUSES
from simulator.counters import COUNTERS
from simulator.engine import UNITS, simulate
from simulator.isa import disassemble_command
from simulator.mapping import Mapping
from simulator.program import Program
from simulator.roofline import quantised_roofline
from simulator.tracing import TraceChunk, Watcher
from systolic.pipeline import LayerRun

WINDOW_COMMANDS = 1500
"""Commands that each window of a layer's timeline shows, about: some tiles, and a page that stays small."""

LEAST_WINDOW_CYCLES = 2000
WORD = (1 << 64) - 1

PACKAGES = ("systolic", "numpy", "numba", "ortools", "onnx", "pandas", "plotly")


def machine_facts(accelerator: Accelerator) -> Machine:
    """What the report says of the machine."""
    return Machine(
        name=accelerator.name,
        description=accelerator.description,
        dim=accelerator.dim,
        peak_macs_per_cycle=accelerator.peak_macs_per_cycle,
        clock_hz=accelerator.clock_hz,
        memory_bytes_per_cycle=accelerator.memory_bytes_per_cycle,
        memory_write_bytes_per_cycle=accelerator.dma.bus_bytes,
        scratchpad_bytes=accelerator.scratchpad.capacity_bytes,
        accumulator_bytes=accelerator.accumulator.capacity_bytes,
    )


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages whose behaviour the numbers depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def counter_meanings() -> dict[str, str]:
    """What each of Gemmini's counters in the table counts."""
    return {
        counter.name: f"{counter.meaning} ({'CounterExternal' if counter.external else 'CounterEvent'}"
        f" {counter.number}, {counter.source})"
        for counter in COUNTERS
    }


def layer_rows(runs: Sequence[LayerRun], accelerator: Accelerator) -> list[dict[str, Any]]:
    """One row a layer, with the columns of `reports.columns.LAYER_COLUMNS`."""
    return [_layer_row(index, run, accelerator) for index, run in enumerate(runs)]


def _layer_row(index: int, run: LayerRun, accelerator: Accelerator) -> dict[str, Any]:
    cost, layer = run.cost, run.layer
    dram_bytes = cost.dram_bytes
    return {
        "index": index,
        "name": layer.name,
        "kind": layer.kind,
        "where": run.where,
        "costed_by": "simulated" if run.result is not None else "none" if run.where == "view" else "formula",
        "identical_to": run.identical_to,
        "macs": cost.macs,
        "cycles": cost.cycles,
        "roofline_cycles": run.roofline.cycles,
        "compute_cycles": cost.compute_cycles,
        "read_cycles": cost.read_cycles,
        "write_cycles": cost.write_cycles,
        "dram_read_bytes": cost.dram_read_bytes,
        "dram_write_bytes": cost.dram_write_bytes,
        "scratchpad_read_bytes": cost.scratchpad_read_bytes,
        "scratchpad_write_bytes": cost.scratchpad_write_bytes,
        "accumulator_read_bytes": cost.accumulator_read_bytes,
        "accumulator_write_bytes": cost.accumulator_write_bytes,
        "energy_pj": cost.energy_pj,
        "utilisation": cost.macs / (cost.cycles * accelerator.peak_macs_per_cycle) if cost.cycles else nan,
        "arithmetic_intensity": layer.nest.flops / dram_bytes if dram_bytes else nan,
        "shape": shape_text(layer),
        **_engine_columns(run),
        **_solver_columns(run, accelerator),
    }


def _engine_columns(run: LayerRun) -> dict[str, Any]:
    if run.result is None:
        return {}
    return {
        "execute_busy_cycles": run.result.execute_busy_cycles,
        "load_busy_cycles": run.result.load_busy_cycles,
        "store_busy_cycles": run.result.store_busy_cycles,
        **{f"stall_{cause}_cycles": cycles for cause, cycles in run.result.stall_cycles.items()},
        **{f"{COUNTER_PREFIX}{name}": count for name, count in run.result.counters.items()},
    }


def _solver_columns(run: LayerRun, accelerator: Accelerator) -> dict[str, Any]:
    if run.scheduled is None:
        return {"mapping": "", "solver": "", "solver_status": ""}
    plan, solve = run.scheduled, run.scheduled.solve
    return {
        "analytical_cycles": plan.cost.cycles,
        "heuristic_cycles": plan.heuristic_cost.cycles if plan.heuristic_cost else nan,
        **_trial_columns(run, accelerator),
        "mapping": mapping_text(run.mapping or plan.mapping),
        "solver": f"{solve.solver}{_chosen_instead(run, plan)}",
        "solver_status": solve.status,
        "solver_objective_cycles": solve.objective,
        "solver_bound_cycles": solve.bound,
        "solver_gap": solve.gap,
        "solver_wall_seconds": solve.wall_seconds,
    }


def _trial_columns(run: LayerRun, accelerator: Accelerator) -> dict[str, Any]:
    if run.tried is None or not isinstance(run.layer.work, ArrayNest):
        return {}
    heuristic = run.tried.heuristic_cycles
    return {
        "heuristic_simulated_cycles": nan if heuristic is None else heuristic,
        "array_bound_cycles": quantised_roofline(run.layer.work, accelerator).cycles,
        "mappings_tried": len(run.tried.trials),
    }


def ranks_of(runs: Sequence[LayerRun]) -> RankCorrelation | None:
    """How the analytical model ranks the mappings that were simulated for distinct layers; None where none were."""
    tried = [run.tried for index, run in enumerate(runs) if run.tried is not None and run.identical_to == index]
    ranks = rank_correlation(tried)
    if not ranks.mappings:
        return None
    return RankCorrelation(mappings=ranks.mappings, overall=ranks.overall, layers=ranks.layers, within=ranks.within)


def _chosen_instead(run: LayerRun, plan: Scheduled) -> str:
    """Which mapping ran where the solver's own was not the fastest on the cycle engine."""
    if run.mapping in (None, plan.mapping):
        return ""
    other = "heuristic tile" if run.mapping == plan.heuristic_mapping else "another near-optimal mapping"
    return f"; {other} simulated faster"


def shape_text(layer: Layer) -> str:
    """The layer's sizes as people write them: MxKxN, kernel and channels of a convolution, else the output shape."""
    work = layer.work
    if isinstance(work, ResidualAdd):
        return f"{work.rows}x{work.channels}"
    if not isinstance(work, ArrayNest):
        return "x".join(str(size) for size in layer.nest.write.shape)
    repeats = f"{work.repeat_count} x " if work.repeat_count > 1 else ""
    if work.kernel_rows == work.kernel_columns == work.out_rows == work.images == 1:
        return f"{repeats}{work.out_columns}x{work.in_channels}x{work.out_channels}"
    stride = f"/{work.row_stride}" if work.row_stride > 1 else ""
    kernel = f"{work.kernel_rows}x{work.kernel_columns}{stride}"
    return f"{repeats}{kernel} {work.in_channels}-{work.out_channels} @{work.out_rows}x{work.out_columns}"


def mapping_text(mapping: Mapping) -> str:
    """A mapping in one line: dataflow, loop order, tile, placements."""
    tile = mapping.tile
    pixels = "x".join(str(size) for size in (tile.images, tile.out_rows, tile.out_columns) if size > 1) or "1"
    kernel = f"{tile.kernel_rows}x{tile.kernel_columns}x" if tile.kernel_rows * tile.kernel_columns > 1 else ""
    order = "pixels, channels" if mapping.order == "pixels_outer" else "channels, pixels"
    return (
        f"{mapping.dataflow} [{order}] tile {pixels} px, {tile.out_channels} out, {kernel}{tile.in_channels} in; "
        f"A {mapping.a_placement}, B {mapping.b_placement}{_packed_text(mapping)}{_single_text(mapping)}"
    )


def _packed_text(mapping: Mapping) -> str:
    return f"; {mapping.max_pixels_per_row} kernel columns a row" if mapping.max_pixels_per_row > 1 else ""


def _single_text(mapping: Mapping) -> str:
    copies = {"A": mapping.a_copies, "B": mapping.b_copies, "result": mapping.c_copies}
    single = [name for name, count in copies.items() if count == 1]
    spilled = f"; sums spilled between {mapping.reduction_parts} parts" if mapping.reduction_parts > 1 else ""
    return (f"; one buffer of {', '.join(single)}" if single else "") + spilled


def timeline_layers(runs: Sequence[LayerRun], *, also: tuple[str, ...], slowest: int) -> list[int]:
    """Numbers of the slowest simulated layers, and of the layers named in `also`."""
    simulated = [index for index, run in enumerate(runs) if run.result is not None and run.identical_to == index]
    simulated.sort(key=lambda index: -runs[index].cost.cycles)
    named = [index for index, run in enumerate(runs) if run.layer.name in also and run.result is not None]
    return list(dict.fromkeys((*simulated[:slowest], *named)))


def timeline_rows(runs: Sequence[LayerRun], accelerator: Accelerator, chosen: Sequence[int]) -> list[dict[str, Any]]:
    """Commands in their units and stalls of the array in windows of the layers numbered `chosen`."""
    return [row for index in chosen for row in _timeline(index, runs[index], accelerator)]


def _timeline(index: int, run: LayerRun, accelerator: Accelerator) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for window, first, end in _windows(run):

        def take(chunk: TraceChunk, window: str = window) -> None:
            rows.extend({"layer": index, "window": window} | row for row in _shown(chunk))

        watcher = Watcher(take, first_cycle=first, end_cycle=end, stop=True)
        simulate(
            _until_done(layer_programs(run.layer, run.mapping, accelerator), watcher), accelerator, advance=watcher
        )
    return rows


def _windows(run: LayerRun) -> list[tuple[str, int, int]]:
    """(name, first cycle, end): the layer's start and its middle, or all of it where it is short."""
    if run.result is None:
        return []
    cycles, commands = run.result.cycles, max(run.result.commands, 1)
    length = max(LEAST_WINDOW_CYCLES, cycles * WINDOW_COMMANDS // commands)
    if 2 * length >= cycles:
        return [("whole layer", 0, cycles)]
    middle = (cycles - length) // 2
    return [("start", 0, length), ("middle", middle, middle + length)]


def _until_done(programs: Iterator[Program], watcher: Watcher) -> Iterator[Program]:
    for program in programs:
        yield program
        if watcher.done:
            return


def _shown(chunk: TraceChunk) -> Iterator[dict[str, Any]]:
    for span in chunk.spans:
        label = disassemble_command(span.funct, span.rs1 & WORD, span.rs2 & WORD)
        yield {"unit": UNITS[span.unit], "label": label, "start_cycle": span.start, "end_cycle": span.end}
    for stall in chunk.stalls:
        label = WAITING + STALL_CAUSES[stall.cause].replace("_", " ")
        yield {"unit": "array", "label": label, "start_cycle": stall.start, "end_cycle": stall.end}


def notes_of(runs: Sequence[LayerRun], accelerator: Accelerator) -> tuple[str, ...]:
    """What a reader must know before believing the numbers: what was assumed, skipped or costed by formula."""
    bits = accelerator.array.input_bits
    notes = [f"Every tensor is costed as int{bits} with int{accelerator.array.accumulator_bits} accumulation."]
    formula = sum(run.result is None and run.where != "view" for run in runs)
    if formula:
        notes.append(f"{formula} layer(s) do not run as commands; a formula costs them (column costed_by).")
    skipped = [run.layer.name for run in runs if run.layer.kind == "host"]
    if skipped:
        notes.append(f"Unsupported operators treated as host operations: {', '.join(skipped)}.")
    notes.extend(f"{run.layer.name}: {run.layer.note}" for run in runs if run.layer.note)
    return tuple(notes)
