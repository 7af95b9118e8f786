"""Which loop_ws the engine can unroll: one compiled look at each of its commands.

LoopMatmul.scala trusts its program; a bound of zero never ends, and a tile beyond its half of scratchpad or accumulator
runs into the other loop's. The C library's tilings keep to the halves (gemmini.h, tiled_matmul_auto).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from simulator.command_rules import LOOP_BOUND, LOOP_HALF, LOOP_NO_BOUNDS, LOOP_NORM, LOOP_SPAD, OK, TRANSPOSE
from simulator.engine_compile import bits

LOOP_SLOT, LOOP_BOUNDED, LOOP_CHECK_SIZE = range(3)
"""State: which of the two loops is configured next, and which have bounds (one bit each)."""
LAYER_NORM, SOFTMAX = 2, 4
NO_LIMIT = -1


@njit(cache=True)
def check_loop(funct, rs1, rs2, machine, state):  # type: ignore[no-untyped-def]
    """(rule, value, limit) of a command with funct 8 to 13; `machine` as `machine_limits` gives.

    `state` int64 (LOOP_CHECK_SIZE,) is brought up to date.
    """
    if funct == 9:
        return _check_bounds(np.int64(rs2), machine, state)
    if funct != 8:
        return OK, np.int64(0), np.int64(NO_LIMIT)
    slot = state[LOOP_SLOT]
    state[LOOP_SLOT] = 1 - slot
    if not (state[LOOP_BOUNDED] >> slot) & 1:
        return LOOP_NO_BOUNDS, np.int64(funct), np.int64(NO_LIMIT)
    run, transposes = np.int64(rs1), np.int64(rs2)
    if bits(run, 10, 8) == LAYER_NORM or bits(run, 10, 8) == SOFTMAX:
        return LOOP_NORM, bits(run, 10, 8), np.int64(NO_LIMIT)
    if bits(transposes, 1, 0) == 3:
        return TRANSPOSE, np.int64(2), np.int64(1)
    if bits(transposes, 9, 3):
        return LOOP_SPAD, bits(transposes, 9, 3), np.int64(0)
    return OK, np.int64(0), np.int64(NO_LIMIT)


@njit(cache=True)
def _check_bounds(bounds, machine, state):  # type: ignore[no-untyped-def]
    dim, scratchpad_rows, accumulator_rows = machine[0], machine[1], machine[2]
    k, j, i = bits(bounds, 47, 32), bits(bounds, 31, 16), bits(bounds, 15, 0)
    if k == 0 or j == 0 or i == 0:
        return LOOP_BOUND, np.int64(0), np.int64(1)
    if max(i, j) * k * dim > scratchpad_rows // 2:
        return LOOP_HALF, max(i, j) * k * dim, np.int64(scratchpad_rows // 2)
    if i * j * dim > accumulator_rows // 2:
        return LOOP_HALF, i * j * dim, np.int64(accumulator_rows // 2)
    state[LOOP_BOUNDED] |= 1 << state[LOOP_SLOT]
    return OK, np.int64(0), np.int64(NO_LIMIT)
