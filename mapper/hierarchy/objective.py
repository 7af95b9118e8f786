"""What mappers onto a hierarchy minimise, and what decides among equals."""

from __future__ import annotations

from mapper.solve import Objective
from simulator.hierarchy.cost import HierarchyCost


def compared(cost: HierarchyCost, objective: Objective) -> tuple[float, float]:
    """The objective and, to decide among equals, the traffic of the outermost level (latency: bytes) or the latency
    (any other: cycles)."""
    if objective == "latency":
        return cost.cycles, cost.dram_bytes
    if objective == "traffic":
        return cost.dram_bytes, cost.cycles
    return cost.energy_pj if objective == "energy" else cost.energy_delay, cost.cycles
