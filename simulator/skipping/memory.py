"""Load path, port and the rows on their way to the banks, as part of the state seen from a cycle."""

from __future__ import annotations

from simulator.cycle_level.compile import compiled, most
from simulator.cycle_level.port import asking_beat, page_of, shown_beat
from simulator.cycle_level.rows import OWN_ENTRIES, SHARED_ENTRIES
from simulator.skipping.commands import NUMBERS
from simulator.skipping.front import walk_commands
from simulator.skipping.walk import first_row, walk, walk_ring

# isort: off
from simulator.skipping.kinds import (
    ANSWER, HOLDING, LENGTH, LOADING, MEETING, MERGING, ONE_STAMP, READING, READY, READ_UNDER_WAY, ROW, ROW_TO_WRITE,
    TRACKED, WRITE_UNDER_WAY, ZEROING,
)  # fmt: skip
from simulator.cycle_level.state import (
    A_MERGED, A_MOVED, A_OWN, A_PASSED, BEAT_MERGED, BEAT_MOVED, BEAT_OWN, BEAT_PORT, BEAT_RING, D_BEATS, D_NUMBER,
    D_SIZE, IN_FLIGHT, K_SIZE, K_VALID, LOAD_CONFIG, LOAD_QUEUE, L_HEAD, L_STATE, L_TAIL, NARROW, NEVER, O_ASKED,
    O_ASKS, O_BEATS, O_BEATS_HELD, O_BUSY, O_KNOWN, O_LOCKED, O_NEXT, O_READS, O_READS_HELD, O_READ_FIRST,
    O_READ_SECOND, O_STALE, O_WRITE_ASIDE, O_WRITE_FIRST, O_WRITE_SECOND, P_BUS, P_IN_FLIGHT, P_REQUEST, P_TRACKED,
    QUEUE_RING, Q_FROM, Q_RECORD, Q_SIZE, READ_REQUEST, RESPONSE, RESPONSES, ROWS, ROW_QUEUE, R_ACTIVE, R_HEAD, R_TAIL,
    TRACKER, V_PACKETS, V_W_BEATS, V_W_REQUEST, WIDE, WRITE_REQUEST, WR_SIZE, W_BUSY, W_HEAD, W_NARROW_HEAD,
    W_NARROW_TAIL, W_PORT, W_SHARED, W_TAIL, W_WIDE_HEAD, W_WIDE_TAIL, Z_HELD, Z_HELD_KEY, Z_HELD_LAST, Z_TRACKER,
    Z_VALID,
)  # fmt: skip
# isort: on


@compiled
def walk_load(m, t, o, n, out, view):  # type: ignore[no-untyped-def]
    """Load controller, trackers and zero writer."""
    if m[L_STATE]:
        n = walk(m, t, 0, LOADING, o, n, out, view)
    n = walk_commands(m, t, LOAD_QUEUE, QUEUE_RING, L_HEAD, L_TAIL, o, n, out, view)
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
            n = walk(m, t, TRACKER + number * K_SIZE, TRACKED, o, n, out, view)
    if m[Z_VALID]:
        n = walk(m, t, 0, ZEROING, o, n, out, view)
    if m[Z_HELD]:
        n = walk(m, t, 0, HOLDING, o, n, out, view)
        low = first_row(m, m[Z_HELD_LAST] - 1 if m[Z_HELD_LAST] else m[Z_TRACKER])
        if out:
            o[n] = m[Z_HELD_KEY] - low
        else:
            m[Z_HELD_KEY] = o[n] + low
        n += 1
    return n


@compiled
def walk_reader(m, t, o, n, out, view):  # type: ignore[no-untyped-def]
    """The row being requested, and those behind it."""
    active = 1 if m[R_ACTIVE] else 0
    if out:
        o[n] = active
    else:
        active = o[n]
        m[R_ACTIVE] = (m[R_HEAD] - 1) % 16 + 1 if active else 0
    n += 1
    if active:
        n = walk(m, t, 0, READING, o, n, out, view)
        n = walk(m, t, ROW_QUEUE + (m[R_ACTIVE] - 1) * Q_SIZE, ROW, o, n, out, view)
    return walk_ring(m, t, ROW_QUEUE, 16, Q_SIZE, R_HEAD, R_TAIL, ROW, o, n, out, view)


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
def walk_numbers(m, t, o, n, out, view):  # type: ignore[no-untyped-def]
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
        n = walk(m, t, m[pointer], READ_UNDER_WAY, o, n, out, view)
        n = walk(m, t, m[pointer], ANSWER, o, n, out, view)
    return n


@compiled
def _walk_packet(m, t, pointer, o, n, out, view):  # type: ignore[no-untyped-def]
    """A write whose record is named by place `pointer`."""
    if out:
        o[n] = (m[V_PACKETS] - (m[pointer] - WRITE_REQUEST) // Q_RECORD) % m[P_IN_FLIGHT]
    else:
        m[pointer] = WRITE_REQUEST + (m[V_PACKETS] - o[n]) % m[P_IN_FLIGHT] * Q_RECORD
        m[m[pointer] + D_NUMBER] = (m[V_PACKETS] - o[n]) % m[P_IN_FLIGHT]
    return walk(m, t, m[pointer], WRITE_UNDER_WAY, o, n + 1, out, view)


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
def walk_port(m, t, o, n, out, view):  # type: ignore[no-untyped-def]
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
    n = walk(m, t, 0, MEETING, o, n, out, view)
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
    if asking_beat(m) >= 0:
        m[O_ASKED + 1] = page_of(m[asking_beat(m) // 2 + Q_FROM])
    if shown_beat(m) >= 0:
        m[O_STALE] = page_of(m[shown_beat(m) // 2 + Q_FROM])
    return n + 2


@compiled
def walk_answers(m, t, o, n, out, view):  # type: ignore[no-untyped-def]
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
        n = walk(m, t, d, LENGTH, o, n, out, view)
        if number >= m[W_PORT]:
            n = walk(m, t, d, READY, o, n, out, view)
        # An acknowledgement needs its number until it leaves the buffers, a read until its last beat is merged.
        if number >= m[W_SHARED] or (m[d + D_BEATS] and (number > m[W_HEAD] or m[W_BUSY] >= 0)):
            n = _walk_number(m, d, o, n, out, view)
        if m[d + D_BEATS]:
            n = walk(m, t, d, ANSWER, o, n, out, view)
    return n


@compiled
def _walk_beats(m, t, base, first, end, o, n, out, view):  # type: ignore[no-untyped-def]
    for number in range(first, end):
        n = walk(m, t, base + number % BEAT_RING, ONE_STAMP, o, n, out, view)
    return n


@compiled
def walk_merger(m, t, o, n, out, view):  # type: ignore[no-untyped-def]
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
        n = walk(m, t, 0, MERGING, o, n, out, view)
    n = walk_ring(m, t, ROWS, NARROW, WR_SIZE, W_NARROW_HEAD, W_NARROW_TAIL, ROW_TO_WRITE, o, n, out, view)
    wide = ROWS + NARROW * WR_SIZE
    return walk_ring(m, t, wide, WIDE, WR_SIZE, W_WIDE_HEAD, W_WIDE_TAIL, ROW_TO_WRITE, o, n, out, view)
