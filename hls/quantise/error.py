"""What rounding to the grids of a scheme costs: squared error of every variable at every number of bits.

With a Hessian's mean traces these make Omega for the very grids that a network will get (`omega`), where
`hls.sensitivity.measures` assumes symmetric ones over the whole range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hls.allocation.network import quantisable
from hls.quantise.calibrate import activation_grid, activation_samples, weight_grid
from hls.quantise.scheme import FIXED_POINT, Scheme
from model_ir.errors import InputError
from model_ir.graph import Graph

Array = npt.NDArray[Any]
Costs = dict[str, dict[int, float]]
"""Cost by variable and bits, as the allocation takes it."""


def rounding_errors(
    graph: Graph, inputs: Array, bits: Sequence[int], scheme: Scheme = FIXED_POINT, *, groups: int = 1
) -> Costs:
    """Squared error that rounding each variable of `quantisable(graph, groups=groups)` to `bits` adds: of a weight's
    whole part, of an activation summed over the graph's batch (the mean over `inputs`, (samples, ...)).

    Raises InputError as `calibrate.calibrated` does.
    """
    variables = quantisable(graph, groups=groups)
    samples = activation_samples(graph, inputs, variables.activations)
    costs: Costs = {}
    for name in variables.activations:
        values = samples[name]
        grids = {width: activation_grid(graph, name, values, width, scheme) for width in bits}
        elements = graph.tensors[name].elements
        costs[name] = {
            width: float(np.mean(np.square(grid.nearest(values) - values))) * elements for width, grid in grids.items()
        }
    for part in variables.weights:
        costs[part.name] = {}
        for width in bits:
            parts = {other.name: width for other in variables.weights if other.tensor == part.tensor}
            value = graph.constants[part.tensor].astype(np.float64)
            shift = weight_grid(graph, part.tensor, parts, scheme).nearest(value) - value
            costs[part.name][width] = float(np.sum(np.square(shift[part.index])))
    return costs


def omega(errors: Mapping[str, Mapping[int, float]], mean_traces: Mapping[str, float]) -> Costs:
    """Mean Hessian trace times squared error (HAWQ-V2 and V3, arXiv 1911.03852, 2011.10680); a trace that is estimated
    negative counts as zero. Raises InputError for a variable without a trace."""
    missing = [name for name in errors if name not in mean_traces]
    if missing:
        raise InputError("mean traces", "none for", value=", ".join(missing))
    return {
        name: {bits: max(0.0, mean_traces[name]) * error for bits, error in table.items()}
        for name, table in errors.items()
    }
