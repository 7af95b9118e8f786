"""Legality and analytical cost of many mappings at once: `simulator.mapping` and `simulator.analytical` over arrays.

Mappings that differ in their tile sizes only are evaluated together; what else a mapping chooses is the `template`'s.
The numbers are those of `check_legal` and `analytical`, one mapping at a time, exactly; a test holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.accelerator import Accelerator
from simulator.analytical import bias_block, ramps
from simulator.array_nest import ArrayNest
from simulator.energy import energy_pj
from simulator.mapping import Mapping, Tile, can_join_lines, ceil_div, input_extent
from simulator.packing import is_seen
from simulator.tile_sums import (
    Axis,
    IntArray,
    array_cycles,
    ceilings,
    column_axis,
    output_blocks,
    pixel_blocks,
    row_axis,
    row_beats,
    row_requests,
    row_write_cycles,
    sum_of_touched,
)

BoolArray = npt.NDArray[np.bool_]
LOOPS = tuple(Tile.__dataclass_fields__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiles:
    """Tile sizes of many mappings: as `simulator.mapping.Tile`, each field int64 (n,)."""

    images: IntArray
    out_rows: IntArray
    out_columns: IntArray
    out_channels: IntArray
    kernel_rows: IntArray
    kernel_columns: IntArray
    in_channels: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Latency, busy cycles of the array, energy and bytes over the memory port of many mappings, (n,) each."""

    cycles: IntArray
    compute_cycles: IntArray
    energy_pj: npt.NDArray[np.float64]
    dram_bytes: IntArray


def tiles_of(sizes: IntArray) -> Tiles:
    """The rows of `sizes` (n, 7), in the order of LOOPS."""
    return Tiles(**dict(zip(LOOPS, np.ascontiguousarray(sizes.T), strict=True)))


def legal(nest: ArrayNest, template: Mapping, tiles: Tiles, accelerator: Accelerator) -> BoolArray:
    """Which of `template` with `tiles` fit the scratchpad and the accumulator, cut a transposed A as it can be and pack
    pixels as they can be: what `check_legal` asks of a mapping whose sizes are inside their loops and whose channel
    tiles are blocks."""
    counts = _counts(nest, tiles)
    a_copies, b_copies, c_copies = _copies(nest, template, counts)
    c_rows = tiles.images * tiles.out_rows * tiles.out_columns * _ceil(tiles.out_channels, accelerator.dim)
    fits = c_rows * c_copies <= accelerator.accumulator_rows
    a_rows, b_rows = _a_rows(nest, template, tiles, accelerator.dim), _b_rows(nest, template, tiles, accelerator.dim)
    fits &= a_rows * a_copies + b_rows * b_copies <= accelerator.scratchpad_rows
    if nest.transpose_a and template.a_placement == "whole":
        fits &= (tiles.out_columns % accelerator.dim == 0) | (tiles.out_columns == nest.out_columns)
    if template.max_pixels_per_row > 1:
        fits &= (a_rows <= accelerator.scratchpad_rows // 2) & _can_pack(nest, template, tiles, accelerator.dim)
    return fits


def _can_pack(nest: ArrayNest, template: Mapping, tiles: Tiles, dim: int) -> BoolArray:
    pixels = template.max_pixels_per_row

    def seen(out_columns: int, kernel_columns: int) -> int:
        kept = kernel_columns if template.a_placement == "tile" else nest.kernel_columns
        return int(is_seen(nest, out_columns, kernel_columns, kept, pixels, dim))

    packs: BoolArray = (tiles.kernel_columns >= pixels) & (_by_pair(tiles.out_columns, tiles.kernel_columns, seen) > 0)
    return packs & (tiles.out_columns == nest.out_columns) if template.a_placement == "whole" else packs


def costs(nest: ArrayNest, template: Mapping, tiles: Tiles, accelerator: Accelerator) -> Costs:
    """What `analytical` says of `template` with each of `tiles`; all must be legal."""
    counts, dim = _counts(nest, tiles), accelerator.dim
    a = _a_stream(nest, template, tiles, counts, accelerator)
    b = _b_stream(nest, template, tiles, counts, accelerator)
    store = _c_stream(nest, tiles, accelerator)
    block = bias_block(nest, accelerator)
    blocks = nest.repeat_count * output_blocks(nest, counts.pixels, dim)
    beats, requests = a.beats + b.beats + blocks * block.beats, a.requests + b.requests + blocks * block.requests
    compute = _compute_cycles(nest, template, tiles, accelerator)
    read = _read_cycles(beats, requests, store.requests, accelerator)
    pixels = template.max_pixels_per_row
    if pixels > 1:
        read = np.maximum(read, a.bytes // (nest.in_channels * accelerator.input_bytes) * pixels)
    return Costs(
        cycles=_latency(nest, accelerator, compute=compute, read=read, write=store.beats),
        compute_cycles=compute,
        energy_pj=_energy(nest, template, tiles, counts, accelerator, (a, b, blocks * block.bytes, store)),
        dram_bytes=a.bytes + b.bytes + blocks * block.bytes + store.bytes,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counts:
    """Number of tiles of each outer loop of one repeat."""

    pixels: IntArray
    channels: IntArray
    reduction: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stream:
    """What one operand moves over the memory port in all repeats."""

    beats: IntArray
    requests: IntArray
    bytes: IntArray


def _ceil(amount: IntArray, size: int) -> IntArray:
    return -(-amount // size)


def _tiles(size: int, tile: IntArray) -> IntArray:
    return -(-size // tile)


def _counts(nest: ArrayNest, tiles: Tiles) -> _Counts:
    return _Counts(
        pixels=_tiles(nest.images, tiles.images)
        * _tiles(nest.out_rows, tiles.out_rows)
        * _tiles(nest.out_columns, tiles.out_columns),
        channels=_tiles(nest.out_channels, tiles.out_channels),
        reduction=_tiles(nest.kernel_rows, tiles.kernel_rows)
        * _tiles(nest.kernel_columns, tiles.kernel_columns)
        * _tiles(nest.in_channels, tiles.in_channels),
    )


def _copies(nest: ArrayNest, template: Mapping, counts: _Counts) -> tuple[IntArray, IntArray, IntArray]:
    """`simulator.mapping.copies`."""
    once = nest.repeat_count == 1
    a_once = (template.a_placement == "whole") | (
        (counts.pixels == 1) & ((template.a_placement == "panel") | (counts.reduction == 1))
    )
    b_once = (template.b_placement == "whole") | (
        (counts.channels == 1) & ((template.b_placement == "panel") | (counts.reduction == 1))
    )
    c_once = counts.pixels * counts.channels == 1
    a, b, c = (
        np.where(once & filled, 1, limit)
        for filled, limit in (
            (a_once, template.a_copies),
            (b_once, template.b_copies),
            (c_once, template.c_copies),
        )
    )
    return a, b, c


def _a_rows(nest: ArrayNest, template: Mapping, tiles: Tiles, dim: int) -> IntArray:
    """Rows of one copy of A (`simulator.mapping.buffers`)."""
    whole = template.a_placement == "whole"
    everything, deep = np.ones_like(tiles.images), whole or template.a_placement == "panel"
    channels = nest.in_channels * everything if deep else tiles.in_channels
    out_rows, out_columns, images = (
        (nest.out_rows * everything, nest.out_columns * everything, nest.images * everything)
        if whole
        else (tiles.out_rows, tiles.out_columns, tiles.images)
    )
    if nest.transpose_a:
        return channels * _ceil(out_columns, dim)
    kernel_rows = nest.kernel_rows * everything if deep else tiles.kernel_rows
    kernel_columns = nest.kernel_columns * everything if deep else tiles.kernel_columns
    rows = _extents(row_axis(nest), out_rows, kernel_rows)
    columns = _extents(column_axis(nest), out_columns, kernel_columns)
    return images * rows * columns * _ceil(channels, dim) + template.max_pixels_per_row - 1


def _b_rows(nest: ArrayNest, template: Mapping, tiles: Tiles, dim: int) -> IntArray:
    """Rows of one copy of B (`simulator.mapping.buffers`)."""
    everything, deep = np.ones_like(tiles.images), template.b_placement != "tile"
    positions = (
        nest.kernel_rows * nest.kernel_columns * everything if deep else tiles.kernel_rows * tiles.kernel_columns
    )
    channels = nest.in_channels * everything if deep else tiles.in_channels
    out_channels = nest.out_channels * everything if template.b_placement == "whole" else tiles.out_channels
    if nest.transpose_b:
        return positions * out_channels * _ceil(channels, dim)
    return positions * channels * _ceil(out_channels, dim)


def _extents(axis: Axis, outs: IntArray, taps: IntArray) -> IntArray:
    return _by_pair(outs, taps, lambda out, tap: input_extent(out, axis.stride, tap, axis.dilation))


def _windows(axis: Axis, outs: IntArray, taps: IntArray) -> IntArray:
    return _by_pair(outs, taps, lambda out, tap: sum_of_touched(axis, out, tap))


def _by_pair(first: IntArray, second: IntArray, number: Callable[[int, int], int]) -> IntArray:
    """`number` of every pair, computed once for each distinct one."""
    width = int(second.max(initial=0)) + 1
    distinct, where = np.unique(first * width + second, return_inverse=True)
    numbers: IntArray = np.array([number(*divmod(pair, width)) for pair in distinct.tolist()], dtype=np.int64)[where]
    return numbers


def _compute_cycles(nest: ArrayNest, template: Mapping, tiles: Tiles, accelerator: Accelerator) -> IntArray:
    dim = accelerator.dim
    blocks = nest.repeat_count * _reduction_blocks(nest, template, tiles, dim) * ceil_div(nest.out_channels, dim)
    if template.dataflow == "os":
        return blocks * pixel_blocks(nest, tiles.out_rows, tiles.out_columns, _joined(nest, template, tiles), dim) * dim
    pixels = (tiles.images, tiles.out_rows, tiles.out_columns)
    return blocks * array_cycles(nest, accelerator, pixels, _joined(nest, template, tiles))


def _reduction_blocks(nest: ArrayNest, template: Mapping, tiles: Tiles, dim: int) -> IntArray:
    packs: IntArray = ceilings(nest.kernel_columns, tiles.kernel_columns, template.max_pixels_per_row)
    return nest.kernel_rows * packs * ceil_div(nest.in_channels, dim)


def _joined(nest: ArrayNest, template: Mapping, tiles: Tiles) -> IntArray:
    """1 where `simulator.mapping.joins_lines`, else 0."""
    if template.a_placement == "tile":
        windows = np.stack((tiles.kernel_rows, tiles.kernel_columns), axis=1)
    else:
        windows = np.array([[nest.kernel_rows, nest.kernel_columns]])
    distinct, where = np.unique(windows, axis=0, return_inverse=True)
    joins = np.array([can_join_lines(nest, (rows, columns)) for rows, columns in distinct.tolist()], dtype=np.int64)
    joined: IntArray = joins[where.ravel()] * (tiles.out_columns == nest.out_columns)
    return joined


def _read_cycles(beats: IntArray, requests: IntArray, stores: IntArray, accelerator: Accelerator) -> IntArray:
    memory = accelerator.memory
    by_latency = _ceil(requests * memory.latency_cycles, accelerator.dma.requests_in_flight)
    cycles: IntArray = np.maximum((beats + stores) * memory.cycles_per_beat, by_latency)
    return cycles


def _latency(
    nest: ArrayNest, accelerator: Accelerator, *, compute: IntArray, read: IntArray, write: IntArray
) -> IntArray:
    ramp = ramps(nest, accelerator)
    longest = np.maximum(ramp.before_compute + compute + ramp.after_compute, read + ramp.after_compute)
    return np.maximum(longest, ramp.before_store + write + ramp.after_store)


def _a_stream(nest: ArrayNest, template: Mapping, tiles: Tiles, counts: _Counts, accelerator: Accelerator) -> _Stream:
    passes = nest.repeat_count * np.where(_a_is_reloaded(template, counts), counts.channels, 1)
    if nest.transpose_a:
        rows = passes * nest.images * nest.out_rows * nest.in_channels
        return _Stream(
            beats=rows * row_beats(nest.out_columns, tiles.out_columns, accelerator),
            requests=rows * row_requests(nest.out_columns, tiles.out_columns, accelerator),
            bytes=rows * nest.out_columns * accelerator.input_bytes,
        )
    everything, placement = np.ones_like(tiles.images), template.a_placement
    out_rows, out_columns = (
        (nest.out_rows * everything, nest.out_columns * everything)
        if placement == "whole"
        else (tiles.out_rows, tiles.out_columns)
    )
    kernel_rows, kernel_columns = (
        (tiles.kernel_rows, tiles.kernel_columns)
        if placement == "tile"
        else (nest.kernel_rows * everything, nest.kernel_columns * everything)
    )
    pixels = nest.images * _windows(row_axis(nest), out_rows, kernel_rows)
    rows = passes * pixels * _windows(column_axis(nest), out_columns, kernel_columns)
    return _Stream(
        beats=rows * row_beats(nest.in_channels, tiles.in_channels, accelerator),
        requests=rows * row_requests(nest.in_channels, tiles.in_channels, accelerator),
        bytes=rows * nest.in_channels * accelerator.input_bytes,
    )


def _b_stream(nest: ArrayNest, template: Mapping, tiles: Tiles, counts: _Counts, accelerator: Accelerator) -> _Stream:
    passes = nest.repeat_count * nest.kernel_rows * nest.kernel_columns
    reloads = passes * np.where(_b_is_reloaded(template, counts), counts.pixels, 1)
    rows, row, part = (
        (nest.out_channels, nest.in_channels, tiles.in_channels)
        if nest.transpose_b
        else (nest.in_channels, nest.out_channels, tiles.out_channels)
    )
    return _Stream(
        beats=reloads * rows * row_beats(row, part, accelerator),
        requests=reloads * rows * row_requests(row, part, accelerator),
        bytes=reloads * rows * row * accelerator.input_bytes,
    )


def _c_stream(nest: ArrayNest, tiles: Tiles, accelerator: Accelerator) -> _Stream:
    rows, whole, tile = nest.repeat_count * nest.pixels, nest.out_channels, tiles.out_channels
    cycles = _by_pair(tile, np.zeros_like(tile), lambda size, _: row_write_cycles(whole, size, accelerator))
    return _Stream(
        beats=rows * cycles,
        requests=rows * row_requests(whole, tile, accelerator),
        bytes=np.full_like(tile, rows * whole * accelerator.input_bytes),
    )


def _a_is_reloaded(template: Mapping, counts: _Counts) -> BoolArray:
    if template.a_placement != "tile":
        return np.zeros(counts.pixels.shape, np.bool_)
    kept = (counts.pixels == 1) & (counts.reduction == 1)
    reloaded: BoolArray = ~kept & ((template.order == "channels_outer") | (counts.reduction > 1))
    return reloaded


def _b_is_reloaded(template: Mapping, counts: _Counts) -> BoolArray:
    if template.b_placement != "tile":
        return np.zeros(counts.pixels.shape, np.bool_)
    kept = (counts.channels == 1) & (counts.reduction == 1)
    reloaded: BoolArray = ~kept & ((template.order == "pixels_outer") | (counts.reduction > 1))
    return reloaded


def _energy(
    nest: ArrayNest,
    template: Mapping,
    tiles: Tiles,
    counts: _Counts,
    accelerator: Accelerator,
    moved: tuple[_Stream, _Stream, IntArray, _Stream],
) -> npt.NDArray[np.float64]:
    """`energy_pj` of the on-chip traffic that `analytical` counts."""
    a, b, bias_bytes, store = moved
    dim, pixels = accelerator.dim, nest.repeat_count * nest.pixels
    weights = nest.repeat_count * nest.reduction * nest.out_channels * accelerator.input_bytes
    fed_a = pixels * nest.reduction * accelerator.input_bytes * ceil_div(nest.out_channels, dim)
    if template.dataflow == "ws":
        fed_b = weights * counts.pixels
        updates = _reduction_blocks(nest, template, tiles, dim)
    else:
        fed_b, updates = (
            weights * pixel_blocks(nest, tiles.out_rows, tiles.out_columns, _joined(nest, template, tiles), dim),
            counts.reduction,
        )
    outputs = pixels * nest.out_channels * accelerator.accumulator_bytes
    return energy_pj(
        accelerator,
        macs=np.full(counts.pixels.shape, float(nest.macs)),
        scratchpad_bytes=(fed_a + fed_b + a.bytes * template.max_pixels_per_row + b.bytes).astype(np.float64),
        accumulator_bytes=(2 * outputs * (updates + nest.bias)).astype(np.float64),
        dram_bytes=(a.bytes + b.bytes + bias_bytes + store.bytes).astype(np.float64),
    )
