"""Annealing over mappings onto a hierarchy: legal, repeatable, between the bound and nothing better."""

from __future__ import annotations

import pytest

from mapper.hierarchy.bound import lower_bound
from mapper.hierarchy.exhaustive import hierarchy_exhaustive
from mapper.hierarchy.objective import compared
from mapper.hierarchy.search import hierarchy_search
from mapper.solve import Objective
from model_ir.loop_nest import LoopNest
from simulator.hierarchy.cost import hierarchy_cost
from simulator.hierarchy.dataflow import DATAFLOWS, dataflow, obeys
from simulator.hierarchy.file import hierarchy_names, load_hierarchy
from simulator.hierarchy.mapping import check_legal
from simulator.hierarchy.nest import TensorNest, tensor_nest
from tests.hierarchy_cases import convolution, matmul
from tests.test_hierarchy_exhaustive import MACHINE, NESTS, OBJECTIVES

LAYERS = {
    "3x3": convolution(14, 3, 32, 64, pad=1),
    "strided": convolution(7, 3, 16, 32, stride=2, pad=1),
    "depthwise": convolution(14, 3, 1, 1, pad=1, groups=32),
    "matmul": matmul(128, 64, 96),
    "heads": matmul(32, 16, 32, batch=4),
}


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("nest", NESTS, ids=lambda nest: nest.name)
def test_small_nests_come_within_a_tenth_of_the_best(nest: TensorNest, objective: Objective) -> None:
    """Annealing may also take tiles that do not divide, which exhaustive search here does not."""
    _, best, _ = hierarchy_exhaustive(nest, MACHINE, objective=objective)
    _, _, solve = hierarchy_search(nest, MACHINE, objective=objective, evaluations=600)
    assert solve.bound <= solve.objective <= compared(best, objective)[0] * 1.1


@pytest.mark.parametrize("name", hierarchy_names())
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_every_layer_maps_onto_every_hierarchy(name: str, layer: LoopNest) -> None:
    nest, machine = tensor_nest(layer), load_hierarchy(name)
    mapping, cost, solve = hierarchy_search(nest, machine, evaluations=150)
    assert cost == hierarchy_cost(nest, mapping, machine)
    assert cost.cycles >= lower_bound(nest, machine, "latency") == solve.bound
    assert cost.dram_bytes >= lower_bound(nest, machine, "traffic")
    assert cost.energy_pj >= lower_bound(nest, machine, "energy")


def test_the_same_question_has_the_same_answer() -> None:
    nest, machine = tensor_nest(LAYERS["3x3"]), load_hierarchy("simba-like")
    first, second = (hierarchy_search(nest, machine, evaluations=200)[0] for _ in range(2))
    assert first == second


@pytest.mark.parametrize("flow", [flow.name for flow in DATAFLOWS])
@pytest.mark.parametrize("name", ["eyeriss-like", "simba-like"])
def test_dataflows_are_obeyed(name: str, flow: str) -> None:
    nest, machine = tensor_nest(LAYERS["3x3"]), load_hierarchy(name)
    mapping, cost, _ = hierarchy_search(nest, machine, objective="energy", flow=dataflow(flow), evaluations=300)
    assert obeys(nest, check_legal(nest, mapping, machine), mapping, dataflow(flow))
    assert cost.macs == nest.macs


def test_eyeriss_spreads_rows_row_stationary() -> None:
    """A 3x3 layer of 14 rows fills 14 columns, and rows of the array in sets of three kernel rows."""
    nest, machine = tensor_nest(LAYERS["3x3"]), load_hierarchy("eyeriss-like")
    _, cost, _ = hierarchy_search(nest, machine, flow=dataflow("row-stationary"), evaluations=600)
    assert cost.compute_cycles <= 1.2 * nest.macs / 168
