"""`Solve`: what a solver says about its own answer. A noun only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Objective = Literal["cycles", "traffic"]
"""What is minimised first; the other one decides among equals."""

Status = Literal["optimal", "feasible"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Solve:
    """Answer and evidence of one solve, for every solver alike.

    `objective` and `bound` are what was minimised first and its proven lower bound, `tie_objective` and `tie_bound`
    what was minimised among its optima (cycles and bytes over the memory port, or bytes and cycles, by the chosen
    `Objective`). `gap` is (objective - bound) / objective. `status` is "optimal" when both are proven.
    """

    solver: str
    status: Status
    objective: int
    bound: int
    tie_objective: int
    tie_bound: int
    wall_seconds: float
    branches: int
    conflicts: int
    note: str = ""

    @property
    def gap(self) -> float:
        """Relative distance of the objective from its proven bound; 0 when proven."""
        return (self.objective - self.bound) / self.objective if self.objective else 0.0

    @property
    def tie_gap(self) -> float:
        """Relative distance of the second objective from its proven bound; 0 when proven."""
        return (self.tie_objective - self.tie_bound) / self.tie_objective if self.tie_objective else 0.0
