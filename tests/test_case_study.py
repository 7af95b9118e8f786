"""The accelerator case study: its rows against what was printed, and what must hold whatever the numbers are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model_ir.errors import InputError
from reports.case_study import Breakdown, CaseRow, Part, Unit
from simulator.area import area_parts
from simulator.energy import sram_pj_per_byte
from systolic.case_study.accelerator_steps import (
    REBALANCED,
    START,
    AcceleratorRuns,
    accelerator_rows,
    baseline_breakdown,
    integer_breakdown,
)
from systolic.case_study.architectures import block_costs, layer_sizes
from systolic.case_study.encoder import BERT_BASE_512, EncoderSizes, run_integer, run_matmuls
from systolic.case_study.host import host_cycles, host_elements
from systolic.case_study.machines import survey_dram_bytes_per_cycle, survey_machine
from systolic.case_study.search_steps import Simulated, gains, search, simulate_architecture
from systolic.case_study.study import CaseStudyRequest, case_study

AT = survey_dram_bytes_per_cycle()
SMALL = EncoderSizes(layers=2, tokens=64, features=128, heads=2, hidden=256)


@pytest.fixture(scope="module")
def runs() -> AcceleratorRuns:
    return AcceleratorRuns(
        matmuls={sizes: run_matmuls(BERT_BASE_512, survey_machine(*sizes), wide=True) for sizes in (START, REBALANCED)},
        slower={
            sizes: run_matmuls(BERT_BASE_512, survey_machine(*sizes, dram_bytes_per_cycle=AT), wide=True)
            for sizes in (START, REBALANCED)
        },
        integer=run_integer(BERT_BASE_512, survey_machine(*REBALANCED, units=True)),
    )


def test_every_gated_row_is_within_its_bound(runs: AcceleratorRuns) -> None:
    rows = list(accelerator_rows(runs))
    assert {row.name for row in rows if row.gated and not row.within} == set()
    assert any(row.gated for row in rows)


def test_every_row_outside_its_bound_says_why(runs: AcceleratorRuns) -> None:
    assert all(row.reason for row in accelerator_rows(runs) if not row.within)


def test_breakdowns_add_up(runs: AcceleratorRuns) -> None:
    baseline, integer = baseline_breakdown(runs.matmuls[START]), integer_breakdown(runs.integer)
    for breakdown in (baseline, integer):
        assert sum(breakdown.share(part.name) for part in breakdown.parts) == pytest.approx(1)
    assert integer.cycles == sum(runs.integer.cycles.values())
    assert baseline.cycles > integer.cycles


def test_host_work_of_bert_base() -> None:
    """12 layers of 512 tokens by hand: 12 heads of 512 x 512 scores, 512 x 3072 into GELU, twice 512 x 768."""
    elements = host_elements(BERT_BASE_512)
    assert elements["softmax"] == 12 * 12 * 512 * 512
    assert elements["gelu"] == 12 * 512 * 3072
    assert elements["layer_norm"] == elements["add"] == 12 * 2 * 512 * 768
    assert (
        elements["quantise"]
        == elements["dequantise"]
        == sum(elements[function] for function in ("softmax", "gelu", "layer_norm"))
    )


def test_other_host_figures_change_only_what_they_name() -> None:
    host = survey_machine(*START).host
    plain, other = host_cycles(SMALL, host), host_cycles(SMALL, host, instead={"softmax": 2 * 55.7})
    assert other["softmax"] == pytest.approx(2 * plain["softmax"])
    assert {name: spent for name, spent in other.items() if name != "softmax"} == {
        name: spent for name, spent in plain.items() if name != "softmax"
    }


def test_no_array_is_used_beyond_its_peak() -> None:
    for wide in (False, True):
        run = run_matmuls(SMALL, survey_machine(64, 64), wide=wide)
        assert 0 < run.utilisation < 1


def test_the_integer_units_are_never_slower_than_the_host() -> None:
    for sizes in (SMALL, replace(SMALL, tokens=32), replace(SMALL, heads=4)):
        machine = survey_machine(64, 64)
        alone = baseline_breakdown(run_matmuls(sizes, machine, wide=True))
        together = integer_breakdown(run_integer(sizes, survey_machine(64, 64, units=True)))
        assert together.cycles < alone.cycles


def test_less_bandwidth_is_never_faster() -> None:
    """And the survey's laboratory's lies between the SoC's own and half of it."""
    half, theirs, own = (
        run_matmuls(SMALL, survey_machine(64, 64, dram_bytes_per_cycle=at), wide=True).matmul_cycles
        for at in (3.75, AT, None)
    )
    assert half > theirs > own


def test_layers_add_up() -> None:
    machine = survey_machine(64, 64)
    one, three = (run_matmuls(replace(SMALL, layers=layers), machine, wide=False) for layers in (1, 3))
    assert {kind: 3 * spent for kind, spent in one.cycles.items()} == three.cycles
    assert one.utilisation == pytest.approx(three.utilisation)


def _row(ours: float, published: float, unit: Unit = "change") -> CaseRow:
    return CaseRow(
        step="s",
        name="n",
        ours=ours,
        published=published,
        unit=unit,
        where="w",
        gated=True,
    )


def test_a_change_is_compared_by_its_factor() -> None:
    assert _row(-0.89, -0.78).difference == pytest.approx(-0.5)
    assert _row(0.83, 0.83).within
    assert not _row(0.01, -0.04).within, "another direction"
    assert not _row(0.9, 1.2, "times").within, "a loss is no gain"
    assert _row(0.5, 0.6, "share").within
    assert not _row(0.4, 0.6, "share").within


def test_shares_of_a_breakdown() -> None:
    breakdown = Breakdown(name="b", parts=(Part(name="x", cycles=3.0), Part(name="y", cycles=1.0)))
    assert breakdown.share("x") == 0.75
    assert breakdown.cycles == 4


def test_an_unknown_step_is_an_error() -> None:
    with pytest.raises(InputError, match="no such step"):
        case_study(CaseStudyRequest(steps=("accelerator", "wishes")), lambda *_: None)


def test_area_by_hand() -> None:
    """256 PEs of a multiplier (282), an adder (137) and 117 register bits (4.522); 256 KiB of cells of 0.346 of which
    70 % of an array are made; the accumulator's cells are 30 % larger and end in 16 adders; 20 multipliers of fp32."""
    parts = {part.name: part.um2 for part in area_parts(survey_machine(*START, units=True))}
    assert parts["array"] == pytest.approx(256 * (282 + 137 + 117 * 4.522))
    assert parts["scratchpad"] == pytest.approx(256 * 1024 * 8 * 0.346 / 0.7)
    assert parts["accumulator"] == pytest.approx(64 * 1024 * 8 * 0.346 / 0.7 * 1.3 + 16 * 137)
    assert parts["scaling"] == pytest.approx(20 * 7700)
    lane = 3495 + 4 * 3495 / 2 + 13 * 137 + 3495 + 3 * 3495 / 2 + 9 * 137
    assert parts["integer units"] == pytest.approx(16 * lane + 2 * 7700 + 6 * 137)
    without = area_parts(survey_machine(*START))
    assert {part.name: part.um2 for part in without} == {k: v for k, v in parts.items() if k != "integer units"}


def test_an_access_costs_the_root_of_the_banks_size() -> None:
    """Horowitz, ISSCC 2014: 64 bits from 8 KiB, 32 KiB and 1 MiB take 10, 20 and 100 pJ."""
    assert [sram_pj_per_byte(size) * 8 for size in (8 << 10, 32 << 10)] == pytest.approx([10, 20])
    assert sram_pj_per_byte(1 << 20) * 8 == pytest.approx(100, rel=0.15)
    machine = survey_machine(256, 64)
    assert machine.energy.scratchpad_pj_per_byte == sram_pj_per_byte(64 << 10)
    assert machine.energy.accumulator_pj_per_byte == sram_pj_per_byte(32 << 10)


def test_energy_of_a_run_by_hand() -> None:
    run = run_matmuls(SMALL, survey_machine(64, 64), wide=False)
    table, moved = run.machine.energy, run.moved_bytes
    on_chip = (
        SMALL.macs * 0.3
        + moved["scratchpad"] * table.scratchpad_pj_per_byte
        + moved["accumulator"] * table.accumulator_pj_per_byte
    )
    assert run.on_chip_pj == pytest.approx(on_chip)
    assert run.energy_pj == pytest.approx(on_chip + 160 * moved["DRAM"])
    assert moved["DRAM"] > 0


COSTS = block_costs(survey_machine(64, 256, units=True))


def test_more_of_anything_never_costs_less() -> None:
    """Over the whole space: more features, heads or hidden width take more energy and weights."""
    for table in (COSTS.attention, COSTS.feed_forward):
        for axis in (0, 1):
            assert (np.diff(table[:, :, 1:], axis=axis) > 0).all()
        assert (np.diff(table[:, :, 0], axis=1) > 0).all()


def test_an_architecture_costs_its_layers() -> None:
    one, three = COSTS.of((480, (6,), (1024,))), COSTS.of((480, (6, 6, 6), (1024,) * 3))
    np.testing.assert_allclose(3 * one, three)
    assert one[2] == layer_sizes(480, 6, 1024).weights
    assert layer_sizes(672, 12, 1280).head == 56


def test_the_block_costs_are_below_the_cycle_engine_and_near_it() -> None:
    architecture = (384, (4,), (768,))
    model, engine = COSTS.of(architecture)[0], simulate_architecture(architecture).cycles
    assert model <= engine <= 1.5 * model


def test_the_front_of_the_search_is_not_dominated() -> None:
    points = search(seed=1)
    assert points == search(seed=1)
    front = [point for point in points if point.on_front]
    assert 2 <= len(front) <= 20
    for point in front:
        assert not any(other.weights > point.weights and other.edp <= point.edp for other in points)
    start = next(point for point in points if point.features == 768 and point.hidden == (3072,) * 6)
    assert (start.latency, start.energy, start.weights) == (1, 1, 1)


def test_gains_mix_as_they_say() -> None:
    start = Simulated(cycles=8.0, energy_pj=6.0, head_cycles=0.5, head_pj=0.25)
    pick = Simulated(cycles=4.0, energy_pj=3.0, head_cycles=0.25, head_pj=0.125)
    assert gains(start, pick, 0) == {"latency": 2, "energy": 2, "EDP": 4}
    assert start.with_head(4) == (10, 7)
