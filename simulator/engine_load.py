"""Load path of the engine: load controller, DMA reader, and the writers of its rows (LoadController, DMA, Scratchpad
.scala).

Rows of a mvin leave the controller one a cycle, the reader splits them into aligned power-of-two requests, the memory
answers in the order of requests, and every answered row is written to its bank unless the execute controller writes
that bank in the same cycle.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from simulator.command_check import bits
from simulator.engine_front import release, row_key
from simulator.engine_state import (
    ACC_BANK_BIT,
    ACCUMULATOR_KEY,
    C_BLOCK,
    C_SCALE,
    C_SHRINK,
    C_STRIDE,
    D_ACCUMULATE,
    D_BLOCK,
    D_BYTES,
    D_FIRST,
    D_OFFSET,
    D_REPEATS,
    D_ROW,
    D_SCALED,
    D_SHIFT,
    D_TRACKER,
    D_WIDE,
    K_LEFT,
    K_SLOT,
    K_START,
    K_VALID,
    L_DONE_HEAD,
    L_HEAD,
    L_NEXT,
    L_POPPED,
    L_ROW,
    L_STATE,
    L_TAIL,
    L_TRACKED,
    L_TRACKER,
    LOAD,
    N_ACC_WRITE,
    N_SP_WRITE,
    NEVER,
    P_ACC_BANK_ROWS,
    P_ACC_BYTES,
    P_BUS,
    P_DIM,
    P_IN_BYTES,
    P_IN_FLIGHT,
    P_LATENCY,
    P_PER_BEAT,
    P_PORT,
    P_REQUEST,
    P_SCALE_LATENCY,
    P_SCALE_UNITS,
    P_SP_BANK_ROWS,
    P_SP_QUEUE,
    P_TRACKED,
    Q_ACCUMULATE,
    Q_ADDRESS,
    Q_BLOCK,
    Q_BYTES,
    Q_LOCAL,
    Q_REPEATS,
    Q_SCALED,
    Q_TIME,
    Q_TRACKER,
    Q_WIDE,
    QUEUE_RING,
    R_ACTIVE,
    R_ADDRESS,
    R_BEATS,
    R_BYTES,
    R_DONE,
    R_HEAD,
    R_ISSUED,
    R_LEFT,
    R_MEMORY_FREE,
    R_NEXT,
    R_PORT_FREE,
    R_REQUESTS,
    R_TAIL,
    RESPONSES,
    S_ISSUE_LD,
    U_COMMAND,
    U_SLOT,
    U_TIME,
    W_ACCUMULATES,
    W_BANK,
    W_HEAD,
    W_LAST,
    W_NEXT,
    W_OUT,
    W_REPEAT,
    W_SCALE_FREE,
    W_SENT,
    W_TAIL,
    W_TIME,
    WRITE_RING,
    Z_ACCUMULATE,
    Z_BLOCK,
    Z_BYTES,
    Z_COLUMN,
    Z_COLUMNS,
    Z_HELD,
    Z_HELD_KEY,
    Z_HELD_LAST,
    Z_HELD_SINCE,
    Z_LOCAL,
    Z_NEXT,
    Z_SINCE,
    Z_TRACKER,
    Z_VALID,
)  # fmt: skip

SCALE_ONE = 0x3F800000
IDLE, SENDING, LEAVING = 0, 1, 2


@njit(cache=True, inline="always")
def bank_of(m, key):  # type: ignore[no-untyped-def]
    """Bank of a local row key: scratchpad bank number, or accumulator bank number plus ACC_BANK_BIT."""
    if key >= ACCUMULATOR_KEY:
        return ACC_BANK_BIT | ((key - ACCUMULATOR_KEY) // m.p[P_ACC_BANK_ROWS])
    return key // m.p[P_SP_BANK_ROWS]


@njit(cache=True, inline="always")
def execute_writes(m, t):  # type: ignore[no-untyped-def]
    """Bank the execute controller writes in cycle `t` with its accumulate bit, -1 if none."""
    slot = t % WRITE_RING
    return m.write_bank[slot] if m.write_time[slot] == t else np.int64(-1)


@njit(cache=True)
def _configure(m, rs1, rs2):  # type: ignore[no-untyped-def]
    config = m.load_config[bits(rs1, 4, 3)]
    config[C_STRIDE], config[C_SHRINK] = np.int64(rs2), bits(rs1, 2, 2)
    config[C_BLOCK], config[C_SCALE] = bits(rs1, 31, 16), bits(rs1, 63, 32)


@njit(cache=True)
def _send_row(m, t, funct, rs1, rs2):  # type: ignore[no-untyped-def]
    """Send the current row to the zero writer or the reader's row queue; False if there is no room."""
    config = m.load_config[0 if funct == 2 else (1 if funct == 1 else 2)]
    local = bits(rs2, 31, 0)
    wide = 1 if (local >> 31) & 1 and not config[C_SHRINK] else 0
    columns, rows = bits(rs2, 47, 32), bits(rs2, 63, 48)
    width = m.p[P_ACC_BYTES] if wide else m.p[P_IN_BYTES]
    if rs1 == np.uint64(0):
        if m.z[Z_VALID]:
            return False
        m.z[Z_VALID], m.z[Z_SINCE], m.z[Z_COLUMN] = 1, t, 0
        m.z[Z_LOCAL], m.z[Z_COLUMNS] = row_key(local) + m.l[L_ROW], columns
        m.z[Z_BLOCK], m.z[Z_TRACKER] = config[C_BLOCK], m.l[L_TRACKER]
        m.z[Z_BYTES], m.z[Z_ACCUMULATE] = columns * width, (local >> 30) & 1
        m.z[Z_NEXT] = min(m.z[Z_NEXT], t + 1)
        return True
    if m.r[R_TAIL] - m.r[R_HEAD] >= m.p[P_SP_QUEUE] + 1:
        return False
    q = m.row_queue[m.r[R_TAIL] % 16]
    q[Q_ADDRESS] = np.int64(rs1) + m.l[L_ROW] * config[C_STRIDE]
    q[Q_BYTES], q[Q_LOCAL] = columns * width, row_key(local) + m.l[L_ROW]
    q[Q_TRACKER], q[Q_BLOCK], q[Q_WIDE] = m.l[L_TRACKER], config[C_BLOCK], wide
    q[Q_REPEATS] = rows - 1 if config[C_STRIDE] == 0 else 0
    q[Q_SCALED] = 1 if config[C_SCALE] != SCALE_ONE and not wide else 0
    q[Q_ACCUMULATE], q[Q_TIME] = (local >> 31) & (local >> 30) & 1, t
    m.r[R_TAIL] += 1
    m.r[R_NEXT] = min(m.r[R_NEXT], t + 1)
    return True


@njit(cache=True)
def _track(m, t, slot, funct, rs1, rs2):  # type: ignore[no-untyped-def]
    """Open a tracker for the mvin at the head: how many bytes must come back."""
    config = m.load_config[0 if funct == 2 else (1 if funct == 1 else 2)]
    wide = (bits(rs2, 31, 0) >> 31) & 1 and not config[C_SHRINK]
    rows = bits(rs2, 63, 48)
    if config[C_STRIDE] == 0 and rs1 != np.uint64(0):
        rows = 1
    number = 0
    while m.tracker[number, K_VALID]:
        number += 1
    k = m.tracker[number]
    k[K_VALID], k[K_SLOT], k[K_START] = 1, slot, t
    k[K_LEFT] = rows * bits(rs2, 47, 32) * (m.p[P_ACC_BYTES] if wide else m.p[P_IN_BYTES])
    m.l[L_TRACKED] += 1
    m.l[L_TRACKER], m.l[L_ROW] = number, 0
    return rows


@njit(cache=True)
def _pop(m, t):  # type: ignore[no-untyped-def]
    m.l[L_HEAD] += 1
    m.l[L_POPPED], m.l[L_STATE] = t, IDLE
    m.l[L_NEXT] = t + 1 if m.l[L_HEAD] != m.l[L_TAIL] else NEVER
    m.s[S_ISSUE_LD] = min(m.s[S_ISSUE_LD], t)


@njit(cache=True)
def load_controller(m, t, funct, rs1, rs2):  # type: ignore[no-untyped-def]
    """One cycle of the load controller: configure, or send one row of the mvin at its head."""
    m.l[L_NEXT] = NEVER
    if m.l[L_HEAD] == m.l[L_TAIL]:
        return
    record = m.load_queue[m.l[L_HEAD] % QUEUE_RING]
    if record[U_TIME] >= t:
        m.l[L_NEXT] = t + 1
        return
    i = record[U_COMMAND]
    if m.l[L_STATE] == LEAVING:
        _pop(m, t)
        return
    if funct[i] == 0:
        _configure(m, rs1[i], rs2[i])
        _pop(m, t)
        return
    if m.l[L_STATE] == IDLE:
        if m.l[L_TRACKED] == m.p[P_TRACKED]:
            return
        _track(m, t, record[U_SLOT], funct[i], rs1[i], rs2[i])
        m.l[L_STATE] = SENDING
    rows = bits(rs2[i], 63, 48)
    if m.load_config[0 if funct[i] == 2 else (1 if funct[i] == 1 else 2), C_STRIDE] == 0 and rs1[i] != np.uint64(0):
        rows = 1
    if not _send_row(m, t, funct[i], rs1[i], rs2[i]):
        return
    m.l[L_ROW] += 1
    if m.l[L_ROW] < rows:
        m.l[L_NEXT] = t + 1
    elif rows == 1:
        m.l[L_STATE], m.l[L_NEXT] = LEAVING, t + 1
    else:
        _pop(m, t)


@njit(cache=True, inline="always")
def best_packet(address, left, smallest, largest):  # type: ignore[no-untyped-def]
    """(size, useful bytes) of the aligned power-of-two request that covers most of what is left, smallest on ties."""
    size, best_size, best = smallest, smallest, np.int64(0)
    while size <= largest:
        useful = min(size - (address & (size - 1)), left)
        if useful > best:
            best_size, best = size, useful
        size *= 2
    return best_size, best


@njit(cache=True)
def _request(m, t):  # type: ignore[no-untyped-def]
    """Issue one read request of the current row in cycle `t` and schedule its response."""
    r = m.r
    q = m.row_queue[r[R_ACTIVE] - 1]
    size, useful = best_packet(r[R_ADDRESS], r[R_LEFT], m.p[P_BUS], m.p[P_REQUEST])
    beats = size // m.p[P_BUS]
    # Two queue stages to the port (tlb_q, translate_q in DMA.scala), then the buffers.
    at_port = max(t + 2 + m.p[P_PORT], r[R_PORT_FREE])
    r[R_PORT_FREE] = at_port + 1
    first = max(at_port + m.p[P_LATENCY], r[R_MEMORY_FREE])
    r[R_MEMORY_FREE] = first + beats * m.p[P_PER_BEAT]
    d = m.responses[m.w[W_TAIL] % RESPONSES]
    row_bytes = m.p[P_DIM] * (m.p[P_ACC_BYTES] if q[Q_WIDE] else m.p[P_IN_BYTES])
    d[D_FIRST], d[D_SHIFT], d[D_BYTES] = first + m.p[P_PORT], r[R_ADDRESS] & (size - 1), useful
    d[D_ROW] = q[Q_LOCAL] + q[Q_BLOCK] * (r[R_DONE] // row_bytes)
    d[D_OFFSET], d[D_TRACKER], d[D_BLOCK] = r[R_DONE] % row_bytes, q[Q_TRACKER], q[Q_BLOCK]
    d[D_WIDE], d[D_REPEATS], d[D_SCALED] = q[Q_WIDE], q[Q_REPEATS], q[Q_SCALED]
    d[D_ACCUMULATE] = q[Q_ACCUMULATE]
    m.in_flight[r[R_ISSUED] % m.p[P_IN_FLIGHT]] = d[D_FIRST] + (beats - 1) * m.p[P_PER_BEAT] + 1
    r[R_ISSUED] += 1
    r[R_REQUESTS] += 1
    r[R_BYTES] += size
    r[R_BEATS] += beats
    r[R_ADDRESS] += useful
    r[R_DONE] += useful
    r[R_LEFT] -= useful
    if m.w[W_HEAD] == m.w[W_TAIL]:
        m.w[W_TAIL] += 1
        first_row(m)
    else:
        m.w[W_TAIL] += 1


@njit(cache=True)
def reader(m, t):  # type: ignore[no-untyped-def]
    """One cycle of the DMA reader: one request of the current row, and a new row as soon as the last is done."""
    r = m.r
    r[R_NEXT] = NEVER
    if r[R_ACTIVE]:
        free = m.in_flight[r[R_ISSUED] % m.p[P_IN_FLIGHT]]
        if free > t:
            r[R_NEXT] = free
            return
        _request(m, t)
        if r[R_LEFT] > 0:
            r[R_NEXT] = t + 1
            return
        r[R_ACTIVE] = 0
    if r[R_HEAD] == r[R_TAIL]:
        return
    q = m.row_queue[r[R_HEAD] % 16]
    if q[Q_TIME] >= t:
        r[R_NEXT] = t + 1
        return
    r[R_ACTIVE] = r[R_HEAD] % 16 + 1
    r[R_ADDRESS], r[R_LEFT], r[R_DONE] = q[Q_ADDRESS], q[Q_BYTES], 0
    r[R_HEAD] += 1
    r[R_NEXT] = t + 1
    m.l[L_NEXT] = min(m.l[L_NEXT], t)


@njit(cache=True)
def _schedule_row(m):  # type: ignore[no-untyped-def]
    """Earliest cycle in which the next row of the current response can be written."""
    d, w, p = m.responses[m.w[W_HEAD] % RESPONSES], m.w, m.p
    row_bytes = p[P_DIM] * (p[P_ACC_BYTES] if d[D_WIDE] else p[P_IN_BYTES])
    needed = min(w[W_SENT] + row_bytes, d[D_BYTES])
    beat = (d[D_SHIFT] + needed - 1) // p[P_BUS]
    out = max(d[D_FIRST] + beat * p[P_PER_BEAT] + 1, w[W_OUT] + 1)
    # Input register; with the int8 scaler, also its entry and the pixel repeater (VectorScalarMultiplier.scala).
    delay = 1 if d[D_WIDE] else 3
    if d[D_SCALED]:
        lanes = (p[P_DIM] + p[P_SCALE_UNITS] - 1) // p[P_SCALE_UNITS]
        start = max(out + 2, w[W_SCALE_FREE])
        w[W_SCALE_FREE] = start + lanes
        delay = start + lanes + p[P_SCALE_LATENCY] + 1 - out
    w[W_OUT] = out
    w[W_NEXT] = max(out + delay, w[W_TIME] + 1)


@njit(cache=True)
def first_row(m):  # type: ignore[no-untyped-def]
    """Begin the response at the head."""
    m.w[W_SENT], m.w[W_REPEAT] = 0, m.responses[m.w[W_HEAD] % RESPONSES, D_REPEATS]
    _schedule_row(m)


@njit(cache=True)
def _credit(m, t, tracker, count):  # type: ignore[no-untyped-def]
    """Bytes of a mvin have been written in cycle `t`."""
    m.tracker[tracker, K_LEFT] -= count
    if m.tracker[tracker, K_LEFT] == 0:
        m.tracker[tracker, K_VALID] = 2
        m.l[L_DONE_HEAD] = min(m.l[L_DONE_HEAD], t + 1) if m.l[L_DONE_HEAD] else t + 1


@njit(cache=True)
def write_row(m, t):  # type: ignore[no-untyped-def]
    """Write the row of a response due in cycle `t`, unless the execute controller writes its bank."""
    w = m.w
    d = m.responses[w[W_HEAD] % RESPONSES]
    row_bytes = m.p[P_DIM] * (m.p[P_ACC_BYTES] if d[D_WIDE] else m.p[P_IN_BYTES])
    key = d[D_ROW] + d[D_BLOCK] * ((d[D_OFFSET] + w[W_SENT]) // row_bytes) + w[W_REPEAT]
    bank = bank_of(m, key)
    if (execute_writes(m, t) & (ACC_BANK_BIT * 2 - 1)) == bank and execute_writes(m, t) >= 0:
        w[W_NEXT] = t + 1
        return
    w[W_BANK], w[W_TIME], w[W_ACCUMULATES] = bank, t, d[D_ACCUMULATE]
    sent = min(w[W_SENT] + row_bytes - (d[D_OFFSET] if w[W_SENT] == 0 else 0), d[D_BYTES])
    counter = N_ACC_WRITE if bank >= ACC_BANK_BIT else N_SP_WRITE
    m.n[counter] += sent - w[W_SENT]
    w[W_LAST] = 0
    if w[W_REPEAT] > 0:
        w[W_REPEAT] -= 1
        w[W_NEXT] = t + 1
        return
    w[W_SENT] = sent
    w[W_REPEAT] = d[D_REPEATS]
    if sent < d[D_BYTES]:
        _schedule_row(m)
        return
    w[W_LAST] = 1
    _credit(m, t, d[D_TRACKER], d[D_BYTES])
    w[W_HEAD] += 1
    if w[W_HEAD] == w[W_TAIL]:
        w[W_NEXT] = NEVER
    else:
        first_row(m)


@njit(cache=True)
def zero_writer(m, t):  # type: ignore[no-untyped-def]
    """One cycle of the zero writer: its held block goes to the bank if free, the next block takes its place."""
    z, w = m.z, m.w
    if z[Z_HELD] and z[Z_HELD_SINCE] < t:
        bank = bank_of(m, z[Z_HELD_KEY])
        taken = w[W_TIME] == t and (w[W_BANK] == bank or w[W_LAST])
        execute = execute_writes(m, t)
        if not taken and not (execute >= 0 and (execute & (ACC_BANK_BIT * 2 - 1)) == bank):
            z[Z_HELD] = 0
            m.n[N_ACC_WRITE if bank >= ACC_BANK_BIT else N_SP_WRITE] += m.p[P_DIM]
            if z[Z_HELD_LAST] > 0:
                _credit(m, t, z[Z_HELD_LAST] - 1, z[Z_BYTES])
            w[W_TIME], w[W_BANK] = t, bank
    if z[Z_VALID] and z[Z_SINCE] < t and not z[Z_HELD]:
        dim = m.p[P_DIM]
        z[Z_HELD], z[Z_HELD_SINCE] = 1, t
        z[Z_HELD_KEY] = z[Z_LOCAL] + z[Z_BLOCK] * (z[Z_COLUMN] // dim)
        z[Z_COLUMN] += dim
        z[Z_HELD_LAST] = 0
        if z[Z_COLUMN] >= z[Z_COLUMNS]:
            z[Z_HELD_LAST] = z[Z_TRACKER] + 1
            z[Z_VALID] = 0
            m.l[L_NEXT] = min(m.l[L_NEXT], t)
    z[Z_NEXT] = t + 1 if z[Z_VALID] or z[Z_HELD] else NEVER


@njit(cache=True)
def complete_load(m, t):  # type: ignore[no-untyped-def]
    """Complete one mvin in cycle `t`; returns its start cycle for the trace, its slot."""
    number = 0
    while m.tracker[number, K_VALID] != 2:
        number += 1
    k = m.tracker[number]
    k[K_VALID] = 0
    m.l[L_TRACKED] -= 1
    m.l[L_NEXT] = min(m.l[L_NEXT], t + 1)
    m.l[L_DONE_HEAD] = 0
    for other in range(m.p[P_TRACKED]):
        if m.tracker[other, K_VALID] == 2:
            m.l[L_DONE_HEAD] = t + 1
    slot, start = k[K_SLOT], k[K_START]
    release(m, t, slot, LOAD)
    return slot, start
