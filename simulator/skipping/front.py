"""Front end, reservation station and queues of commands, as part of the state seen from a cycle.

Commands appear as `skipping.commands` sees them, entries by age.
"""

from __future__ import annotations

import numpy as np

from simulator.cycle_level.compile import compiled, inlined
from simulator.skipping.commands import EXACT, H_SEEN1, H_SEEN2, NAMES, ORDER, REMEMBERED, command_at
from simulator.skipping.walk import meant, seen, walk

# isort: off
from simulator.skipping.kinds import (
    ALLOCATED, GONE_COMMAND, OLD, QUEUED, WAITING_COMMAND,
)  # fmt: skip
from simulator.cycle_level.state import (
    COMMANDS, CONV_QUEUE, ENTRY, E_A_LOW, E_A_WRITES, E_COMMAND, E_DEPS, E_FUNCT, E_RS1, E_RS2, E_SIZE, E_SOURCE,
    FRONT, FRONT_WIDTH, F_A_HEAD, F_A_TAIL, F_B_HEAD, F_B_TAIL, F_COMMAND, F_C_HEAD, F_C_TAIL, F_READ, HOST,
    MATMUL_QUEUE, P_EX_ENTRIES, P_FRONT, P_FRONT_ENTRIES, P_LD_ENTRIES, P_ST_ENTRIES, QUEUE_RING, SLOTS, S_FREE_LD,
    S_HEAD_LD, S_TAIL_LD, S_VALID, UNISSUED, UNROLLED, UNROLLER, U_FUNCT, U_RS1, U_RS2, U_SIZE, U_SLOT, X_CQ_HEAD,
    X_CQ_TAIL, X_UQ_HEAD, X_UQ_TAIL, Y_COMMAND, Y_FUNCT, Y_RS1, Y_RS2, Y_SIZE, Y_SOURCE,
)  # fmt: skip
# isort: on


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
            n = walk(m, t, y, GONE_COMMAND, o, n, out, view)
            continue
        n = walk(m, t, y, WAITING_COMMAND, o, n, out, view)
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
def walk_front(m, t, o, n, out, view):  # type: ignore[no-untyped-def]
    """The host's queues and the three before the reservation station."""
    ring = m[P_FRONT_ENTRIES]
    for stage in range(m[P_FRONT] - 2):
        for number in range(m[F_READ], m[F_READ] + ring):
            at = FRONT + stage * FRONT_WIDTH + number % ring
            if out:
                o[n] = seen(m, t, at, OLD, view)
            else:
                m[at] = meant(m, t, at, OLD, o[n], view)
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
def fold_station(m, t, o, n, view):  # type: ignore[no-untyped-def]
    """Read the entries out, by age; nothing if one is of a command too old to be told."""
    place, last = 0, _name_entries(m, view)
    if not view[EXACT]:
        return n
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
            n = walk(m, t, e, ALLOCATED, o, n, True, view)
            o[n] = m[F_READ] - m[e + E_COMMAND]
            n = _write_seen(view, m[e + E_COMMAND], o, n + 1)
            if number >= issued:
                o[n] = _renamed(m[e + E_DEPS], view)
                n += 1
        place = held
        first += size
    return n


@compiled
def unfold_station(m, t, o, n, view):  # type: ignore[no-untyped-def]
    """Write the entries back, each queue from its first slot on."""
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
            n = walk(m, t, e, ALLOCATED, o, n, False, view)
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
def walk_commands(m, t, base, size, head, tail, o, n, out, view):  # type: ignore[no-untyped-def]
    """Issued commands: a configuration's words, or those of the entry; `fill_first` knows those of none."""
    if out:
        o[n] = m[tail] - m[head]
    else:
        m[tail] = m[head] + o[n]
    n += 1
    for number in range(m[head], m[tail]):
        u = base + number % size * U_SIZE
        n = walk(m, t, u, QUEUED, o, n, out, view)
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
def fill_first(m, out, view):  # type: ignore[no-untyped-def]
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
def adopt(m, view):  # type: ignore[no-untyped-def]
    """Before the first cycle: give the commands in the front end their addresses with numbers."""
    number = _recall(m, view, CONV_QUEUE, F_A_HEAD, F_A_TAIL, m[F_READ])
    number = _recall(m, view, MATMUL_QUEUE, F_B_HEAD, F_B_TAIL, number)
    _recall(m, view, UNROLLED, F_C_HEAD, F_C_TAIL, number)
