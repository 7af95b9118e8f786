"""Where precision matters: Hessian traces of every weight and activation, and what rounding costs by bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hls.allocation.network import quantisable
from model_ir.graph import Graph
from model_ir.passes.batch_size import with_batch_size
from systolic.firmware.request import FirmwareRequest
from systolic.firmware.stages import Arrays, Stages
from systolic.firmware.subject import Subject
from systolic.pipeline import Progress

CALIBRATION_SAMPLES = 2000
"""Training samples that grids are fitted to."""
TRACE_ROWS, TRACE_BATCH = 2000, 100
"""Training samples that traces are taken on, and how many at once."""
LARGE_MACS, LARGE_BATCH = 1_000_000, 8
"""Batch of networks above so many multiply-accumulates a sample."""
RELATIVE_ERROR, MOST_PROBES = 0.05, 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """What rounding a tensor costs: trace of its Hessian block, and by bits the squared error on the grid that it would
    get, and Omega, mean trace times that (HAWQ-V2 and V3, arXiv 1911.03852 and 2011.10680)."""

    name: str
    elements: int
    trace: float
    standard_error: float
    probes: int
    omega: Mapping[int, float]
    squared_error: Mapping[int, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivities:
    """Of every activation and weight that gets bits, in that order."""

    rows: tuple[Sensitivity, ...]


def sensitivities(
    graph: Graph, subject: Subject, request: FirmwareRequest, stages: Stages, progress: Progress
) -> Sensitivities:
    """Traces and costs of rounding of all tensors of the float `graph`, on training samples."""

    def make(_: Path) -> tuple[Sensitivities, Arrays]:
        return _measured(graph, subject, request, progress), {}

    found, _ = stages.run("sensitivity", {"widths": request.widths, "seed": request.seed}, make, Sensitivities)
    return found


def _measured(graph: Graph, subject: Subject, request: FirmwareRequest, progress: Progress) -> Sensitivities:
    from hls.data import Data
    from hls.parts import whole
    from hls.quantise.error import omega, rounding_errors
    from hls.sensitivity.graph_loss import graph_surface
    from hls.sensitivity.measures import Question, traces_of
    from hls.sensitivity.trace import Stopping

    one = with_batch_size(graph, 1)
    batch = min(TRACE_BATCH if one.macs < LARGE_MACS else LARGE_BATCH, len(subject.train))
    rows = min(TRACE_ROWS, len(subject.train)) // batch * batch
    data = Data(inputs={graph.inputs[0]: subject.train.inputs[:rows]}, labels=subject.train.labels[:rows])
    sized = with_batch_size(graph, batch)
    surface = graph_surface(sized, {}, data)
    found = quantisable(one)
    question = Question(
        surface=surface,
        parts=(*(whole(name, surface.shapes[name]) for name in found.activations), *found.weights),
        bits=tuple(sorted({*request.widths, request.input_bits})),
        stopping=Stopping(relative_change=None, relative_error=RELATIVE_ERROR, least_probes=8, most_probes=MOST_PROBES),
        seed=request.seed,
    )
    traces = traces_of(question, lambda done, total: progress("traces", done, total))
    errors = rounding_errors(sized, subject.train.inputs[:CALIBRATION_SAMPLES], question.bits)
    costs = omega(errors, {name: estimate.mean for name, estimate in traces.estimates.items()})
    return Sensitivities(
        rows=tuple(
            Sensitivity(
                name=part.name,
                elements=part.elements,
                trace=traces.estimates[part.name].trace,
                standard_error=traces.estimates[part.name].standard_error,
                probes=traces.estimates[part.name].probes,
                omega=costs[part.name],
                squared_error=errors[part.name],
            )
            for part in question.parts
        )
    )
