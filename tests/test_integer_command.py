"""`systolic integer`: the report's figures, its files, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jet_cases import write_jets
from onnx_cases import INT64, Writer, save
from typer.testing import CliRunner

from model_ir.errors import InputError
from systolic.cli import app
from systolic.integer_job import Accuracy, IntegerRequest, integer_job
from systolic.network import NetworkRequest

BATCH, FEATURES, CLASSES = 8, 12, 5


def model(folder: Path) -> Path:
    w = Writer(18)
    x = w.input("x", [BATCH, FEATURES])
    hidden = w.op("Relu", w.op("Gemm", x, w.weight(FEATURES, 16), w.weight(16)))
    w.output(w.op("Gemm", hidden, w.weight(16, CLASSES), w.weight(CLASSES)))
    return save(w.model(), folder)


def data(folder: Path, name: str = "data.npz", samples: int = 50, **changes: Any) -> Path:
    generator = np.random.default_rng(4)
    arrays = {
        "x": generator.standard_normal((samples, FEATURES)),
        "labels": generator.integers(0, CLASSES, samples),
    } | changes
    np.savez(folder / name, **{key: value for key, value in arrays.items() if value is not None})
    return folder / name


def silent(_stage: str, _done: int, _total: int) -> None:
    return


def request(folder: Path, **options: Any) -> IntegerRequest:
    return IntegerRequest(network=NetworkRequest(model=str(model(folder))), **options)


def test_a_file_is_converted_measured_and_executed(tmp_path: Path) -> None:
    report = integer_job(
        request(tmp_path, calibrate=data(tmp_path), check_values=True, checked=9, accelerator="gemmini"), silent
    )
    accuracy = report.accuracy
    assert accuracy is not None
    assert accuracy.samples == 48
    assert accuracy.agreement > 0.8
    assert abs(accuracy.float_right - accuracy.integer_right) <= accuracy.only_one_right
    assert report.checked_inputs == 16
    assert all(check.equal for check in report.checks)
    assert [check.step.place for check in report.checks] == ["host", "array", "array", "host"]
    assert report.commands > 0


def test_the_command_prints_tables_and_json(tmp_path: Path) -> None:
    path, npz = str(model(tmp_path)), str(data(tmp_path))
    shown = CliRunner().invoke(app, ["integer", path, "--calibrate", npz], catch_exceptions=False)
    assert "accuracy on 48 samples of the calibration data" in shown.stdout
    apart = CliRunner().invoke(app, ["integer", path, "--calibrate", npz, "--data", npz], catch_exceptions=False)
    assert "accuracy on 48 test samples" in apart.stdout
    found = CliRunner().invoke(app, ["integer", path, "--calibrate", npz, "--clip", "mse", "--json"])
    report = json.loads(found.stdout)
    assert report["calibration"] == {"method": "mse", "samples": 50 // BATCH * BATCH}
    assert {"operator", "scale", "signal_to_noise_db"} <= set(report["operators"][0])
    assert report["accuracy"]["samples"] == 48


def test_standard_errors_are_binomial_and_the_difference_is_paired() -> None:
    accuracy = Accuracy(samples=400, float_right=300, integer_right=296, only_one_right=10, agree=385)
    assert accuracy.float_sigma == pytest.approx((0.75 * 0.25 / 400) ** 0.5)
    generator = np.random.default_rng(0)
    # Seven only the float network gets right, three only the integer one, the rest both or neither.
    change = np.repeat([-1, 1, 0], [7, 3, 390])
    drawn = [generator.choice(change, 400).mean() for _ in range(4000)]
    assert accuracy.difference_sigma == pytest.approx(np.std(drawn), rel=0.05)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"x": None}, "has no array 'x'"),
        ({"x": np.zeros((50, 3))}, "wrong shape"),
        ({"x": np.zeros((3, FEATURES))}, "wrong shape"),
        ({"labels": np.zeros(7, int)}, "different numbers of samples"),
    ],
)
def test_data_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        integer_job(request(tmp_path, calibrate=data(tmp_path, **changes)), silent)


def embedded(folder: Path) -> Path:
    w = Writer(18)
    rows = w.op("Gather", w.weight(10, 6), w.input("ids", [2, 3], INT64))
    w.output(w.op("Gemm", w.op("Reshape", rows, w.constant(np.array([2, 18]))), w.weight(18, 4)))
    return save(w.model(), folder)


@pytest.mark.parametrize(
    ("ids", "match"), [(np.full((4, 3), 10), "leaves its table"), (np.zeros((4, 3)), "must hold integers")]
)
def test_indices_are_held_to_their_table(tmp_path: Path, ids: Any, match: str) -> None:
    np.savez(tmp_path / "ids.npz", ids=ids)
    network = NetworkRequest(model=str(embedded(tmp_path)))
    with pytest.raises(InputError, match=match):
        integer_job(IntegerRequest(network=network, calibrate=tmp_path / "ids.npz"), silent)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs data"):
        integer_job(request(tmp_path), silent)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(InputError, match="no readable npz"):
        integer_job(request(tmp_path, calibrate=tmp_path / "text.npz"), silent)
    with pytest.raises(InputError, match=r"no trained weights.*digits-transformer"):
        integer_job(IntegerRequest(network=NetworkRequest(model="bert-base")), silent)
    with pytest.raises(InputError, match="own data"):
        integer_job(
            IntegerRequest(network=NetworkRequest(model="digits-transformer"), calibrate=data(tmp_path)), silent
        )
    with pytest.raises(InputError, match="takes --batch only"):
        integer_job(IntegerRequest(network=NetworkRequest(model="digits-transformer", seq=4)), silent)
    with pytest.raises(InputError, match="has no array 'pt'"):
        integer_job(
            IntegerRequest(network=NetworkRequest(model="jet-transformer"), jets=write_jets(tmp_path, pt=None)), silent
        )
    with pytest.raises(InputError, match="too few jets"):
        integer_job(IntegerRequest(network=NetworkRequest(model="jet-transformer"), jets=write_jets(tmp_path)), silent)
