"""Machines other than the default one through the engine: what was measured of the chip configuration's RTL."""

import csv

import micro_rows
import msgspec
import pytest
from simulator_programs import ROOT

from model_ir.errors import InputError
from simulator import isa
from simulator.accelerator import Memory
from simulator.accelerator_file import load_accelerator
from simulator.engine import simulate

GROUND_TRUTH = ROOT.parent / "shared" / "ground_truth"
CHIP = load_accelerator("gemmini-chip")
MEMORY = Memory(latency_cycles=1, cycles_per_beat=1)
ACC = isa.ACCUMULATOR_BIT
FENCE_CYCLES = 14
"""Configuration and fence ahead of each measured row; here the five configuration commands alone come first."""


def measured(name):
    path = GROUND_TRUTH / name
    if not path.exists():
        pytest.skip("the measured rows are not beside this clone (../shared/ground_truth)")
    with path.open() as lines:
        return list(csv.DictReader(lines))


def accumulating(count):
    commands = micro_rows.start()
    for i in range(count):
        target = ACC | (isa.ACCUMULATE_BIT if i else 0)
        commands.append(isa.preload(0x800 + 16 * i, target, result_rows=16, **micro_rows.BLOCK))
        commands.append(isa.compute_preloaded(16 * i, isa.GARBAGE, a_columns=16, a_rows=16, **micro_rows.OTHER))
    return commands


def mvouts(count):
    stores = [isa.mvout(micro_rows.BASE + 0x400 * i, ACC | 64 * (i % 8), 64, 16) for i in range(count)]
    return micro_rows.start() + stores


CHIP_STREAMS = {
    "ws_pc": lambda count: micro_rows.pairs(count, 0x800),
    "ws_reuse": lambda count: micro_rows.pairs(count, 0x800, reuse=True),
    "ws_accum_sametile": accumulating,
    "mvin16x64": micro_rows.mvins,
    "mvoutacc16x64": mvouts,
}


def test_every_measured_micro_row_of_the_chip_is_exact():
    for row in measured("chip_micro.csv"):
        if row["what"] == "config5":
            assert simulate(isa.program_of(micro_rows.start()), CHIP, memory=MEMORY).cycles == int(row["cycles"])
            continue
        name, count = row["what"].removesuffix("_L1").rsplit("_x", 1)
        commands = CHIP_STREAMS[name](int(count))
        cycles = simulate(isa.program_of(commands), CHIP, memory=MEMORY).cycles
        assert cycles - len(micro_rows.start()) + FENCE_CYCLES == int(row["cycles"]), row["what"]


def test_a_single_port_without_sub_banks_is_refused():
    accumulator = msgspec.structs.replace(CHIP.accumulator, sub_banks=1)
    with pytest.raises(InputError, match=r"accumulator\.sub_banks"):
        simulate(isa.program_of([]), msgspec.structs.replace(CHIP, accumulator=accumulator))
