"""The accelerator case study as numbers: what this suite finds beside what was printed, and what lies behind it.

Printed: Kim et al., Full Stack Optimization of Transformer Inference (arXiv 2302.14017v1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Unit = Literal["times", "share", "change", "number"]
"""How a row's numbers read: a gain of so many times, a share of a whole (0.96: 96 %), a change of something (-0.36:
36 % less, 0.83: 83 % more), a plain number."""
BOUND: Final = 0.25
"""The relative difference to which a step of the case study is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRow:
    """One printed number and ours. `gated`: whether a difference beyond `bound`, or another direction, is a failure;
    `reason` says why ours differs, or what the comparison rests on; `where` is the place in the paper."""

    step: str
    name: str
    ours: float
    published: float
    unit: Unit
    where: str
    gated: bool
    reason: str = ""
    bound: float = BOUND

    @property
    def difference(self) -> float:
        """Ours over theirs, less one; of a change, the factors that it stands for are compared (-0.78 is 0.22)."""
        if self.unit == "change":
            return (1 + self.ours) / (1 + self.published) - 1
        return self.ours / self.published - 1

    @property
    def same_direction(self) -> bool:
        """Whether a change or a gain goes the way that was printed."""
        if self.unit == "change":
            return (self.ours < 0) == (self.published < 0)
        return (self.ours < 1) == (self.published < 1) if self.unit == "times" else True

    @property
    def within(self) -> bool:
        """Whether the direction is right and the difference within the bound."""
        return self.same_direction and abs(self.difference) <= self.bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One kind of work of a breakdown: our cycles, and the share that was printed (None: not printed)."""

    name: str
    cycles: float
    published: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """Where the cycles of one machine's inference go."""

    name: str
    parts: tuple[Part, ...]

    @property
    def cycles(self) -> float:
        """All of them."""
        return sum(part.cycles for part in self.parts)

    def share(self, name: str) -> float:
        """Share of the part of that name."""
        return sum(part.cycles for part in self.parts if part.name == name) / self.cycles


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPoint:
    """One architecture: width, heads and width of the feed-forward network by layer; latency, energy and weights over
    the baseline's; whether no other that was found has more weights for less energy-delay product."""

    features: int
    heads: tuple[int, ...]
    hidden: tuple[int, ...]
    latency: float
    energy: float
    weights: float
    on_front: bool

    @property
    def edp(self) -> float:
        """Energy-delay product over the baseline's."""
        return self.latency * self.energy


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseStudy:
    """All rows in the order of the steps, and what lies behind them: breakdowns, areas (name, um2), architectures."""

    rows: tuple[CaseRow, ...]
    breakdowns: tuple[Breakdown, ...] = ()
    areas: tuple[tuple[str, float], ...] = ()
    architectures: tuple[SearchPoint, ...] = ()
    seconds: float = 0.0

    @property
    def failed(self) -> tuple[CaseRow, ...]:
        """Gated rows outside their bound."""
        return tuple(row for row in self.rows if row.gated and not row.within)
