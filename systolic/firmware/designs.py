"""Designs made of plans: quantised, retrained where asked, scored and estimated, each a stage of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hls.allocation.costs import bit_operations
from hls.allocation.network import quantisable
from hls.quantise.calibrate import calibrated
from hls.quantise.insert import quantised, without_quants
from hls.quantise.size import bits_of, weight_bits
from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.passes.batch_size import with_batch_size
from reports.firmware import Design, Score
from systolic.firmware.answers import score_of
from systolic.firmware.choice import Options, Plan, average_bits
from systolic.firmware.estimates import firmware_estimate
from systolic.firmware.request import FirmwareRequest
from systolic.firmware.sensitivity import CALIBRATION_SAMPLES
from systolic.firmware.stages import Arrays, Stages
from systolic.firmware.subject import Subject
from systolic.pipeline import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A design and the quantised graph that it is, over the subject's batch."""

    design: Design
    graph: Graph = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scores:
    validation: Score
    test: Score


def make_designs(
    graph: Graph,
    plans: Sequence[Plan],
    options: Options,
    subject: Subject,
    request: FirmwareRequest,
    stages: Stages,
    progress: Progress,
) -> tuple[Made, ...]:
    """All `plans` of the float `graph`. Raises InputError for operators that cannot be quantised, before anything is
    trained."""
    made = []
    for done, plan in enumerate(plans):
        progress("designs", done, len(plans))
        made.append(_make(graph, plan, options, subject, request, stages, progress))
    progress("designs", len(plans), len(plans))
    return _with_front(made)


def given_design(graph: Graph, subject: Subject, request: FirmwareRequest) -> Made:
    """A network that came with quantisers, as it is. Raises InputError for bits or operators that cannot be counted."""
    bits = bits_of(graph)
    plain = with_batch_size(without_quants(graph), 1)
    known = quantisable(plain)
    missing = [name for name in known.variables if name not in bits]
    if missing:
        raise InputError(subject.origin, "reads tensors that no quantiser rounds", value=", ".join(missing))
    design = Design(
        name="the file's own bits",
        method="as given",
        retrained=True,
        bits=bits,
        average_bits=weight_bits(graph) / sum(known.elements.values()),
        bops=bit_operations(known.products, {}, fixed=bits).of({}),
        size_bytes=weight_bits(graph) / 8,
        validation=score_of(graph, subject.validation),
        test=score_of(graph, subject.test),
        on_front=True,
    )
    return Made(design=_estimated(design, graph, request), graph=graph)


def _make(
    graph: Graph,
    plan: Plan,
    options: Options,
    subject: Subject,
    request: FirmwareRequest,
    stages: Stages,
    progress: Progress,
) -> Made:
    rounded = rounded_network(graph, plan, subject)

    def make(work: Path) -> tuple[_Scores, Arrays]:
        found = _retrained(rounded, subject, request, work, progress) if plan.retrained else rounded
        scores = _Scores(validation=score_of(found, subject.validation), test=score_of(found, subject.test))
        return scores, dict(found.constants)

    asked = {"bits": plan.bits, "retrained": plan.retrained and request.retraining_epochs, "seed": request.seed}
    scores, constants = stages.run(f"design {plan.name}", asked, make, _Scores, leaf=True)
    network = replace(rounded, constants=constants)
    design = Design(
        name=plan.name,
        method=plan.method,
        retrained=plan.retrained,
        bits=plan.bits,
        average_bits=average_bits(options, plan.bits),
        bops=plan.bops,
        size_bytes=plan.size_bytes,
        validation=scores.validation,
        test=scores.test,
    )
    return Made(design=_estimated(design, network, request), graph=network)


def rounded_network(graph: Graph, plan: Plan, subject: Subject) -> Graph:
    """`graph` with quantisers of the plan's bits whose clips fit training samples."""
    grids = calibrated(graph, subject.train.inputs[:CALIBRATION_SAMPLES], plan.bits)
    return quantised(graph, grids)


def _retrained(rounded: Graph, subject: Subject, request: FirmwareRequest, work: Path, progress: Progress) -> Graph:
    from hls.retraining.retrain import RetrainingRecipe, retrain

    return retrain(
        rounded,
        subject.train.inputs,
        subject.train.labels,
        RetrainingRecipe(epochs=request.retraining_epochs, seed=request.seed, keep="best"),
        validation=(subject.validation.inputs, subject.validation.labels),
        resume=work,
        progress=lambda done, total: progress("retraining", done, total),
    ).graph


def _estimated(design: Design, network: Graph, request: FirmwareRequest) -> Design:
    found = firmware_estimate(network, request)
    return replace(
        design,
        luts=found.lut.value,
        lut_range=(found.lut.low, found.lut.high),
        latency_cycles=round(found.latency_cycles.value),
    )


def _with_front(made: Sequence[Made]) -> tuple[Made, ...]:
    """Mark what no other design beats in both BOPs and validation."""
    designs = [each.design for each in made]
    return tuple(
        replace(
            each,
            design=replace(
                each.design,
                on_front=not any(
                    other.bops <= each.design.bops
                    and other.validation.right >= each.design.validation.right
                    and (other.bops, -other.validation.right) != (each.design.bops, -each.design.validation.right)
                    for other in designs
                ),
            ),
        )
        for each in made
    )
