"""The machine's state as seen from the present cycle: all that decides how it goes on, and nothing else.

Two machines with equal folded states do the same from here on, cycle for cycle, when they are given the same commands.
So the present cycle, command numbers, positions in rings and numbers of entries do not appear in it: cycle stamps are
relative and those long past are alike, entries are numbered by age, memory addresses count modulo a DMA request. One
walk reads the state out (`fold`) and writes it back (`unfold`), so that neither can forget what the other holds.

`engine_repeat_kinds` says how each word is seen.
"""

from __future__ import annotations

import numpy as np

from simulator.engine_compile import compiled, inlined, least, most
from simulator.engine_decide import take_operands
from simulator.engine_port import page_of
from simulator.engine_repeat_commands import (
    EXACT,
    H_SEEN1,
    H_SEEN2,
    NAMES,
    NUMBERS,
    ORDER,
    REACH,
    REMEMBERED,
    command_at,
    meant_address,
    seen_address,
)
from simulator.engine_rows import OWN_ENTRIES, SHARED_ENTRIES

# isort: off
from simulator.engine_repeat_kinds import (
    ADDRESS, AGE, ALLOCATED, ALWAYS, ANSWER, CAUSE, DUE, GONE_COMMAND, HOLDING, ITEM_ON_ITS_WAY, ITEM_PASSED,
    LEFT_MESH, LENGTH, LOADING, MEETING, MERGING, OLD, ONE_STAMP, OPERATING, QUEUED, READING, READY, READ_UNDER_WAY,
    ROW, ROW1, ROW_TO_WRITE, SENDING_PACKETS, SLOT, STAMP, STORE_UNDER_WAY, STORING, TAG, TRACKED, WAITING_COMMAND,
    WORD, WRITE_UNDER_WAY, ZEROING,
)  # fmt: skip
from simulator.engine_state import (
    ACKS, A_MERGED, A_MOVED, A_OWN, A_PASSED, BEAT_MERGED, BEAT_MOVED, BEAT_OWN, BEAT_PORT, BEAT_RING, COMMANDS,
    COMPUTING, CONV_QUEUE, DMA_WRITE, DMA_WRITE_TIME, D_BEATS, D_NUMBER, D_SIZE, ENTRY, E_A_LOW, E_A_WRITES, E_COMMAND,
    E_DEPS, E_FUNCT, E_RS1, E_RS2, E_SIZE, E_SOURCE, FRONT, FRONT_WIDTH, F_A_HEAD, F_A_TAIL, F_B_HEAD, F_B_TAIL,
    F_COMMAND, F_C_HEAD, F_C_TAIL, F_READ, HOST, IN_FLIGHT, ITEM, ITEMS, I_ACCEPT, I_BANK, I_NORM, I_READ, I_SCALE,
    I_SIZE, K_SIZE, K_SLOT, K_VALID, LEFT, LOAD_CONFIG, LOAD_QUEUE, L_HEAD, L_POPPED, L_STATE, L_TAIL, MATMUL_QUEUE,
    MESH_DONE, NARROW, NEVER, O_ASKED, O_ASKS, O_BEATS, O_BEATS_HELD, O_BUSY, O_KNOWN, O_LOCKED, O_NEXT, O_READS,
    O_READS_HELD, O_READ_BLOCKED, O_READ_FIRST, O_READ_SECOND, O_SIZE, O_STALE, O_WRITE_ASIDE, O_WRITE_BLOCKED,
    O_WRITE_FIRST, O_WRITE_SECOND, PAST, P_ACC_LATENCY, P_ACC_SCALE, P_BUS, P_DIM, P_EX_ENTRIES, P_FRONT,
    P_FRONT_ENTRIES, P_GAP, P_IN_FLIGHT, P_LD_ENTRIES, P_MESH_DELAY, P_PER_BEAT, P_READ_DELAY, P_REQUEST,
    P_SCALE_LATENCY, P_ST_ENTRIES, P_TAGS, P_TRACKED, QUEUE_RING, Q_FROM, Q_RECORD, Q_SIZE, READ_REQUEST, RESPONSE,
    RESPONSES, ROWS, ROW_QUEUE, ROW_SHIFT, R_ACTIVE, R_HEAD, R_TAIL, SLOTS, STORES, STORE_QUEUE, STORE_RING, S_FREE_LD,
    S_HEAD_LD, S_TAIL_LD, S_VALID, TAGS, TAG_RING, TRACKER, T_KEY, T_LEFT, T_MATCH, T_SIZE, T_SLOT, UNISSUED, UNROLLED,
    UNROLLER, U_FUNCT, U_RS1, U_RS2, U_SIZE, U_SLOT, V_CLOSED, V_FIRED, V_HEAD, V_HELD_BANK, V_HELD_BEHIND, V_ISSUED,
    V_NORMED, V_OPENED, V_PACKETS, V_POPPED, V_READ, V_SCALED, V_SENT, V_STATE, V_TAIL, V_TAKEN, V_W_BEATS, V_W_LEFT,
    V_W_REQUEST, WAITING, WIDE, WRITE_BANK, WRITE_REQUEST, WRITE_RING, WRITE_TIME, WR_SIZE, W_ACC_TIME, W_BUSY, W_HEAD,
    W_LAST_TIME, W_NARROW_AT, W_NARROW_HEAD, W_NARROW_TAIL, W_PORT, W_SHARED, W_TAIL, W_TIME, W_WIDE_HEAD, W_WIDE_TAIL,
    X_CQ_HEAD, X_CQ_TAIL, X_DONE_HEAD, X_DONE_TAIL, X_ENTRIES, X_FIRED, X_LAST_OUT, X_OP, X_OPS, X_READ_TIME, X_STATE,
    X_TAG_HEAD, X_TAG_TAIL, X_UQ_HEAD, X_UQ_TAIL, Y_COMMAND, Y_FUNCT, Y_RS1, Y_RS2, Y_SIZE, Y_SOURCE, Z_HELD,
    Z_HELD_KEY, Z_HELD_LAST, Z_TRACKER, Z_VALID,
)  # fmt: skip
# isort: on

_LOOK_BACK_ITEMS = 12
_SOME_ROW = 1 << (ROW_SHIFT + 30)
"""Stands for the row of a result: nobody compares it unless a row is accumulated on its way in."""


@inlined
def _reach(m):  # type: ignore[no-untyped-def]
    """Cycles after which a stamp can no longer delay anything computed from it: the longest chain of fixed delays of
    the front end, the row writer or the store pipeline."""
    beats = m[P_REQUEST] // m[P_BUS]
    fixed = 24 + m[P_DIM] + m[P_ACC_SCALE] + m[P_SCALE_LATENCY] + m[P_READ_DELAY]
    return fixed + 16 * m[P_GAP] + beats * m[P_PER_BEAT]


@inlined
def _first_row(m, tracker):  # type: ignore[no-untyped-def]
    """First local row of the mvin that `tracker` follows."""
    return m[ENTRY + m[TRACKER + tracker * K_SIZE + K_SLOT] * E_SIZE + E_A_LOW]


@compiled
def _seen(m, t, at, kind, view):  # type: ignore[no-untyped-def]
    """The word `at` as seen from cycle `t`."""
    value = m[at]
    if kind == WORD:
        return value
    if kind in (STAMP, OLD):
        return value if value >= NEVER else most(value - t, -view[REACH] if kind == OLD else np.int64(-1))
    if kind == SLOT:
        return view[NAMES + value] if value >= 0 else np.int64(-1)
    if kind == ADDRESS:
        return seen_address(view, value)
    if kind >= ROW1:
        return value - _first_row(m, m[at + (1 << (kind - ROW1))])
    if kind == DUE:
        return most(value - t, 0) + 1 if value else np.int64(0)
    return np.int64(PAST) if value == PAST else most(value - t, -1)


@compiled
def _meant(m, t, at, kind, value, view):  # type: ignore[no-untyped-def]
    """The word `at` that in cycle `t` is seen as `value`."""
    if kind in (STAMP, OLD):
        return value if value >= NEVER else value + t
    if kind == DUE:
        return value - 1 + t if value else np.int64(0)
    if kind == AGE:
        return value if value == PAST else value + t
    if kind == ADDRESS:
        return meant_address(view, value)
    if kind >= ROW1:
        return value + _first_row(m, m[at + (1 << (kind - ROW1))])
    return value


@compiled
def _walk(m, t, base, fields, o, n, out, view):  # type: ignore[no-untyped-def]
    """Read (`out`) or write the `fields` of the record at `base`; returns the next place in `o`."""
    for row in range(fields.shape[0]):
        at, kind = base + fields[row, 0], fields[row, 1]
        if out:
            o[n] = _seen(m, t, at, kind, view)
        else:
            m[at] = _meant(m, t, at, kind, o[n], view)
        n += 1
    return n


@compiled
def _walk_ring(m, t, base, size, words, head, tail, fields, o, n, out, view):  # type: ignore[no-untyped-def]
    """The records between `head` and `tail` of a ring of `size`; its head stays where it is."""
    if out:
        o[n] = m[tail] - m[head]
    else:
        m[tail] = m[head] + o[n]
    n += 1
    for number in range(m[head], m[tail]):
        n = _walk(m, t, base + number % size * words, fields, o, n, out, view)
    return n


@compiled
def _walk_front_queue(m, t, base, head, tail, o, n, out, view):  # type: ignore[no-untyped-def]
    """A queue of the front end, and when those before left it."""
    if out:
        o[n] = m[tail] - m[head]
    else:
        m[tail] = m[head] + o[n]
    n += 1
    for number in range(m[tail] - m[P_FRONT_ENTRIES] - 1, m[tail]):
        y = base + number % FRONT_WIDTH * Y_SIZE
        if number < m[head]:
            n = _walk(m, t, y, GONE_COMMAND, o, n, out, view)
            continue
        n = _walk(m, t, y, WAITING_COMMAND, o, n, out, view)
        if out:
            n = _write_seen(view, m[y + Y_COMMAND], o, n)
        else:
            n += 3
    return n


@compiled
def _write_seen(view, number, o, n):  # type: ignore[no-untyped-def]
    """The command as it is seen."""
    e = command_at(view, number)
    o[n], o[n + 1], o[n + 2] = view[e + E_FUNCT], view[e + H_SEEN1], view[e + H_SEEN2]
    return n + 3


@compiled
def _recall(m, view, base, head, tail, number):  # type: ignore[no-untyped-def]
    """Fill a queue of the front end with the commands before `number`; returns the number of the oldest."""
    for place in range(m[tail] - 1, m[head] - 1, -1):
        number -= 1
        y, e = base + place % FRONT_WIDTH * Y_SIZE, command_at(view, number)
        m[y + Y_FUNCT], m[y + Y_RS1], m[y + Y_RS2] = view[e + E_FUNCT], view[e + E_RS1], view[e + E_RS2]
        m[y + Y_COMMAND], m[y + Y_SOURCE] = number, HOST
    return number


@compiled
def _walk_front(m, t, o, n, out, view):  # type: ignore[no-untyped-def]
    ring = m[P_FRONT_ENTRIES]
    for stage in range(m[P_FRONT] - 2):
        for number in range(m[F_READ], m[F_READ] + ring):
            at = FRONT + stage * FRONT_WIDTH + number % ring
            if out:
                o[n] = _seen(m, t, at, OLD, view)
            else:
                m[at] = _meant(m, t, at, OLD, o[n], view)
            n += 1
    if not out:
        # LoopConv's queue goes by the numbers of the commands.
        m[F_A_HEAD] = m[F_READ] - o[n]
    n = _walk_front_queue(m, t, CONV_QUEUE, F_A_HEAD, F_A_TAIL, o, n, out, view)
    n = _walk_front_queue(m, t, MATMUL_QUEUE, F_B_HEAD, F_B_TAIL, o, n, out, view)
    n = _walk_front_queue(m, t, UNROLLED, F_C_HEAD, F_C_TAIL, o, n, out, view)
    if not out:
        number = _recall(m, view, CONV_QUEUE, F_A_HEAD, F_A_TAIL, m[F_READ])
        number = _recall(m, view, MATMUL_QUEUE, F_B_HEAD, F_B_TAIL, number)
        number = _recall(m, view, UNROLLED, F_C_HEAD, F_C_TAIL, number)
        m[F_COMMAND] = number
    return n


@compiled
def _name_entries(m, view):  # type: ignore[no-untyped-def]
    """Number the valid entries of each queue by age, from the queue's first slot on; ORDER lists their slots."""
    first, count = np.int64(0), np.int64(0)
    # A configuration gives up its entry when it is issued; nobody asks for that of its record in a queue.
    for slot in range(SLOTS):
        view[NAMES + slot] = -1
    for queue in range(3):
        size = m[P_LD_ENTRIES] if queue == 0 else (m[P_EX_ENTRIES] if queue == 1 else m[P_ST_ENTRIES])
        oldest = count
        for slot in range(first, first + size):
            if (m[S_VALID] >> slot) & 1:
                place = count
                number = m[ENTRY + slot * E_SIZE + E_COMMAND]
                if m[F_READ] - number >= REMEMBERED:
                    view[EXACT] = 0
                while place > oldest and m[ENTRY + view[ORDER + place - 1] * E_SIZE + E_COMMAND] > number:
                    view[ORDER + place] = view[ORDER + place - 1]
                    place -= 1
                view[ORDER + place] = slot
                count += 1
        for entry in range(oldest, count):
            view[NAMES + view[ORDER + entry]] = first + entry - oldest
        first += size
    return count


@inlined
def _renamed(mask, view):  # type: ignore[no-untyped-def]
    """A mask of slots with every slot replaced by its name."""
    named = np.int64(0)
    slot = 0
    while mask:
        if mask & 1:
            named |= np.int64(1) << view[NAMES + slot]
        mask >>= 1
        slot += 1
    return named


@compiled
def _fold_station(m, t, o, n, view):  # type: ignore[no-untyped-def]
    place, last = 0, _name_entries(m, view)
    first = np.int64(0)
    for queue in range(3):
        size = m[P_LD_ENTRIES] if queue == 0 else (m[P_EX_ENTRIES] if queue == 1 else m[P_ST_ENTRIES])
        held = place
        while held < last and view[ORDER + held] < first + size:
            held += 1
        o[n], o[n + 1] = held - place, m[S_TAIL_LD + queue] - m[S_HEAD_LD + queue]
        issued = o[n] - o[n + 1]
        n += 2
        for number in range(held - place):
            e = ENTRY + view[ORDER + place + number] * E_SIZE
            n = _walk(m, t, e, ALLOCATED, o, n, True, view)
            o[n] = m[F_READ] - m[e + E_COMMAND]
            n = _write_seen(view, m[e + E_COMMAND], o, n + 1)
            if number >= issued:
                o[n] = _renamed(m[e + E_DEPS], view)
                n += 1
        place = held
        first += size
    return n


@compiled
def _unfold_station(m, t, o, n, view):  # type: ignore[no-untyped-def]
    m[S_VALID] = 0
    first = np.int64(0)
    for queue in range(3):
        size = m[P_LD_ENTRIES] if queue == 0 else (m[P_EX_ENTRIES] if queue == 1 else m[P_ST_ENTRIES])
        held, unissued = o[n], o[n + 1]
        n += 2
        m[S_TAIL_LD + queue] = m[S_HEAD_LD + queue]
        for number in range(held):
            slot = first + number
            e = ENTRY + slot * E_SIZE
            n = _walk(m, t, e, ALLOCATED, o, n, False, view)
            command = command_at(view, m[F_READ] - o[n])
            for field in range(E_A_LOW, E_A_WRITES + 1):
                m[e + field] = view[command + field]
            m[e + E_FUNCT], m[e + E_RS1], m[e + E_RS2] = (
                view[command + E_FUNCT],
                view[command + E_RS1],
                view[command + E_RS2],
            )
            m[e + E_COMMAND], m[e + E_SOURCE], m[e + E_DEPS] = m[F_READ] - o[n], HOST, 0
            n += 4
            if number >= held - unissued:
                m[e + E_DEPS] = o[n]
                n += 1
                m[UNISSUED + queue * QUEUE_RING + m[S_TAIL_LD + queue] % QUEUE_RING] = slot
                m[S_TAIL_LD + queue] += 1
        taken = (np.int64(1) << held) - 1
        m[S_VALID] |= taken << first
        m[S_FREE_LD + queue] = (((np.int64(1) << size) - 1) & ~taken) << first
        first += size
    return n


@compiled
def _walk_commands(m, t, base, size, head, tail, o, n, out, view):  # type: ignore[no-untyped-def]
    """Issued commands: a configuration's words, or those of the entry; `_fill_first` knows those of none."""
    if out:
        o[n] = m[tail] - m[head]
    else:
        m[tail] = m[head] + o[n]
    n += 1
    for number in range(m[head], m[tail]):
        u = base + number % size * U_SIZE
        n = _walk(m, t, u, QUEUED, o, n, out, view)
        if m[u + U_FUNCT] == 0:
            if out:
                o[n], o[n + 1] = m[u + U_RS1], m[u + U_RS2]
            else:
                m[u + U_RS1], m[u + U_RS2] = o[n], o[n + 1]
            n += 2
        elif not out and m[u + U_SLOT] >= 0:
            e = ENTRY + m[u + U_SLOT] * E_SIZE
            m[u + U_RS1], m[u + U_RS2] = m[e + E_RS1], m[e + E_RS2]
    return n


@compiled
def _whole(m, place):  # type: ignore[no-untyped-def]
    """The record, of those in the command queue and behind them in the unroller, with the number of `place`."""
    if place < m[X_CQ_TAIL]:
        return COMMANDS + place % QUEUE_RING * U_SIZE
    return UNROLLER + (place - m[X_CQ_TAIL] + m[X_UQ_HEAD]) % 4 * U_SIZE


@compiled
def _fill_first(m, out, view):  # type: ignore[no-untyped-def]
    """What the unroller sends ahead of a preload with B transposed are the words of the next such command behind it."""
    end = m[X_CQ_TAIL] + m[X_UQ_TAIL] - m[X_UQ_HEAD]
    for number in range(m[X_CQ_HEAD], m[X_CQ_TAIL]):
        u = _whole(m, number)
        if m[u + U_SLOT] >= 0:
            continue
        place = number + 1
        while place < end and (m[_whole(m, place) + U_SLOT] < 0 or m[_whole(m, place) + U_FUNCT] != m[u + U_FUNCT]):
            place += 1
        if place == end:
            view[EXACT] = 0
            continue
        whole = _whole(m, place)
        if not out:
            m[u + U_RS1], m[u + U_RS2] = m[whole + U_RS1], m[whole + U_RS2]
        elif m[u + U_RS1] != m[whole + U_RS1] or m[u + U_RS2] != m[whole + U_RS2]:
            view[EXACT] = 0


@compiled
def _walk_load(m, t, o, n, out, view):  # type: ignore[no-untyped-def]
    if m[L_STATE]:
        n = _walk(m, t, 0, LOADING, o, n, out, view)
    n = _walk_commands(m, t, LOAD_QUEUE, QUEUE_RING, L_HEAD, L_TAIL, o, n, out, view)
    for at in range(LOAD_CONFIG, TRACKER):
        if out:
            o[n] = m[at]
        else:
            m[at] = o[n]
        n += 1
    for number in range(m[P_TRACKED] + 1):
        k = TRACKER + number * K_SIZE + K_VALID
        if out:
            o[n] = m[k]
        else:
            m[k] = o[n]
        n += 1
        if m[k]:
            n = _walk(m, t, TRACKER + number * K_SIZE, TRACKED, o, n, out, view)
    if m[Z_VALID]:
        n = _walk(m, t, 0, ZEROING, o, n, out, view)
    if m[Z_HELD]:
        n = _walk(m, t, 0, HOLDING, o, n, out, view)
        low = _first_row(m, m[Z_HELD_LAST] - 1 if m[Z_HELD_LAST] else m[Z_TRACKER])
        if out:
            o[n] = m[Z_HELD_KEY] - low
        else:
            m[Z_HELD_KEY] = o[n] + low
        n += 1
    return n


@compiled
def _walk_reader(m, t, o, n, out, view):  # type: ignore[no-untyped-def]
    active = 1 if m[R_ACTIVE] else 0
    if out:
        o[n] = active
    else:
        active = o[n]
        m[R_ACTIVE] = (m[R_HEAD] - 1) % 16 + 1 if active else 0
    n += 1
    if active:
        n = _walk(m, t, 0, READING, o, n, out, view)
        n = _walk(m, t, ROW_QUEUE + (m[R_ACTIVE] - 1) * Q_SIZE, ROW, o, n, out, view)
    return _walk_ring(m, t, ROW_QUEUE, 16, Q_SIZE, R_HEAD, R_TAIL, ROW, o, n, out, view)


@compiled
def _walk_number(m, d, o, n, out, view):  # type: ignore[no-untyped-def]
    """The transaction number of answer or request `d`: a write's from the next, a read's by its turn in the walk."""
    if m[d + D_BEATS] == 0:
        if out:
            o[n] = (m[V_PACKETS] - m[d + D_NUMBER]) % m[P_IN_FLIGHT]
        else:
            m[d + D_NUMBER] = (m[V_PACKETS] - o[n]) % m[P_IN_FLIGHT]
        return n + 1
    if not out:
        m[d + D_NUMBER] = view[NUMBERS]
        view[NUMBERS] += 1
    return n


@compiled
def _walk_numbers(m, t, o, n, out, view):  # type: ignore[no-untyped-def]
    """When the reader's numbers are free: it takes any that is, so the order of those not in use does not matter."""
    if out:
        first, taken = n, 0
        for number in range(m[P_IN_FLIGHT]):
            if m[IN_FLIGHT + number] >= NEVER:
                taken += 1
                continue
            free = most(m[IN_FLIGHT + number] - t, -1)
            place = n
            while place > first and o[place - 1] > free:
                o[place] = o[place - 1]
                place -= 1
            o[place] = free
            n += 1
        for _ in range(taken):
            o[n] = NEVER
            n += 1
        return n
    for number in range(m[P_IN_FLIGHT] - view[NUMBERS]):
        m[IN_FLIGHT + view[NUMBERS] + number] = t + o[n + number]
    for number in range(view[NUMBERS]):
        m[IN_FLIGHT + number] = NEVER
    return n + m[P_IN_FLIGHT]


@compiled
def _walk_read(m, t, pointer, o, n, out, view):  # type: ignore[no-untyped-def]
    """A read in the queue place `pointer`, which names its record."""
    if out:
        o[n] = 1 if m[pointer] >= 0 else 0
    elif o[n]:
        m[pointer] = READ_REQUEST + view[NUMBERS] * Q_RECORD
    else:
        m[pointer] = -1
    n += 1
    if o[n - 1]:
        m[m[pointer] + D_BEATS] = 1
        n = _walk_number(m, m[pointer], o, n, out, view)
        n = _walk(m, t, m[pointer], READ_UNDER_WAY, o, n, out, view)
        n = _walk(m, t, m[pointer], ANSWER, o, n, out, view)
    return n


@compiled
def _walk_packet(m, t, pointer, o, n, out, view):  # type: ignore[no-untyped-def]
    """A write whose record is named by place `pointer`."""
    if out:
        o[n] = (m[V_PACKETS] - (m[pointer] - WRITE_REQUEST) // Q_RECORD) % m[P_IN_FLIGHT]
    else:
        m[pointer] = WRITE_REQUEST + (m[V_PACKETS] - o[n]) % m[P_IN_FLIGHT] * Q_RECORD
        m[m[pointer] + D_NUMBER] = (m[V_PACKETS] - o[n]) % m[P_IN_FLIGHT]
    return _walk(m, t, m[pointer], WRITE_UNDER_WAY, o, n + 1, out, view)


@compiled
def _walk_beat(m, t, pointer, o, n, out, view):  # type: ignore[no-untyped-def]
    """A beat of a write in the queue place `pointer`: twice its record, plus whether it is the last."""
    if out:
        o[n] = -1 if m[pointer] < 0 else m[pointer] % 2
    last = o[n]
    if last < 0:
        m[pointer] = -1
        return n + 1
    m[pointer] = m[pointer] // 2
    n = _walk_packet(m, t, pointer, o, n + 1, out, view)
    m[pointer] = 2 * m[pointer] + last
    return n


@compiled
def _walk_port(m, t, o, n, out, view):  # type: ignore[no-untyped-def]
    """What waits where reads and writes meet, and what of it is known of pages."""
    if m[V_W_BEATS]:
        n = _walk_packet(m, t, V_W_REQUEST, o, n, out, view)
    if not m[O_BUSY]:
        if not out:
            for place in (O_READ_FIRST, O_READ_SECOND, O_WRITE_FIRST, O_WRITE_SECOND, O_WRITE_ASIDE):
                m[place] = -1
            for place in (O_LOCKED, O_READS_HELD, O_BEATS_HELD, O_ASKS, O_ASKS + 1):
                m[place] = 0
            m[O_NEXT] = NEVER
        return n
    n = _walk(m, t, 0, MEETING, o, n, out, view)
    for place in (O_READ_FIRST, O_READ_SECOND):
        n = _walk_read(m, t, place, o, n, out, view)
    for place in range(O_READS, O_READS + m[O_READS_HELD]):
        n = _walk_read(m, t, place, o, n, out, view)
    for place in (O_WRITE_FIRST, O_WRITE_SECOND, O_WRITE_ASIDE):
        n = _walk_beat(m, t, place, o, n, out, view)
    for place in range(O_BEATS, O_BEATS + m[O_BEATS_HELD]):
        n = _walk_beat(m, t, place, o, n, out, view)
    if out:
        o[n] = m[O_KNOWN] if m[O_READ_SECOND] >= 0 else 0
        o[n + 1] = m[O_KNOWN + 1] if m[O_WRITE_SECOND] >= 0 else 0
        return n + 2
    m[O_KNOWN], m[O_KNOWN + 1] = o[n], o[n + 1]
    if m[O_READ_SECOND] >= 0:
        m[O_ASKED] = page_of(m[m[O_READ_SECOND] + Q_FROM])
    if m[O_WRITE_SECOND] >= 0:
        m[O_ASKED + 1] = page_of(m[m[O_WRITE_SECOND] // 2 + Q_FROM])
    if m[O_WRITE_FIRST] >= 0:
        m[O_STALE] = page_of(m[m[O_WRITE_FIRST] // 2 + Q_FROM])
    return n + 2


@compiled
def _walk_answers(m, t, o, n, out, view):  # type: ignore[no-untyped-def]
    """Answers from memory: to come, in the port's buffers, and in the merger. Acknowledgements end in the buffers."""
    if out:
        while m[W_HEAD] < m[W_SHARED] and m[RESPONSE + m[W_HEAD] % RESPONSES * D_SIZE + D_BEATS] == 0:
            m[W_HEAD] += 1
        o[n], o[n + 1], o[n + 2] = m[W_TAIL] - m[W_HEAD], m[W_PORT] - m[W_HEAD], m[W_SHARED] - m[W_HEAD]
    else:
        m[W_TAIL], m[W_PORT], m[W_SHARED] = m[W_HEAD] + o[n], m[W_HEAD] + o[n + 1], m[W_HEAD] + o[n + 2]
    n += 3
    for number in range(m[W_HEAD], m[W_TAIL]):
        d = RESPONSE + number % RESPONSES * D_SIZE
        n = _walk(m, t, d, LENGTH, o, n, out, view)
        if number >= m[W_PORT]:
            n = _walk(m, t, d, READY, o, n, out, view)
        # An acknowledgement needs its number until it leaves the buffers, a read until its last beat is merged.
        if number >= m[W_SHARED] or (m[d + D_BEATS] and (number > m[W_HEAD] or m[W_BUSY] >= 0)):
            n = _walk_number(m, d, o, n, out, view)
        if m[d + D_BEATS]:
            n = _walk(m, t, d, ANSWER, o, n, out, view)
    return n


@compiled
def _walk_beats(m, t, base, first, end, o, n, out, view):  # type: ignore[no-untyped-def]
    for number in range(first, end):
        n = _walk(m, t, base + number % BEAT_RING, ONE_STAMP, o, n, out, view)
    return n


@compiled
def _walk_merger(m, t, o, n, out, view):  # type: ignore[no-untyped-def]
    """Beats on their way, those before that may still hold them up, and rows that wait for their bank."""
    if out:
        o[n], o[n + 1] = m[A_PASSED] - m[A_MOVED], m[A_OWN] - m[A_MERGED]
    else:
        m[A_PASSED], m[A_OWN] = m[A_MOVED] + o[n], m[A_MERGED] + o[n + 1]
    n = _walk_beats(m, t, BEAT_PORT, m[A_MOVED], m[A_PASSED], o, n + 2, out, view)
    n = _walk_beats(m, t, BEAT_MOVED, m[A_MOVED] - SHARED_ENTRIES, m[A_MOVED], o, n, out, view)
    n = _walk_beats(m, t, BEAT_OWN, m[A_MERGED], m[A_OWN], o, n, out, view)
    before = most(m[P_REQUEST] // m[P_BUS], OWN_ENTRIES)
    n = _walk_beats(m, t, BEAT_MERGED, m[A_MERGED] - before, m[A_MERGED], o, n, out, view)
    if m[W_BUSY]:
        n = _walk(m, t, 0, MERGING, o, n, out, view)
    n = _walk_ring(m, t, ROWS, NARROW, WR_SIZE, W_NARROW_HEAD, W_NARROW_TAIL, ROW_TO_WRITE, o, n, out, view)
    wide = ROWS + NARROW * WR_SIZE
    return _walk_ring(m, t, wide, WIDE, WR_SIZE, W_WIDE_HEAD, W_WIDE_TAIL, ROW_TO_WRITE, o, n, out, view)


@compiled
def _walk_writes(m, t, times, words, o, n, out):  # type: ignore[no-untyped-def]
    """The rows that a ring by cycle says are written: those still in the accumulator's adder, and those to come."""
    count = n
    if out:
        o[count] = 0
    n += 1
    first = t - m[P_ACC_LATENCY] - 1
    if not out:
        # The stale machine was at most as far ahead of an earlier cycle.
        for time in range(first, t + m[P_MESH_DELAY] + 2 * m[P_DIM] + 64):
            m[times + (time & (WRITE_RING - 1))] = PAST
    else:
        for time in range(first, most(m[X_LAST_OUT], t) + m[P_MESH_DELAY] + 1):
            at = time & (WRITE_RING - 1)
            if m[times + at] == time:
                o[n], o[n + 1] = time - t, m[words + at] & ((1 << ROW_SHIFT) - 1)
                o[count] += 1
                n += 2
    if not out:
        for _ in range(o[count]):
            time = t + o[n]
            m[times + time % WRITE_RING], m[words + time % WRITE_RING] = time, o[n + 1] | _SOME_ROW
            n += 2
    return n


@compiled
def _walk_tags(m, t, o, n, out, view):  # type: ignore[no-untyped-def]
    """Results under way in the mesh, and one more that is gone, at which whoever looks back ends."""
    count = np.int64(0)
    if out:
        number = m[X_TAG_TAIL] - 1
        ended = False
        while not ended and count < TAG_RING - 1:
            left = m[TAGS + (number - count) % TAG_RING * T_SIZE + T_LEFT]
            count += 1
            ended = left != PAST and left < t and count > m[P_TAGS]
        o[n], o[n + 1] = count, m[X_TAG_TAIL] - m[X_TAG_HEAD]
    else:
        count = o[n]
        m[X_TAG_HEAD] = m[X_TAG_TAIL] - o[n + 1]
    n += 2
    for back in range(count):
        tag = TAGS + (m[X_TAG_TAIL] - 1 - back) % TAG_RING * T_SIZE
        if out:
            o[n] = 1 if m[tag + T_LEFT] != PAST and m[tag + T_LEFT] < t else 0
            o[n + 1] = 0 if o[n] else m[tag + T_MATCH] - m[X_OPS]
        if o[n]:
            if not out:
                m[tag + T_LEFT] = t - 1
            n += 2
        else:
            if not out:
                m[tag + T_MATCH] = m[X_OPS] + o[n + 1]
            n = _walk(m, t, tag, TAG, o, n + 2, out, view)
            if not out:
                m[tag + T_KEY] = m[ENTRY + m[tag + T_SLOT] * E_SIZE + E_A_LOW] if m[tag + T_SLOT] >= 0 else -1
    return n


@compiled
def _walk_execute(m, t, o, n, out, view):  # type: ignore[no-untyped-def]
    if m[X_STATE] == COMPUTING:
        n = _walk(m, t, 0, OPERATING, o, n, out, view)
    if m[X_STATE] != WAITING:
        n = _walk(m, t, 0, CAUSE, o, n, out, view)
    n = _walk_commands(m, t, UNROLLER, 4, X_UQ_HEAD, X_UQ_TAIL, o, n, out, view)
    n = _walk_commands(m, t, COMMANDS, QUEUE_RING, X_CQ_HEAD, X_CQ_TAIL, o, n, out, view)
    _fill_first(m, out, view)
    if not out and m[X_STATE] == COMPUTING:
        take_operands(m, m[X_OP], m[X_CQ_HEAD])
    n = _walk_ring(m, t, MESH_DONE, TAG_RING, 2, X_DONE_HEAD, X_DONE_TAIL, LEFT_MESH, o, n, out, view)
    for number in range(m[X_ENTRIES] - m[P_READ_DELAY], m[X_ENTRIES]):
        n = _walk(m, t, LEFT + number % 64, ONE_STAMP, o, n, out, view)
    n = _walk_tags(m, t, o, n, out, view)
    n = _walk_writes(m, t, WRITE_TIME, WRITE_BANK, o, n, out)
    return _walk_writes(m, t, DMA_WRITE_TIME, DMA_WRITE, o, n, out)


@compiled
def _walk_items(m, t, o, n, out, view):  # type: ignore[no-untyped-def]
    """Items on their way out, and those before that may still hold them up."""
    if out:
        o[n], o[n + 1], o[n + 2] = m[V_SENT] - m[V_FIRED], m[V_SENT] - m[V_SCALED], m[V_SENT] - m[V_ISSUED]
        o[n + 3], o[n + 4] = (m[V_SENT] - m[V_TAKEN] if m[V_STATE] else 0), m[V_SENT] - m[V_NORMED]
    else:
        m[V_FIRED], m[V_SCALED], m[V_ISSUED] = m[V_SENT] - o[n], m[V_SENT] - o[n + 1], m[V_SENT] - o[n + 2]
        m[V_TAKEN], m[V_NORMED] = m[V_SENT] - o[n + 3], m[V_SENT] - o[n + 4]
    n += 5
    if out:
        first = least(m[V_ISSUED], m[V_SCALED] - _LOOK_BACK_ITEMS)
        while m[V_SENT] - first < ITEMS - 8 and m[ITEM + (first - 1) % ITEMS * I_SIZE + I_ACCEPT] >= t:
            first -= 1
        o[n] = m[V_SENT] - first + 1
        held = m[V_HELD_BANK] >= 0 and m[ITEM + m[V_HELD_BEHIND] % ITEMS * I_SIZE + I_ACCEPT] >= t
        o[n + 1], o[n + 2] = (m[V_HELD_BANK], m[V_SENT] - m[V_HELD_BEHIND]) if held else (-1, 0)
    else:
        m[V_HELD_BANK], m[V_HELD_BEHIND] = o[n + 1], m[V_SENT] - o[n + 2]
    n += 3
    for number in range(m[V_SENT] - o[n - 3], m[V_SENT]):
        item = ITEM + number % ITEMS * I_SIZE
        if number >= m[V_ISSUED]:
            n = _walk(m, t, item, ITEM_ON_ITS_WAY, o, n, out, view)
            continue
        if out:
            o[n] = 1 if m[item + I_ACCEPT] >= t else 0
        n += 1
        if o[n - 1]:
            n = _walk(m, t, item, ITEM_PASSED, o, n, out, view)
        elif not out:
            m[item + I_BANK], m[item + I_READ], m[item + I_NORM] = -1, PAST, PAST
            m[item + I_SCALE], m[item + I_ACCEPT] = PAST, PAST
    return n


@compiled
def _walk_store(m, t, o, n, out, view):  # type: ignore[no-untyped-def]
    n = _walk_commands(m, t, STORE_QUEUE, QUEUE_RING, V_HEAD, V_TAIL, o, n, out, view)
    if m[V_STATE]:
        n = _walk(m, t, 0, STORING, o, n, out, view)
    n = _walk_ring(m, t, STORES, STORE_RING, O_SIZE, V_CLOSED, V_OPENED, STORE_UNDER_WAY, o, n, out, view)
    if out:
        o[n] = m[V_READ] - m[V_CLOSED]
    else:
        m[V_READ] = m[V_CLOSED] + o[n]
    n += 1
    if m[V_W_LEFT]:
        n = _walk(m, t, 0, SENDING_PACKETS, o, n, out, view)
    n = _walk_items(m, t, o, n, out, view)
    for number in range(m[P_IN_FLIGHT]):
        at = ACKS + (m[V_PACKETS] + number) % m[P_IN_FLIGHT]
        n = _walk(m, t, at, ONE_STAMP, o, n, out, view)
    return n


@compiled
def _walk_units(m, t, o, n, out, view):  # type: ignore[no-untyped-def]
    n = _walk_load(m, t, o, n, out, view)
    n = _walk_reader(m, t, o, n, out, view)
    n = _walk_answers(m, t, o, n, out, view)
    n = _walk_merger(m, t, o, n, out, view)
    n = _walk_port(m, t, o, n, out, view)
    n = _walk_numbers(m, t, o, n, out, view)
    n = _walk_execute(m, t, o, n, out, view)
    return _walk_store(m, t, o, n, out, view)


@compiled
def adopt(m, view):  # type: ignore[no-untyped-def]
    """Before the first cycle: give the commands in the front end their addresses with numbers."""
    number = _recall(m, view, CONV_QUEUE, F_A_HEAD, F_A_TAIL, m[F_READ])
    number = _recall(m, view, MATMUL_QUEUE, F_B_HEAD, F_B_TAIL, number)
    _recall(m, view, UNROLLED, F_C_HEAD, F_C_TAIL, number)


@compiled
def fold(m, t, o, first, view):  # type: ignore[no-untyped-def]
    """Write the state before cycle `t` is visited into `o`, int64; returns its words, 0 if it cannot be told exactly.

    `view` (`engine_repeat_commands`) holds the commands up to the last one read. Nothing of a loop command may be under
    way.
    """
    view[REACH], view[EXACT] = _reach(m), 1
    n = _fold_station(m, t, o, first, view)
    n = _walk(m, t, 0, ALWAYS, o, n, True, view)
    n = _walk_front(m, t, o, n, True, view)
    n = _walk_units(m, t, o, n, True, view)
    return n - first if view[EXACT] else np.int64(0)


@compiled
def unfold(m, t, o, first, view):  # type: ignore[no-untyped-def]
    """Put the state `o` into the machine, which has read F_READ commands, as of before cycle `t`.

    `view` holds those commands.
    """
    view[NUMBERS] = 0
    n = _unfold_station(m, t, o, first, view)
    n = _walk(m, t, 0, ALWAYS, o, n, False, view)
    n = _walk_front(m, t, o, n, False, view)
    _walk_units(m, t, o, n, False, view)
    # Stamps that only tell whether something happened in the cycle being visited.
    m[X_READ_TIME], m[X_FIRED], m[L_POPPED], m[V_POPPED] = PAST, PAST, PAST, PAST
    m[W_TIME], m[W_ACC_TIME], m[W_LAST_TIME], m[W_NARROW_AT] = PAST, PAST, PAST, PAST
    m[O_READ_BLOCKED], m[O_WRITE_BLOCKED] = PAST, PAST
