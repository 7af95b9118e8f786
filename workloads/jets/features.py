"""The 16 features of a jet from its constituents.

Of the energy correlation functions of `workloads.jets.correlations`, over the groomed jet, `x_b1` with exponent 1:
    C1 = e2, C2 = 3e3 / e2^2 (Larkoski, Salam and Thaler, arXiv 1305.0007)
    D2 = 3e3 / e2^3, with two exponents 3e3(a) / e2(b)^(3 a / b) (Larkoski, Moult and Neill, arXiv 1409.6298)
    M2 = 1e3 / e2, N2 = 2e3 / e2^2 (Moult, Necib and Thaler, arXiv 1609.07483)
Ratios without a denominator, as of a jet that grooms to one particle, are 0. `zlogz` and `multiplicity` are of all
constituents.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from workloads.jets.correlations import correlations
from workloads.jets.grooming import directions, groomed
from workloads.jets.jets_file import FEATURES
from workloads.jets.settings import SOFT_DROP

Array = npt.NDArray[Any]


def jet_features(constituents: Array, offsets: Array) -> Array:
    """FEATURES, float32 (jets, 16), of ragged constituents (all, 4): transverse momentum in GeV, pseudorapidity,
    azimuth, mass in GeV; jet i owns rows `offsets[i]` to `offsets[i + 1]`, one at least."""
    particles = constituents.astype(np.float64)
    momenta = four_momenta(particles)
    rows = np.empty((len(offsets) - 1, len(FEATURES)), np.float32)
    for jet, (start, end) in enumerate(pairwise(offsets)):
        pt, whole = particles[start:end, 0], momenta[start:end]
        shares = pt / pt.sum()
        kept = whole[groomed(whole, SOFT_DROP)]
        px, py, pz, energy = kept.sum(axis=0)
        mass = np.sqrt(max(0.0, energy**2 - px**2 - py**2 - pz**2))
        rows[jet] = np.sum(shares * np.log(shares)), *_ratios(kept), mass, end - start
    return rows


def four_momenta(particles: Array) -> Array:
    """(n, 4) of px, py, pz and energy in GeV, of (n, 4) transverse momentum, pseudorapidity, azimuth and mass."""
    pt, eta, azimuth, mass = particles.T
    energy = np.hypot(pt * np.cosh(eta), mass)
    return np.stack([pt * np.cos(azimuth), pt * np.sin(azimuth), pt * np.sinh(eta), energy], axis=1)


def _ratios(momenta: Array) -> tuple[float, ...]:
    """c1 to n2 in the order of FEATURES."""
    pt = np.hypot(momenta[:, 0], momenta[:, 1])
    rapidity, azimuth = directions(momenta).T
    turn = (azimuth[:, None] - azimuth + np.pi) % (2 * np.pi) - np.pi
    (c1_b0, c1_b1, c1_b2), triples = correlations(pt / pt.sum(), np.hypot(rapidity[:, None] - rapidity, turn))
    (all_b1, all_b2), (two_b1, two_b2), (one_b1, one_b2) = triples
    c2 = _ratio(all_b1, c1_b1**2), _ratio(all_b2, c1_b2**2)
    d2_b1 = _ratio(all_b1, c1_b1**3)
    d2 = d2_b1, _ratio(all_b2, c1_b2**3), d2_b1, _ratio(all_b1, c1_b2**1.5)
    m2 = _ratio(one_b1, c1_b1), _ratio(one_b2, c1_b2)
    n2 = _ratio(two_b1, c1_b1**2), _ratio(two_b2, c1_b2**2)
    return c1_b0, c1_b1, c1_b2, *c2, *d2, *m2, *n2


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 0 else 0.0
