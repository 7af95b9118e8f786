"""Timing of the normaliser: what each command costs by Normalizer.scala's own counts, and what overlaps."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_normaliser import norm_stores

from model_ir.errors import InputError
from simulator import isa
from simulator.accelerator import Memory
from simulator.accelerator_file import load_accelerator
from simulator.engine import NORMALISER_NOTE, simulate
from simulator.isa_normaliser import config_norm, normalised
from simulator.normaliser import (
    INV_STDDEV,
    INV_SUM_EXP,
    LAYERNORM,
    MAX,
    MEAN,
    RESET,
    SOFTMAX,
    SUM,
    SUM_EXP,
    VARIANCE,
)

BASE = 0x80000000
MACHINE = load_accelerator("gemmini-ibert")
MEMORY = Memory(latency_cycles=1, cycles_per_beat=1)
START = [isa.config_st(stride_bytes=64), config_norm()]


def timed(commands, machine=MACHINE):
    return simulate(isa.program_of(START + list(commands)), machine, memory=MEMORY)


def stores(command, count, columns=16):
    return [isa.mvout(BASE, normalised(0, command), columns, 1) for _ in range(count)]


def with_unit(**fields):
    return msgspec.structs.replace(MACHINE, vector_unit=msgspec.structs.replace(MACHINE.vector_unit, **fields))


# One block's passage, from its entry to that of the next of its set: a cycle in the lanes, then with a latency of 4 the
# lanes run empty in 5, a division takes 18 (fp32: 14), a square root 17, a scaling 2, and a cycle lies between units.
PASSAGES = {
    MEAN: 1 + 5 + 18,
    INV_STDDEV: 1 + 5 + 18 + 1 + 17 + 1 + 14 + 1 + 2,
    INV_SUM_EXP: 1 + 5 + 14 + 1 + 2,
}


@pytest.mark.parametrize("command", PASSAGES)
def test_what_finishes_statistics_holds_its_set_for_as_long_as_the_units_take(command):
    cycles = [timed(stores(command, count)).cycles for count in (4, 5, 6)]
    assert np.diff(cycles).tolist() == [PASSAGES[command]] * 2


@pytest.mark.parametrize("command", [SUM, VARIANCE, SUM_EXP, MAX])
def test_what_only_gathers_never_holds_the_stores_up(command):
    """The store controller sends a mvout of one row every other cycle."""
    cycles = [timed(stores(command, count)).cycles for count in (4, 5, 6)]
    assert np.diff(cycles).tolist() == [2, 2]


def test_blocks_before_the_last_only_gather():
    """Of four blocks a mvout three pass in a cycle each, though the command finishes."""
    cycles = [timed(stores(MEAN, count, 64)).cycles for count in (4, 5, 6)]
    assert np.diff(cycles).tolist() == [PASSAGES[MEAN] + 3] * 2


def test_two_sets_overlap():
    rows = [isa.mvout(BASE, normalised(0, INV_STDDEV), 16, 1)] * 4
    alone = timed([config_norm(), *rows]).cycles
    turns = timed([part for row, turn in zip(rows, (0, 1, 0, 1), strict=True)
                   for part in (config_norm(statistics_set=turn), row)]).cycles  # fmt: skip
    assert turns < alone - PASSAGES[INV_STDDEV] // 2


def test_nothing_but_the_output_pass_reaches_memory():
    for activation in (LAYERNORM, SOFTMAX):
        result = timed(norm_stores(activation, 6, 100))
        assert result.write_bytes >= 600
        assert result.notes == (NORMALISER_NOTE,)
        gathered = timed([c for c in norm_stores(activation, 6, 100) if c[0] == 0 or (c[2] >> 26) & 7 != RESET])
        assert (gathered.write_bytes, gathered.write_requests) == (0, 0)
    assert timed(stores(RESET, 3)).notes == ()


@settings(derandomize=True, deadline=None, max_examples=25)
@given(st.sampled_from([LAYERNORM, SOFTMAX]), st.integers(1, 12), st.integers(1, 200))
def test_more_lanes_or_less_latency_are_never_slower(activation, rows, columns):
    commands = list(norm_stores(activation, rows, columns))
    cycles = timed(commands).cycles
    assert cycles <= timed(commands, with_unit(lanes=4)).cycles
    assert cycles <= timed(commands, with_unit(latency_cycles=9)).cycles
    assert cycles >= timed(commands[: len(commands) // 2]).cycles
    assert cycles == timed(commands).cycles


def test_loops_that_normalise_and_machines_without_the_unit_are_refused():
    with pytest.raises(InputError, match=r"command 1 \(config\) rs1\[1:0\]: normaliser"):
        timed([], load_accelerator("gemmini"))
    bounds = (9, 0, 1 << 32 | 1 << 16 | 1)
    loads = [isa.config_ld(stride_bytes=16, load_id=load_id) for load_id in range(3)]
    with pytest.raises(InputError, match="unrolls no loop_ws that normalises"):
        timed([isa.config_ex(), *loads, bounds, (8, SOFTMAX << 8, 0)])
