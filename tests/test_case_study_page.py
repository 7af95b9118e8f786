"""The case study's page, text and JSON: they say what the rows say, and a browser draws every figure."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from chromium_page import CHROMIUM, opened, read_png

from reports.case_study import Breakdown, CaseRow, CaseStudy, Part, SearchPoint
from reports.case_study_figures import figures_of
from reports.case_study_page import render_case_study
from reports.case_study_text import case_study_markdown, case_study_record
from reports.units import BY

MINUS = "\N{MINUS SIGN}"


def _study() -> CaseStudy:
    rows = [
        CaseRow(step=step, name=f"<row> {step}", ours=ours, published=published, unit=unit, where="w", gated=gated)
        for step, ours, published, unit, gated in (
            ("baseline", 0.97, 0.96, "share", True),
            ("integer units", 38.0, 39.6, "times", True),
            ("memory", -0.12, -0.24, "change", False),
            ("memory", 0.8, 0.7, "share", True),
            ("fusion", -0.01, 0.27, "change", False),
            ("mapping", 10.0, 9.42, "number", True),
            ("architecture search", 1.5, 1.4, "times", True),
            ("headline", 81.0, 88.7, "times", False),
        )
    ]
    parts = (Part(name="matmul", cycles=1e6, published=0.01), Part(name="softmax", cycles=9e6, published=0.2))
    points = [
        SearchPoint(features=384, heads=(4,), hidden=(768,), latency=x, energy=x, weights=x, on_front=x > 0.5)
        for x in (0.25, 0.5, 1.0)
    ]
    return CaseStudy(
        rows=tuple(rows),
        breakdowns=(Breakdown(name="baseline", parts=parts),),
        areas=(("array", 2e5), ("scratchpad", 1e6)),
        architectures=tuple(points),
    )


def test_text_and_record_say_what_the_rows_say() -> None:
    study = _study()
    text, record = case_study_markdown(study), case_study_record(study)
    assert f"38.00{BY} | 39.60{BY} | {MINUS}4 % | within" in text
    assert f"{MINUS}1.0 % | +27.0 % | {MINUS}22 % | other direction" in text
    assert [row["name"] for row in record["rows"]] == [row.name for row in study.rows]
    assert record["architectures_tried"] == 3
    assert json.dumps(record, allow_nan=False)


def test_only_gated_rows_fail() -> None:
    study = _study()
    assert study.failed == ()
    broken = replace(study, rows=(*study.rows, replace(study.rows[0], ours=0.2)))
    assert [row.ours for row in broken.failed] == [0.2]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")
@pytest.mark.parametrize("scheme", [0, 1])
def test_a_browser_draws_every_figure_in_light_and_dark(scheme: int, tmp_path: Path) -> None:
    page, picture = tmp_path / "case-study.html", tmp_path / "page.png"
    page.write_text(render_case_study(_study()), encoding="utf-8")
    colours = f"--blink-settings=preferredColorScheme={scheme}"
    document, complaints = opened(page, colours, "--dump-dom")
    assert complaints == []
    assert len(re.findall(r'class="figure[^"]* js-plotly-plot"', document)) == len(figures_of(_study())) == 6
    assert "&lt;row&gt;" in document
    assert "<row>" not in document
    opened(page, colours, f"--screenshot={picture}")
    pixels = read_png(picture)
    assert pixels.shape[:2] == (800, 1200)
    assert (pixels[..., :3].mean() > 200) == bool(scheme), "a light page is light, a dark one dark"
