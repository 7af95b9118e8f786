"""Rows of an operation that fire one a cycle because nothing can keep them from it.

Between the first and the last row of an operation whose operands lie in three banks, a row fires every cycle unless
someone else takes a bank of theirs. So these rows are not fired as their cycles come: `begin_rows` notes from which
cycle on they do (X_LAG), whoever takes a scratchpad bank, or looks at what the array reads, first fires those of the
cycles that have passed (`interrupt_rows`, `interrupt_all`), and otherwise all are fired when the last row's turn comes.
What they leave behind lies further ahead than an operation is long, for it passes the mesh.
"""

from __future__ import annotations

from simulator.engine_accumulator import access_of, note_execute_write
from simulator.engine_banks import bank_of
from simulator.engine_compile import compiled, inlined, least, most

# isort: off
from simulator.engine_state import (
    ACC_BANK_BIT, COMPUTING, LEFT, MESH_DONE, NEVER, N_ACC_WRITE, N_SP_READ, N_SP_WRITE, P_ACC_BYTES, P_DIM, P_IN_BYTES,
    P_MESH_DELAY, P_READ_DELAY, TAGS, TAG_RING, T_ACCUMULATES, T_KEY, T_LEFT, T_MATCH, T_ROWS, T_SIZE, T_SLOT, T_STRIDE,
    T_WS, V_HELD_BANK, WRITE_BANK, WRITE_RING, WRITE_TIME, W_BANK, W_TIME, X_A_ROWS, X_BANK_A, X_BANK_B, X_BANK_D,
    X_BUSY, X_B_ROWS, X_CAUSE, X_DONE_TAIL, X_D_ROWS, X_ENTRIES, X_FIRED, X_LAG, X_LAST_OUT, X_LAST_ROW, X_NA, X_NB,
    X_ND, X_NEXT, X_OPS, X_READS, X_READ_TIME, X_ROW, X_SMOOTH, X_SP_UNTIL, X_STATE, X_TAG_HEAD, X_TAG_TAIL, X_TOTAL,
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


@compiled
def _fire_until(m, t):  # type: ignore[no-untyped-def]
    """Fire the rows of the cycles from X_LAG to `t` - 1."""
    first, since, count = m[X_NA], m[X_LAG], t - m[X_LAG]
    if count <= 0:
        return
    dim, delay, entries, out = m[P_DIM], m[P_READ_DELAY], m[X_ENTRIES], m[X_LAST_OUT]
    end_a = m[X_A_ROWS] if m[X_BANK_A] >= 0 else 0
    end_b = m[X_B_ROWS] if m[X_BANK_B] >= 0 else 0
    start_d = dim - m[X_D_ROWS] if m[X_BANK_D] >= 0 else dim
    for number in range(count):
        row, time, out = first + number, since + number, out + 1
        reads = row < end_a or row < end_b or row >= start_d
        out = most(out, time + (delay if reads else 1))
        m[LEFT + ((entries + number) & 63)] = out
    last, end = first + count - 1, first + count
    m[N_SP_READ] += (
        dim
        * m[P_IN_BYTES]
        * (
            most(least(end_a, end) - first, 0)
            + most(least(end_b, end) - first, 0)
            + most(end - most(start_d, first), 0)
        )
    )
    if last < end_a or last < end_b or last >= start_d:
        m[X_READ_TIME], m[X_READS] = t - 1, 0
        if last < end_a:
            m[X_READS] |= 1 << m[X_BANK_A]
        if last < end_b:
            m[X_READS] |= 1 << m[X_BANK_B]
        if last >= start_d:
            m[X_READS] |= 1 << m[X_BANK_D]
    m[X_NA], m[X_NB], m[X_ND], m[X_ROW] = end, end, end, end
    m[X_ENTRIES] = entries + count
    m[X_LAST_OUT], m[X_LAST_ROW], m[X_FIRED], m[X_LAG] = out, out, t - 1, t
    m[X_BUSY] += count
    _rows_leave(m, first, count, entries)


@compiled
def _rows_leave(m, first, count, entries):  # type: ignore[no-untyped-def]
    """As `row_leaves` for `count` rows from `first` on, none the operation's last, that entered as `entries` and on."""
    tag = TAGS + m[X_TAG_HEAD] % TAG_RING * T_SIZE
    if m[X_TAG_HEAD] == m[X_TAG_TAIL] or m[tag + T_MATCH] != m[X_OPS] or m[tag + T_SLOT] < 0:
        return
    total, rows, step, key = m[X_TOTAL], m[tag + T_ROWS], m[tag + T_STRIDE], m[tag + T_KEY]
    for number in range(count):
        row = first + number if m[tag + T_WS] else total - 1 - first - number
        if row < rows:
            _write_result(m, key + row * step, m[LEFT + ((entries + number) & 63)] + m[P_MESH_DELAY], tag)


@inlined
def begin_rows(m, t):  # type: ignore[no-untyped-def]
    """From cycle `t` on the array fires rows of the current operation, if these are such rows; False if not."""
    row, entries, delay = m[X_NA], m[X_ENTRIES], m[P_READ_DELAY]
    if m[X_STATE] != COMPUTING or m[X_SMOOTH] == 0 or m[V_HELD_BANK] >= 0 or m[X_SP_UNTIL] >= t:
        return False
    if row != m[X_NB] or row != m[X_ND] or row == 0 or row >= m[X_TOTAL] - 1 or m[X_ROW] != row:
        return False
    if m[W_TIME] == t and _is_operand(m, m[W_BANK]):
        return False
    for back in range(delay):
        # The control queue has room for each: the one `delay` entries before has left.
        if m[LEFT + ((entries - delay + back) & 63)] > t + back:
            return False
    m[X_LAG], m[X_CAUSE], m[X_NEXT] = t, 0, t + m[X_TOTAL] - 1 - row
    return True


@inlined
def _is_operand(m, bank):  # type: ignore[no-untyped-def]
    return bank == m[X_BANK_A] or bank == m[X_BANK_B] or bank == m[X_BANK_D]


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
