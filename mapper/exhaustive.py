"""Exhaustive search: every legal mapping of a small nest through the analytical model. The oracle of the integer
program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from time import perf_counter

from mapper.heuristic import smallest_mapping
from mapper.mapping_space import copies_for, spills_for
from mapper.objective import Key, in_units, key_of
from mapper.solve import Objective, Solve
from model_ir.errors import InfeasibleError, InputError
from simulator.accelerator import Accelerator
from simulator.analytical import analytical
from simulator.array_nest import ArrayNest
from simulator.cost import Cost
from simulator.mapping import (
    PLACEMENTS,
    REDUCTION_PARTS,
    Copies,
    Mapping,
    Tile,
    can_be_parted,
    channel_tiles_are_blocks,
    check_legal,
    dataflows,
    is_ragged,
    tile_counts,
)
from simulator.packing import most_pixels_per_row


def exhaustive(
    nest: ArrayNest, accelerator: Accelerator, *, objective: Objective = "latency"
) -> tuple[Mapping, Cost, Solve]:
    """The best of all legal mappings; raises InfeasibleError where none is. Time grows with the product of all loop
    sizes: for nests of a few hundred tiles."""
    started = perf_counter()
    best: tuple[Key, Mapping, Cost] | None = None
    visited = 0
    parts = REDUCTION_PARTS if spills_for(objective) else (1,)
    for mapping in legal_mappings(nest, accelerator, copies_for(objective), parts):
        visited += 1
        cost = analytical(nest, mapping, accelerator)
        key = key_of(cost, accelerator, objective)
        if best is None or key < best[0]:
            best = key, mapping, cost
    if best is None:
        check_legal(nest, smallest_mapping(nest, accelerator), accelerator)
        raise AssertionError("the smallest mapping is legal but was not visited")
    (first, second), mapping, cost = best
    units = (in_units(first, accelerator, objective), second)
    return mapping, cost, Solve.of_all(objective, units, visited=visited, seconds=perf_counter() - started)


def legal_mappings(
    nest: ArrayNest, accelerator: Accelerator, copies_at_most: Copies = 2, reduction_parts: tuple[int, ...] = (1,)
) -> Iterator[Mapping]:
    """Every mapping of `nest` with `copies_at_most` of every buffer and the reduction in `reduction_parts` that
    `check_legal` accepts."""
    for parts in reduction_parts:
        if can_be_parted(nest, parts, accelerator.dim):
            yield from _mappings_in_parts(nest, accelerator, copies_at_most, parts)


def _mappings_in_parts(
    nest: ArrayNest, accelerator: Accelerator, copies_at_most: Copies, parts: int
) -> Iterator[Mapping]:
    part = replace(nest, in_channels=nest.in_channels // parts)
    for tile in _tiles(part, accelerator.dim):
        counts = tile_counts(part, tile)
        if parts > 1 and min(counts.pixels, counts.channels) == 1:
            continue
        packings = range(1, min(most_pixels_per_row(nest, accelerator), tile.kernel_columns) + 1)
        flows = dataflows(nest, accelerator)
        for dataflow, (order, a_placement, b_placement), pixels in product(flows, PLACEMENTS, packings):
            mapping = Mapping(
                dataflow=dataflow,
                tile=tile,
                order=order,
                a_placement=a_placement,
                b_placement=b_placement,
                a_copies=copies_at_most,
                b_copies=copies_at_most,
                c_copies=copies_at_most,
                reduction_parts=parts,
                max_pixels_per_row=pixels,
            )
            if nest.transpose_a and a_placement == "whole" and is_ragged(nest, tile, accelerator.dim):
                continue
            try:
                check_legal(nest, mapping, accelerator)
            except InfeasibleError:
                continue
            except InputError:
                if pixels == 1:
                    raise
                continue
            yield mapping


def _tiles(nest: ArrayNest, dim: int) -> Iterator[Tile]:
    loops = (
        range(1, nest.images + 1),
        range(1, nest.out_rows + 1),
        range(1, nest.out_columns + 1),
        range(1, nest.out_channels + 1),
        range(1, nest.kernel_rows + 1),
        range(1, nest.kernel_columns + 1),
        range(1, nest.in_channels + 1),
    )
    for sizes in product(*loops):
        tile = Tile(**dict(zip(Tile.__dataclass_fields__, sizes, strict=True)))
        if channel_tiles_are_blocks(nest, tile, dim):
            yield tile
