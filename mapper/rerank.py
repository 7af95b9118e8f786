"""The last word belongs to the cycle engine: the integer program's mapping and the heuristic's, both simulated.

The analytical model that the integer program minimises is a lower bound; two that tie in it need not tie
on the machine. Simulating both keeps the schedule from ever being slower than the heuristic.
"""

from __future__ import annotations

from dataclasses import dataclass

from mapper.lower import Layer
from mapper.program import layer_program
from mapper.schedule import Scheduled
from simulator.accelerator import Accelerator
from simulator.cost import Result
from simulator.engine import simulate
from simulator.mapping import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """A layer's commands as they ran: the mapping they came from (None for a residual add) and what the engine saw."""

    mapping: Mapping | None
    result: Result


def fastest(layer: Layer, plan: Scheduled | None, accelerator: Accelerator) -> Simulated:
    """Simulate the candidates of a layer that has a command stream; the integer program's own wins a tie."""
    candidates: tuple[Mapping | None, ...] = (None,)
    if plan is not None:
        candidates = tuple(dict.fromkeys(m for m in (plan.mapping, plan.heuristic_mapping) if m is not None))
    runs = [
        Simulated(mapping=mapping, result=simulate(layer_program(layer, mapping, accelerator), accelerator))
        for mapping in candidates
    ]
    return min(runs, key=lambda run: run.result.cycles)
