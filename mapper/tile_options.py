"""The tile sizes worth considering, per group of loops, with everything that cost and capacity need to know about each.

Every size of every loop is evaluated exactly; a size stays unless another is at least as good in every number that the
objective or a constraint reads. All of those grow with each number, so what is left out cannot be part of a better
mapping than what stays: the pruning is lossless by the numbers themselves, with no argument about divisors or monotone
sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.mapping import Tile, ceil_div, input_extent, is_ragged
from simulator.tile_sums import (
    column_axis,
    line_cycles,
    output_blocks,
    preload_cycles,
    row_axis,
    row_beats,
    row_requests,
    row_write_cycles,
    sum_of_ceilings,
    sum_of_touched,
)

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Non-dominated choices: `sizes` (choices, loops) and one named column of (choices,) integers per number; less is
    better."""

    sizes: IntArray
    columns: dict[str, IntArray]

    def __len__(self) -> int:
        return len(self.sizes)

    def first_not_worse(self, numbers: dict[str, int]) -> int:
        """Index of a choice that is at least as good as one with these numbers (one exists if it came from these
        loops)."""
        good = np.ones(len(self), dtype=bool)
        for name, column in self.columns.items():
            good &= column <= numbers[name]
        return int(np.argmax(good))


def pixel_options(nest: ArrayNest, accelerator: Accelerator, kernel: tuple[int, int]) -> Options:
    """Tiles of (images, out_rows, out_columns) under a kernel tile of (kernel_rows, kernel_columns)."""
    images = _pruned([(size, ceil_div(nest.images, size)) for size in range(1, nest.images + 1)])
    rows = _pruned(
        [(size, *_axis_numbers(nest, size, kernel[0], vertical=True)) for size in range(1, nest.out_rows + 1)]
    )
    columns = _pruned(
        [(size, *_column_numbers(nest, size, kernel[1], accelerator)) for size in range(1, nest.out_columns + 1)]
    )
    sizes = np.array([(i, p, q) for i in images[:, 0] for p in rows[:, 0] for q in columns[:, 0]], dtype=np.int64)
    numbers = [
        pixel_numbers(nest, accelerator, pixel_tile(nest, (int(i), int(p), int(q)), kernel)) for i, p, q in sizes
    ]
    return _options(sizes, numbers)


def pixel_numbers(nest: ArrayNest, accelerator: Accelerator, tile: Tile) -> dict[str, int]:
    """Everything about the pixel part of `tile`; a_* per channel of the input (per in_channels element where A is
    transposed)."""
    dim = accelerator.dim
    lines = nest.images * nest.out_rows
    tiles_of_lines = ceil_div(nest.images, tile.images) * ceil_div(nest.out_rows, tile.out_rows)
    columns = (nest.out_columns, tile.out_columns, dim, accelerator.array.minimum_rows_per_compute)
    numbers = {
        "tiles": tiles_of_lines * ceil_div(nest.out_columns, tile.out_columns),
        "c_rows": tile.images * tile.out_rows * tile.out_columns,
        "ws_cycles": lines * line_cycles(*columns) + tiles_of_lines * preload_cycles(*columns),
        "os_cycles": lines * sum_of_ceilings(nest.out_columns, tile.out_columns, dim) * dim,
        "ragged": int(nest.transpose_a and is_ragged(nest, tile, dim)),
        "output_blocks": output_blocks(nest, tile, dim),
    }
    kernels = {"tile": (tile.kernel_rows, tile.kernel_columns), "panel": (nest.kernel_rows, nest.kernel_columns)}
    for placement, (kernel_rows, kernel_columns) in kernels.items():
        if nest.transpose_a:
            numbers |= {
                f"a_rows_{placement}": ceil_div(tile.out_columns, dim),
                f"a_beats_{placement}": lines * row_beats(nest.out_columns, tile.out_columns, accelerator),
                f"a_requests_{placement}": lines * row_requests(nest.out_columns, tile.out_columns, accelerator),
                f"a_elements_{placement}": lines * nest.out_columns,
            }
            continue
        rows = input_extent(tile.out_rows, nest.row_stride, kernel_rows, nest.row_dilation)
        width = input_extent(tile.out_columns, nest.column_stride, kernel_columns, nest.column_dilation)
        pixels = nest.images * sum_of_touched(row_axis(nest), tile.out_rows, kernel_rows)
        pixels *= sum_of_touched(column_axis(nest), tile.out_columns, kernel_columns)
        numbers |= {f"a_rows_{placement}": tile.images * rows * width}
        numbers |= {f"a_{unit}_{placement}": pixels for unit in ("beats", "requests", "elements")}
    return numbers


def out_channel_options(nest: ArrayNest, accelerator: Accelerator) -> Options:
    """Tiles of out_channels: whole DIM blocks, or everything."""
    sizes = _channel_sizes(nest.out_channels, accelerator.dim)
    return _options(sizes[:, None], [out_channel_numbers(nest, accelerator, int(size)) for size in sizes])


def out_channel_numbers(nest: ArrayNest, accelerator: Accelerator, size: int) -> dict[str, int]:
    """Everything about a tile of `size` output channels; b_* per row of B as stored."""
    whole = nest.out_channels
    blocks = ceil_div(size, accelerator.dim)
    return {
        "tiles": ceil_div(whole, size),
        "blocks": blocks,
        "b_rows": size if nest.transpose_b else blocks,
        "b_beats": whole if nest.transpose_b else row_beats(whole, size, accelerator),
        "b_requests": whole if nest.transpose_b else row_requests(whole, size, accelerator),
        "b_elements": whole,
        "write_cycles": row_write_cycles(whole, size, accelerator),
        "acknowledgements": row_requests(whole, size, accelerator),
    }


def in_channel_options(nest: ArrayNest, accelerator: Accelerator) -> Options:
    """Tiles of in_channels: whole DIM blocks, or everything."""
    sizes = _channel_sizes(nest.in_channels, accelerator.dim)
    return _options(sizes[:, None], [in_channel_numbers(nest, accelerator, int(size)) for size in sizes])


def in_channel_numbers(nest: ArrayNest, accelerator: Accelerator, size: int) -> dict[str, int]:
    """Everything about a tile of `size` input channels: factors of the rows, beats and requests of A and B."""
    whole, dim = nest.in_channels, accelerator.dim
    blocks, beats, requests = (
        ceil_div(size, dim),
        row_beats(whole, size, accelerator),
        row_requests(whole, size, accelerator),
    )
    return {
        "tiles": ceil_div(whole, size),
        "a_rows": size if nest.transpose_a else blocks,
        "a_beats": whole if nest.transpose_a else beats,
        "a_requests": whole if nest.transpose_a else requests,
        "a_elements": whole,
        "b_rows": blocks if nest.transpose_b else size,
        "b_elements": whole,
        "b_beats": beats if nest.transpose_b else whole,
        "b_requests": requests if nest.transpose_b else whole,
    }


def nondominated(numbers: IntArray) -> IntArray:
    """Indices of the rows of `numbers` (rows, columns) that no other row matches or beats in every column; of equal
    rows the first in lexicographic order stays."""
    order = np.lexsort(numbers.T[::-1])
    kept: list[int] = []
    front = np.empty_like(numbers)
    for index in order:
        row = numbers[index]
        if not np.any(np.all(front[: len(kept)] <= row, axis=1)):
            front[len(kept)] = row
            kept.append(int(index))
    return np.array(sorted(kept), dtype=np.int64)


def _options(sizes: IntArray, numbers: list[dict[str, int]]) -> Options:
    names = tuple(numbers[0])
    table = np.array([[row[name] for name in names] for row in numbers], dtype=np.int64)
    kept = nondominated(table)
    return Options(sizes=sizes[kept], columns={name: table[kept, i] for i, name in enumerate(names)})


def _pruned(rows: list[tuple[int, ...]]) -> IntArray:
    table = np.array(rows, dtype=np.int64)
    kept: IntArray = table[nondominated(table)]
    return kept


def _channel_sizes(whole: int, dim: int) -> IntArray:
    return np.array(sorted({*range(dim, whole, dim), whole}), dtype=np.int64)


def pixel_tile(nest: ArrayNest, pixels: tuple[int, int, int], kernel: tuple[int, int]) -> Tile:
    """The tile of these (images, out_rows, out_columns) and (kernel_rows, kernel_columns), with whole channels."""
    return Tile(
        images=pixels[0],
        out_rows=pixels[1],
        out_columns=pixels[2],
        out_channels=nest.out_channels,
        kernel_rows=kernel[0],
        kernel_columns=kernel[1],
        in_channels=nest.in_channels,
    )


def _axis_numbers(nest: ArrayNest, size: int, kernel: int, *, vertical: bool) -> tuple[int, ...]:
    """Tile count and windows (of the kernel tile and of the whole kernel) of one spatial axis."""
    axis = row_axis(nest) if vertical else column_axis(nest)
    return (
        ceil_div(axis.out_size, size),
        sum_of_touched(axis, size, kernel),
        sum_of_touched(axis, size, axis.kernel_size),
    )


def _column_numbers(nest: ArrayNest, size: int, kernel: int, accelerator: Accelerator) -> tuple[int, ...]:
    columns = (nest.out_columns, size, accelerator.dim, accelerator.array.minimum_rows_per_compute)
    return (
        *_axis_numbers(nest, size, kernel, vertical=False),
        line_cycles(*columns),
        preload_cycles(*columns),
        sum_of_ceilings(nest.out_columns, size, accelerator.dim),
        row_beats(nest.out_columns, size, accelerator),
        row_requests(nest.out_columns, size, accelerator),
        int(size % accelerator.dim != 0 and size != nest.out_columns) * nest.transpose_a,
    )
