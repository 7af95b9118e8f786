"""hls4ml projects: what g++ makes of them computes what the graph computes, on every one of 10 000 inputs; what cannot
be written leaves nothing behind."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from quantised_nets import conv_net, dense_net, inputs_of, odd_net, two_readers_net

from hls.firmware.conversion import converted
from hls.firmware.equality import Match, executed, match
from hls.firmware.lower import lower
from hls.firmware.project import (
    CHANNELS_LAST_NAME,
    LOG_NAME,
    QONNX_NAME,
    compile_project,
    emulate,
    opened_project,
    write_project,
)
from hls.firmware.settings import BACKENDS, IoType, LayerSettings, Settings
from hls.qonnx.execution import executed_by_qonnx
from model_ir.errors import InputError
from model_ir.graph import Graph

pytest.importorskip("hls4ml", reason="hls4ml is not installed")
pytest.importorskip("qonnx", reason="qonnx is not installed")
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
SAMPLES = 10_000


def small_conv_net() -> Graph:
    return conv_net((3, 4, 5), image=4, channels=(2, 3))


def small_dense_net() -> Graph:
    return dense_net((6, 8, 4), (6, 4), fused=True)


COMPILED: tuple[tuple[str, IoType, Callable[[], Graph]], ...] = (
    ("Vivado", "io_parallel", small_dense_net),
    ("VivadoAccelerator", "io_stream", small_dense_net),
    ("Quartus", "io_stream", small_dense_net),
    ("Catapult", "io_stream", small_conv_net),
    ("Catapult", "io_parallel", two_readers_net),
    ("Vitis", "io_parallel", odd_net),
    ("Vitis", "io_stream", small_conv_net),
    ("Quartus", "io_parallel", small_conv_net),
)


@needs_compiler
@pytest.mark.parametrize(("backend", "io", "make"), COMPILED, ids=lambda item: getattr(item, "__name__", item))
def test_firmware_equals_the_graph_on_ten_thousand_inputs(
    tmp_path: Path, backend: str, io: IoType, make: Callable[[], Graph]
) -> None:
    """Inputs off the grid and beyond its range: the port's type rounds and clips them as the first quantiser does."""
    graph = make()
    project = write_project(graph, tmp_path / "project", Settings(backend=backend, io=io))
    compile_project(project)
    inputs = inputs_of(graph, SAMPLES)
    assert match(project, graph, inputs) == Match(inputs=SAMPLES, mismatches=0, worst=0.0)
    other = inputs.copy()
    other[7] = -other[7] + 1
    wrong = np.any(executed(graph, other) != executed(graph, inputs), axis=1).sum()
    found = np.any(emulate(project, other) != executed(graph, inputs), axis=1).sum()
    assert found == wrong == 1


def test_part_and_clock_reach_the_project(tmp_path: Path) -> None:
    settings = Settings(backend="Vitis", part="xc7z020clg400-1", clock_ns=4.0)
    project = write_project(small_dense_net(), tmp_path / "project", settings)
    script = (project.folder / "project.tcl").read_text()
    assert "xc7z020clg400-1" in script
    assert "clock_period 4.0" in script


@needs_compiler
def test_reuse_factor_and_strategy_of_each_layer_reach_the_project_and_change_no_value(tmp_path: Path) -> None:
    graph = small_dense_net()
    settings = Settings(backend="Catapult", layers={"dense_0": LayerSettings(reuse_factor=6, strategy="resource")})
    project = write_project(graph, tmp_path / "project", settings)
    first, second = (project.folder / "firmware" / "parameters.h").read_text().split("// Dense_dense_1")
    assert "strategy = nnet::resource" in first
    assert "reuse_factor = 6" in first
    assert "strategy = nnet::latency" in second
    compile_project(project)
    assert match(project, graph, inputs_of(graph, 1000)).exact


def test_a_reuse_factor_that_hls4ml_would_change_is_refused(tmp_path: Path) -> None:
    graph = small_dense_net()
    bad = Settings(default=LayerSettings(reuse_factor=7, strategy="resource"))
    with pytest.raises(
        InputError, match=r"dense_0: Vitis cannot have this reuse factor \(value 7, limit nearest: \d+\)"
    ):
        write_project(graph, tmp_path / "project", bad)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("backend", [name for name, backend in BACKENDS.items() if backend.emulation != "g++"])
def test_projects_for_other_compilers_are_written_and_say_which(tmp_path: Path, backend: str) -> None:
    project = write_project(small_dense_net(), tmp_path / "project", Settings(backend=backend))
    (path,) = project.folder.rglob(f"{project.name}.cpp")
    assert path.read_text().count("nnet::dense") == 2
    needed = BACKENDS[backend].emulation
    with pytest.raises(InputError, match=f"emulating a {backend} project needs {needed}; the project is written"):
        compile_project(project)


def test_libero_writes_all_outputs_and_no_more(tmp_path: Path) -> None:
    """hls4ml 1.3 copies as many outputs as there are inputs."""
    project = write_project(small_dense_net(), tmp_path / "project", Settings(backend="Libero"))
    lines = (project.folder / "firmware" / "net.cpp").read_text().splitlines()
    (place,) = (at for at, line in enumerate(lines) if "out_struct.data[i] =" in line)
    assert "i < 4;" in lines[place - 1]


def test_the_network_that_hls4ml_reads_equals_the_graph_in_qonnx(tmp_path: Path) -> None:
    graph = small_dense_net()
    project = write_project(graph, tmp_path / "project")
    inputs = np.round(inputs_of(graph, 500)).clip(-8, 7)
    for name in (QONNX_NAME, CHANNELS_LAST_NAME):
        np.testing.assert_array_equal(executed_by_qonnx(project.folder / name, inputs), executed(graph, inputs))


def test_hls4ml_talks_to_its_log_only_and_its_project_names_no_other_folder(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    project = write_project(small_conv_net(), tmp_path / "project")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert "Creating HLS model" in (project.folder / LOG_NAME).read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["project"]
    files = [path for path in project.folder.rglob("*") if path.is_file()]
    assert any(str(project.folder).encode() in path.read_bytes() for path in files)
    assert not any(b".project." in path.read_bytes() for path in files)


def test_hls4ml_is_given_types_that_nothing_changes(tmp_path: Path) -> None:
    """Its own inference would give the sums of the first layer more bits."""
    project = write_project(small_dense_net(), tmp_path / "project", Settings(backend="Vitis"))
    defines = (project.folder / "firmware" / "defines.h").read_text()
    for layer in project.network.weighted:
        assert f"typedef ap_{layer.accumulator} {layer.name}_accum_t;" in defines
        assert f"typedef ap_{layer.result} " in defines
    assert "ap_fixed<8,4,AP_RND_CONV,AP_SAT,0> input_t" in defines


def test_a_project_goes_on_where_it_was_written(tmp_path: Path) -> None:
    graph, settings = small_dense_net(), Settings()
    with pytest.raises(InputError, match="holds no firmware project"):
        opened_project(graph, tmp_path / "project", settings)
    written = write_project(graph, tmp_path / "project", settings)
    opened = opened_project(graph, tmp_path / "project", settings)
    assert (opened.folder, opened.name) == (written.folder, written.name)
    with pytest.raises(InputError, match=r"holds a firmware project of its own: another network.onnx"):
        opened_project(dense_net((6, 8, 4), (6, 4), fused=True, seed=1), tmp_path / "project", settings)
    with pytest.raises(InputError, match=r"holds a firmware project of its own: another settings.json"):
        opened_project(graph, tmp_path / "project", Settings(clock_ns=4.0))
    with pytest.raises(InputError, match=r"the project is not compiled \(value 0 libraries\)"):
        emulate(opened, inputs_of(graph, 2))


@needs_compiler
def test_bad_inputs_and_broken_code_are_said_clearly(tmp_path: Path) -> None:
    graph = small_dense_net()
    project = write_project(graph, tmp_path / "project", Settings(backend="Quartus"))
    source = project.folder / "firmware" / "net.cpp"
    good = source.read_text()
    source.write_text(f"missing_type oops;\n{good}")
    with pytest.raises(InputError, match=r"does not compile \(see hls4ml.log\): .*missing_type"):
        compile_project(project)
    body = good.index("{", good.index("net(")) + 1
    source.write_text(good[:body] + " __builtin_trap(); " + good[body:])
    compile_project(project)
    with pytest.raises(InputError, match=r"the firmware's emulation fails: exit code -\d+"):
        emulate(project, inputs_of(graph, 2))
    with pytest.raises(InputError, match=r"inputs do not fit the network \(value \(2, 5\), limit \(1, 6\)\)"):
        emulate(project, np.zeros((2, 5)))
    with pytest.raises(InputError, match="inputs are not finite"):
        emulate(project, np.full((2, 6), np.nan))


def test_a_folder_in_use_and_one_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    graph = small_dense_net()
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match=r"used: is in use"):
        write_project(graph, tmp_path / "used")
    (tmp_path / "file").write_text("keep")
    for folder in (tmp_path / "file", tmp_path / "file" / "project"):
        with pytest.raises(InputError, match=r"is in use|cannot write the project"):
            write_project(graph, folder)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "mine.txt", "used"]
    (tmp_path / "empty").mkdir()
    assert write_project(graph, tmp_path / "empty").folder == tmp_path / "empty"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="cannot write the project"):
            write_project(small_dense_net(), tmp_path / "project")
    finally:
        tmp_path.chmod(0o700)


def test_what_fails_inside_hls4ml_is_an_error_of_ours_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hls4ml.model.graph import ModelGraph

    def full(_: ModelGraph) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ModelGraph, "write", full)
    with pytest.raises(InputError, match="cannot write the project: No space left on device"):
        write_project(small_dense_net(), tmp_path / "project")
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="hls4ml: cannot convert the network"):
        converted(lower(small_dense_net()), Settings(), str(tmp_path), str(tmp_path / "absent.onnx"))
