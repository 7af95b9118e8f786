"""The page: everything in one file, nothing fetched, nothing of the record taken for markup, numbers that agree."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from report_records import CAUSES, make_record

from model_ir.errors import InputError
from reports.breakdown import COMPUTING, PARTLY, WAITING, costliest_sets, cycles_by_cause, solved_nests, tried_nests
from reports.columns import counter_columns, timelines_frame
from reports.counters import counters_table
from reports.figures import cycles_figure, roofline_figure, solver_figure, traffic_figure
from reports.page import render_page
from reports.page_frame import json_for_html
from reports.record import RunRecord
from reports.schedule_view import schedule_views
from reports.units import times

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "\" onmouseover='alert(3)' x=\"",
    "<!--<script>",
    "$title ${policy} %{y} {{x}}",
    "a\u202egnp.exe\0\x1b[31m\u2028",
    '<a href="javascript:alert(4)">b</a>',
    "n" * 5000,
    "]]>&lt;b&gt;",
)


class Elements(HTMLParser):
    """The elements, their attributes, and the text of every script of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] == "script" and self.cdata_elem == "script":
            self.scripts.append(data)


def embedded_data(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def without_plotly(page: str) -> str:
    from plotly.offline import get_plotlyjs

    assert page.count(get_plotlyjs()) == 1
    return page.replace(get_plotlyjs(), "")


def hostile_record() -> RunRecord:
    record = make_record(18, names=HOSTILE + HOSTILE)
    text = dict.fromkeys(("kind", "shape", "mapping", "solver", "solver_status"), HOSTILE[0])
    header = msgspec.structs.replace(
        record.header,
        network=HOSTILE[0],
        origin=HOSTILE[1],
        accelerator=msgspec.structs.replace(record.header.accelerator, name=HOSTILE[2], description=HOSTILE[0]),
        options={HOSTILE[0]: HOSTILE[1]},
        input_hashes={HOSTILE[1]: HOSTILE[2]},
        package_versions={HOSTILE[0]: HOSTILE[0]},
        wall_seconds={HOSTILE[0]: 1.0},
        started=HOSTILE[0],
        notes=HOSTILE,
    )
    timelines = record.timelines.assign(label=HOSTILE[0], unit=HOSTILE[1])
    layers = record.layers.assign(**text, stall_evil_cycles=1.0).rename(
        columns={"stall_evil_cycles": "stall_<script>_cycles"}
    )
    return RunRecord(header=header, layers=layers, timelines=timelines)


@pytest.mark.parametrize("layers", [0, 1, 3, 60, 500])
def test_the_page_stands_alone(layers: int) -> None:
    page = without_plotly(render_page(make_record(layers)))
    assert not re.search(r"https?:|@import|url\(", page)
    elements = Elements(page)
    assert not [tag for tag, attributes in elements.found if {"src", "srcset", "data-src"} & attributes.keys()]
    assert {tag for tag, _ in elements.found}.isdisjoint({"link", "iframe", "object", "embed", "base", "img"})
    assert all(str(attributes["href"]).startswith("#") for _, attributes in elements.found if "href" in attributes)


def test_only_the_pages_own_scripts_may_run_and_nothing_may_be_fetched() -> None:
    page = render_page(make_record(5))
    elements = Elements(page)
    policy = next(str(a["content"]) for _, a in elements.found if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2]
    runnable = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digests = {f"sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}" for s in runnable}
    assert digests == set(re.findall(r"sha256-[A-Za-z0-9+/=]+", policy))
    assert len(runnable) == 2


def test_text_of_the_record_is_never_markup() -> None:
    tame, hostile = render_page(make_record(18)), render_page(hostile_record())
    tags = {tag for tag, _ in Elements(hostile).found}
    assert tags == {tag for tag, _ in Elements(tame).found}
    handlers = {name for _, attributes in Elements(hostile).found for name in attributes if name.startswith("on")}
    assert handlers == set()
    assert hostile.count("<script") - tame.count("<script") == 0
    assert "\u202e" not in hostile
    assert "\0" not in hostile
    assert "n" * 2001 not in without_plotly(hostile)


def test_text_in_figures_is_never_plotlys_markup() -> None:
    def texts(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [text for item in value.values() for text in texts(item)]
        if isinstance(value, list):
            return [text for item in value for text in texts(item)]
        return [value] if isinstance(value, str) else []

    figures = embedded_data(render_page(hostile_record()))["figures"]
    found = {tag for text in texts(figures) for tag in re.findall(r"<[^>]*>?", text)}
    assert found <= {"<br>", "<b>", "</b>", "<extra>", "</extra>"}


def test_json_in_html_is_the_same_json() -> None:
    value = {"a": [*HOSTILE, 1.5, None]}
    text = json_for_html(value)
    assert json.loads(text) == value
    assert not set("<>&") & set(text)
    with pytest.raises(ValueError, match="JSON"):
        json_for_html(math.nan)


def test_a_record_that_is_not_sound_has_no_page() -> None:
    record = make_record(9)
    with pytest.raises(InputError, match="cycles"):
        render_page(replace(record, layers=record.layers.drop(columns="cycles")))


def test_causes_of_every_layer_sum_to_its_cycles() -> None:
    record = make_record(45, seed=2)
    layers, totals = record.layers, record.header.totals
    causes = cycles_by_cause(layers, 256)
    assert causes.sum(axis=1).tolist() == pytest.approx(layers["cycles"].tolist())
    assert causes[[COMPUTING, PARTLY]].sum().sum() == pytest.approx(layers["execute_busy_cycles"].sum())
    assert causes[COMPUTING].sum() / totals.cycles == pytest.approx(totals.utilisation)
    assert (causes >= 0).all(axis=None)
    assert {f"{WAITING}{cause.replace('_', ' ')}" for cause in CAUSES} <= set(causes.columns)


def test_cycles_that_nothing_explains_are_shown_as_such() -> None:
    layers = make_record(3).layers
    causes = cycles_by_cause(layers.assign(stall_load_cycles=0.0), 256)
    assert causes["array, not attributed"].sum() == pytest.approx(layers["stall_load_cycles"].sum())


def test_sets_of_identical_layers_cover_the_run() -> None:
    record = make_record(60, seed=4)
    sets = costliest_sets(record, 1000)
    assert sets["times"].sum() == 60
    assert sets["set_cycles"].sum() == pytest.approx(record.header.totals.cycles)
    assert sets["share"].sum() == pytest.approx(1.0)
    assert sets["set_cycles"].is_monotonic_decreasing


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("write_width", [None, 16.0, 32.0])
def test_no_layer_is_above_a_roof(seed: int, write_width: float | None) -> None:
    record = make_record(60, seed=seed)
    machine = msgspec.structs.replace(record.header.accelerator, memory_write_bytes_per_cycle=write_width)
    layers = record.layers
    flops = layers["arithmetic_intensity"] * (layers["dram_read_bytes"] + layers["dram_write_bytes"])
    busiest = layers["cycles"] * machine.write_bytes_per_cycle
    layers = layers.assign(dram_write_bytes=busiest.where(layers["index"] % 2 == 0, 0.0))
    moved = layers["dram_read_bytes"] + layers["dram_write_bytes"]
    layers = layers.assign(arithmetic_intensity=flops / moved.where(moved > 0))
    record = replace(record, header=msgspec.structs.replace(record.header, accelerator=machine), layers=layers)
    peak = 2 * machine.peak_macs_per_cycle * machine.clock_hz
    bandwidth = machine.memory_bytes_per_cycle * machine.clock_hz
    markers = [trace for trace in roofline_figure(record)["data"] if trace["mode"] == "markers"]
    points = [point for trace in markers for point in zip(trace["x"], trace["y"], strict=True)]
    assert len(points) > 20
    assert all(y <= peak * 1.0001 and y <= x * bandwidth * 1.0001 for x, y in points)


def test_the_roofline_has_every_layer_that_computes_and_moves() -> None:
    record = make_record(27, seed=1)
    computing = record.layers.loc[record.layers["arithmetic_intensity"] > 0, "name"]
    hovers = json.dumps(roofline_figure(record))
    assert len(computing) > 15
    assert all(name.split("/")[-1] in hovers for name in computing)


def test_bars_hold_the_tables_numbers() -> None:
    record = make_record(30, seed=6)
    layers = record.layers
    cycles = sum(y or 0 for trace in cycles_figure(record)["data"] if trace["type"] == "bar" for y in trace["y"])
    moved = sum(y or 0 for trace in traffic_figure(layers)["data"] if trace["type"] == "bar" for y in trace["y"])
    columns = [c for c in layers.columns if c.endswith(("_read_bytes", "_write_bytes"))]
    assert cycles == pytest.approx(layers["cycles"].sum(), rel=1e-5)
    assert moved == pytest.approx(layers[columns].sum().sum())


def test_the_solvers_figure_is_never_below_the_bound() -> None:
    layers = make_record(60, seed=8).layers
    stems, before, found = solver_figure(layers)["data"]
    assert len(found["x"]) == len(solved_nests(layers)) == len(stems["x"]) / 3
    assert all(1 <= y <= above for y, above in zip(found["y"], before["y"], strict=True))


def test_timelines_keep_every_interval() -> None:
    record = make_record(30, seed=9)
    views = schedule_views(record)
    assert len(views) == 3
    windows = [window for view in views for window in view["windows"]]
    assert [window["name"] for window in windows] == ["start", "middle"] * 3
    assert sum(len(window["start"]) for window in windows) == len(record.timelines)
    busy = sum(sum(window["length"]) for window in windows)
    assert busy == (record.timelines["end_cycle"] - record.timelines["start_cycle"]).sum()
    assert all(window["lanes"] == ["array", "execute", "load", "store"] for window in windows)
    assert all(len(window["colours"]) == len(window["labels"]) for window in windows)


def test_a_waiting_array_has_the_colour_of_its_cause() -> None:
    for view in schedule_views(make_record(9)):
        named = {cause: colour for cause, _, _, colour in view["causes"]}
        for window in view["windows"]:
            lanes = zip(window["lane"], window["label"], strict=True)
            shown = {window["labels"][label]: window["colours"][label] for lane, label in lanes if lane == 0}
            assert shown == {cause: named[cause] for cause in shown}
            assert shown


def test_causes_of_a_scheduled_layer_are_those_of_the_breakdown() -> None:
    record = make_record(9)
    causes = cycles_by_cause(record.layers, record.header.accelerator.peak_macs_per_cycle)
    for view in schedule_views(record):
        index = int(view["title"].partition(":")[0])
        assert sum(share for _, _, share, _ in view["causes"]) == pytest.approx(1.0)
        assert [cause for cause, *_ in view["causes"]] == [c for c in causes.columns if causes.loc[index, c] > 0]


def test_counters_of_every_layer_stand_under_their_names_and_add_up() -> None:
    record = make_record(30)
    page = counters_table(record)
    columns = counter_columns(record.layers)
    counted = record.layers.loc[record.layers[columns[0]].notna()]
    assert page.count("<tr>") == len(counted) + 2
    for column in columns:
        name = column.removeprefix("counter_")
        assert f'title="Cycles of {name}."' in page
        assert name.replace("_", "_<wbr>") in page
        assert f">{counted[column].sum():,.0f}</td>" in page.partition("<tfoot>")[2]


def test_intervals_in_flight_together_are_on_different_tracks() -> None:
    record = make_record(9)
    rows = [(0, 50), (10, 30), (30, 60), (40, 45), (60, 70), (60, 60)]
    timelines = timelines_frame(
        {"layer": 0, "window": "start", "unit": "load", "label": "mvin", "start_cycle": start, "end_cycle": end}
        for start, end in rows
    )
    (view,) = schedule_views(replace(record, timelines=timelines))
    (window,) = view["windows"]
    assert window["tracks"] == [1, 1, 3, 1]
    spans = list(zip(window["track"], window["start"], window["length"], strict=True))
    for i, (track, start, length) in enumerate(spans):
        others = [other for other in spans[i + 1 :] if other[0] == track]
        assert all(begin >= start + length or begin + extent <= start for _, begin, extent in others)


def test_quality_shows_both_mappings_against_the_bound_and_the_rank_correlation() -> None:
    record = make_record(30, seed=2)
    page, nests = render_page(record), tried_nests(record.layers)
    assert len(nests) > 3
    assert "<b>0.987</b> over 150 mappings, 0.25 in the mean within 30 layers" in page
    body = page.split('id="table-quality"')[1].split("</table>")[0]
    assert body.count("<tr>") == len(nests) + 1
    worst = nests.iloc[0]
    assert worst["gap"] == nests["gap"].max()
    assert times(worst["heuristic_simulated_cycles"] / worst["cycles"]) in body.split("</tr>")[1]
