"""What the execute controller does next (TransposePreloadUnroller, ExecuteController .scala): commands into
operations.

It looks at three commands and decides on a preload alone, a compute overlapped with the next preload, a compute
alone, a configuration, or a flush of the mesh. `cycle_level.execute` fires the rows of what is decided here.
"""

from __future__ import annotations

import numpy as np

from simulator.cycle_level.banks import bank_of
from simulator.cycle_level.compile import bits, compiled, inlined, least, merged, most
from simulator.cycle_level.front import release, row_key

# isort: off
from simulator.cycle_level.state import (
    COMMANDS, COMPUTING, ENTRY, EXECUTE, E_SIZE, E_STARTED, FIRST_COMPUTE, FIRST_PRELOAD, FLUSH, G_EXE_ACTIVE,
    G_EXE_FLUSH, G_UNROLLER_ACTIVE, MUL_ONLY, MUL_PRELOAD, NEVER, PAST, PLAIN, PRELOAD_ONLY, P_DIM, P_EX_QUEUE,
    P_HAZARDS, P_MIN_ROWS, QUEUE_RING, SECOND_PRELOAD, S_ISSUE_EX, TAGS, TAG_RING, T_ENTERED, T_KEY, T_LEFT, T_SIZE,
    T_SLOT, UNROLLER, U_FUNCT, U_RS1, U_RS2, U_SIZE, U_SLOT, U_TIME, U_VARIANT, X_A, X_A_ON, X_A_ROWS, X_A_STRIDE,
    X_A_T, X_B, X_BANK_A, X_BANK_B, X_BANK_D, X_B_ON, X_B_ROWS, X_B_T, X_CQ_HEAD, X_CQ_TAIL, X_C_ACCUMULATES, X_C_KEY,
    X_C_ROWS, X_C_SLOT, X_C_STRIDE, X_D, X_D_ON, X_D_ROWS, X_FIRST, X_MACS, X_MACS_COLUMNS, X_NA, X_NB, X_ND, X_NEXT,
    X_NEXT_COLUMNS, X_OP, X_PENDING0, X_PENDING1, X_ROW, X_SMOOTH, X_STATE, X_STRIDE, X_TAG_TAIL, X_TOTAL, X_UNROLL,
    X_UNROLL_ON, X_UQ_HEAD, X_UQ_TAIL, X_U_NEXT, X_WS,
)  # fmt: skip
# isort: on


@merged
def unroll(m, t):  # type: ignore[no-untyped-def]
    """Move one command from the unroller into the command queue, splitting preloads when B is transposed."""
    m[X_U_NEXT] = NEVER
    held = m[X_UQ_TAIL] - m[X_UQ_HEAD]
    if held == 0:
        return
    record = UNROLLER + m[X_UQ_HEAD] % 4 * U_SIZE
    if m[record + U_TIME] >= t:
        m[X_U_NEXT] = t + 1
        return
    if m[X_CQ_TAIL] - m[X_CQ_HEAD] >= m[P_EX_QUEUE]:
        return
    follows = UNROLLER + (m[X_UQ_HEAD] + 1) % 4 * U_SIZE
    has_next = held > 1 and m[follows + U_TIME] < t
    funct, rs1 = m[record + U_FUNCT], m[record + U_RS1]
    preload = funct == 6
    if preload and m[X_UNROLL] == 0 and m[X_UNROLL_ON] and not has_next:
        return
    split = preload and m[X_UNROLL_ON] and has_next and m[follows + U_FUNCT] == 4
    out = COMMANDS + m[X_CQ_TAIL] % QUEUE_RING * U_SIZE
    taken = follows if m[X_UNROLL] == 1 else record
    m[out + U_FUNCT], m[out + U_RS1], m[out + U_RS2] = m[taken + U_FUNCT], m[taken + U_RS1], m[taken + U_RS2]
    m[out + U_TIME], m[out + U_SLOT], m[out + U_VARIANT] = t, m[record + U_SLOT], PLAIN
    keep = False
    if split and m[X_UNROLL] == 0:
        m[out + U_SLOT], m[out + U_VARIANT], m[X_UNROLL], keep = -1, FIRST_PRELOAD, 1, True
        m[G_UNROLLER_ACTIVE] -= t
    elif m[X_UNROLL] == 1:
        m[out + U_SLOT], m[out + U_VARIANT], m[X_UNROLL], keep = -1, FIRST_COMPUTE, 2, True
    elif m[X_UNROLL] == 2:
        m[out + U_VARIANT], m[X_UNROLL] = SECOND_PRELOAD, 0
        m[G_UNROLLER_ACTIVE] += t
    elif funct == 0 and bits(rs1, 7, 7) == 0:
        m[X_UNROLL_ON] = bits(rs1, 2, 2) & bits(rs1, 9, 9)
    m[X_CQ_TAIL] += 1
    m[X_NEXT] = least(m[X_NEXT], t + 1)
    if not keep:
        m[X_UQ_HEAD] += 1
        m[S_ISSUE_EX] = least(m[S_ISSUE_EX], t)
    # A full command queue wakes the unroller when a command leaves it.
    if m[X_UQ_HEAD] != m[X_UQ_TAIL] and m[X_CQ_TAIL] - m[X_CQ_HEAD] < m[P_EX_QUEUE]:
        m[X_U_NEXT] = t + 1


@compiled
def in_progress(m, t):  # type: ignore[no-untyped-def]
    """Whether a result that completes a command is still under way in the mesh at the start of cycle `t`."""
    for number in range(m[X_TAG_TAIL] - 1, most(m[X_TAG_TAIL] - TAG_RING, -1), -1):
        tag = TAGS + number % TAG_RING * T_SIZE
        if m[tag + T_LEFT] < t and m[tag + T_LEFT] != PAST:
            return False
        if m[tag + T_SLOT] >= 0 and m[tag + T_ENTERED] < t:
            return True
    return False


@compiled
def _hazard(m, t, key0, key1, key2):  # type: ignore[no-untyped-def]
    """Whether a result under way has exactly one of the three start addresses."""
    for number in range(m[X_TAG_TAIL] - 1, most(m[X_TAG_TAIL] - TAG_RING, -1), -1):
        tag = TAGS + number % TAG_RING * T_SIZE
        if m[tag + T_LEFT] < t and m[tag + T_LEFT] != PAST:
            return False
        key = m[tag + T_KEY]
        if (key == key0 or key == key1 or key == key2) and key >= 0 and m[tag + T_ENTERED] < t:  # noqa: SIM109
            return True
    return False


@inlined
def _key(word):  # type: ignore[no-untyped-def]
    return row_key(bits(word, 31, 0))


@merged
def _take_a(m, record):  # type: ignore[no-untyped-def]
    rs1 = m[record + U_RS1]
    m[X_A] = _key(rs1)
    m[X_A_ROWS] = bits(rs1, 47, 32) if m[X_A_T] else bits(rs1, 63, 48)
    m[X_A_STRIDE], m[X_A_ON] = m[X_STRIDE], 1


@merged
def _take_b(m, record):  # type: ignore[no-untyped-def]
    rs2 = m[record + U_RS2]
    m[X_B] = _key(rs2)
    m[X_B_ROWS] = bits(rs2, 47, 32) if m[X_B_T] and not m[X_WS] else bits(rs2, 63, 48)
    m[X_B_ON] = 1


@merged
def _take_preload(m, record):  # type: ignore[no-untyped-def]
    """D and C of the operation: C becomes the tag of the operation's first row."""
    rs1, rs2 = m[record + U_RS1], m[record + U_RS2]
    m[X_D] = -1 if m[record + U_VARIANT] == SECOND_PRELOAD else _key(rs1)
    m[X_D_ROWS] = bits(rs1, 47, 32) if m[X_B_T] and m[X_WS] else bits(rs1, 63, 48)
    m[X_D_ON] = 1
    m[X_NEXT_COLUMNS] = bits(rs1, 47, 32) if _key(rs1) >= 0 else 0
    m[X_C_KEY] = -1 if m[record + U_VARIANT] == FIRST_PRELOAD else _key(rs2)
    m[X_C_ROWS] = bits(rs2, 63, 48)
    m[X_C_ACCUMULATES] = bits(rs2, 30, 30)
    m[X_C_SLOT] = m[record + U_SLOT] if m[X_C_KEY] >= 0 else -1


@compiled
def _begin(m, t, op, head):  # type: ignore[no-untyped-def]
    """Set up operation `op` from the commands at the head of the queue."""
    c0, c1 = COMMANDS + head % QUEUE_RING * U_SIZE, COMMANDS + (head + 1) % QUEUE_RING * U_SIZE
    for record in (c0, c1) if op == MUL_PRELOAD else (c0, c0):
        if m[record + U_SLOT] >= 0:
            m[ENTRY + m[record + U_SLOT] * E_SIZE + E_STARTED] = t
    if op != PRELOAD_ONLY and m[c0 + U_VARIANT] == PLAIN:
        _count_macs(m, m[c0 + U_FUNCT], m[c0 + U_RS1], m[c0 + U_RS2])
    m[X_OP], m[X_STATE] = op, COMPUTING
    m[G_EXE_ACTIVE] -= t
    m[X_NA], m[X_NB], m[X_ND], m[X_FIRST], m[X_ROW] = 0, 0, 0, 1, 0
    early_a = take_operands(m, op, head)
    total = m[P_DIM]
    if m[X_WS] and m[X_D] < 0 and not early_a and not m[X_B_T]:
        rows_a = m[X_A_ROWS] if m[X_A] >= 0 else 1
        rows_b = m[X_B_ROWS] if m[X_B] >= 0 else 1
        total = most(most(rows_a, rows_b), m[P_MIN_ROWS])
    m[X_TOTAL] = total
    _note_banks(m, total)


@compiled
def take_operands(m, op, head):  # type: ignore[no-untyped-def]
    """Operands and result of operation `op` from the commands at the head of the queue; returns whether A is read one
    operation ahead.
    """
    c0, c1 = COMMANDS + head % QUEUE_RING * U_SIZE, COMMANDS + (head + 1) % QUEUE_RING * U_SIZE
    m[X_A], m[X_B], m[X_D], m[X_A_ON], m[X_B_ON], m[X_D_ON] = -1, -1, -1, 0, 0, 0
    m[X_C_KEY], m[X_C_SLOT], m[X_C_ACCUMULATES], m[X_C_ROWS] = -1, -1, 0, 0
    # Output-stationary A passes the transposer, so it is read one operation ahead.
    early_a = m[X_A_T] if m[X_WS] else 1 - m[X_A_T]
    early_b = 0 if m[X_WS] else m[X_B_T]
    if op == PRELOAD_ONLY:
        _take_preload(m, c0)
        if early_a:
            _take_a(m, c1)
        if early_b:
            _take_b(m, c1)
    elif op == MUL_PRELOAD:
        _take_preload(m, c1)
        c2 = COMMANDS + (head + 2) % QUEUE_RING * U_SIZE
        _take_a(m, c2 if early_a else c0)
        _take_b(m, c2 if early_b else c0)
    else:
        if not early_a:
            _take_a(m, c0)
        if not early_b:
            _take_b(m, c0)
    return early_a


@merged
def _note_banks(m, total):  # type: ignore[no-untyped-def]
    """Banks of the operation's operands (below 0 for none), and whether they are three, each the same for all rows."""
    m[X_BANK_A], m[X_BANK_B], m[X_BANK_D] = -1, -2, -3
    steady = True
    if m[X_A] >= 0:
        m[X_BANK_A] = bank_of(m, m[X_A])
        steady = m[X_BANK_A] == bank_of(m, m[X_A] + (total - 1) * m[X_A_STRIDE])
    if m[X_B] >= 0:
        m[X_BANK_B] = bank_of(m, m[X_B])
        steady = steady and m[X_BANK_B] == bank_of(m, m[X_B] + total - 1)
    if m[X_D] >= 0:
        m[X_BANK_D] = bank_of(m, m[X_D] + m[P_DIM] - 1)
        steady = steady and m[X_BANK_D] == bank_of(m, m[X_D] + m[P_DIM] - total)
    apart = m[X_BANK_A] != m[X_BANK_B] and m[X_BANK_A] != m[X_BANK_D] and m[X_BANK_B] != m[X_BANK_D]
    m[X_SMOOTH] = 1 if steady and apart else 0


@merged
def _count_macs(m, funct, rs1, rs2):  # type: ignore[no-untyped-def]
    """Multiply-accumulates the compute asks for: rows and columns of A times the columns of the other operand."""
    if _key(rs1) < 0:
        return
    columns = bits(rs2, 47, 32)
    if m[X_WS]:
        if funct == 4:
            m[X_MACS_COLUMNS] = m[X_NEXT_COLUMNS]
        columns = m[X_MACS_COLUMNS]
    elif _key(rs2) < 0:
        columns = 0
    m[X_MACS] += bits(rs1, 63, 48) * bits(rs1, 47, 32) * columns


@inlined
def _flush_from(m, t):  # type: ignore[no-untyped-def]
    m[X_STATE], m[X_NEXT] = FLUSH, t + 1
    m[G_EXE_FLUSH] -= t


@merged
def decide(m, t):  # type: ignore[no-untyped-def]
    """Waiting for a command in cycle `t`: choose what to do next."""
    head, held = m[X_CQ_HEAD], m[X_CQ_TAIL] - m[X_CQ_HEAD]
    while held > 0 and m[COMMANDS + (head + held - 1) % QUEUE_RING * U_SIZE + U_TIME] >= t:
        held -= 1
    if held == 0:
        if not m[X_WS] and in_progress(m, t):
            _flush_from(m, t)
        return
    c0 = COMMANDS + head % QUEUE_RING * U_SIZE
    f0 = m[c0 + U_FUNCT]
    if f0 == 0:
        if not in_progress(m, t):
            if m[X_PENDING0] < 0 and m[X_PENDING1] < 0:
                _configure(m, t, c0)
            else:
                m[X_NEXT] = t + 1
            return
    elif f0 == 6:
        if held > 1:
            c1 = COMMANDS + (head + 1) % QUEUE_RING * U_SIZE
            d = np.int64(-1) if m[c0 + U_VARIANT] == SECOND_PRELOAD else _key(m[c0 + U_RS1])
            if not m[P_HAZARDS] or not _hazard(m, t, d, _key(m[c1 + U_RS1]), _key(m[c1 + U_RS2])):
                _begin(m, t, PRELOAD_ONLY, head)
                return
    else:
        op = MUL_ONLY
        # The third command matters for its operand where that is read early, and for hazards.
        early = m[X_A_T] if m[X_WS] else (1 - m[X_A_T]) | m[X_B_T]
        if held == 2 and not (early or m[P_HAZARDS]):
            if m[COMMANDS + (head + 1) % QUEUE_RING * U_SIZE + U_FUNCT] == 6:
                op = MUL_PRELOAD
        elif held > 2:
            c1, c2 = COMMANDS + (head + 1) % QUEUE_RING * U_SIZE, COMMANDS + (head + 2) % QUEUE_RING * U_SIZE
            if m[c1 + U_FUNCT] == 6:
                d = np.int64(-1) if m[c1 + U_VARIANT] == SECOND_PRELOAD else _key(m[c1 + U_RS1])
                if not m[P_HAZARDS] or not _hazard(m, t, d, _key(m[c2 + U_RS1]), _key(m[c2 + U_RS2])):
                    op = MUL_PRELOAD
        _begin(m, t, op, head)
        return
    if in_progress(m, t):
        if not m[X_WS] or f0 == 0:
            _flush_from(m, t)
        m[X_NEXT] = t + 1


@compiled
def _configure(m, t, record):  # type: ignore[no-untyped-def]
    rs1, rs2 = m[record + U_RS1], m[record + U_RS2]
    if bits(rs1, 7, 7) == 0:
        m[X_WS], m[X_A_T], m[X_B_T] = bits(rs1, 2, 2), bits(rs1, 8, 8), bits(rs1, 9, 9)
    m[X_STRIDE], m[X_C_STRIDE] = bits(rs1, 31, 16), bits(rs2, 63, 48)
    release(m, t, m[record + U_SLOT], EXECUTE)
    m[X_CQ_HEAD] += 1
    m[X_U_NEXT] = least(m[X_U_NEXT], t + 1)
    m[X_NEXT] = t + 1
