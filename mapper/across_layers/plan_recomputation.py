"""A network as Checkmate's program sees it: every step a tensor, with its size, what computing it takes and moving it.

Computing takes what the step takes with its activations on chip: a matmul's weights still come from memory, the vector
unit and the store path are as busy as they are. Fetching and storing
take the memory port's cycles. The host's steps work in memory, so their results are there without a store.
"""

from __future__ import annotations

from math import ceil

from mapper.across_layers.plan import NetworkPlan
from mapper.across_layers.recomputation import Rematerialisation, rematerialise
from mapper.across_layers.rematerialisation import Node
from mapper.across_layers.steps import Step
from simulator.accelerator import Accelerator
from simulator.fusion import OnChip, fused_cost
from simulator.mapping import ceil_div

REACH = 12
"""Steps beyond a tensor's last reader at which it may still be computed or fetched, to serve another recomputation."""


def nodes_of(plan: NetworkPlan, accelerator: Accelerator) -> tuple[Node, ...]:
    """The network's inputs, then every step, as nodes; a step costs what it does alone in the layer-by-layer schedule,
    but for its activations' traffic."""
    steps = plan.steps.steps
    made = {step.writes for step in steps}
    sizes: dict[str, int] = {}
    for step in steps:
        for access, name in zip(step.layer.nest.reads, step.reads, strict=True):
            if name and name not in made:
                sizes[name] = max(sizes.get(name, 0), access.bytes)
    nodes = [_input(name, size, accelerator) for name, size in sizes.items()]
    number = {node.name: place for place, node in enumerate(nodes)}
    for place, step in enumerate(steps):
        operands = tuple(dict.fromkeys(number[name] for name in step.reads if name))
        size = step.layer.nest.write.bytes
        nodes.append(
            Node(
                name=step.name,
                operands=operands,
                cycles=_cycles(step, plan, place, accelerator),
                size_bytes=size,
                fetch_cycles=_port_cycles(size, accelerator),
                store_cycles=ceil_div(size, accelerator.dma.bus_bytes),
                in_memory=step.place == "host",
            )
        )
        number[step.writes] = len(nodes) - 1
    return tuple(nodes)


def recompute_network(
    plan: NetworkPlan,
    accelerator: Accelerator,
    budget_bytes: int,
    *,
    recompute: bool = True,
    time_limit_seconds: float = 20.0,
    workers: int = 2,
) -> tuple[tuple[Node, ...], Rematerialisation]:
    """The network's nodes, and when each is computed, kept, fetched or stored under `budget_bytes` of activations on
    chip; without `recompute` nothing is computed twice. Raises InfeasibleError and InputError as `rematerialise`
    does."""
    nodes = nodes_of(plan, accelerator)
    answer = rematerialise(
        nodes,
        budget_bytes,
        recompute=recompute,
        reach=REACH,
        time_limit_seconds=time_limit_seconds,
        workers=workers,
    )
    return nodes, answer


def _input(name: str, size_bytes: int, accelerator: Accelerator) -> Node:
    """A tensor that is in memory at the start: making it is fetching it."""
    cycles = _port_cycles(size_bytes, accelerator)
    return Node(name=name, operands=(), cycles=cycles, size_bytes=size_bytes, fetch_cycles=cycles, in_memory=True)


def _cycles(step: Step, plan: NetworkPlan, place: int, accelerator: Accelerator) -> int:
    nest = step.array_work
    if nest is None:
        cost = plan.apart[place]
        return max(1, ceil(cost.cycles if step.place == "host" else cost.compute_cycles))
    mapping = plan.apart_mappings[place]
    assert mapping is not None, "a matmul has a mapping"
    return ceil(fused_cost(nest, mapping, accelerator, on_chip=OnChip(a=True, c=True)).cycles)


def _port_cycles(size_bytes: int, accelerator: Accelerator) -> int:
    """Cycles in which `size_bytes` come over the memory port (`simulator.analytical.read_cycles`, bandwidth alone)."""
    return ceil_div(size_bytes, accelerator.dma.bus_bytes) * accelerator.memory.cycles_per_beat
