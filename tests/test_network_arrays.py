"""A plan on several arrays, and under a memory budget: what the network's own structure says must hold."""

from __future__ import annotations

from itertools import pairwise

import pytest

from mapper.across_layers.menu import MenuOptions
from mapper.across_layers.plan import NetworkPlan, PlanOptions, plan_network
from mapper.across_layers.plan_arrays import HOST, arrays_of_plan
from mapper.across_layers.plan_recomputation import nodes_of, recompute_network
from mapper.across_layers.rematerialisation import peak_of
from mapper.across_layers.several_arrays import BANDWIDTH
from mapper.lower import lower
from model_ir.builder import GraphBuilder
from model_ir.errors import InfeasibleError, InputError
from model_ir.graph import Graph
from model_ir.ops.contraction import MatMul
from model_ir.ops.elementwise import Binary
from simulator.accelerator import Accelerator
from simulator.accelerator_file import load_accelerator
from systolic.pipeline import prepare
from workloads.catalogue import build

GEMMINI = load_accelerator("gemmini")
IBERT = load_accelerator("gemmini-ibert")


def _planned(graph: Graph, accelerator: Accelerator, **options: object) -> NetworkPlan:
    prepared = prepare(graph, accelerator)
    return plan_network(prepared, lower(prepared, accelerator), accelerator, PlanOptions(**options))


def branches(count: int, rows: int, width: int) -> Graph:
    """Independent matmuls of one input, added up."""
    b = GraphBuilder("branches")
    x = b.input("x", (rows, width))
    made = [b.apply(MatMul, x, b.parameter(f"w{n}", (width, width)), name=f"m{n}") for n in range(count)]
    total = made[0]
    for number, other in enumerate(made[1:]):
        total = b.apply(Binary, total, other, name=f"a{number}", function="add")
    return b.finish(total)


def test_one_array_does_one_group_after_another() -> None:
    plan = _planned(build("resnet18"), GEMMINI, stays=False)
    found = arrays_of_plan(plan, GEMMINI, 1)
    assert found.cycles == sum(placed.mode.cycles for placed in found.placed)
    assert found.cycles == pytest.approx(plan.cycles, rel=1e-6)
    assert found.solve.status == "optimal"


def test_independent_layers_run_side_by_side_and_bandwidth_limits_them() -> None:
    plan = _planned(branches(3, 256, 256), GEMMINI, stays=False, menu=MenuOptions(workers=1))
    one, two = (arrays_of_plan(plan, GEMMINI, arrays, workers=1) for arrays in (1, 2))
    assert two.cycles < one.cycles
    assert two.bounds.largest <= two.cycles
    bytes_per_cycle = GEMMINI.memory_bytes_per_cycle
    assert two.bounds.bandwidth >= sum(g.cost.dram_read_bytes for g in plan.groups) / bytes_per_cycle - len(plan.groups)
    starving = _planned(branches(3, 16, 1024), GEMMINI, stays=False, menu=MenuOptions(workers=1))
    # One row block under a wide matrix is all traffic: a second array brings next to nothing.
    alone, beside = (arrays_of_plan(starving, GEMMINI, arrays, workers=1) for arrays in (1, 2))
    assert beside.cycles > 0.9 * alone.cycles


def test_inputs_are_independent_and_the_host_is_one() -> None:
    plan = _planned(build("jet-tagger"), GEMMINI, stays=False)
    hosted = [group for group in plan.groups if plan.steps.steps[group.numbers[0]].place == "host"]
    assert hosted
    found = arrays_of_plan(plan, GEMMINI, 2, inputs=2)
    assert len(found.placed) == 2 * len(plan.groups)
    assert found.cycles < 2 * arrays_of_plan(plan, GEMMINI, 2).cycles
    assert all(0 <= placed.mode.share <= BANDWIDTH for placed in found.placed)
    on_host = sorted((p.start, p.end) for p in found.placed if p.mode.kind == HOST)
    assert all(before[1] <= after[0] for before, after in pairwise(on_host))
    for placed in found.placed:
        group = placed.task % len(plan.groups)
        reads = {name for n in plan.groups[group].numbers for name in plan.steps.steps[n].reads}
        for other in found.placed:
            same_input = other.task // len(plan.groups) == placed.task // len(plan.groups)
            made = {plan.steps.steps[n].writes for n in plan.groups[other.task % len(plan.groups)].numbers}
            if same_input and other is not placed and reads & made:
                assert other.end <= placed.start


def test_residents_tie_groups_to_an_array() -> None:
    plan = _planned(build("jet-tagger"), GEMMINI, menu=MenuOptions(objective="traffic"))
    assert plan.residences
    with pytest.raises(InputError, match="ties them"):
        arrays_of_plan(plan, GEMMINI, 2)
    with pytest.raises(InputError, match="at least 1"):
        arrays_of_plan(_planned(build("jet-tagger"), GEMMINI, stays=False), GEMMINI, 0)


def test_a_tight_budget_makes_a_network_fetch_or_compute_again() -> None:
    plan = _planned(branches(3, 64, 64), GEMMINI, menu=MenuOptions(workers=1))
    nodes = nodes_of(plan, GEMMINI)
    size = 64 * 64
    assert [node.size_bytes for node in nodes] == [size] * 6
    assert nodes[0].in_memory
    assert nodes[0].cycles == size / GEMMINI.memory_bytes_per_cycle
    _, roomy = recompute_network(plan, GEMMINI, 6 * size, workers=1)
    assert roomy.computed_again == roomy.fetched_again == ()
    assert roomy.cycles == sum(node.cycles for node in nodes)
    # Three products of one input, two operands and a sum at a time: three tensors do not hold what is still to come.
    _, tight = recompute_network(plan, GEMMINI, 3 * size, workers=1)
    assert tight.computed_again or tight.fetched_again
    assert tight.cycles > roomy.cycles
    assert peak_of(nodes, tight.stages) == tight.peak_bytes <= 3 * size
    with pytest.raises(InfeasibleError, match="operands and result"):
        recompute_network(plan, GEMMINI, 3 * size - 1)


def test_tanh_on_the_host_needs_no_store() -> None:
    plan = _planned(build("bert-base", seq=16), IBERT, stays=False)
    nodes = {node.name: node for node in nodes_of(plan, IBERT)}
    assert nodes["pooler.tanh"].in_memory
    assert nodes["layers.0.attention.norm"].fetch_cycles == 16 * 768 / IBERT.memory_bytes_per_cycle
    assert nodes["layers.0.attention.norm"].store_cycles == 16 * 768 / IBERT.dma.bus_bytes
