"""Rows of an operation that fire one a cycle because nothing can keep them from it.

Between the first and the last row of an operation whose operands lie in three banks, a row fires every cycle unless
someone else takes a bank of theirs. So these rows are not fired as their cycles come: `begin_rows` notes from which
cycle on they do (X_LAG), whoever takes a scratchpad bank, or looks at what the array reads, first fires those of the
cycles that have passed (`interrupt_rows`, `interrupt_all`), and otherwise all are fired when the last row's turn comes.
What they leave behind lies further ahead than an operation is long, for it passes the mesh.
"""

from __future__ import annotations

import numpy as np

from simulator.cycle_level.accumulator import access_of, note_execute_write
from simulator.cycle_level.banks import bank_of
from simulator.cycle_level.compile import compiled, inlined, least, merged, most

# isort: off
from simulator.cycle_level.state import (
    ACCUMULATOR_KEY, ACC_BANK_BIT, LEFT, MESH_DONE, NEVER, N_ACC_WRITE, N_SP_READ, N_SP_WRITE, PAST, P_ACC_BYTES,
    P_ACC_PORTS, P_DIM, P_IN_BYTES, P_MESH_DELAY, P_READ_DELAY, P_TAGS, ROW_SHIFT, TAGS, TAG_RING, T_ACCUMULATES,
    T_ENTERED, T_KEY, T_LEFT, T_MATCH, T_ROWS, T_SIZE, T_SLOT, T_STRIDE, T_WS, V_HELD_BANK, WRITE_BANK, WRITE_RING,
    WRITE_TIME, W_BANK, W_TIME, X_A_ROWS, X_BANK_A, X_BANK_B, X_BANK_D, X_BUSY, X_B_ROWS, X_CAUSE, X_C_ACCUMULATES,
    X_C_KEY, X_C_ROWS, X_C_SLOT, X_C_STRIDE, X_DONE_TAIL, X_D_ROWS, X_ENTRIES, X_FIRED, X_FIRST, X_LAG, X_LAST_OUT,
    X_LAST_ROW, X_NA, X_NB, X_ND, X_NEXT, X_OPS, X_READS, X_READ_TIME, X_ROW, X_SMOOTH, X_SP_UNTIL, X_TAG_HEAD,
    X_TAG_TAIL, X_TOTAL, X_WS,
)  # fmt: skip
# isort: on


@inlined
def _write_result(m, key, time, tag):  # type: ignore[no-untyped-def]
    """Row `key` of the result that `tag` names is written in cycle `time`."""
    bank = bank_of(m, key)
    slot = time % WRITE_RING
    m[WRITE_TIME + slot] = time
    if bank >= ACC_BANK_BIT:
        m[WRITE_BANK + slot] = access_of(m, key, m[tag + T_ACCUMULATES])
        note_execute_write(m, time, bank)
        m[N_ACC_WRITE] += m[P_DIM] * m[P_ACC_BYTES]
    else:
        m[WRITE_BANK + slot] = bank
        m[X_SP_UNTIL] = time
        m[N_SP_WRITE] += m[P_DIM] * m[P_IN_BYTES]


@compiled
def enter_operation(m, time):  # type: ignore[no-untyped-def]
    """The operation's first row reaches the mesh in cycle `time`: number it and queue its tag."""
    m[X_OPS] += 1
    tag = TAGS + m[X_TAG_TAIL] % TAG_RING * T_SIZE
    m[tag + T_MATCH] = m[X_OPS] + (1 if m[X_WS] else 2)
    m[tag + T_SLOT], m[tag + T_KEY], m[tag + T_ROWS] = m[X_C_SLOT], m[X_C_KEY], m[X_C_ROWS]
    m[tag + T_ACCUMULATES], m[tag + T_ENTERED], m[tag + T_LEFT] = m[X_C_ACCUMULATES], time, PAST
    m[tag + T_STRIDE], m[tag + T_WS] = m[X_C_STRIDE], m[X_WS]
    m[X_TAG_TAIL] += 1


@compiled
def row_leaves(m, row, total, time):  # type: ignore[no-untyped-def]
    """Row `row` of the current operation leaves the mesh in cycle `time` with the result the head tag names."""
    if m[X_TAG_HEAD] == m[X_TAG_TAIL]:
        return
    tag = TAGS + m[X_TAG_HEAD] % TAG_RING * T_SIZE
    if m[tag + T_MATCH] != m[X_OPS]:
        return
    result_row = row if m[tag + T_WS] else total - 1 - row
    if m[tag + T_SLOT] >= 0 and result_row < m[tag + T_ROWS]:
        _write_result(m, m[tag + T_KEY] + result_row * m[tag + T_STRIDE], time, tag)
    if row == total - 1:
        m[tag + T_LEFT] = time
        m[X_TAG_HEAD] += 1
        if m[tag + T_SLOT] >= 0:
            done = MESH_DONE + m[X_DONE_TAIL] % TAG_RING * 2
            m[done + 0], m[done + 1] = time, m[tag + T_SLOT]
            m[X_DONE_TAIL] += 1


@inlined
def _first_row_of_d(m):  # type: ignore[no-untyped-def]
    """D is read from the last row back: the operation's row from which on it has rows."""
    return m[P_DIM] - m[X_D_ROWS] if m[X_BANK_D] >= 0 else m[P_DIM]


@inlined
def _note_reads(m, t, read_a, read_b, read_d):  # type: ignore[no-untyped-def]
    """Operands are read in cycle `t`."""
    reads = np.int64(0)
    if read_a:
        reads |= np.int64(1) << m[X_BANK_A]
    if read_b:
        reads |= np.int64(1) << m[X_BANK_B]
    if read_d:
        reads |= np.int64(1) << m[X_BANK_D]
    m[X_READ_TIME], m[X_READS] = t, reads


@merged
def _fire_until(m, t):  # type: ignore[no-untyped-def]
    """Fire the rows of the cycles from X_LAG to `t` - 1."""
    first, since, count = m[X_NA], m[X_LAG], t - m[X_LAG]
    if count <= 0:
        return
    end_a = m[X_A_ROWS] if m[X_BANK_A] >= 0 else 0
    end_b = m[X_B_ROWS] if m[X_BANK_B] >= 0 else 0
    start_d = _first_row_of_d(m)
    last, end = first + count - 1, first + count
    read = most(least(end_a, end) - first, 0) + most(least(end_b, end) - first, 0) + most(end - most(start_d, first), 0)
    m[N_SP_READ] += read * m[P_DIM] * m[P_IN_BYTES]
    if last < end_a or last < end_b or last >= start_d:
        _note_reads(m, t - 1, last < end_a, last < end_b, last >= start_d)
    if m[X_LAST_OUT] + 1 == since + m[P_READ_DELAY]:
        _queue_rows(m, first, since + m[P_READ_DELAY], count)
    else:
        for row in range(first, end):
            time, reads = since + row - first, row < end_a or row < end_b or row >= start_d
            out = most(m[X_LAST_OUT] + 1, time + (m[P_READ_DELAY] if reads else 1))
            m[LEFT + ((m[X_ENTRIES] + row - first) & 63)], m[X_LAST_OUT] = out, out
            row_leaves(m, row, m[X_TOTAL], out + m[P_MESH_DELAY])
    m[X_NA], m[X_NB], m[X_ND], m[X_ROW] = end, end, end, end
    m[X_ENTRIES] += count
    m[X_LAST_ROW], m[X_FIRED], m[X_LAG] = m[X_LAST_OUT], t - 1, t
    m[X_BUSY] += count


@merged
def _queue_rows(m, first, time, count):  # type: ignore[no-untyped-def]
    """Row `first` leaves the control queue in cycle `time`, `count` - 1 others in the cycles behind; none is the last.

    That is so while the queue is as full as it gets, whether a row reads operands or not.
    """
    for number in range(count):
        m[LEFT + ((m[X_ENTRIES] + number) & 63)] = time + number
    m[X_LAST_OUT] = time + count - 1
    tag = TAGS + m[X_TAG_HEAD] % TAG_RING * T_SIZE
    if m[X_TAG_HEAD] == m[X_TAG_TAIL] or m[tag + T_MATCH] != m[X_OPS] or m[tag + T_SLOT] < 0:
        return
    if m[tag + T_WS]:
        _write_results(m, tag, first, np.int64(1), time + m[P_MESH_DELAY], least(count, m[tag + T_ROWS] - first))
    else:
        # The last rows leave first; those beyond the result's are nobody's.
        row = m[X_TOTAL] - 1 - first
        beyond = most(row - m[tag + T_ROWS] + 1, 0)
        _write_results(m, tag, row - beyond, np.int64(-1), time + beyond + m[P_MESH_DELAY], count - beyond)


@compiled
def _write_results(m, tag, row, step, time, count):  # type: ignore[no-untyped-def]
    """Rows `row`, `row` + `step` and so on, `count` of them, of the result `tag` names are written from `time` on."""
    if count <= 0:
        return
    key, stride = m[tag + T_KEY] + row * m[tag + T_STRIDE], step * m[tag + T_STRIDE]
    last = key + (count - 1) * stride
    slot = time & (WRITE_RING - 1)
    if (
        m[P_ACC_PORTS] == 1
        or least(key, last) < ACCUMULATOR_KEY
        or bank_of(m, key) != bank_of(m, last)
        or slot + count > WRITE_RING
    ):
        for number in range(count):
            _write_result(m, key + number * stride, time + number, tag)
        return
    word, following = access_of(m, key, m[tag + T_ACCUMULATES]), stride << ROW_SHIFT
    for number in range(count):
        m[WRITE_TIME + slot + number], m[WRITE_BANK + slot + number] = time + number, word + number * following
    m[N_ACC_WRITE] += count * m[P_DIM] * m[P_ACC_BYTES]


@inlined
def _is_operand(m, bank):  # type: ignore[no-untyped-def]
    return bank == m[X_BANK_A] or bank == m[X_BANK_B] or bank == m[X_BANK_D]


@inlined
def is_apart(m, t):  # type: ignore[no-untyped-def]
    """Whether nothing keeps the operands of the current row from being read in cycle `t`."""
    row = m[X_NA]
    return (
        m[X_SMOOTH] != 0
        and m[V_HELD_BANK] < 0
        and m[X_SP_UNTIL] < t
        and row == m[X_NB]
        and row == m[X_ND]
        and row == m[X_ROW]
        and not (m[W_TIME] == t and _is_operand(m, m[W_BANK]))
    )


@inlined
def begin_rows(m, t):  # type: ignore[no-untyped-def]
    """From cycle `t` on the array fires the middle rows of its operation, if nothing keeps it from it now; else False.

    The control queue has room for all of them if its last entry so far leaves it in time, for each takes a cycle.
    """
    row = m[X_NA]
    if row == 0 or row >= m[X_TOTAL] - 1 or m[X_LAST_OUT] >= t + m[P_READ_DELAY] or not is_apart(m, t):
        return False
    m[X_LAG], m[X_CAUSE], m[X_NEXT] = t, 0, t + m[X_TOTAL] - 1 - row
    return True


@merged
def fire_apart(m, t):  # type: ignore[no-untyped-def]
    """Fire all of the current row in cycle `t`, in which `is_apart` holds and the control queue has room."""
    row = m[X_NA]
    read_a = m[X_BANK_A] >= 0 and row < m[X_A_ROWS]
    read_b = m[X_BANK_B] >= 0 and row < m[X_B_ROWS]
    read_d = row >= _first_row_of_d(m)
    out = m[X_LAST_OUT] + 1
    if read_a or read_b or read_d:
        _note_reads(m, t, read_a, read_b, read_d)
        m[N_SP_READ] += (read_a + read_b + read_d) * m[P_DIM] * m[P_IN_BYTES]
        out = most(out, t + m[P_READ_DELAY])
    out = most(out, t + 1)
    if row == 0:
        before = m[X_TAG_TAIL] - m[P_TAGS]
        if before >= 0:
            out = most(out, m[TAGS + before % TAG_RING * T_SIZE + T_LEFT] + 1)
        enter_operation(m, out)
        m[X_FIRST] = 0
    m[X_NA], m[X_NB], m[X_ND], m[X_ROW] = row + 1, row + 1, row + 1, row + 1
    m[LEFT + (m[X_ENTRIES] & 63)] = out
    m[X_ENTRIES] += 1
    m[X_LAST_OUT], m[X_LAST_ROW], m[X_FIRED] = out, out, t
    m[X_BUSY] += 1
    row_leaves(m, row, m[X_TOTAL], out + m[P_MESH_DELAY])


@compiled
def interrupt_all(m, t):  # type: ignore[no-untyped-def]
    """Fire the rows of the cycles before `t`; from `t` on, the array is looked at again."""
    if m[X_LAG] != NEVER:
        _fire_until(m, t)
        m[X_LAG], m[X_NEXT] = NEVER, t


@inlined
def interrupt_rows(m, t, bank):  # type: ignore[no-untyped-def]
    """Scratchpad `bank` is written in cycle `t`, before the array's turn."""
    if m[X_LAG] != NEVER and _is_operand(m, bank):
        interrupt_all(m, t)
