"""One run from a trained network to verified firmware, as numbers: what a report shows and `firmware.json` holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import Literal

Method = Literal["float", "uniform", "squared error", "Hessian-aware", "as given"]
"""How a design's bits were chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Right answers over samples that neither training nor any choice has seen."""

    right: int
    samples: int

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return self.right / self.samples

    @property
    def sigma(self) -> float:
        """Binomial standard error of the accuracy."""
        return sqrt(self.accuracy * (1 - self.accuracy) / self.samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorRow:
    """A weight or activation: Hessian trace of the loss with its standard error, `omega` by bits, and the bits that
    the chosen design has."""

    name: str
    kind: Literal["weight", "activation"]
    elements: int
    trace: float
    standard_error: float
    probes: int
    omega: Mapping[int, float]
    bits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """The network at one choice of bits: what it costs and how often it is right.

    `lut_range` is the interval that the estimator states about `luts`; both are None where it cannot say.
    `average_bits` is the mean over the weights.
    """

    name: str
    method: Method
    retrained: bool
    bits: Mapping[str, int] = field(repr=False)
    average_bits: float
    bops: float
    size_bytes: float
    validation: Score
    test: Score
    luts: float | None = None
    lut_range: tuple[float, float] | None = None
    latency_cycles: int | None = None
    on_front: bool = False
    """Whether no other design of this run has fewer BOPs and a better validation score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The integer program's answer about the chosen bits."""

    measure: str
    solver: str
    status: str
    objective: float
    bound: float
    seconds: float
    budgets: tuple[tuple[str, float, float, str], ...]
    """Name, what is spent, limit and unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Outputs of one execution against the integer reference: `inputs` compared, how many of them differ."""

    what: str
    tool: str
    inputs: int
    mismatches: int
    seconds: float
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """One number of the hardware, and which tool says so; `interval` where it is an estimate."""

    what: str
    value: float
    unit: str
    tool: str
    measured: bool
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRanking:
    """How well a score foresees what a flipped weight bit costs: Spearman's correlation with measured damage."""

    score: str
    spearman: float
    sigma: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """With the `protected` bits that a ranking puts first in triplicate: the share of all damage that is left, and what
    the voters take."""

    protected: int
    damage_left: float
    voter_luts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Every flipped bit of the stored constants, or `flips` drawn of `bits`: how well scores rank them, and what
    protecting the first of a ranking leaves, by ranking; the worst bits: where, which bit, loss (nats) that it adds."""

    flips: int
    bits: int
    samples: int
    rankings: tuple[FaultRanking, ...]
    curves: tuple[tuple[str, tuple[Protection, ...]], ...]
    worst: tuple[tuple[str, int, float], ...]

    @property
    def exhaustive(self) -> bool:
        """Whether every bit was flipped."""
        return self.flips == self.bits


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareRun:
    """Everything a run found. A part that was not asked for, or whose tool is missing, is empty; `notes` says why."""

    schema: int = 1
    name: str
    origin: str
    data: str
    classes: tuple[str, ...]
    seed: int
    tensors: tuple[TensorRow, ...]
    designs: tuple[Design, ...]
    chosen: str
    proof: Proof | None
    matches: tuple[Match, ...] = ()
    counts: tuple[Count, ...] = ()
    faults: Faults | None = None
    stages: tuple[tuple[str, float, bool], ...] = ()
    """Name, seconds, and whether it was taken over from an earlier run."""
    versions: Mapping[str, str] = field(default_factory=dict)
    files: tuple[tuple[str, str], ...] = ()
    """What lies in the run folder: path and what it is."""
    notes: tuple[str, ...] = ()

    @property
    def design(self) -> Design:
        """The design that became firmware."""
        return next(design for design in self.designs if design.name == self.chosen)

    @property
    def mismatches(self) -> int:
        """All outputs that differ from the reference."""
        return sum(match.mismatches for match in self.matches)
