"""Analytical cost of a mapping: a double-buffered tile model with exact counts and no fitted number.

Array, read direction and write direction of the memory port each get the cycles of all their work; they overlap
perfectly but for what no schedule can overlap (the first load, the last store). So the model is a lower bound of the
cycle engine and never below the roofline. Rates are Gemmini's (its RTL's closed forms): see each function.
`simulator.tile_sums` holds the sums over tiles.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.cost import Cost
from simulator.energy import energy_pj
from simulator.mapping import (
    Mapping,
    TileCounts,
    a_passes,
    b_passes,
    ceil_div,
    check_legal,
    in_parts,
    joins_lines,
    tile_counts,
)
from simulator.packing import most_pixels_per_row, packs
from simulator.tile_sums import (
    array_cycles,
    column_axis,
    output_blocks,
    pixel_blocks,
    row_axis,
    row_beats,
    row_requests,
    row_write_cycles,
    sum_of_touched,
)

MODEL_VERSION = 3
"""Changes whenever a cost changes: part of the key of every stored schedule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What one operand moves over the memory port in all repeats."""

    beats: int
    requests: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramps:
    """Cycles that no schedule overlaps, whatever the mapping."""

    before_compute: int
    """Until the first weights can enter the array."""
    before_store: int
    """Until the first finished output row can leave."""
    after_compute: int
    """From the last row entering the array to the acknowledgement of the last store."""
    after_store: int
    """From the last beat written to its acknowledgement."""


def analytical(nest: ArrayNest, mapping: Mapping, accelerator: Accelerator) -> Cost:
    """Cost of `nest` under `mapping`; cycles is the latency with perfect overlap of array, loads and stores.

    Raises InputError or InfeasibleError where the mapping is not legal (`check_legal`).
    """
    check_legal(nest, mapping, accelerator)
    part = in_parts(nest, mapping)
    counts = tile_counts(part, mapping.tile)
    spill = spill_stream(nest, mapping, accelerator)
    loads = (
        a_stream(part, mapping, counts, accelerator),
        b_stream(part, mapping, counts, accelerator),
        _joined(bias_stream(nest, mapping, accelerator), spill),
    )
    store = _joined(c_stream(nest, mapping, accelerator), spill)
    compute = compute_cycles(part, mapping, accelerator)
    read = read_cycles(
        sum(load.beats for load in loads), sum(load.requests for load in loads), store.requests, accelerator
    )
    read = max(read, copy_cycles(nest, mapping, loads[0], accelerator))
    write = store.beats
    cycles = latency(compute, read, write, ramps(part, accelerator))
    return _cost(nest, mapping, accelerator, cycles, (compute, read, write), loads, store)


def latency(compute: int, read: int, write: int, ramp: Ramps) -> int:
    """Cycles of three overlapping activities with what precedes and follows each at least."""
    return max(
        ramp.before_compute + compute + ramp.after_compute,
        read + ramp.after_compute,
        ramp.before_store + write + ramp.after_store,
    )


def ramps(nest: ArrayNest, accelerator: Accelerator) -> Ramps:
    """The least start-up and drain of any mapping of `nest`.

    Before the first preload its weights' rows arrive, a beat each after the memory's latency; the first store waits
    for one block's whole reduction, packed as tightly as can be. A row takes rows + columns - 1 + output delay
    through the mesh, then the accumulator's read and scaling latency.
    """
    array, memory, dim = accelerator.array, accelerator.memory, accelerator.dim
    first_rows = min(dim, nest.out_channels if nest.transpose_b else nest.in_channels)
    before_compute = memory.latency_cycles + first_rows * memory.cycles_per_beat
    mesh = array.rows * (1 + array.tile_latency_cycles) + array.columns - 1 + array.output_delay_cycles
    out = accelerator.accumulator.read_latency_cycles + accelerator.accumulator.scale_latency_cycles
    after_store = memory.latency_cycles
    return Ramps(
        before_compute=before_compute,
        before_store=before_compute + least_reduction_blocks(nest, accelerator) * dim + mesh + out,
        after_compute=mesh + out + after_store,
        after_store=after_store,
    )


def compute_cycles(nest: ArrayNest, mapping: Mapping, accelerator: Accelerator) -> int:
    """Cycles in which rows enter the array, all repeats.

    Weight-stationary: every DIM x DIM weight block meets every line of the pixel tile, and one operation per tile and
    block carries the weights in. Output-stationary: DIM cycles for every block of pixels, output channels and
    reduction.
    """
    tile, dim, joined = mapping.tile, accelerator.dim, int(joins_lines(nest, mapping))
    blocks = weight_blocks(nest, mapping, accelerator)
    if mapping.dataflow == "os":
        return blocks * pixel_blocks(nest, tile.out_rows, tile.out_columns, joined, dim) * dim
    return blocks * array_cycles(nest, accelerator, (tile.images, tile.out_rows, tile.out_columns), joined)


def weight_blocks(nest: ArrayNest, mapping: Mapping, accelerator: Accelerator) -> int:
    """DIM x DIM blocks of B as `mapping` packs kernel columns, all repeats; each meets every output pixel."""
    dim = accelerator.dim
    return nest.repeat_count * reduction_blocks(nest, mapping, dim) * ceil_div(nest.out_channels, dim)


def least_weight_blocks(nest: ArrayNest, accelerator: Accelerator, kernel_columns: int | None = None) -> int:
    """As `weight_blocks`, of any mapping at least, or of any with tiles of `kernel_columns`."""
    blocks = least_reduction_blocks(nest, accelerator, kernel_columns)
    return nest.repeat_count * blocks * ceil_div(nest.out_channels, accelerator.dim)


def reduction_blocks(nest: ArrayNest, mapping: Mapping, dim: int) -> int:
    """Blocks of up to DIM terms that a sum is made of."""
    columns = packs(nest.kernel_columns, mapping.tile.kernel_columns, mapping.max_pixels_per_row)
    return nest.kernel_rows * columns * ceil_div(nest.in_channels, dim)


def least_reduction_blocks(nest: ArrayNest, accelerator: Accelerator, kernel_columns: int | None = None) -> int:
    """As `reduction_blocks`, of any mapping at least, or of any with tiles of `kernel_columns`."""
    columns = packs(nest.kernel_columns, kernel_columns or nest.kernel_columns, most_pixels_per_row(nest, accelerator))
    return nest.kernel_rows * columns * ceil_div(nest.in_channels, accelerator.dim)


def read_cycles(beats: int, requests: int, acknowledgements: int, accelerator: Accelerator) -> int:
    """Cycles of the response channel, which write acknowledgements share, and of the reader's table of requests in
    flight (each holds its place for the memory's latency)."""
    memory = accelerator.memory
    by_bandwidth = (beats + acknowledgements) * memory.cycles_per_beat
    by_latency = ceil_div(requests * memory.latency_cycles, accelerator.dma.requests_in_flight)
    return max(by_bandwidth, by_latency)


def copy_cycles(nest: ArrayNest, mapping: Mapping, a: Stream, accelerator: Accelerator) -> int:
    """Cycles in which the loads `a` of packed pixels write their copies, one scratchpad row a cycle
    (PixelRepeater.scala); 0 without copies."""
    if mapping.max_pixels_per_row == 1:
        return 0
    return a.bytes // (nest.in_channels * accelerator.input_bytes) * mapping.max_pixels_per_row


def a_stream(nest: ArrayNest, mapping: Mapping, counts: TileCounts, accelerator: Accelerator) -> Stream:
    """Loads of the input operand: pixels inside the image only, overlapping windows as often as tiles need them. A
    panel and a whole operand also arrive by channel tiles, when the loops first need them."""
    tile, placement = mapping.tile, mapping.a_placement
    passes = nest.repeat_count * a_passes(counts, mapping)
    out_rows, out_columns = (
        (nest.out_rows, nest.out_columns) if placement == "whole" else (tile.out_rows, tile.out_columns)
    )
    if nest.transpose_a:
        rows = passes * nest.images * nest.out_rows * nest.in_channels
        return Stream(
            beats=rows * row_beats(nest.out_columns, tile.out_columns, accelerator),
            requests=rows * row_requests(nest.out_columns, tile.out_columns, accelerator),
            bytes=rows * nest.out_columns * accelerator.input_bytes,
        )
    kernel_rows, kernel_columns = (
        (tile.kernel_rows, tile.kernel_columns) if placement == "tile" else (nest.kernel_rows, nest.kernel_columns)
    )
    pixels = nest.images * sum_of_touched(row_axis(nest), out_rows, kernel_rows)
    rows = passes * pixels * sum_of_touched(column_axis(nest), out_columns, kernel_columns)
    return Stream(
        beats=rows * row_beats(nest.in_channels, tile.in_channels, accelerator),
        requests=rows * row_requests(nest.in_channels, tile.in_channels, accelerator),
        bytes=rows * nest.in_channels * accelerator.input_bytes,
    )


def b_stream(nest: ArrayNest, mapping: Mapping, counts: TileCounts, accelerator: Accelerator) -> Stream:
    """Loads of the weights, by tiles in every placement."""
    passes = nest.repeat_count * b_passes(counts, mapping) * nest.kernel_rows * nest.kernel_columns
    if nest.transpose_b:
        rows, row, part = nest.out_channels, nest.in_channels, mapping.tile.in_channels
    else:
        rows, row, part = nest.in_channels, nest.out_channels, mapping.tile.out_channels
    return Stream(
        beats=passes * rows * row_beats(row, part, accelerator),
        requests=passes * rows * row_requests(row, part, accelerator),
        bytes=passes * rows * row * accelerator.input_bytes,
    )


def bias_stream(nest: ArrayNest, mapping: Mapping, accelerator: Accelerator) -> Stream:
    """Loads of the bias for every block of accumulator rows."""
    block = bias_block(nest, accelerator)
    blocks = nest.repeat_count * output_blocks(nest, tile_counts(nest, mapping.tile).pixels, accelerator.dim)
    return Stream(beats=blocks * block.beats, requests=blocks * block.requests, bytes=blocks * block.bytes)


def bias_block(nest: ArrayNest, accelerator: Accelerator) -> Stream:
    """Loads of the bias for one block of up to DIM pixels and all channels: one row of accumulators, repeated on
    chip."""
    row_bytes = nest.bias * nest.out_channels * accelerator.accumulator_bytes
    return Stream(
        beats=ceil_div(row_bytes, accelerator.dma.bus_bytes),
        requests=ceil_div(row_bytes, accelerator.dma.request_bytes),
        bytes=row_bytes,
    )


def c_stream(nest: ArrayNest, mapping: Mapping, accelerator: Accelerator) -> Stream:
    """Stores of the output, each element once; `beats` are the writer's cycles, `requests` are acknowledged one by
    one."""
    rows, tile = nest.repeat_count * nest.pixels, mapping.tile.out_channels
    return Stream(
        beats=rows * row_write_cycles(nest.out_channels, tile, accelerator),
        requests=rows * row_requests(nest.out_channels, tile, accelerator),
        bytes=rows * nest.out_channels * accelerator.input_bytes,
    )


def spill_stream(nest: ArrayNest, mapping: Mapping, accelerator: Accelerator) -> Stream:
    """Partial sums on their way out, or in again, of all parts but one: rows of up to DIM sums in full width, a beat a
    cycle (gemmini.md, DMA: full-width accumulator rows 4 cycles)."""
    full, rest = divmod(nest.out_channels, accelerator.dim)
    each, bus = accelerator.accumulator_bytes, accelerator.dma.bus_bytes
    beats = full * ceil_div(accelerator.dim * each, bus) + ceil_div(rest * each, bus)
    request = accelerator.dma.request_bytes
    requests = full * ceil_div(accelerator.dim * each, request) + ceil_div(rest * each, request)
    rows = (mapping.reduction_parts - 1) * nest.pixels
    return Stream(beats=rows * beats, requests=rows * requests, bytes=rows * nest.out_channels * each)


def _joined(first: Stream, second: Stream) -> Stream:
    return Stream(
        beats=first.beats + second.beats,
        requests=first.requests + second.requests,
        bytes=first.bytes + second.bytes,
    )


def _cost(
    nest: ArrayNest,
    mapping: Mapping,
    accelerator: Accelerator,
    cycles: int,
    busy: tuple[int, int, int],
    loads: tuple[Stream, Stream, Stream],
    store: Stream,
) -> Cost:
    """Assemble the Cost with on-chip traffic: rows fed to the array, copies of packed pixels written, and a
    read-modify-write of the accumulator per reduction block (weight-stationary) or per reduction tile
    (output-stationary)."""
    a, b, bias = loads
    dim, tile, joined = accelerator.dim, mapping.tile, int(joins_lines(nest, mapping))
    counts = tile_counts(nest, tile)
    weights = nest.repeat_count * nest.reduction * nest.out_channels * accelerator.input_bytes
    pixels = nest.repeat_count * nest.pixels
    fed_a = pixels * nest.reduction * accelerator.input_bytes * ceil_div(nest.out_channels, dim)
    if mapping.dataflow == "ws":
        fed_b, updates = weights * counts.pixels, reduction_blocks(nest, mapping, dim)
    else:
        fed_b, updates = weights * pixel_blocks(nest, tile.out_rows, tile.out_columns, joined, dim), counts.reduction
    outputs = pixels * nest.out_channels * accelerator.accumulator_bytes
    spilled = mapping.reduction_parts - 1
    scratchpad_write = a.bytes * mapping.max_pixels_per_row + b.bytes
    accumulator_write = outputs * (updates + nest.bias + spilled)
    accumulator_read = outputs * (updates + nest.bias + spilled)
    dram = a.bytes + b.bytes + bias.bytes + store.bytes
    return Cost(
        cycles=float(cycles),
        compute_cycles=float(busy[0]),
        read_cycles=float(busy[1]),
        write_cycles=float(busy[2]),
        macs=nest.macs,
        dram_read_bytes=a.bytes + b.bytes + bias.bytes,
        dram_write_bytes=store.bytes,
        scratchpad_read_bytes=fed_a + fed_b,
        scratchpad_write_bytes=scratchpad_write,
        accumulator_read_bytes=accumulator_read,
        accumulator_write_bytes=accumulator_write,
        energy_pj=energy_pj(
            accelerator,
            macs=nest.macs,
            scratchpad_bytes=fed_a + fed_b + scratchpad_write,
            accumulator_bytes=accumulator_read + accumulator_write,
            dram_bytes=dram,
        ),
    )
