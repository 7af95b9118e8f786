"""Bytes across one boundary of the memory: every operand once (compulsory), or what tiles that fit the inner memory
read again.

A matmul is tiled in one of three ways; partial sums never leave. All of them are order (rows, columns) nests of tiles,
inputs double-buffered:

- the results stay: a tile of tm x tn sums, slices of both operands streaming by (of depth 1; of a convolution, the
  taps of one channel);
- rows of the first operand stay over the whole depth, columns of the second streaming by;
- columns of the second operand stay, rows of the first streaming by.

With `blocks` of rows and columns the first operand is read once for every block of columns, the second once for every
block of rows (Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication, ACM TOMS 2008, section 4).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.rooflines.formats import Number
from simulator.rooflines.machine import Level
from simulator.rooflines.work import Work

FloatArray = npt.NDArray[np.float64]

FEW_BLOCKS = 48
"""Numbers of blocks of columns that are tried one by one; above, steps of a sixteenth of an octave."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Traffic:
    """Bytes towards the compute (`read_bytes`) and away from it."""

    read_bytes: Number
    write_bytes: Number

    @property
    def bytes(self) -> Number:
        """Both directions."""
        return self.read_bytes + self.write_bytes


def compulsory(work: Work) -> Traffic:
    """Every operand crosses once."""
    read = work.first_bytes + work.second_bytes + work.other_bytes
    return Traffic(read_bytes=read, write_bytes=work.result_bytes)


def tiled(work: Work, level: Level) -> Traffic:
    """What crosses into and out of `level`, whose capacity (or stated tile) decides how often operands are read.

    Raises nothing: a memory too small for any tile is refused by `machine_file`. Normalisations read a row once for
    every pass where two of their rows do not fit.
    """
    fits = 2 * np.asarray(work.row_bytes) <= level.capacity_bytes
    passes = np.where(fits, 1, work.row_passes)
    by_elements = work.first_bytes * passes
    read = np.where(work.is_matmul, _matmul_reads(work, level), by_elements) + work.other_bytes
    return Traffic(read_bytes=read, write_bytes=work.result_bytes)


def blocks(extent: Number, tile: Number) -> Number:
    """Tiles that cover `extent`."""
    return -(-np.asarray(extent) // np.maximum(tile, 1))


def _matmul_reads(work: Work, level: Level) -> Number:
    if level.square_tile is not None:
        return work.first_bytes * blocks(work.columns, level.square_tile) + work.second_bytes * blocks(
            work.rows, level.square_tile
        )
    if np.isinf(level.capacity_bytes):
        return work.first_bytes + work.second_bytes
    least = np.minimum(first_stays(work, level.capacity_bytes), second_stays(work, level.capacity_bytes))
    if np.all(least <= work.first_bytes + work.second_bytes):
        # Nothing goes below every operand once, and the third way is the one that takes time to find.
        return least
    return np.minimum(least, results_stay(work, level.capacity_bytes))


def first_stays(work: Work, capacity_bytes: float) -> Number:
    """Bytes read where blocks of rows of the first operand stay; infinite where not one row fits beside two columns of
    the second operand.

    A row takes its whole depth, or its share of a convolution's input, whose windows then overlap by the halo.
    """
    left = capacity_bytes - 2 * work.depth * np.asarray(work.second_width_bytes, float)
    share = _ratio(work.first_bytes, work.repeats * np.maximum(work.rows, 1))
    flat = left // (work.depth * np.asarray(work.first_width_bytes, float) + 2 * work.sum_width_bytes)
    windowed = (left - work.halo_bytes) // (share + 2 * work.sum_width_bytes)
    tile = np.minimum(np.maximum(flat, windowed), np.maximum(work.rows, 1))
    row_blocks = blocks(work.rows, tile)
    read = _first_reads(work, row_blocks, 1) + work.second_bytes * row_blocks
    return np.where(tile >= 1, read, np.inf)


def second_stays(work: Work, capacity_bytes: float) -> Number:
    """Bytes read where blocks of columns of the second operand stay; infinite where not one fits beside two rows of the
    first.

    A convolution's rows share the halo where that stays too; otherwise every window is read whole.
    """
    left = capacity_bytes - 2 * work.depth * np.asarray(work.first_width_bytes, float)
    column = work.depth * np.asarray(work.second_width_bytes, float) + 2 * work.sum_width_bytes
    ways = []
    for held, read_once in ((work.halo_bytes, work.first_bytes), (0, _windows(work))):
        tile = np.minimum((left - held) // column, np.maximum(work.columns, 1))
        read = read_once * blocks(work.columns, tile) + work.second_bytes
        ways.append(np.where(tile >= 1, read, np.inf))
    return np.minimum(*ways)


def results_stay(work: Work, capacity_bytes: float) -> Number:
    """Least bytes read over the numbers of blocks of columns tried, rows filling what is left: exact up to FEW_BLOCKS
    blocks, within a sixteenth of an octave above. Infinite where not one result fits."""
    lifted = _lifted(work)
    columns, rows = lifted.columns, lifted.rows
    tried = _block_counts(int(np.max(columns, initial=1)))
    width = np.ceil(columns / np.minimum(tried, np.maximum(columns, 1)))
    first, second = (2 * lifted.slice_depth * each for each in (lifted.first_width_bytes, lifted.second_width_bytes))
    height = np.minimum((capacity_bytes - second * width) // (lifted.sum_width_bytes * width + first), rows)
    row_blocks, column_blocks = blocks(rows, height), blocks(columns, width)
    read = _first_reads(lifted, row_blocks, column_blocks) + lifted.second_bytes * row_blocks
    least: FloatArray = np.where(height >= 1, read, np.inf).min(axis=-1)
    return least


def _first_reads(work: Work, row_blocks: Any, column_blocks: Any) -> Any:
    """The first operand once for every block of columns, with the halo that blocks of rows read again, and never more
    than all windows one by one."""
    whole = work.first_bytes + work.repeats * work.halo_bytes * (row_blocks - 1)
    return column_blocks * np.minimum(whole, _windows(work))


def _windows(work: Work) -> Any:
    """Bytes of all windows of the first operand, one by one: of a matmul, the operand."""
    each = np.asarray(work.repeats, float) * work.rows * work.depth * work.first_width_bytes
    return np.maximum(each, work.first_bytes)


def _lifted(work: Work) -> Work:
    """The numbers that tiles depend on, with an axis for the blocks tried."""
    numbers = (field.name for field in fields(Work) if field.name != "function")
    return Work(function="", **{name: np.asarray(getattr(work, name), float)[..., None] for name in numbers})


def _block_counts(most: int) -> FloatArray:
    few = np.arange(1, min(most, FEW_BLOCKS) + 1)
    if most <= FEW_BLOCKS:
        return few.astype(float)
    many = np.ceil(2 ** np.arange(np.log2(FEW_BLOCKS), np.log2(most), 1 / 16))
    counts: FloatArray = np.unique(np.concatenate([few, many, [most]])).astype(float)
    return counts


def _ratio(top: Number, bottom: Number) -> Any:
    return np.asarray(top, float) / np.maximum(bottom, 1)
