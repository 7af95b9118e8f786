"""The accelerator case study: its rows against what was printed, and what must hold whatever the numbers are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model_ir.errors import InputError
from reports.case_study import Breakdown, CaseRow, Part, Unit
from systolic.case_study.accelerator_steps import (
    REBALANCED,
    START,
    AcceleratorRuns,
    accelerator_rows,
    baseline_breakdown,
    integer_breakdown,
)
from systolic.case_study.encoder import BERT_BASE_512, EncoderSizes, run_integer, run_matmuls
from systolic.case_study.host import host_cycles, host_elements
from systolic.case_study.machines import survey_machine
from systolic.case_study.study import CaseStudyRequest, case_study

SMALL = EncoderSizes(layers=2, tokens=64, features=128, heads=2, hidden=256)


@pytest.fixture(scope="module")
def runs() -> AcceleratorRuns:
    return AcceleratorRuns(
        matmuls={sizes: run_matmuls(BERT_BASE_512, survey_machine(*sizes), wide=True) for sizes in (START, REBALANCED)},
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
