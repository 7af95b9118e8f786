"""Which loop_conv_ws the engine can unroll: one compiled look at each of its commands.

LoopConv.scala trusts its program; a bound of zero never ends, padding beyond the tile wraps around, and a tile beyond
its half of scratchpad or accumulator runs into the other loop's. The C library's tilings keep to all of it (gemmini.h,
tiled_conv).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from simulator.command_rules import (
    CONV_DOWNSAMPLE,
    CONV_NO_CONFIG,
    CONV_PADS,
    CONV_PIXELS,
    CONV_POOL,
    LOOP_BOUND,
    LOOP_HALF,
    OK,
    TRANSPOSE,
)
from simulator.cycle_level.compile import bits

CONV_SLOT, CONV_GIVEN, _, CONV_WORDS = range(4)
"""State: which of the two loops is configured next, which configurations each was given (one bit each), their words."""
CONFIGURATIONS = 6
CONV_CHECK_SIZE = CONV_WORDS + 2 * 2 * CONFIGURATIONS
ALL_GIVEN = (1 << CONFIGURATIONS) - 1
NO_LIMIT = -1


@njit(cache=True)
def check_conv(funct, rs1, rs2, machine, state):  # type: ignore[no-untyped-def]
    """(rule, value, limit) of a command with funct 15 to 21; `machine` as `machine_limits` gives.

    `state` int64 (CONV_CHECK_SIZE,) is brought up to date.
    """
    slot = state[CONV_SLOT]
    first = CONV_WORDS + slot * 2 * CONFIGURATIONS
    if funct != 15:
        state[CONV_GIVEN + slot] |= 1 << (np.int64(funct) - 16)
        state[first + 2 * (np.int64(funct) - 16)] = np.int64(rs1)
        state[first + 2 * (np.int64(funct) - 16) + 1] = np.int64(rs2)
        return OK, np.int64(0), np.int64(NO_LIMIT)
    state[CONV_SLOT] = 1 - slot
    if state[CONV_GIVEN + slot] != ALL_GIVEN:
        return CONV_NO_CONFIG, np.int64(funct), np.int64(NO_LIMIT)
    return _check_run(np.int64(rs1), np.int64(rs2), state[first : first + 2 * CONFIGURATIONS], machine)


@njit(cache=True)
def _check_run(run, flags, words, machine):  # type: ignore[no-untyped-def]
    if bits(run, 5, 5) and bits(run, 4, 4):
        return TRANSPOSE, np.int64(2), np.int64(1)
    batches, pochs = bits(words[3], 63, 48), bits(words[3], 15, 0)
    krows, kcols, kchs = bits(words[4], 63, 48), bits(words[4], 47, 32), bits(words[4], 31, 16)
    orows, ocols = bits(words[6], 63, 48), bits(words[7], 15, 0)
    stride, dilation = bits(words[1], 55, 48), bits(words[6], 9, 0)
    least = min(min(min(batches, pochs), min(krows, kcols)), min(min(kchs, orows), min(ocols, min(stride, dilation))))
    if least == 0:
        return LOOP_BOUND, np.int64(0), np.int64(1)
    shared = bits(run, 15, 8) * min(machine[0], batches if bits(run, 5, 5) else kchs)
    if shared > machine[0]:
        return CONV_PIXELS, shared, np.int64(machine[0])
    if bits(flags, 0, 0) == 0:
        code, value, limit = _check_pool(words)
        if code != OK:
            return code, value, limit
    rows = orows * stride + krows + (dilation - 1) * (krows - 1) - 1
    columns = ocols * stride + kcols + (dilation - 1) * (kcols - 1) - 1
    return _check_sizes(run, flags, words, machine, rows, columns)


@njit(cache=True)
def _check_pool(words):  # type: ignore[no-untyped-def]
    """Window and step have two bits in config_st, the rows and columns of a pooled tile eight."""
    size, step = bits(words[2], 31, 16), bits(words[2], 15, 8)
    if min(size, step) < 1 or max(size, step) > 3:
        return CONV_POOL, size if size < 1 or size > 3 else step, np.int64(3)
    orows, ocols = bits(words[6], 63, 48), bits(words[7], 15, 0)
    porows, pocols = bits(words[3], 47, 32), bits(words[3], 31, 16)
    if max(max(orows, ocols), max(porows, pocols)) > 255:
        return CONV_POOL, max(max(orows, ocols), max(porows, pocols)), np.int64(255)
    if min(porows, pocols) == 0:
        return LOOP_BOUND, np.int64(0), np.int64(1)
    return OK, np.int64(0), np.int64(NO_LIMIT)


@njit(cache=True)
def _check_sizes(run, flags, words, machine, rows, columns):  # type: ignore[no-untyped-def]
    """Padding within the input tile of `rows` x `columns`, and every operand within its half."""
    dim, scratchpad_half, accumulator_half = machine[0], machine[1] // 2, machine[2] // 2
    lpad, rpad = bits(words[4], 15, 0), bits(words[5], 63, 48)
    upad, dpad = bits(words[5], 47, 32), bits(words[5], 31, 24)
    batches, pochs, kchs = bits(words[3], 63, 48), bits(words[3], 15, 0), bits(words[4], 31, 16)
    if lpad + rpad > columns or upad + dpad > rows:
        return CONV_PADS, max(lpad + rpad - columns, upad + dpad - rows), np.int64(0)
    halved, holes = bits(flags, 1, 1), bits(flags, 2, 2)
    if halved and (holes or (lpad | rpad | columns) & 1):
        return CONV_DOWNSAMPLE, columns, np.int64(NO_LIMIT)
    if holes:
        rows = ((rows - upad - dpad + 1) >> 1) + ((upad + 1) >> 1) + ((dpad + 1) >> 1)
        columns = ((columns - lpad - rpad + 1) >> 1) + ((lpad + 1) >> 1) + ((rpad + 1) >> 1)
    image = (rows >> halved) * (columns >> halved)
    inputs = ((batches + dim - 1) // dim * kchs if bits(run, 5, 5) else (kchs + dim - 1) // dim * batches) * image
    taps = bits(words[4], 63, 48) * bits(words[4], 47, 32)
    weights = taps * ((kchs + dim - 1) // dim * pochs if bits(run, 4, 4) else (pochs + dim - 1) // dim * kchs)
    if max(inputs, weights) > scratchpad_half:
        return LOOP_HALF, max(inputs, weights), np.int64(scratchpad_half)
    outputs = (pochs + dim - 1) // dim * batches * bits(words[6], 63, 48) * bits(words[7], 15, 0)
    if outputs > accumulator_half:
        return LOOP_HALF, outputs, np.int64(accumulator_half)
    return OK, np.int64(0), np.int64(NO_LIMIT)
