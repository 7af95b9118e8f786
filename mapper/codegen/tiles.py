"""Compiled: where each step of the tile walk stands, and its runs of output columns on chip and in memory.

A step is one (repeat, pixel tile, output-channel tile, reduction tile). A run is up to DIM output columns of one line,
what one compute takes. Everything here is a pure function of the Walk and the step number.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# numpy integers, so that compiled functions are not specialised on each of them.
(
    REPEAT, IMAGE_0, IMAGE_1, ROW_0, ROW_1, COLUMN_0, COLUMN_1, OUT_0, OUT_1, KROW_0, KROW_1, KCOL_0, KCOL_1,
    IN_0, IN_1, PIXEL_TILE, CHANNEL_TILE, REDUCTION_TILE, RESULT, A_LOADS, B_LOADS,
    A_BASE, B_BASE, C_BASE, STEP_FIELDS,
) = map(np.int64, range(25))  # fmt: skip
ZERO = np.int64(0)

inner = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy")
"""Compiles functions that only compiled functions call: part of `emit_steps` in `codegen.steps`, which is cached."""
merged = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False, error_model="numpy", forceinline=True)
"""As `inner`, for what every command passes through: it becomes part of its caller, so that no array is handed on
(seven words each) and counted at every command."""


@inner
def _span_of(index, tile, size, info, at):  # type: ignore[no-untyped-def]
    info[at] = index * tile
    info[at + 1] = min(size, (index + 1) * tile)


@inner
def place_step(w, step, info):  # type: ignore[no-untyped-def]
    """Fill `info` (STEP_FIELDS,) with the ranges, buffers and loads of one step."""
    reduction, result = step % w.reduction_tiles, step // w.reduction_tiles
    if w.channels_outer:
        pixel, channel = result % w.pixel_tiles, result // w.pixel_tiles % w.channel_tiles
    else:
        channel, pixel = result % w.channel_tiles, result // w.channel_tiles % w.pixel_tiles
    repeat = result // (w.channel_tiles * w.pixel_tiles)
    row_tiles = -(-w.out_rows // w.tile_out_rows)
    column_tiles = -(-w.out_columns // w.tile_out_columns)
    in_tiles = -(-w.in_channels // w.tile_in_channels)
    kcol_tiles = -(-w.kernel_columns // w.tile_kernel_columns)
    info[REPEAT], info[RESULT] = repeat, result
    info[PIXEL_TILE], info[CHANNEL_TILE], info[REDUCTION_TILE] = pixel, channel, reduction
    _span_of(pixel // (row_tiles * column_tiles), w.tile_images, w.images, info, IMAGE_0)
    _span_of(pixel // column_tiles % row_tiles, w.tile_out_rows, w.out_rows, info, ROW_0)
    _span_of(pixel % column_tiles, w.tile_out_columns, w.out_columns, info, COLUMN_0)
    _span_of(channel, w.tile_out_channels, w.out_channels, info, OUT_0)
    _span_of(reduction // (kcol_tiles * in_tiles), w.tile_kernel_rows, w.kernel_rows, info, KROW_0)
    _span_of(reduction // in_tiles % kcol_tiles, w.tile_kernel_columns, w.kernel_columns, info, KCOL_0)
    _span_of(reduction % in_tiles, w.tile_in_channels, w.in_channels, info, IN_0)
    first_kernel = info[KROW_0] == 0 and info[KCOL_0] == 0
    info[A_LOADS] = (channel == 0 and first_kernel) if w.a_place else step % w.a_period == 0
    info[B_LOADS] = pixel == 0 if w.b_place else step % w.b_period == 0
    info[A_BASE] = w.a_base_1 if step // w.a_period % w.a_copies else w.a_base_0
    info[B_BASE] = w.b_base_1 if step // w.b_period % w.b_copies else w.b_base_0
    info[C_BASE] = w.c_base_1 if result % w.c_copies else w.c_base_0


@inner
def packs_in_row(w, info):  # type: ignore[no-untyped-def]
    """Packs of kernel columns in a kernel row of the step: each is one position of the kernel to the array."""
    return -(-(info[KCOL_1] - info[KCOL_0]) // w.pixels)


@inner
def packs_of(w, info):  # type: ignore[no-untyped-def]
    """Packs of kernel columns in all of the step's kernel rows."""
    return (info[KROW_1] - info[KROW_0]) * packs_in_row(w, info)


@inner
def run_index(w, info, block, tap, k_block, run):  # type: ignore[no-untyped-def]
    """Position among the step's computes of one (output-channel block, pack of kernel columns, in-channel block, run of
    columns)."""
    taps = packs_of(w, info)
    k_blocks = -(-(info[IN_1] - info[IN_0]) // w.dim)
    runs = runs_of(w, info)
    if w.weight_stationary:
        return ((block * taps + tap) * k_blocks + k_block) * runs + run
    return ((block * runs + run) * taps + tap) * k_blocks + k_block


@inner
def runs_of(w, info):  # type: ignore[no-untyped-def]
    """Runs of up to DIM output pixels in the step's pixel tile."""
    lines = (info[IMAGE_1] - info[IMAGE_0]) * (1 if w.joined else info[ROW_1] - info[ROW_0])
    return lines * -(-run_width(w, info) // w.dim)


@inner
def run_width(w, info):  # type: ignore[no-untyped-def]
    """Output pixels that runs divide among them: of a line, or of all lines of an image where these are joined."""
    return (info[COLUMN_1] - info[COLUMN_0]) * (info[ROW_1] - info[ROW_0] if w.joined else 1)


@inner
def first_run_lacks(w, width):  # type: ignore[no-untyped-def]
    """Columns by which the first run of a line of `width` columns is short of DIM. The last run must be full: it shares
    its cycles with the next weights' preload, which takes DIM whatever the run's rows. (A transposed A has its blocks
    from the line's start, and passes the transposer DIM rows at a time anyway.)"""
    return 0 if w.transpose_a else -width % w.dim


@inner
def b_row(w, row, block):  # type: ignore[no-untyped-def]
    """Row offset of row `row` of block `block` of B."""
    return row // w.dim * w.b_row + row % w.dim + block * w.b_block


@inner
def a_column(w, info, column):  # type: ignore[no-untyped-def]
    """Row offset within its line of a layout column of A: chunks hold the columns of one run of the step's tile."""
    if w.a_chunk == 0:
        return column
    first = info[COLUMN_0] if w.a_place == 2 else ZERO
    at = column - first + first_run_lacks(w, info[COLUMN_1] - info[COLUMN_0])
    return (first // w.dim + at // w.dim) * w.a_chunk + at % w.dim


@inner
def place_runs(w, info, runs):  # type: ignore[no-untyped-def]
    """Rows of `runs`: accumulator offset, scratchpad offset of A, output pixel, rows; one per run of up to DIM
    pixels."""
    at, slot, used = 0, 0, w.dim
    width = run_width(w, info)
    rest = width % w.dim
    step_rows, step_columns = w.row_stride // w.row_step, w.column_stride // w.column_step
    image_0, row_0, column_0 = info[IMAGE_0], info[ROW_0], info[COLUMN_0]
    if w.a_place == 2:
        image_0, row_0, column_0 = 0, 0, 0
    line = 0
    for image in range(info[IMAGE_0], info[IMAGE_1]):
        for row in range(info[ROW_0], info[ROW_0] + 1 if w.joined else info[ROW_1]):
            start = ((image - image_0) * w.a_height + (row - row_0) * step_rows) * w.a_line
            column, rows = info[COLUMN_0], w.dim - first_run_lacks(w, width)
            end = info[COLUMN_0] + width
            while column < end:
                rows = min(rows, end - column)
                runs[at, 0] = line * width + column - info[COLUMN_0]
                if w.c_slotted and rows == w.dim:
                    runs[at, 0] = slot * w.c_blocks * w.dim
                    slot += 1
                if w.transpose_a:
                    runs[at, 1] = (column - column_0) // w.dim * w.a_chunk
                else:
                    runs[at, 1] = start + a_column(w, info, (column - column_0) * step_columns)
                runs[at, 2] = (image * w.out_rows + row) * w.out_columns + column
                runs[at, 3] = rows
                column += rows
                rows = w.dim
                at += 1
            line += 1
    if w.c_slotted and rest:  # short runs share slots behind the full ones
        per_line = -(-width // w.dim)
        short = per_line - 1 if w.transpose_a else 0
        for index in range(line):
            if used + rest > w.dim:
                used = 0
                slot += 1
            runs[index * per_line + short, 0] = (slot - 1) * w.c_blocks * w.dim + used
            used += rest
    return at


@inner
def place_pieces(w, runs, run_count, pieces):  # type: ignore[no-untyped-def]
    """Rows of `pieces`: accumulator offset, output pixel, rows, first run, last run; runs that one command can move are
    one."""
    count = 0
    for run in range(run_count):
        offset, pixel, rows = runs[run, 0], runs[run, 2], runs[run, 3]
        if count and pieces[count - 1, 2] + rows <= w.dim:
            last = pieces[count - 1]
            if last[0] + last[2] == offset and last[1] + last[2] == pixel:
                last[2] += rows
                last[4] = run
                continue
        pieces[count, 0], pieces[count, 1], pieces[count, 2] = offset, pixel, rows
        pieces[count, 3], pieces[count, 4] = run, run
        count += 1
    return count
