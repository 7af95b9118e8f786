"""Which bank a local row lies in, and which one the array writes in a cycle."""

from __future__ import annotations

import numpy as np

from simulator.cycle_level.compile import inlined

# isort: off
from simulator.cycle_level.state import (
    ACCUMULATOR_KEY, ACC_BANK_BIT, P_ACC_BANK_SHIFT, P_SP_BANK_SHIFT, P_SP_ROWS, WRITE_BANK, WRITE_RING, WRITE_TIME,
)  # fmt: skip
# isort: on


@inlined
def bank_of(m, key):  # type: ignore[no-untyped-def]
    """Bank of a local row key: scratchpad bank number, or accumulator bank number plus ACC_BANK_BIT.

    Scratchpad rows wrap around: the execute controller also compares rows of a block that it does not read.
    """
    if key >= ACCUMULATOR_KEY:
        return ACC_BANK_BIT | ((key - ACCUMULATOR_KEY) >> m[P_ACC_BANK_SHIFT])
    return (key if key < m[P_SP_ROWS] else key % m[P_SP_ROWS]) >> m[P_SP_BANK_SHIFT]


@inlined
def copy_key(m, key, copy):  # type: ignore[no-untyped-def]
    """Row that copy `copy` of a repeated pixel goes to, that many above `key`; -1 outside its half of the scratchpad
    (PixelRepeater.scala).
    """
    if copy == 0:
        return key
    half = m[P_SP_ROWS] // 2
    return key - copy if key - copy >= (half if key >= half else 0) else np.int64(-1)


@inlined
def execute_writes(m, t):  # type: ignore[no-untyped-def]
    """Bank the execute controller writes in cycle `t` with its accumulate bit, -1 if none."""
    slot = t % WRITE_RING
    return m[WRITE_BANK + slot] if m[WRITE_TIME + slot] == t else np.int64(-1)


@inlined
def executing_on(m, t, bank):  # type: ignore[no-untyped-def]
    """Whether the execute controller writes `bank` in cycle `t`."""
    execute = execute_writes(m, t)
    return execute >= 0 and (execute & (ACC_BANK_BIT * 2 - 1)) == bank
