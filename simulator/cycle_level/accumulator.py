"""Who gets at an accumulator bank in a cycle (AccumulatorMem, Scratchpad .scala).

A row written takes a few cycles through the adder before it reaches the memory. Where the memory has one port, its
rows are dealt to sub-banks by their lowest address bits; a written row then waits in a queue of its sub-bank for a
cycle without the read of an accumulation, and plain reads come last. Each bank's queues are brought up to date only
when someone asks, from the rows that the execute controller and the DMA have written since.
"""

from __future__ import annotations

import numpy as np

from simulator.cycle_level.compile import compiled, inlined, most

# isort: off
from simulator.cycle_level.state import (
    ACCUMULATES_BIT, ACCUMULATOR_KEY, ACC_BANK_BIT, B_BLOCKED, B_LAST, B_SIZE, B_SUB_BANK, B_TIME, B_WAITING,
    DMA_WRITE, DMA_WRITE_TIME, P_ACC_BANK_SHIFT, P_ACC_LATENCY, P_ACC_PORTS, P_SUB_BANKS, ROW_SHIFT, SUB_BANKS,
    WRITE_BANK, WRITE_RING, WRITE_TIME,
)  # fmt: skip
# isort: on

HISTORY = WRITE_RING // 2
"""Cycles that are looked back at most; the array's rows are known as long ahead."""
BANK_MASK = ACC_BANK_BIT * 2 - 1


@inlined
def access_of(m, key, accumulates):  # type: ignore[no-untyped-def]
    """An accumulator row's write as one word: its bank with ACC_BANK_BIT, whether it accumulates, the row."""
    row = key - ACCUMULATOR_KEY
    bits = ACC_BANK_BIT | (ACCUMULATES_BIT if accumulates else 0)
    return bits | (row >> m[P_ACC_BANK_SHIFT]) | (row << ROW_SHIFT)


@inlined
def _sub_bank(m, access):  # type: ignore[no-untyped-def]
    return (access >> ROW_SHIFT) & (m[P_SUB_BANKS] - 1)


@inlined
def _access_at(m, time, bank):  # type: ignore[no-untyped-def]
    """The write that `bank` took in cycle `time`, -1 if none."""
    slot = time % WRITE_RING
    if m[WRITE_TIME + slot] == time and (m[WRITE_BANK + slot] & BANK_MASK) == bank:
        return m[WRITE_BANK + slot]
    if m[DMA_WRITE_TIME + slot] == time and (m[DMA_WRITE + slot] & BANK_MASK) == bank:
        return m[DMA_WRITE + slot]
    return np.int64(-1)


@inlined
def _record(bank):  # type: ignore[no-untyped-def]
    return SUB_BANKS + (bank & (ACC_BANK_BIT - 1)) * B_SIZE


@inlined
def note_execute_write(m, time, bank):  # type: ignore[no-untyped-def]
    """The array will write a row of `bank` in cycle `time`."""
    if m[P_ACC_PORTS] == 1:
        m[_record(bank) + B_LAST] = most(m[_record(bank) + B_LAST], time)


@inlined
def note_dma_write(m, t, access):  # type: ignore[no-untyped-def]
    """The DMA writes a row of an accumulator bank in cycle `t`."""
    m[DMA_WRITE_TIME + t % WRITE_RING], m[DMA_WRITE + t % WRITE_RING] = t, access
    if m[P_ACC_PORTS] == 1:
        record = _record(access & BANK_MASK)
        m[record + B_LAST] = most(m[record + B_LAST], t)


@compiled
def _catch_up(m, t, bank):  # type: ignore[no-untyped-def]
    """Bring the sub-banks' write queues of `bank` up to the end of cycle `t` - 1."""
    record = _record(bank)
    depth = m[P_ACC_LATENCY] + 1
    cycle = most(m[record + B_TIME], t - HISTORY)
    waiting = np.int64(0)
    for sub in range(m[P_SUB_BANKS]):
        waiting += m[record + B_WAITING + sub]
    while cycle < t:
        if waiting == 0 and m[record + B_LAST] < cycle - depth:
            m[record + B_BLOCKED] = 0
            break
        entering = _access_at(m, cycle - depth, bank)
        if entering >= 0:
            m[record + B_WAITING + _sub_bank(m, entering)] += 1
            waiting += 1
        access = _access_at(m, cycle, bank)
        reading = np.int64(-1)
        m[record + B_BLOCKED] = 0
        if access >= 0 and access & ACCUMULATES_BIT:
            reading = _sub_bank(m, access)
            # The DMA is kept from a third accumulation of one sub-bank on end (consecutive_write_block).
            m[record + B_BLOCKED] = 1 if reading == m[record + B_SUB_BANK] else 0
            m[record + B_SUB_BANK] = reading
        if waiting > 0:
            for sub in range(m[P_SUB_BANKS]):
                if sub != reading and m[record + B_WAITING + sub] > 0:
                    m[record + B_WAITING + sub] -= 1
                    waiting -= 1
        cycle += 1
    m[record + B_TIME] = t


@compiled
def read_waits(m, t, key):  # type: ignore[no-untyped-def]
    """Whether a write keeps a single-ported accumulator row from being read in cycle `t`."""
    access = access_of(m, key, False)
    bank, sub = access & BANK_MASK, _sub_bank(m, access)
    _catch_up(m, t, bank)
    entering = _access_at(m, t - m[P_ACC_LATENCY] - 1, bank)
    return m[_record(bank) + B_WAITING + sub] > 0 or (entering >= 0 and _sub_bank(m, entering) == sub)


@compiled
def _row_in_adder(m, t, access):  # type: ignore[no-untyped-def]
    for back in range(1, m[P_ACC_LATENCY] + 1):
        before = _access_at(m, t - back, access & BANK_MASK)
        if before >= 0 and before >> ROW_SHIFT == access >> ROW_SHIFT:
            return True
    return False


@compiled
def _row_in_queue(m, t, access):  # type: ignore[no-untyped-def]
    """Whether the row's sub-bank still holds an earlier write of it: the youngest writes are those that wait."""
    bank, sub = access & BANK_MASK, _sub_bank(m, access)
    left = m[_record(bank) + B_WAITING + sub]
    time = t - m[P_ACC_LATENCY] - 1
    entering = _access_at(m, time, bank)
    if entering >= 0 and _sub_bank(m, entering) == sub:
        left += 1
    while left > 0 and time > t - HISTORY:
        before = _access_at(m, time, bank)
        if before >= 0 and _sub_bank(m, before) == sub:
            if before >> ROW_SHIFT == access >> ROW_SHIFT:
                return True
            left -= 1
        time -= 1
    return False


@compiled
def dma_write_waits(m, t, access):  # type: ignore[no-untyped-def]
    """Whether the DMA may not write an accumulator row in cycle `t`: 0 it may, 1 not, 2 not and no read either."""
    if m[P_ACC_PORTS] == 1:
        _catch_up(m, t, access & BANK_MASK)
        if m[_record(access & BANK_MASK) + B_BLOCKED]:
            return 1
    if not access & ACCUMULATES_BIT:
        return 0
    if _row_in_adder(m, t, access) or (m[P_ACC_PORTS] == 1 and _row_in_queue(m, t, access)):
        return 2
    return 0
