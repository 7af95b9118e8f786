"""How near a simulation came to measurements: one row a stream, and what a family of them adds up to. Numbers only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

ACCEPTED_WITHIN_CYCLES: Final = 8


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a family's errors, as fractions of the measured cycles, must not exceed; None for what is not bounded."""

    mean: float
    p95: float | None
    worst: float | None


EXACT: Final = Bounds(0.0, 0.0, 0.0)
STREAM_BOUNDS: Final = Bounds(0.005, 0.02, 0.05)
FAMILY_BOUNDS: Final = {
    "micro": EXACT,
    "chip_micro": Bounds(0.01, None, None),
    "chip_matmul": Bounds(0.01, None, None),
    "soc_matmul": Bounds(0.05, None, 0.10),
    "soc_conv": Bounds(0.05, None, 0.10),
}
"""Families of their own bounds; all others are held to STREAM_BOUNDS."""
ACCEPTED_NEAR_BOUND: Final = 0.95
"""Fraction of the commands that must be accepted within ACCEPTED_WITHIN_CYCLES of the measured cycle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FidelityRow:
    """One stream: cycles simulated and measured, and how the rest compares; None where nothing was measured.

    `accepted` counts the commands with a measured acceptance time, `accepted_near` those simulated within
    ACCEPTED_WITHIN_CYCLES of it; `traffic_exact` is whether all requests and bytes agree, `values_exact` whether the
    output's digest does. `departs` says where the stream first leaves the measured one, "" where that is not known;
    `refused` why it was not simulated, then without measured cycles and in no summary.
    """

    name: str
    family: str
    cycles: int
    measured_cycles: int | None
    accepted: int = 0
    accepted_near: int = 0
    traffic_exact: bool | None = None
    values_exact: bool | None = None
    departs: str = ""
    refused: str = ""

    @property
    def error(self) -> float | None:
        """(simulated - measured) / measured cycles."""
        return None if not self.measured_cycles else (self.cycles - self.measured_cycles) / self.measured_cycles


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilySummary:
    """Rows of one family: counts, and errors as fractions of the measured cycles; NaN or None where unmeasured."""

    family: str
    rows: int
    exact_rows: int
    mean_error: float
    p95_error: float
    worst_error: float
    accepted_near: float
    traffic_exact: tuple[int, int]
    values_exact: tuple[int, int]
    simulated_cycles: int


def summarise(rows: Sequence[FidelityRow]) -> tuple[FamilySummary, ...]:
    """One summary a family that has measured cycles, in the order the families first appear."""
    families: dict[str, list[FidelityRow]] = {}
    for row in rows:
        if row.error is not None:
            families.setdefault(row.family, []).append(row)
    return tuple(_summary(family, members) for family, members in families.items())


def _summary(family: str, rows: Sequence[FidelityRow]) -> FamilySummary:
    errors = np.abs([row.error for row in rows if row.error is not None])
    accepted = sum(row.accepted for row in rows)
    near = sum(row.accepted_near for row in rows)
    return FamilySummary(
        family=family,
        rows=len(rows),
        exact_rows=int(np.count_nonzero(errors == 0)),
        mean_error=float(errors.mean()),
        p95_error=float(np.percentile(errors, 95)),
        worst_error=float(errors.max()),
        accepted_near=near / accepted if accepted else float("nan"),
        traffic_exact=_share([row.traffic_exact for row in rows]),
        values_exact=_share([row.values_exact for row in rows]),
        simulated_cycles=sum(row.cycles for row in rows),
    )


def _share(flags: Sequence[bool | None]) -> tuple[int, int]:
    """(how many hold, how many were measured)."""
    known = [flag for flag in flags if flag is not None]
    return sum(known), len(known)
