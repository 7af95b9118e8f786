"""Sums over all tiles of one loop that the analytical model is made of: exact, separable, integers only.

A cost of a tiled nest is a product of such sums, one per loop, so the model and the mapper's tables share them. A
loop of size n cut into tiles of size t has n // t full tiles and at most one partial tile.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.mapping import ceil_div

IntArray = npt.NDArray[np.int64]
Count = TypeVar("Count", int, IntArray)
"""Tile sizes and what is computed of them: one integer, or an array with an entry per candidate."""


def larger(a: Count, b: int) -> Count:
    """The larger of each `a` and `b`."""
    return b + (a > b) * (a - b)


def smaller(a: Count, b: int) -> Count:
    """The smaller of each `a` and `b`."""
    return b - (a < b) * (b - a)


def ceilings(size: int, tile: Count, unit: int) -> Count:
    """Sum over the tiles of ceil(tile size / unit)."""
    return size // tile * -(-tile // unit) + -(-(size % tile) // unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One spatial axis of a convolution: output, kernel and input sizes and how one moves over the other."""

    out_size: int
    kernel_size: int
    stride: int
    dilation: int
    pad: int
    in_size: int


def row_axis(nest: ArrayNest) -> Axis:
    """The vertical axis of `nest`."""
    return Axis(
        out_size=nest.out_rows,
        kernel_size=nest.kernel_rows,
        stride=nest.row_stride,
        dilation=nest.row_dilation,
        pad=nest.top_pad,
        in_size=nest.in_rows,
    )


def column_axis(nest: ArrayNest) -> Axis:
    """The horizontal axis of `nest`."""
    return Axis(
        out_size=nest.out_columns,
        kernel_size=nest.kernel_columns,
        stride=nest.column_stride,
        dilation=nest.column_dilation,
        pad=nest.left_pad,
        in_size=nest.in_columns,
    )


def touched(axis: Axis, outs: range, taps: range) -> int:
    """Input positions inside the image that the output positions `outs` read through the kernel positions `taps`."""
    solid_taps = (axis.dilation == 1 or len(taps) == 1) and (len(taps) >= axis.stride or len(outs) == 1)
    solid_outs = axis.stride == 1 and (len(outs) >= axis.dilation or len(taps) == 1)
    if solid_taps or solid_outs:
        first = outs[0] * axis.stride + taps[0] * axis.dilation - axis.pad
        last = outs[-1] * axis.stride + taps[-1] * axis.dilation - axis.pad
        return max(0, min(last, axis.in_size - 1) - max(first, 0) + 1)
    positions = {out * axis.stride + tap * axis.dilation - axis.pad for out in outs for tap in taps}
    return sum(0 <= position < axis.in_size for position in positions)


@lru_cache(maxsize=65536)
def sum_of_touched(axis: Axis, out_tile: int, kernel_tile: int) -> int:
    """Sum over output tiles and kernel tiles of the input positions that one such tile needs from memory (windows
    clipped at the image's edge; positions that two tiles share count for both)."""
    if axis.stride == axis.kernel_size == 1 and axis.pad == 0 and axis.in_size >= axis.out_size:
        return axis.out_size
    total = 0
    for tap in range(0, axis.kernel_size, kernel_tile):
        taps = range(tap, min(tap + kernel_tile, axis.kernel_size))
        for out in range(0, axis.out_size, out_tile):
            total += touched(axis, range(out, min(out + out_tile, axis.out_size)), taps)
    return total


def line_cycles(columns: int, tile: Count, dim: int, minimum_rows: int) -> Count:
    """Array cycles of one output line with weights in place: every block of up to DIM columns takes one cycle a column
    and at least `minimum_rows` (gemmini.md, execute controller: garbage preload)."""
    rest = columns % tile
    return columns // tile * _part_cycles(tile, dim, minimum_rows) + _part_cycles(rest, dim, minimum_rows)


def _part_cycles(part: Count, dim: int, minimum_rows: int) -> Count:
    rest = part % dim
    return part // dim * max(dim, minimum_rows) + (rest > 0) * larger(rest, minimum_rows)


def preload_cycles(columns: int, tile: Count, dim: int, minimum_rows: int) -> Count:
    """Cycles that real preloads add, per weight block and summed over column tiles: one operation of every tile carries
    the weights in and takes DIM cycles whatever its rows; counted for the block with most rows, which adds least."""
    rest = columns % tile
    of_tile = larger(dim - larger(smaller(tile, dim), minimum_rows), 0)
    of_rest = larger(dim - larger(smaller(rest, dim), minimum_rows), 0)
    return columns // tile * of_tile + (rest > 0) * of_rest


def array_cycles(nest: ArrayNest, accelerator: Accelerator, pixels: tuple[Count, Count, Count], joined: Count) -> Count:
    """Cycles in which one weight block meets all output pixels of one repeat (weight-stationary), cut into tiles of
    `pixels` (images, out_rows, out_columns); `joined` is 1 where `mapping.joins_lines`, else 0.

    Rows that pass the transposer do so DIM at a time, and the preload of a transposed block overlaps no computation
    (Gemmini's TransposePreloadUnroller.scala; on its RTL 32 cycles a block of 16 rows).
    """
    dim, (images, rows, columns) = accelerator.dim, pixels
    transposed = nest.transpose_a or nest.transpose_b
    least = dim if transposed else accelerator.array.minimum_rows_per_compute
    image_tiles = -(-nest.images // images)
    row_tiles, column_tiles = -(-nest.out_rows // rows), -(-nest.out_columns // columns)
    line = (nest.out_columns, columns, dim, least)
    image = (nest.out_rows * nest.out_columns, rows * columns, dim, least)
    apart = nest.images * nest.out_rows * line_cycles(*line) + image_tiles * row_tiles * preload_cycles(*line)
    together = nest.images * line_cycles(*image) + image_tiles * preload_cycles(*image)
    split_preloads = int(nest.transpose_b) * dim * (image_tiles * row_tiles * column_tiles)
    cycles: Count = apart + joined * (together - apart) + split_preloads
    return cycles


def pixel_blocks(nest: ArrayNest, out_rows: Count, out_columns: Count, joined: Count, dim: int) -> Count:
    """Blocks of up to DIM pixels that one operation takes, over all pixel tiles of one repeat."""
    apart = nest.images * nest.out_rows * ceilings(nest.out_columns, out_columns, dim)
    together = nest.images * ceilings(nest.out_rows * nest.out_columns, out_rows * out_columns, dim)
    return apart + joined * (together - apart)


def output_blocks(nest: ArrayNest, pixel_tiles: Count, dim: int) -> Count:
    """Blocks of up to DIM accumulator rows (one row a pixel) that all pixel tiles of one repeat take at least, however
    a tile's pixels are packed into blocks."""
    return larger(pixel_tiles, ceil_div(nest.pixels, dim))


def row_beats(size: int, tile: Count, accelerator: Accelerator) -> Count:
    """Bus beats of a contiguous row of `size` inputs fetched tile by tile (at best alignment)."""
    each = accelerator.input_bytes
    return ceilings(size * each, tile * each, accelerator.dma.bus_bytes)


def row_requests(size: int, tile: Count, accelerator: Accelerator) -> Count:
    """Memory requests of a contiguous row of `size` inputs fetched or stored tile by tile (at best alignment)."""
    each = accelerator.input_bytes
    return ceilings(size * each, tile * each, accelerator.dma.request_bytes)


def row_write_cycles(size: int, tile: int, accelerator: Accelerator) -> int:
    """Port cycles to store a contiguous row of `size` outputs tile by tile. A request of k beats takes 2k - 1
    (gemmini.md, DMA: k accept cycles + k beat cycles - 1), so stores one DIM block wide, which a result's layout may
    force, are the fastest."""
    widest = min(accelerator.dim * accelerator.input_bytes, accelerator.dma.request_bytes)

    def cycles(part_bytes: int) -> int:
        requests, rest = divmod(part_bytes, widest)
        beats = requests * (2 * ceil_div(widest, accelerator.dma.bus_bytes) - 1)
        return beats + (2 * ceil_div(rest, accelerator.dma.bus_bytes) - 1 if rest else 0)

    full, rest = divmod(size, tile)
    return full * cycles(tile * accelerator.input_bytes) + cycles(rest * accelerator.input_bytes)
