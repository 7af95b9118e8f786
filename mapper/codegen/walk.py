"""`Walk`: everything the compiled emitter must know of a nest, a mapping and a machine, as plain integers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mapper.codegen.layout import layout_of
from model_ir.errors import InputError
from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.mapping import (
    Mapping,
    TileCounts,
    ceil_div,
    check_legal,
    filled_once,
    input_taps,
    joins_lines,
    tile_counts,
)

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

    joined: int
    a_kernel_rows: int
    a_kernel_columns: int
    row_step: int
    column_step: int
    a_width: int
    a_height: int
    a_line: int
    a_chunk: int
    a_depth: int
    a_copies: int
    a_single: int
    a_base_0: int
    a_base_1: int
    b_kernel_columns: int
    b_position: int
    b_row: int
    b_block: int
    b_copies: int
    b_single: int
    b_base_0: int
    b_base_1: int
    c_slotted: int
    c_plane: int
    c_blocks: int
    c_copies: int
    c_single: int
    c_base_0: int
    c_base_1: int
    a_rows: int
    b_rows: int
    os_blocks_per_result: int
    parts: int
    pixels: int


def walk_of(nest: ArrayNest, mapping: Mapping, accelerator: Accelerator) -> Walk:
    """The Walk of a legal mapping.

    Raises what `check_legal` raises, and InputError where a stride does not fit its command field.
    """
    needed = check_legal(nest, mapping, accelerator)
    dim, tile, counts = accelerator.dim, mapping.tile, tile_counts(nest, mapping.tile)
    layout = layout_of(nest, mapping, accelerator, needed)
    taps, once = input_taps(nest, mapping), filled_once(nest, counts, mapping)
    request, bus = accelerator.dma.request_bytes, accelerator.dma.bus_bytes
    latency = accelerator.memory.latency_cycles
    check_field("A stride between output columns", nest.column_stride)
    return Walk(
        dim=dim,
        input_bytes=accelerator.input_bytes,
        accumulator_bytes=accelerator.accumulator_bytes,
        load_columns=max(dim, request // accelerator.input_bytes),
        bias_columns=max(dim, request // accelerator.accumulator_bytes),
        store_columns=max(dim, request // accelerator.input_bytes) if layout.c.slotted else dim,
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
        joined=int(joins_lines(nest, mapping)),
        a_kernel_rows=taps[0],
        a_kernel_columns=taps[1],
        # One kernel position needs only the pixels under it: the loads skip the ones between.
        row_step=nest.row_stride if taps[0] == 1 else 1,
        column_step=nest.column_stride if taps[1] == 1 else 1,
        a_width=layout.a.width,
        a_height=layout.a.height,
        a_line=layout.a.line,
        a_chunk=layout.a.chunk,
        a_depth=layout.a.depth,
        a_copies=needed.a_copies,
        a_single=int(needed.a_copies == 1 and not once[0]),
        a_base_0=layout.a_bases[0],
        a_base_1=layout.a_bases[1],
        b_kernel_columns=tile.kernel_columns if mapping.b_placement == "tile" else nest.kernel_columns,
        b_position=layout.b.position,
        b_row=layout.b.row,
        b_block=layout.b.block,
        b_copies=needed.b_copies,
        b_single=int(needed.b_copies == 1 and not once[1]),
        b_base_0=layout.b_bases[0],
        b_base_1=layout.b_bases[1],
        c_slotted=int(layout.c.slotted),
        c_plane=layout.c.plane,
        c_blocks=ceil_div(tile.out_channels, dim),
        c_copies=needed.c_copies,
        c_single=int(needed.c_copies == 1 and not once[2]),
        c_base_0=0,
        c_base_1=layout.c.second,
        a_rows=layout.a.rows,
        b_rows=layout.b.rows,
        os_blocks_per_result=_os_blocks_per_result(accelerator),
        parts=1,
        pixels=mapping.max_pixels_per_row,
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


def _os_blocks_per_result(accelerator: Accelerator) -> int:
    """Reduction blocks an output-stationary sum may run over before the mesh's output register could saturate (int8
    products)."""
    bits = accelerator.array.mesh_output_bits
    return max(1, ((1 << (bits - 1)) - 1) // LONGEST_PRODUCT // accelerator.dim)
