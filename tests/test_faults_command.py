"""`systolic faults`: a QONNX file and a float one; what it prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from fixed_networks import mlp
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from hls.qonnx.export import export_qonnx
from model_ir.errors import InputError
from systolic.cli import app

pytest.importorskip("qonnx")
RUNNER = CliRunner()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    """A quantised 5-6-3 network as QONNX, a float one that ends in a softmax, and 40 rows of data."""
    folder = tmp_path_factory.mktemp("faults")
    export_qonnx(mlp((5, 6, 3), weight_bits=4), folder / "quantised.onnx")
    generator = np.random.default_rng(0)
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w", "b"], ["z"], transB=1),
            helper.make_node("Softmax", ["z"], ["p"], axis=-1),
        ],
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 5])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, [1, 3])],
        [
            numpy_helper.from_array(generator.standard_normal(shape).astype(np.float32), name)
            for name, shape in {"w": (3, 5), "b": (3,)}.items()
        ],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), folder / "float.onnx"
    )
    np.savez(folder / "data.npz", X=generator.standard_normal((40, 5)) * 3 + 1, y=np.arange(40) % 3)
    return str(folder / "quantised.onnx"), str(folder / "float.onnx"), str(folder / "data.npz")


def run(*arguments: str) -> Any:
    result = RUNNER.invoke(app, ["faults", *arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_faults_of_a_qonnx_file(files: tuple[str, str, str]) -> None:
    quantised, _, data = files
    told = run(quantised, "--data", data, "--standardise", "--rows", "20")
    assert told["exhaustive"]
    assert told["samples"] == told["derivative_samples"] == 20
    assert told["notes"] == []
    again = run(quantised, "--data", data, "--standardise", "--rows", "30", "--flips", "20")
    assert "rows that measure" in again["notes"][0]
    assert told["bits"] == sum(row["bits"] for row in told["tensors"]) == 48 * 4 + 6 * 8 + 3 * 9
    assert {"bit place", "gradient", "Hessian"} < set(told["correlations"])
    shown = RUNNER.invoke(app, ["faults", quantised, "--data", data, "--flips", "20"], env={"COLUMNS": "150"})
    assert shown.exit_code == 0
    for piece in ("20 of 267 stored bits", "Worst flips", "Rankings", "measured damage", "voter"):
        assert piece in shown.stdout


def test_a_float_network_is_quantised_first(files: tuple[str, str, str]) -> None:
    _, model, data = files
    told = run(model, "--data", data, "--bits", "5", "--flips", "30", "--seed", "2")
    assert (told["flipped"], told["exhaustive"], told["samples"]) == (30, False, 40)
    assert told["expected_error"] > 0
    assert "5 bits" in told["notes"][1]


def test_refusals(files: tuple[str, str, str], tmp_path: Path) -> None:
    quantised, model, data = files

    def refused(arguments: tuple[str, ...], match: str) -> None:
        with pytest.raises(InputError, match=match):
            RUNNER.invoke(app, ["faults", *arguments], catch_exceptions=False)

    refused((quantised, "--data", data, "--bits", "4"), "--bits: are for float networks")
    refused((quantised, "--data", data, "--rows", "41"), r"has too few rows \(value 40, limit at least 41\)")
    refused((quantised, "--data", str(tmp_path / "none.npz")), "no readable npz")
    np.savez(tmp_path / "wide.npz", X=np.ones((9, 6)), y=np.arange(9) % 3)
    refused((quantised, "--data", str(tmp_path / "wide.npz")), "wrong shape")
    np.savez(tmp_path / "nan.npz", X=np.full((9, 5), np.nan), y=np.arange(9) % 3)
    refused((model, "--data", str(tmp_path / "nan.npz")), "not finite")
    np.savez(tmp_path / "one.npz", X=np.ones((9, 5)), y=np.zeros(9, np.int64))
    refused((quantised, "--data", str(tmp_path / "one.npz")), "only one class")
    np.savez(tmp_path / "far.npz", X=np.ones((9, 5)), y=np.arange(9))
    refused((quantised, "--data", str(tmp_path / "far.npz")), "out of range")
    np.savez(tmp_path / "real.npz", X=np.ones((9, 5)), y=np.linspace(0, 1, 9))
    refused((quantised, "--data", str(tmp_path / "real.npz")), "whole numbers")
