"""Reservation station of the engine (ReservationStation.scala): allocates one command a cycle from the front end's
queues (`cycle_level.queues`), issues in order within a queue, and orders queues among each other by overlap of local
address ranges.
"""

from __future__ import annotations

import numpy as np

from simulator.command_check import GARBAGE_WORD
from simulator.cycle_level.compile import bits, compiled, inlined, least, lowest_bit, merged, most
from simulator.cycle_level.conv_state import CV_NEXT, CV_UTIL_LD
from simulator.cycle_level.queues import advance_front

# isort: off
from simulator.cycle_level.state import (
    ACCUMULATOR_KEY, ENTERS_LOGGED, ENTER_LOG, ENTRY, EXECUTE, E_ALLOCATED, E_A_HIGH, E_A_LOW, E_A_WRITES, E_B_HIGH,
    E_B_LOW, E_COMMAND, E_DEPS, E_FUNCT, E_RS1, E_RS2, E_SIZE, E_SOURCE, E_STARTED, FROM_CONV, FROM_MATMUL,
    FRONT_WIDTH, F_COMMAND, F_C_HEAD, F_FULL, F_NEXT, G_ALLOCATED, G_STATION_ACTIVE, HOST, H_ACTIVE, H_NEXT, H_UTIL_LD,
    LOAD, LOAD_QUEUE, L_HEAD, L_NEXT, L_POPPED, L_TAIL, NEVER, PLAIN, P_ACC_BANK_SHIFT, P_DIM, P_EX_ENTRIES,
    P_EX_QUEUE, P_LD_ENTRIES, P_LD_QUEUE, P_SP_ROWS, P_ST_ENTRIES, P_ST_QUEUE, QUEUE_RING, STORE, STORE_QUEUE,
    S_A_STRIDE, S_A_T, S_BLOCK0, S_C_STRIDE, S_FREE_EX, S_FREE_LD, S_HEAD_LD, S_ISSUE_EX, S_ISSUE_LD, S_ISSUE_ST,
    S_LAST_BUSY, S_LOGGED, S_PIXELS0, S_POOLED, S_SOLITARY, S_TAIL_LD, S_VALID, UNISSUED, UNROLLED, UNROLLER, U_FUNCT,
    U_RS1, U_RS2, U_SIZE, U_SLOT, U_TIME, U_VARIANT, V_HEAD, V_NEXT, V_POPPED, V_TAIL, X_CQ_HEAD, X_CQ_TAIL, X_UQ_HEAD,
    X_UQ_START, X_UQ_TAIL, X_U_NEXT, Y_COMMAND, Y_FUNCT, Y_OUT, Y_RS1, Y_RS2, Y_SIZE, Y_SOURCE,
)  # fmt: skip
# isort: on


TOO_YOUNG = -2


@inlined
def row_key(address):  # type: ignore[no-untyped-def]
    """Local address as one number (-1: garbage)."""
    if address == GARBAGE_WORD:
        return np.int64(-1)
    if (address >> 31) & 1:
        return ACCUMULATOR_KEY + (address & 0x3FFFFFF)
    return address & 0x1FFFFFFF


@inlined
def _end(key, rows):  # type: ignore[no-untyped-def]
    return key if key < 0 else key + rows


@compiled
def queue_of(funct, rs1):  # type: ignore[no-untyped-def]
    """Queue of a command: LOAD, EXECUTE, STORE, or -1 for flush."""
    if funct == 0:
        kind = bits(rs1, 1, 0)
        return EXECUTE if kind == 0 else (LOAD if kind == 1 else STORE)
    if funct == 1 or funct == 2 or funct == 14:
        return LOAD
    if funct == 3:
        return STORE
    if funct == 7:
        return -1
    return EXECUTE


@inlined
def _first_copy(m, low, copies):  # type: ignore[no-untyped-def]
    """Where the station takes a mvin of repeated pixels to begin: `copies` rows before, within half a scratchpad."""
    if copies == 0 or low >= ACCUMULATOR_KEY:
        return low
    half = m[P_SP_ROWS] // 2
    return most(low - copies, half if low > half else 0)


@merged
def ranges(m, e, funct, rs1, rs2):  # type: ignore[no-untyped-def]
    """Fill the entry's two address ranges: opa [low, high) and opb [low, high)."""
    m[e + E_A_LOW], m[e + E_A_HIGH], m[e + E_B_LOW], m[e + E_B_HIGH], m[e + E_A_WRITES] = -1, -1, -1, -1, 0
    if funct == 0:
        return
    dim = m[P_DIM]
    if funct == 6:
        m[e + E_A_LOW] = row_key(bits(rs2, 31, 0))
        m[e + E_A_HIGH] = _end(m[e + E_A_LOW], bits(rs2, 63, 48) * m[S_C_STRIDE])
        m[e + E_B_LOW] = row_key(bits(rs1, 31, 0))
        m[e + E_B_HIGH] = _end(m[e + E_B_LOW], bits(rs1, 63, 48))
        m[e + E_A_WRITES] = 1
        return
    if funct == 4 or funct == 5:
        rows = bits(rs1, 47, 32) if m[S_A_T] else bits(rs1, 63, 48)
        m[e + E_A_LOW] = row_key(bits(rs1, 31, 0))
        m[e + E_A_HIGH] = _end(m[e + E_A_LOW], rows * m[S_A_STRIDE])
        m[e + E_B_LOW] = row_key(bits(rs2, 31, 0))
        m[e + E_B_HIGH] = _end(m[e + E_B_LOW], bits(rs2, 63, 48))
        return
    low = row_key(bits(rs2, 31, 0))
    blocks = (bits(rs2, 47, 32) + dim - 1) // dim
    stride = dim
    if funct != 3:
        which = 0 if funct == 2 else (1 if funct == 1 else 2)
        stride = m[S_BLOCK0 + which]
        m[e + E_A_WRITES] = 1
        low = _first_copy(m, low, m[S_PIXELS0 + which])
    m[e + E_A_LOW] = low
    m[e + E_A_HIGH] = low + (blocks - 1) * stride + bits(rs2, 63, 48)
    if funct == 3 and m[S_POOLED] and low >= ACCUMULATOR_KEY:
        bank_rows = np.int64(1) << m[P_ACC_BANK_SHIFT]
        m[e + E_A_HIGH] = ACCUMULATOR_KEY + ((low - ACCUMULATOR_KEY) // bank_rows + 1) * bank_rows


@inlined
def _overlap(low, high, other_low, other_high):  # type: ignore[no-untyped-def]
    return low < other_high and other_low < high


@merged
def depends(m, e, o, queue, other):  # type: ignore[no-untyped-def]
    """Whether new entry `e` of `queue` waits for the completion of valid entry `o` of queue `other` (another queue)."""
    a_a = _overlap(m[e + E_A_LOW], m[e + E_A_HIGH], m[o + E_A_LOW], m[o + E_A_HIGH])
    if queue == LOAD:
        return a_a or _overlap(m[e + E_A_LOW], m[e + E_A_HIGH], m[o + E_B_LOW], m[o + E_B_HIGH])
    if queue == EXECUTE and other == LOAD:
        return a_a or _overlap(m[e + E_B_LOW], m[e + E_B_HIGH], m[o + E_A_LOW], m[o + E_A_HIGH])
    if queue == EXECUTE:
        return m[e + E_A_WRITES] and a_a
    return a_a if other == LOAD else (m[o + E_A_WRITES] and a_a)


@compiled
def _dependences(m, e, queue, other, first, end):  # type: ignore[no-untyped-def]
    """Mask of the slots [first, end), those of queue `other`, that new entry `e` of `queue` waits for."""
    deps = np.int64(0)
    rest = m[S_VALID] & ((np.int64(1) << end) - (np.int64(1) << first))
    while rest:
        slot = lowest_bit(rest)
        if depends(m, e, ENTRY + slot * E_SIZE, queue, other):
            deps |= np.int64(1) << slot
        rest &= rest - 1
    return deps


@merged
def note_config(m, rs1, rs2, queue):  # type: ignore[no-untyped-def]
    """The station's own copies of strides, updated as configuration commands are allocated."""
    if queue == EXECUTE:
        m[S_A_STRIDE] = bits(rs1, 31, 16)
        m[S_C_STRIDE] = bits(rs2, 63, 48)
        if bits(rs1, 7, 7) == 0:
            m[S_A_T] = bits(rs1, 8, 8)
    elif queue == LOAD:
        m[S_BLOCK0 + bits(rs1, 4, 3)] = bits(rs1, 31, 16)
        m[S_PIXELS0 + bits(rs1, 4, 3)] = most(bits(rs1, 15, 8), 1) - 1
    elif bits(rs1, 1, 0) == 2:
        m[S_POOLED] = 1 if bits(rs1, 5, 4) > 0 else 0


@inlined
def station_busy(m):  # type: ignore[no-untyped-def]
    """ReservationStation.scala: a preload alone, still without its compute, does not count as work."""
    valid = m[S_VALID]
    return valid != 0 and not (m[S_SOLITARY] and valid & (valid - 1) == 0)


@inlined
def _note_station(m, t, before):  # type: ignore[no-untyped-def]
    """Entries changed at the end of cycle `t`."""
    after = station_busy(m)
    if before != after:
        m[G_STATION_ACTIVE] += t if before else -t


@merged
def _enter(m, t, y, slot, queue):  # type: ignore[no-untyped-def]
    """Fill entry `slot` of `queue` with the front end's record `y` and what it waits for."""
    funct, rs1, rs2 = m[y + Y_FUNCT], m[y + Y_RS1], m[y + Y_RS2]
    m[S_FREE_LD + queue] &= ~(np.int64(1) << slot)
    e = ENTRY + slot * E_SIZE
    m[e + E_COMMAND], m[e + E_ALLOCATED], m[e + E_STARTED] = m[y + Y_COMMAND], t, t
    m[e + E_FUNCT], m[e + E_RS1], m[e + E_RS2], m[e + E_SOURCE] = funct, rs1, rs2, m[y + Y_SOURCE]
    ranges(m, e, funct, rs1, rs2)
    deps = np.int64(0)
    if funct != 0:
        bounds0, bounds1 = m[P_LD_ENTRIES], m[P_LD_ENTRIES] + m[P_EX_ENTRIES]
        if queue != LOAD:
            deps |= _dependences(m, e, queue, LOAD, 0, bounds0)
        if queue != EXECUTE:
            deps |= _dependences(m, e, queue, EXECUTE, bounds0, bounds1)
        if queue != STORE:
            deps |= _dependences(m, e, queue, STORE, bounds1, bounds1 + m[P_ST_ENTRIES])
    else:
        note_config(m, rs1, rs2, queue)
    m[e + E_DEPS] = deps
    if m[S_LOGGED] < ENTERS_LOGGED:
        log = ENTER_LOG + m[S_LOGGED] * 3
        m[log], m[log + 1], m[log + 2] = slot, m[S_VALID], m[y + Y_COMMAND]
        m[S_LOGGED] += 1
    before = station_busy(m)
    m[S_VALID] |= np.int64(1) << slot
    if funct == 6:
        m[S_SOLITARY] = 1
    elif funct == 4 or funct == 5:
        m[S_SOLITARY] = 0
    _note_station(m, t, before)
    m[G_ALLOCATED] += 1
    m[UNISSUED + queue * QUEUE_RING + m[S_TAIL_LD + queue] % QUEUE_RING] = slot
    # One behind others issues after them, and one that waits is woken by `release`.
    if deps == 0 and m[S_HEAD_LD + queue] == m[S_TAIL_LD + queue]:
        m[S_ISSUE_LD + queue] = least(m[S_ISSUE_LD + queue], t + 1)
    m[S_TAIL_LD + queue] += 1


@merged
def allocate(m, t, host):  # type: ignore[no-untyped-def]
    """Cycle `t`: allocate the command at the head of the front end if its queue has a free entry."""
    y = UNROLLED + m[F_C_HEAD] % FRONT_WIDTH * Y_SIZE
    queue = queue_of(m[y + Y_FUNCT], m[y + Y_RS1])
    m[F_FULL] = 0
    if queue >= 0:
        if m[S_FREE_LD + queue] == 0:
            m[F_NEXT] = NEVER
            m[F_FULL] = 1 + queue
            return
        _enter(m, t, y, lowest_bit(m[S_FREE_LD + queue]), queue)
    m[S_LAST_BUSY] = t
    m[y + Y_OUT] = t
    m[F_C_HEAD] += 1
    if m[y + Y_SOURCE] == HOST:
        m[F_COMMAND] = most(m[F_COMMAND], m[y + Y_COMMAND] + 1)
    if m[H_ACTIVE]:
        m[H_NEXT] = least(m[H_NEXT], t + 1)
    advance_front(m, host)
    if m[F_NEXT] <= t + 1 and m[S_FREE_EX] == 0:
        y = UNROLLED + m[F_C_HEAD] % FRONT_WIDTH * Y_SIZE
        if queue_of(m[y + Y_FUNCT], m[y + Y_RS1]) == EXECUTE:
            # The next cycle would find the same; of the queues, this one's fullness names no stall.
            m[F_NEXT], m[F_FULL] = NEVER, 1 + EXECUTE


@inlined
def _head_ready(m, t, queue):  # type: ignore[no-untyped-def]
    """Slot of the queue's oldest unissued entry if it may issue in cycle `t`, else -1 or TOO_YOUNG."""
    head = m[S_HEAD_LD + queue]
    if head == m[S_TAIL_LD + queue]:
        return -1
    slot = m[UNISSUED + queue * QUEUE_RING + head % QUEUE_RING]
    if m[ENTRY + slot * E_SIZE + E_ALLOCATED] >= t:
        return TOO_YOUNG
    return slot if m[ENTRY + slot * E_SIZE + E_DEPS] == 0 else -1


@compiled
def release(m, t, slot, queue):  # type: ignore[no-untyped-def]
    """Free `slot` at the end of cycle `t`: dependants may issue, and its queue may allocate, from t + 1."""
    keep = ~(np.int64(1) << slot)
    before = station_busy(m)
    m[S_VALID] &= keep
    _note_station(m, t, before)
    m[S_FREE_LD + queue] |= np.int64(1) << slot
    for other in range(3):
        if other != queue:
            head, tail = m[S_HEAD_LD + other], m[S_TAIL_LD + other]
            for position in range(head, tail):
                m[ENTRY + m[UNISSUED + other * QUEUE_RING + position % QUEUE_RING] * E_SIZE + E_DEPS] &= keep
            if head != tail and m[ENTRY + m[UNISSUED + other * QUEUE_RING + head % QUEUE_RING] * E_SIZE + E_DEPS] == 0:
                m[S_ISSUE_LD + other] = least(m[S_ISSUE_LD + other], t + 1)
    if queue == STORE and m[S_HEAD_LD + queue] != m[S_TAIL_LD + queue]:
        m[S_ISSUE_ST] = least(m[S_ISSUE_ST], t + 1)
    if m[ENTRY + slot * E_SIZE + E_SOURCE] == FROM_MATMUL:
        m[H_UTIL_LD + queue] -= 1
        m[H_NEXT] = least(m[H_NEXT], t + 1)
    elif m[ENTRY + slot * E_SIZE + E_SOURCE] == FROM_CONV:
        m[CV_UTIL_LD + queue] -= 1
        m[CV_NEXT] = least(m[CV_NEXT], t + 1)
    if m[F_FULL] == 1 + queue:
        m[F_NEXT] = least(m[F_NEXT], t + 1)
    m[S_LAST_BUSY] = most(m[S_LAST_BUSY], t)


@merged
def _push(m, queue, tail, slot, t):  # type: ignore[no-untyped-def]
    record, e = queue + tail % QUEUE_RING * U_SIZE, ENTRY + slot * E_SIZE
    m[record + U_FUNCT], m[record + U_RS1], m[record + U_RS2] = m[e + E_FUNCT], m[e + E_RS1], m[e + E_RS2]
    m[record + U_SLOT], m[record + U_VARIANT], m[record + U_TIME] = slot, PLAIN, t


@compiled
def _after_issue(m, t, slot, queue, config):  # type: ignore[no-untyped-def]
    head = m[S_HEAD_LD + queue] + 1
    m[S_HEAD_LD + queue], m[S_ISSUE_LD + queue] = head, NEVER
    # One that waits for another queue is woken by `release`.
    if (
        head != m[S_TAIL_LD + queue]
        and m[ENTRY + m[UNISSUED + queue * QUEUE_RING + head % QUEUE_RING] * E_SIZE + E_DEPS] == 0
    ):
        m[S_ISSUE_LD + queue] = t + 1
    if config:
        release(m, t, slot, queue)


@merged
def issue(m, t):  # type: ignore[no-untyped-def]
    """Cycle `t`: issue one ready command of each queue to its controller's command queue."""
    if m[S_ISSUE_LD] <= t:
        slot = _head_ready(m, t, LOAD)
        m[S_ISSUE_LD] = t + 1 if slot == TOO_YOUNG else NEVER
        room = m[L_TAIL] - m[L_HEAD] + (1 if m[L_POPPED] == t else 0) < m[P_LD_QUEUE]
        if slot >= 0 and room:
            _push(m, LOAD_QUEUE, m[L_TAIL], slot, t)
            m[L_TAIL] += 1
            m[L_NEXT] = least(m[L_NEXT], t + 1)
            _after_issue(m, t, slot, LOAD, m[ENTRY + slot * E_SIZE + E_FUNCT] == 0)
        elif slot >= 0 and m[L_POPPED] == t:
            m[S_ISSUE_LD] = t + 1
    if m[S_ISSUE_EX] <= t:
        slot = _head_ready(m, t, EXECUTE)
        m[S_ISSUE_EX] = t + 1 if slot == TOO_YOUNG else NEVER
        if slot >= 0 and m[X_UQ_START] < 2:
            _push(m, UNROLLER, m[X_UQ_TAIL] % 4, slot, t)
            m[X_UQ_TAIL] += 1
            if m[X_CQ_TAIL] - m[X_CQ_HEAD] < m[P_EX_QUEUE]:
                m[X_U_NEXT] = least(m[X_U_NEXT], t + 1)
            _after_issue(m, t, slot, EXECUTE, False)
            if m[X_UQ_TAIL] - m[X_UQ_HEAD] >= 2:
                # The unroller wakes this queue when it takes a command.
                m[S_ISSUE_EX] = NEVER
        elif slot >= 0 and m[X_UQ_TAIL] - m[X_UQ_HEAD] < 2:
            m[S_ISSUE_EX] = t + 1
    if m[S_ISSUE_ST] <= t:
        slot = _head_ready(m, t, STORE)
        m[S_ISSUE_ST] = t + 1 if slot == TOO_YOUNG else NEVER
        room = m[V_TAIL] - m[V_HEAD] + (1 if m[V_POPPED] == t else 0) < m[P_ST_QUEUE]
        if slot >= 0 and room:
            config = m[ENTRY + slot * E_SIZE + E_FUNCT] == 0
            _push(m, STORE_QUEUE, m[V_TAIL], slot, t)
            m[V_TAIL] += 1
            m[V_NEXT] = least(m[V_NEXT], t + 1)
            _after_issue(m, t, slot, STORE, config)
        elif slot >= 0 and m[V_POPPED] == t:
            m[S_ISSUE_ST] = t + 1
