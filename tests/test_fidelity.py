"""The measured rows within their bounds, and the page that shows them."""

import gzip
import math
import xml.etree.ElementTree as ET
from functools import cache

import pytest
from micro_rows import MICRO_ROWS
from simulator_programs import ROOT
from test_replay import micro_file

from model_ir.errors import InputError
from reports.fidelity import ACCEPTED_NEAR_BOUND, FAMILY_BOUNDS, STREAM_BOUNDS, FidelityRow, summarise
from reports.fidelity_page import fidelity_page
from reports.fidelity_plot import scatter_svg
from systolic.fidelity import measured_rows, write_fidelity

GROUND_TRUTH = ROOT.parent / "shared" / "ground_truth"
FAMILIES = ("micro", "raw_ws", "raw_os", "tiled", "layers", "chip_micro", "chip_matmul", "soc_matmul", "soc_conv")


@cache
def simulated():
    return tuple(measured_rows(GROUND_TRUTH, values=False, workers=2))


@cache
def summaries():
    return {family.family: family for family in summarise(simulated())}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_within_its_bounds(family):
    if not GROUND_TRUTH.exists():
        pytest.skip("the measured rows are not beside this clone (../shared/ground_truth)")
    # A refused row is in no summary.
    assert [row.refused for row in simulated() if row.family == family and row.refused] == []
    found, bounds = summaries()[family], FAMILY_BOUNDS.get(family, STREAM_BOUNDS)
    assert found.mean_error <= bounds.mean
    assert bounds.p95 is None or found.p95_error <= bounds.p95
    assert bounds.worst is None or found.worst_error <= bounds.worst
    assert found.traffic_exact[0] == found.traffic_exact[1]
    assert math.isnan(found.accepted_near) or found.accepted_near >= ACCEPTED_NEAR_BOUND


ROWS = (
    FidelityRow(name="exact", family="micro", cycles=100, measured_cycles=100, accepted=3, accepted_near=3),
    FidelityRow(name="off|by", family="tiled", cycles=990, measured_cycles=1000, values_exact=True, departs="at 3"),
    FidelityRow(name="far", family="tiled", cycles=22000, measured_cycles=20000, traffic_exact=False),
    FidelityRow(name="unmeasured", family="tiled", cycles=5, measured_cycles=None),
)


def test_the_page_shows_families_bounds_and_the_worst_rows_first():
    page = fidelity_page(ROWS, command="systolic fidelity x", picture="p.svg")
    assert "`systolic fidelity x`" in page
    assert "(p.svg)" in page
    assert "| `micro` | 1 | 1 | 0.000 % | 0.000 % | 0.000 % | 100.00 % |" in page
    assert "| `tiled` | 2 | 0 | 5.500 % |" in page
    assert "0/1 | 1/1 | 0.5 % / 2 % / 5 % |" in page
    assert page.index("`far`") < page.index("off\\|by")
    assert "+10.00 %" in page
    assert "-1.00 %" in page
    assert "unmeasured" not in page
    assert fidelity_page(ROWS[:1], command="c", picture="p.svg").count("Every row is exact") == 1


def test_the_plot_has_two_dots_a_measured_row_inside_its_panels():
    picture = ET.fromstring(scatter_svg(ROWS))
    dots = [(float(dot.get("cx")), float(dot.get("cy"))) for dot in picture.iter("{http://www.w3.org/2000/svg}circle")]
    families = 2
    assert len(dots) == 2 * 3 + families
    exact_cycles, exact_error = dots[0], dots[1]
    far_cycles, far_error = dots[4], dots[5]
    # Further right is more cycles; the exact row lies on the diagonal and on the line of no error, the far one above.
    assert far_cycles[0] > exact_cycles[0]
    assert exact_cycles[0] - 64 == pytest.approx(406 - exact_cycles[1], abs=0.2)
    assert far_error[1] < exact_error[1]
    with pytest.raises(ValueError, match="measured"):
        scatter_svg(ROWS[3:])


def test_the_page_of_a_folder_is_written_beside_its_plot(tmp_path):
    packed = gzip.compress(micro_file(tmp_path / "s.jsonl").read_bytes())
    (tmp_path / "command_streams.jsonl.gz").write_bytes(packed)
    (tmp_path / "chip_matmul.csv").write_text(
        "I,J,K,ti,tj,tk,lat,cycles,rdreq,rdbytes,wrreq,wrbytes,ideal\n16,16,16,1,1,1,1,169,32,512,16,256,16\n"
    )
    (tmp_path / "chip_micro.csv").write_text("what,cycles\nws_pc_x4,141\nmvin16x64_x1_L1,98\n")
    rows = write_fidelity(tmp_path, tmp_path / "out" / "page.md")
    assert [row.cycles - (row.measured_cycles or 0) for row in rows] == [0] * (len(MICRO_ROWS) + 3)
    assert "Every row is exact" in (tmp_path / "out" / "page.md").read_text()
    ET.parse(tmp_path / "out" / "page.svg")


def test_a_folder_that_is_none_is_named(tmp_path):
    with pytest.raises(InputError, match=r"holds no command_streams"):
        list(measured_rows(tmp_path))
    micro_file(tmp_path / "command_streams.jsonl.gz")
    (tmp_path / "chip_micro.csv").write_text("what,cycles\nnothing_x4,141\n")
    with pytest.raises(InputError, match=r"chip_micro\.csv:2"):
        list(measured_rows(tmp_path))
