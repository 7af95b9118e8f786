"""Words of the machine's state as seen from a cycle, read out or written back by their kinds."""

from __future__ import annotations

import numpy as np

from simulator.cycle_level.compile import compiled, inlined, most
from simulator.skipping.commands import NAMES, REACH, meant_address, seen_address

# isort: off
from simulator.skipping.kinds import (
    ADDRESS, AGE, DUE, OLD, ROW1, SLOT, STAMP, WORD,
)  # fmt: skip
from simulator.cycle_level.state import (
    ENTRY, E_A_LOW, E_SIZE, K_SIZE, K_SLOT, NEVER, PAST, P_ACC_SCALE, P_BUS, P_DIM, P_GAP, P_PER_BEAT, P_READ_DELAY,
    P_REQUEST, P_SCALE_LATENCY, TRACKER,
)  # fmt: skip
# isort: on


@inlined
def reach(m):  # type: ignore[no-untyped-def]
    """Cycles after which a stamp can no longer delay anything computed from it: the longest chain of fixed delays of
    the front end, the row writer or the store pipeline."""
    beats = m[P_REQUEST] // m[P_BUS]
    fixed = 24 + m[P_DIM] + m[P_ACC_SCALE] + m[P_SCALE_LATENCY] + m[P_READ_DELAY]
    return fixed + 16 * m[P_GAP] + beats * m[P_PER_BEAT]


@inlined
def first_row(m, tracker):  # type: ignore[no-untyped-def]
    """First local row of the mvin that `tracker` follows."""
    return m[ENTRY + m[TRACKER + tracker * K_SIZE + K_SLOT] * E_SIZE + E_A_LOW]


@compiled
def seen(m, t, at, kind, view):  # type: ignore[no-untyped-def]
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
        return value - first_row(m, m[at + (1 << (kind - ROW1))])
    if kind == DUE:
        return most(value - t, 0) + 1 if value else np.int64(0)
    return np.int64(PAST) if value == PAST else most(value - t, -1)


@compiled
def meant(m, t, at, kind, value, view):  # type: ignore[no-untyped-def]
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
        return value + first_row(m, m[at + (1 << (kind - ROW1))])
    return value


@compiled
def walk(m, t, base, fields, o, n, out, view):  # type: ignore[no-untyped-def]
    """Read (`out`) or write the `fields` of the record at `base`; returns the next place in `o`."""
    for row in range(fields.shape[0]):
        at, kind = base + fields[row, 0], fields[row, 1]
        if out:
            o[n] = seen(m, t, at, kind, view)
        else:
            m[at] = meant(m, t, at, kind, o[n], view)
        n += 1
    return n


@compiled
def walk_ring(m, t, base, size, words, head, tail, fields, o, n, out, view):  # type: ignore[no-untyped-def]
    """The records between `head` and `tail` of a ring of `size`; its head stays where it is."""
    if out:
        o[n] = m[tail] - m[head]
    else:
        m[tail] = m[head] + o[n]
    n += 1
    for number in range(m[head], m[tail]):
        n = walk(m, t, base + number % size * words, fields, o, n, out, view)
    return n
