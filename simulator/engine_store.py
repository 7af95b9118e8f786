"""Store path of the engine: store controller, read and scale pipeline, DMA writer (StoreController, Scratchpad, DMA
.scala).

A mvout becomes items, one block of one row (or one pooling window element) each. An item passes four queues in order:
dispatched (its bank is read), through the normaliser's queue, into the scale pipeline, and into the writer, which
sends a row as write packets once its last block has arrived. Times downstream of the bank read depend on nothing but
the items before, so they are computed as soon as they are determined.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from simulator.command_check import bits
from simulator.engine_front import release, row_key
from simulator.engine_load import bank_of, best_packet, execute_writes
from simulator.engine_state import (
    ACC_BANK_BIT,
    ACCUMULATES_BIT,
    I_ACCEPT,
    I_ADDRESS,
    I_BANK,
    I_BYTES,
    I_KEY,
    I_NORM,
    I_QUEUED,
    I_READ,
    I_SCALE,
    I_STORE,
    ITEMS,
    N_ACC_READ,
    N_SP_READ,
    NEVER,
    P_ACC_BYTES,
    P_ACC_SCALE,
    P_BUS,
    P_DIM,
    P_IN_BYTES,
    P_IN_FLIGHT,
    P_LATENCY,
    P_PER_BEAT,
    P_PORT,
    P_READ_DELAY,
    P_REQUEST,
    P_SP_QUEUE,
    QUEUE_RING,
    R_MEMORY_FREE,
    R_PORT_FREE,
    S_ISSUE_ST,
    S_STORES_OUT,
    STORE,
    U_COMMAND,
    U_SLOT,
    U_TIME,
    V_BEATS,
    V_BLOCK,
    V_BYTES,
    V_COLUMNS,
    V_D_NEXT,
    V_DONE,
    V_FIRED,
    V_HEAD,
    V_ISSUED,
    V_LAST_ACK,
    V_LEFT,
    V_NEXT,
    V_PACKETS,
    V_POOL_COLUMNS,
    V_POOL_DIM,
    V_POOL_LEFT,
    V_POOL_ROWS,
    V_POOL_SIZE,
    V_POOL_STEP,
    V_POOL_UPPER,
    V_POPPED,
    V_READY,
    V_REQUESTS,
    V_ROW,
    V_ROWS,
    V_SCALED,
    V_SENT,
    V_SLOT,
    V_START,
    V_STATE,
    V_STRIDE,
    V_TAIL,
    V_TAKEN,
    V_W_ADDRESS,
    V_W_LEFT,
    V_W_NEXT,
    W_ACCUMULATES,
    W_BANK,
    W_TIME,
    X_READ_TIME,
    X_READS,
)  # fmt: skip

IDLE, SENDING, LEAVING = 0, 1, 2


@njit(cache=True)
def _configure(m, rs1, rs2):  # type: ignore[no-untyped-def]
    v = m.v
    v[V_STRIDE] = bits(rs2, 31, 0)
    v[V_POOL_STEP], v[V_POOL_SIZE] = bits(rs1, 5, 4), bits(rs1, 7, 6)
    v[V_POOL_UPPER], v[V_POOL_LEFT], v[V_POOL_DIM] = bits(rs1, 9, 8), bits(rs1, 11, 10), bits(rs1, 31, 24)
    v[V_POOL_ROWS], v[V_POOL_COLUMNS] = bits(rs1, 39, 32), bits(rs1, 47, 40)
    v[V_ROWS], v[V_COLUMNS] = bits(rs1, 55, 48), bits(rs1, 63, 56)


@njit(cache=True)
def _pool_item(m, item, rs1, local, count):  # type: ignore[no-untyped-def]
    """Fill the item of window element number `count`; its key is -1 outside the image."""
    v = m.v
    window = v[V_POOL_SIZE] * v[V_POOL_SIZE]
    pixel, element = count // window, count % window
    out_row, out_column = pixel // v[V_POOL_COLUMNS], pixel % v[V_POOL_COLUMNS]
    row = out_row * v[V_POOL_STEP] + element // v[V_POOL_SIZE] - v[V_POOL_UPPER]
    column = out_column * v[V_POOL_STEP] + element % v[V_POOL_SIZE] - v[V_POOL_LEFT]
    inside = 0 <= row < v[V_ROWS] and 0 <= column < v[V_COLUMNS]
    item[I_KEY] = row_key(local) + row * v[V_COLUMNS] + column if inside else -1
    item[I_ADDRESS] = np.int64(rs1) + (out_row * v[V_POOL_DIM] + out_column) * v[V_STRIDE]
    item[I_STORE] = 1 if element == window - 1 else 0


@njit(cache=True)
def _send_item(m, t, rs1, rs2):  # type: ignore[no-untyped-def]
    """Put the next item of the mvout at the head into the dispatch queue."""
    v, dim = m.v, m.p[P_DIM]
    item = m.items[v[V_SENT] % ITEMS]
    local, columns = bits(rs2, 31, 0), bits(rs2, 47, 32)
    full = (local >> 29) & 1
    width = m.p[P_ACC_BYTES] if full else m.p[P_IN_BYTES]
    if v[V_POOL_STEP]:
        _pool_item(m, item, rs1, local, v[V_ROW])
        item[I_BYTES] = columns * width
        v[V_ROW] += 1
    else:
        blocks = (columns + dim - 1) // dim
        item[I_KEY] = row_key(local) + v[V_BLOCK] * dim + v[V_ROW]
        item[I_ADDRESS] = np.int64(rs1) + v[V_ROW] * v[V_STRIDE]
        item[I_STORE] = 1 if v[V_BLOCK] == blocks - 1 else 0
        item[I_BYTES] = columns * width
        v[V_BLOCK] += 1
        if v[V_BLOCK] == blocks:
            v[V_BLOCK] = 0
            v[V_ROW] += 1
    item[I_BANK] = -1 if item[I_KEY] < 0 else bank_of(m, item[I_KEY])
    item[I_QUEUED], item[I_READ], item[I_NORM], item[I_SCALE], item[I_ACCEPT] = t, NEVER, NEVER, NEVER, NEVER
    v[V_SENT] += 1
    v[V_D_NEXT] = min(v[V_D_NEXT], t + 1)


@njit(cache=True)
def _items_of(m, rs2):  # type: ignore[no-untyped-def]
    v = m.v
    if v[V_POOL_STEP]:
        return v[V_POOL_ROWS] * v[V_POOL_COLUMNS] * v[V_POOL_SIZE] * v[V_POOL_SIZE]
    return bits(rs2, 63, 48) * ((bits(rs2, 47, 32) + m.p[P_DIM] - 1) // m.p[P_DIM])


@njit(cache=True)
def _pop(m, t):  # type: ignore[no-untyped-def]
    m.v[V_HEAD] += 1
    m.v[V_POPPED], m.v[V_STATE] = t, IDLE
    m.v[V_NEXT] = t + 1 if m.v[V_HEAD] != m.v[V_TAIL] else NEVER
    m.s[S_ISSUE_ST] = min(m.s[S_ISSUE_ST], t)


@njit(cache=True)
def store_controller(m, t, funct, rs1, rs2):  # type: ignore[no-untyped-def]
    """One cycle of the store controller: configure, or send one item of the mvout at its head."""
    v = m.v
    v[V_NEXT] = NEVER
    if v[V_HEAD] == v[V_TAIL]:
        return
    record = m.store_queue[v[V_HEAD] % QUEUE_RING]
    if record[U_TIME] >= t:
        v[V_NEXT] = t + 1
        return
    i = record[U_COMMAND]
    if v[V_STATE] == LEAVING:
        _pop(m, t)
        return
    if funct[i] == 0:
        _configure(m, rs1[i], rs2[i])
        _pop(m, t)
        return
    if v[V_STATE] == IDLE:
        if v[V_LEFT] > 0 or v[V_DONE]:
            return
        v[V_STATE], v[V_ROW], v[V_BLOCK] = SENDING, 0, 0
        v[V_LEFT], v[V_SLOT], v[V_START] = _items_of(m, rs2[i]), record[U_SLOT], t
        v[V_TAKEN] = v[V_SENT]
    # The dispatch queue holds two items; the one leaving this cycle still counts.
    waiting = v[V_SENT] - v[V_FIRED]
    if v[V_FIRED] > 0 and m.items[(v[V_FIRED] - 1) % ITEMS, I_READ] == t:
        waiting += 1
    if waiting >= 2:
        v[V_NEXT] = t + 1 if v[V_SENT] - v[V_FIRED] < 2 else NEVER
        return
    total = _items_of(m, rs2[i])
    _send_item(m, t, rs1[i], rs2[i])
    if v[V_SENT] - v[V_TAKEN] < total:
        v[V_NEXT] = t + 1
    elif total == 1:
        v[V_STATE], v[V_NEXT] = LEAVING, t + 1
    else:
        _pop(m, t)


@njit(cache=True)
def _bank_busy(m, t, bank):  # type: ignore[no-untyped-def]
    """Whether the DMA cannot read `bank` in cycle `t` because someone else uses its port."""
    execute = execute_writes(m, t)
    same = execute >= 0 and (execute & (ACC_BANK_BIT * 2 - 1)) == bank
    if bank >= ACC_BANK_BIT:
        if same and execute & ACCUMULATES_BIT:
            return True
        return m.w[W_TIME] == t and m.w[W_BANK] == bank and m.w[W_ACCUMULATES] == 1
    if same or (m.w[W_TIME] == t and m.w[W_BANK] == bank):
        return True
    return m.x[X_READ_TIME] == t and (m.x[X_READS] >> bank) & 1 == 1


@njit(cache=True)
def dispatch(m, t):  # type: ignore[no-untyped-def]
    """One cycle at the dispatch queue: read the bank of the item at its head if bank and queues allow."""
    v = m.v
    v[V_D_NEXT] = NEVER
    number = v[V_FIRED]
    if number == v[V_SENT]:
        return
    item = m.items[number % ITEMS]
    if item[I_QUEUED] >= t:
        v[V_D_NEXT] = t + 1
        return
    depth = m.p[P_SP_QUEUE] + 2
    if number >= depth and m.items[(number - depth) % ITEMS, I_NORM] + 1 > t:
        norm = m.items[(number - depth) % ITEMS, I_NORM]
        v[V_D_NEXT] = norm + 1 if norm < NEVER else NEVER
        return
    bank = item[I_BANK]
    for back in range(1, 9):
        if number >= back and m.items[(number - back) % ITEMS, I_BANK] == bank and bank >= 0:
            before = m.items[(number - back) % ITEMS]
            gone = before[I_NORM] if bank >= ACC_BANK_BIT else before[I_READ]
            if gone > t:
                v[V_D_NEXT] = gone if gone < NEVER else NEVER
                return
            break
    if bank >= 0 and _bank_busy(m, t, bank):
        v[V_D_NEXT] = t + 1
        return
    item[I_READ] = t
    v[V_FIRED] += 1
    v[V_NEXT] = min(v[V_NEXT], t)
    if bank >= 0:
        row = m.p[P_DIM] * (m.p[P_ACC_BYTES] if bank >= ACC_BANK_BIT else m.p[P_IN_BYTES])
        m.n[N_ACC_READ if bank >= ACC_BANK_BIT else N_SP_READ] += row
    v[V_LEFT] -= 1
    if v[V_LEFT] == 0:
        v[V_DONE] = t + 1
    if v[V_FIRED] != v[V_SENT]:
        v[V_D_NEXT] = t + 1
    advance(m)


@njit(cache=True)
def _norm_time(m, number):  # type: ignore[no-untyped-def]
    """Cycle in which item `number` passes into the normaliser's two-entry queue (NEVER: not yet determined)."""
    item, depth = m.items[number % ITEMS], m.p[P_SP_QUEUE] + 2
    time = item[I_READ] + 1
    if number > 0:
        time = max(time, m.items[(number - 1) % ITEMS, I_NORM] + 1)
    room = 2 if item[I_BANK] >= ACC_BANK_BIT else depth
    if number >= room:
        time = max(time, m.items[(number - room) % ITEMS, I_SCALE] + 1)
    return time


@njit(cache=True)
def _scale_time(m, number):  # type: ignore[no-untyped-def]
    """Cycle in which item `number` enters scale pipeline and issue queue."""
    time = m.items[number % ITEMS, I_NORM] + 1
    if number > 0:
        time = max(time, m.items[(number - 1) % ITEMS, I_SCALE] + 1)
    depth = m.p[P_SP_QUEUE] + 1
    if number >= depth:
        time = max(time, m.items[(number - depth) % ITEMS, I_ACCEPT])
    return time


@njit(cache=True)
def advance(m):  # type: ignore[no-untyped-def]
    """Determine every downstream time that no longer depends on the future, up to the writer's next row."""
    v = m.v
    moved = True
    while moved:
        moved = False
        if v[V_SCALED] < v[V_FIRED]:
            item = m.items[v[V_SCALED] % ITEMS]
            if item[I_NORM] >= NEVER:
                time = _norm_time(m, v[V_SCALED])
                if time < NEVER:
                    item[I_NORM] = time
                    moved = True
            if item[I_NORM] < NEVER:
                time = _scale_time(m, v[V_SCALED])
                if time < NEVER:
                    item[I_SCALE] = time
                    v[V_SCALED] += 1
                    moved = True
        if v[V_ISSUED] < v[V_SCALED] and v[V_READY] < NEVER:
            item = m.items[v[V_ISSUED] % ITEMS]
            if item[I_BANK] >= ACC_BANK_BIT:
                time = item[I_SCALE] + m.p[P_ACC_SCALE]
            elif item[I_BANK] >= 0:
                time = max(item[I_SCALE] + 1, item[I_READ] + m.p[P_READ_DELAY])
            else:
                time = item[I_SCALE] + 1
            item[I_ACCEPT] = max(time, v[V_READY])
            v[V_READY] = item[I_ACCEPT] + 1
            v[V_ISSUED] += 1
            moved = True
            if item[I_STORE]:
                v[V_READY] = NEVER
                v[V_W_NEXT] = item[I_ACCEPT] + 1
                v[V_W_ADDRESS], v[V_W_LEFT] = item[I_ADDRESS], item[I_BYTES]
    if v[V_D_NEXT] == NEVER and v[V_FIRED] != v[V_SENT]:
        v[V_D_NEXT] = 0


@njit(cache=True)
def writer(m, t):  # type: ignore[no-untyped-def]
    """Send the next write packet of the writer's row in cycle `t`, when a transaction number is free."""
    v, p = m.v, m.p
    free = m.acks[v[V_PACKETS] % p[P_IN_FLIGHT]] + 1
    if free > t:
        v[V_W_NEXT] = free
        return
    size, useful = best_packet(v[V_W_ADDRESS], v[V_W_LEFT], p[P_BUS], p[P_REQUEST])
    beats = size // p[P_BUS]
    last = t
    if beats > 1:
        # The packet's own number counts as taken from its second beat on (DMA.scala, xactBusy.andR).
        in_use = m.acks[(v[V_PACKETS] + 1) % p[P_IN_FLIGHT]] + 1
        last = max(t + 1, in_use) + beats - 2
    at_port = max(t + 2 + p[P_PORT], m.r[R_PORT_FREE])
    at_port = max(last + 2 + p[P_PORT], at_port + beats - 1)
    m.r[R_PORT_FREE] = at_port + 1
    acknowledged = max(at_port + p[P_LATENCY], m.r[R_MEMORY_FREE])
    m.r[R_MEMORY_FREE] = acknowledged + p[P_PER_BEAT]
    m.acks[v[V_PACKETS] % p[P_IN_FLIGHT]] = acknowledged + p[P_PORT]
    v[V_LAST_ACK] = acknowledged + p[P_PORT]
    v[V_PACKETS] += 1
    v[V_REQUESTS] += 1
    v[V_BYTES] += useful
    v[V_BEATS] += beats
    v[V_W_ADDRESS] += useful
    v[V_W_LEFT] -= useful
    if v[V_W_LEFT] > 0:
        v[V_W_NEXT] = last + 1
        return
    v[V_W_NEXT] = NEVER
    v[V_READY] = last
    advance(m)
    if v[V_D_NEXT] < t:
        v[V_D_NEXT] = t


@njit(cache=True)
def complete_store(m, t):  # type: ignore[no-untyped-def]
    """Complete the mvout whose last item was read; returns its slot and start cycle."""
    v = m.v
    v[V_DONE] = 0
    m.s[S_STORES_OUT] -= 1
    v[V_NEXT] = min(v[V_NEXT], t + 1)
    release(m, t, v[V_SLOT], STORE)
    return v[V_SLOT], v[V_START]
