"""Simulated jets before any feature is made of them: Pythia runs the collision, anti-kT finds the jets in it.

anti-kT is Cacciari, Salam and Soyez's (arXiv 0802.1189), in the copy of FastJet's core that Pythia carries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from math import hypot, pi
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError
from workloads.jets.hard_events import started_pythia, write_hard_events
from workloads.jets.jets_file import CLASSES, KINDS
from workloads.jets.settings import (
    CLUSTERED_GEV,
    DECAYS,
    LARGEST_ETA,
    LARGEST_SEED,
    MATCHED,
    PT_GEV,
    RADIUS,
)

Array = npt.NDArray[Any]
ANTI_KT, VISIBLE, TRUE_MASSES = -1, 2, 2
"""SlowJet's arguments: power, particles that a detector sees, with their masses."""
MARGIN = 0.2
"""Pseudorapidity up to which particles are clustered beyond the outermost jet: slow hadrons have more of it than of
rapidity."""
OTHER_KINDS = {22: KINDS.index("photon"), 11: KINDS.index("electron"), 13: KINDS.index("muon")}
NEUTRAL, CHARGED = KINDS.index("neutral hadron"), KINDS.index("charged hadron")
EVENTS_PER_JET, SPARE_EVENTS = 0.75, 10
"""Hard events asked for: two thirds of the partons give a jet that is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedJets:
    """Jets of one class. `constituents` float32 (all of them, 4): transverse momentum in GeV, pseudorapidity, azimuth,
    mass in GeV; `kinds` uint8 of KINDS; jet i owns `offsets[i]` to `offsets[i + 1]`; `axes` float32 (jets, 2):
    pseudorapidity and azimuth of each."""

    constituents: Array = field(repr=False)
    kinds: Array = field(repr=False)
    offsets: Array = field(repr=False)
    axes: Array = field(repr=False)


def simulate_class(label: str, count: int, seed: int, progress: Callable[[int], None]) -> SimulatedJets:
    """`count` jets of class `label` (of CLASSES); `progress` gets how many there are. Raises InputError where Pythia
    is missing or does not start."""
    if find_spec("pythia8mc") is None:
        raise InputError("jets", "needs pythia8mc, an extra of this distribution: pip install 'systolic[jets]'")
    seeds = np.random.SeedSequence([seed, CLASSES.index(label)])
    jets: list[tuple[list[tuple[float, ...]], tuple[float, float]]] = []
    with TemporaryDirectory(prefix="systolic-jets-") as folder:
        while len(jets) < count:
            (child,) = seeds.spawn(1)
            hard, soft = (int(word) % LARGEST_SEED + 1 for word in child.generate_state(2))
            path = Path(folder) / "hard.lhe"
            write_hard_events(path, label, int((count - len(jets)) * EVENTS_PER_JET) + SPARE_EVENTS, hard)
            for jet in _showered(path, soft):
                jets.append(jet)
                progress(len(jets))
                if len(jets) == count:
                    break
    rows = np.array([particle for particles, _ in jets for particle in particles], np.float64).reshape(-1, 5)
    return SimulatedJets(
        constituents=rows[:, :4].astype(np.float32),
        kinds=rows[:, 4].astype(np.uint8),
        offsets=np.cumsum([0, *(len(particles) for particles, _ in jets)]),
        axes=np.array([axis for _, axis in jets], np.float32).reshape(-1, 2),
    )


def _showered(path: Path, seed: int) -> Iterator[tuple[list[tuple[float, ...]], tuple[float, float]]]:
    """Constituents and axis of every jet that is taken from the hard events of a file."""
    import pythia8mc

    pythia = started_pythia(("Beams:frameType = 4", f"Beams:LHEF = {path}", *DECAYS), seed)
    finder = pythia8mc.SlowJet(ANTI_KT, RADIUS, CLUSTERED_GEV, LARGEST_ETA + RADIUS + MARGIN, VISIBLE, TRUE_MASSES)
    while True:
        if not pythia.next():
            if pythia.infoPython().atEndOfFile():
                return
            continue
        event = pythia.event
        finder.analyze(event)
        partons = [event[event[place].iBotCopyId()] for place in (5, 6)]
        directions = [(parton.eta(), parton.phi()) for parton in partons]
        for number in range(min(2, finder.sizeJet())):
            momentum = finder.p(number)
            axis = (momentum.eta(), momentum.phi())
            if not _taken(momentum.pT(), axis, directions):
                continue
            yield [_particle(event[place]) for place in finder.constituents(number)], axis


def _taken(pt_gev: float, axis: tuple[float, float], directions: list[tuple[float, float]]) -> bool:
    """Whether the jet lies in the window and near one of the hard partons."""
    least, most = PT_GEV
    near = min(hypot(axis[0] - eta, (axis[1] - phi + pi) % (2 * pi) - pi) for eta, phi in directions)
    return least < pt_gev < most and abs(axis[0]) <= LARGEST_ETA and near <= MATCHED


def _particle(particle: Any) -> tuple[float, ...]:
    """Transverse momentum, pseudorapidity, azimuth, mass and kind."""
    kind = OTHER_KINDS.get(abs(particle.id()), CHARGED if particle.isCharged() else NEUTRAL)
    return particle.pT(), particle.eta(), particle.phi(), particle.m(), kind
