"""Fusion in the case study: what Gemmini's commands take, and what the survey's own assumptions make of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_ir.errors import InfeasibleError
from simulator.array_nest import ArrayNest
from simulator.engine import simulate
from simulator.mapping import buffers, check_legal
from systolic.case_study.encoder import matmul_nest
from systolic.case_study.fusion_pairs import Pair, engine_pair, whole_rows
from systolic.case_study.fusion_steps import OURS, SETTINGS, THEIRS, fusion_rows
from systolic.case_study.survey_fusion import (
    apart_cycles,
    as_read,
    emit_pass,
    factor_heuristic,
    hidden_cycles,
    survey_machine_of,
    survey_pair,
)

MACHINE = survey_machine_of(128)
BLOCKS = st.integers(1, 64)


@pytest.fixture(scope="module")
def theirs() -> dict[tuple[str, int, int], Pair]:
    return {setting: survey_pair(*setting) for setting in SETTINGS}


def test_the_survey_s_assumptions_give_every_printed_change(theirs: dict[tuple[str, int, int], Pair]) -> None:
    pairs = {(way, setting): pair for way in (OURS, THEIRS) for setting, pair in theirs.items()}
    rows = list(fusion_rows(pairs))
    assert len(rows) == 20
    for row in rows:
        assert row.within
        assert abs(row.difference) < 0.15, row.name


def test_the_pairs_are_as_long_as_the_bars_of_the_survey_s_figures(
    theirs: dict[tuple[str, int, int], Pair],
) -> None:
    """Axes of figures 21 and 22: 5, 250 and 50 Mcycles are their last ticks, and one tick more does not show."""
    attention = theirs["scores", 512, 128].apart + theirs["output", 512, 128].apart
    longer = theirs["scores", 4096, 256].apart + theirs["output", 4096, 256].apart
    longest = max(attention, theirs["scores", 512, 256].apart + theirs["output", 512, 256].apart)
    assert 4.75e6 < longest < 6e6
    assert 238e6 < longer < 300e6
    assert 47.5e6 < theirs["second", 4096, 256].fused < 60e6


def test_our_commands_go_the_way_of_the_output_projection_s_printed_changes() -> None:
    assert engine_pair("output", 512, 128).change > 0.4
    assert engine_pair("output", 512, 256).change < 0
    assert engine_pair("scores", 512, 128).change < 0


@pytest.mark.parametrize("writes", [False, True])
def test_a_pass_streams_its_words(writes: bool) -> None:
    """2 words an element in, one out; a line is read before its parts are written: words over 5.75 cycles."""
    elements = 1 << 20
    result = simulate(emit_pass(elements, writes=writes, accelerator=MACHINE), MACHINE)
    assert (result.read_bytes, result.write_bytes) == (2 * elements, elements * writes)
    assert result.cycles == pytest.approx((3 if writes else 2) * elements / 5.75, rel=0.03)


def _matmul(rows: int, columns: int, depth: int) -> ArrayNest:
    return as_read(matmul_nest(16 * rows, 16 * columns, 16 * depth))


@settings(derandomize=True, deadline=None, max_examples=100)
@given(BLOCKS, BLOCKS, BLOCKS)
def test_heuristic_tiles_are_factors_and_as_large_as_half_the_memories_hold(
    rows: int, columns: int, depth: int
) -> None:
    nest = _matmul(rows, columns, depth)
    mapping = factor_heuristic(nest, MACHINE)
    check_legal(nest, mapping, MACHINE)
    tile, dim = mapping.tile, MACHINE.dim
    found = (tile.out_columns // dim, tile.out_channels // dim, tile.in_channels // dim)
    limits = (rows, columns, depth)
    assert all(limit % size == 0 for limit, size in zip(limits, found, strict=True))

    def fits(i: int, j: int, k: int) -> bool:
        return 2 * dim * (i * k + k * j) <= MACHINE.scratchpad_rows and 2 * dim * i * j <= MACHINE.accumulator_rows

    assert fits(*found)
    for index, (limit, size) in enumerate(zip(limits, found, strict=True)):
        for larger in (factor for factor in range(size + 1, limit + 1) if limit % factor == 0):
            assert not fits(*found[:index], larger, *found[index + 1 :])


def test_whole_rows_are_held_twice_where_they_fit_and_once_where_not() -> None:
    twice, once = _matmul(32, 48, 4), _matmul(256, 128, 4)
    assert whole_rows(twice, "layer_norm", MACHINE).c_copies == 2
    mapping = whole_rows(once, "softmax", MACHINE)
    assert (mapping.c_copies, mapping.tile.out_columns, mapping.tile.out_channels) == (1, 16, 2048)
    assert buffers(once, mapping, MACHINE).accumulator_rows == MACHINE.accumulator_rows
    with pytest.raises(InfeasibleError, match="accumulator"):
        whole_rows(_matmul(256, 129, 4), "softmax", MACHINE)


@pytest.mark.parametrize("cycles", [apart_cycles, hidden_cycles])
def test_nothing_is_faster_than_the_array(cycles: Callable[..., int]) -> None:
    nest = _matmul(8, 16, 8)
    assert cycles(nest, "softmax", MACHINE) > nest.pixels * nest.out_channels * nest.in_channels / 256


def test_two_layers_of_words_make_layer_norm_longer_than_softmax() -> None:
    nest = _matmul(8, 16, 8)
    elements = nest.pixels * nest.out_channels
    more = apart_cycles(nest, "layer_norm", MACHINE) - apart_cycles(nest, "softmax", MACHINE)
    assert more == pytest.approx(5 * elements / 5.75, rel=0.1)
