"""Exhaustive search over the mappings of a small nest onto a hierarchy. The oracle of every other mapper for them."""

from __future__ import annotations

from time import perf_counter

from mapper.hierarchy.objective import compared
from mapper.hierarchy.space import Tiles, legal_hierarchy_mappings
from mapper.solve import Objective, Solve
from model_ir.errors import InputError
from simulator.hierarchy.cost import HierarchyCost, hierarchy_cost
from simulator.hierarchy.dataflow import DATAFLOWS
from simulator.hierarchy.description import Dataflow, Hierarchy
from simulator.hierarchy.mapping import HierarchyMapping
from simulator.hierarchy.nest import TensorNest


def hierarchy_exhaustive(
    nest: TensorNest,
    hierarchy: Hierarchy,
    *,
    objective: Objective = "latency",
    flow: Dataflow = DATAFLOWS[0],
    tiles: Tiles = "divisors",
    bypass: bool = False,
) -> tuple[HierarchyMapping, HierarchyCost, Solve]:
    """The best of all legal mappings of that dataflow; InputError where there is none. Time grows with the number of
    tilings times that of loop orders: for nests of a few dozen multiply-accumulates."""
    started = perf_counter()
    best: tuple[tuple[float, float], HierarchyMapping, HierarchyCost] | None = None
    visited = 0
    for mapping in legal_hierarchy_mappings(nest, hierarchy, flow=flow, tiles=tiles, bypass=bypass):
        visited += 1
        cost = hierarchy_cost(nest, mapping, hierarchy)
        key = compared(cost, objective)
        if best is None or key < best[0]:
            best = key, mapping, cost
    if best is None:
        raise InputError(f"nest {nest.name}", f"no mapping of it onto {hierarchy.name} fits", value=flow.name)
    key, mapping, cost = best
    return mapping, cost, Solve.of_all(objective, key, visited=visited, seconds=perf_counter() - started)
