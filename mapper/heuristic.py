"""Gemmini's own tiling heuristics, the baseline: tiled_matmul_auto and tiled_conv_auto of its C library
(gemmini-rocc-tests, include/gemmini.h at 180c468), expressed as a Mapping.

Where the vocabularies differ: the library reloads an input for every outer iteration unless all its tiles fit two
halves of the scratchpad (then "whole" here); a "tile" placement here also keeps a tile that the next iteration needs
again, so the baseline is never made worse than the library. Channel tiles grown to a part of a DIM block go back to
whole blocks, and the packed load of strided 1x1 convolutions does not exist here.
"""

from __future__ import annotations

from dataclasses import fields, replace
from math import isqrt

from model_ir.errors import InfeasibleError, InputError
from simulator.accelerator import Accelerator, Dataflow
from simulator.array_nest import ArrayNest
from simulator.mapping import Mapping, Placement, Tile, ceil_div, check_legal, dataflows, input_extent, tile_counts

_LOOPS = ("images", "out_rows", "out_columns", "out_channels", "kernel_rows", "kernel_columns", "in_channels")
"""The order in which tiled_conv_auto looks at its loops."""


def heuristic(nest: ArrayNest, accelerator: Accelerator) -> Mapping:
    """The mapping that Gemmini's library would choose; raises InfeasibleError where not even its smallest tile fits."""
    dataflow = default_dataflow(nest, accelerator)
    tile = _matmul_tile(nest, accelerator, dataflow) if is_matmul(nest) else _conv_tile(nest, accelerator)
    counts = tile_counts(nest, tile)
    streamed = Mapping(dataflow=dataflow, tile=tile, order="pixels_outer", a_placement="tile", b_placement="tile")
    check_legal(nest, streamed, accelerator)
    a_placement: Placement = "whole" if counts.pixels * counts.reduction <= 2 else "tile"
    b_placement: Placement = "whole" if counts.channels * counts.reduction <= 2 else "tile"
    for kept in (
        replace(streamed, a_placement=a_placement, b_placement=b_placement),
        replace(streamed, b_placement=b_placement),
        replace(streamed, a_placement=a_placement),
    ):
        if _fits(nest, kept, accelerator):
            return kept
    return streamed


def is_matmul(nest: ArrayNest) -> bool:
    """Whether the nest is a plain matmul: one line of pixels under a 1x1 kernel."""
    return nest.images == nest.out_rows == nest.kernel_rows == nest.kernel_columns == 1 and nest.column_stride == 1


def smallest_mapping(nest: ArrayNest, accelerator: Accelerator) -> Mapping:
    """The mapping that takes least on-chip memory: one pixel, one block of channels, one kernel position, all
    streamed."""
    tile = Tile(
        images=1,
        out_rows=1,
        out_columns=1,
        out_channels=min(accelerator.dim, nest.out_channels),
        kernel_rows=1,
        kernel_columns=1,
        in_channels=min(accelerator.dim, nest.in_channels),
    )
    return Mapping(
        dataflow=default_dataflow(nest, accelerator),
        tile=tile,
        order="pixels_outer",
        a_placement="tile",
        b_placement="tile",
    )


def default_dataflow(nest: ArrayNest, accelerator: Accelerator) -> Dataflow:
    """Weight-stationary where the machine and the nest's transposes allow it; raises InfeasibleError where no dataflow
    does."""
    available = dataflows(nest, accelerator)
    if not available:
        raise InfeasibleError(
            f"dataflows of {accelerator.name}",
            demand=2,
            capacity=1,
            unit="transposed operands",
            hint="transpose in memory",
        )
    return "ws" if "ws" in available else available[0]


def _fits(nest: ArrayNest, mapping: Mapping, accelerator: Accelerator) -> bool:
    try:
        check_legal(nest, mapping, accelerator)
    except (InfeasibleError, InputError):
        return False
    return True


def _matmul_tile(nest: ArrayNest, accelerator: Accelerator, dataflow: Dataflow) -> Tile:
    """tiled_matmul_auto: near-square output tile, deepest reduction, then grow j, i, k by one block in turn while
    anything fits. Weight-stationary tiles take half of each memory (the loop unroller's double buffer)."""
    dim = accelerator.dim
    share = 2 if dataflow == "ws" else 1
    scratchpad_rows = accelerator.scratchpad_rows // share
    accumulator_rows = accelerator.accumulator_rows // share
    limit_i, limit_j, limit_k = (
        ceil_div(size, dim) for size in (nest.out_columns, nest.out_channels, nest.in_channels)
    )

    def fits(i: int, j: int, k: int) -> bool:
        return (i * k + k * j) * dim <= scratchpad_rows and i * j * dim <= accumulator_rows

    side = max(1, isqrt(accumulator_rows // dim))
    i, j = min(limit_i, side), min(limit_j, side)
    k = min(limit_k, max(1, scratchpad_rows // 2 // dim // side))
    grown = True
    while grown:
        grown = False
        if j < limit_j and fits(i, j + 1, k):
            j, grown = j + 1, True
        if i < limit_i and fits(i + 1, j, k):
            i, grown = i + 1, True
        if k < limit_k and fits(i, j, k + 1):
            k, grown = k + 1, True
    return Tile(
        images=1,
        out_rows=1,
        out_columns=min(i * dim, nest.out_columns),
        out_channels=min(j * dim, nest.out_channels),
        kernel_rows=1,
        kernel_columns=1,
        in_channels=min(k * dim, nest.in_channels),
    )


def _conv_tile(nest: ArrayNest, accelerator: Accelerator) -> Tile:
    """tiled_conv_auto: from the full size shrink the largest loop until half of each memory suffices, then grow the
    columns, then every loop in turn."""
    tile = Tile(**{name: getattr(nest, name) for name in _LOOPS})
    while not _conv_fits(nest, tile, accelerator):
        smaller = _shrunk(tile, accelerator.dim)
        if smaller == tile:
            demand = max(_conv_rows(nest, tile, accelerator))
            raise InfeasibleError(
                "smallest convolution tile", demand=demand, capacity=accelerator.scratchpad_rows // 2, unit="rows"
            )
        tile = smaller
    tile = _grown(nest, tile, accelerator, ("out_columns",))
    tile = _grown(nest, tile, accelerator, _LOOPS)
    return _whole_blocks(nest, tile, accelerator.dim)


def _conv_rows(nest: ArrayNest, tile: Tile, accelerator: Accelerator) -> tuple[int, int]:
    """Scratchpad and accumulator rows of one tile."""
    dim = accelerator.dim
    rows = input_extent(tile.out_rows, nest.row_stride, tile.kernel_rows, nest.row_dilation)
    columns = input_extent(tile.out_columns, nest.column_stride, tile.kernel_columns, nest.column_dilation)
    a_rows = tile.images * rows * columns * ceil_div(tile.in_channels, dim)
    b_rows = tile.kernel_rows * tile.kernel_columns * tile.in_channels * ceil_div(tile.out_channels, dim)
    c_rows = tile.images * tile.out_rows * tile.out_columns * ceil_div(tile.out_channels, dim)
    return a_rows + b_rows, c_rows


def _conv_fits(nest: ArrayNest, tile: Tile, accelerator: Accelerator) -> bool:
    scratchpad_rows, accumulator_rows = _conv_rows(nest, tile, accelerator)
    return scratchpad_rows <= accelerator.scratchpad_rows // 2 and accumulator_rows <= accelerator.accumulator_rows // 2


def _shrunk(tile: Tile, dim: int) -> Tile:
    """The largest loop one step smaller: channels to a multiple of DIM, others by one; columns are spared while they
    fit the array and there are rows to give."""
    spared = tile.out_columns <= dim and tile.out_rows > 1
    names = [name for name in _LOOPS if not (name == "out_columns" and spared)]
    largest = max(names, key=lambda name: getattr(tile, name))
    size = getattr(tile, largest)
    if largest in ("out_channels", "in_channels"):
        smaller = size // dim * dim if size % dim else size - dim
    else:
        smaller = size - 1
    return replace(tile, **{largest: max(1, smaller)})


def _grown(nest: ArrayNest, tile: Tile, accelerator: Accelerator, names: tuple[str, ...]) -> Tile:
    """Raise every named loop by one in turn, again and again, while anything fits."""
    grown = True
    while grown:
        grown = False
        for name in names:
            candidate = replace(tile, **{name: getattr(tile, name) + 1})
            if getattr(candidate, name) <= getattr(nest, name) and _conv_fits(nest, candidate, accelerator):
                tile, grown = candidate, True
    return tile


def _whole_blocks(nest: ArrayNest, tile: Tile, dim: int) -> Tile:
    """Channel tiles back to whole blocks of the array (at least one)."""
    sizes = {field.name: getattr(tile, field.name) for field in fields(Tile)}
    for name in ("out_channels", "in_channels"):
        if sizes[name] < getattr(nest, name):
            sizes[name] = min(max(dim, sizes[name] // dim * dim), getattr(nest, name))
    return Tile(**sizes)
