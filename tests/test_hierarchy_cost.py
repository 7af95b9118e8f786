"""The fast counts against the loops run step by step, and what follows from them."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from model_ir.errors import InputError
from simulator.hierarchy.cost import HierarchyCost, Traffic, hierarchy_cost
from simulator.hierarchy.description import ROLES, Hierarchy, Level, Role, WordBits
from simulator.hierarchy.mapping import (
    HierarchyMapping,
    LevelMapping,
    TemporalLoop,
    check_legal,
    child_level,
    tile_elements,
    tile_extents,
)
from simulator.hierarchy.nest import TensorNest, tensor_nest
from simulator.hierarchy.walk import walk
from tests.hierarchy_cases import machines, mappings, matmul, small_nests, windows

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


@settings(max_examples=150, derandomize=True, deadline=None)
@given(cases())
def test_bytes_cycles_and_energy_follow_from_the_busiest_and_all_instances(case: Case) -> None:
    _, mapping, machine = case
    cost = hierarchy_cost(*case)
    assert cost.cycles >= max(cost.compute_cycles, *(level.cycles for level in cost.levels))
    waiting = sum(level.waiting_cycles for level in cost.levels)
    assert cost.cycles <= max(cost.compute_cycles + waiting, *(level.cycles for level in cost.levels))
    for level, described in zip(cost.levels, machine.levels, strict=True):
        spent = level.read_bytes * described.read_pj_per_byte + level.write_bytes * described.write_pj_per_byte
        assert level.access_energy_pj == pytest.approx(spent)
    copies = replace(
        mapping,
        levels=tuple(
            replace(level, double_buffered=level.keeps if index else ()) for index, level in enumerate(mapping.levels)
        ),
    )
    assert hierarchy_cost(case[0], copies, machine).cycles <= cost.cycles
    faster = msgspec.structs.replace(
        machine,
        levels=tuple(
            msgspec.structs.replace(
                level, read_bytes_per_cycle=None, write_bytes_per_cycle=None, shared_bytes_per_cycle=None
            )
            for level in machine.levels
        ),
    )
    assert hierarchy_cost(case[0], mapping, faster).cycles == cost.compute_cycles


@settings(max_examples=150, derandomize=True, deadline=None)
@given(cases())
def test_every_fan_out_on_the_way_is_paid_once_a_receiver(case: Case) -> None:
    """With words of 8 bits throughout, half a picojoule for every element that one instance takes in or gives up."""
    nest, mapping, machine = case
    words = WordBits(inputs=8, weights=8, outputs=8, partial_sums=8)
    machine = msgspec.structs.replace(machine, word_bits=words)
    walked = walk(nest, mapping, machine)
    for index, level in enumerate(hierarchy_cost(nest, mapping, machine).levels):
        crossing = 0
        for role in ROLES:
            traffic = walked.traffic[child_level(mapping, role, index), role]
            crossing += traffic.fills + traffic.drains
        assert level.network_energy_pj == pytest.approx(0.5 * crossing)


def worked(*, streams: bool = False, double: bool = False, inner: str = "k") -> HierarchyCost:
    """C[4, 2] = A[4, 3] B[3, 2] through a buffer that takes rows of A one by one, or (`inner` is "i") terms of the sums
    one by one; DRAM moves 2 bytes a cycle, the buffer writes 1 and reads 8."""
    machine = Hierarchy(
        name="worked",
        description="by hand",
        clock_hz=1e9,
        mac_pj=0.5,
        word_bits=WordBits(inputs=8, weights=8, outputs=8, partial_sums=32),
        levels=(
            Level(name="dram", stores=ROLES, read_pj_per_byte=10.0, write_pj_per_byte=20.0, shared_bytes_per_cycle=2.0),
            Level(
                name="buffer",
                stores=ROLES,
                read_pj_per_byte=1.0,
                write_pj_per_byte=2.0,
                read_bytes_per_cycle=8.0,
                write_bytes_per_cycle=1.0,
                streams=streams,
                accumulates=True,
            ),
        ),
    )
    loops = {"k": (("i", 1),), "i": (("k", 1), ("i", 1))}[inner]
    rest = {"k": ("j", "k"), "i": ("j",)}[inner]
    mapping = HierarchyMapping(
        levels=(
            LevelMapping(temporal=tuple(TemporalLoop(dim=dim, tile=tile) for dim, tile in loops), keeps=ROLES),
            LevelMapping(
                temporal=tuple(TemporalLoop(dim=dim, tile=1) for dim in rest),
                keeps=ROLES,
                double_buffered=ROLES if double else (),
            ),
        )
    )
    return hierarchy_cost(tensor_nest(matmul(4, 3, 2)), mapping, machine)


def test_a_worked_example_of_traffic_and_energy() -> None:
    """Rows of A (12 bytes) and all of B (6 bytes) come once, 8 results leave complete. Each of 24 products reads two
    operands, adds to a 4-byte sum (16 of them read it first) and writes it; sums are read again to leave."""
    cost = worked(streams=True)
    dram, buffer = cost.levels
    assert (dram.read_bytes, dram.write_bytes) == (18, 8)
    assert (buffer.read_bytes, buffer.write_bytes) == (24 + 24 + 16 * 4 + 8 * 4, 18 + 24 * 4)
    assert cost.energy_pj == pytest.approx(24 * 0.5 + 18 * 10 + 8 * 20 + 144 * 1 + 114 * 2)
    assert (dram.cycles, buffer.cycles, cost.compute_cycles) == (13.0, 114.0, 24)
    assert cost.cycles == 114.0


def test_partial_sums_that_leave_come_back_at_their_full_width() -> None:
    """With the sum's loop outermost, 8 sums leave three times, twice as 4-byte partial sums that come back."""
    dram = worked(streams=True, inner="i").levels[0]
    assert dram.write_bytes == 2 * 8 * 4 + 8
    assert dram.read_bytes == 12 + 6 + 2 * 8 * 4


def test_transfers_wait_where_there_is_one_copy() -> None:
    """Rows of A enter at 1 byte a cycle (12) and results leave, at 2 bytes a cycle into DRAM (4); B is filled once."""
    assert worked().levels[1].waiting_cycles == 12.0 + 4.0
    assert worked(double=True).levels[1].waiting_cycles == worked(streams=True).levels[1].waiting_cycles == 0.0
