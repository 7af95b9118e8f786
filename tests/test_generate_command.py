"""`systolic generate` from its options to JSON, CSV, tables and the page that a browser draws."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium_page import CHROMIUM, opened, read_png
from hugging_face_configs import PUBLISHED
from hypothesis import given, settings
from hypothesis import strategies as st
from test_report_chromium import SCHEMES
from typer.testing import CliRunner

from model_ir.errors import InputError
from reports.generation import GenerationStudy, differing, point_rows, studies_as_csv
from reports.generation_figures import map_figure, memory_figure, throughput_figure
from reports.generation_page import render_generation
from simulator.generation.decoding import Diffusion, Pipelined, Speculative
from systolic.cli import app
from systolic.generate_job import GenerateRequest, generate_job
from systolic.generate_options import diffusion, find_model, speculation
from systolic.ranges import whole_numbers

RUNNER = CliRunner()
MEMORY = ("weight_bytes", "cache_bytes", "activation_bytes", "extra_bytes")


@pytest.fixture(scope="module")
def studies() -> tuple[GenerationStudy, ...]:
    return generate_job(
        GenerateRequest(
            models=("llama-3-8b", "mixtral-8x7b"),
            precisions=("w16a16", "w4g128a16kv8"),
            contexts=whole_numbers("--context", "512:32768:x4"),
            batches=whole_numbers("--batch", "1:1024:x4"),
        )
    )


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("7", (7,)),
        ("512:4096:x2", (512, 1024, 2048, 4096)),
        ("3:100:x3", (3, 9, 27, 81)),
        ("1:9:+4", (1, 5, 9)),
        ("1:4", (1, 2, 3, 4)),
        ("8,1:3,2", (1, 2, 3, 8)),
    ],
)
def test_ranges_are_what_they_say(text: str, numbers: tuple[int, ...]) -> None:
    assert whole_numbers("--context", text) == numbers


@pytest.mark.parametrize(
    "text",
    ["", "x", "1:", "1:2:x1", "0:8:x2", "5:1", "1:9:+0", "1:9:*2", "-1", "1:999999999", "9" * 40, "\uff11"],
)
def test_what_is_no_range_is_an_input_error(text: str) -> None:
    with pytest.raises(InputError, match="--context"):
        whole_numbers("--context", text)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(text=st.text(alphabet="0123456789:x+,", max_size=12))
def test_any_text_is_numbers_in_order_or_an_input_error(text: str) -> None:
    numbers = None
    try:
        numbers = whole_numbers("--batch", text)
    except InputError as error:
        message = str(error)
    assert list(numbers) == sorted(set(numbers)) if numbers is not None else message.startswith("--batch")


def test_ways_are_read_from_their_texts() -> None:
    way = speculation("draft=tinyllama-1.1b,length=5,acceptance=0.7,fallback=0.1,precision=w4a16")
    assert isinstance(way, Speculative)
    assert (way.small.name, way.draft.length, way.draft.acceptance, way.draft.fallback) == (
        "tinyllama-1.1b",
        5,
        0.7,
        0.1,
    )
    assert way.precision is not None
    assert way.precision.weight_bits == 4
    pipelined = speculation("stages=4,acceptance=0.7,shared=no")
    assert isinstance(pipelined, Pipelined)
    assert not pipelined.pipeline.shared
    assert diffusion("block=8,steps=2,cache=no") == Diffusion(block=8, steps=2, cached=False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("length=4", "draft: missing"),
        ("draft=gpt2,length=4,acceptance=0.8,speed=9", "speed: unknown key"),
        ("draft=gpt2,length=four,acceptance=0.8", "length: must be a whole number"),
        ("draft=gpt2,length=4,acceptance=high", "acceptance: must be a number"),
        ("draft=gpt2,draft=gpt2,length=4,acceptance=1", "says one thing twice"),
        ("draft", "no list of KEY=VALUE"),
        ("draft=,length=1", "no list of KEY=VALUE"),
        ("draft=gpt9,length=4,acceptance=0.8", "unknown model"),
        ("stages=4,acceptance=0.8,shared=maybe", "must be yes or no"),
    ],
)
def test_a_way_that_is_not_understood_says_why(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        speculation(text)


def test_a_model_is_a_name_or_a_file(tmp_path: Path) -> None:
    config, _ = PUBLISHED["Qwen/Qwen2.5-7B"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert find_model(str(tmp_path)).layers == find_model(str(tmp_path / "config.json")).layers == 28
    assert find_model("qwen2.5-7b").layers == 28
    with pytest.raises(InputError, match="cannot be read"):
        find_model(str(tmp_path / "none.json"))
    with pytest.raises(InputError, match="unknown model"):
        find_model("qwen")


def invoked(*arguments: str) -> dict[str, Any]:
    done = RUNNER.invoke(app, ["generate", *arguments, "--json"])
    assert done.exit_code == 0, done.output
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_the_command_prints_json_csv_and_tables(tmp_path: Path) -> None:
    config, _ = PUBLISHED["mistralai/Mistral-7B-v0.1"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    arguments = (str(tmp_path), "gpt2", "-p", "w4a16kv8", "--context", "512,1000", "--batch", "1:4:x2")
    answer = invoked(*arguments, "--csv", str(tmp_path / "out" / "points.csv"), "--output-tokens", "3")
    assert [study["model"] for study in answer["studies"]] == [tmp_path.name, "gpt2"]
    points = [point for study in answer["studies"] for point in study["points"]]
    assert len(points) == 12
    lines = list(csv.DictReader(io.StringIO((tmp_path / "out" / "points.csv").read_text())))
    assert [float(line["token_seconds"]) for line in lines] == [point["token_seconds"] for point in points]
    for point in points:
        assert point["tokens_per_second"] == pytest.approx(point["batch"] / point["token_seconds"])
        assert point["request_seconds"] > point["first_token_seconds"] + point["token_seconds"]
        assert point["memory_bytes"] == sum(point[part] for part in MEMORY)
    shown = RUNNER.invoke(app, ["generate", *arguments])
    assert shown.exit_code == 0
    assert "where the ridge" in shown.stdout
    assert "keys not read" not in shown.stdout


def test_speculation_and_diffusion_are_set_against_one_by_one() -> None:
    drafted = invoked("llama-2-13b", "--speculate", "draft=tinyllama-1.1b,length=4,acceptance=0.9")
    assert drafted["studies"][0]["points"][0]["times_one_by_one"] > 1.5
    masked = invoked("llada-8b", "--diffuse", "block=32,steps=16")
    assert 1 < masked["studies"][0]["points"][0]["times_one_by_one"] < 2.1
    plain = invoked("llama-2-13b")
    assert plain["studies"][0]["points"][0]["times_one_by_one"] == 1


def test_models_known_by_name_are_listed() -> None:
    done = RUNNER.invoke(app, ["generate", "--list", "--json"])
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["mixtral-8x7b"]["parameters"] > 3 * rows["mixtral-8x7b"]["active_parameters"]
    assert rows["bert-base"]["writes"] == "nothing"
    assert rows["llada-8b"]["writes"] == "by diffusion"
    assert rows["conformer-s"]["writes"] == "in one pass"
    shown = RUNNER.invoke(app, ["generate", "--list"])
    assert "46.7 G, 12.9 G a token" in shown.stdout


def test_what_does_not_fit_is_a_result() -> None:
    point = invoked("llama-3-70b")["studies"][0]["points"][0]
    assert not point["fits"]
    assert point["excess_bytes"] == point["memory_bytes"] - point["capacity_bytes"] > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no model given"),
        (("llada-8b",), "is not causal"),
        (("bert-base",), "generates nothing"),
        (("gpt2", "-p", "w4"), "precision: not understood"),
        (("gpt2", "-m", "abacus"), "abacus"),
        (("gpt2", "--cache", "y"), "cache: keeps: unknown"),
        (("gpt2", "--context", "0"), "context: out of range"),
        (("gpt2", "--diffuse", "block=4,steps=2", "--speculate", "stages=4,acceptance=1"), "one way of decoding"),
        (("gpt2", "--output-tokens", "4", "--context", "1:5000"), "too many points"),
        (("gpt2", "-m", "survey"), "no format of this machine"),
    ],
)
def test_what_cannot_be_asked_is_an_input_error(arguments: tuple[str, ...], said: str) -> None:
    done = RUNNER.invoke(app, ["generate", *arguments])
    assert isinstance(done.exception, InputError)
    assert said in str(done.exception)


def test_a_page_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = RUNNER.invoke(app, ["generate", "gpt2", "--out", str(tmp_path / "file" / "page.html")])
    assert isinstance(done.exception, InputError)
    assert "cannot be written" in str(done.exception)


def test_the_figures_show_every_point_that_fits_and_no_other(studies: tuple[GenerationStudy, ...]) -> None:
    for study in studies:
        heat = map_figure(study)["data"][0]
        shown = np.array([[value is not None for value in row] for row in heat["z"]])
        assert (shown == study.fits).all()
        lines = memory_figure(study)["data"]
        assert lines[0]["y"][-1] == pytest.approx(study.found.table(study.found.memory.total_bytes)[-1, 0], rel=1e-4)
    lines = [trace for trace in throughput_figure(studies)["data"] if "lines" in trace["mode"]]
    assert [trace["name"] for trace in lines] == differing(studies)
    for study, trace in zip(studies, lines, strict=True):
        hollow = [symbol.endswith("open") for symbol in trace["marker"]["symbol"]]
        assert hollow == [not fits for fits in study.fits[0]]


def test_a_csv_has_every_point(studies: tuple[GenerationStudy, ...]) -> None:
    lines = studies_as_csv(studies).splitlines()
    assert len(lines) == 1 + sum(len(list(point_rows(study))) for study in studies)


@pytest.mark.parametrize(
    ("arguments", "figures"),
    [
        ({"contexts": (512, 2048), "batches": (1, 8)}, 5),
        ({"contexts": (512,), "batches": (1,)}, 5),
        ({"contexts": (512, 1024), "machines": ("survey",), "precisions": ("w8a8",)}, 5),
        ({"speculate": "stages=4,acceptance=0.8"}, 5),
    ],
)
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")
def test_a_browser_draws_the_page_without_complaint(arguments: dict[str, Any], figures: int, tmp_path: Path) -> None:
    page = tmp_path / "generation.html"
    page.write_text(render_generation(generate_job(GenerateRequest(models=("gpt2",), **arguments))), encoding="utf-8")
    document, complaints = opened(page, "--dump-dom")
    assert complaints == []
    assert 'data-ready="yes"' in document
    assert len(re.findall(r'class="figure[^"]* js-plotly-plot"', document)) == figures


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")
def test_light_and_dark_are_drawn_and_legible(studies: tuple[GenerationStudy, ...], tmp_path: Path) -> None:
    page, shots = tmp_path / "generation.html", {}
    page.write_text(render_generation(studies), encoding="utf-8")
    for scheme, flags in SCHEMES.items():
        picture = tmp_path / f"{scheme}.png"
        opened(page, f"--screenshot={picture}", *flags)
        shots[scheme] = read_png(picture)[:, :, :3].astype(float)
    for shot in shots.values():
        assert shot.shape == (800, 1200, 3)
        saturation = shot.max(axis=2) - shot.min(axis=2)
        # Lines of both figures side by side, and the first map below them.
        assert (saturation[300:600, :600] > 60).mean() > 0.005
        assert (saturation[300:600, 600:] > 60).mean() > 0.005
        assert (saturation[720:790, 100:400] > 30).mean() > 0.5
        assert np.ptp(shot[55:80].mean(axis=2)) > 150
    assert np.median(shots["light"]) > 200
    assert np.median(shots["dark"]) < 60


def test_names_are_text_and_never_markup(tmp_path: Path) -> None:
    folder = tmp_path / "<img src=x onerror=alert(1)>"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(PUBLISHED["openai-community/gpt2"][0] | {"<b>": 1}))
    page = render_generation(generate_job(GenerateRequest(models=(str(folder),))))
    assert "<img" not in page.split("<script>")[0]
    assert "<b>" not in page.split("<ul>")[1]
