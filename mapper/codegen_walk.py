"""`Walk`: everything the compiled emitter must know of a nest, a mapping and a machine, as plain integers; and its
layout on chip.

Layouts. A: channel blocks outermost, then image, input row, input column (stored transposed: blocks of DIM pixels, then
channel). B: blocks of DIM output channels, then kernel position, then input channel (stored transposed: blocks of input
channels, then output channel). C: "slots" of DIM accumulator rows per channel block, so that one mvout takes several
blocks (Gemmini's StoreController walks blocks DIM rows apart), where that fits; else one row per pixel without gaps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from model_ir.errors import InputError
from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.mapping import Buffers, Mapping, TileCounts, ceil_div, check_legal, input_extent, tile_counts

PLACES = {"tile": 0, "panel": 1, "whole": 2}
FIELD_LIMIT = (1 << 16) - 1
LONGEST_PRODUCT = 1 << 14


class Walk(NamedTuple):
    """Sizes in elements of the named loop, strides and addresses in elements or local rows unless named bytes."""

    dim: int
    input_bytes: int
    accumulator_bytes: int
    load_columns: int
    bias_columns: int
    store_columns: int
    bus_bytes: int
    request_bytes: int
    cycles_per_request: int
    cycles_per_beat: int
    latency_cycles: int
    minimum_rows: int

    images: int
    out_rows: int
    out_columns: int
    out_channels: int
    kernel_rows: int
    kernel_columns: int
    in_channels: int
    in_rows: int
    in_columns: int
    row_stride: int
    column_stride: int
    row_dilation: int
    column_dilation: int
    top_pad: int
    left_pad: int
    a_stride: int
    b_stride: int
    c_stride: int
    transpose_a: int
    transpose_b: int
    bias: int
    repeats: int

    tile_images: int
    tile_out_rows: int
    tile_out_columns: int
    tile_out_channels: int
    tile_kernel_rows: int
    tile_kernel_columns: int
    tile_in_channels: int
    pixel_tiles: int
    channel_tiles: int
    reduction_tiles: int
    weight_stationary: int
    channels_outer: int
    a_place: int
    b_place: int
    a_period: int
    b_period: int

    a_kernel_rows: int
    a_kernel_columns: int
    row_step: int
    column_step: int
    a_width: int
    a_height: int
    a_plane: int
    a_blocks: int
    a_copies: int
    a_base_0: int
    a_base_1: int
    b_kernel_columns: int
    b_channels: int
    b_plane: int
    b_copies: int
    b_base_0: int
    b_base_1: int
    c_slotted: int
    c_plane: int
    c_blocks: int
    c_copies: int
    c_base_0: int
    c_base_1: int
    os_blocks_per_result: int


def walk_of(nest: ArrayNest, mapping: Mapping, accelerator: Accelerator) -> Walk:
    """The Walk of a legal mapping.

    Raises what `check_legal` raises, and InputError where a stride does not fit its command field.
    """
    needed = check_legal(nest, mapping, accelerator)
    dim, tile, counts = accelerator.dim, mapping.tile, tile_counts(nest, mapping.tile)
    a_whole, a_full = mapping.a_placement == "whole", mapping.a_placement != "tile"
    b_full = mapping.b_placement != "tile"
    taps = (
        nest.kernel_rows if a_full else tile.kernel_rows,
        nest.kernel_columns if a_full else tile.kernel_columns,
    )
    outs = (nest.out_rows, nest.out_columns) if a_whole else (tile.out_rows, tile.out_columns)
    height = input_extent(outs[0], nest.row_stride, taps[0], nest.row_dilation)
    width = input_extent(outs[1], nest.column_stride, taps[1], nest.column_dilation)
    a_channels = nest.in_channels if a_full else tile.in_channels
    b_channels = nest.in_channels if b_full else tile.in_channels
    b_out = nest.out_channels if mapping.b_placement == "whole" else tile.out_channels
    b_kernel_columns = nest.kernel_columns if b_full else tile.kernel_columns
    b_positions = b_kernel_columns * (nest.kernel_rows if b_full else tile.kernel_rows)
    a_plane = a_channels if nest.transpose_a else (nest.images if a_whole else tile.images) * height * width
    b_plane = b_out if nest.transpose_b else b_positions * b_channels
    a_bases, b_bases = _scratchpad_bases(needed, accelerator)
    slotted, c_plane, c_rows = _result_layout(mapping, needed, accelerator)
    request, bus = accelerator.dma.request_bytes, accelerator.dma.bus_bytes
    latency = accelerator.memory.latency_cycles
    check_field("A stride between output columns", nest.column_stride)
    return Walk(
        dim=dim,
        input_bytes=accelerator.input_bytes,
        accumulator_bytes=accelerator.accumulator_bytes,
        load_columns=max(dim, request // accelerator.input_bytes),
        bias_columns=max(dim, request // accelerator.accumulator_bytes),
        store_columns=max(dim, request // accelerator.input_bytes) if slotted else dim,
        bus_bytes=bus,
        request_bytes=request,
        cycles_per_request=ceil_div(latency + 10, accelerator.dma.requests_in_flight),
        cycles_per_beat=accelerator.memory.cycles_per_beat,
        latency_cycles=latency,
        minimum_rows=accelerator.array.minimum_rows_per_compute,
        images=nest.images,
        out_rows=nest.out_rows,
        out_columns=nest.out_columns,
        out_channels=nest.out_channels,
        kernel_rows=nest.kernel_rows,
        kernel_columns=nest.kernel_columns,
        in_channels=nest.in_channels,
        in_rows=nest.in_rows,
        in_columns=nest.in_columns,
        row_stride=nest.row_stride,
        column_stride=nest.column_stride,
        row_dilation=nest.row_dilation,
        column_dilation=nest.column_dilation,
        top_pad=nest.top_pad,
        left_pad=nest.left_pad,
        a_stride=nest.a_stride,
        b_stride=nest.b_stride,
        c_stride=nest.c_stride,
        transpose_a=int(nest.transpose_a),
        transpose_b=int(nest.transpose_b),
        bias=int(nest.bias),
        repeats=nest.repeat_count,
        tile_images=tile.images,
        tile_out_rows=tile.out_rows,
        tile_out_columns=tile.out_columns,
        tile_out_channels=tile.out_channels,
        tile_kernel_rows=tile.kernel_rows,
        tile_kernel_columns=tile.kernel_columns,
        tile_in_channels=tile.in_channels,
        pixel_tiles=counts.pixels,
        channel_tiles=counts.channels,
        reduction_tiles=counts.reduction,
        weight_stationary=int(mapping.dataflow == "ws"),
        channels_outer=int(mapping.order == "channels_outer"),
        a_place=PLACES[mapping.a_placement],
        b_place=PLACES[mapping.b_placement],
        a_period=_a_period(mapping, counts),
        b_period=_b_period(mapping, counts),
        a_kernel_rows=taps[0],
        a_kernel_columns=taps[1],
        # One kernel position needs only the pixels under it: the loads skip the ones between.
        row_step=nest.row_stride if taps[0] == 1 else 1,
        column_step=nest.column_stride if taps[1] == 1 else 1,
        a_width=width,
        a_height=height,
        a_plane=a_plane,
        a_blocks=ceil_div(outs[1] if nest.transpose_a else a_channels, dim),
        a_copies=needed.a_copies,
        a_base_0=a_bases[0],
        a_base_1=a_bases[1],
        b_kernel_columns=b_kernel_columns,
        b_channels=b_channels,
        b_plane=b_plane,
        b_copies=needed.b_copies,
        b_base_0=b_bases[0],
        b_base_1=b_bases[1],
        c_slotted=int(slotted),
        c_plane=c_plane,
        c_blocks=ceil_div(tile.out_channels, dim),
        c_copies=needed.c_copies,
        c_base_0=0,
        c_base_1=_second_base(c_rows, accelerator.accumulator_rows, accelerator.accumulator.banks),
        os_blocks_per_result=_os_blocks_per_result(accelerator),
    )


def _a_period(mapping: Mapping, counts: TileCounts) -> int:
    """Steps for which A's buffer keeps the same contents."""
    if mapping.a_placement == "whole":
        return counts.pixels * counts.channels * counts.reduction
    if mapping.a_placement == "panel":
        return counts.channels * counts.reduction
    moves_on = counts.reduction > 1 or (mapping.order == "channels_outer" and counts.pixels > 1)
    return 1 if moves_on else counts.channels


def _b_period(mapping: Mapping, counts: TileCounts) -> int:
    """Steps for which B's buffer keeps the same contents."""
    if mapping.b_placement == "whole":
        return counts.pixels * counts.channels * counts.reduction
    if mapping.b_placement == "panel":
        return counts.pixels * counts.reduction
    moves_on = counts.reduction > 1 or (mapping.order == "pixels_outer" and counts.channels > 1)
    return 1 if moves_on else counts.pixels


def record_of(walk: Walk) -> Any:
    """`walk` as a numpy record of int64 fields: one pointer to compiled code, where a tuple would be a hundred
    arguments."""
    kinds = np.dtype([(name, np.int64) for name in Walk._fields])
    return np.rec.array([tuple(walk)], dtype=kinds)[0]


def check_field(what: str, value: int) -> None:
    """Raise InputError where `value` is beyond a 16-bit field of a command."""
    if not 0 <= value <= FIELD_LIMIT:
        raise InputError(what, "does not fit the command's 16 bits", value=value, limit=FIELD_LIMIT)


def _second_base(rows: int, capacity: int, banks: int) -> int:
    """Where the second copy of a buffer at 0 starts: in the next bank where it fits there, else right behind."""
    bank = capacity // banks
    aligned = ceil_div(rows, bank) * bank
    return aligned if aligned + rows <= capacity else rows


def _scratchpad_bases(needed: Buffers, accelerator: Accelerator) -> tuple[tuple[int, int], tuple[int, int]]:
    """First rows of the copies of A (from the start) and of B (from the end), in banks of their own where they fit: a
    bank serves one read or write a cycle."""
    capacity = accelerator.scratchpad_rows
    bank = capacity // accelerator.scratchpad.banks
    b_last = capacity - needed.b_rows
    b_first, a_second = b_last, 0
    if needed.b_copies == 2:
        b_first = b_last - needed.b_rows
        aligned = b_last // bank * bank - needed.b_rows
        if aligned >= needed.a_rows * needed.a_copies:
            b_first = aligned
    if needed.a_copies == 2:
        a_second = needed.a_rows
        aligned = ceil_div(needed.a_rows, bank) * bank
        if aligned + needed.a_rows <= b_first:
            a_second = aligned
    return (0, a_second), (b_first, b_last)


def _result_layout(mapping: Mapping, needed: Buffers, accelerator: Accelerator) -> tuple[bool, int, int]:
    """Whether C has slots, rows from one channel block to the next, and rows of one copy."""
    dim, tile = accelerator.dim, mapping.tile
    blocks = ceil_div(tile.out_channels, dim)
    lines = tile.images * tile.out_rows
    full, rest = divmod(tile.out_columns, dim)
    slots = lines * full + (ceil_div(lines, dim // rest) if rest else 0)
    rows = slots * dim * blocks
    if blocks > 1 and rows * needed.c_copies <= accelerator.accumulator_rows:
        return True, dim, rows
    return False, lines * tile.out_columns, needed.c_rows


def _os_blocks_per_result(accelerator: Accelerator) -> int:
    """Reduction blocks an output-stationary sum may run over before the mesh's output register could saturate (int8
    products)."""
    bits = accelerator.array.mesh_output_bits
    return max(1, ((1 << (bits - 1)) - 1) // LONGEST_PRODUCT // accelerator.dim)
