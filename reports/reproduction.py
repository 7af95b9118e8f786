"""`ReproducedTable`: a published table, ours beside it, cell by cell, and the verdict on every cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

from reports.units import UNMEASURED

Kind = Literal["seen", "2nd", "derived", "measured"]
KINDS: Final[dict[Kind, str]] = {
    "seen": "read in the paper or its authors' repository",
    "2nd": "somebody else's transcription",
    "derived": "computed by us from what was seen",
    "measured": "measured by us with the tool itself",
}
Closeness = Literal["exact", "close", "near", "far", "skipped"]
CLOSENESS: Final[dict[Closeness, tuple[str, str]]] = {
    "exact": ("●", "within 0.5 %, the same at print precision, or better"),
    "close": ("◕", "within 5 %"),
    "near": ("◑", "within 25 %"),
    "far": ("○", "further off"),
    "skipped": (UNMEASURED, "not made here"),
}
"""Symbol and meaning of how near ours comes."""
_LIMITS: Final[tuple[tuple[Closeness, float], ...]] = (("exact", 0.005), ("close", 0.05), ("near", 0.25))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReproducedRow:
    """One printed number and ours. `ours` None: it was not made, for `reason`. `bound`: the largest relative difference
    that passes; None where the row is shown and not judged. `less_is_better`: an error or a cost, of which less is no
    difference to mind. `is_change`: percent more or less than before, of which what is left is compared (-78 is 22 % of
    before) and the direction must be the same."""

    what: str
    unit: str
    printed: str
    ours: float | None
    bound: float | None = None
    less_is_better: bool = False
    is_change: bool = False
    reason: str = ""

    @property
    def published(self) -> float:
        """The printed number."""
        return float(self.printed)

    @property
    def difference(self) -> float | None:
        """Ours over the published one, less 1; None where there is no number of ours or the published one is 0."""
        before = 100.0 if self.is_change else 0.0
        if self.ours is None or self.published + before == 0:
            return None
        return (self.ours + before) / (self.published + before) - 1

    @property
    def turned(self) -> bool:
        """Whether a change goes the other way than the published one."""
        return self.is_change and self.ours is not None and self.ours * self.published < 0

    @property
    def same_in_print(self) -> bool:
        """Whether ours, rounded or cut off, prints as the published number: within half its last digit, or less than
        one above it."""
        if self.ours is None:
            return False
        digit, sign = last_digit(self.printed), -1.0 if self.published < 0 else 1.0
        excess = (self.ours - self.published) * sign
        return -0.5 * digit * (1 + 1e-9) <= excess < digit * (1 - 1e-9)

    @property
    def closeness(self) -> Closeness:
        """How near ours comes, bound or not."""
        if self.ours is None:
            return "skipped"
        if self.same_in_print or (self.less_is_better and self.ours <= self.published):
            return "exact"
        off = abs(self.difference) if self.difference is not None and not self.turned else float("inf")
        return next((name for name, limit in _LIMITS if off <= limit), "far")

    @property
    def passes(self) -> bool | None:
        """Whether a judged row is within its bound or the same in print; None where it is not judged or not made."""
        if self.bound is None or self.ours is None:
            return None
        if self.turned or self.difference is None:
            return False
        return self.same_in_print or abs(self.difference) <= self.bound


@dataclass(frozen=True, kw_only=True)
class ReproducedTable:
    """One published table or figure: its rows, where it was printed, the command that makes ours, what differs."""

    id: str
    title: str
    source: str
    kind: Kind
    command: str
    rows: tuple[ReproducedRow, ...]
    note: str = ""
    seconds: float = 0.0

    @cached_property
    def judged(self) -> tuple[ReproducedRow, ...]:
        """The rows that have a bound and a number of ours."""
        return tuple(row for row in self.rows if row.passes is not None)

    @cached_property
    def outside(self) -> tuple[ReproducedRow, ...]:
        """The judged rows outside their bounds."""
        return tuple(row for row in self.rows if row.passes is False)


def outside(tables: Sequence[ReproducedTable]) -> tuple[ReproducedRow, ...]:
    """Every judged row of `tables` outside its bound."""
    return tuple(row for table in tables for row in table.outside)


def last_digit(printed: str) -> float:
    """What one of the last printed digit is worth: "22.42" 0.01, "1.91e-3" 1e-5, "224" 1."""
    mantissa, _, exponent = printed.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    return float(10.0 ** (int(exponent or 0) - decimals))
