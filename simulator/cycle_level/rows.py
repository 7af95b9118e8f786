"""What comes back to the DMA: answers through the port's buffers, their beats merged into rows, rows written to banks
(DMA, BeatMerger, VectorScalarMultiplier, PixelRepeater, Scratchpad .scala).

The memory answers in the order of requests. Every beat passes a buffer of two that reader and writer share, a read's
beat one more of the reader's own; the merger holds one answer until its rows are passed on. Rows of inputs wait in the
scaler (an input register, three entries, the pixel repeater), rows of the accumulator's width in a register of their
own, until their bank is free. So a bank that stays busy holds up, row by row, the memory itself.

Cycles that depend only on what is known are computed at once (`_advance`); the rest happens in `write_row`.
"""

from __future__ import annotations

from simulator.cycle_level.accumulator import access_of, dma_write_waits, note_dma_write
from simulator.cycle_level.array_rows import interrupt_rows
from simulator.cycle_level.banks import bank_of, copy_key, executing_on
from simulator.cycle_level.compile import compiled, inlined, least, merged, most
from simulator.memory_state import CACHED

# isort: off
from simulator.cycle_level.state import (
    ACCUMULATOR_KEY, ACC_BANK_BIT, ACKS, A_LEFT, A_MERGED, A_MOVED, A_OWN, A_PASSED, A_PENDING, BEAT_MERGED, BEAT_MOVED,
    BEAT_OWN, BEAT_PORT, BEAT_RING, D_ACCUMULATE, D_BEATS, D_BLOCK, D_BYTES, D_NUMBER, D_OFFSET, D_PER_BEAT, D_PIXELS,
    D_READY, D_REPEATS, D_ROW, D_SCALED, D_SHIFT, D_SIZE, D_TRACKER, D_WIDE, G_RDMA_LATENCY, G_WDMA_LATENCY, IN_FLIGHT,
    K_LEFT, K_SEEN, K_SIZE, K_VALID, L_DONE_HEAD, NARROW, NEVER, N_ACC_WRITE, N_SP_WRITE, P_ACC_BYTES, P_ACC_PORTS,
    P_BUS, P_DIM, P_IN_BYTES, P_MEMORY_KIND, P_NARROW_CYCLES, P_NARROW_DEPTH, P_SCALE_LATENCY, P_SCALE_UNITS,
    P_WIDE_CYCLES, RESPONSE, RESPONSES, ROWS, R_ACTIVE, R_MEMORY_FREE, R_NEXT, TRACKER, V_LAST_ACK, V_W_BEATS, V_W_LEFT,
    V_W_NEXT, WIDE, WR_ACCUMULATE, WR_BYTES, WR_COPIES, WR_KEY, WR_LAST, WR_PIXELS, WR_READY, WR_REPEATS, WR_SIZE,
    WR_TRACKER, W_ACCUMULATES, W_ACC_BANK, W_ACC_TIME, W_BANK, W_BUSY, W_FREE, W_HEAD, W_HELD, W_LAST_TIME,
    W_MERGE_NEXT, W_NARROW_AT, W_NARROW_HEAD, W_NARROW_NEXT, W_NARROW_TAIL, W_NEXT, W_PORT, W_PORT_NEXT, W_REPEATED,
    W_SCALED, W_SCALED_FROM, W_SCALED_UNTIL, W_SENT, W_SHARED, W_TAIL, W_TIME, W_WIDE_HEAD, W_WIDE_NEXT, W_WIDE_TAIL,
)  # fmt: skip
# isort: on


BLOCKS_READS = 2
SHARED_ENTRIES = 2
OWN_ENTRIES = 2
ENTRIES = 3


@inlined
def _record(number):  # type: ignore[no-untyped-def]
    return RESPONSE + number % RESPONSES * D_SIZE


@merged
def _pass_port(m, t):  # type: ignore[no-untyped-def]
    """The next beat or acknowledgement leaves the memory; False if there is none or its cycle is not known yet."""
    if m[W_PORT] == m[W_TAIL] or m[A_PASSED] - m[A_MOVED] == SHARED_ENTRIES:
        return False
    d = _record(m[W_PORT])
    if m[P_MEMORY_KIND] == CACHED and m[d + D_READY] > t:
        # A later request may still be answered before this one.
        m[W_PORT_NEXT] = m[d + D_READY]
        return False
    time = most(m[R_MEMORY_FREE], m[d + D_READY])
    time = most(time, m[BEAT_MOVED + (m[A_PASSED] - SHARED_ENTRIES) % BEAT_RING] + 1)
    m[R_MEMORY_FREE] = time + m[d + D_PER_BEAT]
    m[BEAT_PORT + m[A_PASSED] % BEAT_RING] = time
    m[A_PASSED] += 1
    m[A_LEFT] += 1
    if m[A_LEFT] >= m[d + D_BEATS]:
        m[W_PORT] += 1
        m[A_LEFT] = 0
    return True


@compiled
def _acknowledge(m, d, time):  # type: ignore[no-untyped-def]
    """The writer has the acknowledgement of packet `d` in cycle `time`."""
    m[ACKS + m[d + D_NUMBER]] = time
    m[V_LAST_ACK] = time
    m[G_WDMA_LATENCY] += time
    if m[V_W_LEFT] + m[V_W_BEATS] > 0:
        m[V_W_NEXT] = least(m[V_W_NEXT], time + 1)


@merged
def _move_on(m):  # type: ignore[no-untyped-def]
    """The head of the shared buffer goes to the reader's own, or to the writer; False if that is not known yet."""
    if m[A_MOVED] == m[A_PASSED]:
        return False
    d = _record(m[W_SHARED])
    time = most(m[BEAT_PORT + m[A_MOVED] % BEAT_RING], m[BEAT_MOVED + (m[A_MOVED] - 1) % BEAT_RING]) + 1
    if m[d + D_BEATS] == 0:
        _acknowledge(m, d, time + 1)
    else:
        if m[A_OWN] - m[A_MERGED] == OWN_ENTRIES:
            return False
        time = most(time, m[BEAT_MERGED + (m[A_OWN] - OWN_ENTRIES) % BEAT_RING] + 1)
        m[BEAT_OWN + m[A_OWN] % BEAT_RING] = time
        m[A_OWN] += 1
    m[BEAT_MOVED + m[A_MOVED] % BEAT_RING] = time
    m[A_MOVED] += 1
    m[A_PENDING] += 1
    if m[A_PENDING] >= m[d + D_BEATS]:
        m[W_SHARED] += 1
        m[A_PENDING] = 0
        _pass_acknowledgements(m)
    return True


@merged
def _pass_acknowledgements(m):  # type: ignore[no-untyped-def]
    """An idle merger's place among the answers moves past those of writes as they leave the shared buffer: a long run
    of them would otherwise overwrite, in the ring of answers, what it looks at next."""
    while m[W_BUSY] == 0 and m[W_HEAD] < m[W_SHARED] and m[_record(m[W_HEAD]) + D_BEATS] == 0:
        m[W_HEAD] += 1


@merged
def _merge(m):  # type: ignore[no-untyped-def]
    """The merger takes the next beat; False if it is not there or the merger's next free cycle is not known yet."""
    if m[A_MERGED] == m[A_OWN]:
        return False
    time = most(m[BEAT_OWN + m[A_MERGED] % BEAT_RING], m[BEAT_MERGED + (m[A_MERGED] - 1) % BEAT_RING]) + 1
    if m[W_BUSY] == 0:
        if m[W_FREE] >= NEVER:
            return False
        while m[_record(m[W_HEAD]) + D_BEATS] == 0:
            m[W_HEAD] += 1
        time = most(time, m[W_FREE])
        m[W_BUSY], m[W_SENT], m[W_FREE] = m[_record(m[W_HEAD]) + D_BEATS], 0, NEVER
    elif m[W_BUSY] < 0:
        return False
    m[BEAT_MERGED + m[A_MERGED] % BEAT_RING] = time
    m[A_MERGED] += 1
    m[W_BUSY] -= 1
    if m[W_BUSY] == 0:
        m[W_BUSY] = -1
        d = _record(m[W_HEAD])
        m[IN_FLIGHT + m[d + D_NUMBER]] = time + 1
        m[G_RDMA_LATENCY] += time
        if m[R_ACTIVE]:
            m[R_NEXT] = least(m[R_NEXT], time + 1)
        _schedule_row(m)
    return True


@compiled
def _advance(m, t):  # type: ignore[no-untyped-def]
    """Determine every cycle of a beat's way that no longer depends on what comes after cycle `t`."""
    m[W_PORT_NEXT] = NEVER
    moved = True
    while moved:
        moved = _merge(m)
        moved = _move_on(m) or moved
        moved = _pass_port(m, t) or moved


@compiled
def _overtake(m):  # type: ignore[no-untyped-def]
    """The youngest answer passes those that come later; one that has begun to pass the port is never among them."""
    position = m[W_TAIL] - 1
    begun = m[W_PORT] + (1 if m[A_LEFT] > 0 else 0)
    while position > begun:
        here, before = _record(position), _record(position - 1)
        if m[before + D_READY] <= m[here + D_READY]:
            return
        for field in range(D_SIZE):
            m[here + field], m[before + field] = m[before + field], m[here + field]
        position -= 1


@compiled
def answered(m, t):  # type: ignore[no-untyped-def]
    """In cycle `t` an answer has been put behind the others (record W_TAIL)."""
    m[W_TAIL] += 1
    if m[P_MEMORY_KIND] == CACHED:
        _overtake(m)
    _advance(m, t)
    _schedule(m)


@inlined
def _schedule(m):  # type: ignore[no-untyped-def]
    m[W_NEXT] = least(least(m[W_NARROW_NEXT], m[W_WIDE_NEXT]), least(m[W_MERGE_NEXT], m[W_PORT_NEXT]))


@merged
def _row_bytes(m, d):  # type: ignore[no-untyped-def]
    return m[P_DIM] * (m[P_ACC_BYTES] if m[d + D_WIDE] else m[P_IN_BYTES])


@merged
def _schedule_row(m):  # type: ignore[no-untyped-def]
    """Cycle in which the merger has the next row of its answer: the one after the beat that completes it."""
    d = _record(m[W_HEAD])
    needed = least(m[W_SENT] + _row_bytes(m, d), m[d + D_BYTES])
    beat = m[A_MERGED] - m[d + D_BEATS] + (m[d + D_SHIFT] + needed - 1) // m[P_BUS]
    m[W_MERGE_NEXT] = m[BEAT_MERGED + beat % BEAT_RING] + 1


@merged
def _scaler_ready(m, t):  # type: ignore[no-untyped-def]
    """Whether the scaler's input register can take a row in cycle `t`.

    A row stays in it until its last repeat has an entry; entries and repeater hold four that are not written yet.
    """
    held = m[W_HELD] + (1 if m[W_NARROW_AT] == t else 0)
    return held < m[P_NARROW_DEPTH] and m[W_REPEATED] <= t


@compiled
def _scaled(m, t):  # type: ignore[no-untyped-def]
    """Cycle in which a row that needs scaling, in the input register from cycle `t` on, can be written.

    Three entries share the units, whose arbiters go around all of their lanes: a row alone takes its own lanes and the
    units' pipeline, and of rows behind each other three end together, before the next three begin.
    """
    lanes = (m[P_DIM] + m[P_SCALE_UNITS] - 1) // m[P_SCALE_UNITS]
    alone = t + 4 + lanes + m[P_SCALE_LATENCY]
    if m[W_SCALED] == 0 or alone > m[W_SCALED_UNTIL]:
        m[W_SCALED], m[W_SCALED_FROM] = 0, alone
    elif m[W_SCALED] == ENTRIES:
        m[W_SCALED], m[W_SCALED_FROM] = 0, most(m[W_SCALED_FROM] + ENTRIES * (lanes + 1) + m[P_SCALE_LATENCY], alone)
    ready = most(m[W_SCALED_FROM] + m[W_SCALED] * (lanes + 1), alone)
    m[W_SCALED] += 1
    m[W_SCALED_UNTIL] = ready + lanes - 1
    return ready


@merged
def _hand_over(m, t):  # type: ignore[no-untyped-def]
    """Pass the merger's next row on in cycle `t`; False if its scaler has no room."""
    d = _record(m[W_HEAD])
    wide = m[d + D_WIDE]
    if not wide and not _scaler_ready(m, t):
        return False
    if wide and m[W_WIDE_TAIL] - m[W_WIDE_HEAD] >= m[P_WIDE_CYCLES]:
        return False
    row_bytes = _row_bytes(m, d)
    sent = least(m[W_SENT] + row_bytes - (m[d + D_OFFSET] if m[W_SENT] == 0 else 0), m[d + D_BYTES])
    last = sent == m[d + D_BYTES]
    j = ROWS + (NARROW + m[W_WIDE_TAIL] % WIDE if wide else m[W_NARROW_TAIL] % NARROW) * WR_SIZE
    m[j + WR_KEY] = m[d + D_ROW] + m[d + D_BLOCK] * ((m[d + D_OFFSET] + m[W_SENT]) // row_bytes)
    m[j + WR_TRACKER], m[j + WR_REPEATS], m[j + WR_ACCUMULATE] = m[d + D_TRACKER], m[d + D_REPEATS], m[d + D_ACCUMULATE]
    m[j + WR_LAST], m[j + WR_BYTES] = (m[d + D_BYTES] if last else 0), sent - m[W_SENT]
    # Into the input register; with the input scaler, also its entry and the pixel repeater.
    m[j + WR_PIXELS] = m[j + WR_COPIES] = m[d + D_PIXELS]
    m[j + WR_READY] = t + (m[P_WIDE_CYCLES] if wide else m[P_NARROW_CYCLES])
    if m[d + D_SCALED]:
        m[j + WR_READY] = _scaled(m, t)
    if wide:
        if m[W_WIDE_HEAD] == m[W_WIDE_TAIL]:
            m[W_WIDE_NEXT] = m[j + WR_READY]
        m[W_WIDE_TAIL] += 1
    else:
        if m[W_NARROW_HEAD] == m[W_NARROW_TAIL]:
            m[W_NARROW_NEXT] = most(m[j + WR_READY], t + 1)
        m[W_NARROW_TAIL] += 1
        m[W_REPEATED] = t + 1 + m[d + D_REPEATS]
        m[W_HELD] += 1 + m[d + D_REPEATS]
    m[W_SENT] = sent
    return True


@merged
def _release_merger(m, t):  # type: ignore[no-untyped-def]
    """The last row of the merger's answer left in cycle `t`: when it takes the next one.

    At once if every beat has been read; a beat without useful bytes still has to come, and if it came in this very
    cycle the merger notices one cycle later (BeatMerger.scala, the three places that pop the request).
    """
    read = m[BEAT_MERGED + (m[A_MERGED] - 1) % BEAT_RING]
    m[W_FREE] = t if t > read else read + (2 if t == read else 1)
    m[W_BUSY], m[W_MERGE_NEXT] = 0, NEVER
    m[W_HEAD] += 1
    _advance(m, t)


@compiled
def credit(m, t, tracker, count):  # type: ignore[no-untyped-def]
    """Bytes of a mvin have been written in cycle `t`."""
    m[TRACKER + tracker * K_SIZE + K_LEFT] -= count
    if m[TRACKER + tracker * K_SIZE + K_LEFT] == 0:
        m[TRACKER + tracker * K_SIZE + K_VALID], m[TRACKER + tracker * K_SIZE + K_SEEN] = 2, t + 1
        m[L_DONE_HEAD] = least(m[L_DONE_HEAD], t + 1) if m[L_DONE_HEAD] else t + 1


@compiled
def may_write_accumulator(m, t, bank, key, accumulates):  # type: ignore[no-untyped-def]
    """Whether the DMA can write an accumulator row in cycle `t`; then that is noted."""
    if m[P_ACC_PORTS] == 1 or accumulates:
        access = access_of(m, key, accumulates)
        waits = dma_write_waits(m, t, access)
        if waits:
            if waits == BLOCKS_READS:
                m[W_ACC_BANK], m[W_ACC_TIME], m[W_ACCUMULATES] = bank, t, 1
            return False
        note_dma_write(m, t, access)
    return True


@merged
def _written(m, t, j, bank):  # type: ignore[no-untyped-def]
    """Row `j`, or a repeat of it or of its pixels, is written in cycle `t`; returns whether that was the last."""
    if bank >= ACC_BANK_BIT:
        m[W_ACC_BANK], m[W_ACC_TIME], m[W_ACCUMULATES] = bank, t, m[j + WR_ACCUMULATE]
        m[N_ACC_WRITE] += m[j + WR_BYTES]
    else:
        interrupt_rows(m, t, bank)
        m[W_BANK], m[W_TIME] = bank, t
        m[N_SP_WRITE] += m[j + WR_BYTES]
    if m[j + WR_COPIES] > 0:
        m[j + WR_COPIES] -= 1
        return False
    m[j + WR_COPIES] = m[j + WR_PIXELS]
    if m[j + WR_REPEATS] > 0:
        m[j + WR_REPEATS] -= 1
        return False
    if m[j + WR_LAST]:
        credit(m, t, m[j + WR_TRACKER], m[j + WR_LAST])
    return True


@merged
def _write_narrow(m, t):  # type: ignore[no-untyped-def]
    j = ROWS + m[W_NARROW_HEAD] % NARROW * WR_SIZE
    key = copy_key(m, m[j + WR_KEY] + m[j + WR_REPEATS], m[j + WR_COPIES])
    m[W_NARROW_NEXT] = t + 1
    if key < 0:
        m[j + WR_COPIES] -= 1
        return
    bank = bank_of(m, key)
    if m[j + WR_LAST] and m[j + WR_REPEATS] + m[j + WR_COPIES] == 0:
        m[W_LAST_TIME] = t
    if executing_on(m, t, bank):
        return
    if bank >= ACC_BANK_BIT and not may_write_accumulator(m, t, bank, key, m[j + WR_ACCUMULATE]):
        return
    if m[j + WR_COPIES] == 0:
        m[W_NARROW_AT] = t
        m[W_HELD] -= 1
    if _written(m, t, j, bank):
        m[W_NARROW_HEAD] += 1
        if m[W_NARROW_HEAD] == m[W_NARROW_TAIL]:
            m[W_NARROW_NEXT] = NEVER
        else:
            m[W_NARROW_NEXT] = most(t + 1, m[ROWS + m[W_NARROW_HEAD] % NARROW * WR_SIZE + WR_READY])


@merged
def _write_wide(m, t, narrow_waits):  # type: ignore[no-untyped-def]
    """Write the accumulator-wide row; the input scaler's rows go first to the accumulator, and when it reports."""
    j = ROWS + (NARROW + m[W_WIDE_HEAD] % WIDE) * WR_SIZE
    key = m[j + WR_KEY] + m[j + WR_REPEATS]
    bank = bank_of(m, key)
    m[W_WIDE_NEXT] = t + 1
    if m[j + WR_LAST] and m[j + WR_REPEATS] == 0:
        m[W_LAST_TIME] = t
    if narrow_waits or executing_on(m, t, bank):
        return
    if not may_write_accumulator(m, t, bank, key, m[j + WR_ACCUMULATE]):
        return
    if _written(m, t, j, bank):
        m[W_WIDE_HEAD] += 1
        m[W_WIDE_NEXT] = NEVER
        if m[W_WIDE_HEAD] != m[W_WIDE_TAIL]:
            m[W_WIDE_NEXT] = most(t + 1, m[ROWS + (NARROW + m[W_WIDE_HEAD] % WIDE) * WR_SIZE + WR_READY])


@compiled
def write_row(m, t):  # type: ignore[no-untyped-def]
    """One cycle of the rows' way: write what waits where its bank is free, then let the merger pass a row on."""
    if m[W_PORT_NEXT] <= t:
        _advance(m, t)
    narrow_waits = False
    if m[W_NARROW_NEXT] <= t:
        j = ROWS + m[W_NARROW_HEAD] % NARROW * WR_SIZE
        narrow_waits = m[j + WR_KEY] >= ACCUMULATOR_KEY or (
            m[j + WR_LAST] > 0 and m[j + WR_REPEATS] + m[j + WR_COPIES] == 0
        )
        _write_narrow(m, t)
    if m[W_WIDE_NEXT] <= t:
        _write_wide(m, t, narrow_waits)
    if m[W_MERGE_NEXT] <= t:
        d = _record(m[W_HEAD])
        if not _hand_over(m, t):
            m[W_MERGE_NEXT] = t + 1
        elif m[W_SENT] == m[d + D_BYTES]:
            _release_merger(m, t)
        else:
            _schedule_row(m)
            m[W_MERGE_NEXT] = most(m[W_MERGE_NEXT], t + 1)
    _schedule(m)
