"""`systolic roofline`: what it prints, its JSON, and the page: legible by measure, drawn without complaint."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from chromium_page import CHROMIUM, opened, read_png
from plotly.offline import get_plotlyjs
from typer.testing import CliRunner

from model_ir.errors import InputError
from reports.page_frame import framed
from reports.roofline_figures import HEIGHT, WIDTH, kernels_of, network_figure, overview_figure
from reports.roofline_page import by_network, render_rooflines
from simulator.rooflines.machine import ridge_point
from simulator.rooflines.machines import all_machine_names, find_machine
from simulator.rooflines.network import rows, usable_format
from systolic.cli import app
from systolic.network import NetworkRequest
from systolic.network_options import requests_of
from systolic.roofline_job import RooflineRequest, prepared, roofline_job

MACHINES = ("a100", "h100", "h200", "t4", "tpu-v4", "jetson-orin", "phone-npu", "xeon-8480", "gemmini")
SCHEMES = {"light": "--blink-settings=preferredColorScheme=1", "dark": "--blink-settings=preferredColorScheme=0"}


def rooflines_of(*models: str, machines: tuple[str, ...] = MACHINES):
    networks = tuple(NetworkRequest(model=model) for model in models)
    return roofline_job(RooflineRequest(networks=networks, machines=machines))


@pytest.fixture(scope="module")
def bert():
    return rooflines_of("bert-base")


@pytest.fixture(scope="module")
def several():
    return rooflines_of("bert-base", "resnet50", machines=("a100", "gemmini"))


def test_every_grouping_adds_up_to_the_network(bert):
    for roofline in bert:
        (whole,) = rows(roofline, "network")
        for by in ("operator", "part", "kind", "layer"):
            found = rows(roofline, by)
            assert sum(row.flops for row in found) == pytest.approx(whole.flops)
            assert sum(row.seconds for row in found) == pytest.approx(whole.seconds)
            assert sum(row.operators for row in found) == whole.operators == len(roofline.operators)
            assert [sum(column) for column in zip(*(row.bytes for row in found), strict=True)] == pytest.approx(
                whole.bytes
            )
        assert sum(whole.shares) == pytest.approx(1)
        assert whole.ideal_seconds <= whole.seconds
        assert whole.ideal_bytes <= whole.bytes[0]


def test_no_kernel_is_above_its_roof(bert):
    for rank, roofline in enumerate(bert):
        ridge = ridge_point(roofline.machine, roofline.number_format, roofline.machine.boundaries[0])
        peak = next(p for p in roofline.machine.peaks if p.format == roofline.number_format).operations_per_second
        for kernel in kernels_of(bert):
            row = kernel.rows[rank]
            intensity = row.flops / row.busy_bytes[0]
            assert row.flops_per_second <= peak * min(1, intensity / ridge) * (1 + 1e-9), (
                roofline.machine.name,
                kernel,
            )


def test_kernels_hold_all_that_computes(bert):
    kernels = kernels_of(bert)
    whole = rows(bert[0], "network")[0]
    assert sum(kernel.rows[0].flops for kernel in kernels) == pytest.approx(whole.flops)
    assert "attention.query/key/value/output" in [kernel.name for kernel in kernels]


def boxes(figure) -> list[tuple[float, float, float, float]]:
    """Every name of a plot as (left, right, bottom, top) in pixels of a WIDTH x HEIGHT area."""
    (low, high), (bottom, top) = (figure["layout"][axis]["range"] for axis in ("xaxis", "yaxis"))
    found = []
    for name in figure["layout"]["annotations"]:
        x, y = (name["x"] - low) / (high - low) * WIDTH, (name["y"] - bottom) / (top - bottom) * HEIGHT
        width = len(name["text"]) * 6.0
        left = x if name.get("xanchor") == "left" else x - width / 2
        found.append((left, left + width, y - 6, y + 6))
    return found


@pytest.mark.parametrize("models", [("bert-base",), ("resnet50",), ("conformer-s", "llama-3-8b")])
def test_names_stand_clear_of_each_other(models):
    networks = by_network(rooflines_of(*models))
    for figure in (*map(network_figure, networks), overview_figure(networks)):
        names = boxes(figure)
        assert len(names) >= len(MACHINES) + 1
        for (left, right, low, high), (other_left, other_right, other_low, other_high) in combinations(names, 2):
            assert right <= other_left or other_right <= left or high <= other_low or other_high <= low
        assert all(low >= 0 and high <= HEIGHT + 1 for _, _, low, high in names)
        assert all(right <= WIDTH + 40 for _, right, _, _ in names)


def test_the_page_stands_alone_and_names_its_sources(several):
    page = render_rooflines(several)
    assert not re.search(r'(src|href)="http', page.split("<script>")[0])
    assert "NVIDIA A100" in page
    assert "table-operators-1" in page
    assert page.count('data-figure="') == 3


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")
def test_a_browser_draws_every_figure_without_complaint(several, tmp_path):
    page = tmp_path / "roofline.html"
    page.write_text(render_rooflines(several), encoding="utf-8")
    document, complaints = opened(page, "--dump-dom")
    assert complaints == []
    assert 'data-ready="yes"' in document
    assert len(re.findall(r'class="figure[^"]* js-plotly-plot"', document)) == 3


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")
def test_the_first_screen_shows_the_plot_in_light_and_dark(bert, tmp_path):
    page = tmp_path / "roofline.html"
    page.write_text(render_rooflines(bert), encoding="utf-8")
    for scheme, flag in SCHEMES.items():
        picture = tmp_path / f"{scheme}.png"
        opened(page, f"--screenshot={picture}", flag)
        shot = read_png(picture)[:, :, :3].astype(float)
        assert shot.shape == (800, 1200, 3)
        assert np.median(shot) > 200 if scheme == "light" else np.median(shot) < 60
        saturation = shot.max(axis=2) - shot.min(axis=2)
        # Roofs and markers on the left, the machines' names in their colours on the right.
        assert (saturation[240:700, 110:940] > 60).mean() > 0.01
        assert (saturation[220:700, 950:1160] > 60).mean() > 0.005
        # The kernels' names above the roofs, in the colour of text.
        ink = np.abs(shot[160:250, 100:940].mean(axis=2) - np.median(shot[160:250, 100:940])) > 100
        assert ink.mean() > 0.01


def test_the_command_prints_tables_and_json(tmp_path):
    shown = CliRunner().invoke(app, ["roofline", "bert-base", "-m", "a100", "-m", "gemmini", "--layers"])
    assert shown.exit_code == 0, shown.output
    assert "bert-base on a100, int8, by layer" in shown.output
    page = tmp_path / "page.html"
    asked = [
        "roofline",
        "gpt2:phase=decode,context=500",
        "resnet50",
        "--image",
        "64",
        "-m",
        "t4",
        "--precision",
        "fp16",
    ]
    printed = CliRunner().invoke(app, [*asked, "--kv", "int8", "--json", "--out", str(page)])
    assert printed.exit_code == 0, printed.output
    found = json.loads(printed.output)["rooflines"]
    assert [one["network"] for one in found] == ["gpt2 (context 500, phase decode)", "resnet50 (image 64)"]
    assert found[0]["by_network"][0]["bound_by"] == "GDDR6"
    assert found[0]["boundaries"][0]["ridge_flops_per_byte"] == pytest.approx(65e12 / 320e9)
    assert len(found[0]["by_layer"]) > 12
    assert page.stat().st_size > 1e6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bert-base", "-m", "b200"], "no machine of that name"),
        (["bert-base", "-m", "gemmini", "--precision", "fp16"], "no peak is known"),
        (["bert-base", "--precision", "int7"], "unknown number format"),
        (["bert-base", "--image", "64"], "none of the networks takes it"),
        (["bert-base:seq=12,batch"], "OPTION=VALUE"),
        (["bert-base:seq=x"], "whole number"),
    ],
)
def test_what_cannot_be_asked_is_refused(arguments, message):
    done = CliRunner().invoke(app, ["roofline", *arguments])
    assert isinstance(done.exception, InputError)
    assert message in str(done.exception)


def test_options_go_to_the_networks_that_take_them():
    options = {"seq": 64, "batch": 2, "image": None, "context": None, "phase": None, "skip_unsupported": False}
    found = requests_of(["bert-base", "resnet50", "gpt2:seq=5"], {}, options)
    assert [(one.model, one.seq, one.batch) for one in found] == [
        ("bert-base", 64, 2),
        ("resnet50", None, 2),
        ("gpt2", 5, None),
    ]


def test_every_machine_that_can_be_asked_for_is_listed():
    shown = CliRunner().invoke(app, ["machines", "--json"])
    assert [one["name"] for one in json.loads(shown.output)] == list(all_machine_names())
    assert CliRunner().invoke(app, ["machines"]).exit_code == 0


def test_a_file_may_describe_a_machine_or_an_accelerator():
    folder = Path(__file__).parent.parent / "simulator"
    assert find_machine(folder / "machines" / "t4.toml") == find_machine("t4")
    assert find_machine(folder / "accelerators" / "survey-256-64.toml") == find_machine("survey-256-64")


def test_sixteen_bits_are_the_ones_the_machine_has():
    assert usable_format(find_machine("tpu-v4"), "fp16") == "bf16"
    assert usable_format(find_machine("a100"), "fp16") == "fp16"


def test_catalogue_networks_need_no_passes_but_for_batch_norms():
    from model_ir.passes.pipeline import run_passes
    from simulator.rooflines.formats import storage_of
    from simulator.rooflines.operators import operators_of
    from workloads.catalogue import build

    storage = storage_of("int8")
    for name in ("bert-base", "gpt2", "tinyllama-1.1b", "vit-s16", "jet-tagger", "resnet18", "conformer-s"):
        graph = build(name)
        short, full = (
            [(o.name, o.kind, o.work.flops, o.work.compulsory_bytes) for o in operators_of(one, storage)]
            for one in (prepared(graph, NetworkRequest(model=name)), run_passes(graph))
        )
        assert short == full, name


def test_the_page_holds_plotlys_own_script():
    assert get_plotlyjs() in framed(title="t", body="b", figures={"one": {"data": [], "layout": {}}})


def test_hostile_names_are_only_text(tmp_path):
    hostile = "<img src=x onerror=alert(1)>"
    path = tmp_path / "hostile.toml"
    shipped = Path(__file__).parent.parent / "simulator" / "machines" / "t4.toml"
    text = shipped.read_text(encoding="utf-8").replace('name = "t4"', f'name = "{hostile}"')
    path.write_text(text.replace('name = "GDDR6"', f'name = "{hostile}"'), encoding="utf-8")
    page = render_rooflines(rooflines_of("jet-tagger", machines=(str(path),))).replace(get_plotlyjs(), "")
    assert "<img" not in page
    assert "&lt;img src=x" in page
    assert "\\u0026lt;img src=x" in page
    assert CliRunner().invoke(app, ["roofline", "jet-tagger", "-m", str(path)]).exit_code == 0
