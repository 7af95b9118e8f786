"""The page as a browser shows it: scripts run without complaint, figures are drawn, both colour schemes are legible."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from chromium_page import CHROMIUM, opened, read_png
from report_records import make_record
from test_report_page import Elements, hostile_record

from reports.page import render_page

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")

SCHEMES = {"light": ("--blink-settings=preferredColorScheme=1",), "dark": ("--blink-settings=preferredColorScheme=0",)}


@pytest.mark.parametrize(("layers", "figures"), [(0, 3), (3, 4), (60, 4), (500, 4)])
def test_scripts_draw_every_figure_without_complaint(layers: int, figures: int, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(render_page(make_record(layers)), encoding="utf-8")
    document, complaints = opened(page, "--dump-dom")
    assert complaints == []
    assert 'data-ready="yes"' in document
    assert len(re.findall(r'class="figure[^"]* js-plotly-plot"', document)) == figures
    assert f"{layers} of {layers} layers" in document
    if layers:
        assert document.count('class="point"') + document.count('class="points"') > 0
        assert "<canvas" in document


def test_hostile_names_run_nothing(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(render_page(hostile_record()), encoding="utf-8")
    document, complaints = opened(page, "--dump-dom")
    assert complaints == []
    assert 'data-ready="yes"' in document
    assert not [name for _, attributes in Elements(document).found for name in attributes if name.startswith("on")]
    assert "<script>alert" not in document
    assert "<img" not in document


def test_light_and_dark_are_drawn_and_legible(tmp_path: Path) -> None:
    page, shots = tmp_path / "report.html", {}
    page.write_text(render_page(make_record(60)), encoding="utf-8")
    for scheme, flags in SCHEMES.items():
        picture = tmp_path / f"{scheme}.png"
        opened(page, f"--screenshot={picture}", *flags)
        shots[scheme] = read_png(picture)[:, :, :3].astype(float)
    for shot in shots.values():
        assert shot.shape == (800, 1200, 3)
        # A figure's half and the breakdown's half both hold something in colour: no card is blank.
        saturation = shot.max(axis=2) - shot.min(axis=2)
        assert (saturation[220:660, :740] > 60).mean() > 0.005
        assert (saturation[220:660, 760:] > 60).mean() > 0.01
    assert np.median(shots["light"]) > 200
    assert np.median(shots["dark"]) < 60
    for shot in shots.values():
        headline = shot[55:80].mean(axis=2)
        assert np.ptp(headline) > 150
