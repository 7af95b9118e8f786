"""The page as a browser shows it: scripts run without complaint, figures are drawn, both colour schemes are legible."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from chromium_page import CHROMIUM, opened, read_png
from report_records import make_record
from test_report_page import Elements, hostile_record

from reports.page import render_page
from reports.units import UNMEASURED

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


STEPS = """
const table = document.getElementById("table-layers"), rows = () => Array.from(table.tBodies[0].rows);
const click = (text) => Array.from(table.tHead.querySelectorAll("button")).find((b) => b.textContent === text).click();
const seen = {};
click("Cycles");
seen.descending = rows().map((row) => row.cells[6].textContent);
click("Cycles");
seen.ascending = rows().map((row) => row.cells[6].textContent);
click("Utilisation");
seen.unmeasuredLast = rows().map((row) => row.cells[7].textContent);
click("#");
click("#");
const input = document.querySelector("input[type=search]");
input.value = "MATMUL array";
input.dispatchEvent(new Event("input"));
seen.filtered = rows().filter((row) => !row.hidden).map((row) => row.cells[0].textContent);
document.querySelector("button[data-scale=percent]").click();
seen.highest = document.querySelector("[data-figure=cycles]")._fullLayout.yaxis.range[1];
const select = document.querySelector("select"), canvas = document.querySelector("canvas");
seen.timelines = select.options.length;
seen.legend = Array.from(document.querySelectorAll(".legend > span"), (entry) => entry.textContent);
seen.bar = document.querySelector(".bar.thin").children.length;
document.querySelector("[data-zoom='0.5']").click();
seen.zoomed = document.querySelector(".timeline-bar .place").textContent;
const tipIn = (lane) => {
  const { left, top } = canvas.getBoundingClientRect(), tip = document.querySelector(".tip");
  tip.hidden = true;
  for (let x = 75; x < 900 && tip.hidden; x += 1)
    canvas.dispatchEvent(new PointerEvent("pointermove", { clientX: left + x, clientY: top + 20 + 60 * lane }));
  return tip.textContent;
};
seen.tip = tipIn(2);
const windows = document.querySelectorAll(".windows button");
seen.windows = Array.from(windows, (button) => button.textContent);
windows[1].click();
seen.middle = document.querySelector(".timeline-bar .place").textContent;
seen.waits = tipIn(0);
const drawn = () => document.querySelector("[data-figure=cycles]").data.slice(1).map((trace) => trace.y);
const heights = () => drawn()[0].map((_, i) => drawn().reduce((sum, y) => sum + (y[i] ?? 0), 0));
document.querySelector("button[data-scale='']").click();
seen.before = heights();
document.querySelector("button[data-order=cycles]").click();
seen.ordered = heights();
document.querySelector("button[data-order='']").click();
seen.again = heights();
seen.counters = document.querySelectorAll("#table-counters tbody tr").length;
document.body.dataset.seen = JSON.stringify(seen);
"""


def test_tables_sort_and_filter_and_the_timeline_zooms(tmp_path: Path) -> None:
    record, page = make_record(40, seed=5), tmp_path / "report.html"
    text = re.sub(r"<meta http-equiv[^>]*>", "", render_page(record))
    page.write_text(text.replace("</body>", f"<script>{{{STEPS}}}</script></body>"), encoding="utf-8")
    document, complaints = opened(page, "--dump-dom")
    assert complaints == []
    seen = json.loads(next(a["data-seen"] or "" for tag, a in Elements(document).found if tag == "body"))
    cycles = sorted(record.layers["cycles"])
    assert seen["ascending"] == [f"{value:,.0f}" for value in cycles]
    assert seen["descending"] == seen["ascending"][::-1]
    measured = int(record.layers["utilisation"].notna().sum())
    assert set(seen["unmeasuredLast"][measured:]) == {UNMEASURED}
    assert UNMEASURED not in seen["unmeasuredLast"][:measured]
    assert seen["filtered"] == [str(i) for i, kind in enumerate(record.layers["kind"]) if kind == "matmul"]
    assert 99 < seen["highest"] < 120
    assert seen["timelines"] == record.timelines["layer"].nunique()
    assert re.match(r"cycles [\d,]+ to [\d,]+ of [\d,]+", seen["zoomed"])
    assert re.match(r"mvin dram=.*\ncycles [\d,]+ to [\d,]+ \([\d,]+\)$", seen["tip"])
    assert seen["windows"] == ["start", "middle"]
    assert seen["middle"] != seen["zoomed"]
    assert re.match(r"waiting: .*\ncycles [\d,]+ to [\d,]+ \([\d,]+\)$", seen["waits"])
    assert len(seen["legend"]) == seen["bar"] > 3
    assert seen["ordered"] == sorted(seen["before"], reverse=True) != seen["before"]
    assert seen["again"] == seen["before"]
    assert seen["counters"] == int(record.layers["counter_EXE_ACTIVE_CYCLE"].notna().sum())


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
