"""`fault_study`: damage of flipped bits, how every score ranks them, and what protection costs, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hls.extras import needs
from hls.faults.ranking import RankCorrelation, rank_correlation
from hls.faults.triplication import ProtectionPoint, protection_curve
from model_ir.errors import InputError
from model_ir.graph import Graph

Array = npt.NDArray[Any]
MEASURED = "measured damage"
"""The ranking that no score can beat."""

WORST = 20
"""Bits that a study names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstBit:
    """A bit: whose element's, its place from the lowest, what the stored integer is and becomes, what the flip does to
    loss (nats, with its standard error over the samples) and accuracy."""

    parameter: str
    element: tuple[int, ...]
    bit: int
    integer: int
    becomes: int
    loss_change: float
    loss_error: float
    accuracy_change: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorDamage:
    """Flips of one constant's bits: how many it has and how many were flipped, mean and worst change of the loss, and
    the mean by the bit's place, lowest first."""

    parameter: str
    bits: int
    flipped: int
    mean_loss_change: float
    worst_loss_change: float
    by_bit: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultStudy:
    """A campaign of `flipped` of `bits` stored bits over `samples` samples; `exhaustive`: all of them.

    `loss` and `accuracy` without a flip. `expected_loss_change`: mean over the bits, with the standard error that
    sampling the bits leaves (0 when exhaustive). By score: `correlations` with the change of the loss, and
    `size_correlations` with its size, whether a flip harms or, by chance, helps; `curves`, the ranking by measured
    damage among them. `derivative_samples` is what the scores saw.
    """

    network: str
    samples: int
    derivative_samples: int
    bits: int
    flipped: int
    loss: float
    accuracy: float
    expected_loss_change: float
    expected_error: float
    correlations: Mapping[str, RankCorrelation]
    size_correlations: Mapping[str, RankCorrelation]
    curves: Mapping[str, tuple[ProtectionPoint, ...]] = field(repr=False)
    tensors: tuple[TensorDamage, ...] = field(repr=False)
    worst: tuple[WorstBit, ...] = field(repr=False)

    @property
    def exhaustive(self) -> bool:
        """Whether every bit was flipped."""
        return self.flipped == self.bits

    @property
    def best_score(self) -> str:
        """The score whose ranking leaves least damage over all of its curve."""
        scores = [name for name in self.curves if name != MEASURED]
        return min(scores, key=lambda name: sum(point.remaining for point in self.curves[name]))


def fault_study(
    graph: Graph,
    inputs: Array,
    labels: Array,
    *,
    most_flips: int | None = None,
    derivative_inputs: Array | None = None,
    derivative_labels: Array | None = None,
    seed: int = 0,
    progress: Any = None,
) -> FaultStudy:
    """Flip the stored bits of a quantised classifier one at a time and set every score against the damage.

    `inputs` (samples, ...) and `labels` (samples,) measure it; derivatives are taken on `derivative_inputs` and
    `derivative_labels`, on the same samples where they are not given. Above `most_flips` bits, so many are drawn, each
    as likely as any other. Raises InputError where jax is missing, for data that do not fit and for a network without
    stored constants.
    """
    needs("jax", "jax")
    from hls.faults.inject import damage_of
    from hls.faults.scores import SCORES, derivatives_of, moves_of
    from hls.faults.sites import all_sites, drawn_sites, stored_constants

    if most_flips is not None and most_flips < 3:
        raise InputError("flips", "a ranking takes three", value=most_flips)
    constants = stored_constants(graph)
    every = all_sites(constants)
    sites = every if most_flips is None or most_flips >= len(every) else drawn_sites(every, most_flips, seed)
    damage = damage_of(graph, constants, sites, inputs, labels, progress=progress)
    if derivative_inputs is None or derivative_labels is None:
        derivative_inputs, derivative_labels = inputs, labels
    moves = moves_of(
        constants, sites, derivatives_of(graph, constants, derivative_inputs, derivative_labels, seed=seed)
    )
    scores = {name: score(moves) for name, score in SCORES.items()}
    drawn = len(sites) < len(every)
    spread = float(damage.loss.std(ddof=1) / np.sqrt(len(sites)) * np.sqrt(1 - len(sites) / len(every)))
    return FaultStudy(
        network=graph.name,
        samples=damage.samples,
        derivative_samples=len(derivative_labels),
        bits=len(every),
        flipped=len(sites),
        loss=damage.before[0],
        accuracy=damage.before[1],
        expected_loss_change=float(damage.loss.mean()),
        expected_error=spread if drawn else 0.0,
        correlations={name: rank_correlation(score, damage.loss, seed=seed) for name, score in scores.items()},
        size_correlations={
            name: rank_correlation(score, np.abs(damage.loss), seed=seed) for name, score in scores.items()
        },
        curves={
            name: protection_curve(score, damage.loss) for name, score in {MEASURED: damage.loss, **scores}.items()
        },
        tensors=_tensors(constants, sites, damage.loss),
        worst=_worst(constants, sites, damage),
    )


def _tensors(constants: Any, sites: Any, loss: Array) -> tuple[TensorDamage, ...]:
    rows = []
    for place, stored in enumerate(constants):
        mine = sites.constant == place
        if not mine.any():
            continue
        bits, changes = sites.bit[mine], loss[mine]
        rows.append(
            TensorDamage(
                parameter=stored.parameter,
                bits=stored.bits,
                flipped=int(mine.sum()),
                mean_loss_change=float(changes.mean()),
                worst_loss_change=float(changes.max()),
                by_bit=tuple(
                    float(changes[bits == bit].mean()) if (bits == bit).any() else 0.0
                    for bit in range(int(stored.widths.max()))
                ),
            )
        )
    return tuple(rows)


def _worst(constants: Any, sites: Any, damage: Any) -> tuple[WorstBit, ...]:
    rows = []
    for site in np.argsort(-damage.loss, kind="stable")[:WORST]:
        stored = constants[int(sites.constant[site])]
        element = int(sites.element[site])
        integer = int(stored.integers.ravel()[element])
        rows.append(
            WorstBit(
                parameter=stored.parameter,
                element=tuple(int(place) for place in np.unravel_index(element, stored.integers.shape)),
                bit=int(sites.bit[site]),
                integer=integer,
                becomes=integer + int(sites.step[site]),
                loss_change=float(damage.loss[site]),
                loss_error=float(damage.loss_error[site]),
                accuracy_change=float(damage.accuracy[site]),
            )
        )
    return tuple(rows)
