"""What a choice of bits costs, by several measures behind one seam: a question in, cost by part and bits out.

The second-order measures multiply a curvature of the part's own block of the Hessian with the squared rounding error.
A new measure is a function and a line of MEASURES.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from hls.parts import Part
from hls.sensitivity.eigen import top_eigenvalues
from hls.sensitivity.rounding import Shift, shift_of, squared_error
from hls.sensitivity.surface import Surface
from hls.sensitivity.trace import PYHESSIAN, Estimator, Progress, Stopping, Traces, hessian_traces
from model_ir.errors import InputError

Costs = dict[str, dict[int, float]]
"""Cost by part name and bits, as the allocation takes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a measure is asked: the loss, the parts and the bits that each may get.

    `range_groups`: runs of a weight's channels with a range of their own. The rest is for measures that sample or
    iterate.
    """

    surface: Surface
    parts: tuple[Part, ...]
    bits: tuple[int, ...]
    range_groups: int = 1
    estimator: Estimator = "separate"
    stopping: Stopping = PYHESSIAN
    seed: int = 0

    def shift(self, part: Part) -> Shift:
        """How rounding shifts `part`."""
        groups = 1 if part.tensor in self.surface.varying else self.range_groups
        return shift_of(self.surface, part, groups=groups)


Measure = Callable[[Question], Costs]


def omega(question: Question) -> Costs:
    """Mean Hessian trace times squared error: Omega of HAWQ-V2 and V3 (arXiv 1911.03852, 2011.10680)."""
    return omega_of(question, traces_of(question))


def traces_of(question: Question, progress: Progress | None = None) -> Traces:
    """The traces that the question's Omega stands on."""
    return hessian_traces(
        question.surface,
        question.parts,
        estimator=question.estimator,
        stopping=question.stopping,
        seed=question.seed,
        progress=progress,
    )


def omega_of(question: Question, traces: Traces) -> Costs:
    """Omega by traces that are known. One that is estimated negative counts as zero: rounding noise does not raise the
    loss there."""
    return _weighted(question, {name: max(0.0, estimate.mean) for name, estimate in traces.estimates.items()})


def eigenvalue(question: Question) -> Costs:
    """Magnitude of the largest eigenvalue times squared error: Omega of HAWQ-V1 (Dong et al., arXiv 1905.03696)."""
    return _weighted(question, {part.name: abs(_largest(question, question.surface, part)) for part in question.parts})


def eigenvalue_spread(question: Question) -> Costs:
    """|mean| + standard deviation of the largest eigenvalue over the batches, times squared error: Q-BERT's measure
    (Shen et al., arXiv 1909.05840, section 3.1; its ranges by groups are the question's `range_groups`).

    Raises InputError for a single batch.
    """
    surface = question.surface
    if len(surface.batches) < 2:
        raise InputError("eigenvalue spread", "takes several batches of data", value=len(surface.batches))
    weights = {}
    for part in question.parts:
        found = [_largest(question, surface.on([place]), part) for place in range(len(surface.batches))]
        weights[part.name] = float(abs(np.mean(found)) + np.std(found))
    return _weighted(question, weights)


def plain_squared_error(question: Question) -> Costs:
    """Squared error alone."""
    return _weighted(question, {part.name: 1.0 for part in question.parts})


def loss_change(question: Question) -> Costs:
    """Change of the loss when this part alone is rounded."""
    surface, costs = question.surface, Costs()
    whole = surface.loss()
    for part in question.parts:
        shift = question.shift(part)
        costs[part.name] = {
            bits: surface.loss([{part.tensor: values} for values in shift(bits)]) - whole for bits in question.bits
        }
    return costs


MEASURES: Mapping[str, Measure] = {
    "omega": omega,
    "eigenvalue": eigenvalue,
    "eigenvalue-spread": eigenvalue_spread,
    "squared-error": plain_squared_error,
    "loss-change": loss_change,
}


def pairwise_loss_change(
    question: Question, pairs: Sequence[tuple[Part, Part]]
) -> dict[tuple[str, str], dict[tuple[int, int], float]]:
    """What rounding two parts together changes beyond what each changes alone, L(a, b) - L(a) - L(b) + L: the terms
    between layers, as tables of two variables' bits."""
    surface, whole = question.surface, question.surface.loss()
    alone = loss_change(question)
    shifts = {part.name: question.shift(part) for part in question.parts}
    tables = {}
    for one, other in pairs:
        table = {}
        for first, second in product(question.bits, question.bits):
            both = [
                _together(one, a, other, b)
                for a, b in zip(shifts[one.name](first), shifts[other.name](second), strict=True)
            ]
            separate = alone[one.name][first] + alone[other.name][second]
            table[first, second] = surface.loss(both) - whole - separate
        tables[one.name, other.name] = table
    return tables


def _together(one: Part, first: np.ndarray, other: Part, second: np.ndarray) -> dict[str, np.ndarray]:
    return {one.tensor: first + second} if one.tensor == other.tensor else {one.tensor: first, other.tensor: second}


def _weighted(question: Question, weights: Mapping[str, float]) -> Costs:
    costs = Costs()
    for part in question.parts:
        shift = question.shift(part)
        costs[part.name] = {bits: weights[part.name] * squared_error(shift(bits)) for bits in question.bits}
    return costs


def _largest(question: Question, surface: Surface, part: Part) -> float:
    """The eigenvalue of largest magnitude of the part's block; an activation's is the mean over the batches, whose
    blocks are apart."""
    if part.tensor in surface.varying and len(surface.batches) > 1:
        alone = [_largest(question, surface.on([place]), part) for place in range(len(surface.batches))]
        return float(np.mean(alone))
    size, apply = surface.operator([part])
    return top_eigenvalues(apply, size, seed=question.seed)[0].value
