"""What is known of what repeats: states, segments of commands, and what followed each pair of them.

All of it lies in one flat int64 array, every part of it named here. States and segments are compared word by word,
never by their hashes alone.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simulator.command_check import GARBAGE_WORD
from simulator.cycle_level.compile import bits, compiled, inlined, least, pointer_to
from simulator.memory_state import OWN
from simulator.skipping.commands import (
    BATCH_COMMANDS,
    H_SEEN1,
    H_SEEN2,
    MOST_LATENCY_CYCLES,
    MOST_REQUEST_BYTES,
    READ,
    command_at,
    forget_old,
    is_plain,
    note_command,
)
from simulator.skipping.front import adopt
from simulator.skipping.state import fold

# isort: off
from simulator.cycle_level.state import (
    ENTERS_LOGGED, E_FUNCT, E_RS1, G_ALLOCATED, G_EXE_ACTIVE, G_EXE_FLUSH, G_EXE_Q_BLOCK, G_LOAD_ACTIVE,
    G_LOAD_DMA_WAIT, G_LOAD_PAD_WAIT, G_RDMA_ACTIVE, G_RDMA_BYTES, G_RDMA_LATENCY, G_STATION_ACTIVE, G_STORE_ACTIVE,
    G_STORE_DMA_WAIT, G_STORE_PAD_WAIT, G_STORE_POOLING, G_UNROLLER_ACTIVE, G_WDMA_ACTIVE, G_WDMA_BYTES,
    G_WDMA_LATENCY, N_ACC_READ, N_ACC_WRITE, N_SP_READ, N_SP_WRITE, O_PAGE_FROM, O_TRANSLATED, PAGES_LOGGED,
    P_ACC_PORTS, P_LATENCY, P_MEMORY_KIND, P_NORM_LANES, P_REQUEST, R_BEATS, R_BYTES, R_REQUESTS, SLOTS, STALLS,
    V_BEATS, V_BYTES, V_REQUESTS, X_BUSY, X_MACS,
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
"""Page registers, side by side."""
SHORTEST, LONGEST = 8, 24
"""Commands of a segment: it ends where a preload brings new weights, so that the segments of alike tiles are alike, and
soon, so that they are alike again behind what is not."""
MOST_SEGMENTS = BATCH_COMMANDS // SHORTEST + 2
"""Segments of a batch."""
_COMMAND_WORDS = 3
END, NUMBER, EARLIER, LATER, SEGMENT_SIZE = range(5)
"""Of a segment that is cut."""
A_STATE, A_SEGMENT, A_AFTER, A_CYCLES, A_LOG, A_LOGGED, A_ASKED, A_BEFORE, PAIR_SIZE = range(9)
"""A pair: what it is of, what followed, its cycles; what it asked of the page registers and did to them (place and
number in the log) and, behind that, how many questions it asked of dependence; and the pair of the same state and
segment, found before, that was answered otherwise (0: none)."""
WHAT_SIZE = 16
_STATES, _SEGMENTS, MOST_PAIRS, _TURNS = 1 << 14, 1 << 15, 1 << 14, 1 << 16
_STATE_WORDS, _SEGMENT_WORDS, _FOLD_WORDS, LOG_WORDS = 1 << 22, 1 << 21, 1 << 15, 1 << 22
"""What the tables hold before they are emptied: about 100 MiB in all with the view, taken up as they fill, however long
the stream."""

# What is known. `*_WORDS` holds the words of what is known, one after the other, number i from `*_AT` + i to the next;
# `*_TABLE` finds a number by hash (0 is free); TIMES counts how often a segment came behind another, by hash; then room
# to work in.
(
    STATES_HELD, SEGMENTS_HELD, PAIRS_HELD, SKIPPED_CYCLES, STATE, STARTED_AT, LOG_HELD, LAST_SEGMENT, BATCH_FROM,
    NOTED, TRIALS, SKIPPED_BEFORE, REST, NEXT_REST
) = range(14)  # fmt: skip
_PARTS = (
    16, _STATE_WORDS + _FOLD_WORDS, _STATES + 1, 2 * _STATES, _SEGMENT_WORDS, _SEGMENTS + 1, 2 * _SEGMENTS, _TURNS,
    PAIR_SIZE * MOST_PAIRS, COUNTERS.size * MOST_PAIRS, 2 * MOST_PAIRS,
    LOG_WORDS + 2 * PAGES_LOGGED + ENTERS_LOGGED * SLOTS, COUNTERS.size, REGISTERS, SLOTS, _FOLD_WORDS,
    _COMMAND_WORDS * LONGEST,
)  # fmt: skip
(
    _, STATE_WORDS, STATE_AT, STATE_TABLE, SEGMENT_WORDS, SEGMENT_AT, SEGMENT_TABLE, TIMES, PAIRS, RISES, PAIR_TABLE,
    LOG, BEFORE, KEPT, HOLDERS, FOLDED, SEGMENT, KNOWN_SIZE
) = np.cumsum([0, *_PARTS]).tolist()  # fmt: skip


@inlined
def mixed(value, word):  # type: ignore[no-untyped-def]
    """The hash `value` with a further word."""
    value = (value ^ word) * np.int64(-7046029254386353131)
    return value ^ ((value >> 29) & 0x7FFFFFFFF)


@compiled
def number_of(known, words, n, kept, at, table, size, held):  # type: ignore[no-untyped-def]
    """The number of the `n` words from `words` on, which become number `held` if they are not known, unless that is
    below 0."""
    # Two at a time, as each word would otherwise wait for the one before it.
    value, other = np.int64(n), np.int64(0)
    for i in range(words, words + n - 1, 2):
        value, other = mixed(value, known[i]), mixed(other, known[i + 1])
    value = mixed(mixed(value, other), known[words + n - 1])
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
    if held < 0:
        return np.int64(held)
    start = known[at + held]
    for i in range(n):
        known[kept + start + i] = known[words + i]
    known[at + held + 1], known[table + place] = start + n, held + 1
    return np.int64(held)


def may_repeat(m: npt.NDArray[np.int64]) -> bool:
    """Whether `fold` holds all of this machine's state: not that of a cache, of a memory shared with others, of a
    single-ported accumulator's queues or of a normaliser; nor is it taken where memory answers very late."""
    own = m[P_MEMORY_KIND] == OWN and m[P_ACC_PORTS] == 2 and m[P_NORM_LANES] == 0
    return bool(own and m[P_REQUEST] <= MOST_REQUEST_BYTES and m[P_LATENCY] <= MOST_LATENCY_CYCLES)


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
    for table, size in ((STATE_TABLE, 2 * _STATES), (SEGMENT_TABLE, 2 * _SEGMENTS), (PAIR_TABLE, 2 * MOST_PAIRS)):
        for i in range(table, table + size):
            known[i] = 0
    for i in range(TIMES, TIMES + _TURNS):
        known[i] = 0
    known[STATES_HELD] = known[SEGMENTS_HELD] = known[PAIRS_HELD] = known[LOG_HELD] = 0
    known[STATE] = -1


def renew(known: npt.NDArray[np.int64]) -> None:
    """Forget everything, of another machine too."""
    known[:STATE_WORDS] = 0
    _empty(known)


@compiled
def repeats(functs, rs1s, rs2s):  # type: ignore[no-untyped-def]
    """Whether what repeats in these commands can be told (`skipping.commands.is_plain`)."""
    return is_plain(pointer_to(functs), pointer_to(rs1s), pointer_to(rs2s), functs.size)


@compiled
def cut(machine, table, seen, functs, rs1s, rs2s, cuts):  # type: ignore[no-untyped-def]
    """Cut the next batch of commands into segments; returns how many.

    `cuts`, int64 (SEGMENT_SIZE * MOST_SEGMENTS,), takes of each its END, its NUMBER, and how often it came behind the
    one before it EARLIER and comes so LATER. Addresses in `rs1s` get the numbers of their commands.
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
        number = number_of(
            known, SEGMENT, n - SEGMENT, SEGMENT_WORDS, SEGMENT_AT, SEGMENT_TABLE, 2 * _SEGMENTS, known[SEGMENTS_HELD]
        )
        known[SEGMENTS_HELD] = number + 1 if number == known[SEGMENTS_HELD] else known[SEGMENTS_HELD]
        turn = mixed(mixed(np.int64(1), known[LAST_SEGMENT]), number) & (_TURNS - 1)
        known[LAST_SEGMENT] = number
        cut = SEGMENT_SIZE * count
        segments[cut + END], segments[cut + NUMBER] = end, number
        segments[cut + EARLIER], segments[cut + LATER] = known[TIMES + turn], turn
        known[TIMES + turn] += 1
        count += 1
        start = end
    for cut in range(0, SEGMENT_SIZE * count, SEGMENT_SIZE):
        segments[cut + LATER] = known[TIMES + segments[cut + LATER]] - segments[cut + EARLIER] - 1
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
    if full or 4 * known[PAIRS_HELD] > 3 * MOST_PAIRS or 4 * known[LOG_HELD] > 3 * LOG_WORDS:
        _empty(known)


@compiled
def note_state(m, t, known, view, keep):  # type: ignore[no-untyped-def]
    """Make STATE the number of the machine's state before cycle `t`, -1 if it cannot be told, or is not known and not
    to be kept."""
    held = known[STATES_HELD]
    keep = keep and held + 1 < _STATES and known[STATE_AT + held] <= _STATE_WORDS
    n = fold(m, t, known, FOLDED, view)
    known[STATE] = -1
    if n:
        place = held if keep else np.int64(-1)
        known[STATE] = number_of(known, FOLDED, n, STATE_WORDS, STATE_AT, STATE_TABLE, 2 * _STATES, place)
        known[STATES_HELD] = held + 1 if known[STATE] == held else held
