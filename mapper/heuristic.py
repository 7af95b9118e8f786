"""Gemmini's own tiling heuristics, the baseline: tiled_matmul_auto and tiled_conv_auto of its C library
(gemmini-rocc-tests, include/gemmini.h at 180c468), expressed as a Mapping.

Where the vocabularies differ: the library reloads an input for every outer iteration unless all its tiles fit two
halves of the scratchpad (then "whole" here); a "tile" placement here also keeps a tile that the next iteration needs
again, so the baseline is never made worse than the library. Channel tiles grown to a part of a DIM block go back to
whole blocks, and the packed load of strided 1x1 convolutions does not exist here. The library puts as many kernel
columns into a row as fit; where the reservation station would not see that, the most that it does.
"""

from __future__ import annotations

from dataclasses import fields, replace

from model_ir.errors import InfeasibleError, InputError
from simulator.accelerator import Accelerator, Dataflow
from simulator.array_nest import ArrayNest
from simulator.mapping import Mapping, Placement, Tile, ceil_div, check_legal, dataflows, input_extent, tile_counts
from simulator.packing import most_pixels_per_row
from simulator.tiling_search import CONV_LOOPS, Sizes, conv_tile, matmul_tile


def heuristic(nest: ArrayNest, accelerator: Accelerator) -> Mapping:
    """The mapping that Gemmini's library would choose; raises InfeasibleError where not even its smallest tile fits."""
    dataflow = default_dataflow(nest, accelerator)
    tile = _matmul_tile(nest, accelerator, dataflow) if is_matmul(nest) else _conv_tile(nest, accelerator)
    counts = tile_counts(nest, tile)
    streamed = Mapping(dataflow=dataflow, tile=tile, order="pixels_outer", a_placement="tile", b_placement="tile")
    check_legal(nest, streamed, accelerator)
    streamed = _packed(nest, streamed, accelerator)
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


def _packed(nest: ArrayNest, mapping: Mapping, accelerator: Accelerator) -> Mapping:
    """`mapping` with max_pixels_per_row of sp_tiled_conv, or the most below it that is legal."""
    if nest.row_dilation > 1:
        return mapping
    most = min(most_pixels_per_row(nest, accelerator), mapping.tile.kernel_columns)
    choices = (replace(mapping, max_pixels_per_row=pixels) for pixels in range(most, 1, -1))
    return next((packed for packed in choices if _fits(nest, packed, accelerator)), mapping)


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
    """tiled_matmul_auto. Weight-stationary tiles take half of each memory (the loop unroller's double buffer)."""
    dim = accelerator.dim
    share = 2 if dataflow == "ws" else 1
    i, j, k = matmul_tile(
        (ceil_div(nest.out_columns, dim), ceil_div(nest.out_channels, dim), ceil_div(nest.in_channels, dim)),
        dim=dim,
        scratchpad_rows=accelerator.scratchpad_rows // share,
        accumulator_rows=accelerator.accumulator_rows // share,
    ).sizes
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
    """tiled_conv_auto, with what this machine's own vocabulary says a tile takes."""

    def tile_of(sizes: Sizes) -> Tile:
        return Tile(**dict(zip(CONV_LOOPS, sizes, strict=True)))

    limits = tuple(getattr(nest, name) for name in CONV_LOOPS)
    try:
        found = conv_tile(limits, dim=accelerator.dim, fits=lambda sizes: _conv_fits(nest, tile_of(sizes), accelerator))
    except InfeasibleError:
        demand = max(_conv_rows(nest, tile_of((1,) * len(limits)), accelerator))
        raise InfeasibleError(
            "smallest convolution tile", demand=demand, capacity=accelerator.scratchpad_rows // 2, unit="rows"
        ) from None
    return _whole_blocks(nest, tile_of(found.sizes), accelerator.dim)


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


def _whole_blocks(nest: ArrayNest, tile: Tile, dim: int) -> Tile:
    """Channel tiles back to whole blocks of the array (at least one)."""
    sizes = {field.name: getattr(tile, field.name) for field in fields(Tile)}
    for name in ("out_channels", "in_channels"):
        if sizes[name] < getattr(nest, name):
            sizes[name] = min(max(dim, sizes[name] // dim * dim), getattr(nest, name))
    return Tile(**sizes)
