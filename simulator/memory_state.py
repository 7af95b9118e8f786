"""The state of what lies behind the DMA: one flat int64 array, every slot of it named here. No behaviour.

Apart from a machine's own state (`cycle_level.state`), because several machines may share one memory. Cycles are the
machines': 0 is the cycle in which they accept their first commands.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from simulator.accelerator import Memory

OWN, SHARED, CACHED = range(3)
"""Kinds: fixed latency, with its state in the machine's own; the same for several machines; cache and DRAM."""
PARTS = 1024
"""Parts of a cycle that the links between cache and DRAM keep time in."""
NOTHING = -1
PAST = -(1 << 40)
RANDOM_START = 0xACE1
"""Where the replacement's shift register stands: anywhere but at zero, for it has run since the machine was reset."""
MOST_SPANS = 512
"""Most answers on their way to one port, reads and writes in flight of the largest machine the engine holds; and most
lines on their way between cache and DRAM, in and out of the most miss units."""
SPANS_SIZE = 1 + 2 * MOST_SPANS
"""What takes a link or bus from now on: how many, then (start, end) of each in order of time."""

# Parameters.
(
    M_KIND, M_LATENCY, M_PER_BEAT, M_BUS, M_LINE, M_SETS, M_WAYS, M_BANKS, M_HIT, M_MISSES, M_SAME, M_RANDOM, M_PATH,
    M_DRAM_BANKS, M_ROW_LINES, M_ACTIVATE, M_PRECHARGE, M_READ, M_BURST, M_ROW_CYCLE, M_LINE_PARTS, M_BEAT_CYCLES,
    M_REFRESH_INTERVAL, M_REFRESH
) = range(24)  # fmt: skip

# State: the bus, the memory of fixed latency, replacement, the link to DRAM.
M_BUS_FREE, M_FREE, M_VICTIM, M_USE, M_WRITE_LINK_FREE = range(32, 37)

# Counters: requests whose line was there or was not, lines written back, DRAM accesses by whether the row was open.
M_HITS, M_MISSED, M_WRITTEN_BACK, M_ROW_HITS, M_ROW_MISSES, M_FETCHED = range(40, 46)

# Where each table begins.
(
    M_BANK_FREE, M_TAG, M_DIRTY, M_USED, M_SET_FREE, M_MISS_LINE, M_MISS_DONE, M_DRAM_ROW, M_DRAM_FREE, M_DRAM_OPENED,
    M_DRAM_EPOCH, M_DATA_SPANS, M_LINK_SPANS, M_SPANS
) = range(48, 62)  # fmt: skip
_HEADER = 64


def _tables(memory: Memory, ports: int) -> tuple[tuple[int, int, int], ...]:
    """(slot that holds its start, words, initial value) of every table."""
    cache, dram = memory.cache, memory.dram
    if cache is None or dram is None:
        return ()
    lines = cache.capacity_bytes // cache.line_bytes
    return (
        (M_BANK_FREE, cache.banks, PAST),
        (M_TAG, lines, NOTHING),
        (M_DIRTY, lines, 0),
        (M_USED, lines, 0),
        (M_SET_FREE, lines // cache.ways, PAST),
        (M_MISS_LINE, cache.misses_in_flight, NOTHING),
        (M_MISS_DONE, cache.misses_in_flight, PAST),
        (M_DRAM_ROW, dram.banks, NOTHING),
        (M_DRAM_FREE, dram.banks, PAST),
        (M_DRAM_OPENED, dram.banks, PAST),
        (M_DRAM_EPOCH, dram.banks, 0),
        (M_DATA_SPANS, SPANS_SIZE, 0),
        (M_LINK_SPANS, SPANS_SIZE, 0),
        (M_SPANS, ports * SPANS_SIZE, 0),
    )


def _parameters(memory: Memory, bus_bytes: int, ports: int) -> dict[int, int]:
    cache, dram = memory.cache, memory.dram
    fixed = {M_LATENCY: memory.latency_cycles, M_PER_BEAT: memory.cycles_per_beat, M_BUS: bus_bytes}
    if cache is None or dram is None:
        return fixed | {M_KIND: SHARED if ports > 1 else OWN}
    return fixed | {
        M_KIND: CACHED,
        M_LINE: cache.line_bytes,
        M_SETS: cache.capacity_bytes // cache.line_bytes // cache.ways,
        M_WAYS: cache.ways,
        M_BANKS: cache.banks,
        M_HIT: cache.hit_latency_cycles,
        M_MISSES: cache.misses_in_flight,
        M_SAME: cache.same_line_cycles,
        M_RANDOM: int(cache.replacement == "random"),
        M_PATH: dram.path_cycles,
        M_DRAM_BANKS: dram.banks,
        M_ROW_LINES: dram.row_bytes // cache.line_bytes,
        M_ACTIVATE: dram.activate_cycles,
        M_PRECHARGE: dram.precharge_cycles,
        M_READ: dram.read_cycles,
        M_BURST: dram.burst_cycles,
        M_ROW_CYCLE: dram.row_cycle_cycles,
        M_LINE_PARTS: round(PARTS * cache.line_bytes / dram.link_bytes_per_cycle),
        M_BEAT_CYCLES: max(1, round(bus_bytes / dram.link_bytes_per_cycle)),
        M_REFRESH_INTERVAL: dram.refresh_interval_cycles,
        M_REFRESH: dram.refresh_cycles,
    }


def new_memory(memory: Memory, bus_bytes: int, *, ports: int = 1) -> npt.NDArray[np.int64]:
    """`memory` behind `ports` machines with buses of `bus_bytes`: nothing in flight, an empty cache; int64 (n,)."""
    tables = _tables(memory, ports)
    starts = np.cumsum([_HEADER, *(words for _, words, _ in tables)]).tolist()
    state = np.zeros(starts[-1], np.int64)
    for slot, value in _parameters(memory, bus_bytes, ports).items():
        state[slot] = value
    for (slot, _, initial), (start, end) in zip(tables, pairwise(starts), strict=True):
        state[slot] = start
        state[start:end] = initial
    state[[M_BUS_FREE, M_FREE, M_WRITE_LINK_FREE]] = PAST
    state[M_VICTIM] = RANDOM_START
    return state


def later_run(memory: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """What a further run finds: the same lines in the cache (dirty ones dirty), nothing in flight, clocks at rest."""
    state = memory.copy()
    state[[M_BUS_FREE, M_FREE, M_WRITE_LINK_FREE]] = PAST
    state[M_HITS : M_FETCHED + 1] = 0
    if state[M_KIND] == CACHED:
        for first, end in ((M_BANK_FREE, M_TAG), (M_SET_FREE, M_MISS_LINE), (M_MISS_DONE, M_DRAM_ROW)):
            state[state[first] : state[end]] = PAST
        state[state[M_DRAM_FREE] : state[M_DRAM_EPOCH]] = PAST
        state[state[M_MISS_LINE] : state[M_MISS_DONE]] = NOTHING
        state[state[M_DRAM_EPOCH] :] = 0
    return state
