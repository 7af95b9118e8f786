"""The fast counts against the loops run step by step, and what follows from them."""

from __future__ import annotations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from model_ir.errors import InputError
from simulator.hierarchy import Hierarchy, Role
from simulator.hierarchy_cost import HierarchyCost, Traffic, hierarchy_cost
from simulator.hierarchy_mapping import HierarchyMapping, check_legal, tile_elements, tile_extents
from simulator.hierarchy_nest import TensorNest, tensor_nest
from simulator.hierarchy_walk import walk
from tests.hierarchy_cases import machines, mappings, small_nests, windows

Case = tuple[TensorNest, HierarchyMapping, Hierarchy]


@st.composite
def cases(draw: st.DrawFn, *, window: bool = False) -> Case:
    nest = tensor_nest(draw(windows() if window else small_nests()))
    machine = draw(machines(keeps_overlap=True) if window else machines())
    mapping = draw(mappings(nest, machine))
    try:
        check_legal(nest, mapping, machine)
    except InputError as error:
        assume("does not add them" not in str(error))
        raise
    return nest, mapping, machine


def moved(cost: HierarchyCost, *, busiest: bool) -> dict[tuple[int, Role], Traffic]:
    return {
        (index, traffic.role): traffic
        for index, level in enumerate(cost.levels)
        for traffic in (level.busiest if busiest else level.traffic)
    }


@settings(max_examples=400, derandomize=True, deadline=None)
@given(cases())
def test_counts_are_those_of_the_loops_run_step_by_step(case: Case) -> None:
    check_against_walk(case)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(cases(window=True))
def test_windows_that_slide_fetch_what_is_new(case: Case) -> None:
    check_against_walk(case)


def check_against_walk(case: Case) -> None:
    nest, _, machine = case
    cost = hierarchy_cost(*case)
    walked = walk(*case)
    levels = len(machine.levels)
    assert (cost.compute_cycles, cost.macs) == (walked.steps, walked.macs)
    seen = {key: value for key, value in walked.traffic.items() if key[0] < levels}
    assert moved(cost, busiest=False) == seen
    assert moved(cost, busiest=True) == {key: value for key, value in walked.busiest.items() if key[0] < levels}
    loops = check_legal(*case)
    for (level, role), largest in walked.largest.items():
        if level < levels:
            operand = nest.operand(role)
            allowed = tile_elements(operand, tile_extents(nest, loops, level))
            padded = any(not axis.dense for axis in operand.axes)
            assert largest <= allowed if padded else largest == allowed
