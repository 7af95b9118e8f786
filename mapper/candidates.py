"""Mappings worth a run on the cycle engine: near the best of the analytical model, different from each other, and
promising in what that model, a lower bound, leaves out.

The model lets everything overlap. `_expected_cycles` adds what the machine cannot overlap: the first tiles on their way
in, the last result on its way out, bias loads that wait for the memory's latency one by one, and buffers that change
hands. It is an estimate, used only to choose what the engine then decides on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mapper.mapping_plans import UNITS, Plan
from mapper.mapping_space import Space, space_of
from mapper.tile_options import unseen
from simulator.accelerator import Accelerator
from simulator.analytical import bias_block, ramps, weight_blocks
from simulator.array_nest import ArrayNest
from simulator.mapping import Mapping, ceil_div
from simulator.tile_sums import IntArray

FloatArray = npt.NDArray[np.float64]

REQUEST_CYCLES = 10
"""The DMA's own cycles of a request on top of the memory's latency (gemmini.md, closed forms: L + 10 cycles per 16
requests)."""

ISSUE_CYCLES = 12
"""From a command offered to its first row in the mesh (gemmini.md, closed forms)."""

LEFT_OUT = 1.15
"""Candidates whose analytical cycles exceed the best by more are not looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A legal mapping with the cycles one may expect of it."""

    mapping: Mapping
    expected_cycles: float


def candidates(nest: ArrayNest, accelerator: Accelerator, best_cycles: float, count: int) -> tuple[Candidate, ...]:
    """Up to `count` mappings within LEFT_OUT of `best_cycles`, least expected cycles first; no two with the same loop
    order, placements, tiles of channels and kernel, and packing."""
    found: dict[tuple[object, ...], Candidate] = {}
    for kernel in _kernels(nest):
        space = space_of(nest, accelerator, kernel, "latency", int(best_cycles * LEFT_OUT))
        for plan in space.plans:
            for candidate in _best_of_plan(space, plan, best_cycles * LEFT_OUT, count):
                mapping = candidate.mapping
                kind = (mapping.order, mapping.a_placement, mapping.b_placement, *_channels_and_kernel(mapping))
                if kind not in found or candidate.expected_cycles < found[kind].expected_cycles:
                    found[kind] = candidate
    return tuple(sorted(found.values(), key=lambda candidate: candidate.expected_cycles)[:count])


def _channels_and_kernel(mapping: Mapping) -> tuple[int, ...]:
    tile = mapping.tile
    return tile.out_channels, tile.kernel_rows, tile.kernel_columns, tile.in_channels, mapping.max_pixels_per_row


def _kernels(nest: ArrayNest) -> tuple[tuple[int, int], ...]:
    """The whole kernel, its lines, its columns (under these, pixels of several lines make one operation), single
    positions."""
    rows, columns = nest.kernel_rows, nest.kernel_columns
    return tuple(dict.fromkeys(((rows, columns), (1, columns), (rows, 1), (1, 1))))


def _best_of_plan(space: Space, plan: Plan, limit: float, count: int) -> Iterator[Candidate]:
    """Of one plan the best pixel tile of each output-channel tile."""
    if not len(space.pixels):
        return
    expected = np.where(_fits(space, plan), _expected_cycles(space, plan, limit), np.inf)
    best = expected.argmin(axis=0)
    for channel in np.argsort(expected.min(axis=0))[:count].tolist():
        pixel = int(best[channel])
        if np.isfinite(expected[pixel, channel]):
            images, out_rows, out_columns = (int(size) for size in space.pixels.sizes[pixel])
            tile = replace(
                plan.mapping.tile,
                images=images,
                out_rows=out_rows,
                out_columns=out_columns,
                out_channels=int(space.channels.sizes[channel][0]),
            )
            yield Candidate(mapping=replace(plan.mapping, tile=tile), expected_cycles=float(expected[pixel, channel]))


def _fits(space: Space, plan: Plan) -> npt.NDArray[np.bool_]:
    """Which (pixel, output-channel) tiles are legal under `plan`."""
    pixels, channels, accelerator = space.pixels.columns, space.channels.columns, space.accelerator
    scratchpad = (
        plan.fixed_rows
        + plan.a_rows * pixels[f"a_rows_{plan.a_window}"][:, None]
        + plan.b_rows * channels["b_rows"][None, :]
    )
    accumulator = plan.c_copies * pixels["c_rows"][:, None] * channels["blocks"][None, :]
    fits: npt.NDArray[np.bool_] = (
        (scratchpad <= accelerator.scratchpad_rows)
        & (accumulator <= accelerator.accumulator_rows)
        & ((pixels["tiles"] > 1) == plan.pixels_cut)[:, None]
        & ((channels["tiles"] > 1) == plan.channels_cut)[None, :]
    )
    if plan.mapping.a_placement == "whole":
        fits &= (pixels["ragged"] == 0)[:, None]
    packed = plan.mapping.max_pixels_per_row
    if packed > 1:
        seen = pixels[unseen(plan.a_window, packed)] == 0
        if plan.mapping.a_placement == "whole":
            seen &= pixels["cuts_lines"] == 0
        else:
            seen &= pixels[f"a_rows_{plan.a_window}"] <= plan.a_limit
        fits &= seen[:, None]
    return fits


def _expected_cycles(space: Space, plan: Plan, limit: float) -> FloatArray:
    """Cycles (pixel tiles, output-channel tiles) to expect; infinite where the analytical model says over `limit`."""
    nest, accelerator = space.nest, space.accelerator
    pixels, channels, ramp = space.pixels.columns, space.channels.columns, ramps(nest, accelerator)
    rows = nest.repeat_count * nest.pixels
    bias, blocks = bias_block(nest, accelerator), nest.repeat_count * pixels["output_blocks"][:, None]
    beat_cycles, in_flight = accelerator.memory.cycles_per_beat, accelerator.dma.requests_in_flight
    a_beats, b_beats, a_requests, b_requests = (loads for unit in UNITS[:2] for loads in _traffic(space, plan, unit))
    returned = bias.beats * blocks + rows * channels["acknowledgements"][None, :]
    by_bandwidth = (a_beats + b_beats + returned) * beat_cycles
    by_latency = (a_requests + b_requests + bias.requests * blocks) * accelerator.memory.latency_cycles / in_flight
    read = np.maximum(np.maximum(by_bandwidth, by_latency), _copy_cycles(space, plan))
    write = (rows * channels["write_cycles"])[None, :].astype(float)
    array = (
        pixels[f"ws_cycles_{plan.a_window}"]
        if plan.mapping.dataflow == "ws"
        else pixels[f"os_blocks_{plan.a_window}"] * accelerator.dim
    )
    compute = (weight_blocks(nest, plan.mapping, accelerator) * array)[:, None].astype(float)
    least = np.maximum(np.maximum(compute + ramp.before_compute, read) + ramp.after_compute, write + ramp.before_store)

    bias_loads = blocks * ceil_div(nest.out_channels, accelerator.dim) * nest.bias
    loads = _load_cycles(space, plan) + returned * beat_cycles + bias_loads * _bias_load_cycles(accelerator)
    waits = _steps(space, plan) * _turn_cycles(accelerator)
    busy = np.maximum(np.maximum(compute, write), loads + waits)
    expected = busy + _start(space, plan) + _end(space) + ramp.after_compute + ramp.before_compute
    return np.where(least <= limit, np.maximum(least, expected), np.inf)


def _traffic(space: Space, plan: Plan, unit: str) -> tuple[FloatArray, FloatArray]:
    """Beats or requests of A and of B, all repeats."""
    pixels, channels, index = space.pixels.columns, space.channels.columns, UNITS.index(unit)
    a = plan.a_traffic[index] * pixels[f"a_{unit}_{plan.a_window}"][:, None].astype(float)
    b = plan.b_traffic[index] * channels[f"b_{unit}"][None, :].astype(float)
    a_passes = channels["tiles"][None, :] if plan.a_reloaded else 1
    b_passes = pixels["tiles"][:, None] if plan.b_reloaded else 1
    return a * a_passes + plan.fixed_traffic[index], b * b_passes


def _copy_cycles(space: Space, plan: Plan) -> FloatArray:
    """Cycles in which packed pixels are written; 0 of others."""
    pixels_per_row = plan.mapping.max_pixels_per_row
    if pixels_per_row == 1:
        return np.zeros((1, 1))
    return _traffic(space, plan, "elements")[0] / space.nest.in_channels * pixels_per_row


def _load_cycles(space: Space, plan: Plan) -> FloatArray:
    """Cycles of the loads of A and B, row by row: a row's requests are as wide as the DMA's, the last one narrower."""
    nest, accelerator, tile = space.nest, space.accelerator, plan.mapping.tile
    a, b = _traffic(space, plan, "elements")
    columns, channels = space.pixels.sizes[:, 2], space.channels.sizes[:, 0]
    a_row = (
        _by_size(nest.out_columns, columns, accelerator)[:, None] / nest.out_columns
        if nest.transpose_a
        else max(
            _row_cycles(nest.in_channels, tile.in_channels, accelerator),
            plan.mapping.max_pixels_per_row if plan.mapping.max_pixels_per_row > 1 else 0,
        )
        / nest.in_channels
    )
    b_row = (
        _row_cycles(nest.in_channels, tile.in_channels, accelerator) / nest.in_channels
        if nest.transpose_b
        else _by_size(nest.out_channels, channels, accelerator)[None, :] / nest.out_channels
    )
    return a * a_row + b * b_row


def _by_size(row: int, parts: IntArray, accelerator: Accelerator) -> FloatArray:
    return np.array([_row_cycles(row, part, accelerator) for part in parts.tolist()])


def _row_cycles(row: int, part: int, accelerator: Accelerator) -> float:
    """Cycles in which a row of `row` inputs arrives, loaded `part` by `part`."""
    memory, dma = accelerator.memory, accelerator.dma
    least = (memory.latency_cycles + REQUEST_CYCLES) / dma.requests_in_flight

    def piece(elements: int) -> float:
        requests, rest = divmod(elements * accelerator.input_bytes, dma.request_bytes)
        wide = requests * max(dma.request_bytes // dma.bus_bytes * memory.cycles_per_beat, least)
        return wide + (max(ceil_div(rest, dma.bus_bytes) * memory.cycles_per_beat, least) if rest else 0.0)

    return row // part * piece(part) + piece(row % part)


def _steps(space: Space, plan: Plan) -> FloatArray:
    """Steps of which each waits for loads that could not begin before the step before the last was done."""
    nest, tile = space.nest, plan.mapping.tile
    if plan.mapping.a_placement == plan.mapping.b_placement == "whole":
        return np.zeros((1, 1))
    reduction = (
        ceil_div(nest.kernel_rows, tile.kernel_rows)
        * ceil_div(nest.kernel_columns, tile.kernel_columns)
        * ceil_div(nest.in_channels, tile.in_channels)
    )
    tiles = space.pixels.columns["tiles"][:, None] * space.channels.columns["tiles"][None, :]
    return (nest.repeat_count * reduction * tiles).astype(float)


def _bias_load_cycles(accelerator: Accelerator) -> float:
    """Cycles from one bias load to the next: two are in flight, each for the memory's latency, the DMA's
    own cycles, and DIM writes of its row."""
    return (accelerator.memory.latency_cycles + REQUEST_CYCLES + accelerator.dim) / 2


def _turn_cycles(accelerator: Accelerator) -> int:
    """Cycles from the last row that leaves a buffer to the first of the next contents: a preload's entry in the
    reservation station waits for its last result (33 cycles through the default mesh), its next load for the memory,
    and the compute on that for the way to the array (gemmini.md: closed forms, command offered to mesh)."""
    array = accelerator.array
    mesh = array.rows * (1 + array.tile_latency_cycles) + array.columns + array.output_delay_cycles
    return mesh + accelerator.memory.latency_cycles + REQUEST_CYCLES + ISSUE_CYCLES


def _start(space: Space, plan: Plan) -> FloatArray:
    """Cycles by which the first step's loads delay the array: all of A, and of B the blocks of output channels that
    come in one load, before the first block is done; the others as they come."""
    accelerator, tile = space.accelerator, plan.mapping.tile
    pixels, channels, memory = space.pixels.columns, space.channels.columns, accelerator.memory
    beat_bytes, each = accelerator.dma.bus_bytes, accelerator.input_bytes
    if space.nest.transpose_a:
        a_bytes = space.pixels.sizes[:, 2] * tile.in_channels * each
    else:
        a_bytes = pixels[f"a_rows_{plan.a_window}"] * tile.in_channels * each
    positions = tile.kernel_rows * tile.kernel_columns
    b_bytes = positions * tile.in_channels * each * space.channels.sizes[:, 0]
    a = (a_bytes * memory.cycles_per_beat / beat_bytes)[:, None]
    b = (b_bytes * memory.cycles_per_beat / beat_bytes)[None, :]
    blocks = channels["blocks"][None, :]
    packs = tile.kernel_rows * ceil_div(tile.kernel_columns, plan.mapping.max_pixels_per_row)
    of_block = pixels["c_rows"][:, None] * packs * ceil_div(tile.in_channels, accelerator.dim)
    group = np.minimum(blocks, max(1, accelerator.dma.request_bytes // (accelerator.dim * each)))
    done = np.maximum(a + b, a + b * group / blocks + of_block * (blocks - 1))
    delay: FloatArray = np.maximum(done - of_block * blocks, 0.0)
    return delay


def _end(space: Space) -> FloatArray:
    """Cycles for which the last result's last store group outlasts the array: a row of k blocks takes 2k - 1 cycles
    (gemmini.md, DMA), and the array finishes a row a cycle."""
    widest = max(1, space.accelerator.dma.request_bytes // (space.accelerator.dim * space.accelerator.input_bytes))
    group = np.minimum(space.channels.columns["blocks"], widest)
    end: FloatArray = space.pixels.columns["c_rows"][:, None] * (2.0 * group - 2)[None, :]
    return end
