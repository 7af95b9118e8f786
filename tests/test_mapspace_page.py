"""The mapping-space page: figures whose numbers are the study's, drawn by a browser without complaint."""

from __future__ import annotations

import re

import pytest
from chromium_page import CHROMIUM, opened
from test_mapspace import small_study

from reports.mapspace_figures import distribution_figure, plane_figure
from reports.mapspace_page import render_mapspace
from reports.units import times


@pytest.fixture(scope="module")
def studies():
    return small_study(), small_study("512,768,768", 2000)


def test_every_sample_is_in_the_figures_once(studies):
    for study in studies:
        bars = distribution_figure(study)["data"][0]
        assert sum(bars["y"]) == len(study)
        heat = plane_figure(study)["data"][0]
        assert sum(map(sum, heat["customdata"])) == len(study)
        assert (len(heat["x"]), len(heat["z"])) == (65, 64)


def test_the_page_shows_ours_beside_the_printed_numbers(studies):
    page = render_mapspace(studies)
    assert times(9.42) in page
    assert "arXiv 2302.14017v1" in page
    assert "Why ours differ" in page
    assert "Why ours differ" not in render_mapspace(studies[:1])
    assert not re.search(r'(src|href)="http', page.split("<script>")[0])


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")
def test_a_browser_draws_every_figure_without_complaint(studies, tmp_path):
    page = tmp_path / "mapspace.html"
    page.write_text(render_mapspace(studies), encoding="utf-8")
    document, complaints = opened(page, "--dump-dom")
    assert complaints == []
    assert 'data-ready="yes"' in document
    assert len(re.findall(r'class="figure[^"]* js-plotly-plot"', document)) == 1 + 2 * len(studies)
