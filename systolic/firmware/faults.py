"""What a flipped bit of the stored weights does to the chosen design, and which scores foresee it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from model_ir.graph import Graph
from model_ir.passes.batch_size import with_batch_size
from reports.firmware import FaultRanking, Faults, Protection
from systolic.firmware.request import FirmwareRequest
from systolic.firmware.stages import Arrays, Stages, constants_digest
from systolic.firmware.subject import Subject
from systolic.pipeline import Progress

if TYPE_CHECKING:
    from hls.faults.study import FaultStudy

SAMPLES = 1000
"""Validation samples that a flip is measured on."""
MOST_FLIPS = 40_000
BATCH = 250


def faults_of(
    graph: Graph, subject: Subject, request: FirmwareRequest, stages: Stages, progress: Progress
) -> Faults | None:
    """Flip the bits of the quantised `graph`, all where there are no more than `MOST_FLIPS`; None if not asked for."""
    if not request.faults:
        return None

    def make(_: Path) -> tuple[Faults, Arrays]:
        from hls.faults.study import fault_study

        rows = min(SAMPLES, len(subject.validation))
        batch = min(BATCH, rows)
        rows = rows // batch * batch
        # Scores must not see the samples that measure the damage: they would foresee it too well.
        derived = min(rows, len(subject.train)) // batch * batch
        study = fault_study(
            with_batch_size(graph, batch),
            subject.validation.inputs[:rows],
            subject.validation.labels[:rows],
            most_flips=MOST_FLIPS,
            derivative_inputs=subject.train.inputs[:derived],
            derivative_labels=subject.train.labels[:derived],
            seed=request.seed,
            progress=lambda done, total: progress("faults", done, total),
        )
        return _shown(study), {}

    asked = {"network": constants_digest(graph), "seed": request.seed}
    found, _ = stages.run("faults", asked, make, Faults, leaf=True)
    return found


def _shown(study: FaultStudy) -> Faults:
    from hls.faults.study import MEASURED

    return Faults(
        flips=study.flipped,
        bits=study.bits,
        samples=study.samples,
        rankings=tuple(
            FaultRanking(score=name, spearman=found.rho, sigma=found.standard_error)
            for name, found in study.correlations.items()
        ),
        curves=tuple(
            (
                name,
                tuple(
                    Protection(protected=point.protected, damage_left=point.remaining, voter_luts=point.voter_luts)
                    for point in study.curves[name]
                ),
            )
            for name in (MEASURED, study.best_score)
        ),
        worst=tuple(
            (f"{bit.parameter}{list(bit.element)}: {bit.integer} to {bit.becomes}", bit.bit, bit.loss_change)
            for bit in study.worst
        ),
    )
