"""Fused costs: the plain model where nothing is fused, the best mapping by enumeration, the published directions."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from nest_cases import machine, machines, mappings, matmul, nests

from mapper.across_layers.fused_mapping import fused_mapping
from mapper.across_layers.fusion_pairs import FusionPair, compare_pair
from mapper.exhaustive import legal_mappings
from mapper.lower import Layer
from model_ir.errors import InfeasibleError, InputError
from simulator.accelerator import Accelerator
from simulator.accelerator_file import load_accelerator
from simulator.analytical import analytical
from simulator.array_nest import ArrayNest
from simulator.fusion import OnChip, Tail, fused_cost
from systolic.pipeline import layers_of
from workloads.catalogue import build

IBERT = load_accelerator("gemmini-ibert")
SURVEY = load_accelerator("survey-256-64")
LAYER_NORM = Tail(normalise="layer_norm")


@st.composite
def small_machines(draw: st.DrawFn) -> Accelerator:
    return machine(2, draw(st.integers(8, 64)), draw(st.integers(4, 32)), base=IBERT, bus_bytes=4, request_bytes=16)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.data())
def test_nothing_fused_is_the_analytical_model(data: st.DataObject) -> None:
    accelerator, nest = data.draw(machines()), data.draw(nests())
    mapping = data.draw(mappings(nest, accelerator))
    try:
        plain = analytical(nest, mapping, accelerator)
    except (InfeasibleError, InputError):
        assume(False)
    assert fused_cost(nest, mapping, accelerator) == plain


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.data())
def test_what_stays_on_chip_never_costs_and_what_is_added_never_pays(data: st.DataObject) -> None:
    accelerator, nest = data.draw(machines()), data.draw(nests())
    mapping = data.draw(mappings(nest, accelerator))
    try:
        plain = analytical(nest, mapping, accelerator)
    except (InfeasibleError, InputError):
        assume(False)
    added = fused_cost(nest, mapping, accelerator, tail=Tail(residual=True))
    outputs = nest.repeat_count * nest.pixels * nest.out_channels * accelerator.input_bytes
    assert added.cycles >= plain.cycles
    assert added.dram_read_bytes == plain.dram_read_bytes + outputs
    kept = fused_cost(nest, mapping, accelerator, tail=Tail(residual=True), on_chip=OnChip(residual=True))
    assert (kept.cycles, kept.dram_bytes) == (plain.cycles, plain.dram_bytes)
    no_store = fused_cost(nest, mapping, accelerator, on_chip=OnChip(c=True))
    assert no_store.cycles <= plain.cycles
    assert no_store.dram_bytes == plain.dram_bytes - outputs
    no_load = fused_cost(nest, mapping, accelerator, on_chip=OnChip(a=True))
    assert no_load.cycles <= plain.cycles
    assert no_load.dram_bytes + plain.scratchpad_write_bytes == plain.dram_bytes + no_load.scratchpad_write_bytes
    assert no_load.energy_pj < plain.energy_pj
    wide = fused_cost(nest, mapping, accelerator, wide_result=True)
    assert wide.dram_write_bytes == 4 * plain.dram_write_bytes
    assert wide.cycles >= plain.cycles


@settings(derandomize=True, deadline=None, max_examples=60)
@given(small_machines(), st.integers(1, 12), st.integers(1, 7), st.integers(1, 6), st.booleans(), st.booleans())
def test_the_fused_mapping_is_the_best_of_all(
    accelerator: Accelerator, rows: int, depth: int, columns: int, repeated: bool, by_traffic: bool
) -> None:
    changes = {"transpose_b": repeated}
    nest = matmul(rows, depth, columns, **changes)
    costs = [
        fused_cost(nest, mapping, accelerator, tail=LAYER_NORM)
        for mapping in legal_mappings(nest, accelerator)
        if mapping.tile.out_channels == nest.out_channels and mapping.dataflow == "ws"
    ]
    objective = "traffic" if by_traffic else "latency"
    if not costs:
        with pytest.raises(InfeasibleError):
            fused_mapping(nest, accelerator, LAYER_NORM, objective=objective)
        return
    _, found = fused_mapping(nest, accelerator, LAYER_NORM, objective=objective)
    keys = [(cost.cycles, cost.dram_bytes) for cost in costs]
    if by_traffic:
        assert (found.dram_bytes, found.cycles) == min((traffic, cycles) for cycles, traffic in keys)
    else:
        assert (found.cycles, found.dram_bytes) == min(keys)


def test_a_single_copy_of_the_sums_hides_no_normalisation() -> None:
    nest = matmul(256, 64, 128)
    mapping, double = fused_mapping(nest, IBERT, LAYER_NORM)
    tile = replace(mapping.tile, out_columns=64)
    double = fused_cost(nest, replace(mapping, tile=tile), IBERT, tail=LAYER_NORM)
    single = fused_cost(nest, replace(mapping, tile=tile, c_copies=1), IBERT, tail=LAYER_NORM)
    # Three of four tiles more, three passes over 64 rows of 8 vectors each.
    assert single.cycles == double.cycles + 3 * (3 * 64 * 8)


def test_a_tile_of_partial_rows_is_refused() -> None:
    nest = matmul(32, 32, 64)
    mapping, _ = fused_mapping(nest, IBERT, LAYER_NORM)
    partial = replace(mapping, tile=replace(mapping.tile, out_channels=32))
    with pytest.raises(InputError, match="whole rows"):
        fused_cost(nest, partial, IBERT, tail=LAYER_NORM)


def test_a_machine_without_the_unit_and_rows_too_long_are_refused() -> None:
    with pytest.raises(InputError, match="layer_norm"):
        fused_mapping(matmul(8, 8, 8), load_accelerator("gemmini"), LAYER_NORM)
    with pytest.raises(InfeasibleError, match="two whole rows"):
        fused_mapping(matmul(64, 64, 16 * 1100), IBERT, LAYER_NORM)


def _machine(accumulator_kib: int, cycles_per_beat: int = 2) -> Accelerator:
    of = msgspec.structs.replace
    return of(
        SURVEY,
        accumulator=of(SURVEY.accumulator, capacity_bytes=accumulator_kib * 1024),
        memory=of(SURVEY.memory, cycles_per_beat=cycles_per_beat),
    )


@pytest.fixture(scope="module")
def bert() -> dict[str, Layer]:
    return {layer.name: layer for layer in layers_of(build("bert-base", seq=512), SURVEY)}


def _pair(bert: dict[str, Layer], first: str, second: str, accelerator: Accelerator) -> FusionPair:
    work = bert[f"layers.0.{first}"].work
    assert isinstance(work, ArrayNest)
    return compare_pair(work, bert[f"layers.0.{second}"].nest, accelerator)


@pytest.mark.parametrize("accumulator_kib", [128, 256])
def test_fusing_scores_with_softmax_pays_at_512_tokens(bert: dict[str, Layer], accumulator_kib: int) -> None:
    """Kim et al., arXiv 2302.14017, section 5.5.2: 78 % less latency with either accumulator."""
    pair = _pair(bert, "attention.scores", "attention.softmax", _machine(accumulator_kib))
    assert pair.change < -0.5
    assert pair.traffic_change < -0.5


def test_fusing_the_output_projection_with_layer_norm_turns_with_the_accumulator(bert: dict[str, Layer]) -> None:
    """Section 5.5.2: 83 % worse with 128 KiB, 4 % better with 256 KiB."""
    small, large = (_pair(bert, "attention.output", "attention.norm", _machine(kib)) for kib in (128, 256))
    assert small.change > 0.3
    assert large.change < 0
    # Why: twice the rows in a tile, half the passes over the weights.
    assert (small.mapping.tile.out_columns, large.mapping.tile.out_columns) == (16, 32)


@pytest.mark.parametrize("cycles_per_beat", [2, 3])
def test_fusing_the_second_feed_forward_matmul_with_layer_norm_does_not_pay(
    bert: dict[str, Layer], cycles_per_beat: int
) -> None:
    """Section 5.5.2: 27 % worse with 256 KiB. Its memory bandwidth is not published; at the 8 bytes a cycle of ours the
    loss is small, and it grows as bandwidth falls."""
    pair = _pair(bert, "feed_forward.out", "feed_forward.norm", _machine(256, cycles_per_beat))
    assert pair.change > 0
    assert pair.change > (0.2 if cycles_per_beat == 3 else 0)
    assert pair.traffic_change > 1


def test_the_directions_are_not_of_one_row_size_alone(bert: dict[str, Layer]) -> None:
    """A larger accumulator never makes the fused pair slower, and rows of any number are never worse than blocks."""
    work = bert["layers.0.attention.output"].work
    assert isinstance(work, ArrayNest)
    before = float("inf")
    for kib in (64, 96, 128, 192, 256, 512):
        _, cost = fused_mapping(work, _machine(kib), LAYER_NORM)
        assert cost.cycles <= before
        before = cost.cycles
        if kib > 64:
            assert cost.cycles <= fused_mapping(work, _machine(kib), LAYER_NORM, tile_rows="blocks")[1].cycles
    with pytest.raises(InfeasibleError):
        fused_mapping(work, _machine(64), LAYER_NORM, tile_rows="blocks")
