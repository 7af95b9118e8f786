"""The engine's clock: visits every cycle in which some unit can act, in the order the RTL's signals settle, and
attributes stalls.
"""

from __future__ import annotations

import numpy as np

from simulator.cycle_level.array_rows import interrupt_all
from simulator.cycle_level.compile import compiled, inlined, least, least_of_sixteen, merged, most, pointer_to
from simulator.cycle_level.conv_state import CV_EXECUTED, CV_NEXT
from simulator.cycle_level.decide import unroll
from simulator.cycle_level.execute import complete_execute, execute, next_completion
from simulator.cycle_level.front import allocate, issue, queue_of
from simulator.cycle_level.load import complete_load, load_controller, reader, zero_writer
from simulator.cycle_level.loop_conv import loop_conv
from simulator.cycle_level.loop_matmul import loop_matmul
from simulator.cycle_level.port import port
from simulator.cycle_level.queues import advance_front
from simulator.cycle_level.rows import write_row
from simulator.cycle_level.store import complete_store, dispatch, store_controller, writer

# isort: off
from simulator.cycle_level.state import (
    COMPUTING, ENTRY, EXECUTE, E_COMMAND, E_DEPS, E_SIZE, E_STARTED, FIRST_NEXT, F_BASE, F_COMMAND, F_END, F_FULL,
    F_LAST_EXECUTE, F_LAST_OF, F_MORE, F_NEXT, F_STARVED, H_EXECUTED, H_NEXT, L_DONE_HEAD, L_NEXT, NEVER, O_NEXT,
    P_EX_ENTRIES, P_LD_ENTRIES, P_TRACE_FROM, P_TRACE_TO, QUEUE_RING, R_NEXT, STALLS, S_HEAD_EX, S_ISSUE_EX, S_ISSUE_LD,
    S_ISSUE_ST, S_LAST_BUSY, S_TAIL_EX, S_VALID, UNISSUED, V_DONE, V_D_NEXT, V_FIRED, V_ISSUED, V_LAST_ACK, V_NEXT,
    V_READY, V_SENT, V_W_NEXT, WAITING, W_NEXT, X_BUSY, X_CAUSE, X_FIRED, X_LAG, X_NEXT, X_STATE, X_UQ_HEAD, X_UQ_START,
    X_UQ_TAIL, X_U_NEXT, Z_NEXT,
)  # fmt: skip
# isort: on


# Positions in cost.STALL_CAUSES.
ON_LOAD, ON_STORE, ON_BANK, ON_DEPENDENCY, ON_COMMAND, ON_DRAIN = range(6)
DONE, PAUSED, REACHED = -1, -2, -3
"""What `run` ends with where it does not name a command: the stream's end, more commands needed, cycle `until`."""


@compiled
def _record(m, trace, command, start, end):  # type: ignore[no-untyped-def]
    if m[P_TRACE_FROM] <= command < m[P_TRACE_TO]:
        trace[command - m[P_TRACE_FROM], 0] = start
        trace[command - m[P_TRACE_FROM], 1] = end


@merged
def _complete(m, trace, t, next_execute):  # type: ignore[no-untyped-def]
    """At most one completion reaches the reservation station a cycle: execute, then load, then store."""
    if next_execute <= t:
        slot = complete_execute(m, t)
        if slot >= 0:
            entry = ENTRY + slot * E_SIZE
            _record(m, trace, m[entry + E_COMMAND], m[entry + E_STARTED], t)
            return
    if m[L_DONE_HEAD] and m[L_DONE_HEAD] <= t:
        slot, start = complete_load(m, t)
        _record(m, trace, m[ENTRY + slot * E_SIZE + E_COMMAND], start, t)
    elif m[V_DONE] and m[V_DONE] <= t:
        slot, start = complete_store(m, t)
        _record(m, trace, m[ENTRY + slot * E_SIZE + E_COMMAND], start, t)


@merged
def _cause(m, last_execute):  # type: ignore[no-untyped-def]
    """Why the array fires no row now."""
    if m[X_STATE] != WAITING:
        return ON_BANK if m[X_CAUSE] == 1 else ON_DEPENDENCY
    head = m[S_HEAD_EX]
    if head != m[S_TAIL_EX]:
        deps = m[ENTRY + m[UNISSUED + EXECUTE * QUEUE_RING + head % QUEUE_RING] * E_SIZE + E_DEPS]
        loads = (np.int64(1) << m[P_LD_ENTRIES]) - 1
        if deps & loads:
            return ON_LOAD
        return ON_STORE if deps else ON_DEPENDENCY
    if most(m[F_COMMAND], most(m[H_EXECUTED], m[CV_EXECUTED])) > last_execute:
        executing = ((np.int64(1) << m[P_EX_ENTRIES]) - 1) << m[P_LD_ENTRIES]
        return ON_DEPENDENCY if m[S_VALID] & executing and last_execute >= 0 else ON_DRAIN
    full = m[F_FULL]
    return ON_LOAD if full == 1 else (ON_STORE if full == 3 else ON_COMMAND)


@merged
def _others_next(m, t):  # type: ignore[no-untyped-def]
    """Next cycle in which a unit other than the execute controller and the DMA's row writer may act."""
    after = least(next_completion(m, t), least_of_sixteen(m, FIRST_NEXT))
    if m[L_DONE_HEAD] and m[L_DONE_HEAD] < after:
        after = m[L_DONE_HEAD]
    if m[V_DONE] and m[V_DONE] < after:
        after = m[V_DONE]
    return after


@inlined
def _fires(m, t):  # type: ignore[no-untyped-def]
    """Whether the array fires a row in cycle `t`."""
    return m[X_FIRED] == t or m[X_LAG] <= t


@merged
def _stream(m, t, until, last_execute):  # type: ignore[no-untyped-def]
    """While only rows are fired and written, run the two units that do so alone; returns the last cycle done.

    Nothing else acts before cycle `until`; a finished operation or mvin ends the stretch, because it wakes others.
    """
    computing = m[X_STATE] == COMPUTING
    waiting = np.int64(0) if computing else _cause(m, last_execute)
    while m[L_DONE_HEAD] == 0 and (m[X_STATE] == COMPUTING) == computing:
        after = most(least(m[X_NEXT], m[W_NEXT]), t + 1)
        if after >= until or (m[X_NEXT] <= after and not computing):
            break
        cause = (ON_BANK if m[X_CAUSE] == 1 else ON_DEPENDENCY) if computing else waiting
        if m[X_LAG] == NEVER:
            m[STALLS + cause] += after - t - 1
        t = after
        if m[W_NEXT] <= t:
            write_row(m, t)
            # A row passed on lets the memory answer on, which frees a number for the next request.
            until = least(until, least(m[R_NEXT], m[V_W_NEXT]))
        if m[X_NEXT] <= t:
            execute(m, t)
            cause = ON_BANK if m[X_CAUSE] == 1 else ON_DEPENDENCY
        if not _fires(m, t):
            m[STALLS + cause] += 1
    return t


@compiled
def _last_execute(funct, rs1, count):  # type: ignore[no-untyped-def]
    for index in range(count - 1, -1, -1):
        if funct[index] in (8, 15):
            return index
        if queue_of(funct[index], rs1[index]) == EXECUTE and funct[index] != 0:
            return index
    return -1


@compiled
def start(machine, funct, rs1, rs2, accepted):  # type: ignore[no-untyped-def]
    """Offer the first commands; returns the first cycle to visit."""
    m = pointer_to(machine)
    m[F_END] = m[F_BASE] + funct.size
    advance_front(m, (pointer_to(funct), pointer_to(rs1), pointer_to(rs2), pointer_to(accepted)))
    first = least(m[F_NEXT], least(m[H_NEXT], m[CV_NEXT]))
    if first < NEVER:
        m[STALLS + ON_COMMAND] += first
    m[V_READY] = 0
    return first


@compiled
def run(machine, behind, t, until, trace, funct, rs1, rs2, accepted):  # type: ignore[no-untyped-def]
    """Simulate cycles `t` to `until` - 1; returns (cycles, how it ended or number of the command it deadlocked at).

    `funct`, `rs1`, `rs2` (int64) hold the host's commands from number F_BASE on, `accepted` takes their cycles.
    REACHED: cycle `until` is the one to go on from. PAUSED, with F_MORE set: it needs the commands behind `funct`, and
    goes on from the returned cycle with them alone; an execute command must be among those that follow. DONE: the
    cycles of the whole stream.
    """
    m = pointer_to(machine)
    m[F_END] = m[F_BASE] + funct.size
    if m[F_LAST_OF] != m[F_END]:
        m[F_LAST_OF] = m[F_END]
        m[F_LAST_EXECUTE] = m[F_BASE] + _last_execute(pointer_to(funct), pointer_to(rs1), funct.size)
    host = (pointer_to(funct), pointer_to(rs1), pointer_to(rs2), pointer_to(accepted))
    return run_on(m, pointer_to(behind), t, until, trace, host)


@compiled
def run_on(m, memory, t, until, trace, host):  # type: ignore[no-untyped-def]
    """As `run`, its arrays by their pointers, of commands up to number F_END - 1."""
    last_execute = np.int64(NEVER) if m[F_MORE] else m[F_LAST_EXECUTE]
    if m[F_STARVED]:
        advance_front(m, host)
    while True:
        if t >= until:
            interrupt_all(m, t)
            return t, np.int64(REACHED)
        if m[F_STARVED] and m[F_MORE]:
            interrupt_all(m, t)
            return t, np.int64(PAUSED)
        m[X_UQ_START] = m[X_UQ_TAIL] - m[X_UQ_HEAD]
        if m[CV_NEXT] <= t:
            loop_conv(m, t, host)
        if m[H_NEXT] <= t:
            loop_matmul(m, t, host)
        if m[W_NEXT] <= t:
            write_row(m, t)
        if m[Z_NEXT] <= t:
            zero_writer(m, t)
        if m[X_U_NEXT] <= t:
            unroll(m, t)
        if m[O_NEXT] <= t:
            port(m, memory, t)
        if m[V_W_NEXT] <= t:
            writer(m, memory, t)
        if m[X_NEXT] <= t:
            execute(m, t)
        if m[V_D_NEXT] <= t:
            dispatch(m, t)
        if m[V_NEXT] <= t:
            store_controller(m, t)
        if m[R_NEXT] <= t:
            reader(m, memory, t)
        if m[L_NEXT] <= t:
            load_controller(m, t)
        if m[F_NEXT] <= t:
            allocate(m, t, host)
        if m[S_ISSUE_EX] <= t or m[S_ISSUE_LD] <= t or m[S_ISSUE_ST] <= t:
            issue(m, t)
        next_execute = next_completion(m, t - 1)
        if next_execute <= t or m[L_DONE_HEAD] or m[V_DONE]:
            _complete(m, trace, t, next_execute)
        if not _fires(m, t):
            m[STALLS + _cause(m, last_execute)] += 1
        others = _others_next(m, t)
        if m[F_STARVED] and m[F_MORE]:
            others = t + 1
        if least(m[X_NEXT], m[W_NEXT]) < others:
            t = _stream(m, t, least(others, until), last_execute)
            others = _others_next(m, t)
        after = most(least(others, least(m[X_NEXT], m[W_NEXT])), t + 1)
        if after >= NEVER:
            break
        after = least(after, until)
        if after > t + 1 and m[X_LAG] == NEVER:
            m[STALLS + _cause(m, last_execute)] += after - t - 1
        t = after
    commands = m[F_END]
    stuck = m[F_COMMAND] if m[F_COMMAND] < commands else np.int64(DONE)
    if stuck == DONE and (m[S_VALID] or m[V_FIRED] != m[V_SENT] or m[V_ISSUED] != m[V_FIRED]):
        stuck = commands - 1
    end = most(m[S_LAST_BUSY], m[V_LAST_ACK])
    spent = np.int64(0)
    for cause in range(6):
        spent += m[STALLS + cause]
    # Whatever is not accounted for yet lies after the last cycle visited (or was a visit after the last busy cycle).
    m[STALLS + ON_DRAIN] += end + 1 - m[X_BUSY] - spent
    if m[STALLS + ON_DRAIN] < 0:
        # The mesh was still being flushed, for results no command waits for, when the machine fell idle.
        m[STALLS + ON_DEPENDENCY] += m[STALLS + ON_DRAIN]
        m[STALLS + ON_DRAIN] = 0
    return end + 1, stuck
