"""Hard processes as Les Houches event files: Pythia makes the collision of two partons and nothing after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from model_ir.errors import InputError
from workloads.jets.settings import BEAMS, COMMON, HARD, ON_SHELL

# Two protons of 6.5 TeV; events of weight 1 (strategy 3) of one process with a cross-section that nobody reads.
HEADER = '<LesHouchesEvents version="1.0">\n<init>\n 2212 2212 6.5e3 6.5e3 0 0 0 0 3 1\n 1.0 0.1 1.0 9999\n</init>\n'
INCOMING, OUTGOING = (3, 4), (5, 6)
"""Places of the colliding partons and of what they become in Pythia's record of the process."""


def started_pythia(settings: tuple[str, ...], seed: int) -> Any:
    """Pythia, quiet, with these settings. Raises InputError where it refuses one or does not start."""
    import pythia8mc

    pythia = pythia8mc.Pythia("", False)
    for setting in (*COMMON, f"Random:seed = {seed}", *settings):
        if not pythia.readString(setting):
            raise InputError("pythia", "refuses a setting", value=setting)
    if not pythia.init():
        raise InputError("pythia", "does not start", value="; ".join(settings))
    return pythia


def write_hard_events(path: Path, label: str, count: int, seed: int) -> None:
    """`count` collisions into two partons of class `label` as the file `path`."""
    pythia = started_pythia((*BEAMS, *ON_SHELL, *HARD[label]), seed)
    with path.open("w", encoding="ascii") as file:
        file.write(HEADER)
        written = 0
        while written < count:
            if pythia.next():
                file.write(_event(pythia))
                written += 1
        file.write("</LesHouchesEvents>\n")


def _event(pythia: Any) -> str:
    """The event block: scale and couplings, then a line a parton (Alwall et al., hep-ph/0609017, section 2)."""
    info = pythia.infoPython()
    lines = [f"<event>\n 4 9999 1.0 {info.QFac():.8e} {info.alphaEM():.8e} {info.alphaS():.8e}"]
    for place in (*INCOMING, *OUTGOING):
        parton = pythia.process[place]
        status, mothers = (-1, "0 0") if place in INCOMING else (1, "1 2")
        momentum = (parton.px(), parton.py(), parton.pz(), parton.e(), parton.m())
        numbers = " ".join(f"{value:.11e}" for value in momentum)
        # Produced in the collision itself (lifetime 0), spin unknown (9).
        lines.append(f" {parton.id()} {status} {mothers} {parton.col()} {parton.acol()} {numbers} 0. 9.")
    return "\n".join(lines) + "\n</event>\n"
