"""The engine's clock: visits every cycle in which some unit can act, in the order the RTL's signals settle, and
attributes stalls.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from simulator.engine_execute import complete_execute, execute, next_completion, unroll
from simulator.engine_front import allocate, arrive, issue, queue_of
from simulator.engine_load import complete_load, load_controller, reader, write_row, zero_writer
from simulator.engine_state import (
    E_COMMAND,
    E_DEPS,
    EXECUTE,
    F_COMMAND,
    F_FULL,
    F_NEXT,
    L_DONE_HEAD,
    L_NEXT,
    NEVER,
    P_EX_ENTRIES,
    P_LD_ENTRIES,
    P_TRACE_FROM,
    P_TRACE_TO,
    QUEUE_RING,
    R_NEXT,
    S_HEAD_EX,
    S_ISSUE_EX,
    S_ISSUE_LD,
    S_ISSUE_ST,
    S_LAST_BUSY,
    S_TAIL_EX,
    S_VALID,
    V_D_NEXT,
    V_DONE,
    V_FIRED,
    V_ISSUED,
    V_LAST_ACK,
    V_NEXT,
    V_READY,
    V_SENT,
    V_W_NEXT,
    W_NEXT,
    WAITING,
    X_BUSY,
    X_CAUSE,
    X_FIRED,
    X_NEXT,
    X_STATE,
    X_U_NEXT,
    X_UQ_HEAD,
    X_UQ_START,
    X_UQ_TAIL,
    Z_NEXT,
)  # fmt: skip
from simulator.engine_store import complete_store, dispatch, store_controller, writer

# Positions in cost.STALL_CAUSES.
ON_LOAD, ON_STORE, ON_BANK, ON_DEPENDENCY, ON_COMMAND, ON_DRAIN = range(6)


@njit(cache=True)
def _record(m, command, start, end):  # type: ignore[no-untyped-def]
    if m.p[P_TRACE_FROM] <= command < m.p[P_TRACE_TO]:
        m.trace[command - m.p[P_TRACE_FROM], 0] = start
        m.trace[command - m.p[P_TRACE_FROM], 1] = end


@njit(cache=True)
def _complete(m, t, next_execute):  # type: ignore[no-untyped-def]
    """At most one completion reaches the reservation station a cycle: execute, then load, then store."""
    if next_execute <= t:
        slot = complete_execute(m, t)
        if slot >= 0:
            return
    if m.l[L_DONE_HEAD] and m.l[L_DONE_HEAD] <= t:
        slot, start = complete_load(m, t)
        _record(m, m.entry[slot, E_COMMAND], start, t)
    elif m.v[V_DONE] and m.v[V_DONE] <= t:
        slot, start = complete_store(m, t)
        _record(m, m.entry[slot, E_COMMAND], start, t)


@njit(cache=True)
def _cause(m, last_execute):  # type: ignore[no-untyped-def]
    """Why the array fires no row now."""
    if m.x[X_STATE] != WAITING:
        return ON_BANK if m.x[X_CAUSE] == 1 else ON_DEPENDENCY
    head = m.s[S_HEAD_EX]
    if head != m.s[S_TAIL_EX]:
        deps = m.entry[m.unissued[EXECUTE, head % QUEUE_RING], E_DEPS]
        loads = (np.int64(1) << m.p[P_LD_ENTRIES]) - 1
        if deps & loads:
            return ON_LOAD
        return ON_STORE if deps else ON_DEPENDENCY
    if m.f[F_COMMAND] > last_execute:
        executing = ((np.int64(1) << m.p[P_EX_ENTRIES]) - 1) << m.p[P_LD_ENTRIES]
        return ON_DEPENDENCY if m.s[S_VALID] & executing and last_execute >= 0 else ON_DRAIN
    full = m.f[F_FULL]
    return ON_LOAD if full == 1 else (ON_STORE if full == 3 else ON_COMMAND)


@njit(cache=True)
def _next_cycle(m):  # type: ignore[no-untyped-def]
    s, x, v = m.s, m.x, m.v
    after = min(min(m.f[F_NEXT], s[S_ISSUE_LD]), min(s[S_ISSUE_EX], s[S_ISSUE_ST]))
    after = min(min(after, m.l[L_NEXT]), min(m.r[R_NEXT], m.w[W_NEXT]))
    after = min(min(after, m.z[Z_NEXT]), min(x[X_NEXT], x[X_U_NEXT]))
    after = min(min(after, v[V_NEXT]), min(v[V_D_NEXT], v[V_W_NEXT]))
    if m.l[L_DONE_HEAD]:
        after = min(after, m.l[L_DONE_HEAD])
    if v[V_DONE]:
        after = min(after, v[V_DONE])
    return after


@njit(cache=True)
def _last_execute(funct, rs1):  # type: ignore[no-untyped-def]
    for index in range(funct.size - 1, -1, -1):
        if queue_of(funct[index], rs1[index]) == EXECUTE and funct[index] != 0:
            return index
    return -1


@njit(cache=True)
def run(m, funct, rs1, rs2, accepted):  # type: ignore[no-untyped-def]
    """Simulate the whole program; returns (cycles, index of the command at which it deadlocked or -1)."""
    last_execute = _last_execute(funct, rs1)
    arrive(m, accepted, 0)
    t = m.f[F_NEXT]
    m.stalls[ON_COMMAND] += t
    m.v[V_READY] = 0
    while True:
        x, v = m.x, m.v
        x[X_UQ_START] = x[X_UQ_TAIL] - x[X_UQ_HEAD]
        if m.w[W_NEXT] <= t:
            write_row(m, t)
        if m.z[Z_NEXT] <= t:
            zero_writer(m, t)
        if x[X_U_NEXT] <= t:
            unroll(m, t, funct, rs1)
        if x[X_NEXT] <= t:
            execute(m, t, funct, rs1, rs2)
        if v[V_W_NEXT] <= t:
            writer(m, t)
        if v[V_D_NEXT] <= t:
            dispatch(m, t)
        if v[V_NEXT] <= t:
            store_controller(m, t, funct, rs1, rs2)
        if m.r[R_NEXT] <= t:
            reader(m, t)
        if m.l[L_NEXT] <= t:
            load_controller(m, t, funct, rs1, rs2)
        if m.f[F_NEXT] <= t:
            allocate(m, t, funct, rs1, rs2, accepted)
        issue(m, t, funct)
        _complete(m, t, next_completion(m, t - 1))
        after = max(min(_next_cycle(m), next_completion(m, t)), t + 1)
        if after >= NEVER:
            break
        if x[X_FIRED] != t:
            m.stalls[_cause(m, last_execute)] += after - t
        elif after > t + 1:
            m.stalls[_cause(m, last_execute)] += after - t - 1
        t = after
    stuck = m.f[F_COMMAND] if m.f[F_COMMAND] < funct.size else np.int64(-1)
    if stuck < 0 and (m.s[S_VALID] or v[V_FIRED] != v[V_SENT] or v[V_ISSUED] != v[V_FIRED]):
        stuck = np.int64(funct.size - 1)
    end = max(m.s[S_LAST_BUSY], v[V_LAST_ACK])
    # Whatever is not accounted for yet lies after the last cycle visited (or was a visit after the last busy cycle).
    m.stalls[ON_DRAIN] += end + 1 - x[X_BUSY] - m.stalls.sum()
    return end + 1, stuck
