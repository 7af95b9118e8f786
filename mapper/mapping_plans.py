"""Plans: everything of a mapping but its pixel tile and its output-channel tile, with what it makes of their numbers.

A plan fixes dataflow, loop order, both placements, the tile of input channels, how many kernel columns share a row,
and whether pixels and output channels are cut at all. Under a fixed plan, on-chip rows and traffic are sums of products
of one pixel number and one output-channel number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import numpy as np

from mapper.tile_options import (
    in_channel_numbers,
    in_channel_options,
    nondominated,
    numbers_of_tile,
    out_channel_numbers,
    pixel_tile,
    worthwhile_packings,
)
from simulator.accelerator import Accelerator, Dataflow
from simulator.analytical import spill_stream
from simulator.array_nest import ArrayNest
from simulator.mapping import (
    PLACEMENTS,
    REDUCTION_PARTS,
    Copies,
    Mapping,
    TileCounts,
    a_is_reloaded,
    b_is_reloaded,
    can_be_parted,
    ceil_div,
    copies,
    dataflows,
    in_parts,
)

Window = Literal["tile", "panel"]

UNITS = ("beats", "requests", "elements")
"""What an operand's traffic is counted in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`a_*` multiply the pixel number of the same name and unit under `a_window`, `b_*` the output-channel number;
    `fixed_*` depend on neither. Traffic is of all repeats, in the order of UNITS; a reloaded operand's is multiplied by
    the other's tiles."""

    mapping: Mapping
    pixels_cut: bool
    channels_cut: bool
    a_window: Window
    a_rows: int
    b_rows: int
    fixed_rows: int
    a_traffic: tuple[int, ...]
    b_traffic: tuple[int, ...]
    fixed_traffic: tuple[int, ...]
    a_reloaded: bool
    b_reloaded: bool
    c_copies: int
    spill_write_cycles: int
    """Cycles of the writer for partial sums; what they load is in `fixed_traffic`, their stores' bytes and
    acknowledgements too."""
    a_limit: int
    """Scratchpad rows of A's pixels in one buffer at most: packed ones stay in half of the memory."""
    updates: int
    """Times that an output-stationary array updates the accumulator; 0 of a weight-stationary one, which does so for
    every block of the reduction."""

    def numbers(self) -> tuple[int, ...]:
        """What decides between plans that cut the same loops, less being better; a reload multiplies by the other
        operand's tiles, so it counts on top."""
        return (
            self.a_rows,
            self.b_rows,
            self.fixed_rows,
            *self.a_traffic,
            *self.b_traffic,
            *(self.a_reloaded * number for number in self.a_traffic),
            *(self.b_reloaded * number for number in self.b_traffic),
            *self.fixed_traffic,
            self.spill_write_cycles,
            self.updates,
        )


def plans(
    nest: ArrayNest,
    accelerator: Accelerator,
    kernel: tuple[int, int],
    *,
    every_dataflow: bool = False,
    copies_at_most: Copies = 2,
    spills: bool = False,
) -> tuple[Plan, ...]:
    """The plans under one kernel tile that no other plan matches or beats in every number: of the fastest dataflow, or
    of `every_dataflow` where more than cycles and traffic count; every operand with `copies_at_most`; with
    partial sums spilled where `spills`."""
    groups: dict[tuple[bool, bool, Dataflow, Window, int], list[Plan]] = {}
    for plan in _all_plans(nest, accelerator, kernel, every_dataflow, copies_at_most, spills):
        if plan.fixed_rows <= accelerator.scratchpad_rows:
            mapping = plan.mapping
            cuts = plan.pixels_cut, plan.channels_cut
            key = (*cuts, mapping.dataflow, plan.a_window, mapping.max_pixels_per_row)
            groups.setdefault(key, []).append(plan)
    kept: list[Plan] = []
    for group in groups.values():
        table = np.array([plan.numbers() for plan in group], dtype=np.int64)
        kept += [group[index] for index in nondominated(list(table.T))]
    return tuple(kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wholes:
    """The numbers of uncut loops, which every plan of a nest refers to."""

    pixels: dict[str, int]
    out_channels: dict[str, int]
    in_channels: dict[str, int]


def wholes_of(nest: ArrayNest, accelerator: Accelerator) -> Wholes:
    """The numbers of `nest`'s loops when nothing is cut."""
    every_pixel = pixel_tile(
        nest, (nest.images, nest.out_rows, nest.out_columns), (nest.kernel_rows, nest.kernel_columns)
    )
    return Wholes(
        pixels=numbers_of_tile(nest, accelerator, every_pixel),
        out_channels=out_channel_numbers(nest, accelerator, nest.out_channels),
        in_channels=in_channel_numbers(nest, accelerator, nest.in_channels),
    )


def plan_of(
    nest: ArrayNest, accelerator: Accelerator, wholes: Wholes, mapping: Mapping, cut: tuple[bool, bool]
) -> Plan:
    """The numbers of `mapping`'s dataflow, order, placements and in_channels, with pixels and output channels `cut` or
    not; in parts, those of the walk over all parts and of the partial sums between them."""
    if mapping.reduction_parts > 1:
        part, whole = in_parts(nest, mapping), replace(mapping, reduction_parts=1)
        plan = plan_of(part, accelerator, wholes_of(part, accelerator), whole, cut)
        spill = spill_stream(nest, mapping, accelerator)
        moved = (spill.beats + spill.requests, spill.requests, 2 * spill.bytes // accelerator.input_bytes)
        fixed = tuple(number + more for number, more in zip(plan.fixed_traffic, moved, strict=True))
        return replace(plan, mapping=mapping, fixed_traffic=fixed, spill_write_cycles=spill.beats)
    pixels_cut, channels_cut = cut
    kernel = (mapping.tile.kernel_rows, mapping.tile.kernel_columns)
    in_tile = in_channel_numbers(nest, accelerator, mapping.tile.in_channels)
    reduction_tiles = (
        ceil_div(nest.in_channels, mapping.tile.in_channels)
        * ceil_div(nest.kernel_rows, kernel[0])
        * ceil_div(nest.kernel_columns, kernel[1])
    )
    counts = TileCounts(pixels=1 + pixels_cut, channels=1 + channels_cut, reduction=reduction_tiles)
    kernel_cut = kernel != (nest.kernel_rows, nest.kernel_columns)
    a_copies, b_copies, c_copies = copies(nest, counts, mapping)
    whole_a, whole_b = mapping.a_placement == "whole", mapping.b_placement == "whole"
    positions = nest.kernel_rows * nest.kernel_columns
    a_depth = in_tile if mapping.a_placement == "tile" else wholes.in_channels
    b_depth, b_positions = (
        (in_tile, kernel[0] * kernel[1]) if mapping.b_placement == "tile" else (wholes.in_channels, positions)
    )
    a_rows = a_copies * a_depth["a_rows"]
    b_rows = b_copies * b_positions * b_depth["b_rows"]
    a_traffic = tuple(nest.repeat_count * in_tile[f"a_{unit}"] for unit in UNITS)
    nothing = (0,) * len(UNITS)
    a_is_fixed = whole_a and not nest.transpose_a
    guard = mapping.max_pixels_per_row - 1
    return Plan(
        mapping=mapping,
        pixels_cut=pixels_cut,
        channels_cut=channels_cut,
        a_window="tile" if mapping.a_placement == "tile" and kernel_cut else "panel",
        a_rows=0 if whole_a else a_rows,
        b_rows=0 if whole_b else b_rows,
        fixed_rows=whole_a * a_rows * wholes.pixels["a_rows_panel"]
        + whole_b * b_rows * wholes.out_channels["b_rows"]
        + a_copies * guard,
        a_traffic=nothing if a_is_fixed else a_traffic,
        b_traffic=tuple(nest.repeat_count * positions * in_tile[f"b_{unit}"] for unit in UNITS),
        fixed_traffic=tuple(
            factor * wholes.pixels[f"a_{unit}_panel"] for factor, unit in zip(a_traffic, UNITS, strict=True)
        )
        if a_is_fixed
        else nothing,
        a_reloaded=a_is_reloaded(counts, mapping),
        b_reloaded=b_is_reloaded(counts, mapping),
        c_copies=c_copies,
        spill_write_cycles=0,
        a_limit=accelerator.scratchpad_rows // (2 if guard else 1) - guard,
        updates=(mapping.dataflow == "os") * reduction_tiles,
    )


def _all_plans(
    nest: ArrayNest,
    accelerator: Accelerator,
    kernel: tuple[int, int],
    every_dataflow: bool,
    copies_at_most: Copies,
    spills: bool,
) -> Iterator[Plan]:
    # Traffic and rows are the same under every dataflow, and the weight-stationary one is never slower.
    available = dataflows(nest, accelerator)
    worthwhile: tuple[Dataflow, ...] = ("ws",) if "ws" in available and not every_dataflow else available
    wholes = wholes_of(nest, accelerator)
    every_pixel = (nest.images, nest.out_rows, nest.out_columns)
    for parts in REDUCTION_PARTS if spills else (1,):
        if not can_be_parted(nest, parts, accelerator.dim):
            continue
        part = replace(nest, in_channels=nest.in_channels // parts)
        in_sizes = in_channel_options(part, accelerator, every_dataflow=every_dataflow).sizes[:, 0].tolist()
        cuts = product((False, True), (False, True)) if parts == 1 else ((True, True),)
        packings = worthwhile_packings(nest, accelerator, kernel[1])
        for cut, dataflow, placement, in_channels, pixels in product(cuts, worthwhile, PLACEMENTS, in_sizes, packings):
            order, a_placement, b_placement = placement
            mapping = Mapping(
                dataflow=dataflow,
                tile=replace(pixel_tile(nest, every_pixel, kernel), in_channels=in_channels),
                order=order,
                a_placement=a_placement,
                b_placement=b_placement,
                a_copies=copies_at_most,
                b_copies=copies_at_most,
                c_copies=copies_at_most,
                reduction_parts=parts,
                max_pixels_per_row=pixels,
            )
            plan = plan_of(nest, accelerator, wholes, mapping, cut)
            if a_placement != "whole" or wholes.pixels["a_rows_panel"] <= plan.a_limit or pixels == 1:
                yield plan
