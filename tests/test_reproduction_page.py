"""The page of reproduced tables as a browser shows it: light and dark, wide and narrow."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from chromium_page import CHROMIUM, opened, read_png

from reports.reproduction import CLOSENESS, ReproducedRow, ReproducedTable
from reports.reproduction_page import render_reproduction

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")

SCHEMES = {"light": ("--blink-settings=preferredColorScheme=1",), "dark": ("--blink-settings=preferredColorScheme=0",)}
OURS = {"exact": 100.0, "close": 104.0, "near": 120.0, "far": 190.0, "skipped": None}
MEASURED = """
const wide = (element) => element.scrollWidth > element.clientWidth + 1;
const strips = Array.from(document.querySelectorAll(".strip"), (strip) => strip.getBoundingClientRect().right);
document.body.dataset.seen = JSON.stringify({
  overflows: wide(document.documentElement),
  strip: Math.max(...strips),
  colours: Array.from(document.querySelectorAll(".closeness b"), (mark) => getComputedStyle(mark).color),
  outside: document.querySelectorAll(".beside td.missed").length,
  width: innerWidth,
});
"""


def tables() -> list[ReproducedTable]:
    rows = tuple(
        ReproducedRow(
            what=f"row {index}",
            unit=unit,
            printed="100",
            ours=ours,
            bound=0.05 if unit == "GFLOP" and ours else None,
            reason="a long reason why this number is another one than the one that was printed" if index == 3 else "",
        )
        for index in range(12)
        for unit, ours in zip(("GFLOP", "GMOP", "FLOP/B"), list(OURS.values())[index % 3 :], strict=False)
    )
    return [
        ReproducedTable(
            id=f"table-{number}",
            title="Operations, bytes and arithmetic intensity of a network",
            source="arXiv 0000.00000, table 1",
            kind="seen",
            command="systolic reproduce --only table-1",
            note="What is assumed.",
            rows=rows,
        )
        for number in range(4)
    ]


@pytest.mark.parametrize("width", [1200, 500])
def test_nothing_overflows_and_every_closeness_has_its_colour(width: int, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    text = re.sub(r"<meta http-equiv[^>]*>", "", render_reproduction(tables()))
    page.write_text(text.replace("</body>", f"<script>{{{MEASURED}}}</script></body>"), encoding="utf-8")
    document, complaints = opened(page, "--dump-dom", f"--window-size={width},800")
    assert complaints == []
    found = re.search(r'data-seen="([^"]*)"', document)
    assert found
    seen = json.loads(found[1].replace("&quot;", '"'))
    assert seen["width"] == width
    assert not seen["overflows"]
    assert seen["strip"] < width
    assert len(set(seen["colours"])) == len(CLOSENESS)
    assert seen["outside"] == sum(len(table.outside) for table in tables())


def test_light_and_dark_are_legible(tmp_path: Path) -> None:
    page, shots = tmp_path / "page.html", {}
    page.write_text(render_reproduction(tables()), encoding="utf-8")
    for scheme, flags in SCHEMES.items():
        picture = tmp_path / f"{scheme}.png"
        opened(page, f"--screenshot={picture}", *flags)
        shots[scheme] = read_png(picture)[:, :, :3].astype(float)
    assert np.median(shots["light"]) > 200
    assert np.median(shots["dark"]) < 60
    for shot in shots.values():
        assert shot.shape == (800, 1200, 3)
        assert np.ptp(shot[55:80].mean(axis=2)) > 150
        saturation = shot.max(axis=2) - shot.min(axis=2)
        assert (saturation[100:400] > 60).mean() > 0.004
