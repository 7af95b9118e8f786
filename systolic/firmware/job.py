"""`systolic firmware`: a network and labelled data in, verified firmware and its evidence out, stage by stage.

subject -> float network -> sensitivities -> plans -> designs -> firmware of the chosen one -> evidence -> hardware ->
faults -> record and page
"""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from hls.allocation.costs import bit_operations
from model_ir.errors import InputError
from model_ir.graph import Graph
from reports.firmware import Design, FirmwareRun, Proof, TensorRow
from systolic.firmware.choice import Options, Plan, chosen_plan, options_of, swept_plans
from systolic.firmware.designs import Made, given_design, make_designs
from systolic.firmware.evidence import evidence_of
from systolic.firmware.faults import faults_of
from systolic.firmware.float_network import FloatResult, float_network
from systolic.firmware.hardware import estimates_of, synthesised
from systolic.firmware.rehearsal import rehearse
from systolic.firmware.request import FirmwareRequest
from systolic.firmware.sensitivity import Sensitivities, sensitivities
from systolic.firmware.stages import STAGES, Stages
from systolic.firmware.subject import Subject, subject_of
from systolic.pipeline import Progress
from systolic.text_file import write_text

RECORD, PAGE, QONNX = "firmware.json", "report.html", "model.onnx"
FLOAT_BITS = 32
TOOLS = ("systolic", "jax", "numpy", "ortools", "onnx", "qonnx", "hls4ml", "da4ml", "pyosys")


def firmware_job(request: FirmwareRequest, progress: Progress) -> tuple[Path, FirmwareRun]:
    """The page's path and the run. Raises InputError for bad input, folders and missing tools, BudgetError for budgets
    that nothing meets."""
    folder = _checked_folder(request.out)
    subject = subject_of(request)
    rehearse(subject, request)
    stages = Stages(folder=folder, key=_key(subject))
    design = _as_given(subject, request) if subject.quantised else _chosen(subject, request, stages, progress)
    network = design.made[0].graph
    evidence = evidence_of(network, subject, request, stages, progress)
    evidence += estimates_of(network, request) + synthesised(network, request, stages, progress)
    faults = faults_of(network, subject, request, stages, progress)
    run = FirmwareRun(
        name=subject.name,
        origin=subject.origin,
        data=subject.data,
        classes=subject.classes,
        seed=request.seed,
        tensors=design.tensors,
        designs=(*design.beside, *(each.design for each in design.made)),
        chosen=design.made[0].design.name,
        proof=design.proof,
        matches=evidence.matches,
        counts=evidence.counts,
        faults=faults,
        stages=tuple((record.name, record.seconds, record.resumed) for record in stages.records),
        versions=_versions(),
        files=(*evidence.files, (RECORD, "this run, as JSON"), (PAGE, "this page")),
        notes=(*design.notes, *evidence.notes),
    )
    return _written(folder, run), run


@dataclass(frozen=True, slots=True, kw_only=True)
class _Designed:
    """What becomes firmware, the first of `made`, with its evidence and the designs it is compared with."""

    made: tuple[Made, ...]
    beside: tuple[Design, ...] = ()
    tensors: tuple[TensorRow, ...] = ()
    proof: Proof | None = None
    notes: tuple[str, ...] = ()


def _chosen(subject: Subject, request: FirmwareRequest, stages: Stages, progress: Progress) -> _Designed:
    graph, trained = float_network(subject, request, stages, progress)
    found = sensitivities(graph, subject, request, stages, progress)
    options = options_of(graph, found, request)
    chosen = chosen_plan(options, request)
    plans = (chosen, *swept_plans(options, request)) if request.sweep else (chosen,)
    return _Designed(
        made=make_designs(graph, plans, options, subject, request, stages, progress),
        beside=(_float_design(options, trained),),
        tensors=_tensor_rows(found, chosen, graph),
        proof=chosen.proof,
    )


def _as_given(subject: Subject, request: FirmwareRequest) -> _Designed:
    note = "The file has quantisers of its own: its bits are kept, nothing is trained or chosen."
    return _Designed(made=(given_design(subject.graph, subject, request),), notes=(note,))


def _written(folder: Path, run: FirmwareRun) -> Path:
    from reports.firmware_page import render_firmware

    write_text(folder / RECORD, msgspec.json.format(msgspec.json.encode(run)).decode(), problem="cannot write the run")
    write_text(folder / PAGE, render_firmware(run))
    return folder / PAGE


def _checked_folder(folder: Path) -> Path:
    """`folder`, new, empty or an earlier run's, that can be written."""
    try:
        if folder.exists() and any(folder.iterdir()) and not (folder / STAGES).is_dir():
            raise InputError(str(folder), "exists and is not a firmware run's; choose another --out")
        (folder / STAGES).mkdir(parents=True, exist_ok=True)
        probe = folder / STAGES / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(str(folder), f"cannot write a run here: {error.strerror or error}") from error
    return folder


def _key(subject: Subject) -> str:
    """Everything that the first stage stands on: the code's version, the network and all samples."""
    sums = hashlib.sha256(f"{version('systolic')}{subject.name}{subject.graph.ops}".encode())
    for name in sorted(subject.graph.constants):
        sums.update(name.encode() + subject.graph.constants[name].tobytes())
    for split in (subject.train, subject.validation, subject.test):
        sums.update(split.inputs.tobytes() + split.labels.tobytes())
    return sums.hexdigest()


def _tensor_rows(found: Sensitivities, chosen: Plan, graph: Graph) -> tuple[TensorRow, ...]:
    return tuple(
        TensorRow(
            name=row.name,
            kind="weight" if row.name in graph.parameters else "activation",
            elements=row.elements,
            trace=row.trace,
            standard_error=row.standard_error,
            probes=row.probes,
            omega=row.omega,
            bits=chosen.bits[row.name],
        )
        for row in found.rows
    )


def _float_design(options: Options, trained: FloatResult) -> Design:
    bits = dict.fromkeys(options.choices, FLOAT_BITS)
    return Design(
        name="float",
        method="float",
        retrained=True,
        bits=bits,
        average_bits=FLOAT_BITS,
        bops=bit_operations(options.products, {}, fixed=bits).of({}),
        size_bytes=sum(options.elements.values()) * FLOAT_BITS / 8,
        validation=trained.validation,
        test=trained.test,
    )


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in TOOLS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
