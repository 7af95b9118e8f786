"""What the machine has done before it need not do again: exact skipping of repeated work.

The stream is cut into segments of some dozens of commands. What the machine does with a segment is a function of its
state before (`engine_repeat_state.fold`, which leaves out the present cycle) and of the segment (whose memory addresses
matter modulo a DMA request only, unless reader and writer meet). So a table keeps, for each pair of a state and a
segment met, the state that followed, the cycles it took and by how much each counter rose; where the pair comes again,
nothing is simulated. This is the memoisation of FastSim (Schnarr and Larus, ASPLOS 1998) at the grain of segments.
States and segments are compared word by word, never by their hashes alone, so the result is that of the full run.

The pages that reader and writer translated last are kept up to date beside it: each pair has a log of its requests.
All that is known lies in one flat int64 array, every part of it named here.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simulator.command_check import GARBAGE_WORD
from simulator.engine_compile import bits, compiled, inlined, least, pointer_to
from simulator.engine_front import depends, station_busy
from simulator.engine_port import (
    PAGE_IS,
    PAGE_PASSES,
    PAGE_STAYS,
    PAGE_TRANSLATED,
    PAGE_TURN,
    WRITER,
    note_page,
    page_is,
    page_of,
    translate_page,
)
from simulator.engine_repeat_commands import (
    BATCH_COMMANDS,
    H_QUEUE,
    H_SEEN1,
    H_SEEN2,
    MOST_REQUEST_BYTES,
    READ,
    command_at,
    comparable,
    forget_old,
    is_plain,
    meant_address,
    note_command,
    seen_address,
)
from simulator.engine_repeat_state import adopt, fold, unfold
from simulator.memory_state import OWN

# isort: off
from simulator.engine_state import (
    ACKS, COMPUTING, ENTERS_LOGGED, ENTER_LOG, ENTRY, EXECUTE, E_A_LOW, E_A_WRITES, E_B_LOW, E_COMMAND, E_FUNCT, E_RS1,
    E_SIZE, FLUSH, FLUSHING, F_READ, G_ALLOCATED, G_EXE_ACTIVE, G_EXE_FLUSH, G_EXE_Q_BLOCK, G_LOAD_ACTIVE,
    G_LOAD_DMA_WAIT, G_LOAD_PAD_WAIT, G_RDMA_ACTIVE, G_RDMA_BYTES, G_RDMA_LATENCY, G_STATION_ACTIVE, G_STORE_ACTIVE,
    G_STORE_DMA_WAIT, G_STORE_PAD_WAIT, G_STORE_POOLING, G_UNROLLER_ACTIVE, G_WDMA_ACTIVE, G_WDMA_BYTES,
    G_WDMA_LATENCY, IN_FLIGHT, LOAD, L_ROW, L_STATE, NEVER, N_ACC_READ, N_ACC_WRITE, N_SP_READ, N_SP_WRITE, O_PAGE,
    O_PAGES_LOGGED, O_PAGE_FROM, O_TRANSLATED, PAGES_LOGGED, PAGE_LOG, PL_ADDRESS, PL_SIZE, PL_TIME, PL_WHAT,
    P_ACC_PORTS, P_IN_FLIGHT, P_MEMORY_KIND, P_NORM_LANES, P_REQUEST, R_ACTIVE, R_BEATS, R_BYTES, R_REQUESTS, SLOTS,
    STALLS, S_LOGGED, V_BEATS, V_BYTES, V_POOL_STEP, V_READY, V_REQUESTS, V_SENT, V_STATE, V_TAKEN, X_BUSY, X_MACS,
    X_STATE, X_UNROLL,
)  # fmt: skip
# isort: on


COUNTERS = np.array(
    [
        X_BUSY, X_MACS, N_SP_READ, N_SP_WRITE, N_ACC_READ, N_ACC_WRITE, R_REQUESTS, R_BYTES, R_BEATS, V_REQUESTS,
        V_BYTES, V_BEATS, G_LOAD_DMA_WAIT, G_LOAD_ACTIVE, G_LOAD_PAD_WAIT, G_STORE_DMA_WAIT, G_STORE_ACTIVE,
        G_STORE_POOLING, G_STORE_PAD_WAIT, G_RDMA_ACTIVE, G_WDMA_ACTIVE, G_EXE_ACTIVE, G_EXE_FLUSH, G_EXE_Q_BLOCK,
        G_ALLOCATED, G_STATION_ACTIVE, G_UNROLLER_ACTIVE, G_RDMA_BYTES, G_WDMA_BYTES, G_RDMA_LATENCY, G_WDMA_LATENCY,
        *range(STALLS, STALLS + 6),
    ],
    np.int64,
)  # fmt: skip
"""Slots that only ever rise by what happens: the machine never looks at them."""

REGISTERS = O_PAGE_FROM + 2 - O_TRANSLATED
SHORTEST, LONGEST = 32, 96
"""Commands of a segment: it ends where a preload brings new weights, so that the segments of alike tiles are alike."""
MOST_SEGMENTS = BATCH_COMMANDS // SHORTEST + 2
"""Segments of a batch."""
_COMMAND_WORDS = 3
A_STATE, A_SEGMENT, A_AFTER, A_CYCLES, A_LOG, A_LOGGED, A_ASKED, A_BEFORE, PAIR_SIZE = range(9)
"""A pair: what it is of, what followed, its cycles; what it asked of the page registers and did to them (place and
number in the log) and, behind that, how many questions it asked of dependence; and the pair of the same state and
segment, found before, that was answered otherwise (0: none)."""
WHAT_SIZE = 16
MOST_ANSWERS = 16
"""Pairs of one state and segment that are tried."""
_STATES, _SEGMENTS, _PAIRS, _TURNS = 1 << 14, 1 << 14, 1 << 14, 1 << 16
_STATE_WORDS, _SEGMENT_WORDS, _FOLD_WORDS, _LOG_WORDS = 1 << 22, 1 << 21, 1 << 15, 1 << 22
"""What the tables hold before they are emptied: 90 MiB in all, however long the stream."""

# What is known. `*_WORDS` holds the words of what is known, one after the other, number i from `*_AT` + i to the next;
# `*_TABLE` finds a number by hash (0 is free); TIMES counts how often a segment came behind
# another, by hash; then room to work in.
(
    STATES_HELD, SEGMENTS_HELD, PAIRS_HELD, SKIPPED_CYCLES, STATE, STARTED_AT, LOG_HELD, SKIPPED_SEGMENTS,
    LAST_SEGMENT, BATCH_FROM
) = range(10)  # fmt: skip
_PARTS = (
    16, _STATE_WORDS + _FOLD_WORDS, _STATES + 1, 2 * _STATES, _SEGMENT_WORDS, _SEGMENTS + 1, 2 * _SEGMENTS, _TURNS,
    PAIR_SIZE * _PAIRS, COUNTERS.size * _PAIRS, 2 * _PAIRS, _LOG_WORDS + 2 * PAGES_LOGGED + ENTERS_LOGGED * SLOTS,
    COUNTERS.size, REGISTERS, SLOTS, _FOLD_WORDS, _COMMAND_WORDS * LONGEST,
)  # fmt: skip
(
    _, STATE_WORDS, STATE_AT, STATE_TABLE, SEGMENT_WORDS, SEGMENT_AT, SEGMENT_TABLE, TIMES, PAIRS, RISES, PAIR_TABLE,
    LOG, BEFORE, KEPT, HOLDERS, FOLDED, SEGMENT, KNOWN_SIZE
) = np.cumsum([0, *_PARTS]).tolist()  # fmt: skip


def may_repeat(m: npt.NDArray[np.int64]) -> bool:
    """Whether `fold` holds all of this machine's state: not that of a cache, of a memory shared with others, of a
    single-ported accumulator's queues or of a normaliser."""
    own = m[P_MEMORY_KIND] == OWN and m[P_ACC_PORTS] == 2 and m[P_NORM_LANES] == 0
    return bool(own and m[P_REQUEST] <= MOST_REQUEST_BYTES)


@inlined
def _mixed(value, word):  # type: ignore[no-untyped-def]
    value = (value ^ word) * np.int64(-7046029254386353131)
    return value ^ ((value >> 29) & 0x7FFFFFFFF)


@compiled
def _number(known, words, n, kept, at, table, size, held):  # type: ignore[no-untyped-def]
    """The number of the `n` words from `words` on, which become number `held` if they are not known."""
    value = np.int64(n)
    for i in range(words, words + n):
        value = _mixed(value, known[i])
    place = value & (size - 1)
    while known[table + place]:
        number = known[table + place] - 1
        start = known[at + number]
        if known[at + number + 1] - start == n:
            i = 0
            while i < n and known[kept + start + i] == known[words + i]:
                i += 1
            if i == n:
                return number
        place = (place + 1) & (size - 1)
    start = known[at + held]
    for i in range(n):
        known[kept + start + i] = known[words + i]
    known[at + held + 1], known[table + place] = start + n, held + 1
    return np.int64(held)


@inlined
def _pair_place(known, state, segment):  # type: ignore[no-untyped-def]
    """Where the number of the pair stands, or 0 as it is not known."""
    place = _mixed(_mixed(np.int64(1), state), segment) & (2 * _PAIRS - 1)
    while known[PAIR_TABLE + place]:
        pair = PAIRS + (known[PAIR_TABLE + place] - 1) * PAIR_SIZE
        if known[pair + A_STATE] == state and known[pair + A_SEGMENT] == segment:
            break
        place = (place + 1) & (2 * _PAIRS - 1)
    return PAIR_TABLE + place


@compiled
def _open_conditions(m, cycles):  # type: ignore[no-untyped-def]
    """Add `cycles` to every counter of a condition that holds.

    Such a counter stands below by the cycle in which its condition began (`engine_state`, Gemmini's own counters);
    what it rises by is the same at any time only once that cycle is taken out of it.
    """
    sending, leaving = m[L_STATE] == 1, m[L_STATE] == 2
    m[G_LOAD_DMA_WAIT] += cycles if sending and m[L_ROW] == 0 else 0
    m[G_LOAD_PAD_WAIT] += cycles if sending else 0
    m[G_LOAD_ACTIVE] += cycles if leaving or (sending and m[L_ROW] > 0) else 0
    sending, leaving = m[V_STATE] == 1, m[V_STATE] == 2
    m[G_STORE_DMA_WAIT] += cycles if sending and m[V_SENT] == m[V_TAKEN] else 0
    m[G_STORE_PAD_WAIT] += cycles if sending else 0
    m[G_STORE_ACTIVE] += cycles if leaving or (sending and m[V_SENT] != m[V_TAKEN]) else 0
    m[G_STORE_POOLING] += cycles if m[V_POOL_STEP] else 0
    m[G_RDMA_ACTIVE] += cycles if m[R_ACTIVE] else 0
    m[G_WDMA_ACTIVE] += cycles if m[V_READY] >= NEVER else 0
    m[G_EXE_ACTIVE] += cycles if m[X_STATE] == COMPUTING else 0
    m[G_EXE_FLUSH] += cycles if m[X_STATE] == FLUSH or m[X_STATE] == FLUSHING else 0
    m[G_UNROLLER_ACTIVE] += cycles if m[X_UNROLL] else 0
    m[G_STATION_ACTIVE] += cycles if station_busy(m) else 0
    for number in range(m[P_IN_FLIGHT]):
        m[G_RDMA_LATENCY] += cycles if m[IN_FLIGHT + number] >= NEVER else 0
        m[G_WDMA_LATENCY] += cycles if m[ACKS + number] >= NEVER else 0


@inlined
def _segment_end(funct, rs1, start, end):  # type: ignore[no-untyped-def]
    longest = least(start + LONGEST, end)
    for index in range(start + SHORTEST, longest):
        if funct[index] == 6 and bits(rs1[index], 31, 0) != GARBAGE_WORD:
            return np.int64(index)
    return np.int64(longest)


@compiled
def _empty(known):  # type: ignore[no-untyped-def]
    """Forget everything; `STATE` is that of the machine no more."""
    for table, size in ((STATE_TABLE, 2 * _STATES), (SEGMENT_TABLE, 2 * _SEGMENTS), (PAIR_TABLE, 2 * _PAIRS)):
        for i in range(table, table + size):
            known[i] = 0
    for i in range(TIMES, TIMES + _TURNS):
        known[i] = 0
    known[STATES_HELD] = known[SEGMENTS_HELD] = known[PAIRS_HELD] = known[LOG_HELD] = 0
    known[STATE] = -1


@compiled
def repeats(functs, rs1s, rs2s):  # type: ignore[no-untyped-def]
    """Whether what repeats in these commands can be told (`engine_repeat_commands.is_plain`)."""
    return is_plain(pointer_to(functs), pointer_to(rs1s), pointer_to(rs2s), functs.size)


@compiled
def cut(machine, table, seen, functs, rs1s, rs2s, cuts):  # type: ignore[no-untyped-def]
    """Cut the next batch of commands into segments; returns how many.

    `cuts`, int64 (3 * MOST_SEGMENTS,), takes of each its end, its number, and how often it comes behind the one before
    it. Addresses in `rs1s` get the numbers of their commands.
    """
    m, known, view, segments = pointer_to(machine), pointer_to(table), pointer_to(seen), pointer_to(cuts)
    funct, rs1, rs2, commands = pointer_to(functs), pointer_to(rs1s), pointer_to(rs2s), functs.size
    _make_room(known, commands)
    forget_old(view)
    start, count, first = np.int64(0), 0, view[READ]
    while start < commands:
        end, n = _segment_end(funct, rs1, start, commands), SEGMENT
        for index in range(start, end):
            note_command(view, first + index, np.int64(funct[index]), rs1[index], rs2[index])
            e = command_at(view, first + index)
            known[n], known[n + 1], known[n + 2] = view[e + E_FUNCT], view[e + H_SEEN1], view[e + H_SEEN2]
            rs1[index] = view[e + E_RS1]
            n += _COMMAND_WORDS
        number = _number(
            known, SEGMENT, n - SEGMENT, SEGMENT_WORDS, SEGMENT_AT, SEGMENT_TABLE, 2 * _SEGMENTS, known[SEGMENTS_HELD]
        )
        known[SEGMENTS_HELD] = number + 1 if number == known[SEGMENTS_HELD] else known[SEGMENTS_HELD]
        turn = _mixed(_mixed(np.int64(1), known[LAST_SEGMENT]), number) & (_TURNS - 1)
        known[TIMES + turn] += 1
        known[LAST_SEGMENT] = number
        segments[3 * count], segments[3 * count + 1], segments[3 * count + 2] = end, number, turn
        count += 1
        start = end
    for i in range(count):
        segments[3 * i + 2] = known[TIMES + segments[3 * i + 2]]
    known[BATCH_FROM] = first
    if first == 0:
        adopt(m, view)
    return count


@compiled
def _make_room(known, commands):  # type: ignore[no-untyped-def]
    """Forget everything if a batch might not fit."""
    room = known[SEGMENT_AT + known[SEGMENTS_HELD]] + _COMMAND_WORDS * commands
    full = known[SEGMENTS_HELD] + MOST_SEGMENTS > _SEGMENTS or room > _SEGMENT_WORDS
    full = full or 4 * known[STATES_HELD] > 3 * _STATES or 4 * known[STATE_AT + known[STATES_HELD]] > 3 * _STATE_WORDS
    if full or 4 * known[PAIRS_HELD] > 3 * _PAIRS or 4 * known[LOG_HELD] > 3 * _LOG_WORDS:
        _empty(known)


@compiled
def note_state(machine, t, table, seen):  # type: ignore[no-untyped-def]
    """Make `STATE` the number of the machine's state before cycle `t`, -1 if it cannot be told."""
    m, view = pointer_to(machine), pointer_to(seen)
    view[READ] = m[F_READ]
    _note_state(m, t, pointer_to(table), view)


@compiled
def _note_state(m, t, known, view):  # type: ignore[no-untyped-def]
    held = known[STATES_HELD]
    if held + 1 >= _STATES or known[STATE_AT + held] > _STATE_WORDS:
        known[STATE] = -1
        return
    n = fold(m, t, known, FOLDED, view)
    known[STATE] = -1
    if n:
        known[STATE] = _number(known, FOLDED, n, STATE_WORDS, STATE_AT, STATE_TABLE, 2 * _STATES, held)
        known[STATES_HELD] = held + 1 if known[STATE] == held else held


@compiled
def note_before(machine, t, table):  # type: ignore[no-untyped-def]
    """A segment that may become one of a pair begins in cycle `t`."""
    m, known = pointer_to(machine), pointer_to(table)
    _open_conditions(m, t)
    for i in range(COUNTERS.size):
        known[BEFORE + i] = m[COUNTERS[i]]
    _open_conditions(m, -t)
    for slot in range(SLOTS):
        known[HOLDERS + slot] = m[ENTRY + slot * E_SIZE + E_COMMAND]
    m[O_PAGES_LOGGED], m[S_LOGGED], known[STARTED_AT] = 0, 0, t


@inlined
def _may_depend(view, e, o, queue, other):  # type: ignore[no-untyped-def]
    """Whether `depends` of new command `e` of `queue` and `o` of `other` is more than a matter of their kinds."""
    a_a = comparable(view[e + E_A_LOW], view[o + E_A_LOW])
    if queue == LOAD:
        return a_a or comparable(view[e + E_A_LOW], view[o + E_B_LOW])
    if queue == EXECUTE and other == LOAD:
        return a_a or comparable(view[e + E_B_LOW], view[o + E_A_LOW])
    if queue == EXECUTE:
        return view[e + E_A_WRITES] != 0 and a_a
    return a_a and (other == LOAD or view[o + E_A_WRITES] != 0)


@compiled
def _note_questions(known, view, command, valid, log):  # type: ignore[no-untyped-def]
    """Log for which of the entries `valid` then the command waits when it enters the station; returns the log's end."""
    e = command_at(view, command)
    queue, slot = view[e + H_QUEUE], 0
    while valid and view[e + E_FUNCT] != 0:
        if valid & 1:
            held = known[HOLDERS + slot]
            o = command_at(view, held)
            other = view[o + H_QUEUE]
            if other != queue and _may_depend(view, e, o, queue, other):
                answer = 1 if depends(view, e, o, queue, other) else 0
                known[log] = ((view[READ] - command) << 32) | ((view[READ] - held) << 1) | answer
                log += 1
        valid >>= 1
        slot += 1
    return log


@compiled
def _answers_hold(known, view, pair):  # type: ignore[no-untyped-def]
    """Whether the segment's commands wait for the same others as the pair's did."""
    log = known[pair + A_LOG] + 2 * known[pair + A_LOGGED]
    for place in range(log, log + known[pair + A_ASKED]):
        word = known[place]
        e, o = command_at(view, view[READ] - (word >> 32)), command_at(view, view[READ] - ((word >> 1) & 0x7FFFFFFF))
        if depends(view, e, o, view[e + H_QUEUE], view[o + H_QUEUE]) != (word & 1 == 1):
            return False
    return True


@compiled
def _note_pair(m, t, known, view, state, segment):  # type: ignore[no-untyped-def]
    pair, place = known[PAIRS_HELD], _pair_place(known, state, segment)
    known[PAIRS + pair * PAIR_SIZE + A_BEFORE] = known[place]
    known[place] = pair + 1
    known[PAIRS_HELD] += 1
    _open_conditions(m, t)
    for i in range(COUNTERS.size):
        known[RISES + pair * COUNTERS.size + i] = m[COUNTERS[i]] - known[BEFORE + i]
    _open_conditions(m, -t)
    log, record = LOG + known[LOG_HELD], PAIRS + pair * PAIR_SIZE
    known[record + A_STATE], known[record + A_SEGMENT], known[record + A_AFTER] = state, segment, known[STATE]
    known[record + A_CYCLES], known[record + A_LOG] = t - known[STARTED_AT], log
    known[record + A_LOGGED] = m[O_PAGES_LOGGED]
    for number in range(m[O_PAGES_LOGGED]):
        passed = PAGE_LOG + number * PL_SIZE
        known[log] = (m[passed + PL_TIME] - known[STARTED_AT]) * WHAT_SIZE + m[passed + PL_WHAT]
        known[log + 1] = seen_address(view, m[passed + PL_ADDRESS])
        log += 2
    start = log
    for entered in range(ENTER_LOG, ENTER_LOG + 3 * m[S_LOGGED], 3):
        log = _note_questions(known, view, m[entered + 2], m[entered + 1], log)
        known[HOLDERS + m[entered]] = m[entered + 2]
    known[record + A_ASKED] = log - start
    known[LOG_HELD] = log - LOG


@compiled
def note_after(machine, t, table, seen, segment):  # type: ignore[no-untyped-def]
    """The segment has been run up to cycle `t`: remember what came of it, if that can be told."""
    m, known, view = pointer_to(machine), pointer_to(table), pointer_to(seen)
    state = known[STATE]
    view[READ] = m[F_READ]
    _note_state(m, t, known, view)
    room = known[PAIRS_HELD] + 1 < _PAIRS and known[LOG_HELD] < _LOG_WORDS
    room = room and m[O_PAGES_LOGGED] < PAGES_LOGGED and m[S_LOGGED] < ENTERS_LOGGED
    if state >= 0 and known[STATE] >= 0 and room:
        _note_pair(m, t, known, view, state, segment)
    m[O_PAGES_LOGGED], m[S_LOGGED] = PAGES_LOGGED, ENTERS_LOGGED


@inlined
def _page_goes(m, t, what, address):  # type: ignore[no-untyped-def]
    """Do to the page registers what is logged of cycle `t`; returns whether they answer as they did then."""
    kind, side = what & ~1, what & 1
    if kind == PAGE_PASSES:
        note_page(m, t, side, address)
    elif kind == PAGE_TRANSLATED:
        translate_page(m, t, side, page_of(address))
    elif kind == PAGE_TURN:
        return m[O_TRANSLATED] == side
    elif kind == PAGE_STAYS:
        return (m[O_PAGE + WRITER] == page_of(address)) == (side == 1)
    else:
        return page_is(m, t, side, page_of(address)) == (kind == PAGE_IS)
    return True


@compiled
def _pages_go(m, t, known, view, pair):  # type: ignore[no-untyped-def]
    """Bring the page registers up behind the pair's segment; False, and nothing changed, if they answer otherwise."""
    for i in range(REGISTERS):
        known[KEPT + i] = m[O_TRANSLATED + i]
    log = known[pair + A_LOG]
    for _ in range(known[pair + A_LOGGED]):
        word = known[log]
        if not _page_goes(m, t + word // WHAT_SIZE, word % WHAT_SIZE, meant_address(view, known[log + 1])):
            for i in range(REGISTERS):
                m[O_TRANSLATED + i] = known[KEPT + i]
            return False
        log += 2
    return True


@inlined
def _goes(m, t, known, view, pair):  # type: ignore[no-untyped-def]
    """Whether what the pair's segment asked is answered in the same way; then the page registers are brought up."""
    return _answers_hold(known, view, pair) and _pages_go(m, t, known, view, pair)


@compiled
def skip(machine, t, table, seen, cuts, first, count):  # type: ignore[no-untyped-def]
    """Skip what is known of the segments from `first` up to `count`; returns (first one not skipped, cycle).

    The machine is left behind, but for its counters and pages: `resume` brings it up.
    """
    m, known, view, segments = pointer_to(machine), pointer_to(table), pointer_to(seen), pointer_to(cuts)
    i, state = first, known[STATE]
    while i < count:
        number = known[_pair_place(known, state, segments[3 * i + 1])]
        back, view[READ] = view[READ], known[BATCH_FROM] + segments[3 * i]
        left = MOST_ANSWERS
        while number and left and not _goes(m, t, known, view, PAIRS + (number - 1) * PAIR_SIZE):
            number = known[PAIRS + (number - 1) * PAIR_SIZE + A_BEFORE]
            left -= 1
        if number == 0 or left == 0:
            view[READ] = back
            break
        if i == first:
            _open_conditions(m, t)
        rises, pair = RISES + (number - 1) * COUNTERS.size, PAIRS + (number - 1) * PAIR_SIZE
        for j in range(COUNTERS.size):
            m[COUNTERS[j]] += known[rises + j]
        t += known[pair + A_CYCLES]
        known[SKIPPED_CYCLES] += known[pair + A_CYCLES]
        state = known[pair + A_AFTER]
        i += 1
    known[STATE] = state
    known[SKIPPED_SEGMENTS] += i - first
    return i, t


@compiled
def resume(machine, t, table, seen):  # type: ignore[no-untyped-def]
    """Bring the machine into `STATE` as of before cycle `t`, after a `skip`."""
    m, known, view = pointer_to(machine), pointer_to(table), pointer_to(seen)
    m[F_READ] = view[READ]
    unfold(m, t, known, STATE_WORDS + known[STATE_AT + known[STATE]], view)
    _open_conditions(m, -t)
