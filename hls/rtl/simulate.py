"""The written Verilog in Verilator: every output bit of every sample, latency and initiation interval.

One sample enters every cycle. Before the samples, one pulse of another sample into a pipeline at rest shows when
(latency) and for how many cycles (its interval) it comes out, without knowing what should.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hls.rtl.programs import find_program, run_program
from hls.rtl.project import Port, RtlProject
from model_ir.errors import InputError

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RtlMatch:
    """What the simulated RTL did with `samples` samples, one a cycle.

    `mismatches` counts samples with any wrong bit; `first_mismatch` says where. `latency_cycles` counts from the clock
    edge that takes a sample to the edge behind which its output stands; `interval_cycles` is how long a sample holds
    the output while others follow every cycle; both are None where wrong hardware lets no pulse through. `outputs` are
    the values by name. `tool` names the simulator.
    """

    samples: int
    mismatches: int
    first_mismatch: str
    latency_cycles: int | None
    interval_cycles: int | None
    tool: str
    build_seconds: float
    run_seconds: float
    outputs: Mapping[str, Array] = field(repr=False)


def simulate(project: RtlProject, inputs: Mapping[str, Array], expected: Mapping[str, Array]) -> RtlMatch:
    """Simulate `project` on `inputs`, the values behind the graph's Quants (`trace.quantised_inputs`), and compare with
    `expected` (samples, ...) by name.

    InputError where Verilator, a C++ compiler or make is missing or fails, a value does not fit its port, or all
    samples have the same expected outputs (no pulse can be seen then).
    """
    verilator = find_program("verilator", "verilator")
    find_program("g++", "g++")
    find_program("make", "make")
    stimulus = np.concatenate([port.integers(inputs[port.name]) for port in project.inputs], axis=1)
    wanted = np.concatenate([port.integers(expected[port.name]) for port in project.outputs], axis=1)
    if len(stimulus) != len(wanted):
        raise InputError("expected outputs", "another number of samples", value=len(wanted), limit=len(stimulus))
    rest = 2 * project.stages + 4
    stream = _stream(stimulus, wanted, rest)
    with tempfile.TemporaryDirectory(prefix="rtl-") as temporary:
        folder = Path(temporary)
        started = time.perf_counter()
        program = _build(project, verilator, folder)
        built = time.perf_counter()
        (folder / "inputs.bin").write_bytes(_packed(stream, project.inputs).tobytes())
        run_program((str(program), "inputs.bin", "outputs.bin"), folder)
        ran = time.perf_counter()
        rows = np.frombuffer((folder / "outputs.bin").read_bytes(), np.uint8)
        tool = " ".join(run_program((verilator, "--version"), folder).split()[:2])
    seen = _unpacked(rows.reshape(len(stream), -1), project.outputs)
    latency, interval = _pulse(seen[: 2 * rest], rest)
    got = seen[2 * rest + (project.stages if latency is None else latency) :][: len(wanted)]
    wrong = np.flatnonzero((got != wanted).any(axis=1))
    return RtlMatch(
        samples=len(wanted),
        mismatches=len(wrong),
        first_mismatch=_described(project.outputs, int(wrong[0]), got, wanted) if len(wrong) else "",
        latency_cycles=latency,
        interval_cycles=interval,
        tool=tool,
        build_seconds=built - started,
        run_seconds=ran - built,
        outputs=_values(got, project.outputs),
    )


def _stream(stimulus: Array, wanted: Array, rest: int) -> Array:
    """Sample 0 until the pipeline rests, one cycle of a sample with another output, sample 0 again, then all samples,
    and sample 0 until the last one is out."""
    others = np.flatnonzero((wanted != wanted[0]).any(axis=1))
    if not len(others):
        raise InputError(
            "expected outputs", "all samples have the same: nothing can be seen to move", value=len(wanted)
        )
    still = np.repeat(stimulus[:1], rest, axis=0)
    return np.concatenate([still, stimulus[others[:1]], still[1:], stimulus, still])


def _pulse(seen: Array, start: int) -> tuple[int, int] | tuple[None, None]:
    """Cycles from the pulse at `start` to its output, and how many cycles it is there; None where it is not."""
    away = np.flatnonzero((seen != seen[start - 1]).any(axis=1) & (np.arange(len(seen)) >= start))
    if not len(away):
        return None, None
    return int(away[0]) - start, int(away[-1] - away[0]) + 1


def _build(project: RtlProject, verilator: str, folder: Path) -> Path:
    with as_file(files("hls.rtl") / "harness.cc") as harness:
        (folder / "harness.cc").write_text(harness.read_text())
    # A run takes seconds even without the C++ compiler's optimisation, which would take minutes on a large network.
    plain = " ".join(f"OPT_{part}=-O0" for part in ("FAST", "SLOW", "GLOBAL"))
    flags = (
        "--cc",
        "--exe",
        "--build",
        "-j",
        "2",
        "-MAKEFLAGS",
        plain,
        "-O3",
        "--x-assign",
        "fast",
        "--x-initial",
        "fast",
    )
    names = ("--prefix", "Dut", "--top-module", project.top, "-o", "dut")
    paths = [str(path.resolve()) for path in project.sources]
    run_program((verilator, *flags, *names, "harness.cc", *paths), folder)
    return folder / "obj_dir" / "dut"


def _stored_bytes(bits: int) -> int:
    """Bytes in which Verilator keeps a port: 1, 2, 4, 8, or whole 32-bit words beyond."""
    return next((size for size in (1, 2, 4, 8) if bits <= 8 * size), 4 * -(-bits // 32))


def _packed(integers: Array, ports: Sequence[Port]) -> npt.NDArray[np.uint8]:
    """(rows, elements) as the bytes of the joined ports, lowest element first."""
    widths = [word.bits for port in ports for word in port.words]
    bits = [(integers[:, [column]] >> np.arange(width)) & 1 for column, width in enumerate(widths)]
    joined = np.packbits(np.concatenate(bits, axis=1).astype(np.uint8), axis=1, bitorder="little")
    padding = _stored_bytes(sum(widths)) - joined.shape[1]
    return np.pad(joined, ((0, 0), (0, padding)))


def _unpacked(rows: npt.NDArray[np.uint8], ports: Sequence[Port]) -> Array:
    """The inverse: (rows, bytes) as (rows, elements) int64."""
    bits = np.unpackbits(rows, axis=1, bitorder="little").astype(np.int64)
    columns, start = [], 0
    for word in (word for port in ports for word in port.words):
        value = bits[:, start : start + word.bits] @ (1 << np.arange(word.bits, dtype=np.int64))
        negative = word.signed & (bits[:, start + word.bits - 1] == 1) if word.bits else np.zeros(len(rows), bool)
        columns.append(value - negative * (1 << word.bits))
        start += word.bits
    return np.stack(columns, axis=1)


def _values(integers: Array, ports: Sequence[Port]) -> dict[str, Array]:
    values, start = {}, 0
    for port in ports:
        steps = np.array([word.step for word in port.words])
        part = integers[:, start : start + len(steps)] * steps
        values[port.name], start = part.reshape(-1, *port.shape), start + len(steps)
    return values


def _described(ports: Sequence[Port], sample: int, got: Array, wanted: Array) -> str:
    element = int(np.flatnonzero(got[sample] != wanted[sample])[0])
    for port in ports:
        if element < len(port.words):
            step, column = port.words[element].step, int(np.flatnonzero(got[sample] != wanted[sample])[0])
            values = f"{got[sample, column] * step:g} instead of {wanted[sample, column] * step:g}"
            return f"sample {sample}, {port.name!r} element {element}: {values}"
        element -= len(port.words)
    raise AssertionError("the element is in one of the ports")
