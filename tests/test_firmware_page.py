"""The firmware report: it says what the run says, shows no markup of a network's names, and a browser draws it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from chromium_page import CHROMIUM, opened, read_png
from firmware_runs import sample_run

from reports.firmware import FirmwareRun, Score
from reports.firmware_figures import COSTS, accuracy_figure, figures_of
from reports.firmware_page import render_firmware
from reports.firmware_terminal import print_firmware
from reports.firmware_text import headline


def test_a_score_has_its_binomial_error() -> None:
    score = Score(right=7120, samples=10_000)
    assert score.accuracy == 0.712
    assert abs(score.sigma - 0.00453) < 1e-5


def test_every_design_is_drawn_once_against_every_cost_it_has() -> None:
    run = sample_run()
    for title, cost in COSTS.values():
        figure = accuracy_figure(run, title, cost)
        hover = [text for trace in figure["data"] for text in trace.get("customdata", ())]
        shown = [design for design in run.designs if cost(design) is not None and design.method != "float"]
        assert len(hover) == len(shown)
        for design in shown:
            assert sum(text.split("<br>")[0] == design.name for text in hover) == 1


def test_what_a_figure_leaves_below_is_named_at_its_foot() -> None:
    run = sample_run()
    figure = accuracy_figure(run, *COSTS["bops"])
    foot = figure["layout"]["yaxis"]["range"][0]
    below = figure["data"][0]
    assert foot > 60
    assert below["y"] == [foot]
    assert below["customdata"][0].startswith("2 bits, rounded<br>32.70")


def test_a_run_without_the_optional_parts_is_a_page_too() -> None:
    bare = replace(sample_run(), tensors=(), proof=None, matches=(), counts=(), faults=None, notes=())
    page = render_firmware(bare)
    assert "nothing was compared" in page
    assert set(figures_of(bare)) == set(COSTS)


def test_mismatches_are_in_the_headline() -> None:
    run = sample_run()
    wrong = replace(run, matches=(*run.matches, replace(run.matches[0], mismatches=3)))
    assert "0 mismatches" in headline(run)
    assert "3 mismatches" in headline(wrong)


def test_json_is_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    run = sample_run()
    print_firmware(run, Path("report.html"), as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert shown.pop("page") == "report.html"
    assert msgspec.convert(shown, FirmwareRun, strict=False) == run


def test_the_terminal_shows_designs_comparisons_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    print_firmware(sample_run(), Path("report.html"), as_json=False)
    shown = capsys.readouterr().out
    for text in ("Omega, 4.4 bits *", "hls4ml, Vivado, io_parallel", "21,345", "page: report.html"):
        assert text in shown


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize("flags", [(), ("--force-dark-mode",)])
def test_a_browser_draws_every_figure_and_complains_about_nothing(tmp_path: Path, flags: tuple[str, ...]) -> None:
    run = sample_run("<b onclick=alert(1)>net</b>")
    page = tmp_path / "report.html"
    page.write_text(render_firmware(run), encoding="utf-8")
    document, complaints = opened(page, "--dump-dom", *flags)
    assert complaints == []
    assert 'data-ready="yes"' in document
    assert "<b onclick" not in document
    assert document.count("js-plotly-plot") >= len(figures_of(run))
    picture = tmp_path / "report.png"
    opened(page, f"--screenshot={picture}", *flags)
    assert read_png(picture).std() > 10
