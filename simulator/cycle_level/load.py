"""Load path of the engine: load controller, DMA reader and zero writer (LoadController, DMA, ZeroWriter .scala).

Rows of a mvin leave the controller one a cycle, and the reader splits them into aligned power-of-two requests, whose
answers `cycle_level.rows` brings to the banks.
"""

from __future__ import annotations

import numpy as np

from simulator.cycle_level.array_rows import interrupt_rows
from simulator.cycle_level.banks import bank_of, copy_key, executing_on
from simulator.cycle_level.compile import bits, compiled, inlined, least, merged, most
from simulator.cycle_level.front import release, row_key
from simulator.cycle_level.port import READER, alone, answer_read, best_packet, enter_read, new_request, pass_alone
from simulator.cycle_level.rows import credit, may_write_accumulator

# isort: off
from simulator.cycle_level.state import (
    ACC_BANK_BIT, C_BLOCK, C_PIXELS, C_SCALE, C_SHRINK, C_SIZE, C_STRIDE, D_ACCUMULATE, D_BLOCK, D_BYTES, D_OFFSET,
    D_PIXELS, D_REPEATS, D_ROW, D_SCALED, D_SHIFT, D_TRACKER, D_WIDE, ENTRY, E_SIZE, E_STARTED, G_LOAD_ACTIVE,
    G_LOAD_DMA_WAIT, G_LOAD_PAD_WAIT, G_RDMA_ACTIVE, G_RDMA_BYTES, G_RDMA_LATENCY, IN_FLIGHT, K_LEFT, K_SEEN, K_SIZE,
    K_SLOT, K_START, K_VALID, LOAD, LOAD_CONFIG, LOAD_QUEUE, L_DONE_HEAD, L_HEAD, L_NEXT, L_POPPED, L_ROW, L_STATE,
    L_TAIL, L_TRACKED, L_TRACKER, NEVER, N_ACC_WRITE, N_SP_WRITE, O_READ_BLOCKED, P_ACC_BYTES, P_BUS, P_DIM,
    P_IN_BYTES, P_IN_FLIGHT, P_REQUEST, P_SCALE_UNITS, P_SP_QUEUE, P_TRACKED, QUEUE_RING, Q_ACCUMULATE, Q_ADDRESS,
    Q_BLOCK, Q_BYTES, Q_FROM, Q_LOCAL, Q_PIXELS, Q_REPEATS, Q_SCALED, Q_SIZE, Q_TIME, Q_TRACKER, Q_WIDE, READ_REQUEST,
    ROW_QUEUE, R_ACTIVE, R_ADDRESS, R_BEATS, R_BYTES, R_DONE, R_HEAD, R_ISSUED, R_LEFT, R_NEXT, R_REQUESTS, R_TAIL,
    S_ISSUE_LD, TRACKER, U_FUNCT, U_RS1, U_RS2, U_SIZE, U_SLOT, U_TIME, W_ACCUMULATES, W_ACC_BANK, W_ACC_TIME, W_BANK,
    W_LAST_TIME, W_TIME, Z_ACCUMULATE, Z_BLOCK, Z_BYTES, Z_COLUMN, Z_COLUMNS, Z_HELD, Z_HELD_ACCUMULATE, Z_HELD_BYTES,
    Z_HELD_COPIES, Z_HELD_KEY, Z_HELD_LAST, Z_HELD_SINCE, Z_LOCAL, Z_NEXT, Z_PIXELS, Z_SINCE, Z_TRACKER, Z_VALID,
)  # fmt: skip
# isort: on


SCALE_ONE = 0x3F800000
IDLE, SENDING, LEAVING = 0, 1, 2


@inlined
def _config_of(funct):  # type: ignore[no-untyped-def]
    """The configuration record of a mvin's command number."""
    return LOAD_CONFIG + (0 if funct == 2 else (1 if funct == 1 else 2)) * C_SIZE


@compiled
def _configure(m, rs1, rs2):  # type: ignore[no-untyped-def]
    config = LOAD_CONFIG + bits(rs1, 4, 3) * C_SIZE
    m[config + C_STRIDE], m[config + C_SHRINK] = rs2, bits(rs1, 2, 2)
    m[config + C_BLOCK], m[config + C_SCALE] = bits(rs1, 31, 16), bits(rs1, 63, 32)
    m[config + C_PIXELS] = most(bits(rs1, 15, 8), 1) - 1


@merged
def _send_row(m, t, funct, rs1, rs2):  # type: ignore[no-untyped-def]
    """Send the current row to the zero writer or the reader's row queue; False if there is no room."""
    config = _config_of(funct)
    local = bits(rs2, 31, 0)
    wide = 1 if (local >> 31) & 1 and not m[config + C_SHRINK] else 0
    columns, rows = bits(rs2, 47, 32), bits(rs2, 63, 48)
    width = m[P_ACC_BYTES] if wide else m[P_IN_BYTES]
    if rs1 == 0:
        if m[Z_VALID]:
            return False
        m[Z_VALID], m[Z_SINCE], m[Z_COLUMN] = 1, t, 0
        m[Z_LOCAL], m[Z_COLUMNS] = row_key(local) + m[L_ROW], columns
        m[Z_BLOCK], m[Z_TRACKER] = m[config + C_BLOCK], m[L_TRACKER]
        m[Z_BYTES], m[Z_ACCUMULATE] = columns * width, (local >> 31) & (local >> 30) & 1
        m[Z_PIXELS] = m[config + C_PIXELS]
        m[Z_NEXT] = least(m[Z_NEXT], t + 1)
        return True
    if m[R_TAIL] - m[R_HEAD] >= m[P_SP_QUEUE] + 1:
        return False
    q = ROW_QUEUE + m[R_TAIL] % 16 * Q_SIZE
    m[q + Q_ADDRESS] = rs1 + m[L_ROW] * m[config + C_STRIDE]
    m[q + Q_BYTES], m[q + Q_LOCAL] = columns * width, row_key(local) + m[L_ROW]
    m[q + Q_TRACKER], m[q + Q_BLOCK], m[q + Q_WIDE] = m[L_TRACKER], m[config + C_BLOCK], wide
    m[q + Q_PIXELS] = m[config + C_PIXELS]
    m[q + Q_REPEATS] = rows - 1 if m[config + C_STRIDE] == 0 else 0
    m[q + Q_SCALED] = 1 if m[P_SCALE_UNITS] and m[config + C_SCALE] != SCALE_ONE and not wide else 0
    m[q + Q_ACCUMULATE], m[q + Q_TIME] = (local >> 31) & (local >> 30) & 1, t
    m[R_TAIL] += 1
    m[R_NEXT] = least(m[R_NEXT], t + 1)
    return True


@merged
def _track(m, t, slot, funct, rs1, rs2):  # type: ignore[no-untyped-def]
    """Open a tracker for the mvin at the head: how many bytes must come back."""
    config = _config_of(funct)
    wide = (bits(rs2, 31, 0) >> 31) & 1 and not m[config + C_SHRINK]
    rows = bits(rs2, 63, 48)
    if m[config + C_STRIDE] == 0 and rs1 != 0:
        rows = 1
    number = 0
    while m[TRACKER + number * K_SIZE + K_VALID]:
        number += 1
    k = TRACKER + number * K_SIZE
    m[k + K_VALID], m[k + K_SLOT], m[k + K_START] = 1, slot, t
    m[k + K_LEFT] = rows * bits(rs2, 47, 32) * (m[P_ACC_BYTES] if wide else m[P_IN_BYTES])
    m[ENTRY + slot * E_SIZE + E_STARTED] = t
    m[L_TRACKED] += 1
    m[L_TRACKER], m[L_ROW] = number, 0
    m[G_LOAD_DMA_WAIT] -= t
    m[G_LOAD_PAD_WAIT] -= t + rows - 1
    return rows


@compiled
def _pop(m, t):  # type: ignore[no-untyped-def]
    m[L_HEAD] += 1
    m[L_POPPED], m[L_STATE] = t, IDLE
    m[L_NEXT] = t + 1 if m[L_HEAD] != m[L_TAIL] else NEVER
    m[S_ISSUE_LD] = least(m[S_ISSUE_LD], t)


@merged
def load_controller(m, t):  # type: ignore[no-untyped-def]
    """One cycle of the load controller: configure, or send one row of the mvin at its head."""
    m[L_NEXT] = NEVER
    if m[L_HEAD] == m[L_TAIL]:
        return
    record = LOAD_QUEUE + m[L_HEAD] % QUEUE_RING * U_SIZE
    if m[record + U_TIME] >= t:
        m[L_NEXT] = t + 1
        return
    if m[L_STATE] == LEAVING:
        m[G_LOAD_ACTIVE] += t
        _pop(m, t)
        return
    funct, rs1, rs2 = m[record + U_FUNCT], m[record + U_RS1], m[record + U_RS2]
    if funct == 0:
        _configure(m, rs1, rs2)
        _pop(m, t)
        return
    if m[L_STATE] == IDLE:
        if m[L_TRACKED] == m[P_TRACKED]:
            return
        _track(m, t, m[record + U_SLOT], funct, rs1, rs2)
        m[L_STATE] = SENDING
    rows = bits(rs2, 63, 48)
    if m[_config_of(funct) + C_STRIDE] == 0 and rs1 != 0:
        rows = 1
    if not _send_row(m, t, funct, rs1, rs2):
        return
    if m[L_ROW] == 0:
        m[G_LOAD_DMA_WAIT] += t
        m[G_LOAD_ACTIVE] -= t
    m[L_ROW] += 1
    if m[L_ROW] < rows:
        m[L_NEXT] = t + 1
        return
    m[G_LOAD_PAD_WAIT] += t
    if rows == 1:
        m[L_STATE], m[L_NEXT] = LEAVING, t + 1
    else:
        m[G_LOAD_ACTIVE] += t
        _pop(m, t)


@inlined
def _oldest(m):  # type: ignore[no-untyped-def]
    """The transaction number that is free first; answers may come out of order."""
    number = np.int64(0)
    for other in range(1, m[P_IN_FLIGHT]):
        if m[IN_FLIGHT + other] < m[IN_FLIGHT + number]:
            number = np.int64(other)
    return number


@inlined
def _describe_answer(m, d, useful, shift):  # type: ignore[no-untyped-def]
    """What is to be done with the `useful` bytes, behind `shift` others, of an answer to the current row's reader."""
    q = ROW_QUEUE + (m[R_ACTIVE] - 1) * Q_SIZE
    row_bytes = m[P_DIM] * (m[P_ACC_BYTES] if m[q + Q_WIDE] else m[P_IN_BYTES])
    m[d + D_SHIFT], m[d + D_BYTES] = shift, useful
    m[d + D_ROW] = m[q + Q_LOCAL] + m[q + Q_BLOCK] * (m[R_DONE] // row_bytes)
    m[d + D_OFFSET], m[d + D_TRACKER], m[d + D_BLOCK] = m[R_DONE] % row_bytes, m[q + Q_TRACKER], m[q + Q_BLOCK]
    m[d + D_WIDE], m[d + D_REPEATS], m[d + D_SCALED] = m[q + Q_WIDE], m[q + Q_REPEATS], m[q + Q_SCALED]
    m[d + D_ACCUMULATE], m[d + D_PIXELS] = m[q + Q_ACCUMULATE], m[q + Q_PIXELS]


@merged
def _request(m, memory, t, number):  # type: ignore[no-untyped-def]
    """Issue one read request of the current row in cycle `t`, as transaction `number`."""
    size, useful = best_packet(m[R_ADDRESS], m[R_LEFT], m[P_BUS], m[P_REQUEST])
    request = new_request(m, READ_REQUEST, number, m[R_ADDRESS], size, useful)
    _describe_answer(m, request, useful, m[R_ADDRESS] & (size - 1))
    m[IN_FLIGHT + number] = NEVER
    m[G_RDMA_LATENCY] -= t
    beats = size // m[P_BUS]
    # The reader adds a request's bytes at each of its beats (total_bytes_read in DMA.scala).
    m[G_RDMA_BYTES] += size * beats
    m[R_ISSUED] += 1
    m[R_REQUESTS] += 1
    m[R_BYTES] += size
    m[R_BEATS] += beats
    m[R_ADDRESS] += useful
    m[R_DONE] += useful
    m[R_LEFT] -= useful
    if alone(m, t):
        answer_read(m, memory, t, request, pass_alone(m, t, READER, m[request + Q_FROM]))
    else:
        enter_read(m, t, request)


@merged
def reader(m, memory, t):  # type: ignore[no-untyped-def]
    """One cycle of the DMA reader: one request of the current row, and a new row as soon as the last is done."""
    m[R_NEXT] = NEVER
    if m[R_ACTIVE]:
        number = m[R_ISSUED] % m[P_IN_FLIGHT]
        if m[IN_FLIGHT + number] > t:
            number = _oldest(m)
        if m[IN_FLIGHT + number] > t:
            m[R_NEXT] = m[IN_FLIGHT + number]
            return
        if m[O_READ_BLOCKED] == t:
            m[R_NEXT] = t + 1
            return
        _request(m, memory, t, number)
        if m[R_LEFT] > 0:
            m[R_NEXT] = t + 1
            return
        m[R_ACTIVE] = 0
        m[G_RDMA_ACTIVE] += t
    if m[R_HEAD] == m[R_TAIL]:
        return
    q = ROW_QUEUE + m[R_HEAD] % 16 * Q_SIZE
    if m[q + Q_TIME] >= t:
        m[R_NEXT] = t + 1
        return
    m[R_ACTIVE] = m[R_HEAD] % 16 + 1
    m[R_ADDRESS], m[R_LEFT], m[R_DONE] = m[q + Q_ADDRESS], m[q + Q_BYTES], 0
    m[R_HEAD] += 1
    m[G_RDMA_ACTIVE] -= t
    m[R_NEXT] = t + 1
    m[L_NEXT] = least(m[L_NEXT], t)


@compiled
def _write_zeros(m, t):  # type: ignore[no-untyped-def]
    """Write the held block of zeros, or a copy of it for repeated pixels, in cycle `t` if its bank is free."""
    key = copy_key(m, m[Z_HELD_KEY], m[Z_HELD_COPIES])
    if key < 0:
        m[Z_HELD_COPIES] -= 1
        return
    bank = bank_of(m, key)
    taken = (m[W_TIME] == t and m[W_BANK] == bank) or (m[W_ACC_TIME] == t and m[W_ACC_BANK] == bank)
    if taken or m[W_LAST_TIME] == t or executing_on(m, t, bank):
        return
    if bank >= ACC_BANK_BIT and not may_write_accumulator(m, t, bank, key, m[Z_HELD_ACCUMULATE]):
        return
    m[N_ACC_WRITE if bank >= ACC_BANK_BIT else N_SP_WRITE] += m[P_DIM]
    if bank >= ACC_BANK_BIT:
        m[W_ACC_TIME], m[W_ACC_BANK], m[W_ACCUMULATES] = t, bank, m[Z_HELD_ACCUMULATE]
    else:
        interrupt_rows(m, t, bank)
        m[W_TIME], m[W_BANK] = t, bank
    if m[Z_HELD_COPIES] > 0:
        m[Z_HELD_COPIES] -= 1
        return
    m[Z_HELD] = 0
    if m[Z_HELD_LAST] > 0:
        credit(m, t, m[Z_HELD_LAST] - 1, m[Z_HELD_BYTES])


@compiled
def zero_writer(m, t):  # type: ignore[no-untyped-def]
    """One cycle of the zero writer: its held block goes to the bank if free, the next block takes its place."""
    if m[Z_HELD] and m[Z_HELD_SINCE] < t:
        _write_zeros(m, t)
    if m[Z_VALID] and m[Z_SINCE] < t and not m[Z_HELD]:
        dim = m[P_DIM]
        m[Z_HELD], m[Z_HELD_SINCE], m[Z_HELD_ACCUMULATE] = 1, t, m[Z_ACCUMULATE]
        m[Z_HELD_COPIES] = m[Z_PIXELS]
        m[Z_HELD_KEY] = m[Z_LOCAL] + m[Z_BLOCK] * (m[Z_COLUMN] // dim)
        m[Z_COLUMN] += dim
        m[Z_HELD_LAST] = 0
        if m[Z_COLUMN] >= m[Z_COLUMNS]:
            # The next row, of another mvin even, may take the writer's registers before this block is written.
            m[Z_HELD_LAST], m[Z_HELD_BYTES] = m[Z_TRACKER] + 1, m[Z_BYTES]
            m[Z_VALID] = 0
            m[L_NEXT] = least(m[L_NEXT], t)
    m[Z_NEXT] = t + 1 if m[Z_VALID] or m[Z_HELD] else NEVER


@compiled
def complete_load(m, t):  # type: ignore[no-untyped-def]
    """Complete one mvin in cycle `t`, the first in DMACommandTracker's order; returns its slot, its start cycle."""
    number = 0
    while m[TRACKER + number * K_SIZE + K_VALID] != 2 or m[TRACKER + number * K_SIZE + K_SEEN] > t:
        number += 1
    k = TRACKER + number * K_SIZE
    m[k + K_VALID] = 0
    m[L_TRACKED] -= 1
    m[L_NEXT] = least(m[L_NEXT], t + 1)
    m[L_DONE_HEAD] = 0
    for other in range(m[P_TRACKED]):
        if m[TRACKER + other * K_SIZE + K_VALID] == 2:
            m[L_DONE_HEAD] = t + 1
    slot, start = m[k + K_SLOT], m[k + K_START]
    release(m, t, slot, LOAD)
    return slot, start
