"""`systolic sensitivity` and `systolic bits`: what they print of a file of the user's own, and what they refuse."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from hls.allocation.problem import BudgetError
from model_ir.errors import InputError
from systolic.cli import app
from systolic.commands.sensitivity import parse_bits

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A trained-looking 6-8-3 network as ONNX (Gemm with transposed weights, softmax) and 24 rows of data."""
    folder = tmp_path_factory.mktemp("network")
    generator = np.random.default_rng(0)
    weights = {"w0": (8, 6), "b0": (8,), "w1": (3, 8), "b1": (3,)}
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w0", "b0"], ["h"], transB=1),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("Gemm", ["r", "w1", "b1"], ["z"], transB=1),
            helper.make_node("Softmax", ["z"], ["p"], axis=-1),
        ],
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 6])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["rows", 3])],
        [
            numpy_helper.from_array(generator.standard_normal(shape).astype(np.float32), name)
            for name, shape in weights.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, folder / "dense.onnx")
    np.savez(folder / "data.npz", X=generator.standard_normal((24, 6)) * 3 + 1, y=np.arange(24) % 3)
    return str(folder / "dense.onnx"), str(folder / "data.npz")


def run(*arguments: str) -> Any:
    result = RUNNER.invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_sensitivity_of_a_file(files: tuple[str, str]) -> None:
    model, data = files
    told = run("sensitivity", model, "--dim", "rows=8", "--data", data, "--standardise", "--bits", "2,4,8")
    assert told["rows_of_data"] == 24
    assert told["notes"] == []
    rows = {row["name"]: row for row in told["rows"]}
    assert {name: row["kind"] for name, row in rows.items()} == {
        "x": "activation",
        "r": "activation",
        "w0": "weight",
        "w1": "weight",
    }
    for row in rows.values():
        assert row["standard_error"] <= 0.05 * abs(row["trace"]) or not row["converged"]
        assert list(row["omega"]) == ["2", "4", "8"]
        assert row["omega"]["2"] >= row["omega"]["4"] >= row["omega"]["8"] >= 0
    command = ["sensitivity", model, "--dim", "rows=8", "--data", data, "--probes", "8"]
    shown = RUNNER.invoke(app, command, env={"COLUMNS": "120"})
    assert shown.exit_code == 0
    assert "Hessian trace" in shown.stdout
    assert "±" in shown.stdout


def test_bits_under_a_budget_of_estimated_luts(files: tuple[str, str]) -> None:
    model, data = files
    command = ["bits", model, "--dim", "rows=8", "--data", data, "--bits", "2-8", "--measure", "squared-error"]
    free, tight = (run(*command, "--budget", f"luts={limit}") for limit in ("100%", "40%"))
    assert set(free["bits"].values()) == {8}
    assert tight["amounts"]["luts"] <= tight["limits"]["luts"] < free["amounts"]["luts"]
    assert tight["units"]["luts"] == "LUT"
    assert tight["objective"] > free["objective"]
    assert "factor" in tight["notes"][-1]
    assert "luts" not in run(*command)["amounts"]


def test_bits_of_a_file_under_several_budgets(files: tuple[str, str], tmp_path: Path) -> None:
    model, data = files
    cycles = {
        "name": "cycles",
        "unit": "cycles",
        "pairs": [["r", "w1", {f"{a},{w}": a * w for a in (4, 8) for w in (4, 8)}]],
    }
    (tmp_path / "cycles.json").write_text(json.dumps(cycles))
    asked = ["bits", model, "--dim", "rows=8", "--data", data, "--bits", "4,8", "--measure", "squared-error"]
    asked += ["--hold", "x=8", "--table", str(tmp_path / "cycles.json"), "--budget", "cycles=32"]
    told = run(*asked, "--budget", "size=50%", "--budget", "bops=1e6")
    assert told["bits"]["x"] == 8
    assert told["bits"]["r"] * told["bits"]["w1"] == told["amounts"]["cycles"] == 32
    assert told["limits"] == {"size": (72 * 4 + 72 * 8) / 16, "bops": 1e6, "cycles": 32}
    assert told["status"] == "optimal"
    assert told["amounts"]["size"] <= told["limits"]["size"]
    free = run("bits", model, "--dim", "rows=8", "--data", data, "--bits", "4,8", "--measure", "squared-error")
    assert set(free["bits"].values()) == {8}
    assert free["limits"] == {"size": None, "bops": None}
    shown = RUNNER.invoke(app, [*asked])
    assert "cycles: 32 of 32 cycles" in shown.stdout
    assert "optimal, bound" in shown.stdout


def refused(arguments: tuple[str, ...], message: str, kind: type[Exception] = InputError) -> None:
    with pytest.raises(kind, match=message):
        RUNNER.invoke(app, list(arguments), catch_exceptions=False)


def test_refusals(files: tuple[str, str], tmp_path: Path) -> None:
    model, data = files
    network = (model, "--dim", "rows=8")
    np.savez(tmp_path / "plain.npz", X=np.zeros((8, 6)))
    np.savez(tmp_path / "named.npz", other=np.zeros((8, 6)), y=np.arange(8) % 3)
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "table.json").write_text('{"name": "luts", "unit": "LUT", "rows": 3}')
    asked = ("bits", *network, "--data", data, "--measure", "squared-error")
    refused(("sensitivity", *network, "--data", str(tmp_path / "plain.npz")), "neither 'y' nor 'labels'")
    refused(("sensitivity", *network, "--data", str(tmp_path / "named.npz")), "no array for input 'x'")
    refused(("sensitivity", *network, "--data", str(tmp_path / "text.npz")), "no readable npz")
    refused(("sensitivity", *network, "--data", str(tmp_path / "absent.npz")), "no readable npz")
    refused(("sensitivity", *network, "--data", data, "--rows", "12"), "do not make whole batches")
    refused(("sensitivity", *network, "--data", data, "--rows", "32"), "too few rows")
    refused(("sensitivity", *network, "--data", data, "--relative-error", "0"), "between 0 and 1")
    refused((*asked, "--budget", "size=1"), "minimum 18: needs 18 bytes, has 1 bytes", BudgetError)
    refused((*asked, "--budget", "watts=1"), "no amount has this name.*size, bops")
    refused((*asked, "--budget", "size=half"), "a number or a percentage")
    refused((*asked, "--budget", "size"), "must be NAME=VALUE")
    refused((*asked, "--hold", "y=8"), "nothing has this name")
    refused((*asked, "--hold", "x=1"), "from 2 to 32")
    refused((*asked, "--table", str(tmp_path / "table.json")), "cannot be read as a table.*rows")
    refused(("bits", *network, "--data", data, "--measure", "magic"), "unknown measure")


def test_widths() -> None:
    assert parse_bits("2-5") == (2, 3, 4, 5)
    assert parse_bits("8,2,4,4") == (2, 4, 8)
    for text in ("", "8-2", "1-4", "2-33", "2,", "a", "-3"):
        with pytest.raises(InputError, match="--bits"):
            parse_bits(text)
