"""The front door as its users meet it: commands in a process of their own, with what they print and leave behind."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from reports.record import SCHEMA_VERSION
from systolic.cli import COMMANDS
from systolic.network import NetworkRequest
from workloads.catalogue import WORKLOADS

ROOT = Path(__file__).parent.parent
BASE = 'base = "gemmini"\nname = "{}"\ndescription = "for a test"\n'
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def systolic(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "systolic", *arguments]
    environment = {**ENVIRONMENT, "SYSTOLIC_CACHE": str(folder / "cache"), "COLUMNS": "200"}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=environment, timeout=300, check=False
    )


def assert_refused(
    done: subprocess.CompletedProcess[str], folder: Path, *, exit_code: int, says: tuple[str, ...]
) -> None:
    assert done.returncode == exit_code, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr
    for text in says:
        assert text in done.stderr
    assert not (folder / "runs").exists() or not list((folder / "runs").iterdir())


def small_cnn(path: Path, *, kernel: int = 3) -> Path:
    """A convolution, ReLU, pooling and a dense layer with a dynamic batch."""
    generator = np.random.default_rng(0)
    weights = {
        "w": generator.standard_normal((8, 3, kernel, kernel)).astype(np.float32),
        "v": generator.standard_normal((10, 8)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[kernel // 2] * 4, name="conv"),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["p"], name="pool"),
        helper.make_node("Flatten", ["p"], ["f"], name="flatten"),
        helper.make_node("Gemm", ["f", "v"], ["y"], transB=1, name="dense"),
    ]
    graph = helper.make_graph(
        nodes,
        "small_cnn",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def test_a_file_of_the_users_own_becomes_a_run_folder(tmp_path: Path) -> None:
    small_cnn(tmp_path / "net.onnx")
    done = systolic("run", "net.onnx", "--dim", "batch=2", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "net-gemmini"
    assert sorted(path.name for path in run.iterdir()) == [
        "layers.parquet",
        "report.html",
        "run.json",
        "timelines.parquet",
    ]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["net-gemmini"]
    header = json.loads((run / "run.json").read_text())
    assert header["schema_version"] == SCHEMA_VERSION
    assert header["totals"]["macs"] == 2 * (16 * 16 * 8 * 27 + 80)
    assert len(next(iter(header["input_hashes"].values()))) == 64
    assert "conv" in done.stdout


def test_traces_are_left_where_asked(tmp_path: Path) -> None:
    done = systolic("run", "jet-tagger", "--trace", "run.json.gz", "--trace-cycles", "500", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    with gzip.open(tmp_path / "run.json.gz", "rt") as text:
        parts = [event for event in json.load(text)["traceEvents"] if event["ph"] == "X" and event["cat"] == "part"]
    assert len(parts) == 4
    wrong = systolic("simulate", "jet-tagger", "--trace", "run.txt", folder=tmp_path)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "run.txt" in wrong.stderr


def test_json_on_stdout_is_one_object_and_the_same_every_time(tmp_path: Path) -> None:
    first = systolic("run", "jet-tagger", "--json", folder=tmp_path)
    second = systolic("run", "jet-tagger", "--json", "--no-cache", folder=tmp_path)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    layers = [json.loads(done.stdout)["layers"] for done in (first, second)]
    for rows in layers:
        for row in rows:
            row.pop("solver_wall_seconds")
    assert layers[0] == layers[1]
    assert sum(row["macs"] for row in layers[0]) == 4256


def test_map_minimises_what_it_is_told_by_the_solver_it_is_told(tmp_path: Path) -> None:
    energies = []
    for objective, solver in (("latency", "cp-sat"), ("energy", "highs")):
        options = ("--objective", objective, "--solver", solver, "--layer", "dense_1", "--json")
        done = systolic("map", "jet-tagger", *options, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        (row,) = json.loads(done.stdout)["layers"]
        assert row["minimised"] == objective
        assert row["solver"] in (solver, "heuristic")
        energies.append(row["energy_pj"])
    assert energies[1] < energies[0]


def test_a_second_run_solves_nothing(tmp_path: Path) -> None:
    arguments = ("run", "jet-tagger", "--json", "--out")
    systolic(*arguments, "one", folder=tmp_path)
    solved = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    assert solved
    again = json.loads(systolic(*arguments, "two", folder=tmp_path).stdout)
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()} == solved
    first = json.loads(systolic(*arguments, "one", folder=tmp_path).stdout)
    # The seconds are those of the solve that filled the cache, not of a new one.
    assert [row["solver_wall_seconds"] for row in again["layers"]] == [
        row["solver_wall_seconds"] for row in first["layers"]
    ]


def test_an_unsupported_operator_is_named_or_left_to_the_host(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"], name="dense"),
        helper.make_node("Bernoulli", ["m"], ["y"], name="noise"),
    ]
    graph = helper.make_graph(
        nodes,
        "noisy",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 8])],
        [numpy_helper.from_array(np.ones((16, 8), np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "noisy.onnx")
    refused = systolic("run", "noisy.onnx", folder=tmp_path)
    assert_refused(refused, tmp_path, exit_code=2, says=("Bernoulli", "noise", "noisy.onnx"))
    done = systolic("run", "noisy.onnx", "--skip-unsupported", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert [row["where"] for row in record["layers"]] == ["array", "host"]
    assert any("noise" in note for note in record["notes"])
    assert "noise" in (tmp_path / "runs" / "noisy-gemmini" / "report.html").read_text()


def test_report_writes_the_page_anew(tmp_path: Path) -> None:
    assert systolic("run", "jet-tagger", "--name", "jets", folder=tmp_path).returncode == 0
    page = tmp_path / "runs" / "jets" / "report.html"
    original = page.read_text()
    page.unlink()
    done = systolic("report", "runs/jets", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert page.read_text() == original


def test_simulate_checks_values_and_shows_commands(tmp_path: Path) -> None:
    done = systolic("simulate", "jet-tagger", "--check-values", "--commands", "6", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "equal" in done.stdout
    assert "DIFFER" not in done.stdout
    assert "config_ex" in done.stdout


def test_tables_show_text_as_it_is(tmp_path: Path) -> None:
    model = onnx.load(small_cnn(tmp_path / "net.onnx"))
    model.graph.node[0].name = "[red]conv"
    onnx.save(model, tmp_path / "net.onnx")
    for command in ("map", "simulate", "show"):
        done = systolic(command, "net.onnx", "--dim", "batch=1", folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "[red]conv" in done.stdout
    mapped = systolic("map", "net.onnx", "--dim", "batch=1", folder=tmp_path).stdout
    assert "[pixels, channels]" in mapped or "[channels, pixels]" in mapped


@pytest.mark.parametrize("command", ["map", "simulate", "show"])
def test_json_of_the_other_commands(command: str, tmp_path: Path) -> None:
    done = systolic(command, "jet-tagger", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert value["layers" if command != "show" else "operators"]


def test_every_name_of_the_catalogue_is_one_on_the_command_line() -> None:
    assert not [name for name in WORKLOADS if NetworkRequest(model=name).is_file]
    assert NetworkRequest(model="net.onnx").is_file


def test_a_command_imports_no_other_command() -> None:
    code = (
        "import sys; from systolic.cli import app; app(['machines', '--json'], standalone_mode=False);"
        "print([name for name in sys.modules if name.startswith('systolic.commands.')], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, check=True)
    assert done.stderr.strip() == "['systolic.commands.machines']"


def test_help_tells_every_command_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    told = systolic("--help", folder=tmp_path)
    assert told.returncode == 0
    assert all(f" {name} " in told.stdout for name in COMMANDS)
    refused = systolic("rofline", folder=tmp_path)
    assert refused.returncode == 2
    assert "No such command 'rofline'" in refused.stderr


@pytest.mark.parametrize("command", ["accelerators", "workloads"])
def test_lists(command: str, tmp_path: Path) -> None:
    done = systolic(command, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert ("gemmini" if command == "accelerators" else "bert-base") in done.stdout
    assert json.loads(systolic(command, "--json", folder=tmp_path).stdout)


BAD_INPUT = {
    "no such file": (("run", "missing.onnx"), ("missing.onnx",)),
    "not onnx": (("run", "text.onnx"), ("text.onnx",)),
    "empty": (("run", "empty.onnx"), ("empty.onnx",)),
    "folder": (("run", "./folder"), ("folder",)),
    "unbound axis": (("run", "net.onnx"), ("net.onnx", "batch", "--dim")),
    "unknown axis": (("run", "net.onnx", "--dim", "batch=1", "--dim", "depth=2"), ("depth",)),
    "malformed axis": (("run", "net.onnx", "--dim", "batch"), ("--dim", "batch")),
    "zero axis": (("run", "net.onnx", "--dim", "batch=0"), ("--dim", "batch=0")),
    "option of another kind": (("run", "net.onnx", "--dim", "batch=1", "--seq", "5"), ("--seq",)),
    "unknown network": (("run", "bert-bse"), ("bert-bse", "bert-base")),
    "tokens beyond the table": (("run", "bert-base", "--seq", "100000"), ("100000", "512")),
    "option not taken": (("run", "jet-tagger", "--seq", "5"), ("seq",)),
    "unknown accelerator": (("run", "jet-tagger", "--accelerator", "gemini"), ("gemini", "gemmini")),
    "accelerator with zero rows": (
        ("run", "jet-tagger", "--accelerator", "zero.toml"),
        ("zero.toml", "array.rows", "0"),
    ),
    "accelerator with an unknown key": (("run", "jet-tagger", "--accelerator", "key.toml"), ("key.toml", "capacity")),
    "more cycles than anyone waits for": (("run", "jet-tagger", "--max-cycles", "500"), ("--max-cycles", "500")),
    "place taken by a file": (("run", "jet-tagger", "--out", "text.onnx"), ("text.onnx",)),
    "name that leaves the folder": (("run", "jet-tagger", "--name", "../elsewhere"), ("../elsewhere",)),
    "unknown layer of a command": (("map", "jet-tagger", "--layer", "dense_9"), ("dense_9", "dense_3")),
    "unknown layer": (("run", "jet-tagger", "--timeline", "nothing"), ("nothing",)),
    "not a run": (("report", "folder"), ("folder",)),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_line_and_exit_code_2(case: str, tmp_path: Path) -> None:
    small_cnn(tmp_path / "net.onnx")
    (tmp_path / "text.onnx").write_text("this is no network")
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    (tmp_path / "zero.toml").write_text(BASE.format("zero") + "[array]\nrows = 0\n")
    (tmp_path / "key.toml").write_text(BASE.format("key") + "[scratchpad]\ncapacity = 4096\n")
    arguments, says = BAD_INPUT[case]
    assert_refused(systolic(*arguments, folder=tmp_path), tmp_path, exit_code=2, says=says)


def test_a_layer_that_fits_no_tile_is_infeasible_by_a_stated_amount(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(BASE.format("tiny") + "[scratchpad]\ncapacity_bytes = 512\nbanks = 1\n")
    done = systolic("run", "jet-tagger", "--accelerator", "tiny.toml", folder=tmp_path)
    assert_refused(done, tmp_path, exit_code=1, says=("rows", "too many"))


def test_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "systolic", "run", "resnet50", "--no-cache"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for _ in range(300):
            if (tmp_path / "runs").exists() and any((tmp_path / "runs").iterdir()):
                break
            time.sleep(0.1)
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 2, stderr
    assert "resnet50-gemmini: interrupted; nothing was written" in stderr
    assert len(stderr.strip().splitlines()) == 1
    assert stdout == ""
    assert list((tmp_path / "runs").iterdir()) == []


def test_map_onto_a_hierarchy(tmp_path: Path) -> None:
    small_cnn(tmp_path / "small.onnx")
    options = ("--hierarchy", "eyeriss-like", "--dataflow", "row-stationary", "--dim", "batch=1")
    done = systolic("map", "small.onnx", *options, "--json", "--loops", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert (printed["hierarchy"], printed["dataflow"]) == ("eyeriss-like", "row-stationary")
    assert [row["name"] for row in printed["layers"]] == ["conv", "dense"]
    for row in printed["layers"]:
        assert row["cycles"] >= row["solver_bound"] > 0
        assert sum(row["energy_pj_by_level"].values()) + row["mac_energy_pj"] == pytest.approx(row["energy_pj"])
        assert row["loops"][0].startswith("[dram]")


def test_map_a_layer_of_sizes_onto_a_hierarchy_prints_a_table(tmp_path: Path) -> None:
    done = systolic("map", "16,32,64", "--hierarchy", "simba-like", "--loops", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "16,32,64" in done.stdout
    assert "multiply-accumulate" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--hierarchy", "simba"), ("hierarchy", "did you mean simba-like")),
        (("--hierarchy", "simba-like", "--dataflow", "row"), ("dataflow", "row-stationary")),
        (("--hierarchy", "simba-like", "--layer", "none"), ("--layer", "none")),
        (("--hierarchy", "simba-like", "--accelerator", "gemmini-lean"), ("--accelerator", "--hierarchy")),
        (("--loops",), ("--loops", "--hierarchy")),
    ],
)
def test_map_onto_a_hierarchy_refuses(tmp_path: Path, arguments: tuple[str, ...], says: tuple[str, ...]) -> None:
    assert_refused(systolic("map", "16,32,64", *arguments, folder=tmp_path), tmp_path, exit_code=2, says=says)


def test_hierarchies_are_listed(tmp_path: Path) -> None:
    done = systolic("hierarchies", "--json", folder=tmp_path)
    assert {"simba-like", "eyeriss-like", "tpu-like"} <= {each["name"] for each in json.loads(done.stdout)}
