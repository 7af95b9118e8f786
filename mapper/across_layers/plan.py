"""One schedule across all layers of a network: fused groups and tensors on chip, beside the layer-by-layer schedule.

Graph -> steps -> what may stay, ways to execute -> integer program -> `NetworkPlan`. Layers run one after another, so
latencies add up; every figure is the analytical model's (a lower bound of the cycle engine's), on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from mapper.across_layers.fusions import Fusions
from mapper.across_layers.menu import Executed, Menu, MenuOptions, mappings_of, offer_alone
from mapper.across_layers.problem import Choice, Memory, NetworkProblem, Residence
from mapper.across_layers.program import solve_network
from mapper.across_layers.residences import possible_stays
from mapper.across_layers.steps import Steps, steps_of
from mapper.lower import Layer
from mapper.objective import in_units
from mapper.solve import Objective, Solve
from model_ir.errors import InputError
from model_ir.graph import Graph
from simulator.accelerator import Accelerator
from simulator.cost import Cost
from simulator.mapping import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Layers executed as one (or one alone), how, the cost, and the rows it takes beside residents; `numbers` are the
    steps'."""

    numbers: tuple[int, ...]
    names: tuple[str, ...]
    kind: str
    executed: Executed
    rows: dict[Memory, int]

    @property
    def cost(self) -> Cost:
        """Cost of the whole group."""
        return self.executed.cost


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPlan:
    """The chosen groups in order, the tensors that stay on chip, and the evidence; `apart` is what every step costs in
    the layer-by-layer schedule, `apart_mappings` under which mapping."""

    objective: Objective
    result_path: bool
    steps: Steps
    groups: tuple[Group, ...]
    residences: tuple[Residence, ...]
    apart: tuple[Cost, ...]
    apart_mappings: tuple[Mapping | None, ...]
    solve: Solve
    offered_choices: int
    offered_residences: int

    @property
    def cycles(self) -> float:
        """Latency of the plan."""
        return sum(group.cost.cycles for group in self.groups)

    @property
    def dram_bytes(self) -> int:
        """Bytes over the memory port in the plan."""
        return sum(group.cost.dram_bytes for group in self.groups)

    @property
    def apart_cycles(self) -> float:
        """Latency layer by layer."""
        return sum(cost.cycles for cost in self.apart)

    @property
    def apart_dram_bytes(self) -> int:
        """Bytes over the memory port layer by layer."""
        return sum(cost.dram_bytes for cost in self.apart)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """What is asked: `menu` goes to the mapper's own programs, the limit is the program across layers'; `result_path`
    adds a path from the accumulator to the scratchpad, which Gemmini lacks; without `stays` nothing is kept on chip
    between groups, so that each can run on any array; without `fuse` every layer is a group of its own."""

    menu: MenuOptions = field(default_factory=MenuOptions)
    result_path: bool = False
    stays: bool = True
    fuse: bool = True
    time_limit_seconds: float = 20.0
    workers: int = 2


def plan_network(
    graph: Graph, layers: tuple[Layer, ...], accelerator: Accelerator, options: PlanOptions | None = None
) -> NetworkPlan:
    """The best plan for the prepared `graph`, lowered to `layers`.

    Never worse than layer by layer, whose schedule is among the choices. Raises InputError for a graph without a step
    that costs anything; InfeasibleError for a layer that does not fit at all.
    """
    options = options or PlanOptions()
    steps = steps_of(graph, layers, accelerator)
    if options.menu.objective == "energy_delay_product":
        raise InputError("objective", "energy-delay products of layers do not add up", value=options.menu.objective)
    if not steps.steps:
        raise InputError(graph.origin or graph.name, "has no layer that costs anything")
    menu, problem = offered(steps, accelerator, options)
    answer = solve_network(
        problem,
        minimised=options.menu.objective,
        time_limit_seconds=options.time_limit_seconds,
        workers=options.workers,
    )
    apart = [_apart(number, menu) for number in range(len(steps.steps))]
    return NetworkPlan(
        objective=options.menu.objective,
        result_path=options.result_path,
        steps=steps,
        groups=tuple(_group(steps, choice, menu) for choice in answer.choices),
        residences=answer.residences,
        apart=tuple(executed.cost for executed in apart),
        apart_mappings=tuple(executed.mapping for executed in apart),
        solve=_in_units(answer.solve, accelerator),
        offered_choices=len(problem.choices),
        offered_residences=len(problem.residences),
    )


def offered(steps: Steps, accelerator: Accelerator, options: PlanOptions) -> tuple[Menu, NetworkProblem]:
    """All that the program may choose from, with what stands behind it."""
    stays = possible_stays(steps, accelerator, result_path=options.result_path) if options.stays else ()
    mappings = mappings_of(steps, stays, accelerator, options.menu)
    menu = Menu(accelerator, options.menu.objective)
    offer_alone(menu, steps, stays, mappings, accelerator)
    if options.fuse:
        fusions = Fusions(steps, accelerator, options.menu.objective)
        fusions.offer(menu, mappings, result_path=options.result_path)
    return menu, NetworkProblem(
        layers=len(steps.steps),
        choices=tuple(menu.choices),
        residences=tuple(stay.residence for stay in stays),
        capacity={"scratchpad": accelerator.scratchpad_rows, "accumulator": accelerator.accumulator_rows},
    )


def _group(steps: Steps, choice: Choice, menu: Menu) -> Group:
    return Group(
        numbers=choice.layers,
        names=tuple(steps.steps[number].name for number in choice.layers),
        kind=choice.kind,
        executed=menu.executed[choice.detail],
        rows=choice.rows,
    )


def _apart(number: int, menu: Menu) -> Executed:
    """The layer-by-layer execution of a step: the best way alone with nothing resident."""
    alone = [
        choice
        for choice in menu.choices
        if choice.layers == (number,) and choice.kind == "alone" and not choice.residences
    ]
    return menu.executed[min(alone, key=lambda choice: choice.key).detail]


def _in_units(solve: Solve, accelerator: Accelerator) -> Solve:
    """The evidence with energy in picojoules."""
    return replace(
        solve,
        objective=in_units(round(solve.objective), accelerator, solve.minimised),
        bound=in_units(round(solve.bound), accelerator, solve.minimised),
    )
