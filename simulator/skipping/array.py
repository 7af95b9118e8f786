"""Execute controller, mesh and store path, as part of the state seen from a cycle."""

from __future__ import annotations

import numpy as np

from simulator.cycle_level.compile import compiled, least, most
from simulator.cycle_level.decide import take_operands
from simulator.skipping.front import fill_first, walk_commands
from simulator.skipping.walk import walk, walk_ring

# isort: off
from simulator.skipping.kinds import (
    CAUSE, ITEM_ON_ITS_WAY, ITEM_PASSED, LEFT_MESH, ONE_STAMP, OPERATING, SENDING_PACKETS, STORE_UNDER_WAY, STORING,
    TAG,
)  # fmt: skip
from simulator.cycle_level.state import (
    ACKS, COMMANDS, COMPUTING, DMA_WRITE, DMA_WRITE_TIME, ENTRY, E_A_LOW, E_SIZE, ITEM, ITEMS, I_ACCEPT, I_BANK,
    I_NORM, I_READ, I_SCALE, I_SIZE, LEFT, MESH_DONE, O_SIZE, PAST, P_ACC_LATENCY, P_DIM, P_IN_FLIGHT, P_MESH_DELAY,
    P_READ_DELAY, P_TAGS, QUEUE_RING, ROW_SHIFT, STORES, STORE_QUEUE, STORE_RING, TAGS, TAG_RING, T_KEY, T_LEFT,
    T_MATCH, T_SIZE, T_SLOT, UNROLLER, V_CLOSED, V_FIRED, V_HEAD, V_HELD_BANK, V_HELD_BEHIND, V_ISSUED, V_NORMED,
    V_OPENED, V_PACKETS, V_READ, V_SCALED, V_SENT, V_STATE, V_TAIL, V_TAKEN, V_W_LEFT, WAITING, WRITE_BANK, WRITE_RING,
    WRITE_TIME, X_CQ_HEAD, X_CQ_TAIL, X_DONE_HEAD, X_DONE_TAIL, X_ENTRIES, X_LAST_OUT, X_OP, X_OPS, X_STATE,
    X_TAG_HEAD, X_TAG_TAIL, X_UQ_HEAD, X_UQ_TAIL,
)  # fmt: skip
# isort: on

_LOOK_BACK_ITEMS = 12
_SOME_ROW = 1 << (ROW_SHIFT + 30)
"""Stands for the row of a result: nobody compares it unless a row is accumulated on its way in."""


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
            n = walk(m, t, tag, TAG, o, n + 2, out, view)
            if not out:
                m[tag + T_KEY] = m[ENTRY + m[tag + T_SLOT] * E_SIZE + E_A_LOW] if m[tag + T_SLOT] >= 0 else -1
    return n


@compiled
def walk_execute(m, t, o, n, out, view):  # type: ignore[no-untyped-def]
    """Operation, commands, control queue, results under way and the rows that are written."""
    if m[X_STATE] == COMPUTING:
        n = walk(m, t, 0, OPERATING, o, n, out, view)
    if m[X_STATE] != WAITING:
        n = walk(m, t, 0, CAUSE, o, n, out, view)
    n = walk_commands(m, t, UNROLLER, 4, X_UQ_HEAD, X_UQ_TAIL, o, n, out, view)
    n = walk_commands(m, t, COMMANDS, QUEUE_RING, X_CQ_HEAD, X_CQ_TAIL, o, n, out, view)
    fill_first(m, out, view)
    if not out and m[X_STATE] == COMPUTING:
        take_operands(m, m[X_OP], m[X_CQ_HEAD])
    n = walk_ring(m, t, MESH_DONE, TAG_RING, 2, X_DONE_HEAD, X_DONE_TAIL, LEFT_MESH, o, n, out, view)
    for number in range(m[X_ENTRIES] - m[P_READ_DELAY], m[X_ENTRIES]):
        n = walk(m, t, LEFT + number % 64, ONE_STAMP, o, n, out, view)
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
            n = walk(m, t, item, ITEM_ON_ITS_WAY, o, n, out, view)
            continue
        if out:
            o[n] = 1 if m[item + I_ACCEPT] >= t else 0
        n += 1
        if o[n - 1]:
            n = walk(m, t, item, ITEM_PASSED, o, n, out, view)
        elif not out:
            m[item + I_BANK], m[item + I_READ], m[item + I_NORM] = -1, PAST, PAST
            m[item + I_SCALE], m[item + I_ACCEPT] = PAST, PAST
    return n


@compiled
def walk_store(m, t, o, n, out, view):  # type: ignore[no-untyped-def]
    """Store controller, items on their way out, the writer."""
    n = walk_commands(m, t, STORE_QUEUE, QUEUE_RING, V_HEAD, V_TAIL, o, n, out, view)
    if m[V_STATE]:
        n = walk(m, t, 0, STORING, o, n, out, view)
    n = walk_ring(m, t, STORES, STORE_RING, O_SIZE, V_CLOSED, V_OPENED, STORE_UNDER_WAY, o, n, out, view)
    if out:
        o[n] = m[V_READ] - m[V_CLOSED]
    else:
        m[V_READ] = m[V_CLOSED] + o[n]
    n += 1
    if m[V_W_LEFT]:
        n = walk(m, t, 0, SENDING_PACKETS, o, n, out, view)
    n = _walk_items(m, t, o, n, out, view)
    for number in range(m[P_IN_FLIGHT]):
        at = ACKS + (m[V_PACKETS] + number) % m[P_IN_FLIGHT]
        n = walk(m, t, at, ONE_STAMP, o, n, out, view)
    return n
