"""What a nest without multiply-accumulates costs and where it runs: vector unit, store path, host, nowhere (a view).

The accelerator's description decides. Sources: [R] ucb-bar/gemmini at 8c3f992, the Scala file named; gemmini.h is the C
library's (gemmini-rocc-tests at 180c468). None of these timings is checked against RTL.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

from model_ir.errors import InputError
from model_ir.loop_nest import Access, LoopNest
from simulator.accelerator import Accelerator, VectorUnit
from simulator.cost import Cost
from simulator.energy import energy_pj
from simulator.mapping import ceil_div

Place = Literal["unit", "store path", "host", "view"]

MAX_POOL_FIELD = 3
"""[R] GemminiISA.scala, config_st: window, stride and each padding of a pooling store have two bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Transfer:
    """Bytes over the memory port in one direction, in how many beats, port cycles of a store, and requests."""

    bytes: int
    beats: int
    store_cycles: int
    requests: int


def vector_cost(nest: LoopNest, accelerator: Accelerator) -> tuple[Place, Cost]:
    """Where `nest` runs on `accelerator` and its Cost there; `Cost.compute_cycles` are the busy cycles of that place.

    Raises InputError for a "mac" nest: those need a mapping.
    """
    place = vector_place(nest, accelerator)
    if place == "view":
        return place, Cost(
            cycles=0.0,
            compute_cycles=0.0,
            read_cycles=0.0,
            write_cycles=0.0,
            macs=0,
            dram_read_bytes=0,
            dram_write_bytes=0,
            scratchpad_read_bytes=0,
            scratchpad_write_bytes=0,
            accumulator_read_bytes=0,
            accumulator_write_bytes=0,
            energy_pj=0.0,
        )
    if place == "unit" and accelerator.vector_unit is not None:
        return place, _unit_cost(nest, accelerator, accelerator.vector_unit)
    if place == "store path":
        return place, _store_path_cost(nest, accelerator)
    return place, _host_cost(nest, accelerator)


def vector_place(nest: LoopNest, accelerator: Accelerator) -> Place:
    """Where `nest` runs: the first of view, vector unit, store path and host that can do it.

    Accumulator rows are what unit and store path work on, so integers wider than an accumulator stay on the host.
    Raises InputError for a "mac" nest.
    """
    if nest.kind == "mac":
        raise InputError(nest.name, "multiplies and accumulates: the array's work, which needs a mapping")
    if nest.kind == "move" and nest.function == "view":
        return "view"
    if not all(_fits_accumulator(access, accelerator) for access in (*nest.reads, nest.write)):
        return "host"
    if accelerator.vector_unit is not None and nest.function in accelerator.vector_unit.passes:
        return "unit"
    return "store path" if _runs_on_store_path(nest, accelerator) else "host"


def is_fused(function: str, accelerator: Accelerator) -> bool:
    """Whether `function` costs nothing where it directly follows a "mac" nest: the accumulator's way out applies it
    ([R] AccumulatorScale.scala, a pipelined stage of every store)."""
    return function in accelerator.fused_activations


def _fits_accumulator(access: Access, accelerator: Accelerator) -> bool:
    return access.precision.is_float or access.precision.bits <= accelerator.array.accumulator_bits


def _runs_on_store_path(nest: LoopNest, accelerator: Accelerator) -> bool:
    if nest.kind == "elementwise" and is_fused(nest.function, accelerator):
        return True
    if nest.function not in accelerator.store_path_functions:
        return False
    if nest.function == "max_pool":
        return _pools_in_writer(nest)
    return all(_loads_whole_rows(access, nest.write) for access in nest.reads)


def _loads_whole_rows(access: Access, write: Access) -> bool:
    """Whether the contiguous axis of `access` runs along that of `write`, as a row of the DMA does (an operand shared
    by many rows is one row read again, [R] LoadController.scala, stride 0; outer axes may change places)."""
    if not access.indices or not write.indices:
        return False
    last, out = access.indices[-1], write.indices[-1]
    return last.terms == out.terms and all(step == 1 for _, step in last.terms) and len(last.terms) <= 1


def _pools_in_writer(nest: LoopNest) -> bool:
    """Whether the pooling writer has this window: 2-d, square, and every size within its two-bit field."""
    sizes = dict(nest.dims)
    outputs = {loop for index in nest.write.indices for loop, _ in index.terms}
    windows = set()
    for index in nest.reads[0].indices:
        taps = [(loop, step) for loop, step in index.terms if loop not in outputs]
        if not taps:
            continue
        (tap, dilation), *more = taps
        strides = [step for loop, step in index.terms if loop in outputs]
        if more or len(strides) != 1 or (dilation != 1 and sizes[tap] > 1) or not 0 <= -index.offset <= MAX_POOL_FIELD:
            return False
        windows.add((tap, sizes[tap], strides[0]))
    return (
        len(windows) == 2
        and len({window[1:] for window in windows}) == 1
        and max(map(_largest, windows)) <= MAX_POOL_FIELD
    )


def _largest(window: tuple[str, int, int]) -> int:
    _, size, stride = window
    return max(size, stride)


def _unit_cost(nest: LoopNest, accelerator: Accelerator, unit: VectorUnit) -> Cost:
    """Loads, `passes` times over all elements at `lanes` a cycle, stores, all overlapped but for the first load and the
    pipelines' fill.

    cycles = max(passes x ceil(elements / lanes), read, write) + memory latency + unit latency. Passes over rows that
    rest in the accumulator: gemmini.h, sp_tiled_norm ([R] Normalizer.scala: lanes and latency). The iterative divider
    and root at the end of a row are not counted, nor the commands (three a row): real rows are slower.
    """
    passes = unit.passes[nest.function]
    width = accelerator.accumulator_bytes
    return _overlapped(
        nest,
        accelerator,
        compute_cycles=passes * ceil_div(nest.points, unit.lanes),
        fill_cycles=unit.latency_cycles,
        accumulator_read_bytes=passes * nest.points * width,
        accumulator_write_bytes=_read_elements(nest) * width,
    )


def _store_path_cost(nest: LoopNest, accelerator: Accelerator) -> Cost:
    """Loads into the accumulator (the scratchpad for a move), then stores of one DIM-wide row a cycle, all overlapped
    but for the first load and the way out.

    Residual add: the second operand's mvin accumulates (gemmini.h, sp_tiled_resadd). Max-pool: one accumulator row
    read per window element ([R] StoreController.scala, comparators in the writer). An activation or a move: one row
    read per row stored.
    """
    out, accumulator = accelerator.accumulator, accelerator.accumulator_bytes
    channels = nest.write.shape[-1] if nest.function == "max_pool" and nest.write.shape else nest.points
    rows = nest.points // max(1, channels) * ceil_div(channels, accelerator.dim)
    moved = nest.kind == "move"
    loaded = _read_elements(nest)
    return _overlapped(
        nest,
        accelerator,
        compute_cycles=rows,
        fill_cycles=0 if moved else out.read_latency_cycles + out.scale_latency_cycles,
        accumulator_read_bytes=0 if moved else max(nest.points, loaded) * accumulator,
        accumulator_write_bytes=0 if moved else loaded * accumulator,
        scratchpad_bytes=nest.write.touched_bytes if moved else 0,
    )


def _host_cost(nest: LoopNest, accelerator: Accelerator) -> Cost:
    """cycles = points x the host's cycles per element for the function; a function without a figure of its own costs
    the default for every operation of every point, and at least once a point.

    The figures' derivation from Kim et al. (arXiv 2302.14017, section 3) stands in the accelerator's file. The host
    does not use the accelerator's memory port; its traffic counts as DRAM bytes, every tensor once. The energy of its
    arithmetic is not counted.
    """
    host = accelerator.host
    default = host.default_cycles_per_element * max(1.0, nest.flops_per_point)
    cycles = nest.points * host.cycles_per_element.get(nest.function, default)
    read, write = sum(access.touched_bytes for access in nest.reads), nest.write.touched_bytes
    return Cost(
        cycles=cycles,
        compute_cycles=cycles,
        read_cycles=0.0,
        write_cycles=0.0,
        macs=0,
        dram_read_bytes=read,
        dram_write_bytes=write,
        scratchpad_read_bytes=0,
        scratchpad_write_bytes=0,
        accumulator_read_bytes=0,
        accumulator_write_bytes=0,
        energy_pj=energy_pj(accelerator, macs=0, scratchpad_bytes=0, accumulator_bytes=0, dram_bytes=read + write),
    )


def _overlapped(
    nest: LoopNest,
    accelerator: Accelerator,
    *,
    compute_cycles: int,
    fill_cycles: int,
    accumulator_read_bytes: int,
    accumulator_write_bytes: int,
    scratchpad_bytes: int = 0,
) -> Cost:
    """Double-buffered work: max of compute, read and write, after the memory's latency and the pipelines' fill.

    Port rates as in `simulator.analytical`: a beat each `cycles_per_beat`, shared with one acknowledgement per store
    request, and no faster than the requests in flight allow.
    """
    loads = [_transfer(access, nest, accelerator) for access in nest.reads]
    store = _transfer(nest.write, nest, accelerator)
    memory = accelerator.memory
    by_bandwidth = (sum(load.beats for load in loads) + store.requests) * memory.cycles_per_beat
    requests = sum(load.requests for load in loads)
    read_cycles = max(by_bandwidth, ceil_div(requests * memory.latency_cycles, accelerator.dma.requests_in_flight))
    read_bytes = sum(load.bytes for load in loads)
    return Cost(
        cycles=float(max(compute_cycles, read_cycles, store.store_cycles) + memory.latency_cycles + fill_cycles),
        compute_cycles=float(compute_cycles),
        read_cycles=float(read_cycles),
        write_cycles=float(store.store_cycles),
        macs=0,
        dram_read_bytes=read_bytes,
        dram_write_bytes=store.bytes,
        scratchpad_read_bytes=scratchpad_bytes,
        scratchpad_write_bytes=scratchpad_bytes,
        accumulator_read_bytes=accumulator_read_bytes,
        accumulator_write_bytes=accumulator_write_bytes,
        energy_pj=energy_pj(
            accelerator,
            macs=0,
            scratchpad_bytes=2 * scratchpad_bytes,
            accumulator_bytes=accumulator_read_bytes + accumulator_write_bytes,
            dram_bytes=read_bytes + store.bytes,
        ),
    )


def _transfer(access: Access, nest: LoopNest, accelerator: Accelerator) -> _Transfer:
    """`access` in rows: the contiguous axis for a move (the narrower of source and target), the whole tensor for the
    rest; a store request of k beats takes 2k - 1 cycles (`simulator.tile_sums.row_write_cycles`)."""
    total = access.touched_bytes
    if nest.kind == "move" and access.shape:
        widths = [other.shape[-1] for other in (*nest.reads, nest.write) if other.shape]
        row = max(1, min(total, ceil_div(min(widths) * access.precision.bits, 8)))
    else:
        row = max(1, total)
    bus, request = accelerator.dma.bus_bytes, accelerator.dma.request_bytes
    rows = ceil_div(total, row)
    full, rest = divmod(row, request)
    return _Transfer(
        bytes=total,
        beats=rows * ceil_div(row, bus),
        store_cycles=rows * (full * (2 * (request // bus) - 1) + (2 * ceil_div(rest, bus) - 1 if rest else 0)),
        requests=rows * ceil_div(row, request),
    )


def _read_elements(nest: LoopNest) -> int:
    return sum(
        prod(access.shape) if access.touched_elements is None else access.touched_elements for access in nest.reads
    )
