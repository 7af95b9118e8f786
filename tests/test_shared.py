"""Several accelerators before one memory: alone nothing changes, together they only wait for each other."""

from __future__ import annotations

import dataclasses
from functools import cache

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator_programs import BASE, tiled_matmul

from model_ir.errors import InputError
from simulator.accelerator import Memory
from simulator.accelerator_file import load_accelerator
from simulator.engine import simulate
from simulator.isa import config_ld, mvin, program_of
from simulator.program import Program
from simulator.shared import simulate_shared

NOTHING = program_of([])
MEMORIES = st.builds(Memory, latency_cycles=st.integers(1, 60), cycles_per_beat=st.integers(1, 3))
SIZES = st.tuples(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60))
SETTINGS = settings(max_examples=25, deadline=None, derandomize=True)


@cache
def machine(name="gemmini"):
    return load_accelerator(name)


def matmul(sizes, place=0):
    at = BASE + place * 0x40000
    return program_of(tiled_matmul(sizes, (at, at + 0x10000, at + 0x20000)))


def loads(count, place=0):
    """A stream of `count` mvins of a kilobyte, with nothing to wait for but the memory."""
    at = BASE + place * 0x40000
    return program_of([config_ld(stride_bytes=64), *(mvin(at + 1024 * i, 64 * i % 8192, 64, 16) for i in range(count))])


def same(one, other):
    return all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(one)
    )


@SETTINGS
@given(SIZES, MEMORIES, st.integers(1, 3))
def test_one_among_idle_ones_runs_as_if_alone(sizes, memory, idle):
    alone = simulate(matmul(sizes), machine(), memory=memory)
    first, *others = simulate_shared([matmul(sizes), *[NOTHING] * idle], [machine()] * (1 + idle), memory)
    assert same(first, alone)
    assert all(other.cycles == other.read_bytes == other.commands == 0 for other in others)


@pytest.mark.parametrize("name", ["gemmini", "gemmini-soc"])
def test_one_alone_shares_with_nobody(name):
    program = matmul((70, 40, 90))
    assert same(simulate_shared([program], [machine(name)])[0], simulate(program, machine(name)))


@SETTINGS
@given(st.lists(SIZES, min_size=2, max_size=3), MEMORIES)
def test_sharing_moves_the_same_bytes_and_makes_nobody_faster(sizes, memory):
    programs = [matmul(each, place) for place, each in enumerate(sizes)]
    together = simulate_shared(programs, [machine()] * len(programs), memory)
    for program, shared in zip(programs, together, strict=True):
        alone = simulate(program, machine(), memory=memory)
        assert shared.cycles >= alone.cycles
        for field in ("read_bytes", "write_bytes", "read_requests", "write_requests", "macs"):
            assert getattr(shared, field) == getattr(alone, field)


@pytest.mark.parametrize("sharers", [2, 3, 4])
def test_streams_bound_by_memory_take_as_many_times_as_there_are(sharers):
    memory = Memory(latency_cycles=10, cycles_per_beat=1)
    alone = simulate(loads(40), machine(), memory=memory).cycles
    together = simulate_shared([loads(40, place) for place in range(sharers)], [machine()] * sharers, memory)
    for result in together:
        assert result.cycles == pytest.approx(sharers * alone, rel=0.02)
    # The last to end has waited for every byte of all.
    assert max(result.cycles for result in together) >= sharers * 40 * 64


def test_the_bus_is_granted_in_turn():
    memory = Memory(latency_cycles=10, cycles_per_beat=1)
    one, other = simulate_shared([loads(30), loads(30, 1)], [machine()] * 2, memory)
    assert abs(one.cycles - other.cycles) <= 64
    swapped = simulate_shared([loads(30, 1), loads(30)], [machine()] * 2, memory)
    assert [result.cycles for result in swapped] == [one.cycles, other.cycles]


def test_cache_and_dram_are_shared():
    alone = simulate(loads(40), machine("gemmini-soc"))
    apart = simulate_shared([loads(40), loads(40, 1)], [machine("gemmini-soc")] * 2)
    assert all(result.cycles == pytest.approx(2 * alone.cycles, rel=0.05) for result in apart)
    assert apart[0].memory_activity.lines_fetched == 2 * alone.memory_activity.lines_fetched
    # Of the same lines, each comes from DRAM once, and whoever asks second finds it on its way.
    same_lines = simulate_shared([loads(40), loads(40)], [machine("gemmini-soc")] * 2)
    assert same_lines[0].memory_activity.misses == alone.memory_activity.misses
    assert max(result.cycles for result in same_lines) < 1.1 * alone.cycles


def test_streams_in_pieces_and_machines_of_different_sizes():
    small = msgspec.structs.replace(
        machine(), name="fewer", dma=msgspec.structs.replace(machine().dma, requests_in_flight=4)
    )
    first, second = matmul((50, 50, 50)), matmul((40, 30, 20), 1)
    whole = Program(
        **{name: np.concatenate((getattr(first, name), getattr(second, name))) for name in ("funct", "rs1", "rs2")}
    )
    in_pieces = simulate_shared([iter([first, second]), loads(20, 2)], [machine(), small])
    at_once = simulate_shared([whole, loads(20, 2)], [machine(), small])
    assert [result.cycles for result in in_pieces] == [result.cycles for result in at_once]
    assert in_pieces[0].read_bytes == at_once[0].read_bytes


def test_what_cannot_share_is_refused_by_name():
    wide = msgspec.structs.replace(machine(), name="wide", dma=msgspec.structs.replace(machine().dma, bus_bytes=32))
    with pytest.raises(InputError, match=r"wide\.dma\.bus_bytes"):
        simulate_shared([NOTHING, NOTHING], [machine(), wide])
    with pytest.raises(InputError, match="programs"):
        simulate_shared([NOTHING], [machine(), machine()])
    with pytest.raises(InputError, match="stream 1: command 0"):
        simulate_shared([NOTHING, program_of([(99, 0, 0)])], [machine(), machine()])
