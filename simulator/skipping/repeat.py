"""What the machine has done before it need not do again: exact skipping of repeated work.

The stream is cut into segments of some dozens of commands. What the machine does with a segment is a function of its
state before (`skipping.state.fold`, which leaves out the present cycle) and of the segment (whose memory addresses
matter modulo a DMA request only, unless reader and writer meet). So a table keeps, for each pair of a state and a
segment met, the state that followed, the cycles it took and by how much each counter rose; where the pair comes again,
nothing is simulated. This is the memoisation of FastSim (Schnarr and Larus, ASPLOS 1998) at the grain of segments.
States and segments are compared word by word, never by their hashes alone, so the result is that of the full run.

The pages that reader and writer translated last are kept up to date beside it: each pair has a log of its requests.
All that is known lies in one flat int64 array, every part of it named here.
"""

from __future__ import annotations

import numpy as np

from simulator.cycle_level.compile import compiled, inlined, least, most, pointer_to
from simulator.cycle_level.front import depends, station_busy
from simulator.cycle_level.kernel import PAUSED, run_on
from simulator.cycle_level.port import (
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
from simulator.skipping.commands import EXACT, H_QUEUE, READ, command_at, comparable, meant_address, seen_address
from simulator.skipping.state import unfold
from simulator.skipping.table import (
    A_AFTER,
    A_ASKED,
    A_BEFORE,
    A_CYCLES,
    A_LOG,
    A_LOGGED,
    A_SEGMENT,
    A_STATE,
    BATCH_FROM,
    BEFORE,
    COUNTERS,
    EARLIER,
    END,
    HOLDERS,
    KEPT,
    LATER,
    LOG,
    LOG_HELD,
    LOG_WORDS,
    MOST_PAIRS,
    NEXT_REST,
    NOTED,
    NUMBER,
    PAIR_SIZE,
    PAIR_TABLE,
    PAIRS,
    PAIRS_HELD,
    REGISTERS,
    REST,
    RISES,
    SEGMENT_SIZE,
    SKIPPED_BEFORE,
    SKIPPED_CYCLES,
    STARTED_AT,
    STATE,
    STATE_AT,
    STATE_WORDS,
    TRIALS,
    WHAT_SIZE,
    mixed,
    note_state,
)

# isort: off
from simulator.cycle_level.state import (
    ACKS, COMPUTING, ENTERS_LOGGED, ENTER_LOG, ENTRY, EXECUTE, E_A_LOW, E_A_WRITES, E_B_LOW, E_COMMAND, E_FUNCT,
    E_SIZE, FLUSH, FLUSHING, F_BASE, F_END, F_MORE, F_READ, G_EXE_ACTIVE, G_EXE_FLUSH, G_LOAD_ACTIVE, G_LOAD_DMA_WAIT,
    G_LOAD_PAD_WAIT, G_RDMA_ACTIVE, G_RDMA_LATENCY, G_STATION_ACTIVE, G_STORE_ACTIVE, G_STORE_DMA_WAIT,
    G_STORE_PAD_WAIT, G_STORE_POOLING, G_UNROLLER_ACTIVE, G_WDMA_ACTIVE, G_WDMA_LATENCY, IN_FLIGHT, LOAD, L_ROW,
    L_STATE, NEVER, O_PAGE, O_PAGES_LOGGED, O_TRANSLATED, PAGES_LOGGED, PAGE_LOG, PL_ADDRESS, PL_SIZE, PL_TIME,
    PL_WHAT, P_IN_FLIGHT, R_ACTIVE, SLOTS, S_LOGGED, V_POOL_STEP, V_READY, V_SENT, V_STATE, V_TAKEN, X_STATE, X_UNROLL,
)  # fmt: skip
# isort: on

MOST_ANSWERS = 16
"""Pairs of one state and segment that are tried."""
LEAST_LATER = 1
"""Times that a segment must still come behind the one before it, for what comes of it to be worth noting."""
TRIAL_CYCLES = 150
"""Simulated cycles that take as long as to look at a state: those skipped must be more, or it does not pay."""
MOST_TRIALS, LONGEST_REST = 512, 1 << 14
"""States looked at before it is asked whether that paid; segments that go by before it is tried again, at most."""


@inlined
def _pair_place(known, state, segment):  # type: ignore[no-untyped-def]
    """Where the number of the pair stands, or 0 as it is not known."""
    place = mixed(mixed(np.int64(1), state), segment) & (2 * MOST_PAIRS - 1)
    while known[PAIR_TABLE + place]:
        pair = PAIRS + (known[PAIR_TABLE + place] - 1) * PAIR_SIZE
        if known[pair + A_STATE] == state and known[pair + A_SEGMENT] == segment:
            break
        place = (place + 1) & (2 * MOST_PAIRS - 1)
    return PAIR_TABLE + place


@compiled
def _open_conditions(m, cycles):  # type: ignore[no-untyped-def]
    """Add `cycles` to every counter of a condition that holds.

    Such a counter stands below by the cycle in which its condition began (`cycle_level.state`, Gemmini's own counters);
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
    """Note what came of the pair, unless a logged address cannot be told."""
    pair = known[PAIRS_HELD]
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
    if view[EXACT]:
        place = _pair_place(known, state, segment)
        known[record + A_BEFORE], known[place] = known[place], pair + 1
        known[LOG_HELD] = log - LOG
        known[PAIRS_HELD] += 1


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
def _note_before(m, t, known):  # type: ignore[no-untyped-def]
    """A segment that may become one of a pair begins in cycle `t`."""
    _open_conditions(m, t)
    for i in range(COUNTERS.size):
        known[BEFORE + i] = m[COUNTERS[i]]
    _open_conditions(m, -t)
    for slot in range(SLOTS):
        known[HOLDERS + slot] = m[ENTRY + slot * E_SIZE + E_COMMAND]
    m[O_PAGES_LOGGED], m[S_LOGGED], known[STARTED_AT] = 0, 0, t


@compiled
def _note_after(m, t, known, view, segment):  # type: ignore[no-untyped-def]
    """The segment has been run up to cycle `t`: remember what came of it, if that can be told."""
    state = known[STATE]
    view[READ] = m[F_READ]
    note_state(m, t, known, view, state >= 0)
    room = known[PAIRS_HELD] + 1 < MOST_PAIRS and known[LOG_HELD] < LOG_WORDS
    room = room and m[O_PAGES_LOGGED] < PAGES_LOGGED and m[S_LOGGED] < ENTERS_LOGGED
    if state >= 0 and known[STATE] >= 0 and room:
        _note_pair(m, t, known, view, state, segment)
    m[O_PAGES_LOGGED], m[S_LOGGED] = PAGES_LOGGED, ENTERS_LOGGED


@compiled
def _skip(m, t, known, view, segments, first, count):  # type: ignore[no-untyped-def]
    """Skip what is known of the segments from `first` up to `count`; returns (first one not skipped, cycle).

    The machine is left behind, but for its counters and pages: `_resume` brings it up.
    """
    i, state = first, known[STATE]
    while i < count:
        number = known[_pair_place(known, state, segments[SEGMENT_SIZE * i + NUMBER])]
        back, view[READ] = view[READ], known[BATCH_FROM] + segments[SEGMENT_SIZE * i + END]
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
    return i, t


@compiled
def _resume(m, t, known, view):  # type: ignore[no-untyped-def]
    """Bring the machine into `STATE` as of before cycle `t`, after a `_skip`."""
    m[F_READ] = view[READ]
    unfold(m, t, known, STATE_WORDS + known[STATE_AT + known[STATE]], view)
    _open_conditions(m, -t)


@inlined
def _rests(known):  # type: ignore[no-untyped-def]
    """Whether looking for what repeats does not pay at present."""
    if known[TRIALS] >= MOST_TRIALS:
        skipped = known[SKIPPED_CYCLES] - known[SKIPPED_BEFORE]
        if skipped < TRIAL_CYCLES * known[TRIALS]:
            known[NEXT_REST] = least(2 * known[NEXT_REST] + MOST_TRIALS, LONGEST_REST)
            known[REST] = known[NEXT_REST]
        else:
            known[NEXT_REST] = 0
        known[TRIALS], known[SKIPPED_BEFORE] = 0, known[SKIPPED_CYCLES]
    return known[REST] > 0


@inlined
def _looks(segments, i):  # type: ignore[no-untyped-def]
    """Whether the state before the segment may be one to find, or to keep."""
    return segments[SEGMENT_SIZE * i + EARLIER] > 0 or segments[SEGMENT_SIZE * i + LATER] >= LEAST_LATER


@inlined
def _stretch(m, t, known, segments, i, count):  # type: ignore[no-untyped-def]
    """Choose what to run from segment `i` on: that one, to note what comes of it, or up to the next to look at."""
    if known[STATE] >= 0 and segments[SEGMENT_SIZE * i + LATER] >= LEAST_LATER:
        _note_before(m, t, known)
        known[TRIALS] += 1
        known[NOTED] = 1
        return i + 1
    known[STATE] = -1
    stop = least(i + most(known[REST], 1), count)
    while stop < count and not _looks(segments, stop):
        stop += 1
    known[REST] = most(known[REST] - (stop - i), 0)
    return stop


@compiled
def _skip_on(m, t, known, view, segments, done, count):  # type: ignore[no-untyped-def]
    """Skip what is known from cycle `t` on, before which the first `done` of `count` segments were run or skipped.

    Returns (how many will have been when what follows is run, its last command's place or 0 behind the last segment,
    cycle).
    """
    i = done
    if known[NOTED]:
        _note_after(m, t, known, view, segments[SEGMENT_SIZE * (done - 1) + NUMBER])
    known[NOTED] = 0
    while i < count:
        # Before the first cycle, some of the first segment's commands have been read already.
        if known[STATE] < 0 and _looks(segments, i) and known[BATCH_FROM] + i > 0 and not _rests(known):
            view[READ] = m[F_READ]
            known[TRIALS] += 1
            note_state(m, t, known, view, segments[SEGMENT_SIZE * i + LATER] >= LEAST_LATER)
        if known[STATE] < 0:
            break
        at, t = _skip(m, t, known, view, segments, i, count)
        if at == i:
            break
        i = at
        _resume(m, t, known, view)
    if i == count:
        return i, np.int64(0), t
    stop = _stretch(m, t, known, segments, i, count)
    return stop, segments[SEGMENT_SIZE * (stop - 1) + END], t


@compiled
def proceed(machine, behind, t, trace, functs, rs1s, rs2s, accepted, table, seen, cuts, count):  # type: ignore[no-untyped-def]
    """Run or skip a batch of commands, cut into `count` segments, from cycle `t`; returns as `cycle_level.kernel.run`,
    PAUSED behind the last of them."""
    m, known, view, segments = pointer_to(machine), pointer_to(table), pointer_to(seen), pointer_to(cuts)
    memory, host = pointer_to(behind), (pointer_to(functs), pointer_to(rs1s), pointer_to(rs2s), pointer_to(accepted))
    done, how = np.int64(0), np.int64(PAUSED)
    while how == PAUSED:
        done, end, t = _skip_on(m, t, known, view, segments, done, count)
        if end == 0:
            break
        m[F_BASE], m[F_END], m[F_MORE] = known[BATCH_FROM], known[BATCH_FROM] + end, 1
        t, how = run_on(m, memory, t, np.int64(NEVER), trace, host)
    return t, how
