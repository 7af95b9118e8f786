"""loop_ws as the plain commands Gemmini's LoopMatmul.scala emits for it (ucb-bar/gemmini at 8c3f992).

The order here is one that gives the right values when commands take effect one after the other: all loads, then all
computes, then all stores, each group in the order of its state machine. The RTL interleaves the groups as its
reservation station has room; `cycle_level.loop_matmul` does so with its timing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from model_ir.errors import InputError
from simulator.accelerator import Accelerator
from simulator.isa import (
    COMPUTE_ACCUMULATED,
    COMPUTE_PRELOADED,
    CONFIG,
    CONFIG_NORM,
    GARBAGE,
    MVIN,
    MVIN2,
    MVIN3,
    MVOUT,
    PRELOAD,
)
from simulator.isa_loops import LoopMatmul
from simulator.program import Program
from simulator.unroll_words import Ints, accumulator, alternated, commands, grid, joined, memory, scratchpad, spans

LAYER_NORM, SOFTMAX = 2, 4
"""Values of `act` whose stores the unroller emits row by row (Activation.scala)."""
STATISTICS_IDS = 2
"""Rows normalised side by side (NORM_STAT_IDS, LoopMatmul.scala)."""
# NormCmd.scala: reset 0, sum 1, mean 2, variance 3, inverse deviation 4, max 5, sum of exponentials 6, its inverse 7.
_NORM_PASSES = {LAYER_NORM: ((1, 2), (3, 4), (0, 0)), SOFTMAX: ((5, 5), (6, 7), (0, 0))}
"""For each pass its normaliser command on all column blocks but the last, and on the last."""
NORM_COMMAND_LOW_BIT = 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where one loop lives: first scratchpad row of A, the row past B's last, first accumulator row of C, and of the
    sum of a residual add."""

    a_start: int
    b_end: int
    c_start: int
    resadd_start: int


def placement(loop: LoopMatmul, slot: int, half: int, accelerator: Accelerator) -> Placement:
    """The halves of scratchpad and accumulator a loop takes that runs from register set `slot` (0 or 1) while stores
    have alternated to accumulator `half`."""
    sp_half, acc_half = accelerator.scratchpad_rows // 2, accelerator.accumulator_rows // 2
    return Placement(
        a_start=(loop.a_spad_id - 1 if loop.a_spad_id else slot) * sp_half,
        b_end=(loop.b_spad_id or slot + 1) * sp_half,
        c_start=half * acc_half,
        resadd_start=slot * acc_half,
    )


def _edge(index: Ints, end: int, dim: int, pad: int) -> Ints:
    """Elements of blocks `index`: DIM, less the padding in the last of `end` blocks."""
    return np.where(index == end - 1, dim - pad, dim)


def _width(column: Ints, end: int, step: int, dim: int, pad: int) -> Ints:
    """Columns of a transfer of up to `step` blocks that begins at block `column` of `end`."""
    blocks = np.minimum(step, end - column)
    return blocks * dim - np.where(column + blocks >= end, pad, 0)


def _step(end: int, size: int, machine: Accelerator) -> int:
    """Blocks of elements of `size` bytes that one transfer carries, of `end` in a row (max_block_len)."""
    return min(end, max(machine.dma.request_bytes // (machine.dim * size), 1))


def _load_a(loop: LoopMatmul, place: Placement, machine: Accelerator) -> Program:
    dim, size = machine.dim, machine.input_bytes
    if loop.a_dram_addr == 0:
        return joined([])
    row_end, column_end, row_pad, column_pad = loop.max_i, loop.max_k, loop.pad_i, loop.pad_k
    if loop.a_transpose:
        row_end, column_end, row_pad, column_pad = column_end, row_end, column_pad, row_pad
    step = _step(column_end, size, machine)
    if loop.a_transpose:  # k outermost: rows of memory are k
        row, column = grid(range(row_end), range(0, column_end, step))
    else:
        column, row = grid(range(0, column_end, step), range(row_end))
    start = place.resadd_start if loop.is_resadd else place.a_start
    at = start + (row * column_end + column) * dim
    address = accumulator(at, "loop_ws.A") if loop.is_resadd else scratchpad(at, "loop_ws.A")
    offset = (row * loop.a_dram_stride + column) * dim * size
    words = spans(_edge(row, row_end, dim, row_pad), _width(column, column_end, step, dim, column_pad), address)
    return commands(MVIN, memory(loop.a_dram_addr, offset), words)


def _load_b(loop: LoopMatmul, place: Placement, machine: Accelerator) -> Program:
    """Every row of every block, also past the last row of B: LoopMatmul.scala compares a bound with itself there."""
    dim, size = machine.dim, machine.input_bytes
    if loop.b_dram_addr == 0:
        return joined([])
    row_end, column_end, column_pad = loop.max_k, loop.max_j, loop.pad_j
    if loop.b_transpose:
        row_end, column_end, column_pad = loop.max_j, loop.max_k, loop.pad_k
    step = _step(column_end, size, machine)
    if loop.b_transpose:
        column, row = grid(range(0, column_end, step), range(row_end))
    else:
        row, column = grid(range(row_end), range(0, column_end, step))
    start = place.resadd_start if loop.is_resadd else place.b_end - loop.max_k * loop.max_j * dim
    at = start + (row * column_end + column) * dim
    address = accumulator(at, "loop_ws.B", accumulate=True) if loop.is_resadd else scratchpad(at, "loop_ws.B")
    offset = (row * loop.b_dram_stride + column) * dim * size
    words = spans(np.full(row.size, dim), _width(column, column_end, step, dim, column_pad), address)
    return commands(MVIN2, memory(loop.b_dram_addr, offset), words)


def _load_d(loop: LoopMatmul, place: Placement, machine: Accelerator) -> Program:
    dim = machine.dim
    if loop.d_dram_addr == 0:
        return joined([])
    size = machine.input_bytes if loop.low_d else machine.accumulator_bytes
    step = _step(loop.max_j, size, machine)
    j, i = grid(range(0, loop.max_j, step), range(loop.max_i))
    address = accumulator(place.c_start + (i * loop.max_j + j) * dim, "loop_ws.D")
    offset = (i * loop.d_dram_stride + j) * dim * size
    words = spans(_edge(i, loop.max_i, dim, loop.pad_i), _width(j, loop.max_j, step, dim, loop.pad_j), address)
    return commands(MVIN3, memory(loop.d_dram_addr, offset), words)


def _execute(loop: LoopMatmul, place: Placement, machine: Accelerator) -> Program:
    dim = machine.dim
    k, j, i = grid(range(loop.max_k), range(loop.max_j), range(loop.max_i))
    a_block = k * loop.max_i + i if loop.a_transpose else i * loop.max_k + k
    b_block = j * loop.max_k + k if loop.b_transpose else k * loop.max_j + j
    a = scratchpad(place.a_start + a_block * dim, "loop_ws.A")
    b = scratchpad(place.b_end - loop.max_k * loop.max_j * dim + b_block * dim, "loop_ws.B")
    accumulate = np.where(k > 0, 1, int(loop.ex_accumulate))
    c = accumulator(place.c_start + (i * loop.max_j + j) * dim, "loop_ws.C", accumulate=accumulate)
    rows, columns = _edge(i, loop.max_i, dim, loop.pad_i), _edge(j, loop.max_j, dim, loop.pad_j)
    depth = _edge(k, loop.max_k, dim, loop.pad_k)
    stationary = np.where(i == 0, b, GARBAGE)
    preloads = commands(PRELOAD, spans(depth, columns, stationary), spans(rows, columns, c))
    full = np.full(k.size, dim)
    computes = commands(COMPUTE_PRELOADED, spans(rows, depth, a), spans(full, full, np.full(k.size, GARBAGE)))
    functs = np.where(i == 0, COMPUTE_PRELOADED, COMPUTE_ACCUMULATED).astype(np.uint8)
    return alternated(preloads, replace(computes, funct=functs))


def _store(loop: LoopMatmul, place: Placement, machine: Accelerator) -> Program:
    dim = machine.dim
    size = machine.accumulator_bytes if loop.full_c else machine.input_bytes
    step = 1 if loop.full_c else _step(loop.max_j, size, machine)
    j, i = grid(range(0, loop.max_j, step), range(loop.max_i))
    start = place.resadd_start if loop.is_resadd else place.c_start
    address = accumulator(start + (i * loop.max_j + j) * dim, "loop_ws.C", full_width=loop.full_c)
    offset = (i * loop.c_dram_stride + j) * dim * size
    words = spans(_edge(i, loop.max_i, dim, loop.pad_i), _width(j, loop.max_j, step, dim, loop.pad_j), address)
    return commands(MVOUT, memory(loop.c_dram_addr, offset), words)


def _norm_row(
    loop: LoopMatmul, place: Placement, machine: Accelerator, i: int, row: int, turn: int, name: int
) -> Program:
    """config_norm for statistics id `name`, then one pass (`turn`) over row `row` + `name` of block row `i`."""
    dim, size = machine.dim, machine.input_bytes
    step = 1 if loop.full_c else _step(loop.max_j, size, machine)
    j = np.arange(0, loop.max_j, step)
    among, last = _NORM_PASSES[loop.act][turn]
    norm = np.where(j + step >= loop.max_j, last, among) << NORM_COMMAND_LOW_BIT
    at = place.c_start + (i * loop.max_j + j) * dim + row + name
    offset = ((i * loop.c_dram_stride + j) * dim + (row + name) * loop.c_dram_stride) * size
    words = spans(
        np.ones(j.size, np.int64),
        _width(j, loop.max_j, step, dim, loop.pad_j),
        accumulator(at, "loop_ws.C", full_width=loop.full_c) | norm,
    )
    config = np.array([CONFIG_NORM | name << 8 | 1 << 17], np.uint64)
    stores = commands(MVOUT, memory(loop.c_dram_addr, offset), words)
    return joined([commands(CONFIG, config, np.zeros(1, np.uint64)), stores])


def _store_normalised(loop: LoopMatmul, place: Placement, machine: Accelerator) -> Program:
    """LayerNorm and softmax: two rows at a time, three passes over each (LoopMatmul.scala, ln_config and ln_st)."""
    parts = []
    for i in range(loop.max_i):
        rows = machine.dim - (loop.pad_i if i == loop.max_i - 1 else 0)
        for row in range(0, rows, STATISTICS_IDS):
            for turn in range(len(_NORM_PASSES[loop.act])):
                for name in range(min(STATISTICS_IDS, rows - row)):
                    parts.append(_norm_row(loop, place, machine, i, row, turn, name))
    return joined(parts)


def unroll_matmul(loop: LoopMatmul, place: Placement, machine: Accelerator) -> Program:
    """The plain commands of `loop`, in an order whose sequential execution gives its values.

    Raises InputError for a loop without blocks, with padding of a whole block or both operands transposed, or with an
    operand at a row below zero.
    """
    for name in ("i", "j") if loop.is_resadd else ("i", "j", "k"):
        if getattr(loop, f"max_{name}") == 0:
            raise InputError(f"loop_ws.max_{name}", "a loop needs one block at least", value=0, limit=1)
        if getattr(loop, f"pad_{name}") >= machine.dim:
            pad = getattr(loop, f"pad_{name}")
            raise InputError(f"loop_ws.pad_{name}", "pads a whole block", value=pad, limit=machine.dim - 1)
    store = _store_normalised if loop.act in _NORM_PASSES else _store
    stores = [store(loop, place, machine)] if loop.c_dram_addr else []
    if loop.is_resadd:
        sum_of = replace(loop, max_k=loop.max_j, pad_k=loop.pad_j)
        addends = [load(sum_of, place, machine) for load in (_load_d, _load_a)]
        return joined([*addends, _load_b(replace(sum_of, max_k=loop.max_i), place, machine), *stores])
    if loop.a_transpose and loop.b_transpose:
        raise InputError("loop_ws.b_transpose", "the one transposer cannot serve two operands", value=1, limit=0)
    loads = [load(loop, place, machine) for load in (_load_d, _load_a, _load_b)]
    return joined([*loads, _execute(loop, place, machine), *stores])
