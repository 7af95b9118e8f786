"""What answers the DMA when it is more than a fixed latency: a shared bus, an inclusive L2 (rocket-chip's inclusive
cache: SinkA, Scheduler, MSHR, SourceD .scala) and one channel of DRAM (bank timing as in DRAMSim2).

Requests come in order of time, and each is answered at once with the cycle of its first beat: everything that decides
it lies in the past, but for the way back, where an answer takes the first gap long enough between those already under
way. Answers so come out of order, and the beats of one stay together.
"""

from __future__ import annotations

import numpy as np

from simulator.cycle_level.compile import compiled, least, most

# isort: off
from simulator.memory_state import (
    CACHED, M_ACTIVATE, M_BANKS, M_BANK_FREE, M_BEAT_CYCLES, M_BURST, M_BUS, M_BUS_FREE, M_DATA_SPANS, M_DIRTY,
    M_DRAM_BANKS, M_DRAM_EPOCH, M_DRAM_FREE, M_DRAM_OPENED, M_DRAM_ROW, M_FETCHED, M_FREE, M_HIT, M_HITS, M_KIND,
    M_LATENCY, M_LINE, M_LINE_PARTS, M_LINK_SPANS, M_MISSED, M_MISSES, M_MISS_DONE, M_MISS_LINE, M_PATH, M_PER_BEAT,
    M_PRECHARGE, M_RANDOM, M_READ, M_REFRESH, M_REFRESH_INTERVAL, M_ROW_CYCLE, M_ROW_HITS, M_ROW_LINES, M_ROW_MISSES,
    M_SAME, M_SETS, M_SET_FREE, M_SPANS, M_TAG, M_USE, M_USED, M_VICTIM, M_WAYS, M_WRITE_LINK_FREE, M_WRITTEN_BACK,
    MOST_SPANS, NOTHING, PARTS, PAST, SPANS_SIZE,
)  # fmt: skip
# isort: on


@compiled
def accept(memory, at_port, beats):  # type: ignore[no-untyped-def]
    """Cycle in which the bus takes the last of `beats` beats of a request that would come at `at_port`."""
    taken = most(at_port, memory[M_BUS_FREE] + beats - 1)
    if memory[M_KIND] == CACHED:
        # A miss may only begin when a miss unit is free, and those behind it cannot overtake it.
        oldest = memory[memory[M_MISS_DONE]]
        for unit in range(1, memory[M_MISSES]):
            oldest = least(oldest, memory[memory[M_MISS_DONE] + unit])
        taken = most(taken, oldest)
    memory[M_BUS_FREE] = taken + 1
    return taken


@compiled
def _reserve(memory, spans, now, earliest, length):  # type: ignore[no-untyped-def]
    """Start of the first gap of `length` from `earliest` on among the `spans` taken, which it joins; `now` is past."""
    count = memory[spans]
    gone = np.int64(0)
    while gone < count and memory[spans + 2 + 2 * gone] <= now:
        gone += 1
    if gone:
        count -= gone
        for word in range(1, 1 + 2 * count):
            memory[spans + word] = memory[spans + word + 2 * gone]
    position = np.int64(0)
    while position < count and memory[spans + 1 + 2 * position] < earliest + length:
        earliest = most(earliest, memory[spans + 2 + 2 * position])
        position += 1
    for word in range(2 * count, 2 * position, -1):
        memory[spans + 2 + word] = memory[spans + word]
    memory[spans + 1 + 2 * position], memory[spans + 2 + 2 * position] = earliest, earliest + length
    memory[spans] = count + 1
    return earliest


@compiled
def _dram(memory, line, now, at):  # type: ignore[no-untyped-def]
    """First cycle of the data bus for `line`, asked for in cycle `now`, with commands from cycle `at` on."""
    bank = line % memory[M_DRAM_BANKS]
    row = line // memory[M_DRAM_BANKS] // memory[M_ROW_LINES]
    epoch = np.int64(0)
    if memory[M_REFRESH_INTERVAL]:
        epoch = at // memory[M_REFRESH_INTERVAL]
        if epoch > 0:
            at = most(at, epoch * memory[M_REFRESH_INTERVAL] + memory[M_REFRESH])
    at = most(at, memory[memory[M_DRAM_FREE] + bank])
    open_row = memory[memory[M_DRAM_ROW] + bank]
    if memory[memory[M_DRAM_EPOCH] + bank] != epoch:
        open_row = np.int64(NOTHING)
    if open_row == row:
        memory[M_ROW_HITS] += 1
    else:
        memory[M_ROW_MISSES] += 1
        at += memory[M_PRECHARGE] if open_row != NOTHING else 0
        at = most(at, memory[memory[M_DRAM_OPENED] + bank] + memory[M_ROW_CYCLE])
        memory[memory[M_DRAM_OPENED] + bank] = at
        at += memory[M_ACTIVATE]
    data = _reserve(memory, memory[M_DATA_SPANS], now, at + memory[M_READ], memory[M_BURST])
    memory[memory[M_DRAM_ROW] + bank], memory[memory[M_DRAM_EPOCH] + bank] = row, epoch
    memory[memory[M_DRAM_FREE] + bank] = data - memory[M_READ] + memory[M_BURST]
    return data


@compiled
def _write_back(memory, line, now, at):  # type: ignore[no-untyped-def]
    """Send `line` to DRAM from cycle `at` on; returns the cycle in which its unit is free: all of it has left the cache
    and, where lines go out so much faster than a bank takes them that the channel's list is full, is in DRAM."""
    sent = most(at * PARTS, memory[M_WRITE_LINK_FREE])
    memory[M_WRITE_LINK_FREE] = sent + memory[M_LINE_PARTS]
    # What a unit does not hold yet adds to the list; every unit that is held has two lines in it at most.
    full = memory[memory[M_DATA_SPANS]] >= MOST_SPANS - 2 * memory[M_MISSES] - 1
    data = _dram(memory, line, now, (sent + PARTS - 1) // PARTS)
    memory[M_WRITTEN_BACK] += 1
    left = (memory[M_WRITE_LINK_FREE] + PARTS - 1) // PARTS
    return most(left, data + memory[M_BURST]) if full else left


@compiled
def _way_of(memory, first, tag):  # type: ignore[no-untyped-def]
    for way in range(memory[M_WAYS]):
        if memory[memory[M_TAG] + first + way] == tag:
            return np.int64(way)
    return np.int64(NOTHING)


@compiled
def _victim(memory, first):  # type: ignore[no-untyped-def]
    """The way to replace: by a shift register whatever the ways hold (Directory.scala), or the least recently used."""
    if memory[M_RANDOM]:
        return ((memory[M_VICTIM] & 1023) * memory[M_WAYS]) >> 10
    oldest = np.int64(0)
    for way in range(1, memory[M_WAYS]):
        if memory[memory[M_USED] + first + way] < memory[memory[M_USED] + first + oldest]:
            oldest = np.int64(way)
    return oldest


@compiled
def _fetch(memory, line, at):  # type: ignore[no-untyped-def]
    """Bring `line` from DRAM for a request in cycle `at`; returns the cycles of its first and last beat at the port."""
    data = _dram(memory, line, at, at + memory[M_HIT] + memory[M_PATH])
    first = _reserve(memory, memory[M_LINK_SPANS], at * PARTS, data * PARTS, memory[M_LINE_PARTS])
    memory[M_FETCHED] += 1
    return (first + PARTS - 1) // PARTS, (first + memory[M_LINE_PARTS] + PARTS - 1) // PARTS


@compiled
def _hold_unit(memory, line, done):  # type: ignore[no-untyped-def]
    """The miss unit that is free first holds `line` until cycle `done`."""
    unit = np.int64(0)
    for other in range(1, memory[M_MISSES]):
        if memory[memory[M_MISS_DONE] + other] < memory[memory[M_MISS_DONE] + unit]:
            unit = np.int64(other)
    memory[memory[M_MISS_LINE] + unit], memory[memory[M_MISS_DONE] + unit] = line, done


@compiled
def _in_flight(memory, line):  # type: ignore[no-untyped-def]
    """Cycle in which the last beat of `line` arrives, long ago if it is not under way."""
    for unit in range(memory[M_MISSES]):
        if memory[memory[M_MISS_LINE] + unit] == line:
            return memory[memory[M_MISS_DONE] + unit]
    return np.int64(PAST)


@compiled
def _look_up(memory, line, at, whole_write, dirty):  # type: ignore[no-untyped-def]
    """(cycle of the first beat of the answer, cycles a beat) for a request of `line` that its bank takes in `at`."""
    value = memory[M_VICTIM]
    bit = (value ^ (value >> 2) ^ (value >> 3) ^ (value >> 5)) & 1
    memory[M_VICTIM] = (value >> 1) | (bit << 15)
    first = line % memory[M_SETS] * memory[M_WAYS]
    way = _way_of(memory, first, line)
    answer, beat_cycles = at + memory[M_HIT], np.int64(1)
    if way != NOTHING:
        memory[M_HITS] += 1
        # A later request of a line under way waits in its unit's list until the line is there.
        answer = most(answer, _in_flight(memory, line))
    else:
        memory[M_MISSED] += 1
        way = _victim(memory, first)
        place = first + way
        done = np.int64(PAST)
        if memory[memory[M_DIRTY] + place]:
            done = _write_back(memory, memory[memory[M_TAG] + place], at, at + memory[M_HIT])
        if not whole_write:
            answer, last = _fetch(memory, line, at)
            beat_cycles, done = memory[M_BEAT_CYCLES], most(done, last)
        if done != PAST:
            _hold_unit(memory, line, done)
        memory[memory[M_TAG] + place], memory[memory[M_DIRTY] + place] = line, 0
    memory[M_USE] += 1
    memory[memory[M_USED] + first + way] = memory[M_USE]
    if dirty:
        memory[memory[M_DIRTY] + first + way] = 1
    return answer, beat_cycles


@compiled
def answer(memory, port, taken, address, size, is_write, whole):  # type: ignore[no-untyped-def]
    """(cycle of the first beat of the answer at the port, cycles a beat) of a request taken in cycle `taken`.

    `size` bytes at `address`, `whole` if a write covers a line.
    """
    beats = np.int64(1) if is_write else size // memory[M_BUS]
    if memory[M_KIND] != CACHED:
        first = most(taken + memory[M_LATENCY], memory[M_FREE])
        memory[M_FREE] = first + beats * memory[M_PER_BEAT]
        return first, memory[M_PER_BEAT]
    line = address // memory[M_LINE]
    bank = line % memory[M_BANKS]
    set_free = memory[M_SET_FREE] + line % memory[M_SETS]
    at = most(most(taken, memory[memory[M_BANK_FREE] + bank]), memory[set_free])
    memory[memory[M_BANK_FREE] + bank] = at + beats
    memory[set_free] = at + memory[M_SAME]
    ready, beat_cycles = _look_up(memory, line, at, whole, is_write)
    if is_write:
        beat_cycles = np.int64(1)
    way_back = memory[M_SPANS] + port * SPANS_SIZE
    first = _reserve(memory, way_back, taken, ready, (beats - 1) * beat_cycles + 1)
    return first, beat_cycles
