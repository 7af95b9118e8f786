"""`Solve`: what a solver says about its own answer. A noun only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Objective = Literal["latency", "traffic", "energy", "energy_delay_product"]
"""What is minimised first. Among equals, latency is decided by traffic, every other by latency."""

SolverName = Literal["cp-sat", "highs"]

Status = Literal["optimal", "feasible"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Solve:
    """Answer and evidence of one solve, for every solver alike.

    `objective` and `bound` are what was minimised first, by `minimised`, and its proven lower bound; `tie_objective`
    and `tie_bound` are what was minimised among its optima. Units: cycles (latency), bytes over the memory port
    (traffic), pJ (energy), pJ times cycles (energy-delay product). `gap` is (objective - bound) / objective. `status`
    is "optimal" when both are proven.
    """

    solver: str
    status: Status
    minimised: Objective
    objective: float
    bound: float
    tie_objective: float
    tie_bound: float
    wall_seconds: float
    branches: int
    conflicts: int
    note: str = ""

    @staticmethod
    def of_all(minimised: Objective, best: tuple[float, float], *, visited: int, seconds: float) -> Solve:
        """Of a search that looked at everything: `best` is the least of the first and of the second objective."""
        first, second = best
        return Solve(
            solver="exhaustive",
            status="optimal",
            minimised=minimised,
            objective=first,
            bound=first,
            tie_objective=second,
            tie_bound=second,
            wall_seconds=seconds,
            branches=visited,
            conflicts=0,
        )

    @property
    def gap(self) -> float:
        """Relative distance of the objective from its proven bound; 0 when proven."""
        return (self.objective - self.bound) / self.objective if self.objective else 0.0

    @property
    def tie_gap(self) -> float:
        """Relative distance of the second objective from its proven bound; 0 when proven."""
        return (self.tie_objective - self.tie_bound) / self.tie_objective if self.tie_objective else 0.0
