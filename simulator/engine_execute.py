"""Execute controller and mesh of the engine (TransposePreloadUnroller, ExecuteController, MeshWithDelays .scala).

The controller decides on one of three operations (preload only, compute overlapped with the next preload, compute
only) and fires one row of A, B and D a cycle as banks allow. Fired rows pass a five-entry control queue while their
SRAM is read, enter the mesh when all three parts are there, and leave it a fixed number of cycles later; which result
they carry is decided by the tag of an earlier operation.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from simulator.command_check import bits
from simulator.engine_front import release, row_key
from simulator.engine_load import bank_of, execute_writes
from simulator.engine_state import (
    ACC_BANK_BIT,
    ACCUMULATES_BIT,
    COMPUTING,
    EXECUTE,
    FIRST_COMPUTE,
    FIRST_PRELOAD,
    FLUSH,
    FLUSHING,
    MUL_ONLY,
    MUL_PRELOAD,
    N_ACC_WRITE,
    N_SP_READ,
    N_SP_WRITE,
    NEVER,
    P_ACC_BYTES,
    P_DIM,
    P_EX_QUEUE,
    P_IN_BYTES,
    P_MESH_DELAY,
    P_MIN_ROWS,
    P_READ_DELAY,
    P_TAGS,
    PAST,
    PLAIN,
    PRELOAD_ONLY,
    QUEUE_RING,
    S_ISSUE_EX,
    SECOND_PRELOAD,
    T_ACCUMULATES,
    T_ENTERED,
    T_KEY,
    T_LEFT,
    T_MATCH,
    T_ROWS,
    T_SLOT,
    T_STRIDE,
    T_WS,
    TAG_RING,
    U_COMMAND,
    U_SLOT,
    U_TIME,
    U_VARIANT,
    W_BANK,
    W_TIME,
    WAITING,
    WRITE_RING,
    X_A,
    X_A_ON,
    X_A_ROWS,
    X_A_STRIDE,
    X_A_T,
    X_B,
    X_B_ON,
    X_B_ROWS,
    X_B_T,
    X_BUSY,
    X_C_ACCUMULATES,
    X_C_KEY,
    X_C_ROWS,
    X_C_SLOT,
    X_C_STRIDE,
    X_CAUSE,
    X_CQ_HEAD,
    X_CQ_TAIL,
    X_D,
    X_D_ON,
    X_D_ROWS,
    X_DONE_HEAD,
    X_DONE_TAIL,
    X_ENTRIES,
    X_FIRED,
    X_FIRST,
    X_LAST_OUT,
    X_LAST_ROW,
    X_MACS,
    X_MACS_COLUMNS,
    X_NA,
    X_NB,
    X_ND,
    X_NEXT,
    X_OP,
    X_OPS,
    X_PENDING0,
    X_PENDING1,
    X_PENDING_SINCE,
    X_READ_TIME,
    X_READS,
    X_ROW,
    X_STATE,
    X_STRIDE,
    X_TAG_HEAD,
    X_TAG_TAIL,
    X_TOTAL,
    X_U_NEXT,
    X_UNROLL,
    X_UNROLL_ON,
    X_UQ_HEAD,
    X_UQ_TAIL,
    X_WS,
)  # fmt: skip

BANK_CONFLICT, DEPENDENCY = 1, 2


@njit(cache=True)
def unroll(m, t, funct, rs1):  # type: ignore[no-untyped-def]
    """Move one command from the unroller into the command queue, splitting preloads when B is transposed."""
    x = m.x
    x[X_U_NEXT] = NEVER
    held = x[X_UQ_TAIL] - x[X_UQ_HEAD]
    if held == 0:
        return
    record = m.unroller[x[X_UQ_HEAD] % 4]
    if record[U_TIME] >= t:
        x[X_U_NEXT] = t + 1
        return
    if x[X_CQ_TAIL] - x[X_CQ_HEAD] >= m.p[P_EX_QUEUE]:
        return
    follows = m.unroller[(x[X_UQ_HEAD] + 1) % 4]
    has_next = held > 1 and follows[U_TIME] < t
    i = record[U_COMMAND]
    preload = funct[i] == 6
    if preload and x[X_UNROLL] == 0 and x[X_UNROLL_ON] and not has_next:
        return
    split = preload and x[X_UNROLL_ON] and has_next and funct[follows[U_COMMAND]] == 4
    out = m.commands[x[X_CQ_TAIL] % QUEUE_RING]
    out[U_TIME], out[U_COMMAND], out[U_SLOT], out[U_VARIANT] = t, i, record[U_SLOT], PLAIN
    keep = False
    if split and x[X_UNROLL] == 0:
        out[U_SLOT], out[U_VARIANT], x[X_UNROLL], keep = -1, FIRST_PRELOAD, 1, True
    elif x[X_UNROLL] == 1:
        out[U_COMMAND], out[U_SLOT], out[U_VARIANT] = follows[U_COMMAND], -1, FIRST_COMPUTE
        x[X_UNROLL], keep = 2, True
    elif x[X_UNROLL] == 2:
        out[U_VARIANT], x[X_UNROLL] = SECOND_PRELOAD, 0
    elif funct[i] == 0 and bits(rs1[i], 7, 7) == 0:
        x[X_UNROLL_ON] = bits(rs1[i], 2, 2) & bits(rs1[i], 9, 9)
    x[X_CQ_TAIL] += 1
    x[X_NEXT] = min(x[X_NEXT], t + 1)
    if not keep:
        x[X_UQ_HEAD] += 1
        m.s[S_ISSUE_EX] = min(m.s[S_ISSUE_EX], t)
    if x[X_UQ_HEAD] != x[X_UQ_TAIL]:
        x[X_U_NEXT] = t + 1


@njit(cache=True)
def _in_progress(m, t):  # type: ignore[no-untyped-def]
    """Whether a result that completes a command is still under way in the mesh at the start of cycle `t`."""
    x = m.x
    for number in range(x[X_TAG_TAIL] - 1, max(x[X_TAG_TAIL] - TAG_RING, -1), -1):
        tag = m.tags[number % TAG_RING]
        if tag[T_LEFT] < t and tag[T_LEFT] != PAST:
            return False
        if tag[T_SLOT] >= 0 and tag[T_ENTERED] < t:
            return True
    return False


@njit(cache=True)
def _hazard(m, t, key0, key1, key2):  # type: ignore[no-untyped-def]
    """Whether a result under way has exactly one of the three start addresses."""
    x = m.x
    for number in range(x[X_TAG_TAIL] - 1, max(x[X_TAG_TAIL] - TAG_RING, -1), -1):
        tag = m.tags[number % TAG_RING]
        if tag[T_LEFT] < t and tag[T_LEFT] != PAST:
            return False
        key = tag[T_KEY]
        if key >= 0 and tag[T_ENTERED] < t and key in (key0, key1, key2):
            return True
    return False


@njit(cache=True, inline="always")
def _key(word):  # type: ignore[no-untyped-def]
    return row_key(bits(word, 31, 0))


@njit(cache=True)
def _take_a(m, record, rs1):  # type: ignore[no-untyped-def]
    x, i = m.x, record[U_COMMAND]
    x[X_A] = _key(rs1[i])
    x[X_A_ROWS] = bits(rs1[i], 47, 32) if x[X_A_T] else bits(rs1[i], 63, 48)
    x[X_A_STRIDE], x[X_A_ON] = x[X_STRIDE], 1


@njit(cache=True)
def _take_b(m, record, rs2):  # type: ignore[no-untyped-def]
    x, i = m.x, record[U_COMMAND]
    x[X_B] = _key(rs2[i])
    x[X_B_ROWS] = bits(rs2[i], 47, 32) if x[X_B_T] and not x[X_WS] else bits(rs2[i], 63, 48)
    x[X_B_ON] = 1


@njit(cache=True)
def _take_preload(m, record, rs1, rs2):  # type: ignore[no-untyped-def]
    """D and C of the operation: C becomes the tag of the operation's first row."""
    x, i = m.x, record[U_COMMAND]
    x[X_D] = -1 if record[U_VARIANT] == SECOND_PRELOAD else _key(rs1[i])
    x[X_D_ROWS] = bits(rs1[i], 47, 32) if x[X_B_T] and x[X_WS] else bits(rs1[i], 63, 48)
    x[X_D_ON] = 1
    x[X_C_KEY] = -1 if record[U_VARIANT] == FIRST_PRELOAD else _key(rs2[i])
    x[X_C_ROWS] = bits(rs2[i], 63, 48)
    x[X_C_ACCUMULATES] = bits(rs2[i], 30, 30)
    x[X_C_SLOT] = record[U_SLOT] if x[X_C_KEY] >= 0 else -1


@njit(cache=True)
def _begin(m, op, head, funct, rs1, rs2):  # type: ignore[no-untyped-def]
    """Set up operation `op` from the commands at the head of the queue."""
    x = m.x
    c0, c1 = m.commands[head % QUEUE_RING], m.commands[(head + 1) % QUEUE_RING]
    x[X_OP], x[X_STATE] = op, COMPUTING
    x[X_A], x[X_B], x[X_D], x[X_A_ON], x[X_B_ON], x[X_D_ON] = -1, -1, -1, 0, 0, 0
    x[X_NA], x[X_NB], x[X_ND], x[X_FIRST], x[X_ROW] = 0, 0, 0, 1, 0
    x[X_C_KEY], x[X_C_SLOT], x[X_C_ACCUMULATES], x[X_C_ROWS] = -1, -1, 0, 0
    # Output-stationary A passes the transposer, so it is read one operation ahead.
    early_a = x[X_A_T] if x[X_WS] else 1 - x[X_A_T]
    early_b = 0 if x[X_WS] else x[X_B_T]
    if op == PRELOAD_ONLY:
        _take_preload(m, c0, rs1, rs2)
        if early_a:
            _take_a(m, c1, rs1)
        if early_b:
            _take_b(m, c1, rs2)
    elif op == MUL_PRELOAD:
        _take_preload(m, c1, rs1, rs2)
        c2 = m.commands[(head + 2) % QUEUE_RING]
        _take_a(m, c2 if early_a else c0, rs1)
        _take_b(m, c2 if early_b else c0, rs2)
    else:
        if not early_a:
            _take_a(m, c0, rs1)
        if not early_b:
            _take_b(m, c0, rs2)
    total = m.p[P_DIM]
    if x[X_WS] and x[X_D] < 0 and not early_a and not x[X_B_T]:
        rows_a = x[X_A_ROWS] if x[X_A] >= 0 else 1
        rows_b = x[X_B_ROWS] if x[X_B] >= 0 else 1
        total = max(max(rows_a, rows_b), m.p[P_MIN_ROWS])
    x[X_TOTAL] = total
    if op != PRELOAD_ONLY and c0[U_VARIANT] == PLAIN:
        _count_macs(m, c0[U_COMMAND], funct, rs1, rs2)


@njit(cache=True)
def _count_macs(m, i, funct, rs1, rs2):  # type: ignore[no-untyped-def]
    """Multiply-accumulates the compute asks for: rows and columns of A times the columns of the other operand."""
    x = m.x
    if _key(rs1[i]) < 0:
        return
    columns = bits(rs2[i], 47, 32)
    if x[X_WS]:
        if funct[i] == 4 and i > 0:
            x[X_MACS_COLUMNS] = bits(rs1[i - 1], 47, 32) if _key(rs1[i - 1]) >= 0 else 0
        columns = x[X_MACS_COLUMNS]
    elif _key(rs2[i]) < 0:
        columns = 0
    x[X_MACS] += bits(rs1[i], 63, 48) * bits(rs1[i], 47, 32) * columns


@njit(cache=True)
def _decide(m, t, funct, rs1, rs2):  # type: ignore[no-untyped-def]
    """Waiting for a command in cycle `t`: choose what to do next."""
    x = m.x
    head, held = x[X_CQ_HEAD], x[X_CQ_TAIL] - x[X_CQ_HEAD]
    while held > 0 and m.commands[(head + held - 1) % QUEUE_RING, U_TIME] >= t:
        held -= 1
    if held == 0:
        if not x[X_WS] and _in_progress(m, t):
            x[X_STATE], x[X_NEXT] = FLUSH, t + 1
        return
    c0 = m.commands[head % QUEUE_RING]
    f0 = funct[c0[U_COMMAND]]
    if f0 == 0:
        if not _in_progress(m, t):
            if x[X_PENDING0] < 0 and x[X_PENDING1] < 0:
                _configure(m, t, c0, rs1, rs2)
            else:
                x[X_NEXT] = t + 1
            return
    elif f0 == 6:
        if held > 1:
            c1 = m.commands[(head + 1) % QUEUE_RING]
            i0, i1 = c0[U_COMMAND], c1[U_COMMAND]
            d = np.int64(-1) if c0[U_VARIANT] == SECOND_PRELOAD else _key(rs1[i0])
            if not _hazard(m, t, d, _key(rs1[i1]), _key(rs2[i1])):
                _begin(m, PRELOAD_ONLY, head, funct, rs1, rs2)
                return
    else:
        op = MUL_ONLY
        if held > 2:
            c1, c2 = m.commands[(head + 1) % QUEUE_RING], m.commands[(head + 2) % QUEUE_RING]
            i1, i2 = c1[U_COMMAND], c2[U_COMMAND]
            if funct[i1] == 6:
                d = np.int64(-1) if c1[U_VARIANT] == SECOND_PRELOAD else _key(rs1[i1])
                if not _hazard(m, t, d, _key(rs1[i2]), _key(rs2[i2])):
                    op = MUL_PRELOAD
        _begin(m, op, head, funct, rs1, rs2)
        return
    if _in_progress(m, t):
        if not x[X_WS] or f0 == 0:
            x[X_STATE] = FLUSH
        x[X_NEXT] = t + 1


@njit(cache=True)
def _configure(m, t, record, rs1, rs2):  # type: ignore[no-untyped-def]
    x, i = m.x, record[U_COMMAND]
    if bits(rs1[i], 7, 7) == 0:
        x[X_WS], x[X_A_T], x[X_B_T] = bits(rs1[i], 2, 2), bits(rs1[i], 8, 8), bits(rs1[i], 9, 9)
    x[X_STRIDE], x[X_C_STRIDE] = bits(rs1[i], 31, 16), bits(rs2[i], 63, 48)
    release(m, t, record[U_SLOT], EXECUTE)
    x[X_CQ_HEAD] += 1
    x[X_U_NEXT] = min(x[X_U_NEXT], t + 1)
    x[X_NEXT] = t + 1


@njit(cache=True)
def _enter_operation(m, time):  # type: ignore[no-untyped-def]
    """The operation's first row reaches the mesh in cycle `time`: number it and queue its tag."""
    x = m.x
    x[X_OPS] += 1
    tag = m.tags[x[X_TAG_TAIL] % TAG_RING]
    tag[T_MATCH] = x[X_OPS] + (1 if x[X_WS] else 2)
    tag[T_SLOT], tag[T_KEY], tag[T_ROWS] = x[X_C_SLOT], x[X_C_KEY], x[X_C_ROWS]
    tag[T_ACCUMULATES], tag[T_ENTERED], tag[T_LEFT] = x[X_C_ACCUMULATES], time, PAST
    tag[T_STRIDE], tag[T_WS] = x[X_C_STRIDE], x[X_WS]
    x[X_TAG_TAIL] += 1


@njit(cache=True)
def _row_leaves(m, row, total, time):  # type: ignore[no-untyped-def]
    """Row `row` of the current operation leaves the mesh in cycle `time` with the result the head tag names."""
    x = m.x
    if x[X_TAG_HEAD] == x[X_TAG_TAIL]:
        return
    tag = m.tags[x[X_TAG_HEAD] % TAG_RING]
    if tag[T_MATCH] != x[X_OPS]:
        return
    result_row = row if tag[T_WS] else total - 1 - row
    if tag[T_SLOT] >= 0 and result_row < tag[T_ROWS]:
        key = tag[T_KEY] + result_row * tag[T_STRIDE]
        bank = bank_of(m, key)
        slot = time % WRITE_RING
        m.write_time[slot] = time
        m.write_bank[slot] = bank | (ACCUMULATES_BIT if tag[T_ACCUMULATES] and bank >= ACC_BANK_BIT else 0)
        if bank >= ACC_BANK_BIT:
            m.n[N_ACC_WRITE] += m.p[P_DIM] * m.p[P_ACC_BYTES]
        else:
            m.n[N_SP_WRITE] += m.p[P_DIM] * m.p[P_IN_BYTES]
    if row == total - 1:
        tag[T_LEFT] = time
        x[X_TAG_HEAD] += 1
        if tag[T_SLOT] >= 0:
            done = m.mesh_done[x[X_DONE_TAIL] % TAG_RING]
            done[0], done[1] = time, tag[T_SLOT]
            x[X_DONE_TAIL] += 1


@njit(cache=True, inline="always")
def _wait(me, other, same_bank):  # type: ignore[no-untyped-def]
    """An operand with `me` rows fired waits when one ahead, or when level with a stronger one on the same bank."""
    return me == other + 1 or (same_bank and me == other)


@njit(cache=True)
def _fire(m, t):  # type: ignore[no-untyped-def]
    """Computing in cycle `t` with room in the control queue: fire what banks allow; returns whether the op is done."""
    x, total = m.x, m.x[X_TOTAL]
    na, nb, nd = x[X_NA], x[X_NB], x[X_ND]
    a = x[X_A] + (na % total) * x[X_A_STRIDE] if x[X_A] >= 0 else np.int64(-1)
    b = x[X_B] + nb % total if x[X_B] >= 0 else np.int64(-1)
    d = x[X_D] + m.p[P_DIM] - 1 - nd % total if x[X_D] >= 0 else np.int64(-1)
    bank_a = bank_of(m, a) if a >= 0 else np.int64(-1)
    bank_b = bank_of(m, b) if b >= 0 else np.int64(-2)
    bank_d = bank_of(m, d) if d >= 0 else np.int64(-3)
    fire_a = not (na == nb + 1 or na == nd + 1)
    fire_b = not (_wait(nb, na, bank_a == bank_b) or nb == nd + 1)
    fire_d = not (_wait(nd, na, bank_a == bank_d) or _wait(nd, nb, bank_b == bank_d))
    read_a = fire_a and a >= 0 and na % total < x[X_A_ROWS]
    read_b = fire_b and b >= 0 and nb % total < x[X_B_ROWS]
    read_d = fire_d and d >= 0 and m.p[P_DIM] - 1 - nd % total < x[X_D_ROWS]
    # A write takes a single-ported bank, so the read must wait (Scratchpad.scala).
    busy = m.w[W_BANK] if m.w[W_TIME] == t else np.int64(-9)
    execute = execute_writes(m, t)
    if read_a and bank_a in (busy, execute):
        fire_a = read_a = False
    if read_b and bank_b in (busy, execute):
        fire_b = read_b = False
    if read_d and bank_d in (busy, execute):
        fire_d = read_d = False
    reads = read_a or read_b or read_d
    if reads:
        x[X_READ_TIME], x[X_READS] = t, 0
        if read_a:
            x[X_READS] |= np.int64(1) << bank_a
        if read_b:
            x[X_READS] |= np.int64(1) << bank_b
        if read_d:
            x[X_READS] |= np.int64(1) << bank_d
        m.n[N_SP_READ] += (read_a + read_b + read_d) * m.p[P_DIM] * m.p[P_IN_BYTES]
    x[X_NA] += 1 if fire_a else 0
    x[X_NB] += 1 if fire_b else 0
    x[X_ND] += 1 if fire_d else 0
    fired = fire_a or fire_b or fire_d
    _queue_entry(m, t, reads, fired)
    if fired:
        x[X_FIRED] = t
        x[X_BUSY] += 1
    else:
        x[X_CAUSE] = BANK_CONFLICT
    return x[X_NA] == total and x[X_NB] == total and x[X_ND] == total


@njit(cache=True)
def _queue_entry(m, t, reads, fired):  # type: ignore[no-untyped-def]
    """Put this cycle's signals into the control queue and find the cycle in which they leave it for the mesh."""
    x, p = m.x, m.p
    depth = p[P_READ_DELAY]
    out = max(t + (depth if reads else 1), x[X_LAST_OUT] + 1)
    if x[X_FIRST] and fired:
        before = x[X_TAG_TAIL] - p[P_TAGS]
        if before >= 0:
            out = max(out, m.tags[before % TAG_RING, T_LEFT] + 1)
        _enter_operation(m, out)
        x[X_FIRST] = 0
    m.left[x[X_ENTRIES] % depth] = out
    x[X_ENTRIES] += 1
    x[X_LAST_OUT] = out
    complete = min(min(x[X_NA], x[X_NB]), x[X_ND])
    while x[X_ROW] < complete:
        _row_leaves(m, x[X_ROW], x[X_TOTAL], out + p[P_MESH_DELAY])
        x[X_LAST_ROW] = out
        x[X_ROW] += 1


@njit(cache=True)
def _finish(m, t):  # type: ignore[no-untyped-def]
    """All rows are fired in cycle `t`: pop the commands, note which entries complete without a result."""
    x, head = m.x, m.x[X_CQ_HEAD]
    slot0 = m.commands[head % QUEUE_RING, U_SLOT]
    slot1 = m.commands[(head + 1) % QUEUE_RING, U_SLOT]
    x[X_STATE], x[X_NEXT] = WAITING, t + 1
    x[X_PENDING_SINCE] = t
    if x[X_OP] == PRELOAD_ONLY:
        x[X_PENDING0] = slot0 if x[X_C_KEY] < 0 else -1
        x[X_CQ_HEAD] += 1
    elif x[X_OP] == MUL_PRELOAD:
        x[X_PENDING0] = slot0
        x[X_PENDING1] = slot1 if x[X_C_KEY] < 0 else -1
        x[X_CQ_HEAD] += 2
    else:
        x[X_PENDING0] = slot0
        x[X_CQ_HEAD] += 1
    x[X_U_NEXT] = min(x[X_U_NEXT], t + 1)


@njit(cache=True)
def _flush(m, t):  # type: ignore[no-untyped-def]
    """FLUSH state: once the mesh has taken every row, push DIM empty rows through it."""
    x, p = m.x, m.p
    if x[X_LAST_OUT] >= t:
        x[X_NEXT] = x[X_LAST_OUT] + 1
        return
    before = x[X_TAG_TAIL] - p[P_TAGS]
    if before >= 0 and m.tags[before % TAG_RING, T_LEFT] >= t:
        x[X_NEXT] = m.tags[before % TAG_RING, T_LEFT] + 1
        return
    x[X_OPS] += 1
    for row in range(p[P_DIM]):
        _row_leaves(m, row, p[P_DIM], t + row + p[P_MESH_DELAY])
    x[X_LAST_OUT] = t + p[P_DIM] - 1
    x[X_STATE], x[X_NEXT] = FLUSHING, t + p[P_DIM] + 1


@njit(cache=True)
def execute(m, t, funct, rs1, rs2):  # type: ignore[no-untyped-def]
    """One cycle of the execute controller."""
    x = m.x
    x[X_NEXT] = NEVER
    x[X_CAUSE] = 0
    if x[X_STATE] == FLUSH:
        x[X_CAUSE] = DEPENDENCY
        _flush(m, t)
        return
    if x[X_STATE] == FLUSHING:
        x[X_STATE] = WAITING
    if x[X_STATE] == WAITING:
        _decide(m, t, funct, rs1, rs2)
        if x[X_STATE] != COMPUTING:
            if x[X_CQ_HEAD] != x[X_CQ_TAIL] and m.commands[(x[X_CQ_TAIL] - 1) % QUEUE_RING, U_TIME] == t:
                x[X_NEXT] = t + 1
            return
    room = m.left[x[X_ENTRIES] % m.p[P_READ_DELAY]]
    if room > t:
        x[X_CAUSE] = DEPENDENCY
        x[X_NEXT] = room
        return
    x[X_NEXT] = t + 1
    if _fire(m, t):
        _finish(m, t)


@njit(cache=True)
def complete_execute(m, t):  # type: ignore[no-untyped-def]
    """Complete one execute entry in cycle `t`, results first; returns the entry's slot or -1."""
    x = m.x
    slot = np.int64(-1)
    if x[X_DONE_HEAD] != x[X_DONE_TAIL] and m.mesh_done[x[X_DONE_HEAD] % TAG_RING, 0] <= t:
        slot = m.mesh_done[x[X_DONE_HEAD] % TAG_RING, 1]
        x[X_DONE_HEAD] += 1
    elif x[X_PENDING0] >= 0 and x[X_PENDING_SINCE] < t:
        slot, x[X_PENDING0] = x[X_PENDING0], -1
    elif x[X_PENDING1] >= 0 and x[X_PENDING_SINCE] < t:
        slot, x[X_PENDING1] = x[X_PENDING1], -1
    if slot >= 0:
        release(m, t, slot, EXECUTE)
    return slot


@njit(cache=True)
def next_completion(m, t):  # type: ignore[no-untyped-def]
    """Next cycle after `t` in which an execute entry may complete."""
    x = m.x
    if x[X_PENDING0] >= 0 or x[X_PENDING1] >= 0:
        return t + 1
    if x[X_DONE_HEAD] != x[X_DONE_TAIL]:
        return m.mesh_done[x[X_DONE_HEAD] % TAG_RING, 0]
    return np.int64(NEVER)
