"""`systolic faults`: from a quantised network (or a float one, quantised here) and labelled data to a fault study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hls.allocation.network import quantisable
from hls.faults.study import FaultStudy, fault_study
from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.ops.quantisation import Quant
from model_ir.passes.logits import to_logits
from model_ir.passes.pipeline import run_passes
from systolic.labelled_data import labels_of, only_input, standardised
from systolic.network import NetworkRequest, load_network
from systolic.pipeline import Progress
from workloads.labelled_data import read_arrays

DEFAULT_ROWS = 2000
DEFAULT_BITS = 8
MOST_FLIPS = 50_000
"""Of more bits, as many are drawn unless `flips` says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultsRequest:
    """What was asked: network, data, how many rows and flips (None: `DEFAULT_ROWS`, `MOST_FLIPS`), and the bits that a
    float network's weights and activations get (None: `DEFAULT_BITS`)."""

    network: NetworkRequest
    data: Path
    standardise: bool = False
    rows: int | None = None
    flips: int | None = None
    bits: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultsReport:
    """The study, and what was assumed."""

    study: FaultStudy
    notes: tuple[str, ...] = ()


def faults_job(request: FaultsRequest, progress: Progress) -> FaultsReport:
    """Flip bits and rank them. Raises InputError for unusable data, networks and options."""
    loaded = load_network(request.network)
    is_float = not any(isinstance(op, Quant) for op in loaded.ops)
    if not is_float and request.bits is not None:
        raise InputError("--bits", "are for float networks; this one is quantised", value=request.bits)
    graph = to_logits(run_passes(loaded) if is_float else loaded)
    all_inputs, all_labels, rows = _data(request, graph)
    inputs, labels = all_inputs[:rows], all_labels[:rows]
    # Scores that have not seen the rows they are judged on: the next ones, where the file has as many.
    unseen = slice(rows, 2 * rows) if len(all_labels) >= 2 * rows else slice(rows)
    notes: tuple[str, ...] = ()
    if len(all_labels) < 2 * rows:
        notes = ("the scores' derivatives are taken on the rows that measure the damage: the file has no others",)
    if is_float:
        bits = request.bits or DEFAULT_BITS
        graph = _quantised(graph, inputs, bits)
        notes += (f"a float network: weights and activations at {bits} bits, fixed point, calibrated on these rows",)
    study = fault_study(
        graph,
        inputs,
        labels,
        most_flips=request.flips or MOST_FLIPS,
        derivative_inputs=all_inputs[unseen],
        derivative_labels=all_labels[unseen],
        seed=request.seed,
        progress=lambda done, total: progress("flips", done, total),
    )
    return FaultsReport(study=study, notes=notes)


def _quantised(graph: Graph, inputs: npt.NDArray[np.float32], bits: int) -> Graph:
    from hls.quantise.calibrate import calibrated
    from hls.quantise.insert import quantised

    return quantised(graph, calibrated(graph, inputs, dict.fromkeys(quantisable(graph).variables, bits)))


def _data(request: FaultsRequest, graph: Graph) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32], int]:
    """All rows of the file, and how many of them measure."""
    where, arrays = str(request.data), read_arrays(request.data)
    labels, values = labels_of(request.data, arrays), only_input(request.data, arrays, graph.inputs[0])
    rows = min(len(labels), DEFAULT_ROWS) if request.rows is None else request.rows
    if not 0 < rows <= len(labels):
        raise InputError(where, "has too few rows", value=len(labels), limit=f"at least {max(rows, 1)}")
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"{where}: labels", "must be whole numbers", value=labels.dtype)
    chosen = standardised(values) if request.standardise else values
    return chosen.astype(np.float32), labels.astype(np.int32), rows
