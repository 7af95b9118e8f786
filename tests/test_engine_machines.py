"""Machines other than the default one through the engine: what was measured of the chip configuration's RTL."""

import csv
from itertools import product

import micro_rows
import msgspec
import pytest
from simulator_programs import ROOT

from model_ir.errors import InputError
from simulator import isa
from simulator.accelerator import Memory
from simulator.accelerator_file import load_accelerator
from simulator.engine import simulate
from simulator.isa_loops import LoopMatmul, loop_ws

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


A_AT, B_AT, C_AT = 0x80100000, 0x80800000, 0x81000000
SOME_CHIP_MATMULS = (
    {"I": 32, "J": 32, "K": 32, "ti": 2, "tj": 2, "tk": 2, "lat": 1, "cycles": 421},
    {"I": 48, "J": 48, "K": 48, "ti": 3, "tj": 3, "tk": 3, "lat": 60, "cycles": 1367},
    {"I": 128, "J": 64, "K": 128, "ti": 4, "tj": 4, "tk": 8, "lat": 15, "cycles": 5631},
)
"""Transcribed from the chip configuration's RTL, so that a clone alone checks them."""


def looped_matmul(sizes, tile):
    """C = A B by loop_ws, i outermost, in tiles of blocks; two tiles that share an operand keep it, each in a half of
    the scratchpad, as the C library does (gemmini.h, tiled_matmul_outer).
    """
    rows, columns, depth = sizes
    steps = [16 * blocks for blocks in tile]
    counts = [-(-size // step) for size, step in zip(sizes, steps, strict=True)]
    keeps_a, keeps_b = counts[0] * counts[2] <= 2, counts[1] * counts[2] <= 2
    commands = [
        isa.config_ex(),
        isa.config_st(stride_bytes=columns),
        isa.config_ld(stride_bytes=depth),
        isa.config_ld(stride_bytes=columns, load_id=1),
        isa.config_ld(stride_bytes=0, load_id=2),
    ]
    for i, j, k in product(*map(range, counts)):
        row, column, inner = i * steps[0], j * steps[1], k * steps[2]
        commands += loop_ws(
            LoopMatmul(
                max_i=min(tile[0], (rows - row) // 16),
                max_j=min(tile[1], (columns - column) // 16),
                max_k=min(tile[2], (depth - inner) // 16),
                a_dram_addr=0 if keeps_a and j else A_AT + row * depth + inner,
                b_dram_addr=0 if keeps_b and i else B_AT + inner * columns + column,
                c_dram_addr=C_AT + row * columns + column if k == counts[2] - 1 else 0,
                a_dram_stride=depth,
                b_dram_stride=columns,
                d_dram_stride=columns,
                c_dram_stride=columns,
                ex_accumulate=k > 0,
                a_spad_id=(1 if i + k == 0 else 2) if keeps_a else 0,
                b_spad_id=(1 if j + k == 0 else 2) if keeps_b else 0,
            )
        )
    return isa.program_of(commands)


def run_matmul(row):
    sizes, tile = ([int(row[name]) for name in names] for names in (("I", "J", "K"), ("ti", "tj", "tk")))
    memory = Memory(latency_cycles=int(row["lat"]), cycles_per_beat=1)
    return simulate(looped_matmul(sizes, tile), CHIP, memory=memory)


@pytest.mark.parametrize("row", SOME_CHIP_MATMULS)
def test_transcribed_matmuls_of_the_chip_are_exact(row):
    assert run_matmul(row).cycles == row["cycles"]


def test_every_measured_matmul_of_the_chip_is_exact():
    for row in measured("chip_matmul.csv"):
        result = run_matmul(row)
        assert result.cycles == int(row["cycles"]), row
        moved = (result.read_requests, result.read_bytes, result.write_requests, result.write_bytes)
        assert moved == tuple(int(row[name]) for name in ("rdreq", "rdbytes", "wrreq", "wrbytes"))
