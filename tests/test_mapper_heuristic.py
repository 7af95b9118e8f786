"""Gemmini's heuristics against the numbers of its library and on random nests."""

from __future__ import annotations

from hypothesis import given, settings

from mapper.heuristic import heuristic
from model_ir.errors import InfeasibleError
from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.mapping import Buffers, check_legal, dataflows
from tests.nest_cases import GEMMINI, convolution, machines, matmul, nests


def test_matmul_tiles_are_the_librarys() -> None:
    """Default configuration: 5 x 5 blocks of output (half the accumulator: 512 rows, 32 blocks, floor of its root), 51
    deep (half the scratchpad); no loop can grow: 6 x 5 x 51 blocks exceed 512, and so do 2 x 5 x 52."""
    tile = heuristic(matmul(4096, 4096, 4096), GEMMINI).tile
    assert (tile.out_columns, tile.out_channels, tile.in_channels) == (5 * 16, 5 * 16, 51 * 16)


def test_matmul_tiles_grow_where_a_loop_is_short() -> None:
    """Reduction of 4 blocks: 5 x 5 grows in turn to 6 x 5 (j first), which fills 30 of the accumulator's 32 blocks."""
    tile = heuristic(matmul(4096, 64, 4096), GEMMINI).tile
    assert (tile.out_columns, tile.out_channels, tile.in_channels) == (5 * 16, 6 * 16, 64)


def test_small_matmul_is_one_resident_tile() -> None:
    mapping = heuristic(matmul(60, 64, 60), GEMMINI)
    assert (mapping.tile.out_columns, mapping.tile.in_channels, mapping.tile.out_channels) == (60, 64, 60)
    assert (mapping.a_placement, mapping.b_placement) == ("whole", "whole")


def test_convolution_spares_columns_and_fills_half_of_a_memory() -> None:
    nest = convolution(1, 56, 3, 64, 64, pad=1)
    mapping = heuristic(nest, GEMMINI)
    needed: Buffers = check_legal(nest, mapping, GEMMINI)
    assert mapping.tile.kernel_rows == mapping.tile.kernel_columns == 3
    assert mapping.tile.out_columns >= 16
    assert needed.c_rows <= GEMMINI.accumulator_rows // 2
    assert needed.a_rows // needed.a_copies <= GEMMINI.scratchpad_rows // 2


@settings(max_examples=150, deadline=None, derandomize=True)
@given(nest=nests(), accelerator=machines())
def test_heuristic_is_legal_or_infeasible(nest: ArrayNest, accelerator: Accelerator) -> None:
    try:
        mapping = heuristic(nest, accelerator)
    except InfeasibleError:
        return
    check_legal(nest, mapping, accelerator)
    assert mapping.dataflow in dataflows(nest, accelerator)
