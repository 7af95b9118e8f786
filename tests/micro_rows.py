"""Cycle counts of Gemmini's RTL (default configuration), transcribed: one effect a row, five configuration commands
first.
"""

from __future__ import annotations

from simulator import isa

BASE = 0x80000000
ACC = isa.ACCUMULATOR_BIT
BLOCK = {"stationary_columns": 16, "stationary_rows": 16, "result_columns": 16}
OTHER = {"other_columns": 16, "other_rows": 16}


def start(dataflow=isa.WEIGHT_STATIONARY, store_stride=64):
    return [
        isa.config_ex(dataflow=dataflow),
        isa.config_st(stride_bytes=store_stride),
        isa.config_ld(stride_bytes=64),
        isa.config_ld(stride_bytes=64, load_id=1),
        isa.config_ld(stride_bytes=256, load_id=2),
    ]


def pairs(count, b, rows=16, reuse=False):
    commands = start()
    for i in range(count):
        again = reuse and i > 0
        stationary = isa.GARBAGE if again else b + (0 if reuse else 16 * i)
        commands.append(isa.preload(stationary, ACC | 16 * i, result_rows=rows, **BLOCK))
        compute = isa.compute_accumulated if again else isa.compute_preloaded
        commands.append(compute(16 * i, isa.GARBAGE, a_columns=16, a_rows=rows, **OTHER))
    return commands


def _output_stationary_pairs(count):
    commands = start(isa.OUTPUT_STATIONARY)
    for i in range(count):
        commands.append(isa.preload(0x3000 + 16 * i, 0x1000 + 16 * i, result_rows=16, **BLOCK))
        commands.append(isa.compute_preloaded(16 * i, 0x2000 + 16 * i, a_columns=16, a_rows=16, **OTHER))
    return commands


def mvins(count, columns=64, rows=16):
    return start() + [isa.mvin(BASE + 0x400 * i, 64 * i, columns, rows) for i in range(count)]


def _mvouts(count, bits=0, columns=64):
    step = 16 if columns == 16 else 64
    return start() + [isa.mvout(BASE + 0x400 * i, ACC | bits | step * i, columns, 16) for i in range(count)]


# name, commands, memory latency in cycles (one beat a cycle), cycles of the RTL
MICRO_ROWS = (
    ("ws_pairs_x1_L1", pairs(1, 0x2000), 1, 83),
    ("ws_pairs_x16_L1", pairs(16, 0x2000), 1, 323),
    ("ws_pairs_same_bank_x4_L1", pairs(4, 0x800), 1, 179),
    ("ws_weight_reuse_rows2_x32_L1", pairs(32, 0x2000, rows=2, reuse=True), 1, 297),
    ("ws_weight_reuse_rows8_x32_L1", pairs(32, 0x2000, rows=8, reuse=True), 1, 329),
    ("os_pairs_x1_L1", _output_stationary_pairs(1), 1, 99),
    ("os_pairs_x8_L1", _output_stationary_pairs(8), 1, 211),
    ("mvin_16x64_x4_L20", mvins(4), 20, 300),
    ("mvin_16x64_x4_L100", mvins(4), 100, 518),
    ("mvin_1x16_x1_L40", mvins(1, columns=16, rows=1), 40, 65),
    ("mvout_16x64_x1_L1", _mvouts(1), 1, 142),
    ("mvout_16x64_x2_L100", _mvouts(2), 100, 361),
    ("mvout_full_width_16x16_x16_L1", _mvouts(16, isa.FULL_WIDTH_BIT, 16), 1, 1054),
)
