"""Written RTL in Verilator: every bit of 10 000 samples, measured latency and interval, and faults noticed."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rtl_networks import cnn, execute_rows, mlp, random_inputs

from hls.rtl import simulate as simulation
from hls.rtl.project import Port, RtlProject, Word
from hls.rtl.simulate import simulate
from hls.rtl.trace import quantised_inputs, trace
from hls.rtl.write import write_rtl
from model_ir.errors import InputError
from model_ir.graph import Graph

pytest.importorskip("da4ml", reason="the extra rtl is not installed")
needs_verilator = pytest.mark.skipif(
    not (shutil.which("verilator") and shutil.which("g++") and shutil.which("make")), reason="no verilator on the PATH"
)
SAMPLES = 10_000
NETWORKS = {
    "mlp": lambda: mlp((4, 6, 3), batch=100, weight_bits=[5, 3], activation_bits=[6, 4]),
    "cnn": lambda: cnn(batch=100),
}


def written(graph: Graph, folder: Path, adders_a_stage: float = 3) -> tuple[RtlProject, dict[str, Any], dict[str, Any]]:
    inputs = random_inputs(graph, SAMPLES)
    project = write_rtl(trace(graph), folder, adders_a_stage=adders_a_stage)
    return project, quantised_inputs(graph, inputs), execute_rows(graph, inputs)


@needs_verilator
@pytest.mark.parametrize("name", NETWORKS)
def test_every_bit_of_ten_thousand_samples_one_a_cycle(name: str, tmp_path: Path) -> None:
    project, inputs, expected = written(NETWORKS[name](), tmp_path / "rtl")
    match = simulate(project, inputs, expected)
    assert (match.samples, match.mismatches, match.first_mismatch) == (SAMPLES, 0, "")
    assert match.latency_cycles == project.stages > 1
    assert match.interval_cycles == 1
    assert match.tool.startswith("Verilator ")
    for output, values in expected.items():
        np.testing.assert_array_equal(match.outputs[output], values)


@needs_verilator
def test_wrong_hardware_and_wrong_expectations_are_seen(tmp_path: Path) -> None:
    project, inputs, expected = written(NETWORKS["mlp"](), tmp_path / "rtl", adders_a_stage=4)
    stage = next(path for path in project.sources if path.stem == f"network_stage{project.stages - 1}")
    text = stage.read_text()
    stage.write_text(re.sub(r", 0\) op_", ", 1) op_", text, count=1))  # one sum becomes a difference
    assert stage.read_text() != text
    match = simulate(project, inputs, expected)
    assert match.mismatches > 0
    sample = int(match.first_mismatch.split(",")[0].removeprefix("sample "))
    np.testing.assert_array_equal(match.outputs["dense1"][:sample], expected["dense1"][:sample])
    assert (match.outputs["dense1"][sample] != expected["dense1"][sample]).any()


@pytest.mark.parametrize("missing", ["verilator", "g++", "make"])
def test_a_missing_program_names_its_package(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, inputs, expected = written(NETWORKS["mlp"](), tmp_path / "rtl")
    monkeypatch.setattr(shutil, "which", lambda name: None if name == missing else f"/bin/{name}")
    with pytest.raises(InputError, match=f"install Debian's package {missing.replace('+', '[+]')}"):
        simulate(project, inputs, expected)


@needs_verilator
def test_broken_verilog_is_reported(tmp_path: Path) -> None:
    project, inputs, expected = written(NETWORKS["mlp"](), tmp_path / "rtl")
    project.sources[0].write_text("module network (; endmodule\n")
    with pytest.raises(InputError, match=r"verilator: failed \(exit status 1\): .*rror"):
        simulate(project, inputs, expected)


def test_values_that_no_port_carries_are_refused() -> None:
    port = Port(name="x", shape=(2,), words=(Word(signed=True, bits=3, step=0.5), Word(signed=False, bits=2, step=1.0)))
    np.testing.assert_array_equal(port.integers(np.array([[-2.0, 3.0], [1.5, 0.0]])), [[-4, 3], [3, 0]])
    for wrong in ([2.0, 0.0], [-2.5, 0.0], [0.25, 0.0], [0.0, 4.0], [0.0, -1.0], [np.nan, 0.0]):
        with pytest.raises(InputError, match=r"port 'x', sample 1, element [01]: the port cannot carry it"):
            port.integers(np.array([[0.0, 0.0], wrong]))
    with pytest.raises(InputError, match="wrong number of elements"):
        port.integers(np.zeros((4, 3)))


def test_outputs_that_never_change_cannot_be_simulated(tmp_path: Path) -> None:
    project, inputs, expected = written(NETWORKS["mlp"](), tmp_path / "rtl")
    still = {name: np.repeat(values[:1], SAMPLES, axis=0) for name, values in expected.items()}
    if shutil.which("verilator") is None:
        pytest.skip("no verilator on the PATH")
    with pytest.raises(InputError, match="nothing can be seen to move"):
        simulate(project, inputs, still)


WORDS = st.lists(
    st.builds(Word, signed=st.booleans(), bits=st.integers(1, 24), step=st.sampled_from([0.25, 1.0, 8.0])), min_size=1
)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(WORDS, min_size=1, max_size=2), st.integers(0, 99))
def test_packed_bits_are_python_s_own_integers(words: list[list[Word]], seed: int) -> None:
    ports = [Port(name="p", shape=(len(part),), words=tuple(part)) for part in words]
    flat = [word for part in words for word in part]
    generator = np.random.default_rng(seed)
    rows = np.stack(
        [
            generator.integers(-(1 << word.bits - 1) if word.signed else 0, (1 << word.bits - word.signed), 5)
            for word in flat
        ],
        axis=1,
    )
    packed = simulation._packed(rows, ports)
    for row, stored in zip(rows.tolist(), packed, strict=True):
        total, shift = 0, 0
        for value, word in zip(row, flat, strict=True):
            total |= (value % (1 << word.bits)) << shift
            shift += word.bits
        assert int.from_bytes(stored.tobytes(), "little") == total
        assert len(stored) in (1, 2, 4, 8) or len(stored) % 4 == 0
    np.testing.assert_array_equal(simulation._unpacked(packed, ports), rows)


def test_a_slower_pipeline_would_show_its_interval() -> None:
    seen = np.zeros((12, 1))
    seen[6:8] = 1
    assert simulation._pulse(seen, 4) == (2, 2)
    assert simulation._pulse(np.zeros((12, 1)), 4) == (None, None)


def test_ports_of_the_written_project_are_those_of_the_graph(tmp_path: Path) -> None:
    project, inputs, _ = written(NETWORKS["cnn"](), tmp_path / "rtl")
    (image,) = project.inputs
    assert (image.name, image.shape, image.bits) == ("image", (1, 4, 4), 64)
    assert replace(image, words=image.words[:1]).bits == 4
    assert image.integers(inputs["image"]).max() == 15
    assert f"input [{image.bits - 1}:0] model_inp" in project.sources[0].read_text()
