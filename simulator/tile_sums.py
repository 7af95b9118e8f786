"""Sums over all tiles of one loop that the analytical model is made of: exact, separable, integers only.

A cost of a tiled nest is a product of such sums, one per loop, so the model and the mapper's tables share them. A
loop of size n cut into tiles of size t has n // t full tiles and at most one partial tile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.mapping import Tile, ceil_div


def tile_sizes(size: int, tile: int) -> Iterator[tuple[int, int]]:
    """(tile size, how many) for the full tiles and the partial one."""
    full, rest = divmod(size, tile)
    if full:
        yield tile, full
    if rest:
        yield rest, 1


def sum_of_ceilings(size: int, tile: int, unit: int) -> int:
    """Sum over the tiles of ceil(tile size / unit)."""
    return sum(count * ceil_div(part, unit) for part, count in tile_sizes(size, tile))


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


@lru_cache(maxsize=65536)
def line_cycles(columns: int, tile: int, dim: int, minimum_rows: int) -> int:
    """Array cycles of one output line with weights in place: every block of up to DIM columns takes one cycle a
    column and at least `minimum_rows` (gemmini.md, execute controller: garbage preload)."""
    total = 0
    for part, count in tile_sizes(columns, tile):
        blocks, rest = divmod(part, dim)
        total += count * (blocks * max(dim, minimum_rows) + (max(rest, minimum_rows) if rest else 0))
    return total


@lru_cache(maxsize=65536)
def preload_cycles(columns: int, tile: int, dim: int, minimum_rows: int) -> int:
    """Cycles that real preloads add, per weight block and summed over column tiles: one operation of every tile
    carries the weights in and takes DIM cycles whatever its rows; counted for the block with most rows, which adds
    least."""
    return sum(count * max(0, dim - max(min(part, dim), minimum_rows)) for part, count in tile_sizes(columns, tile))


def pixel_blocks(nest: ArrayNest, tile: Tile, dim: int) -> int:
    """Blocks of up to DIM output columns of one line, over all pixel tiles of one repeat."""
    return nest.images * nest.out_rows * sum_of_ceilings(nest.out_columns, tile.out_columns, dim)


def output_blocks(nest: ArrayNest, tile: Tile, dim: int) -> int:
    """Blocks of up to DIM accumulator rows (one row a pixel) that all pixel tiles of one repeat take at least, however
    a tile's pixels are packed into blocks."""
    tiles = ceil_div(nest.images, tile.images) * ceil_div(nest.out_rows, tile.out_rows)
    return max(tiles * ceil_div(nest.out_columns, tile.out_columns), ceil_div(nest.pixels, dim))


def row_beats(size: int, tile: int, accelerator: Accelerator) -> int:
    """Bus beats of a contiguous row of `size` inputs fetched tile by tile (at best alignment)."""
    return sum(
        count * ceil_div(part * accelerator.input_bytes, accelerator.dma.bus_bytes)
        for part, count in tile_sizes(size, tile)
    )


def row_requests(size: int, tile: int, accelerator: Accelerator) -> int:
    """Memory requests of a contiguous row of `size` inputs fetched or stored tile by tile (at best alignment)."""
    return sum(
        count * ceil_div(part * accelerator.input_bytes, accelerator.dma.request_bytes)
        for part, count in tile_sizes(size, tile)
    )


def row_write_cycles(size: int, tile: int, accelerator: Accelerator) -> int:
    """Port cycles to store a contiguous row of `size` outputs tile by tile. A request of k beats takes 2k - 1
    (gemmini.md, DMA: k accept cycles + k beat cycles - 1), so stores one DIM block wide, which a result's layout may
    force, are the fastest."""
    block = accelerator.dim * accelerator.input_bytes
    widest = min(block, accelerator.dma.request_bytes)
    total = 0
    for part, count in tile_sizes(size, tile):
        requests, rest = divmod(part * accelerator.input_bytes, widest)
        total += count * (
            requests * _write_cycles(widest, accelerator) + (_write_cycles(rest, accelerator) if rest else 0)
        )
    return total


def _write_cycles(request_bytes: int, accelerator: Accelerator) -> int:
    return 2 * ceil_div(request_bytes, accelerator.dma.bus_bytes) - 1
