"""Labelled jets from nothing: simulate every class, make features and leading constituents, shuffle."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import pi
from typing import Any

import numpy as np
import numpy.typing as npt

from workloads.jets.features import jet_features
from workloads.jets.jets_file import CLASSES, CONSTITUENTS, FULL, Jets
from workloads.jets.simulated import SimulatedJets, simulate_class

Array = npt.NDArray[Any]


def generate_jets(count: int, seed: int, progress: Callable[[int, int], None] | None = None) -> Jets:
    """`count` jets, as many of each class as of any other or one more. `progress` gets jets made and in all.

    The same `count` and `seed` give the same jets with the same Pythia. Raises InputError where it is missing.
    """
    parts: list[Jets] = []
    for index, label in enumerate(CLASSES):
        before = sum(len(part.labels) for part in parts)

        def advance(made: int, before: int = before) -> None:
            if progress is not None:
                progress(before + made, count)

        share = count // len(CLASSES) + (index < count % len(CLASSES))
        parts.append(_described(simulate_class(label, share, seed, advance), index))
    order = np.random.default_rng(seed).permutation(count)
    return Jets(**{name: np.concatenate([getattr(part, name) for part in parts])[order] for name in FULL})


def _described(simulated: SimulatedJets, label: int) -> Jets:
    jets = len(simulated.axes)
    leading = np.zeros((4, jets, CONSTITUENTS), np.float32)
    for jet, (start, end) in enumerate(pairwise(simulated.offsets)):
        particles = simulated.constituents[start:end]
        order = np.argsort(-particles[:, 0], kind="stable")[:CONSTITUENTS]
        pt, eta, azimuth, _ = particles[order].T
        deta, dphi = eta - simulated.axes[jet, 0], (azimuth - simulated.axes[jet, 1] + pi) % (2 * pi) - pi
        leading[:, jet, : len(order)] = pt, deta, dphi, simulated.kinds[start:end][order]
    return Jets(
        features=jet_features(simulated.constituents, simulated.offsets),
        pt=leading[0],
        deta=leading[1],
        dphi=leading[2],
        kind=leading[3].astype(np.uint8),
        labels=np.full(jets, label, np.uint8),
    )
