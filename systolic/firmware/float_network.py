"""The float network: trained here, or the file's own weights; and how often it is right."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from model_ir.graph import Graph
from model_ir.passes.logits import to_logits
from model_ir.passes.pipeline import run_passes
from reports.firmware import Score
from systolic.firmware.answers import score_of
from systolic.firmware.request import FirmwareRequest
from systolic.firmware.stages import Arrays, Stages
from systolic.firmware.subject import Subject
from systolic.pipeline import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatResult:
    """Mean training loss (nats) of every epoch, and scores."""

    losses: tuple[float, ...]
    validation: Score
    test: Score


def float_network(
    subject: Subject, request: FirmwareRequest, stages: Stages, progress: Progress
) -> tuple[Graph, FloatResult]:
    """The trained graph with batch norms folded, logits out. Raises InputError where jax is missing or training
    diverges."""

    def make(_: Path) -> tuple[FloatResult, Arrays]:
        values, losses = _trained(subject, request, progress)
        graph = _with(subject, values)
        result = FloatResult(
            losses=losses, validation=score_of(graph, subject.validation), test=score_of(graph, subject.test)
        )
        return result, values

    result, values = stages.run("float", {"epochs": request.epochs, "seed": request.seed}, make, FloatResult)
    return _with(subject, values), result


def _trained(subject: Subject, request: FirmwareRequest, progress: Progress) -> tuple[Arrays, tuple[float, ...]]:
    if subject.task is None:
        return {}, ()
    from hls.training import Recipe, train

    epochs = subject.task.epochs if request.epochs is None else request.epochs
    trained = train(
        subject.graph,
        subject.train.inputs,
        subject.train.labels,
        Recipe(epochs=epochs, learning_rate=subject.task.learning_rate, seed=request.seed),
        progress=lambda done, total: progress("training", done, total),
    )
    return dict(trained.values), trained.losses


def _with(subject: Subject, values: Arrays) -> Graph:
    from hls.training import with_values

    return to_logits(run_passes(with_values(subject.graph, values)))
