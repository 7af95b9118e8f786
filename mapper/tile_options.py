"""The tile sizes worth considering, per group of loops, with everything that cost and capacity need to know about each.

Every size of every loop is evaluated exactly; a size stays unless another is at least as good in every number that the
objective or a constraint reads. All of those grow with each number, so what is left out cannot be part of a better
mapping than what stays: the pruning is lossless by the numbers themselves, with no argument about divisors or monotone
sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.mapping import Tile, can_join_lines, ceil_div, dataflows, input_extent
from simulator.packing import is_seen, most_pixels_per_row, packs
from simulator.tile_sums import (
    Axis,
    IntArray,
    array_cycles,
    ceilings,
    column_axis,
    line_cycles,
    output_blocks,
    pixel_blocks,
    preload_cycles,
    row_axis,
    row_beats,
    row_requests,
    row_write_cycles,
    sum_of_touched,
)


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


def pixel_options(
    nest: ArrayNest,
    accelerator: Accelerator,
    kernel: tuple[int, int],
    array_cycles_limit: int | None = None,
    *,
    every_dataflow: bool = False,
) -> Options:
    """Tiles of (images, out_rows, out_columns) under a kernel tile of (kernel_rows, kernel_columns) that fit the
    accumulator with one block of channels and take at most `array_cycles_limit` cycles per weight block; perhaps
    none. Output-stationary numbers count too where `every_dataflow` may be chosen."""
    images = _sizes_on_chip(nest.images, accelerator)
    images = images[nondominated([images, _tiles(nest.images, images)])]
    rows = _sizes_on_chip(nest.out_rows, accelerator)
    rows = rows[nondominated([rows, *_row_numbers(nest, rows, kernel, accelerator)])]
    columns = _sizes_on_chip(nest.out_columns, accelerator)
    seen = _seen_numbers(nest, columns, kernel[1], accelerator)
    columns = columns[nondominated([columns, *_column_numbers(nest, columns, kernel[1], accelerator), *seen.values()])]
    images, rows, columns = (axis.ravel() for axis in np.meshgrid(images, rows, columns, indexing="ij"))
    fitting = images * rows * columns <= accelerator.accumulator_rows
    images, rows, columns = images[fitting], rows[fitting], columns[fitting]
    numbers = pixel_numbers(nest, accelerator, (images, rows, columns), kernel, every_dataflow=every_dataflow)
    sizes = np.stack((images, rows, columns), axis=1)
    if array_cycles_limit is not None:
        good = _fastest(nest, accelerator, numbers) <= array_cycles_limit
        sizes, numbers = sizes[good], {name: column[good] for name, column in numbers.items()}
    return _options(sizes, numbers)


def pixel_numbers(
    nest: ArrayNest,
    accelerator: Accelerator,
    sizes: tuple[IntArray, IntArray, IntArray],
    kernel: tuple[int, int],
    *,
    every_dataflow: bool = False,
) -> dict[str, IntArray]:
    """Everything about pixel tiles `sizes` (images, out_rows, out_columns; arrays of equal length); a_* are per channel
    of the input (per in_channels element where A is transposed), ws_cycles_* of the array per weight block.
    Output-stationary numbers only where that is the one dataflow, or of `every_dataflow`; what packed pixels cannot go
    with only where some can be."""
    dim, (images, rows, columns) = accelerator.dim, sizes
    lines = nest.images * nest.out_rows
    tiles = _tiles(nest.images, images) * _tiles(nest.out_rows, rows) * _tiles(nest.out_columns, columns)
    numbers = {
        "tiles": tiles,
        "c_rows": images * rows * columns,
        "ragged": nest.transpose_a * ((columns % dim != 0) & (columns != nest.out_columns)).astype(np.int64),
        "output_blocks": output_blocks(nest, tiles, dim),
    }
    numbers |= _seen_numbers(nest, columns, kernel[1], accelerator)
    for window, taps in (("tile", kernel), ("panel", (nest.kernel_rows, nest.kernel_columns))):
        joined = (columns == nest.out_columns).astype(np.int64) * can_join_lines(nest, taps)
        numbers[f"ws_cycles_{window}"] = array_cycles(nest, accelerator, sizes, joined)
        if every_dataflow or "ws" not in dataflows(nest, accelerator):
            numbers[f"os_blocks_{window}"] = pixel_blocks(nest, rows, columns, joined, dim)
        if nest.transpose_a:
            numbers |= {
                f"a_rows_{window}": -(-columns // dim),
                f"a_beats_{window}": lines * row_beats(nest.out_columns, columns, accelerator),
                f"a_requests_{window}": lines * row_requests(nest.out_columns, columns, accelerator),
                f"a_elements_{window}": np.full_like(columns, lines * nest.out_columns),
            }
            continue
        height = _extents(row_axis(nest), rows, taps[0])
        width = _extents(column_axis(nest), columns, taps[1])
        pixels = nest.images * _windows(row_axis(nest), rows, taps[0]) * _windows(column_axis(nest), columns, taps[1])
        numbers |= {f"a_rows_{window}": images * height * width}
        numbers |= {f"a_{unit}_{window}": pixels for unit in ("beats", "requests", "elements")}
    return numbers


def unseen(window: str, pixels_per_row: int) -> str:
    """Name of the number that is 1 for tiles whose copies the machine would not wait for (`simulator.packing`)."""
    return f"unseen_{window}_{pixels_per_row}"


def worthwhile_packings(nest: ArrayNest, accelerator: Accelerator, kernel_columns: int) -> tuple[int, ...]:
    """Pixels a row that make fewer packs of tiles of `kernel_columns` than any smaller number of them; more copies for
    as many packs take more cycles and rows, and go with fewer tiles."""
    most = min(most_pixels_per_row(nest, accelerator), kernel_columns)
    counts = [packs(nest.kernel_columns, kernel_columns, pixels) for pixels in range(1, most + 1)]
    return tuple(pixels for pixels, count in enumerate(counts, 1) if pixels == 1 or count < counts[pixels - 2])


def least_array_cycles(nest: ArrayNest, accelerator: Accelerator) -> int:
    """Fewest cycles per weight block of any pixel tile: whole images, and whole lines with the columns cut at best or
    whole columns with the lines cut at best (a cut may help: a short last block takes more cycles than it has
    pixels)."""
    rows, columns = _sizes_on_chip(nest.out_rows, accelerator), _sizes_on_chip(nest.out_columns, accelerator)
    cuts = (
        np.concatenate((np.full_like(columns, nest.out_rows), rows)),
        np.concatenate((columns, np.full_like(rows, nest.out_columns))),
    )
    numbers = pixel_numbers(nest, accelerator, (np.full_like(cuts[0], nest.images), *cuts), (1, 1))
    return int(_fastest(nest, accelerator, numbers).min())


def _fastest(nest: ArrayNest, accelerator: Accelerator, numbers: dict[str, IntArray]) -> IntArray:
    """Array cycles per weight block under the faster dataflow: a weight-stationary block never takes more than the DIM
    cycles that every output-stationary one takes."""
    if "ws" in dataflows(nest, accelerator):
        return np.minimum(numbers["ws_cycles_tile"], numbers["ws_cycles_panel"])
    return np.minimum(numbers["os_blocks_tile"], numbers["os_blocks_panel"]) * accelerator.dim


def numbers_of_tile(
    nest: ArrayNest, accelerator: Accelerator, tile: Tile, *, every_dataflow: bool = False
) -> dict[str, int]:
    """`pixel_numbers` of one tile."""
    sizes = (np.array([tile.images]), np.array([tile.out_rows]), np.array([tile.out_columns]))
    table = pixel_numbers(
        nest, accelerator, sizes, (tile.kernel_rows, tile.kernel_columns), every_dataflow=every_dataflow
    )
    return {name: int(column[0]) for name, column in table.items()}


def out_channel_options(nest: ArrayNest, accelerator: Accelerator) -> Options:
    """Tiles of out_channels: whole DIM blocks, or everything."""
    sizes = _channel_sizes(nest.out_channels, accelerator.dim)
    return _options(sizes[:, None], _columns([out_channel_numbers(nest, accelerator, size) for size in sizes.tolist()]))


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


def in_channel_options(nest: ArrayNest, accelerator: Accelerator, *, every_dataflow: bool = False) -> Options:
    """Tiles of in_channels: whole DIM blocks, or everything. How often an output-stationary array updates the
    accumulator counts too where `every_dataflow` may be chosen."""
    sizes = _channel_sizes(nest.in_channels, accelerator.dim)
    columns = _columns([in_channel_numbers(nest, accelerator, size) for size in sizes.tolist()])
    if every_dataflow:
        columns["tiles"] = _tiles(nest.in_channels, sizes)
    return _options(sizes[:, None], columns)


def in_channel_numbers(nest: ArrayNest, accelerator: Accelerator, size: int) -> dict[str, int]:
    """Everything about a tile of `size` input channels: factors of the rows, beats and requests of A and B."""
    whole, dim = nest.in_channels, accelerator.dim
    blocks, beats, requests = (
        ceil_div(size, dim),
        row_beats(whole, size, accelerator),
        row_requests(whole, size, accelerator),
    )
    return {
        "cut": int(size < whole),
        "a_rows": size if nest.transpose_a else blocks,
        "a_beats": whole if nest.transpose_a else beats,
        "a_requests": whole if nest.transpose_a else requests,
        "a_elements": whole,
        "b_rows": blocks if nest.transpose_b else size,
        "b_elements": whole,
        "b_beats": beats if nest.transpose_b else whole,
        "b_requests": requests if nest.transpose_b else whole,
    }


def nondominated(columns: list[IntArray]) -> IntArray:
    """Indices of the choices that no other matches or beats in every one of the columns; of equal choices the first in
    lexicographic order stays."""
    table = np.stack(columns, axis=1)
    order = np.lexsort(table.T[::-1])
    kept: list[int] = []
    front = np.empty_like(table)
    for index in order:
        row = table[index]
        if not (front[: len(kept)] <= row).all(axis=1).any():
            front[len(kept)] = row
            kept.append(int(index))
    return np.array(sorted(kept), dtype=np.int64)


def _options(sizes: IntArray, columns: dict[str, IntArray]) -> Options:
    kept = nondominated(list(columns.values()))
    return Options(sizes=sizes[kept], columns={name: column[kept] for name, column in columns.items()})


def _columns(rows: list[dict[str, int]]) -> dict[str, IntArray]:
    return {name: np.array([row[name] for row in rows], dtype=np.int64) for name in rows[0]}


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


def _sizes_on_chip(loop: int, accelerator: Accelerator) -> IntArray:
    """Tile sizes of a pixel loop; a pixel takes a row of the accumulator, so longer tiles fit no machine."""
    return np.arange(1, min(loop, accelerator.accumulator_rows) + 1, dtype=np.int64)


def _tiles(size: int, tiles: IntArray) -> IntArray:
    return -(-size // tiles)


def _windows(axis: Axis, out_tiles: IntArray, kernel_tile: int) -> IntArray:
    """`sum_of_touched` of every output tile size."""
    return _by_size(out_tiles, lambda size: sum_of_touched(axis, size, kernel_tile))


def _extents(axis: Axis, out_tiles: IntArray, kernel_tile: int) -> IntArray:
    """`input_extent` of every output tile size."""
    return _by_size(out_tiles, lambda size: input_extent(size, axis.stride, kernel_tile, axis.dilation))


def _by_size(sizes: IntArray, number: Callable[[int], int]) -> IntArray:
    distinct, where = np.unique(sizes, return_inverse=True)
    numbers: IntArray = np.array([number(size) for size in distinct.tolist()], dtype=np.int64)[where]
    return numbers


def _axis_numbers(axis: Axis, sizes: IntArray, kernel: int) -> tuple[IntArray, ...]:
    """Tile count and windows (of the kernel tile and of the whole kernel) of one spatial axis."""
    return (
        _tiles(axis.out_size, sizes),
        _windows(axis, sizes, kernel),
        _windows(axis, sizes, axis.kernel_size),
    )


def _row_numbers(
    nest: ArrayNest, sizes: IntArray, kernel: tuple[int, int], accelerator: Accelerator
) -> tuple[IntArray, ...]:
    numbers = _axis_numbers(row_axis(nest), sizes, kernel[0])
    if not can_join_lines(nest, kernel):
        return numbers
    image = (nest.out_rows * nest.out_columns, sizes * nest.out_columns, accelerator.dim)
    least = accelerator.dim if nest.transpose_b else accelerator.array.minimum_rows_per_compute
    return (*numbers, line_cycles(*image, least), preload_cycles(*image, least), ceilings(*image))


def _seen_numbers(nest: ArrayNest, sizes: IntArray, kernel: int, accelerator: Accelerator) -> dict[str, IntArray]:
    """What packed pixels cannot go with: column tiles that cut a line, or of which copies are not seen."""
    numbers = {}
    for pixels in worthwhile_packings(nest, accelerator, kernel)[1:]:
        numbers["cuts_lines"] = (sizes != nest.out_columns).astype(np.int64)
        for window, kept in (("tile", kernel), ("panel", nest.kernel_columns)):
            is_unseen = partial(_is_unseen, nest, kernel, kept, pixels, accelerator.dim)
            numbers[unseen(window, pixels)] = _by_size(sizes, is_unseen)
    return numbers


def _is_unseen(nest: ArrayNest, kernel: int, kept: int, pixels_per_row: int, dim: int, out_columns: int) -> int:
    return int(not is_seen(nest, out_columns, kernel, kept, pixels_per_row, dim))


def _column_numbers(nest: ArrayNest, sizes: IntArray, kernel: int, accelerator: Accelerator) -> tuple[IntArray, ...]:
    line = (nest.out_columns, sizes, accelerator.dim)
    least = accelerator.dim if nest.transpose_a or nest.transpose_b else accelerator.array.minimum_rows_per_compute
    numbers = (
        *_axis_numbers(column_axis(nest), sizes, kernel),
        line_cycles(*line, least),
        preload_cycles(*line, least),
        ceilings(nest.out_columns, sizes, accelerator.dim),
        (sizes != nest.out_columns).astype(np.int64),
    )
    if not nest.transpose_a:
        return numbers
    return (
        *numbers,
        row_beats(nest.out_columns, sizes, accelerator),
        row_requests(nest.out_columns, sizes, accelerator),
        ((sizes % accelerator.dim != 0) & (sizes != nest.out_columns)).astype(np.int64),
    )
