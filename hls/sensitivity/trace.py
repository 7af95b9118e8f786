"""Hessian traces of tensors and of groups of their channels by Hutchinson's estimator, each with its standard error.

With independent Rademacher entries E[v_i v_j] is 1 where i = j and else 0, so the part of v * (H v) that belongs to a
tensor has the trace of that tensor's diagonal block as its mean, whether v covers that tensor alone or all of them:
both estimators are unbiased.
"separate": v is zero outside one tensor at a time; the variance is twice the squared off-diagonal entries of the block.
"joint": one probe over all tensors, one Hessian-vector product for all blocks together; the squared entries between the
block and all others come on top. It pays where there are many tensors and little time (ResNet-50's 54 layers).
The Hessian of the mean loss is the mean over batches, and every batch has a probe of its own: again unbiased, and the
more batches, the smaller the variance. The standard error comes from the spread of the probes: it holds all of this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, sqrt
from typing import Literal

import jax
import numpy as np
import numpy.typing as npt

from hls.parts import Part, whole
from hls.sensitivity.surface import Surface
from model_ir.errors import InputError

Estimator = Literal["joint", "separate"]
Progress = Callable[[int, int], None]
"""(tensors done, tensors); a joint estimate is done all at once."""

_FLOOR = 1e-6
"""PyHessian adds this to the magnitude that a change is relative to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """When enough probes were drawn: every part's running mean moved by less than `relative_change` (PyHessian's rule,
    1e-3), and its standard error is below `relative_error` of it where that is given; at most `most_probes`.

    `least_probes` guards against stopping by chance: a standard error from 8 probes is itself known to a quarter.
    """

    relative_change: float | None = 1e-3
    relative_error: float | None = None
    least_probes: int = 8
    most_probes: int = 100


PYHESSIAN = Stopping()


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceEstimate:
    """`trace` of a part's block of the Hessian from so many `probes`, with the `standard_error` of that estimate;
    `converged` says that the stopping rule ended it and not the limit."""

    part: Part
    trace: float
    standard_error: float
    probes: int
    converged: bool

    @property
    def mean(self) -> float:
        """Trace over the number of elements: the mean curvature of one of them."""
        return self.trace / self.part.elements

    @property
    def relative_error(self) -> float:
        """Standard error over the magnitude of the trace."""
        return self.standard_error / abs(self.trace) if self.trace else (inf if self.standard_error else 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """Estimates by part name; `products` counts Hessian-vector products, each over all batches."""

    estimates: Mapping[str, TraceEstimate]
    products: int
    estimator: Estimator

    @property
    def converged(self) -> bool:
        """Whether every estimate is."""
        return all(estimate.converged for estimate in self.estimates.values())


def hessian_traces(
    surface: Surface,
    parts: Sequence[Part] | None = None,
    *,
    estimator: Estimator = "separate",
    stopping: Stopping = PYHESSIAN,
    seed: int = 0,
    progress: Progress | None = None,
) -> Traces:
    """Traces of `parts` (default: every tensor of `surface`) of the Hessian of the mean loss.

    Raises InputError for parts of one tensor along different axes and for fewer than two probes.
    """
    if not 2 <= stopping.least_probes <= stopping.most_probes:
        limit = f"from 2 to {stopping.most_probes}"
        raise InputError("probes", "a standard error takes two", value=stopping.least_probes, limit=limit)
    parts = tuple(parts) if parts is not None else tuple(whole(name, shape) for name, shape in surface.shapes.items())
    axes = _axes(parts)
    together = [tuple(axes)] if estimator == "joint" else [(name,) for name in axes]
    estimates: dict[str, TraceEstimate] = {}
    for done, tensors in enumerate(together):
        here = tuple(part for part in parts if part.tensor in tensors)
        samples, converged = _draw(surface, here, axes, tensors, stopping, seed)
        means, errors = samples.mean(axis=0), _standard_errors(samples)
        for part, mean, error in zip(here, means, errors, strict=True):
            estimates[part.name] = TraceEstimate(
                part=part,
                trace=float(mean),
                standard_error=float(error),
                probes=len(samples),
                converged=converged,
            )
        if progress is not None:
            progress(done + 1, len(together))
    products = sum(estimates[next(part.name for part in parts if part.tensor in one)].probes for one in together)
    return Traces(estimates={part.name: estimates[part.name] for part in parts}, products=products, estimator=estimator)


def _draw(
    surface: Surface,
    parts: tuple[Part, ...],
    axes: Mapping[str, int | None],
    tensors: tuple[str, ...],
    stopping: Stopping,
    seed: int,
) -> tuple[npt.NDArray[np.float64], bool]:
    """Probes over `tensors` until it is enough: (probe, part), and whether it was."""
    mask = dict.fromkeys(tensors, 1.0)
    drawn: list[list[float]] = []
    while len(drawn) < stopping.most_probes:
        forms = surface.forms(jax.random.fold_in(jax.random.key(seed), len(drawn)), mask, axes)
        drawn.append([_of_part(part, forms[part.tensor], axes[part.tensor]) for part in parts])
        if len(drawn) >= stopping.least_probes and _enough(np.array(drawn), stopping):
            return np.array(drawn), True
    return np.array(drawn), False


def _axes(parts: Sequence[Part]) -> dict[str, int | None]:
    """The axis along which each tensor's sums are kept apart, None for tensors that are not divided."""
    axes: dict[str, int | None] = {}
    for part in parts:
        axis = None if part.whole else part.axis
        if axes.setdefault(part.tensor, axis) != axis:
            raise InputError(f"parts of {part.tensor!r}", "lie along different axes")
    return axes


def _of_part(part: Part, form: npt.NDArray[np.float64], axis: int | None) -> float:
    return float(form if axis is None else form[part.start : part.stop].sum())


def _enough(samples: npt.NDArray[np.float64], stopping: Stopping) -> bool:
    means = samples.mean(axis=0)
    if stopping.relative_change is not None:
        moved = abs(means - samples[:-1].mean(axis=0)) / (abs(means) + _FLOOR)
        if (moved >= stopping.relative_change).any():
            return False
    if stopping.relative_error is not None:
        return bool((_standard_errors(samples) <= stopping.relative_error * abs(means)).all())
    return stopping.relative_change is not None


def _standard_errors(samples: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    errors: npt.NDArray[np.float64] = samples.std(axis=0, ddof=1) / sqrt(len(samples))
    return errors
