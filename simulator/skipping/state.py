"""The machine's state as seen from the present cycle: all that decides how it goes on, and nothing else.

Two machines with equal folded states do the same from here on, cycle for cycle, when they are given the same commands.
So the present cycle, command numbers, positions in rings and numbers of entries do not appear in it: cycle stamps are
relative and those long past are alike, entries are numbered by age, memory addresses count modulo a DMA request. One
walk reads the state out (`fold`) and writes it back (`unfold`), so that neither can forget what the other holds.

`skipping.kinds` says how each word is seen.
"""

from __future__ import annotations

import numpy as np

from simulator.cycle_level.compile import compiled
from simulator.skipping.array import walk_execute, walk_store
from simulator.skipping.commands import EXACT, NUMBERS, REACH
from simulator.skipping.front import fold_station, unfold_station, walk_front
from simulator.skipping.memory import walk_answers, walk_load, walk_merger, walk_numbers, walk_port, walk_reader
from simulator.skipping.walk import reach, walk

# isort: off
from simulator.skipping.kinds import (
    ALWAYS,
)  # fmt: skip
from simulator.cycle_level.state import (
    L_POPPED, O_READ_BLOCKED, O_WRITE_BLOCKED, PAST, V_POPPED, W_ACC_TIME, W_LAST_TIME, W_NARROW_AT, W_TIME, X_FIRED,
    X_READ_TIME,
)  # fmt: skip
# isort: on


@compiled
def _walk_units(m, t, o, n, out, view):  # type: ignore[no-untyped-def]
    n = walk_load(m, t, o, n, out, view)
    n = walk_reader(m, t, o, n, out, view)
    n = walk_answers(m, t, o, n, out, view)
    n = walk_merger(m, t, o, n, out, view)
    n = walk_port(m, t, o, n, out, view)
    n = walk_numbers(m, t, o, n, out, view)
    n = walk_execute(m, t, o, n, out, view)
    return walk_store(m, t, o, n, out, view)


@compiled
def fold(m, t, o, first, view):  # type: ignore[no-untyped-def]
    """Write the state before cycle `t` is visited into `o`, int64; returns its words, 0 if it cannot be told exactly.

    `view` (`skipping.commands`) holds the commands up to the last one read. Nothing of a loop command may be under
    way.
    """
    view[REACH], view[EXACT] = reach(m), 1
    # A value that is not known to the compiler: one body of every walk serves both ways.
    out = view[EXACT] == 1
    n = fold_station(m, t, o, first, view)
    if n == first:
        return np.int64(0)
    n = walk(m, t, 0, ALWAYS, o, n, out, view)
    n = walk_front(m, t, o, n, out, view)
    n = _walk_units(m, t, o, n, out, view)
    return n - first if view[EXACT] else np.int64(0)


@compiled
def unfold(m, t, o, first, view):  # type: ignore[no-untyped-def]
    """Put the state `o` into the machine, which has read F_READ commands, as of before cycle `t`.

    `view` holds those commands.
    """
    view[NUMBERS] = 0
    out = view[NUMBERS] != 0
    n = unfold_station(m, t, o, first, view)
    n = walk(m, t, 0, ALWAYS, o, n, out, view)
    n = walk_front(m, t, o, n, out, view)
    _walk_units(m, t, o, n, out, view)
    # Stamps that only tell whether something happened in the cycle being visited.
    m[X_READ_TIME], m[X_FIRED], m[L_POPPED], m[V_POPPED] = PAST, PAST, PAST, PAST
    m[W_TIME], m[W_ACC_TIME], m[W_LAST_TIME], m[W_NARROW_AT] = PAST, PAST, PAST, PAST
    m[O_READ_BLOCKED], m[O_WRITE_BLOCKED] = PAST, PAST
