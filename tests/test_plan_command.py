"""`systolic plan`: what it prints, the page it leaves, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest
from chromium_page import CHROMIUM, opened
from typer.testing import CliRunner

from model_ir.errors import InfeasibleError, InputError
from reports.plan import PlanReport, by_kind, change
from reports.plan_figures import arrays_figure, gains_figure, memory_figure
from reports.plan_page import render_plan
from systolic.cli import app
from systolic.network import NetworkRequest
from systolic.plan_job import PlanRequest, plan_job

RUNNER = CliRunner()


def _quiet(stage: str, done: int, total: int) -> None:
    assert 0 <= done <= total, stage


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PlanReport]:
    request = PlanRequest(
        network=NetworkRequest(model="bert-base", seq=16),
        accelerator="gemmini-ibert",
        arrays=2,
        inputs=2,
        memory_budget_bytes=80_000,
        time_limit_seconds=2.0,
        workers=2,
        out=tmp_path_factory.mktemp("plan") / "plan.html",
    )
    return plan_job(request, _quiet)


def test_the_report_adds_up(planned: tuple[Path, PlanReport]) -> None:
    _, report = planned
    assert [layer for group in report.groups for layer in range(group.first, group.last + 1)] == list(
        range(len(report.layers))
    )
    assert report.cycles <= report.apart_cycles
    assert report.with_path is not None
    assert report.with_path[0] <= report.cycles
    assert sum(numbers[0] for numbers in by_kind(report).values()) == len(report.groups)
    assert sum(numbers[1] for numbers in by_kind(report).values()) == pytest.approx(report.cycles)
    assert report.arrays is not None
    assert report.arrays.cycles < report.arrays.one_array_cycles
    assert report.arrays.evidence.bound <= report.arrays.cycles
    assert report.budget is not None
    assert max(stage.peak_bytes for stage in report.budget.stages) <= 80_000
    assert report.budget.cycles >= report.budget.least_cycles
    assert change(50, 100) == "-50.0 %"


def test_the_figures_show_every_group_and_resident_once(planned: tuple[Path, PlanReport]) -> None:
    _, report = planned
    assert report.arrays is not None
    bars = arrays_figure(report.arrays)["data"]
    assert [len(trace["x"]) for trace in bars] == [len(report.arrays.placements) // 2] * 2
    apart, plan = gains_figure(report)["data"]
    assert sum(plan["x"]) == pytest.approx(report.cycles)
    assert sum(apart["x"]) == pytest.approx(report.apart_cycles)
    for memory in ("scratchpad", "accumulator"):
        own, *residents = memory_figure(report, memory)["data"]
        assert len(own["x"]) == len(report.layers)
        assert len(residents) == sum(residence.memory == memory for residence in report.residences)
        limit = report.scratchpad_rows if memory == "scratchpad" else report.accumulator_rows
        total = list(own["y"])
        for trace in residents:
            for layer, rows in zip(trace["x"], trace["y"], strict=True):
                total[layer] += rows
        assert max(total) <= limit


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")
def test_a_browser_draws_the_page_without_complaint(planned: tuple[Path, PlanReport]) -> None:
    page, _ = planned
    document, complaints = opened(page, "--dump-dom")
    assert complaints == []
    assert 'data-ready="yes"' in document
    assert len(re.findall(r'class="figure[^"]* js-plotly-plot"', document)) == 5
    assert "Which array does what when" in document


def test_names_are_text_and_never_markup(planned: tuple[Path, PlanReport]) -> None:
    _, report = planned
    hostile = "<img src=x onerror=alert(1)>"
    groups = tuple(msgspec.structs.replace(group, names=(hostile,), how=hostile) for group in report.groups)
    page = render_plan(msgspec.structs.replace(report, network=hostile, groups=groups, notes=(hostile,)))
    assert "<img" not in page.split("<script>")[0]


def test_the_command_prints_json_and_tables(tmp_path: Path) -> None:
    out = tmp_path / "plan.html"
    common = ["plan", "jet-tagger", "--no-cache", "--out", str(out)]
    done = RUNNER.invoke(app, [*common, "--json", "--objective", "traffic"])
    assert done.exit_code == 0, done.output
    plain = json.loads(done.stdout)
    assert plain["totals"]["dram_bytes"] < plain["totals"]["apart_dram_bytes"]
    assert plain["evidence"]["status"] == "optimal"
    assert plain["evidence"]["gap"] == 0
    assert {residence["memory"] for residence in plain["residences"]} == {"accumulator"}
    assert plain["arrays"] is plain["budget"] is None
    shown = RUNNER.invoke(app, common)
    assert shown.exit_code == 0
    assert "executed as" in shown.stdout
    assert "tensors on chip" in shown.stdout
    assert out.is_file()


def test_what_cannot_be_planned_is_refused(tmp_path: Path) -> None:
    network = NetworkRequest(model="jet-tagger")
    with pytest.raises(InputError, match="do not add up"):
        plan_job(PlanRequest(network=network, objective="energy_delay_product", out=tmp_path / "p.html"), _quiet)
    with pytest.raises(InfeasibleError, match="operands and result"):
        plan_job(PlanRequest(network=network, memory_budget_bytes=8, out=tmp_path / "p.html"), _quiet)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write"):
        plan_job(PlanRequest(network=network, out=tmp_path / "file" / "p.html"), _quiet)
