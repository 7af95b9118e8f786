"""Cost of a depthwise convolution and the pointwise one after it as one: the tensor between them never leaves the chip.

DIM channels of the depthwise convolution go together, their kernels on the diagonals of DIM x DIM weight blocks (a
grouped convolution whose groups hold DIM channels, its other weights zero): the array multiplies zeros, but moves DIM
channels of a pixel as one row, which is also the layout that the pointwise convolution reads. Of a band of output
rows all channels' sums stay in the accumulator, and the array takes them from there as its next input, scaled on the
way (ex_read_from_acc, ExecuteController.scala of ucb-bar/gemmini at 8c3f992). Bands overlap by the kernel's reach, so
those input rows are loaded again. Analytical: the engine does not time operands read from the accumulator.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from model_ir.errors import InfeasibleError, InputError
from simulator.accelerator import Accelerator
from simulator.analytical import (
    Stream,
    a_stream,
    b_stream,
    bias_stream,
    c_stream,
    compute_cycles,
    latency,
    ramps,
    read_cycles,
)
from simulator.array_nest import ArrayNest, Repeat
from simulator.cost import Cost
from simulator.energy import energy_pj
from simulator.mapping import Mapping, Tile, ceil_div, input_extent, tile_counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Output rows that are on chip at a time, output channels of the pointwise convolution at a time, and which weights
    stay on chip for all bands."""

    out_rows: int
    out_channels: int
    depthwise_stays: bool
    pointwise_stays: bool


def is_depthwise(nest: ArrayNest) -> bool:
    """Whether every repeat is one channel of a channels-last image with a kernel of its own, or several packed."""
    return (
        nest.in_channels == nest.out_channels == nest.groups
        and len(nest.repeats) == 1
        and nest.repeats[0].a_stride == nest.repeats[0].c_stride == nest.groups
        and not nest.transpose_a
        and not nest.transpose_b
    )


def packed_depthwise(nest: ArrayNest, dim: int) -> ArrayNest:
    """The depthwise `nest` as a grouped convolution of DIM channels a group, weights on the diagonal.

    Channels that do not fill the last group are counted as if they did. Raises InputError for any other nest.
    """
    if not is_depthwise(nest):
        raise InputError("nest", "is no depthwise convolution")
    channels = nest.repeats[0].count * nest.groups
    size = min(dim, channels)
    group = Repeat(count=ceil_div(channels, size), a_stride=size, b_stride=size * size, c_stride=size, bias_stride=size)
    return replace(nest, in_channels=size, out_channels=size, b_stride=size, repeats=(group,), groups=size)


def band_rows(depthwise: ArrayNest, pointwise: ArrayNest, accelerator: Accelerator, band: Band) -> tuple[int, int]:
    """Scratchpad and accumulator rows of a band; what is filled more than once is double, but for the tensor between,
    which the array empties before it fills it again."""
    dim, packed = accelerator.dim, packed_depthwise(depthwise, accelerator.dim)
    groups, taps = packed.repeat_count, packed.kernel_rows * packed.kernel_columns
    rows = input_extent(band.out_rows, packed.row_stride, packed.kernel_rows, packed.row_dilation)
    columns = input_extent(packed.out_columns, packed.column_stride, packed.kernel_columns, packed.column_dilation)
    blocks = ceil_div(band.out_channels, dim)
    weights = taps * packed.in_channels * (groups if band.depthwise_stays else 2)
    weights += (
        pointwise.in_channels * ceil_div(pointwise.out_channels, dim)
        if band.pointwise_stays
        else 2 * pointwise.in_channels * blocks
    )
    pixels = band.out_rows * packed.out_columns
    return weights + 2 * rows * columns * ceil_div(packed.in_channels, dim), pixels * (groups + 2 * blocks)


def depthwise_pointwise_cost(depthwise: ArrayNest, pointwise: ArrayNest, accelerator: Accelerator, band: Band) -> Cost:
    """Cost of both as one; the array, and the port's directions, overlap but for ramps.

    Raises InputError for nests that do not follow each other, a band outside its loops, or an array that cannot read
    the accumulator; InfeasibleError where the band does not fit.
    """
    _check(depthwise, pointwise, accelerator, band)
    packed = packed_depthwise(depthwise, accelerator.dim)
    first = _mapping(packed, band.out_rows, packed.out_columns, packed.out_channels)
    second = _mapping(pointwise, 1, min(band.out_rows * packed.out_columns, pointwise.out_columns), band.out_channels)
    bands = ceil_div(packed.out_rows, band.out_rows) * packed.images
    loads = (
        a_stream(packed, first, tile_counts(packed, first.tile), accelerator),
        _again(_weights(packed, first, accelerator), 1 if band.depthwise_stays else bands),
        _again(_weights(pointwise, second, accelerator), 1 if band.pointwise_stays else bands),
        bias_stream(packed, first, accelerator),
        bias_stream(pointwise, second, accelerator),
    )
    store = c_stream(pointwise, second, accelerator)
    compute = compute_cycles(packed, first, accelerator) + compute_cycles(pointwise, second, accelerator)
    read = read_cycles(
        sum(load.beats for load in loads), sum(load.requests for load in loads), store.requests, accelerator
    )
    start, end = ramps(packed, accelerator), ramps(pointwise, accelerator)
    cycles = latency(compute, read, store.beats, replace(start, after_compute=end.after_compute))
    return _cost(packed, pointwise, accelerator, (cycles, compute, read), loads, store)


def _mapping(nest: ArrayNest, out_rows: int, out_columns: int, out_channels: int) -> Mapping:
    tile = Tile(
        images=1,
        out_rows=out_rows,
        out_columns=out_columns,
        out_channels=out_channels,
        kernel_rows=nest.kernel_rows,
        kernel_columns=nest.kernel_columns,
        in_channels=nest.in_channels,
    )
    return Mapping(dataflow="ws", tile=tile, order="pixels_outer", a_placement="tile", b_placement="whole")


def _weights(nest: ArrayNest, mapping: Mapping, accelerator: Accelerator) -> Stream:
    """All weights once."""
    return b_stream(nest, mapping, tile_counts(nest, mapping.tile), accelerator)


def _again(stream: Stream, times: int) -> Stream:
    return Stream(beats=stream.beats * times, requests=stream.requests * times, bytes=stream.bytes * times)


def _check(depthwise: ArrayNest, pointwise: ArrayNest, accelerator: Accelerator, band: Band) -> None:
    if not accelerator.array.reads_accumulator:
        raise InputError(
            f"accelerator {accelerator.name}.array.reads_accumulator", "needed by this fusion", value=False
        )
    kernel = pointwise.kernel_rows * pointwise.kernel_columns
    plain = pointwise.repeat_count * kernel == 1 and not pointwise.transpose_a and not pointwise.transpose_b
    if not is_depthwise(depthwise) or not plain or pointwise.column_stride > 1:
        raise InputError("nests", "must be a depthwise convolution and a pointwise one of stride 1")
    if (depthwise.pixels, depthwise.repeats[0].count * depthwise.groups) != (pointwise.pixels, pointwise.in_channels):
        raise InputError("nests", "the second does not read what the first writes", value=pointwise.pixels)
    if not 1 <= band.out_rows <= depthwise.out_rows or not 1 <= band.out_channels <= pointwise.out_channels:
        raise InputError("band", "outside its loops", value=band)
    if band.out_channels % accelerator.dim and band.out_channels != pointwise.out_channels:
        raise InputError(
            "band.out_channels", f"must be whole blocks of DIM = {accelerator.dim}", value=band.out_channels
        )
    capacities = accelerator.scratchpad_rows, accelerator.accumulator_rows
    needed = band_rows(depthwise, pointwise, accelerator, band)
    for memory, demand, capacity in zip(("scratchpad", "accumulator"), needed, capacities, strict=True):
        if demand > capacity:
            raise InfeasibleError(memory, demand=demand, capacity=capacity, unit="rows", hint="take a narrower band")


def _cost(
    packed: ArrayNest,
    pointwise: ArrayNest,
    accelerator: Accelerator,
    cycles: tuple[int, int, int],
    loads: tuple[Stream, ...],
    store: Stream,
) -> Cost:
    """Assemble the Cost: on-chip traffic as in `analytical`, the tensor between read from the accumulator."""
    between = packed.repeat_count * packed.pixels * packed.out_channels
    fed = packed.pixels * packed.repeat_count * packed.reduction * accelerator.input_bytes
    weights = sum(load.bytes for load in loads[1:3])
    updates = packed.kernel_rows * packed.kernel_columns * between
    updates += pointwise.pixels * pointwise.out_channels * ceil_div(pointwise.in_channels, accelerator.dim)
    taken = between * ceil_div(pointwise.out_channels, accelerator.dim)
    accumulator_read = (updates + taken) * accelerator.accumulator_bytes
    accumulator_write = updates * accelerator.accumulator_bytes
    read_bytes = sum(load.bytes for load in loads)
    scratchpad_write = loads[0].bytes + weights
    macs = packed.repeat_count * packed.pixels * packed.reduction + pointwise.macs
    return Cost(
        cycles=float(cycles[0]),
        compute_cycles=float(cycles[1]),
        read_cycles=float(cycles[2]),
        write_cycles=float(store.beats),
        macs=macs,
        dram_read_bytes=read_bytes,
        dram_write_bytes=store.bytes,
        scratchpad_read_bytes=fed + weights,
        scratchpad_write_bytes=scratchpad_write,
        accumulator_read_bytes=accumulator_read,
        accumulator_write_bytes=accumulator_write,
        energy_pj=energy_pj(
            accelerator,
            macs=macs,
            scratchpad_bytes=fed + weights + scratchpad_write,
            accumulator_bytes=accumulator_read + accumulator_write,
            dram_bytes=read_bytes + store.bytes,
        ),
    )
