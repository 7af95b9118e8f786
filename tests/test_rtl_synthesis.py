"""Synthesised RTL: counts and areas of hand-written designs that everybody can count, networks' costs, and limits."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from rtl_networks import mlp

from hls.rtl.asic import OSU018, asic_report
from hls.rtl.project import Port, RtlProject, Word
from hls.rtl.synthesise import synthesise
from hls.rtl.trace import trace
from hls.rtl.write import write_rtl
from hls.rtl.yosys import Limits, run_yosys
from model_ir.errors import InputError

pytest.importorskip("da4ml", reason="the extra rtl is not installed")
pytest.importorskip("pyosys", reason="the extra rtl is not installed")
needs_cells = pytest.mark.skipif(
    shutil.which("sta") is None or not OSU018.is_file(), reason="no OpenSTA, or no osu018 standard cells"
)
BITS = 8


def hand_written(folder: Path, body: str) -> RtlProject:
    """A module of two 8-bit operands, registered."""
    folder.mkdir(exist_ok=True)
    source = folder / "network.v"
    source.write_text(
        f"module network(input clk, input [{2 * BITS - 1}:0] model_inp, output reg [{BITS - 1}:0] model_out);\n"
        f"wire [{BITS - 1}:0] a = model_inp[{BITS - 1}:0], b = model_inp[{2 * BITS - 1}:{BITS}];\n"
        f"{body}\nendmodule\n"
    )

    def port(name: str, elements: int) -> Port:
        return Port(name=name, shape=(elements,), words=(Word(signed=False, bits=BITS, step=1.0),) * elements)

    return RtlProject(
        folder=folder,
        top="network",
        sources=(source,),
        inputs=(port("x", 2),),
        outputs=(port("y", 1),),
        stages=1,
        adders_a_stage=1.0,
        estimated_luts=BITS,
        estimated_flip_flops=BITS,
        tool="by hand",
    )


def bitwise(folder: Path) -> RtlProject:
    return hand_written(folder, "always @(posedge clk) model_out <= a ^ b;")


def network(folder: Path) -> RtlProject:
    return write_rtl(trace(mlp((4, 5, 3), weight_bits=[4, 3], activation_bits=[4, 3])), folder, adders_a_stage=3)


@pytest.mark.parametrize("family", ["xc7", "xcup"])
def test_a_register_of_exclusive_ors_is_what_it_says(family: str, tmp_path: Path) -> None:
    counts = synthesise(bitwise(tmp_path / "rtl"), family=family)  # type: ignore[arg-type]
    assert counts.luts_by_inputs == {2: BITS}
    assert (counts.luts, counts.flip_flops, counts.carries, counts.dsps, counts.block_rams) == (BITS, BITS, 0, 0, 0)
    assert re.fullmatch(rf"Yosys [\d.]+, synth_xilinx -family {family}, abc9 fast; not Vivado's counts", counts.tool), (
        counts.tool
    )


def test_a_network_becomes_adders_and_registers_and_no_multiplier(tmp_path: Path) -> None:
    project = network(tmp_path / "rtl")
    told: list[tuple[str, int, int]] = []
    counts = synthesise(project, progress=lambda *step: told.append(step))
    assert counts.luts == sum(counts.luts_by_inputs.values()) > 0
    assert counts.carry_cell == "CARRY4"
    assert counts.carries > 0
    assert counts.dsps == counts.block_rams == 0
    # Yosys finds registers that are equal or constant, never more of them.
    assert 0 < counts.flip_flops <= project.estimated_flip_flops
    assert 0.5 < counts.luts / project.estimated_luts < 1.5
    assert counts.usage.cpu_seconds > 0
    assert counts.usage.peak_memory_bytes > 50 << 20
    assert [done for _, done, _ in told] == list(range(1, told[0][2] + 1))
    assert told[0][0] == "reading"
    assert told[-1][0] == "counting"


@needs_cells
def test_area_is_that_of_the_cells_and_timing_that_of_the_library(tmp_path: Path) -> None:
    report = asic_report(bitwise(tmp_path / "rtl"), clock_ns=5, activity=0.5)
    blocks = re.findall(r"cell \((\w+)\) \{.*?area : (\d+)", OSU018.read_text(), re.DOTALL)
    areas = {name: float(area) for name, area in blocks}
    assert report.area_um2 == sum(areas[name] * count for name, count in report.cells.items())
    assert report.flip_flops == BITS
    assert report.sequential_area_um2 == BITS * areas["DFFPOSX1"]
    # An exclusive or and a set-up time; the clock to an output is a register's delay: tenths of ns at 180 nm.
    assert 0.1 < report.critical_path_ns < 1
    assert report.fmax_mhz == pytest.approx(1000 / report.critical_path_ns)
    assert report.meets_clock
    assert report.power_mw == pytest.approx(report.internal_mw + report.switching_mw + report.leakage_mw, rel=1e-6)
    assert report.tools.endswith("osu018_stdcells, before layout")
    still = asic_report(bitwise(tmp_path / "rtl"), clock_ns=5, activity=0)
    assert still.switching_mw < report.switching_mw
    assert still.leakage_mw == pytest.approx(report.leakage_mw)
    assert still.cells == report.cells


@needs_cells
def test_a_network_in_standard_cells(tmp_path: Path) -> None:
    project = network(tmp_path / "rtl")
    report = asic_report(project, clock_ns=0.5)
    assert 0 < report.flip_flops <= project.estimated_flip_flops
    assert report.area_um2 > report.sequential_area_um2 > 0
    assert not report.meets_clock
    assert report.cell_count == sum(report.cells.values())


def test_what_yosys_cannot_do_is_an_error_of_one_line(tmp_path: Path) -> None:
    project = hand_written(tmp_path / "rtl", "this is no Verilog")
    with pytest.raises(InputError, match=r"Yosys \(reading\): failed with status 1: .*ERROR.*syntax error"):
        synthesise(project)
    with pytest.raises(InputError, match=r"Yosys \(odd\): failed .*No such command"):
        run_yosys([("odd", "no_such_command")], tmp_path)


def test_limits_hold(tmp_path: Path) -> None:
    folder = tmp_path / "rtl"
    with pytest.raises(InputError, match=r"took longer than its limit of 0\.05 s"):
        synthesise(bitwise(folder), limits=Limits(seconds=0.05))
    with pytest.raises(InputError, match=r"Yosys \(\w.*\): needs more memory than its limit of 0\.1 GiB"):
        synthesise(bitwise(folder), limits=Limits(memory_bytes=100 << 20))


MISSING: dict[str, tuple[Callable[[pytest.MonkeyPatch], object], dict[str, object]]] = {
    "sta: is not on the PATH: install Debian's package opensta": (
        lambda patch: patch.setattr(shutil, "which", lambda _: None),
        {},
    ),
    "install Debian's package qflow-tech-osu018": (
        lambda patch: patch.setattr(shutil, "which", lambda name: f"/bin/{name}"),
        {"library": Path("/nowhere/cells.lib")},
    ),
}


@pytest.mark.parametrize("problem", MISSING)
def test_missing_tools_are_named_with_their_packages(
    problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = bitwise(tmp_path / "rtl")
    prepare, options = MISSING[problem]
    prepare(monkeypatch)
    with pytest.raises(InputError, match=problem):
        asic_report(project, **options)  # type: ignore[arg-type]


@needs_cells
@pytest.mark.parametrize(
    ("options", "problem"), [({"clock_ns": 0.0}, "clock: must be"), ({"activity": 1.5}, "activity: out of range")]
)
def test_clock_and_activity_are_checked(options: dict[str, float], problem: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=problem):
        asic_report(bitwise(tmp_path / "rtl"), **options)  # type: ignore[arg-type]
