"""Execute controller and mesh of the engine (ExecuteController, MeshWithDelays .scala): rows of a decided operation.

One row of A, B and D fires a cycle as banks allow. Fired rows pass a five-entry control queue while their SRAM is read,
enter the mesh when all three parts are there, and leave it a fixed number of cycles later; which result they carry is
decided by the tag of an earlier operation.
"""

from __future__ import annotations

import numpy as np

from simulator.cycle_level.array_rows import (
    begin_rows,
    enter_operation,
    fire_apart,
    interrupt_all,
    is_apart,
    row_leaves,
)
from simulator.cycle_level.banks import bank_of, execute_writes
from simulator.cycle_level.compile import compiled, inlined, least, merged, most
from simulator.cycle_level.decide import decide
from simulator.cycle_level.front import release
from simulator.cycle_level.store import bank_held

# isort: off
from simulator.cycle_level.state import (
    COMMANDS, COMPUTING, EXECUTE, FLUSH, FLUSHING, G_EXE_ACTIVE, G_EXE_FLUSH, G_EXE_Q_BLOCK, LEFT, MESH_DONE,
    MUL_PRELOAD, NEVER, N_SP_READ, PRELOAD_ONLY, P_DIM, P_IN_BYTES, P_MESH_DELAY, P_READ_DELAY, P_TAGS, QUEUE_RING,
    TAGS, TAG_RING, T_LEFT, T_SIZE, U_SIZE, U_SLOT, U_TIME, V_HELD_BANK, WAITING, W_BANK, W_TIME, X_A, X_A_ROWS,
    X_A_STRIDE, X_B, X_BUSY, X_B_ROWS, X_CAUSE, X_CQ_HEAD, X_CQ_TAIL, X_C_KEY, X_D, X_DONE_HEAD, X_DONE_TAIL, X_D_ROWS,
    X_ENTRIES, X_FIRED, X_FIRST, X_FLUSHED, X_LAST_OUT, X_LAST_ROW, X_NA, X_NB, X_ND, X_NEXT, X_OP, X_OPS, X_PENDING0,
    X_PENDING1, X_PENDING_SINCE, X_READS, X_READ_TIME, X_ROW, X_STATE, X_TAG_TAIL, X_TOTAL, X_U_NEXT,
)  # fmt: skip
# isort: on


BANK_CONFLICT, DEPENDENCY = 1, 2


@inlined
def _wait(me, other, same_bank):  # type: ignore[no-untyped-def]
    """An operand with `me` rows fired waits when one ahead, or when level with a stronger one on the same bank."""
    return me == other + 1 or (same_bank and me == other)


@compiled
def _fire(m, t):  # type: ignore[no-untyped-def]
    """Computing in cycle `t` with room in the control queue: fire what banks allow; returns whether the op is done."""
    total = m[X_TOTAL]
    na, nb, nd = m[X_NA], m[X_NB], m[X_ND]
    row_a, row_b, row_d = na if na < total else 0, nb if nb < total else 0, nd if nd < total else 0
    a = m[X_A] + row_a * m[X_A_STRIDE] if m[X_A] >= 0 else np.int64(-1)
    b = m[X_B] + row_b if m[X_B] >= 0 else np.int64(-1)
    d = m[X_D] + m[P_DIM] - 1 - row_d if m[X_D] >= 0 else np.int64(-1)
    bank_a = bank_of(m, a) if a >= 0 else np.int64(-1)
    bank_b = bank_of(m, b) if b >= 0 else np.int64(-2)
    bank_d = bank_of(m, d) if d >= 0 else np.int64(-3)
    fire_a = not (na == nb + 1 or na == nd + 1)
    fire_b = not (_wait(nb, na, bank_a == bank_b) or nb == nd + 1)
    fire_d = not (_wait(nd, na, bank_a == bank_d) or _wait(nd, nb, bank_b == bank_d))
    read_a = fire_a and a >= 0 and row_a < m[X_A_ROWS]
    read_b = fire_b and b >= 0 and row_b < m[X_B_ROWS]
    read_d = fire_d and d >= 0 and m[P_DIM] - 1 - row_d < m[X_D_ROWS]
    # A write takes a single-ported bank, and what the DMA read before may fill its output (Scratchpad.scala).
    busy = m[W_BANK] if m[W_TIME] == t else np.int64(-9)
    execute = execute_writes(m, t)
    held = m[V_HELD_BANK] if m[V_HELD_BANK] >= 0 and bank_held(m, t, m[V_HELD_BANK]) else np.int64(-9)
    if held < 0:
        m[V_HELD_BANK] = -1
    if read_a and bank_a in (busy, execute, held):
        fire_a = read_a = False
    if read_b and bank_b in (busy, execute, held):
        fire_b = read_b = False
    if read_d and bank_d in (busy, execute, held):
        fire_d = read_d = False
    reads = read_a or read_b or read_d
    if reads:
        m[X_READ_TIME], m[X_READS] = t, 0
        if read_a:
            m[X_READS] |= np.int64(1) << bank_a
        if read_b:
            m[X_READS] |= np.int64(1) << bank_b
        if read_d:
            m[X_READS] |= np.int64(1) << bank_d
        m[N_SP_READ] += (read_a + read_b + read_d) * m[P_DIM] * m[P_IN_BYTES]
    m[X_NA] += 1 if fire_a else 0
    m[X_NB] += 1 if fire_b else 0
    m[X_ND] += 1 if fire_d else 0
    fired = fire_a or fire_b or fire_d
    _queue_entry(m, t, reads, fired)
    if fired:
        m[X_FIRED] = t
        m[X_BUSY] += 1
    else:
        m[X_CAUSE] = BANK_CONFLICT
    return m[X_NA] == total and m[X_NB] == total and m[X_ND] == total


@compiled
def _queue_entry(m, t, reads, fired):  # type: ignore[no-untyped-def]
    """Put this cycle's signals into the control queue and find the cycle in which they leave it for the mesh."""
    depth = m[P_READ_DELAY]
    out = most(t + (depth if reads else 1), m[X_LAST_OUT] + 1)
    if m[X_FIRST] and fired:
        before = m[X_TAG_TAIL] - m[P_TAGS]
        if before >= 0:
            out = most(out, m[TAGS + before % TAG_RING * T_SIZE + T_LEFT] + 1)
        enter_operation(m, out)
        m[X_FIRST] = 0
    m[LEFT + m[X_ENTRIES] % 64] = out
    m[X_ENTRIES] += 1
    m[X_LAST_OUT] = out
    complete = least(least(m[X_NA], m[X_NB]), m[X_ND])
    while m[X_ROW] < complete:
        row_leaves(m, m[X_ROW], m[X_TOTAL], out + m[P_MESH_DELAY])
        m[X_LAST_ROW] = out
        m[X_ROW] += 1


@merged
def _finish(m, t):  # type: ignore[no-untyped-def]
    """All rows are fired in cycle `t`: pop the commands, note which entries complete without a result."""
    head = m[X_CQ_HEAD]
    slot0 = m[COMMANDS + head % QUEUE_RING * U_SIZE + U_SLOT]
    slot1 = m[COMMANDS + (head + 1) % QUEUE_RING * U_SIZE + U_SLOT]
    m[X_STATE], m[X_NEXT] = WAITING, t + 1
    m[G_EXE_ACTIVE] += t
    m[X_PENDING_SINCE] = t
    if m[X_OP] == PRELOAD_ONLY:
        m[X_PENDING0] = slot0 if m[X_C_KEY] < 0 else -1
        m[X_CQ_HEAD] += 1
    elif m[X_OP] == MUL_PRELOAD:
        m[X_PENDING0] = slot0
        m[X_PENDING1] = slot1 if m[X_C_KEY] < 0 else -1
        m[X_CQ_HEAD] += 2
    else:
        m[X_PENDING0] = slot0
        m[X_CQ_HEAD] += 1
    m[X_U_NEXT] = least(m[X_U_NEXT], t + 1)


@compiled
def _flush(m, t):  # type: ignore[no-untyped-def]
    """FLUSH state: once the mesh has taken every row, push DIM empty rows through it."""
    if m[X_LAST_OUT] >= t:
        m[X_NEXT] = m[X_LAST_OUT] + 1
        return
    before = m[X_TAG_TAIL] - m[P_TAGS]
    if before >= 0 and m[TAGS + before % TAG_RING * T_SIZE + T_LEFT] >= t:
        m[X_NEXT] = m[TAGS + before % TAG_RING * T_SIZE + T_LEFT] + 1
        return
    m[X_OPS] += 1
    for row in range(m[P_DIM]):
        row_leaves(m, row, m[P_DIM], t + row + m[P_MESH_DELAY])
    m[X_LAST_OUT] = t + m[P_DIM] - 1
    m[X_STATE], m[X_FLUSHED] = FLUSHING, t + m[P_DIM] + 1
    m[X_NEXT] = m[X_FLUSHED]


@compiled
def execute(m, t):  # type: ignore[no-untyped-def]
    """One cycle of the execute controller."""
    interrupt_all(m, t)
    if m[X_STATE] == COMPUTING and begin_rows(m, t):
        return
    m[X_NEXT] = NEVER
    blocked = m[X_STATE] == COMPUTING and m[X_CAUSE] == DEPENDENCY
    m[X_CAUSE] = 0
    if m[X_STATE] == FLUSH:
        m[X_CAUSE] = DEPENDENCY
        _flush(m, t)
        return
    if m[X_STATE] == FLUSHING:
        if m[X_FLUSHED] > t:
            # A command arrives meanwhile.
            m[X_CAUSE], m[X_NEXT] = DEPENDENCY, m[X_FLUSHED]
            return
        m[X_STATE] = WAITING
        m[G_EXE_FLUSH] += t - 1
    if m[X_STATE] == WAITING:
        decide(m, t)
        if m[X_STATE] != COMPUTING:
            if m[X_CQ_HEAD] != m[X_CQ_TAIL] and m[COMMANDS + (m[X_CQ_TAIL] - 1) % QUEUE_RING * U_SIZE + U_TIME] == t:
                m[X_NEXT] = t + 1
            return
    room = m[LEFT + (m[X_ENTRIES] - m[P_READ_DELAY]) % 64]
    if room > t:
        m[X_CAUSE] = DEPENDENCY
        m[X_NEXT] = room
        m[G_EXE_Q_BLOCK] += 0 if blocked else room - t
        return
    m[X_NEXT] = t + 1
    if is_apart(m, t):
        fire_apart(m, t)
        done = m[X_NA] == m[X_TOTAL]
    else:
        done = _fire(m, t)
    if done:
        _finish(m, t)
    elif m[X_FIRED] == t:
        begin_rows(m, t + 1)


@compiled
def complete_execute(m, t):  # type: ignore[no-untyped-def]
    """Complete one execute entry in cycle `t`, results first; returns the entry's slot or -1."""
    slot = np.int64(-1)
    if m[X_DONE_HEAD] != m[X_DONE_TAIL] and m[MESH_DONE + m[X_DONE_HEAD] % TAG_RING * 2 + 0] <= t:
        slot = m[MESH_DONE + m[X_DONE_HEAD] % TAG_RING * 2 + 1]
        m[X_DONE_HEAD] += 1
    elif m[X_PENDING0] >= 0 and m[X_PENDING_SINCE] < t:
        slot, m[X_PENDING0] = m[X_PENDING0], -1
    elif m[X_PENDING1] >= 0 and m[X_PENDING_SINCE] < t:
        slot, m[X_PENDING1] = m[X_PENDING1], -1
    if slot >= 0:
        release(m, t, slot, EXECUTE)
    return slot


@inlined
def next_completion(m, t):  # type: ignore[no-untyped-def]
    """Next cycle after `t` in which an execute entry may complete."""
    if m[X_PENDING0] >= 0 or m[X_PENDING1] >= 0:
        return t + 1
    if m[X_DONE_HEAD] != m[X_DONE_TAIL]:
        return m[MESH_DONE + m[X_DONE_HEAD] % TAG_RING * 2 + 0]
    return np.int64(NEVER)
