"""Watches the engine cycle by cycle and logs what a person wants to see: commands in their units, stalls, samples.

The engine itself records none of this: `observe` has it do one cycle at a time and looks at what changed, so a run
that is not watched pays nothing.
"""

from __future__ import annotations

import numpy as np

from simulator.cycle_level.compile import compiled, inlined, least, most
from simulator.cycle_level.kernel import ON_DRAIN, PAUSED, REACHED, run

# isort: off
from simulator.cycle_level.state import (
    ENTRY, E_ALLOCATED, E_COMMAND, E_FUNCT, E_RS1, E_RS2, E_SIZE, E_STARTED, IN_FLIGHT, P_EX_ENTRIES, P_IN_FLIGHT,
    P_LD_ENTRIES, R_BYTES, STALLS, S_VALID, V_BYTES, X_BUSY,
)  # fmt: skip
# isort: on


A_UNIT, A_COMMAND, A_FUNCT, A_RS1, A_RS2, A_ALLOCATED, A_START, A_END, A_SIZE = range(9)
"""A span: unit (0 load, 1 execute, 2 store), number of the host's command, the command, cycles; [start, end)."""
B_CAUSE, B_START, B_END, B_SIZE = range(4)
"""A stall: position in cost.STALL_CAUSES, [start, end) cycles."""
C_CYCLE, C_READ_BYTES, C_WRITE_BYTES, C_BUSY, C_LOADS, C_EXECUTES, C_STORES, C_READS_OUT, C_SIZE = range(9)
"""A sample at the start of a cycle: totals so far, then what the station and the reader hold."""
N_SPANS, N_STALLS, N_SAMPLES, N_CAUSE, N_SINCE, N_SIZE = range(6)
"""How full each log is; the stall that goes on (BUSY for none) and since when."""
BUSY, UNKNOWN = -1, -2


@compiled
def _ones(mask):  # type: ignore[no-untyped-def]
    count = 0
    while mask:
        mask &= mask - 1
        count += 1
    return count


@compiled
def sample(m, t, samples, filled):  # type: ignore[no-untyped-def]
    """Log totals and levels at the start of cycle `t`."""
    row = samples[filled[N_SAMPLES]]
    loads, executes = m[P_LD_ENTRIES], m[P_EX_ENTRIES]
    row[C_CYCLE], row[C_READ_BYTES], row[C_WRITE_BYTES], row[C_BUSY] = t, m[R_BYTES], m[V_BYTES], m[X_BUSY]
    row[C_LOADS] = _ones(m[S_VALID] & ((np.int64(1) << loads) - 1))
    row[C_EXECUTES] = _ones((m[S_VALID] >> loads) & ((np.int64(1) << executes) - 1))
    row[C_STORES] = _ones(m[S_VALID] >> (loads + executes))
    row[C_READS_OUT] = 0
    for number in range(m[P_IN_FLIGHT]):
        row[C_READS_OUT] += 1 if m[IN_FLIGHT + number] > t else 0
    filled[N_SAMPLES] += 1


@compiled
def _note_spans(m, t, gone, spans, filled):  # type: ignore[no-untyped-def]
    """Log the commands whose entries `gone` were freed in cycle `t`; configurations take no time and are left out."""
    slot = 0
    while gone >> slot:
        entry = ENTRY + slot * E_SIZE
        if gone >> slot & 1 and m[entry + E_FUNCT] != 0:
            row = spans[filled[N_SPANS]]
            execute, store = slot >= m[P_LD_ENTRIES], slot >= m[P_LD_ENTRIES] + m[P_EX_ENTRIES]
            row[A_UNIT] = 2 if store else (1 if execute else 0)
            row[A_COMMAND], row[A_FUNCT] = m[entry + E_COMMAND], m[entry + E_FUNCT]
            row[A_RS1], row[A_RS2] = m[entry + E_RS1], m[entry + E_RS2]
            row[A_ALLOCATED], row[A_START], row[A_END] = m[entry + E_ALLOCATED], m[entry + E_STARTED], t + 1
            filled[N_SPANS] += 1
        slot += 1


@compiled
def note_cause(cause, t, stalls, filled):  # type: ignore[no-untyped-def]
    """From cycle `t` on the array stalls for `cause` (BUSY: fires rows; UNKNOWN: is not watched)."""
    before = filled[N_CAUSE]
    if cause == before:
        return
    if before >= 0 and t > filled[N_SINCE]:
        row = stalls[filled[N_STALLS]]
        row[B_CAUSE], row[B_START], row[B_END] = before, filled[N_SINCE], t
        filled[N_STALLS] += 1
    filled[N_CAUSE], filled[N_SINCE] = cause, t


@compiled
def cut_stalls(cycles, stalls, filled):  # type: ignore[no-untyped-def]
    """Take back what was noted at or after cycle `cycles`, in which the run had ended."""
    while filled[N_STALLS] and stalls[filled[N_STALLS] - 1, B_START] >= cycles:
        filled[N_STALLS] -= 1
    if filled[N_STALLS]:
        last = stalls[filled[N_STALLS] - 1]
        last[B_END] = least(last[B_END], cycles)


@inlined
def _cause_of(m, before, done):  # type: ignore[no-untyped-def]
    """Which stall was counted since `before`; at the end the cycles nobody visited are counted as drain, too."""
    found = np.int64(ON_DRAIN if done else BUSY)
    for each in range(6):
        if m[STALLS + each] > before[each] and not (done and each == ON_DRAIN):
            found = np.int64(each)
    return found


@compiled
def observe(m, memory, t, until, every, logs, filled, trace, funct, rs1, rs2, accepted):  # type: ignore[no-untyped-def]
    """Run cycles `t` to `until` - 1 and log them into `logs` (spans, stalls, samples); returns as
    `cycle_level.kernel.run`.

    Stops early, with REACHED, when a log is nearly full. A sample is taken every `every` cycles.
    """
    spans, stalls, samples = logs
    end = np.int64(REACHED)
    while t < until and end == REACHED:
        if (
            len(spans) - filled[N_SPANS] < 8
            or len(stalls) - filled[N_STALLS] < 8
            or len(samples) - filled[N_SAMPLES] < 2
        ):
            break
        if t % every == 0:
            sample(m, t, samples, filled)
        valid, busy = m[S_VALID], m[X_BUSY]
        before = (m[STALLS], m[STALLS + 1], m[STALLS + 2], m[STALLS + 3], m[STALLS + 4], m[STALLS + 5])
        after, end = run(m, memory, t, t + 1, trace, funct, rs1, rs2, accepted)
        _note_spans(m, t, valid & ~m[S_VALID], spans, filled)
        if end != PAUSED:
            done = end != REACHED
            note_cause(BUSY if m[X_BUSY] > busy else _cause_of(m, before, done), t, stalls, filled)
            if done:
                # What nobody visited before the end counts as drain.
                note_cause(ON_DRAIN, t + 1, stalls, filled)
                note_cause(UNKNOWN, most(after, t + 1), stalls, filled)
        t = after
    return t, end
