"""The last word belongs to the cycle engine: the integer program's mapping and the heuristic's, both simulated.

The analytical model that the integer program minimises is a lower bound; two that tie in it need not tie
on the machine. Simulating both keeps the schedule from ever being slower than the heuristic.
"""

from __future__ import annotations

from dataclasses import dataclass

from mapper.lower import Layer
from mapper.program import layer_programs
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
    """Simulate the candidates of a layer that has a command stream; the integer program's own wins a tie.

    The heuristic's is left out where its analytical cycles, a lower bound of the simulated ones, are no fewer than what
    the integer program's mapping took.
    """
    if plan is None:
        return _simulated(layer, None, accelerator)
    own = _simulated(layer, plan.mapping, accelerator)
    other, bound = plan.heuristic_mapping, plan.heuristic_cost
    if other is None or bound is None or other == plan.mapping or bound.cycles >= own.result.cycles:
        return own
    return min(own, _simulated(layer, other, accelerator), key=lambda run: run.result.cycles)


def _simulated(layer: Layer, mapping: Mapping | None, accelerator: Accelerator) -> Simulated:
    return Simulated(mapping=mapping, result=simulate(layer_programs(layer, mapping, accelerator), accelerator))
