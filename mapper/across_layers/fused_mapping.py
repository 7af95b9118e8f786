"""The best mapping of a matmul whose rows are normalised in the accumulator: every tile of whole rows that can matter.

With all output channels in a tile there is one channel tile, so the loop order says nothing, A crosses the port once
whatever its placement, and B once or once a pixel tile. What is left to choose: rows of a tile, input channels of a
tile, and whether A or B stays (one copy of all of A may be smaller than two of a tile).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Literal

from mapper.heuristic import default_dataflow, is_matmul
from mapper.objective import Key, key_of
from mapper.solve import Objective
from model_ir.errors import InfeasibleError, InputError
from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.cost import Cost
from simulator.fusion import NOTHING_KEPT, OnChip, Tail, fused_cost
from simulator.mapping import Mapping, Placement, Tile, ceil_div
from simulator.tile_sums import row_beats, row_requests

TileRows = Literal["any", "blocks"]
"""Rows that a tile may have: any number, or only what Gemmini's library makes, multiples of DIM (tiled_matmul_auto
grows tile_I by blocks, gemmini.h at 180c468; for 512 tokens these are also the divisors that Timeloop's factorisation
tries)."""


def fused_mapping(
    nest: ArrayNest,
    accelerator: Accelerator,
    tail: Tail,
    *,
    on_chip: OnChip = NOTHING_KEPT,
    tile_rows: TileRows = "any",
    objective: Objective = "latency",
) -> tuple[Mapping, Cost]:
    """The mapping of least `objective` (and then what decides among equals) and its fused cost.

    Raises InfeasibleError where the accumulator does not hold one row twice, or the scratchpad not the smallest tile;
    InputError for a nest that is no matmul.
    """
    if not is_matmul(nest):
        raise InputError("nest", "only the rows of a matmul can be normalised in the accumulator")
    _check_a_row_fits(nest, accelerator)
    best: tuple[Key, Mapping, Cost] | None = None
    problem: InfeasibleError | None = None
    for mapping in _candidates(nest, accelerator, tile_rows):
        try:
            cost = fused_cost(nest, mapping, accelerator, tail=tail, on_chip=on_chip)
        except InfeasibleError as error:
            problem = error
            continue
        key = key_of(cost, accelerator, objective)
        if best is None or key < best[0]:
            best = key, mapping, cost
    if best is None:
        assert problem is not None, "a matmul has at least one candidate"
        raise problem
    return best[1], best[2]


def _check_a_row_fits(nest: ArrayNest, accelerator: Accelerator) -> None:
    """Say in elements of the normalised dimension what does not fit, before any tile is tried."""
    blocks = ceil_div(nest.out_channels, accelerator.dim)
    rows = blocks * (2 if nest.repeat_count * nest.pixels > 1 else 1)
    if rows > accelerator.accumulator_rows:
        raise InfeasibleError(
            f"accumulator for two whole rows of {nest.out_channels} sums",
            demand=rows,
            capacity=accelerator.accumulator_rows,
            unit="rows",
            hint="leave the normalisation to a pass of its own",
        )


def _candidates(nest: ArrayNest, accelerator: Accelerator, tile_rows: TileRows) -> Iterator[Mapping]:
    dim, dataflow = accelerator.dim, default_dataflow(nest, accelerator)
    placements: tuple[Placement, ...] = ("tile", "whole")
    limit = accelerator.accumulator_rows // ceil_div(nest.out_channels, dim)
    unit = dim if tile_rows == "blocks" else 1
    rows = [size for size in range(unit, nest.out_columns, unit) if size <= limit]
    rows += [nest.out_columns] if nest.out_columns <= limit or not rows else []
    depths = _depths(nest.in_channels, accelerator)
    # The smallest tile comes last: where nothing fits, the error is about it.
    for out_columns, in_channels, a_placement, b_placement in product(
        reversed(rows), reversed(depths), reversed(placements), reversed(placements)
    ):
        tile = Tile(
            images=1,
            out_rows=1,
            out_columns=out_columns,
            out_channels=nest.out_channels,
            kernel_rows=1,
            kernel_columns=1,
            in_channels=in_channels,
        )
        yield Mapping(
            dataflow=dataflow, tile=tile, order="pixels_outer", a_placement=a_placement, b_placement=b_placement
        )


def _depths(channels: int, accelerator: Accelerator) -> list[int]:
    """Tiles of input channels, smallest first: those that take fewer beats or requests than every smaller one, and all
    channels, with which a tile's operands need not be fetched in parts."""
    kept: list[int] = []
    fewest = (float("inf"), float("inf"))
    for depth in range(accelerator.dim, channels, accelerator.dim):
        beats, requests = row_beats(channels, depth, accelerator), row_requests(channels, depth, accelerator)
        if beats < fewest[0] or requests < fewest[1]:
            kept.append(depth)
            fewest = min(fewest[0], beats), min(fewest[1], requests)
    return [*kept, channels]
