"""The chosen design in every form that it takes, each against the integer reference, output by output.

Forms lie in the run's folder: `model.onnx` (QONNX), `hls4ml-<back end>-<io>/`, `rtl/`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from model_ir.graph import Graph
from model_ir.passes.batch_size import with_batch_size
from reports.firmware import Count, Match
from systolic.firmware.request import FirmwareRequest
from systolic.firmware.stages import Arrays, Stages, constants_digest
from systolic.firmware.subject import Subject
from systolic.pipeline import Progress

if TYPE_CHECKING:
    from hls.firmware.settings import Settings

Array = npt.NDArray[Any]
QONNX_FILE, RTL_FOLDER = "model.onnx", "rtl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was compared, counted and written, and what could not be done."""

    matches: tuple[Match, ...] = ()
    counts: tuple[Count, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: Evidence) -> Evidence:
        """Both, in order."""
        return Evidence(
            matches=self.matches + other.matches,
            counts=self.counts + other.counts,
            files=self.files + other.files,
            notes=self.notes + other.notes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Inputs (samples, ...) and the outputs of the integer-only network for them, as the real numbers its integers
    stand for."""

    inputs: Array = field(repr=False)
    outputs: Array = field(repr=False)

    def match(self, what: str, tool: str, outputs: Array, start: float, note: str = "") -> Match:
        """How many samples have any output that differs; `start`: when that began (`time.perf_counter`)."""
        wrong = (outputs.astype(np.float64).reshape(self.outputs.shape) != self.outputs).any(axis=1)
        seconds = time.perf_counter() - start
        return Match(what=what, tool=tool, inputs=len(wrong), mismatches=int(wrong.sum()), seconds=seconds, note=note)


def evidence_of(
    graph: Graph, subject: Subject, request: FirmwareRequest, stages: Stages, progress: Progress
) -> Evidence:
    """Every form of the quantised `graph` that was asked for. Raises InputError where one cannot be made or a tool that
    it needs is missing."""
    one = with_batch_size(graph, 1)
    reference, found = _reference(one, subject, request)
    forms = _forms(one, reference, request)
    asked = {
        "network": constants_digest(graph),
        "checked": request.checked,
        "reuse": request.reuse,
        "clock": request.clock_ns,
        "seed": request.seed,
    }
    for done, (name, path, make) in enumerate(forms):
        progress("firmware", done, len(forms))
        made, _ = stages.run(name, asked, _alone(make), Evidence, leaf=True, produces=path)
        found += made
    progress("firmware", len(forms), len(forms))
    return found


Form = tuple[str, Path, Callable[[], Evidence]]
"""A stage's name, what it leaves, and what makes it."""


def _forms(one: Graph, reference: Reference, request: FirmwareRequest) -> tuple[Form, ...]:
    forms: list[Form] = [
        ("qonnx", request.out / QONNX_FILE, lambda: _qonnx(one, reference, request.out / QONNX_FILE)),
    ]
    for settings in firmware_settings(request):
        folder = request.out / f"hls4ml-{settings.backend.lower()}-{settings.io}"
        forms.append((folder.name, folder, _hls4ml_maker(one, reference, folder, settings)))
    if request.rtl:
        forms.append((RTL_FOLDER, request.out / RTL_FOLDER, lambda: _rtl(one, reference, request.out / RTL_FOLDER)))
    return tuple(forms)


def _alone(make: Callable[[], Evidence]) -> Callable[[Path], tuple[Evidence, Arrays]]:
    return lambda _: (make(), {})


def firmware_settings(request: FirmwareRequest) -> tuple[Settings, ...]:
    """hls4ml's settings for every back end and way to pass data that was asked for."""
    from hls.firmware.settings import LayerSettings, Settings

    default = LayerSettings(reuse_factor=request.reuse, strategy=request.strategy)
    return tuple(
        Settings(backend=backend, io=io, clock_ns=request.clock_ns, default=default)  # type: ignore[arg-type]
        for backend in request.backends
        for io in request.io_types
    )


def _reference(one: Graph, subject: Subject, request: FirmwareRequest) -> tuple[Reference, Evidence]:
    """The integer-only network's answers, and the quantised graph's own beside them."""
    from hls.firmware.equality import executed
    from hls.quantise.integer_form import integer_form, run

    inputs, what = _inputs(subject, request.checked, request.seed)
    form = integer_form(one)
    reference = Reference(inputs=inputs, outputs=form.output_scale * run(form, inputs))
    start = time.perf_counter()
    match = reference.match("graph executor", f"numpy {version('numpy')}", executed(one, inputs), start)
    return reference, Evidence(matches=(match,), notes=(f"Compared: {what}.",) if what else ())


def _inputs(subject: Subject, wanted: int, seed: int) -> tuple[Array, str]:
    """`wanted` inputs: the test's, then the others; where the data are fewer, random ones between the features' least
    and most; and, then, what they are in words."""
    real = np.concatenate([split.inputs for split in (subject.test, subject.validation, subject.train)])
    if len(real) >= wanted:
        return real[:wanted], ""
    low, high = real.min(axis=0), real.max(axis=0)
    drawn = np.random.default_rng(seed).uniform(low, high, (wanted - len(real), *real.shape[1:])).astype(np.float32)
    words = f"{len(real):,} samples of the data and {len(drawn):,} random inputs within their range"
    return np.concatenate([real, drawn]), words


def _qonnx(one: Graph, reference: Reference, path: Path) -> Evidence:
    from hls.qonnx.execution import executed_by_qonnx
    from hls.qonnx.export import export_qonnx

    export_qonnx(one, path)
    start = time.perf_counter()
    outputs = executed_by_qonnx(path, reference.inputs)
    match = reference.match("QONNX executor", f"qonnx {version('qonnx')}", outputs, start)
    return Evidence(matches=(match,), files=((path.name, "the network as QONNX"),))


def _hls4ml_maker(one: Graph, reference: Reference, folder: Path, settings: Settings) -> Callable[[], Evidence]:
    return lambda: _hls4ml(one, reference, folder, settings)


def _hls4ml(one: Graph, reference: Reference, folder: Path, settings: Settings) -> Evidence:
    from hls.firmware.project import compile_project, emulate, write_project
    from hls.firmware.settings import BACKENDS

    shutil.rmtree(folder, ignore_errors=True)
    start = time.perf_counter()
    project = write_project(one, folder, settings)
    files = ((f"{folder.name}/", f"hls4ml project for {settings.backend}, {settings.io}"),)
    emulation = BACKENDS[settings.backend].emulation
    if emulation != "g++":
        note = f"{settings.backend}: the project is written; emulating it needs {emulation}, so it was not compared."
        return Evidence(files=files, notes=(note,))
    compile_project(project)
    what = f"hls4ml {settings.backend}, {settings.io}"
    tool = f"hls4ml {version('hls4ml')}, g++"
    return Evidence(matches=(reference.match(what, tool, emulate(project, reference.inputs), start),), files=files)


def _rtl(one: Graph, reference: Reference, folder: Path) -> Evidence:
    from hls.rtl.simulate import simulate
    from hls.rtl.trace import quantised_inputs, trace
    from hls.rtl.write import write_rtl

    (feed,), (output,) = one.inputs, one.outputs
    start = time.perf_counter()
    project = write_rtl(trace(one), folder)
    seen = simulate(
        project, quantised_inputs(one, {feed: reference.inputs}), {output: reference.outputs.astype(np.float32)}
    )
    match = reference.match("Verilog, every clock edge", seen.tool, seen.outputs[output], start, seen.first_mismatch)
    estimate = f"{project.tool}, its own estimate"
    return Evidence(
        matches=(replace(match, mismatches=max(match.mismatches, seen.mismatches)),),
        counts=(
            *_cycles("latency", seen.latency_cycles, seen.tool),
            *_cycles("initiation interval", seen.interval_cycles, seen.tool),
            Count(what="LUT", value=round(project.estimated_luts), unit="", tool=estimate, measured=False),
            Count(what="FF", value=project.estimated_flip_flops, unit="", tool=estimate, measured=False),
        ),
        files=((f"{folder.name}/", f"Verilog of {project.stages} pipeline stages, by {project.tool}"),),
    )


def _cycles(what: str, value: int | None, tool: str) -> tuple[Count, ...]:
    """A measured number of cycles; none where no pulse could be seen in the simulation."""
    return () if value is None else (Count(what=what, value=value, unit="cycles", tool=tool, measured=True),)
