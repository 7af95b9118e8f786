"""Store path of the engine: store controller, read and scale pipeline, DMA writer (StoreController, Scratchpad, DMA
.scala).

A mvout becomes items, one block of one row (or one pooling window element) each. An item passes four queues in order:
dispatched (its bank is read), through the normaliser's queue, into the scale pipeline, and into the writer, which
sends a row as write packets once its last block has arrived. Times downstream of the bank read depend on nothing but
the items before, so they are computed as soon as they are determined. A mvout is complete when its last item is read;
the next may begin before that, as the controller tracks several.
"""

from __future__ import annotations

from simulator.cycle_level.accumulator import read_waits
from simulator.cycle_level.array_rows import interrupt_all
from simulator.cycle_level.banks import bank_of, execute_writes
from simulator.cycle_level.compile import bits, compiled, inlined, least, merged, most
from simulator.cycle_level.front import release, row_key
from simulator.cycle_level.normaliser import configure_normaliser, enter, is_stored, leave, passage
from simulator.cycle_level.port import (
    PAGE_STAYS,
    WRITER,
    alone,
    answer_write,
    best_packet,
    enter_beat,
    log_page,
    new_request,
    page_of,
    pass_alone,
)

# isort: off
from simulator.cycle_level.state import (
    ACCUMULATES_BIT, ACC_BANK_BIT, ACKS, ENTRY, E_SIZE, E_STARTED, G_STORE_ACTIVE, G_STORE_DMA_WAIT, G_STORE_PAD_WAIT,
    G_STORE_POOLING, G_WDMA_ACTIVE, G_WDMA_BYTES, G_WDMA_LATENCY, ITEM, ITEMS, I_ACCEPT, I_ADDRESS, I_BANK, I_BYTES,
    I_KEY, I_NORM, I_PASSAGE, I_QUEUED, I_READ, I_SCALE, I_SIZE, I_STORE, NEVER, N_ACC_READ, N_SP_READ, O_LEFT, O_PAGE,
    O_SIZE, O_SLOT, O_START, O_WRITE_BLOCKED, P_ACC_BYTES, P_ACC_PORTS, P_ACC_SCALE, P_BUS, P_DIM, P_IN_BYTES,
    P_IN_FLIGHT, P_NORM_LANES, P_READ_DELAY, P_REQUEST, P_SP_QUEUE, P_TRACKED, QUEUE_RING, Q_FROM, R_ACTIVE, R_HEAD,
    R_TAIL, STORE, STORES, STORE_QUEUE, STORE_RING, S_ISSUE_ST, U_FUNCT, U_RS1, U_RS2, U_SIZE, U_SLOT, U_TIME, V_BEATS,
    V_BLOCK, V_BYTES, V_CLOSED, V_COLUMNS, V_DONE, V_D_NEXT, V_FIRED, V_HEAD, V_HELD_BANK, V_HELD_BEHIND, V_ISSUED,
    V_NEXT, V_NORMED, V_OPENED, V_PACKETS, V_POOL_COLUMNS, V_POOL_DIM, V_POOL_LEFT, V_POOL_ROWS, V_POOL_SIZE,
    V_POOL_STEP, V_POOL_UPPER, V_POPPED, V_READ, V_READY, V_REQUESTS, V_ROW, V_ROWS, V_SCALED, V_SENT, V_STATE,
    V_STRIDE, V_TAIL, V_TAKEN, V_W_ADDRESS, V_W_BEATS, V_W_LEFT, V_W_NEXT, V_W_REQUEST, WRITE_REQUEST, W_ACCUMULATES,
    W_ACC_BANK, W_ACC_TIME, W_BANK, W_TIME, X_READS, X_READ_TIME,
)  # fmt: skip
# isort: on


IDLE, SENDING, LEAVING = 0, 1, 2


@compiled
def _configure(m, t, rs1, rs2):  # type: ignore[no-untyped-def]
    m[V_STRIDE] = bits(rs2, 31, 0)
    m[G_STORE_POOLING] += (t if m[V_POOL_STEP] else 0) - (t if bits(rs1, 5, 4) else 0)
    m[V_POOL_STEP], m[V_POOL_SIZE] = bits(rs1, 5, 4), bits(rs1, 7, 6)
    if m[V_POOL_SIZE] == 0 and m[V_POOL_STEP] == 0:
        return
    m[V_POOL_UPPER], m[V_POOL_LEFT], m[V_POOL_DIM] = bits(rs1, 9, 8), bits(rs1, 11, 10), bits(rs1, 31, 24)
    m[V_POOL_ROWS], m[V_POOL_COLUMNS] = bits(rs1, 39, 32), bits(rs1, 47, 40)
    m[V_ROWS], m[V_COLUMNS] = bits(rs1, 55, 48), bits(rs1, 63, 56)


@compiled
def _pool_item(m, item, rs1, local, count):  # type: ignore[no-untyped-def]
    """Fill the item of window element number `count`; its key is -1 outside the image."""
    window = m[V_POOL_SIZE] * m[V_POOL_SIZE]
    pixel, element = count // window, count % window
    out_row, out_column = pixel // m[V_POOL_COLUMNS], pixel % m[V_POOL_COLUMNS]
    row = out_row * m[V_POOL_STEP] + element // m[V_POOL_SIZE] - m[V_POOL_UPPER]
    column = out_column * m[V_POOL_STEP] + element % m[V_POOL_SIZE] - m[V_POOL_LEFT]
    inside = 0 <= row < m[V_ROWS] and 0 <= column < m[V_COLUMNS]
    m[item + I_KEY] = row_key(local) + row * m[V_COLUMNS] + column if inside else -1
    m[item + I_ADDRESS] = rs1 + (out_row * m[V_POOL_DIM] + out_column) * m[V_STRIDE]
    m[item + I_STORE] = 1 if element == window - 1 else 0


@merged
def _send_item(m, t, rs1, rs2):  # type: ignore[no-untyped-def]
    """Put the next item of the mvout at the head into the dispatch queue."""
    dim = m[P_DIM]
    item = ITEM + m[V_SENT] % ITEMS * I_SIZE
    local, columns = bits(rs2, 31, 0), bits(rs2, 47, 32)
    full = (local >> 29) & 1
    width = m[P_ACC_BYTES] if full else m[P_IN_BYTES]
    if m[V_POOL_STEP]:
        _pool_item(m, item, rs1, local, m[V_ROW])
        m[item + I_BYTES] = columns * width
        m[item + I_PASSAGE] = passage(m, local & ~(7 << 26), columns, 1)
        m[V_ROW] += 1
    else:
        m[item + I_KEY] = row_key(local) + m[V_BLOCK] * dim + m[V_ROW]
        m[item + I_ADDRESS] = rs1 + m[V_ROW] * m[V_STRIDE]
        rest = columns - m[V_BLOCK] * dim
        last = rest <= dim
        m[item + I_PASSAGE] = passage(m, local, rest if last else dim, last)
        m[item + I_STORE] = 1 if last and is_stored(m[item + I_PASSAGE]) else 0
        m[item + I_BYTES] = columns * width
        m[V_BLOCK] += 1
        if last:
            m[V_BLOCK] = 0
            m[V_ROW] += 1
    m[item + I_BANK] = -1 if m[item + I_KEY] < 0 else bank_of(m, m[item + I_KEY])
    m[item + I_QUEUED], m[item + I_READ], m[item + I_NORM], m[item + I_SCALE], m[item + I_ACCEPT] = (
        t,
        NEVER,
        NEVER,
        NEVER,
        NEVER,
    )
    m[V_SENT] += 1
    m[V_D_NEXT] = least(m[V_D_NEXT], t + 1)


@compiled
def _items_of(m, rs2):  # type: ignore[no-untyped-def]
    if m[V_POOL_SIZE] and not m[V_POOL_STEP]:
        return m[V_ROWS] * m[V_COLUMNS]
    if m[V_POOL_STEP]:
        return m[V_POOL_ROWS] * m[V_POOL_COLUMNS] * m[V_POOL_SIZE] * m[V_POOL_SIZE]
    return bits(rs2, 63, 48) * ((bits(rs2, 47, 32) + m[P_DIM] - 1) // m[P_DIM])


@compiled
def _pop(m, t):  # type: ignore[no-untyped-def]
    m[V_HEAD] += 1
    m[V_POPPED], m[V_STATE] = t, IDLE
    m[V_NEXT] = t + 1 if m[V_HEAD] != m[V_TAIL] else NEVER
    m[S_ISSUE_ST] = least(m[S_ISSUE_ST], t)


@merged
def store_controller(m, t):  # type: ignore[no-untyped-def]
    """One cycle of the store controller: configure, or send one item of the mvout at its head."""
    m[V_NEXT] = NEVER
    if m[V_HEAD] == m[V_TAIL]:
        return
    record = STORE_QUEUE + m[V_HEAD] % QUEUE_RING * U_SIZE
    if m[record + U_TIME] >= t:
        m[V_NEXT] = t + 1
        return
    if m[V_STATE] == LEAVING:
        m[G_STORE_ACTIVE] += t
        _pop(m, t)
        return
    rs1, rs2 = m[record + U_RS1], m[record + U_RS2]
    if m[record + U_FUNCT] == 0:
        if bits(rs1, 1, 0) == 3:
            configure_normaliser(m, rs1)
        else:
            _configure(m, t, rs1, rs2)
        _pop(m, t)
        return
    if m[V_STATE] == IDLE:
        if m[V_OPENED] - m[V_CLOSED] == m[P_TRACKED]:
            return
        m[V_STATE], m[V_ROW], m[V_BLOCK] = SENDING, 0, 0
        store = STORES + m[V_OPENED] % STORE_RING * O_SIZE
        m[store + O_LEFT], m[store + O_SLOT], m[store + O_START] = _items_of(m, rs2), m[record + U_SLOT], t
        m[ENTRY + m[record + U_SLOT] * E_SIZE + E_STARTED] = t
        m[V_OPENED] += 1
        m[V_TAKEN] = m[V_SENT]
        m[G_STORE_DMA_WAIT] -= t
        m[G_STORE_PAD_WAIT] -= t + m[store + O_LEFT] - 1
    # The dispatch queue holds two items; the one leaving this cycle still counts.
    waiting = m[V_SENT] - m[V_FIRED]
    if m[V_FIRED] > 0 and m[ITEM + (m[V_FIRED] - 1) % ITEMS * I_SIZE + I_READ] == t:
        waiting += 1
    if waiting >= 2:
        m[V_NEXT] = t + 1 if m[V_SENT] - m[V_FIRED] < 2 else NEVER
        return
    total = _items_of(m, rs2)
    if m[V_SENT] == m[V_TAKEN]:
        m[G_STORE_DMA_WAIT] += t
        m[G_STORE_ACTIVE] -= t
    _send_item(m, t, rs1, rs2)
    if m[V_SENT] - m[V_TAKEN] < total:
        m[V_NEXT] = t + 1
        return
    m[G_STORE_PAD_WAIT] += t
    if total == 1:
        m[V_STATE], m[V_NEXT] = LEAVING, t + 1
    else:
        m[G_STORE_ACTIVE] += t
        _pop(m, t)


@compiled
def _bank_busy(m, t, bank, key):  # type: ignore[no-untyped-def]
    """Whether the DMA cannot read row `key` of `bank` in cycle `t` because someone else uses its port."""
    execute = execute_writes(m, t)
    same = execute >= 0 and (execute & (ACC_BANK_BIT * 2 - 1)) == bank
    if bank >= ACC_BANK_BIT:
        if same and execute & ACCUMULATES_BIT:
            return True
        if m[W_ACC_TIME] == t and m[W_ACC_BANK] == bank and m[W_ACCUMULATES] == 1:
            return True
        return m[P_ACC_PORTS] == 1 and read_waits(m, t, key)
    if same or (m[W_TIME] == t and m[W_BANK] == bank):
        return True
    return m[X_READ_TIME] == t and (m[X_READS] >> bank) & 1 == 1


@compiled
def _hold_bank(m, t, number, bank):  # type: ignore[no-untyped-def]
    """Item `number` is read from `bank` in cycle `t`: note for which item it stays in the bank's output register.

    The bank's pipeline stages (P_SP_QUEUE of them) hold earlier items of it that the writer has not taken.
    """
    waiting = 0
    for back in range(1, least(number, ITEMS // 2) + 1):
        before = ITEM + (number - back) % ITEMS * I_SIZE
        if m[before + I_ACCEPT] <= t:
            return
        if m[before + I_BANK] == bank:
            waiting += 1
            if waiting == m[P_SP_QUEUE]:
                m[V_HELD_BANK], m[V_HELD_BEHIND] = bank, number - back
                return


@inlined
def bank_held(m, t, bank):  # type: ignore[no-untyped-def]
    """Whether the DMA's last row still fills the output register of scratchpad `bank` in cycle `t`."""
    return m[V_HELD_BANK] == bank and m[ITEM + m[V_HELD_BEHIND] % ITEMS * I_SIZE + I_ACCEPT] > t


@merged
def dispatch(m, t):  # type: ignore[no-untyped-def]
    """One cycle at the dispatch queue: read the bank of the item at its head if bank and queues allow."""
    m[V_D_NEXT] = NEVER
    number = m[V_FIRED]
    if number == m[V_SENT]:
        return
    item = ITEM + number % ITEMS * I_SIZE
    if m[item + I_QUEUED] >= t:
        m[V_D_NEXT] = t + 1
        return
    depth = m[P_SP_QUEUE] + 2
    if number >= depth and m[ITEM + (number - depth) % ITEMS * I_SIZE + I_NORM] + 1 > t:
        norm = m[ITEM + (number - depth) % ITEMS * I_SIZE + I_NORM]
        m[V_D_NEXT] = norm + 1 if norm < NEVER else NEVER
        return
    bank = m[item + I_BANK]
    for back in range(1, 9):
        if number >= back and m[ITEM + (number - back) % ITEMS * I_SIZE + I_BANK] == bank and bank >= 0:
            before = ITEM + (number - back) % ITEMS * I_SIZE
            gone = m[before + I_NORM] if bank >= ACC_BANK_BIT else m[before + I_READ]
            if gone > t:
                m[V_D_NEXT] = gone if gone < NEVER else NEVER
                return
            break
    held = m[P_SP_QUEUE] + 1
    if 0 <= bank < ACC_BANK_BIT and number >= held:
        # Four pipeline stages and the bank's output register hold what the writer has not taken.
        oldest = ITEM + (number - held) % ITEMS * I_SIZE
        if m[oldest + I_BANK] == bank and m[oldest + I_ACCEPT] > t:
            m[V_D_NEXT] = m[oldest + I_ACCEPT]
            return
    if 0 <= bank < ACC_BANK_BIT:
        interrupt_all(m, t + 1)
    if bank >= 0 and _bank_busy(m, t, bank, m[item + I_KEY]):
        m[V_D_NEXT] = t + 1
        return
    if 0 <= bank < ACC_BANK_BIT:
        _hold_bank(m, t, number, bank)
    m[item + I_READ] = t
    m[V_FIRED] += 1
    m[V_NEXT] = least(m[V_NEXT], t)
    if bank >= 0:
        row = m[P_DIM] * (m[P_ACC_BYTES] if bank >= ACC_BANK_BIT else m[P_IN_BYTES])
        m[N_ACC_READ if bank >= ACC_BANK_BIT else N_SP_READ] += row
    store = STORES + m[V_READ] % STORE_RING * O_SIZE
    m[store + O_LEFT] -= 1
    if m[store + O_LEFT] == 0:
        m[V_READ] += 1
        m[V_DONE] = m[V_DONE] if m[V_DONE] else t + 1
    if m[V_FIRED] != m[V_SENT]:
        m[V_D_NEXT] = t + 1
    advance(m)


@merged
def _norm_time(m, number):  # type: ignore[no-untyped-def]
    """Cycle in which item `number` passes into the normaliser, or the two-entry queue in the place of one (NEVER: not
    yet determined)."""
    item = ITEM + number % ITEMS * I_SIZE
    depth = m[P_SP_QUEUE] + 2
    time = m[item + I_READ] + 1
    if number > 0:
        time = most(time, m[ITEM + (number - 1) % ITEMS * I_SIZE + I_NORM] + 1)
    from_acc = m[item + I_BANK] >= ACC_BANK_BIT
    room = 2 if from_acc and m[P_NORM_LANES] == 0 else depth
    if number >= room:
        time = most(time, m[ITEM + (number - room) % ITEMS * I_SIZE + I_SCALE] + 1)
    if from_acc and m[P_NORM_LANES] and time < NEVER:
        return enter(m, m[item + I_PASSAGE], time)
    return time


@merged
def _scale_time(m, number):  # type: ignore[no-untyped-def]
    """Cycle in which item `number` enters scale pipeline and issue queue; one that is not stored ends before them."""
    item = ITEM + number % ITEMS * I_SIZE
    if not is_stored(m[item + I_PASSAGE]):
        before = m[ITEM + (number - 1) % ITEMS * I_SIZE + I_SCALE] if number > 0 else 0
        return most(m[item + I_NORM], before)
    time = m[item + I_NORM] + 1
    if number > 0:
        time = most(time, m[ITEM + (number - 1) % ITEMS * I_SIZE + I_SCALE] + 1)
    depth = m[P_SP_QUEUE] + 1
    if number >= depth:
        time = most(time, m[ITEM + (number - depth) % ITEMS * I_SIZE + I_ACCEPT])
    return time


@compiled
def advance(m):  # type: ignore[no-untyped-def]
    """Determine every downstream time that no longer depends on the future, up to the writer's next row."""
    moved = True
    while moved:
        moved = False
        if m[V_NORMED] < m[V_FIRED]:
            time = _norm_time(m, m[V_NORMED])
            if time < NEVER:
                m[ITEM + m[V_NORMED] % ITEMS * I_SIZE + I_NORM] = time
                m[V_NORMED] += 1
                moved = True
        if m[V_SCALED] < m[V_NORMED]:
            time = _scale_time(m, m[V_SCALED])
            if time < NEVER:
                item = ITEM + m[V_SCALED] % ITEMS * I_SIZE
                m[item + I_SCALE] = time
                if m[item + I_BANK] >= ACC_BANK_BIT and is_stored(m[item + I_PASSAGE]):
                    leave(m, m[item + I_PASSAGE], time)
                m[V_SCALED] += 1
                moved = True
        while m[V_ISSUED] < m[V_SCALED] and not is_stored(m[ITEM + m[V_ISSUED] % ITEMS * I_SIZE + I_PASSAGE]):
            item = ITEM + m[V_ISSUED] % ITEMS * I_SIZE
            m[item + I_ACCEPT] = m[item + I_SCALE]
            m[V_ISSUED] += 1
            moved = True
        if m[V_ISSUED] < m[V_SCALED] and m[V_READY] < NEVER:
            item = ITEM + m[V_ISSUED] % ITEMS * I_SIZE
            if m[item + I_BANK] >= ACC_BANK_BIT:
                time = m[item + I_SCALE] + m[P_ACC_SCALE]
            elif m[item + I_BANK] >= 0:
                time = most(m[item + I_SCALE] + 1, m[item + I_READ] + m[P_READ_DELAY])
            else:
                time = m[item + I_SCALE] + 1
            m[item + I_ACCEPT] = most(time, m[V_READY])
            m[V_READY] = m[item + I_ACCEPT] + 1
            m[V_ISSUED] += 1
            moved = True
            if m[item + I_STORE]:
                m[V_READY] = NEVER
                m[G_WDMA_ACTIVE] -= m[item + I_ACCEPT]
                m[V_W_NEXT] = m[item + I_ACCEPT] + 1
                m[V_W_ADDRESS], m[V_W_LEFT] = m[item + I_ADDRESS], m[item + I_BYTES]
    if m[V_D_NEXT] == NEVER and m[V_FIRED] != m[V_SENT]:
        m[V_D_NEXT] = 0


@merged
def _new_packet(m, t):  # type: ignore[no-untyped-def]
    """Choose the next write packet of the writer's row; V_W_BEATS of it are to be sent."""
    size, useful = best_packet(m[V_W_ADDRESS], m[V_W_LEFT], m[P_BUS], m[P_REQUEST])
    number, beats = m[V_PACKETS] % m[P_IN_FLIGHT], size // m[P_BUS]
    m[V_W_REQUEST] = new_request(m, WRITE_REQUEST, number, m[V_W_ADDRESS], size, useful)
    m[V_W_BEATS] = beats
    m[ACKS + number] = NEVER
    m[G_WDMA_LATENCY] -= t
    m[G_WDMA_BYTES] += size
    m[V_PACKETS] += 1
    m[V_REQUESTS] += 1
    m[V_BYTES] += size
    m[V_BEATS] += beats
    m[V_W_ADDRESS] += useful
    m[V_W_LEFT] -= useful


@merged
def _end_packet(m, t, last):  # type: ignore[no-untyped-def]
    """The last beat of a packet was issued in cycle `last`: the next packet, or the next row, follows."""
    m[V_W_BEATS] = 0
    if m[V_W_LEFT] > 0:
        m[V_W_NEXT] = last + 1
        return
    m[V_W_NEXT] = NEVER
    m[V_READY] = last
    m[G_WDMA_ACTIVE] += last
    advance(m)
    if m[V_D_NEXT] < t:
        m[V_D_NEXT] = t


@merged
def _send_packet(m, memory, t):  # type: ignore[no-untyped-def]
    """Send a whole packet from cycle `t` on while the reader is idle; returns the cycle of its last beat."""
    beats, last = m[V_W_BEATS], t
    if beats > 1:
        # The packet's own number counts as taken from its second beat on (DMA.scala, xactBusy.andR).
        in_use = m[ACKS + m[V_PACKETS] % m[P_IN_FLIGHT]] + 1
        last = most(t + 1, in_use) + beats - 2
    m[V_W_BEATS] = 0
    answer_write(m, memory, t, m[V_W_REQUEST], pass_alone(m, last, WRITER, m[m[V_W_REQUEST] + Q_FROM]))
    return last


@merged
def writer(m, memory, t):  # type: ignore[no-untyped-def]
    """Send the next beat of the writer's row in cycle `t`, or a whole packet, when a transaction number is free."""
    free = m[ACKS + m[V_PACKETS] % m[P_IN_FLIGHT]] + 1
    if free > t:
        m[V_W_NEXT] = least(free, NEVER)
        return
    if m[O_WRITE_BLOCKED] == t:
        m[V_W_NEXT] = t + 1
        return
    if m[V_W_BEATS] == 0:
        _new_packet(m, t)
        idle = m[R_ACTIVE] == 0
        if idle and m[R_HEAD] != m[R_TAIL]:
            idle = m[O_PAGE + WRITER] == page_of(m[m[V_W_REQUEST] + Q_FROM])
            log_page(m, PAGE_STAYS + idle, t, m[m[V_W_REQUEST] + Q_FROM])
        if idle and m[ACKS + m[V_PACKETS] % m[P_IN_FLIGHT]] < NEVER and alone(m, t):
            _end_packet(m, t, _send_packet(m, memory, t))
            return
    m[V_W_BEATS] -= 1
    enter_beat(m, t, m[V_W_REQUEST], 1 if m[V_W_BEATS] == 0 else 0)
    m[V_W_NEXT] = t + 1
    if m[V_W_BEATS] == 0:
        _end_packet(m, t, t)


@compiled
def complete_store(m, t):  # type: ignore[no-untyped-def]
    """Complete the oldest mvout whose last item was read; returns its slot and start cycle."""
    store = STORES + m[V_CLOSED] % STORE_RING * O_SIZE
    m[V_CLOSED] += 1
    m[V_DONE] = t + 1 if m[V_CLOSED] < m[V_READ] else 0
    m[V_NEXT] = least(m[V_NEXT], t + 1)
    release(m, t, m[store + O_SLOT], STORE)
    return m[store + O_SLOT], m[store + O_START]
