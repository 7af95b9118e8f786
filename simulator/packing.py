"""Kernel columns side by side in the rows of the array: Gemmini's first-layer optimisation.

A convolution of few input channels would fill few of the array's rows. The DMA's pixel repeater (PixelRepeater.scala;
`pixel_repeats` of a load's configuration) writes every pixel of C channels several times, copy r into columns r x C and
on of the scratchpad row r before its own. A row then begins with one pixel and goes on with those to its right, and one
compute takes up to `max_pixels_per_row` columns of the kernel: their weights follow each other, as they lie in memory.
The last pack of a kernel row is what is left, 5 + 2 of 7 columns. Source: sp_tiled_conv and loop_conv_ws in the C
library's gemmini.h at 180c468; LoopConv.scala of ucb-bar/gemmini at 8c3f992.
"""

from __future__ import annotations

from functools import lru_cache

from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest


def most_pixels_per_row(nest: ArrayNest, accelerator: Accelerator) -> int:
    """Kernel columns that `accelerator` can put beside each other: copies lie one scratchpad row apart, so the columns
    must be neighbours, and no more of them than fill a row (the library's DIM / ichs, at most the kernel's)."""
    if not accelerator.dma.pixel_repeater or nest.column_dilation > 1 or nest.transpose_a or nest.transpose_b:
        return 1
    return max(1, min(accelerator.dim // nest.in_channels, nest.kernel_columns))


def packs(kernel_columns: int, tile_columns: int, pixels_per_row: int) -> int:
    """Packs of up to `pixels_per_row` columns that a kernel row takes, cut into tiles of `tile_columns`."""
    full, rest = divmod(kernel_columns, tile_columns)
    return full * -(-tile_columns // pixels_per_row) + -(-rest // pixels_per_row)


@lru_cache(maxsize=65536)
def is_seen(
    nest: ArrayNest, out_columns: int, kernel_columns: int, kept_columns: int, pixels_per_row: int, dim: int
) -> bool:
    """Whether computes wait for the loads of their pixels, and loads for the computes whose pixels they overwrite: for
    tiles of `out_columns` and `kernel_columns` where lines are kept for `kept_columns` of the kernel.

    The reservation station takes a load of repeated pixels to begin a row earlier for each copy, and to end that much
    earlier too (ReservationStation.scala: dst.end is the moved start plus the rows). So a compute that begins in a
    load's last rows does not wait for it; it is safe behind one that does, since computes issue in order. So the first
    run of a line must reach over as many rows as there are copies, and every pack's first row must lie before the last
    rows of the line's first load. (Zeros left of the image are written without repeats.) Nor does the load wait for
    the compute; but that to its right does, and goes first (`codegen.loads`). So no compute may begin in the line's
    last rows.
    """
    stride, whole = nest.column_stride, nest.kernel_columns
    for first in range(0, nest.out_columns, out_columns):
        columns = min(out_columns, nest.out_columns - first)
        if (columns % dim or dim) * stride < pixels_per_row:
            return False
        for tap in range(0, whole, kept_columns):
            taps = min(kept_columns, whole - tap)
            start, width = first * stride + tap - nest.left_pad, (columns - 1) * stride + taps
            left, right = (min(max(edge - start, 0), width) for edge in (0, nest.in_columns))
            last_tile = (taps - 1) // kernel_columns * kernel_columns
            last_pack = last_tile + (taps - 1 - last_tile) // pixels_per_row * pixels_per_row
            first_ends, last_begins = min(left + dim, right), (columns - min(columns, dim)) * stride + last_pack
            if stride > taps or last_begins + pixels_per_row > width:
                return False
            if left < right and first_ends < last_pack + pixels_per_row:
                return False
    return True
