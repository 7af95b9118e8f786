"""The memory wall: fits against another least-squares solver and the printed factors, crossings against the ridge
points they are of, order, the command and the page."""

from __future__ import annotations

import csv
import json
import math
import re
from datetime import date
from itertools import combinations, pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest
from chromium_page import CHROMIUM, opened, read_png
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from model_ir.errors import InputError
from reports.memory_wall_figures import growth_figure, ridge_figure
from reports.memory_wall_page import render_memory_wall
from simulator.memory_wall.trends import Point, fit, hardware_trends, model_trend, year_of
from simulator.memory_wall.wall import memory_wall
from simulator.rooflines.machine import bandwidth_of
from simulator.rooflines.machine_file import load_machine
from simulator.rooflines.network import roofline_of
from simulator.rooflines.work import Operator, matmul_work
from systolic.cli import app
from systolic.memory_wall_job import MemoryWallRequest, default_machines, memory_wall_job
from systolic.network import NetworkRequest

HEAD = "series,date,value,unit\n"
REST = "dram,2000-01-01,1,x\ninterconnect,2000-01-01,1,x\n"
FACTS = Path(__file__).parents[2] / "shared" / "facts" / "hardware_scaling_points.csv"


def network(rows: int, machine: str = "a100", name: str = "net"):
    """One matmul of `rows` rows: the more, the higher its intensity."""
    work = matmul_work(rows=rows, columns=4096, depth=4096, first_bits=8, second_bits=8, result_bits=8)
    return roofline_of(name, [Operator(name="m", layer="m", kind="matmul", work=work)], load_machine(machine), "int8")


@pytest.fixture(scope="module")
def wall():
    return memory_wall_job(MemoryWallRequest())


@pytest.mark.parametrize(("series", "printed"), [("compute", 3.026), ("dram", 1.592), ("interconnect", 1.415)])
def test_hardware_grows_as_printed(series, printed):
    assert hardware_trends()[series].per_two_years == pytest.approx(printed, rel=0.01)


def test_the_points_that_ship_are_those_read_off_the_figure():
    if not FACTS.is_file():
        pytest.skip("the points read off the figure are not here")
    names = {"dram": "dram", "flops": "compute", "interconnect": "interconnect"}
    with FACTS.open() as stream:
        read = [
            (names[row["series"]], year_of(date.fromisoformat(row["date"])), float(row["implied_value"]) * 1e9)
            for row in csv.DictReader(stream)
        ]
    ours = [(name, point.year, point.value) for name, trend in hardware_trends().items() for point in trend.points]
    assert len(ours) == 59
    for mine, theirs in zip(sorted(ours), sorted(read), strict=True):
        assert mine[0] == theirs[0]
        assert mine[1:] == pytest.approx(theirs[1:])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    points=st.lists(
        st.tuples(st.floats(1990, 2030), st.floats(1e-3, 1e18)),
        min_size=2,
        max_size=20,
        unique_by=lambda point: round(point[0], 1),
    )
)
def test_fits_are_least_squares_of_logarithms(points):
    trend = fit("x", "u", [Point(year=year, value=value) for year, value in points])
    slope, intercept = np.polyfit([year - 2010 for year, _ in points], np.log([value for _, value in points]), 1)
    assert trend.slope == pytest.approx(slope, rel=1e-6, abs=1e-9)
    assert np.log(trend.at(2010)) == pytest.approx(intercept, rel=1e-6, abs=1e-6)
    assert trend.determination <= 1 + 1e-9


def test_models_outgrow_machines():
    trends = hardware_trends()
    assert model_trend().per_two_years > trends["compute"].per_two_years > trends["dram"].per_two_years
    assert len(model_trend().points) >= 10
    assert all(point.name for point in model_trend().points)


def test_at_its_crossing_a_networks_intensity_is_the_ridge_point(wall):
    for name, year in wall.crossings.items():
        assert wall.ridge_at(year) == pytest.approx(wall.intensities[name])
    for one in wall.verdicts:
        growth = wall.ridge_per_two_years ** ((one.crossing_year - one.machine.year) / 2)
        assert one.ridge * growth == pytest.approx(one.intensity)
        assert one.bandwidth_bound == (one.crossing_year < one.machine.year)


def test_a_machine_at_its_crossing_is_balanced():
    trends = hardware_trends()
    wall = memory_wall([network(100)], trends, model_trend())
    (one,) = wall.verdicts
    years = one.crossing_year - one.machine.year
    faster, wider = (trends[series].per_two_years ** (years / 2) for series in ("compute", "dram"))
    level = one.machine.boundaries[0]
    moved = msgspec.structs.replace(
        one.machine,
        peaks=tuple(
            msgspec.structs.replace(peak, operations_per_second=peak.operations_per_second * faster)
            for peak in one.machine.peaks
        ),
        levels=(
            one.machine.levels[0],
            msgspec.structs.replace(level, bandwidth_bytes_per_second=bandwidth_of(level) * wider),
        ),
    )
    balanced = roofline_of("net", network(100).operators, moved, "int8").finite
    assert float(balanced.compute_seconds[0]) == pytest.approx(float(balanced.boundary_seconds[0][0]))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(rows=st.lists(st.integers(1, 4000), min_size=2, max_size=5, unique=True))
def test_more_reuse_meets_the_wall_later(rows):
    trends, models = hardware_trends(), model_trend()
    walls = [memory_wall([network(count)], trends, models) for count in sorted(rows)]
    assert all(low.crossings["net"] < high.crossings["net"] for low, high in pairwise(walls))


def test_ridge_points_that_do_not_rise_are_never_passed():
    flat = fit("dram", "bytes_per_second", [Point(year=2000, value=1.0), Point(year=2002, value=9.0)])
    wall = memory_wall([network(10)], {**hardware_trends(), "dram": flat}, model_trend())
    assert wall.crossings["net"] == float("inf")
    assert wall.verdicts[0].crossing_year == float("inf")
    assert render_memory_wall(wall)


def test_the_first_machine_is_the_earliest_that_holds_the_network_back():
    rooflines = [network(rows, machine, f"net{rows}") for rows in (4, 4000) for machine in ("h100", "t4", "a100")]
    wall = memory_wall(rooflines, hardware_trends(), model_trend())
    assert [one.machine.name for one in wall.verdicts if one.network == "net4"] == ["t4", "a100", "h100"]
    assert wall.first_bound("net4").machine.name == "t4"
    bound = [one.bandwidth_bound for one in wall.verdicts if one.network == "net4000"]
    first = wall.first_bound("net4000")
    assert (first is None) == (not any(bound))


def test_decode_is_bound_everywhere_and_long_before_prefill(wall):
    (decode,) = (name for name in wall.crossings if "context 1023" in name)
    prefill = "gpt2 (seq 1024)"
    assert wall.crossings[decode] < wall.crossings[prefill] - 10
    assert all(one.bandwidth_bound and one.memory_share > 0.95 for one in wall.verdicts if one.network == decode)


def test_a_machine_without_a_year_is_refused():
    tagger = (NetworkRequest(model="jet-tagger"),)
    with pytest.raises(InputError, match="came to market"):
        memory_wall_job(MemoryWallRequest(networks=tagger, machines=("gemmini",), precision="int8"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("series,date,value\ncompute,2000-01-01,1\n", "lacks a column"),
        ("series,date,value,unit\ncompute,2000-01-01,1,x\n", "lacks a series"),
        (f"{HEAD}compute,2000-13-01,1,x\n{REST}", "line 2"),
        (f"{HEAD}compute,2000-01-01,nan,x\n{REST}", "finite"),
        (f"{HEAD}compute,2000-01-01,-1,x\ncompute,2001-01-01,1,x\n{REST}", "logarithm"),
        ("series,date,value,unit\ncompute,2000-01-01\n", "columns"),
    ],
)
def test_a_file_of_points_that_is_none_is_refused(tmp_path, text, message):
    path = tmp_path / "points.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        hardware_trends(path)


def test_default_machines_are_those_that_were_sold():
    assert "survey" not in default_machines("int8")
    assert "phone-npu" in default_machines("int8")
    assert "phone-npu" not in default_machines("fp16")


def test_the_command_prints_tables_and_json(tmp_path):
    page = tmp_path / "wall.html"
    options = ["-m", "t4", "-m", "h100", "--json", "--out", str(page)]
    printed = CliRunner().invoke(app, ["memory-wall", "bert-base", *options])
    assert printed.exit_code == 0, printed.output
    found = json.loads(printed.output)
    assert [one["machine"] for one in found["networks"][0]["machines"]] == ["t4", "h100"]
    assert found["trends"][1]["per_two_years"] > 1
    assert page.is_file()
    shown = CliRunner().invoke(app, ["memory-wall", "bert-base", "-m", "t4"])
    assert shown.exit_code == 0, shown.output
    assert "3.026" in shown.output
    assert "…" not in shown.output


def _drawn_spots(drawn, first, last, low, high):
    """Pixels of every mark, and of every line at a hundred places."""
    for trace in drawn["data"]:
        ends = [
            ((x - first) / (last - first) * 1040, (math.log10(y) - low) / (high - low) * 540)
            for x, y in zip(trace["x"], trace["y"], strict=True)
        ]
        yield from ends
        if trace["mode"] == "lines":
            (left, bottom), (right, top) = ends
            yield from (
                (left + (right - left) * part / 100, bottom + (top - bottom) * part / 100) for part in range(101)
            )


@pytest.mark.parametrize("figure", [ridge_figure, growth_figure])
def test_names_stand_clear_of_each_other(wall, figure):
    drawn = figure(wall)
    (first, last), (low, high) = (drawn["layout"][axis]["range"] for axis in ("xaxis", "yaxis"))
    boxes = []
    for name in drawn["layout"]["annotations"]:
        x, y = (name["x"] - first) / (last - first) * 1040, (name["y"] - low) / (high - low) * 540
        width = len(name["text"]) * 6.0
        left = x + name.get("xshift", 0) - (width if name["xanchor"] == "right" else 0)
        boxes.append((left, left + width, y + name.get("yshift", 0), name["text"]))
        if name["text"] in {one.machine.name for one in wall.verdicts} and figure is ridge_figure:
            bottom, top = boxes[-1][2] - 6, boxes[-1][2] + 6
            for across, up in _drawn_spots(drawn, first, last, low, high):
                assert not (left < across < left + width and bottom < up < top), name["text"]
    machines = [box for box in boxes if not re.fullmatch(r"[\d.]+", box[3])]
    for (left, right, y, _), (other_left, other_right, other_y, _) in combinations(machines, 2):
        assert right <= other_left or other_right <= left or abs(y - other_y) >= 12
    assert all(right <= 1060 for _, right, _, _ in boxes)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")
def test_a_browser_draws_the_page_in_light_and_dark(wall, tmp_path):
    page = tmp_path / "wall.html"
    page.write_text(render_memory_wall(wall), encoding="utf-8")
    document, complaints = opened(page, "--dump-dom")
    assert complaints == []
    assert len(re.findall(r'class="figure[^"]* js-plotly-plot"', document)) == 2
    for preferred, light in ((1, True), (0, False)):
        picture = tmp_path / f"{preferred}.png"
        opened(page, f"--screenshot={picture}", f"--blink-settings=preferredColorScheme={preferred}")
        shot = read_png(picture)[:, :, :3].astype(float)
        assert shot.shape == (800, 1200, 3)
        assert np.median(shot) > 200 if light else np.median(shot) < 60
        saturation = shot.max(axis=2) - shot.min(axis=2)
        assert (saturation[190:730, 90:830] > 60).mean() > 0.005
        assert (saturation[190:730, 840:1150] > 60).mean() > 0.002
