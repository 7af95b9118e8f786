"""`systolic firmware`: a network and data in, verified firmware out; bad input is refused before anything is made."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from hls.allocation.problem import BudgetError
from hls.qonnx.export import export_qonnx
from model_ir.errors import InputError
from model_ir.graph import Graph, random_parameters
from reports.firmware import FirmwareRun
from systolic.cli import app
from systolic.firmware.job import firmware_job
from systolic.firmware.request import FirmwareRequest
from systolic.firmware.subject import subject_of
from systolic.network import NetworkRequest
from workloads.jet_tagger import DenseConfig, build

SAMPLES, FEATURES, CLASSES = 600, 6, 3
SMALL = DenseConfig(name="small", widths=(FEATURES, 8, CLASSES), softmax=False)


def small_network(path: Path) -> Graph:
    """A float ONNX file of a classifier that fits the data below about as well as it can."""
    graph = build(SMALL, batch=1)
    values = {**random_parameters(graph, 5)}
    first, second = (name for name in sorted(values) if values[name].ndim == 2)
    values[first] = np.hstack([np.eye(FEATURES, CLASSES), -np.eye(FEATURES, 8 - CLASSES)]).astype(np.float32)
    values[second] = np.vstack([2 * np.eye(CLASSES), np.zeros((8 - CLASSES, CLASSES))]).astype(np.float32)
    for name in values:
        if values[name].ndim == 1:
            values[name] = np.zeros_like(values[name])
    graph = replace(graph, constants=values)
    export_qonnx(graph, path)
    return graph


def small_data(path: Path, **changes: Any) -> Path:
    generator = np.random.default_rng(3)
    inputs = generator.standard_normal((SAMPLES, FEATURES)).astype(np.float32)
    labels = inputs[:, :CLASSES].argmax(axis=1)
    np.savez(path, **{"X": inputs, "y": labels, **changes})
    return path


def request_for(tmp_path: Path, **changes: Any) -> FirmwareRequest:
    small_network(tmp_path / "net.onnx")
    plain = FirmwareRequest(
        network=NetworkRequest(model=str(tmp_path / "net.onnx")),
        data=small_data(tmp_path / "data.npz"),
        out=tmp_path / "run",
        widths=(3, 6),
        retraining_epochs=1,
        checked=1000,
        backends=(),
        rtl=False,
        synthesis=(),
        faults=False,
    )
    return replace(plain, **changes)


def quiet(stage: str, done: int, total: int) -> None:
    assert 0 <= done <= total, stage


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[FirmwareRequest, Path, FirmwareRun]:
    """One run with everything but synthesis."""
    folder = tmp_path_factory.mktemp("firmware")
    request = request_for(folder, backends=("Vitis",), io_types=("io_parallel",), rtl=True, faults=True)
    return request, *firmware_job(request, quiet)


Finished = tuple[FirmwareRequest, Path, FirmwareRun]


def test_a_file_becomes_firmware_that_equals_it(finished: Finished) -> None:
    request, page, run = finished
    assert run.mismatches == 0
    assert [match.inputs for match in run.matches] == [1000] * 4
    assert {match.what for match in run.matches} >= {"graph executor", "QONNX executor"}
    assert run.proof is not None
    assert run.proof.status == "optimal"
    for _, spent, limit, _ in run.proof.budgets:
        assert spent <= limit
    assert run.design.test.accuracy > 0.8
    assert run.faults is not None
    assert run.faults.exhaustive
    for name, _ in run.files:
        assert (request.out / name).exists(), name
    assert json.loads((request.out / "firmware.json").read_text())["chosen"] == run.chosen
    assert page.stat().st_size > 100_000


def test_designs_at_equal_bit_operations_are_compared(finished: Finished) -> None:
    run = finished[2]
    methods = {(design.method, design.retrained) for design in run.designs}
    assert methods >= {("uniform", True), ("uniform", False), ("squared error", False), ("Hessian-aware", True)}
    bops = {design.name: design.bops for design in run.designs}
    between = bops["Hessian-aware, BOPs of 4.5 bits"]
    assert between <= (bops["uniform, 3 bits"] + bops["uniform, 6 bits"]) / 2
    assert any(design.on_front for design in run.designs)


def test_the_design_and_its_hardware_are_estimated_alike(finished: Finished) -> None:
    run = finished[2]
    assert run.design.luts is not None
    estimated = [item.value for item in run.counts if item.what == "LUT" and item.interval is not None]
    assert estimated == [round(run.design.luts)]


def test_a_second_run_takes_every_stage_over_and_says_the_same(finished: Finished, tmp_path: Path) -> None:
    request, _, first = finished
    shutil.copytree(request.out, tmp_path / "run")
    _, second = firmware_job(replace(request, out=tmp_path / "run"), quiet)
    assert not any(kept for _, _, kept in first.stages)
    assert all(kept for _, _, kept in second.stages)
    for part in ("tensors", "designs", "chosen", "counts", "faults", "files"):
        assert getattr(second, part) == getattr(first, part)


def test_another_budget_repeats_neither_training_nor_traces(finished: Finished, tmp_path: Path) -> None:
    request = replace(finished[0], out=tmp_path / "run", budgets={"size": "50"}, backends=(), rtl=False, faults=False)
    shutil.copytree(finished[0].out, request.out)
    _, run = firmware_job(replace(request, sweep=False), quiet)
    kept = {name: taken for name, _, taken in run.stages}
    assert kept["float"]
    assert kept["sensitivity"]
    assert not kept[f"design {run.chosen}"]
    assert run.design.size_bytes <= 50


def test_a_form_that_is_gone_is_written_again(finished: Finished, tmp_path: Path) -> None:
    request = replace(finished[0], out=tmp_path / "run")
    shutil.copytree(finished[0].out, request.out)
    (request.out / "model.onnx").unlink()
    _, run = firmware_job(request, quiet)
    assert [name for name, _, kept in run.stages if not kept] == ["qonnx"]
    assert (request.out / "model.onnx").read_bytes() == (finished[0].out / "model.onnx").read_bytes()


def test_a_file_with_quantisers_keeps_its_bits(finished: Finished, tmp_path: Path) -> None:
    request, _, first = finished
    network = NetworkRequest(model=str(request.out / "model.onnx"))
    _, run = firmware_job(replace(request, network=network, out=tmp_path / "run", faults=False), quiet)
    assert run.proof is None
    assert run.mismatches == 0
    assert len(run.matches) == len(first.matches)
    for part in ("bops", "size_bytes", "average_bits", "luts", "test"):
        assert getattr(run.design, part) == getattr(first.design, part), part


BAD_DATA: dict[str, tuple[dict[str, Any], str]] = {
    "wrong width": ({"X": np.zeros((SAMPLES, 5), np.float32)}, "wrong shape"),
    "not finite": ({"X": np.full((SAMPLES, FEATURES), np.nan, np.float32)}, "not finite"),
    "one class": ({"y": np.zeros(SAMPLES, np.int64)}, "only one class"),
    "label out of range": ({"y": np.arange(SAMPLES) % 4}, "out of range"),
    "labels of floats": ({"y": np.linspace(0, 2, SAMPLES)}, "whole numbers"),
    "fewer labels": ({"y": np.zeros(3, np.int64)}, "labels"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_are_refused_and_nothing_is_made(tmp_path: Path, case: str) -> None:
    changes, problem = BAD_DATA[case]
    request = request_for(tmp_path, data=small_data(tmp_path / "bad.npz", **changes))
    with pytest.raises(InputError, match=problem):
        firmware_job(request, quiet)
    assert not list((tmp_path / "run").glob("stages/*"))


@pytest.mark.parametrize("model", ["jet-transformer", "digits-transformer"])
def test_a_transformer_is_refused_by_operator_before_anything_is_trained(tmp_path: Path, model: str) -> None:
    request = FirmwareRequest(network=NetworkRequest(model=model), out=tmp_path / "run")
    with pytest.raises(InputError, match=r"systolic integer"):
        firmware_job(request, quiet)
    assert not list((tmp_path / "run").glob("stages/*"))


def test_a_budget_below_the_minimum_says_the_minimum(tmp_path: Path) -> None:
    request = request_for(tmp_path, budgets={"size": "3"}, sweep=False)
    with pytest.raises(BudgetError, match="minimum") as refused:
        firmware_job(request, quiet)
    assert refused.value.minima["size"] == (FEATURES * 8 + 8 * CLASSES) * 3 / 8


def test_a_folder_that_is_something_else_is_left_alone(tmp_path: Path) -> None:
    request = request_for(tmp_path)
    request.out.mkdir()
    (request.out / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not a firmware run"):
        firmware_job(request, quiet)
    assert [path.name for path in request.out.iterdir()] == ["thesis.txt"]


def test_parts_of_the_data_share_no_sample(tmp_path: Path) -> None:
    subject = subject_of(request_for(tmp_path))
    rows = [{row.tobytes() for row in split.inputs} for split in (subject.train, subject.validation, subject.test)]
    assert sum(map(len, rows)) == len(set.union(*rows)) == SAMPLES
    assert len(subject.test) == 120


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nothing-known"], "comes with no data"),
        (["net.onnx"], "--data"),
        (["jets", "--synthesis", "gold"], "fpga, asic"),
        (["jets", "--budget", "watts=3"], "no amount has this name"),
        (["jets", "--backends", "Verilog"], "no such back end"),
        (["jets", "--seq", "3"], "takes none"),
    ],
)
def test_options_that_cannot_be_are_refused_with_what_could(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    small_network(tmp_path / "net.onnx")
    outcome = CliRunner().invoke(app, ["firmware", *arguments, "--no-sweep", "--epochs", "1"])
    assert isinstance(outcome.exception, InputError)
    assert problem in str(outcome.exception)
