"""The 16 features of a jet in plain Python, slowly, from the definitions in the papers that `workloads.jets.features`
names; written apart from it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import combinations

Particle = tuple[float, float, float, float]
"""Transverse momentum in GeV, pseudorapidity, azimuth, mass in GeV."""


class Momentum:
    """A four-momentum, and the particles (by number) in it."""

    def __init__(self, px: float, py: float, pz: float, energy: float, members: frozenset[int]) -> None:
        self.px, self.py, self.pz, self.energy, self.members = px, py, pz, energy, members

    def __add__(self, other: Momentum) -> Momentum:
        return Momentum(
            self.px + other.px,
            self.py + other.py,
            self.pz + other.pz,
            self.energy + other.energy,
            self.members | other.members,
        )

    @property
    def pt(self) -> float:
        return math.sqrt(self.px**2 + self.py**2)

    @property
    def mass(self) -> float:
        return math.sqrt(max(0.0, self.energy**2 - self.px**2 - self.py**2 - self.pz**2))

    def distance(self, other: Momentum) -> float:
        """Of rapidity 1/2 ln((E + pz) / (E - pz)) and azimuth."""
        rapidity, other_rapidity = (math.atanh(each.pz / each.energy) for each in (self, other))
        # The angle between the transverse momenta, from their cosine and sine.
        dot = self.px * other.px + self.py * other.py
        cross = self.px * other.py - self.py * other.px
        return math.hypot(rapidity - other_rapidity, math.atan2(cross, dot))


def momentum(particle: Particle, number: int) -> Momentum:
    pt, eta, azimuth, mass = particle
    pz = pt * math.sinh(eta)
    energy = math.sqrt(pt**2 + pz**2 + mass**2)
    return Momentum(pt * math.cos(azimuth), pt * math.sin(azimuth), pz, energy, frozenset([number]))


def mass_drop(particles: Iterable[Momentum], share: float) -> Momentum:
    """What is left of the jet: joined closest first, then taken apart again."""
    live = list(particles)
    history: dict[frozenset[int], tuple[Momentum, Momentum]] = {}
    while len(live) > 1:
        one, other = min(combinations(live, 2), key=lambda pair: pair[0].distance(pair[1]))
        joined = one + other
        history[joined.members] = (one, other)
        live = [each for each in live if each not in (one, other)] + [joined]
    (jet,) = live
    while jet.members in history:
        softer, harder = sorted(history[jet.members], key=lambda branch: branch.pt)
        if softer.pt > share * (softer.pt + harder.pt):
            break
        jet = harder
    return jet


def features(particles: list[Particle], share: float = 0.1) -> dict[str, float]:
    """By the names of the public data set."""
    everything = [momentum(particle, number) for number, particle in enumerate(particles)]
    jet = mass_drop(everything, share)
    kept = [everything[number] for number in sorted(jet.members)]
    total = sum(each.pt for each in kept)

    def pairs(b: float) -> float:
        return sum(i.pt * j.pt / total**2 * i.distance(j) ** b for i, j in combinations(kept, 2))

    def triples(smallest: int, b: float) -> float:
        """Over triples, the product of the so many smallest of their three distances."""
        result = 0.0
        for i, j, k in combinations(kept, 3):
            angles = sorted([i.distance(j), i.distance(k), j.distance(k)])
            result += i.pt * j.pt * k.pt / total**3 * math.prod(angles[:smallest]) ** b
        return result

    def ratio(top: float, bottom: float) -> float:
        return top / bottom if bottom else 0.0

    whole = sum(particle[0] for particle in particles)
    shares = [particle[0] / whole for particle in particles]
    found = {
        "zlogz": sum(z * math.log(z) for z in shares),
        "multiplicity": float(len(particles)),
        "mass_mmdt": jet.mass,
        "c1_b0_mmdt": pairs(0),
        "d2_a1_b1_mmdt": ratio(triples(3, 1), pairs(1) ** (3 * 1 / 1)),
        "d2_a1_b2_mmdt": ratio(triples(3, 1), pairs(2) ** (3 * 1 / 2)),
    }
    for b in (1, 2):
        found[f"c1_b{b}_mmdt"] = pairs(b)
        found[f"c2_b{b}_mmdt"] = ratio(triples(3, b), pairs(b) ** 2)
        found[f"d2_b{b}_mmdt"] = ratio(triples(3, b), pairs(b) ** 3)
        found[f"m2_b{b}_mmdt"] = ratio(triples(1, b), pairs(b))
        found[f"n2_b{b}_mmdt"] = ratio(triples(2, b), pairs(b) ** 2)
    return found
