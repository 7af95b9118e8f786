"""Which loop_ws the engine can unroll: one compiled look at each of its commands.

LoopMatmul.scala trusts its program; a bound of zero never ends, and a tile beyond its half of scratchpad or accumulator
runs into the other loop's. The C library's tilings keep to the halves (gemmini.h, tiled_matmul_auto).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from simulator.command_rules import (
    FULL_WIDTH,
    LOOP_BOUND,
    LOOP_HALF,
    LOOP_NO_BOUNDS,
    LOOP_NORM,
    LOOP_PAD,
    LOOP_SPAD,
    OK,
    TRANSPOSE,
)
from simulator.cycle_level.compile import bits

LOOP_SLOT, LOOP_BOUNDED, LOOP_WORDS, _, LOOP_CHECK_SIZE = range(5)
"""State: which of the two loops is configured next, which have bounds (one bit each), and their bounds."""
LAYER_NORM, SOFTMAX = 2, 4
NO_LIMIT = -1


@njit(cache=True)
def check_loop(funct, rs1, rs2, machine, state):  # type: ignore[no-untyped-def]
    """(rule, value, limit) of a command with funct 8 to 13; `machine` as `machine_limits` gives.

    `state` int64 (LOOP_CHECK_SIZE,) is brought up to date.
    """
    if funct == 9:
        return _check_bounds(np.int64(rs1), np.int64(rs2), machine, state)
    if funct != 8:
        return OK, np.int64(0), np.int64(NO_LIMIT)
    slot = state[LOOP_SLOT]
    state[LOOP_SLOT] = 1 - slot
    if not (state[LOOP_BOUNDED] >> slot) & 1:
        return LOOP_NO_BOUNDS, np.int64(funct), np.int64(NO_LIMIT)
    run, flags = np.int64(rs1), np.int64(rs2)
    if machine[10] and (bits(run, 10, 8) == LAYER_NORM or bits(run, 10, 8) == SOFTMAX):
        return LOOP_NORM, bits(run, 10, 8), np.int64(NO_LIMIT)
    if bits(flags, 1, 0) == 3:
        return TRANSPOSE, np.int64(2), np.int64(1)
    if bits(flags, 9, 3):
        return LOOP_SPAD, bits(flags, 9, 3), np.int64(0)
    if bits(run, 1, 1) and not machine[5]:
        return FULL_WIDTH, np.int64(1 << 29), np.int64(NO_LIMIT)
    if bits(flags, 2, 2):
        return OK, np.int64(0), np.int64(NO_LIMIT)
    if bits(state[LOOP_WORDS + slot], 47, 32) == 0:
        return LOOP_BOUND, np.int64(0), np.int64(1)
    return _check_halves(run, slot, state[LOOP_WORDS + slot], machine[0], machine[1] // 2)


@njit(cache=True)
def _check_bounds(pads, bounds, machine, state):  # type: ignore[no-untyped-def]
    dim, accumulator_half = machine[0], machine[2] // 2
    j, i = bits(bounds, 31, 16), bits(bounds, 15, 0)
    # A residual add, which only the command that runs the loop tells, has no depth.
    if j == 0 or i == 0:
        return LOOP_BOUND, np.int64(0), np.int64(1)
    pad = max(bits(pads, 47, 32), max(bits(pads, 31, 16), bits(pads, 15, 0)))
    if pad >= dim:
        return LOOP_PAD, pad, np.int64(dim - 1)
    if i * j * dim > accumulator_half:
        return LOOP_HALF, i * j * dim, np.int64(accumulator_half)
    state[LOOP_BOUNDED] |= 1 << state[LOOP_SLOT]
    state[LOOP_WORDS + state[LOOP_SLOT]] = bounds
    return OK, np.int64(0), np.int64(NO_LIMIT)


@njit(cache=True)
def _check_halves(run, slot, bounds, dim, half):  # type: ignore[no-untyped-def]
    """A lies from the start of its half on, B up to the end of its own; both halves may be one."""
    k, j, i = bits(bounds, 47, 32), bits(bounds, 31, 16), bits(bounds, 15, 0)
    of_a, of_b = bits(run, 19, 18), bits(run, 17, 16)
    of_a, of_b = of_a if of_a else slot + 1, of_b if of_b else slot + 1
    rows = (i + j if of_a == of_b else max(i, j)) * k * dim
    if rows > half or max(of_a, of_b) > 2:
        return LOOP_HALF, rows if rows > half else max(of_a, of_b) * half, np.int64(half if rows > half else 2 * half)
    return OK, np.int64(0), np.int64(NO_LIMIT)
