"""`Mapping`: how an ArrayNest is cut into tiles and ordered on the machine; what buffers that takes; whether they fit.

The loops, outermost first, of a mapping with `order` "pixels_outer" ("channels_outer" swaps the first two lines):

    for every repeat
      for every pixel tile (images, out_rows, out_columns)
        for every out_channels tile
          for every reduction tile (kernel_rows, kernel_columns, in_channels)
            on chip: for out_channel block, kernel row, kernel column (or pack of them), in_channel block: preload the
                     DIM x DIM weights, for image, row, block of up to DIM columns: compute      (weight-stationary)
          store the C tile (partial sums leave the accumulator only under `reduction_parts`)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from model_ir.errors import InfeasibleError, InputError
from simulator.accelerator import Accelerator, Dataflow
from simulator.array_nest import ArrayNest, Repeat
from simulator.packing import is_seen, most_pixels_per_row

Order = Literal["pixels_outer", "channels_outer"]
Placement = Literal["tile", "panel", "whole"]
REDUCTION_PARTS = (1, 2, 3, 4)
"""Parts that a reduction may be cut into: every part more moves all sums out and in again, in full width."""

Copies = Literal[1, 2]
"""Most copies of an operand's buffer."""

PLACEMENTS: tuple[tuple[Order, Placement, Placement], ...] = (
    ("pixels_outer", "tile", "tile"),
    ("pixels_outer", "tile", "whole"),
    ("pixels_outer", "panel", "tile"),
    ("pixels_outer", "panel", "whole"),
    ("pixels_outer", "whole", "tile"),
    ("pixels_outer", "whole", "whole"),
    ("channels_outer", "tile", "tile"),
    ("channels_outer", "tile", "panel"),
    ("channels_outer", "tile", "whole"),
    ("channels_outer", "whole", "tile"),
    ("channels_outer", "whole", "panel"),
    ("channels_outer", "whole", "whole"),
)
"""Every loop order with the placements of A and B that it allows."""


def ceil_div(amount: int, size: int) -> int:
    """Smallest integer not below amount / size."""
    return -(-amount // size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """Elements of each loop that are on chip at a time; the last tile of a loop may be smaller."""

    images: int
    out_rows: int
    out_columns: int
    out_channels: int
    kernel_rows: int
    kernel_columns: int
    in_channels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """`tile` sizes, outer loop `order` and where each input operand lives.

    A placement of "tile" streams one tile at a time (reloaded whenever the loops move to another tile), "panel" keeps
    all reduction tiles of the current outer tile while the middle loop runs (A under "pixels_outer", B under
    "channels_outer"), "whole" keeps the operand of the current repeat. A buffer that is filled more than once in the
    run is double, so that the next fill overlaps the computation, unless its operand is to have a single copy: then the
    next fill follows the last use.

    With `reduction_parts` the whole walk runs once for each equal part of in_channels: partial sums leave the
    accumulator in full width and come back for the next part. Placements then hold a part of the reduction.

    With `max_pixels_per_row` loads write every input pixel that many times, so that up to as many neighbouring kernel
    columns share a row of the array (`simulator.packing`; loop_conv_ws's field of that name).
    """

    dataflow: Dataflow
    tile: Tile
    order: Order
    a_placement: Placement
    b_placement: Placement
    a_copies: Copies = 2
    b_copies: Copies = 2
    c_copies: Copies = 2
    reduction_parts: int = 1
    max_pixels_per_row: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TileCounts:
    """Number of tiles of each outer loop of one repeat: pixels, output channels, reduction."""

    pixels: int
    channels: int
    reduction: int


def tile_counts(nest: ArrayNest, tile: Tile) -> TileCounts:
    """How many tiles each outer loop has (last ones may be partial)."""
    return TileCounts(
        pixels=ceil_div(nest.images, tile.images)
        * ceil_div(nest.out_rows, tile.out_rows)
        * ceil_div(nest.out_columns, tile.out_columns),
        channels=ceil_div(nest.out_channels, tile.out_channels),
        reduction=ceil_div(nest.kernel_rows, tile.kernel_rows)
        * ceil_div(nest.kernel_columns, tile.kernel_columns)
        * ceil_div(nest.in_channels, tile.in_channels),
    )


def input_extent(out_size: int, stride: int, kernel_size: int, dilation: int) -> int:
    """Input rows (or columns) kept on chip under `out_size` output rows and `kernel_size` kernel rows, padding
    included; one kernel position needs none of those between its strides."""
    if kernel_size == 1:
        return out_size
    return (out_size - 1) * stride + (kernel_size - 1) * dilation + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffers:
    """Rows of one copy of each on-chip buffer and the number of copies."""

    a_rows: int
    a_copies: int
    b_rows: int
    b_copies: int
    c_rows: int
    c_copies: int

    @property
    def scratchpad_rows(self) -> int:
        """Scratchpad rows in use."""
        return self.a_rows * self.a_copies + self.b_rows * self.b_copies

    @property
    def accumulator_rows(self) -> int:
        """Accumulator rows in use."""
        return self.c_rows * self.c_copies


def a_is_reloaded(counts: TileCounts, mapping: Mapping) -> bool:
    """Whether the loops come back to an A tile whose buffer was given to another (A is read once per channel tile)."""
    if mapping.a_placement != "tile" or counts.pixels == counts.reduction == 1:
        return False
    return mapping.order == "channels_outer" or counts.reduction > 1


def b_is_reloaded(counts: TileCounts, mapping: Mapping) -> bool:
    """Whether the loops come back to a B tile whose buffer was given to another (B is read once per pixel tile)."""
    if mapping.b_placement != "tile" or counts.channels == counts.reduction == 1:
        return False
    return mapping.order == "pixels_outer" or counts.reduction > 1


def a_passes(counts: TileCounts, mapping: Mapping) -> int:
    """Times all of A crosses the memory port per repeat (overlap of convolution windows not counted)."""
    return counts.channels if a_is_reloaded(counts, mapping) else 1


def b_passes(counts: TileCounts, mapping: Mapping) -> int:
    """Times all of B crosses the memory port per repeat."""
    return counts.pixels if b_is_reloaded(counts, mapping) else 1


def copies(nest: ArrayNest, counts: TileCounts, mapping: Mapping) -> tuple[int, int, int]:
    """Copies of the buffers of A, B and C: one of a buffer that is filled once in the whole run, else as many as the
    mapping allows."""
    once = filled_once(nest, counts, mapping)
    most = (mapping.a_copies, mapping.b_copies, mapping.c_copies)
    a, b, c = (1 if filled else limit for filled, limit in zip(once, most, strict=True))
    return a, b, c


def filled_once(nest: ArrayNest, counts: TileCounts, mapping: Mapping) -> tuple[bool, bool, bool]:
    """Whether the buffers of A, B and C are filled once in the whole run."""
    whole_a, panel_a = mapping.a_placement == "whole", mapping.a_placement == "panel"
    whole_b, panel_b = mapping.b_placement == "whole", mapping.b_placement == "panel"
    once = nest.repeat_count == 1
    a_once = once and (whole_a or (counts.pixels == 1 and (panel_a or counts.reduction == 1)))
    b_once = once and (whole_b or (counts.channels == 1 and (panel_b or counts.reduction == 1)))
    c_once = once and counts.pixels * counts.channels == 1
    return a_once, b_once, c_once


def buffers(nest: ArrayNest, mapping: Mapping, accelerator: Accelerator) -> Buffers:
    """On-chip rows that `mapping` takes.

    A scratchpad row holds DIM channels of one input pixel (DIM pixels of one channel where A is stored transposed),
    or DIM output channels of one (kernel position, in_channel) of B (DIM in_channels of one output channel where B is
    stored transposed). The copies of a buffer's first pixels go to rows in front of it, which count too.
    """
    dim, tile, counts = accelerator.dim, mapping.tile, tile_counts(nest, mapping.tile)
    whole_a, whole_b = mapping.a_placement == "whole", mapping.b_placement == "whole"
    panel_a, panel_b = mapping.a_placement == "panel", mapping.b_placement == "panel"

    channels = nest.in_channels if whole_a or panel_a else tile.in_channels
    kernel_rows = nest.kernel_rows if whole_a or panel_a else tile.kernel_rows
    kernel_columns = nest.kernel_columns if whole_a or panel_a else tile.kernel_columns
    out_rows, out_columns = (nest.out_rows, nest.out_columns) if whole_a else (tile.out_rows, tile.out_columns)
    images = nest.images if whole_a else tile.images
    if nest.transpose_a:
        a_rows = channels * ceil_div(out_columns, dim)
    else:
        rows = input_extent(out_rows, nest.row_stride, kernel_rows, nest.row_dilation)
        columns = input_extent(out_columns, nest.column_stride, kernel_columns, nest.column_dilation)
        a_rows = images * rows * columns * ceil_div(channels, dim) + mapping.max_pixels_per_row - 1

    reduction_whole = whole_b or panel_b
    positions = nest.kernel_rows * nest.kernel_columns if reduction_whole else tile.kernel_rows * tile.kernel_columns
    channels = nest.in_channels if reduction_whole else tile.in_channels
    out_channels = nest.out_channels if whole_b else tile.out_channels
    if nest.transpose_b:
        b_rows = positions * out_channels * ceil_div(channels, dim)
    else:
        b_rows = positions * channels * ceil_div(out_channels, dim)

    a_copies, b_copies, c_copies = copies(nest, counts, mapping)
    return Buffers(
        a_rows=a_rows,
        a_copies=a_copies,
        b_rows=b_rows,
        b_copies=b_copies,
        c_rows=tile.images * tile.out_rows * tile.out_columns * ceil_div(tile.out_channels, dim),
        c_copies=c_copies,
    )


def dataflows(nest: ArrayNest, accelerator: Accelerator) -> tuple[Dataflow, ...]:
    """The accelerator's dataflows that can run `nest`: of A, B and D only one can pass the one transposer, and
    output-stationary feeds A through it unless A is stored transposed (Gemmini's MeshWithDelays.scala)."""
    transposes = {"ws": nest.transpose_a + nest.transpose_b, "os": (not nest.transpose_a) + nest.transpose_b}
    return tuple(dataflow for dataflow in accelerator.array.dataflows if transposes[dataflow] <= 1)


def in_parts(nest: ArrayNest, mapping: Mapping) -> ArrayNest:
    """`nest` as the walk over one part of its reduction, repeated for all of them; only A and B move on."""
    if mapping.reduction_parts == 1:
        return nest
    part = nest.in_channels // mapping.reduction_parts
    repeat = Repeat(
        count=mapping.reduction_parts,
        a_stride=part * (nest.a_stride if nest.transpose_a else 1),
        b_stride=part * (1 if nest.transpose_b else nest.b_stride),
        c_stride=0,
    )
    return replace(nest, in_channels=part, repeats=(*nest.repeats, repeat))


def can_be_parted(nest: ArrayNest, parts: int, dim: int) -> bool:
    """Whether the reduction of `nest` falls into equal parts of whole blocks: of one matmul, since the weights of
    kernel positions and of repeats lie between each other."""
    single = nest.repeat_count * nest.kernel_rows * nest.kernel_columns == 1
    return parts in REDUCTION_PARTS and (parts == 1 or (single and nest.in_channels % (parts * dim) == 0))


def _check_parts(nest: ArrayNest, mapping: Mapping, dim: int) -> None:
    if not can_be_parted(nest, mapping.reduction_parts, dim):
        raise InputError(
            "mapping.reduction_parts", f"must cut the reduction of one matmul into equal multiples of DIM = {dim}",
            value=mapping.reduction_parts, limit=max(REDUCTION_PARTS),
        )  # fmt: skip
    counts = tile_counts(nest, mapping.tile)
    if min(counts.pixels, counts.channels) == 1:
        # Memory does not order a load behind the store of the same bytes: other results must lie between.
        raise InputError("mapping.reduction_parts", "both outer loops must be cut", value=mapping.tile)


def input_taps(nest: ArrayNest, mapping: Mapping) -> tuple[int, int]:
    """Kernel rows and columns under which A's buffer holds pixels."""
    if mapping.a_placement != "tile":
        return nest.kernel_rows, nest.kernel_columns
    return mapping.tile.kernel_rows, mapping.tile.kernel_columns


def can_join_lines(nest: ArrayNest, taps: tuple[int, int]) -> bool:
    """Whether whole output lines of an image follow each other on chip, in A under `taps` (kernel rows, columns) as in
    the result: a single kernel column keeps no pixels beside them, and no lines between them are kept."""
    return nest.out_rows > 1 and taps[1] == 1 and (taps[0] == 1 or nest.row_stride == 1) and not nest.transpose_a


def joins_lines(nest: ArrayNest, mapping: Mapping) -> bool:
    """Whether one operation takes pixels of several output lines."""
    return mapping.tile.out_columns == nest.out_columns and can_join_lines(nest, input_taps(nest, mapping))


def is_ragged(nest: ArrayNest, tile: Tile, dim: int) -> bool:
    """Whether column tiles cut a DIM block of pixels: not for a transposed A kept whole, whose rows on chip are such
    blocks."""
    return tile.out_columns % dim != 0 and tile.out_columns != nest.out_columns


def check_legal(nest: ArrayNest, mapping: Mapping, accelerator: Accelerator) -> Buffers:
    """Return the buffers of a mapping that fits; InfeasibleError says what exceeds which capacity by how much."""
    if mapping.reduction_parts != 1:
        _check_parts(nest, mapping, accelerator.dim)
        return check_legal(in_parts(nest, mapping), replace(mapping, reduction_parts=1), accelerator)
    if mapping.dataflow not in accelerator.array.dataflows:
        raise InputError(f"accelerator {accelerator.name}", "dataflow not available", value=mapping.dataflow)
    if mapping.dataflow not in dataflows(nest, accelerator):
        raise InputError("mapping.dataflow", "this nest needs two operands transposed at once", value=mapping.dataflow)
    if nest.transpose_a and mapping.a_placement == "whole" and is_ragged(nest, mapping.tile, accelerator.dim):
        raise InputError(
            "mapping.tile.out_columns",
            f"tiles of a transposed A kept whole must be multiples of DIM = {accelerator.dim}",
            value=mapping.tile.out_columns,
        )
    if mapping.a_placement == "panel" and mapping.order != "pixels_outer":
        raise InputError("mapping.a_placement", "a panel of A needs the pixel loop outermost", value=mapping.order)
    if mapping.b_placement == "panel" and mapping.order != "channels_outer":
        raise InputError("mapping.b_placement", "a panel of B needs the channel loop outermost", value=mapping.order)
    for name in Tile.__dataclass_fields__:
        size, limit = getattr(mapping.tile, name), getattr(nest, name)
        if not 1 <= size <= limit:
            raise InputError(f"mapping.tile.{name}", "tile outside its loop", value=size, limit=limit)
    if not channel_tiles_are_blocks(nest, mapping.tile, accelerator.dim):
        raise InputError(
            "mapping.tile", f"channel tiles must be multiples of DIM = {accelerator.dim}", value=mapping.tile
        )
    _check_packing(nest, mapping, accelerator)
    kernel = nest.kernel_rows * nest.kernel_columns
    if (nest.transpose_b and kernel > 1) or (nest.transpose_a and kernel * nest.images * nest.out_rows > 1):
        raise InputError("nest", "only a matmul can have transposed operands")
    needed = buffers(nest, mapping, accelerator)
    # The repeater writes no copy of a pixel of the upper half into the lower one.
    packed = mapping.max_pixels_per_row > 1
    for what, demand, capacity in (
        ("scratchpad", needed.scratchpad_rows, accelerator.scratchpad_rows),
        ("half of the scratchpad", packed * needed.a_rows, accelerator.scratchpad_rows // 2),
        ("accumulator", needed.accumulator_rows, accelerator.accumulator_rows),
    ):
        if demand > capacity:
            raise InfeasibleError(what, demand=demand, capacity=capacity, unit="rows", hint="take a smaller tile")
    return needed


def _check_packing(nest: ArrayNest, mapping: Mapping, accelerator: Accelerator) -> None:
    path, pixels, tile = "mapping.max_pixels_per_row", mapping.max_pixels_per_row, mapping.tile
    most = min(most_pixels_per_row(nest, accelerator), tile.kernel_columns)
    if not 1 <= pixels <= most:
        raise InputError(path, f"kernel columns that {accelerator.name} puts side by side", value=pixels, limit=most)
    if pixels == 1:
        return
    if mapping.a_placement == "whole" and tile.out_columns != nest.out_columns:
        raise InputError(path, "packed pixels kept whole arrive in whole lines", value=tile.out_columns)
    kept = input_taps(nest, mapping)[1]
    if not is_seen(nest, tile.out_columns, tile.kernel_columns, kept, pixels, accelerator.dim):
        raise InputError(path, "the reservation station would not see the copies of so short lines", value=pixels)


def channel_tiles_are_blocks(nest: ArrayNest, tile: Tile, dim: int) -> bool:
    """Channel tiles that do not reach the end of their loop are whole blocks of the array."""
    return all(
        size % dim == 0 or size == whole
        for size, whole in ((tile.in_channels, nest.in_channels), (tile.out_channels, nest.out_channels))
    )
