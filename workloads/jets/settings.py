"""What is simulated: Pythia's settings, and which jets are taken.

The chain is that of a matrix-element generator and a shower: the hard process alone at leading order, W, Z and t
undecayed, handed over as a Les Houches event file (Alwall et al., hep-ph/0609017); then decays, showers, multiple
interactions and hadronisation in the default (Monash) tune (Bierlich et al., arXiv 2203.11601). Setting names are those
of Pythia's manual.
"""

from __future__ import annotations

from collections.abc import Mapping

HARD: Mapping[str, tuple[str, ...]] = {
    "gluon": ("HardQCD:gg2gg = on", "HardQCD:qqbar2gg = on"),
    "quark": ("HardQCD:qq2qq = on", "HardQCD:qqbar2qqbarNew = on", "HardQCD:gg2qqbar = on"),
    "top": ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on"),
    "W": ("WeakDoubleBoson:ffbar2WW = on",),
    # Without the photon; the process dies with 23:mayDecay = off, so decays are made and left out of the file.
    "Z": ("WeakDoubleBoson:ffbar2gmZgmZ = on", "WeakZ0:gmZmode = 2"),
}
"""The hard process of each class: both of its outgoing partons are of the class."""

BEAMS = ("Beams:eCM = 13000.", "PhaseSpace:pTHatMin = 980.", "PhaseSpace:pTHatMax = 1020.", "PartonLevel:all = off")
ON_SHELL = (
    "6:mayDecay = off",
    "24:mayDecay = off",
    *(f"{particle}:{setting}" for particle in (6, 23, 24) for setting in ("doForceWidth = on", "mWidth = 0.01")),
)
"""As an undecayed event file has them: on the mass shell."""
DECAYS = ("23:onMode = off", "23:onIfAny = 1 2 3 4 5", "24:onMode = off", "24:onIfAny = 1 2 3 4 5")
"""W and Z to quarks, also those of top quarks."""
COMMON = ("Print:quiet = on", "Random:setSeed = on")
LARGEST_SEED = 900_000_000
"""Of Pythia's generator."""

RADIUS = 0.4
PT_GEV = (800.0, 1200.0)
LARGEST_ETA = 2.5
MATCHED = 0.3
"""Distance to a hard parton within which a jet is its jet."""
CLUSTERED_GEV = 500.0
"""Jets below are not kept by the clustering."""
SOFT_DROP = 0.1
"""Share of the momentum that the softer branch must have (beta = 0: the modified mass drop)."""
