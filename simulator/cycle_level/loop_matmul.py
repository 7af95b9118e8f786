"""LoopMatmul of the engine, cycle by cycle: loop_ws into mvin, preload, compute and mvout (LoopMatmul.scala,
WeightedArbiter.scala).

Two loops are held, the head and the one behind it, each owning half the scratchpad and half the accumulator. Five
units (loads of A, B and D, execute, store) walk a loop each; one command a cycle passes their arbiter into the
unrolled queue. A unit is held back while its kind of command fills the loops' share of the reservation station, and by
the progress of the units before it.

`loop_matmul` is one cycle; it reads what the registers held at its start, so it decides everything first and changes
state after. A cycle that changes nothing puts it to sleep until an allocation, a completion or a command wakes it.
LoopConv stands before it in the chain (Controller.scala): what an unroller needs of the front end is `at_matmul`
(when it sees the command at its head), `has_room` and `emit`; `release` counts its completed commands down and wakes
it.
"""

from __future__ import annotations

import numpy as np

from simulator.cycle_level.compile import bits, compiled, inlined, least, most
from simulator.cycle_level.loop_words import (
    a_start,
    b_end,
    execute_x,
    load_a,
    load_b,
    load_d,
    loop_of,
    store_blocks,
    store_c,
)
from simulator.cycle_level.queues import advance_front, at_matmul, emit, has_room, unrolls

# isort: off
from simulator.cycle_level.state import (
    EXECUTE, FROM_MATMUL, FRONT_WIDTH, F_B_HEAD, F_B_TAIL, F_COMMAND, H_ACTIVE, H_CONSUMED, H_EXECUTED, H_FREE, H_HEAD,
    H_NEXT, H_RESADD, H_UTIL_EX, H_UTIL_LD, H_UTIL_ST, J_A, J_ACCUMULATE, J_ACT, J_A_HALF, J_A_STRIDE, J_A_T, J_B,
    J_B_HALF, J_B_STRIDE, J_B_T, J_C, J_COMPLETED, J_CONFIGURED, J_C_STRIDE, J_D, J_D_STRIDE, J_FULL_C, J_LOW_D,
    J_MAX_I, J_MAX_J, J_MAX_K, J_NUMBER, J_PAD_I, J_PAD_J, J_PAD_K, J_RUNNING, J_SIZE, J_STARTED, LOAD, LOOP_UNIT,
    LU_I, LU_J, LU_K, LU_LOOP, LU_NEXT_START, LU_SIZE, LU_START, LU_STATE, MATMUL_LOOP, MATMUL_QUEUE, NEVER,
    P_ACC_ROWS, P_DIM, P_EX_ENTRIES, P_LD_ENTRIES, P_ST_ENTRIES, STORE, S_LAST_BUSY, UNITS, UNIT_A, UNIT_B, UNIT_C,
    UNIT_D, UNIT_X, Y_COMMAND, Y_FUNCT, Y_OUT, Y_RS1, Y_RS2, Y_SIZE,
)  # fmt: skip
# isort: on

NOBODY = -1


@compiled
def _configure(m, loop, funct, rs1, rs2):  # type: ignore[no-untyped-def]
    """Write a configuration command, or loop_ws itself, into the loop's record."""
    g = MATMUL_LOOP + loop * J_SIZE
    pad_mask, address_mask = m[P_DIM] - 1, (1 << 40) - 1
    if funct == 9:
        m[g + J_MAX_K], m[g + J_MAX_J], m[g + J_MAX_I] = bits(rs2, 47, 32), bits(rs2, 31, 16), bits(rs2, 15, 0)
        m[g + J_PAD_K] = bits(rs1, 47, 32) & pad_mask
        m[g + J_PAD_J], m[g + J_PAD_I] = bits(rs1, 31, 16) & pad_mask, bits(rs1, 15, 0) & pad_mask
    elif funct == 10:
        m[g + J_A], m[g + J_B] = rs1 & address_mask, rs2 & address_mask
    elif funct == 11:
        m[g + J_D], m[g + J_C] = rs1 & address_mask, rs2 & address_mask
    elif funct == 12:
        m[g + J_A_STRIDE], m[g + J_B_STRIDE] = rs1 & address_mask, rs2 & address_mask
    elif funct == 13:
        m[g + J_D_STRIDE], m[g + J_C_STRIDE] = rs1 & address_mask, rs2 & address_mask
    else:
        m[g + J_ACCUMULATE], m[g + J_FULL_C], m[g + J_LOW_D] = rs1 & 1, bits(rs1, 1, 1), bits(rs1, 2, 2)
        m[g + J_ACT], m[g + J_A_HALF], m[g + J_B_HALF] = bits(rs1, 10, 8), bits(rs1, 19, 18), bits(rs1, 17, 16)
        m[g + J_A_T], m[g + J_B_T] = rs2 & 1, bits(rs2, 1, 1)
        # Units the program skips (A, B, D, execute, store) count as started and completed.
        skipped = bits(rs2, 7, 3)
        m[g + J_STARTED], m[g + J_COMPLETED], m[g + J_CONFIGURED] = skipped, skipped, 1
        m[H_RESADD] = bits(rs2, 2, 2)


@compiled
def _consumer(m, t):  # type: ignore[no-untyped-def]
    """Loop that takes the loop command at the head of the queue in cycle `t`, NOBODY if there is none or no room."""
    if m[F_B_HEAD] == m[F_B_TAIL] or at_matmul(m) > t:
        return np.int64(NOBODY)
    if not unrolls(m[MATMUL_QUEUE + m[F_B_HEAD] % FRONT_WIDTH * Y_SIZE + Y_FUNCT]):
        return np.int64(NOBODY)
    head = m[H_HEAD]
    loop = 1 - head if m[MATMUL_LOOP + head * J_SIZE + J_CONFIGURED] else head
    return np.int64(NOBODY) if m[MATMUL_LOOP + loop * J_SIZE + J_CONFIGURED] else loop


@compiled
def _consume(m, t, loop):  # type: ignore[no-untyped-def]
    y = MATMUL_QUEUE + m[F_B_HEAD] % FRONT_WIDTH * Y_SIZE
    _configure(m, loop, m[y + Y_FUNCT], m[y + Y_RS1], m[y + Y_RS2])
    m[MATMUL_LOOP + loop * J_SIZE + J_NUMBER] = m[y + Y_COMMAND]
    m[H_CONSUMED] = m[y + Y_COMMAND]
    m[y + Y_OUT] = t
    m[F_B_HEAD] += 1
    m[S_LAST_BUSY] = most(m[S_LAST_BUSY], t)
    if m[y + Y_FUNCT] == 8:
        m[H_ACTIVE] = 1
    elif m[H_ACTIVE] == 0:
        m[F_COMMAND] = most(m[F_COMMAND], m[y + Y_COMMAND] + 1)


@inlined
def _state(m, unit):  # type: ignore[no-untyped-def]
    return m[LOOP_UNIT + unit * LU_SIZE + LU_STATE]


@inlined
def _over(m, of, other):  # type: ignore[no-untyped-def]
    """Whether unit `of` has nothing more to do for the loop `other` works on."""
    return m[LOOP_UNIT + of * LU_SIZE + LU_LOOP] != m[LOOP_UNIT + other * LU_SIZE + LU_LOOP] or _state(m, of) == 0


@compiled
def _execute_valid(m):  # type: ignore[no-untyped-def]
    """Whether the execute unit offers a command: what it reads next has been asked for, and its share is not full."""
    if _state(m, UNIT_X) == 0 or m[H_UTIL_EX] >= m[P_EX_ENTRIES] or m[H_RESADD]:
        return False
    x, a, b = LOOP_UNIT + UNIT_X * LU_SIZE, LOOP_UNIT + UNIT_A * LU_SIZE, LOOP_UNIT + UNIT_B * LU_SIZE
    k = m[x + LU_K]
    # The test of B's progress in j compares A's k (LoopMatmul.scala).
    level = m[a + LU_K] == k
    a_ahead = _over(m, UNIT_A, UNIT_X) or m[a + LU_K] > k or (level and m[a + LU_I] > m[x + LU_I])
    b_ahead = _over(m, UNIT_B, UNIT_X) or m[b + LU_K] > k or (level and m[b + LU_J] > m[x + LU_J])
    return a_ahead and b_ahead and _over(m, UNIT_D, UNIT_X)


@compiled
def _store_valid(m):  # type: ignore[no-untyped-def]
    """Whether the store unit offers a mvout: the execute unit is past the blocks, in the last k."""
    g = loop_of(m, UNIT_C)
    if _state(m, UNIT_C) == 0 or m[H_UTIL_ST] >= m[P_ST_ENTRIES] or m[g + J_C] == 0:
        return False
    c, x, b = LOOP_UNIT + UNIT_C * LU_SIZE, LOOP_UNIT + UNIT_X * LU_SIZE, LOOP_UNIT + UNIT_B * LU_SIZE
    end = m[c + LU_J] + least(store_blocks(m, g), m[g + J_MAX_J] - m[c + LU_J])
    if m[H_RESADD]:
        # A residual addition has no execute part: B's load, k for i, takes its place.
        past = m[b + LU_K] > m[c + LU_I] or (m[b + LU_K] == m[c + LU_I] and m[b + LU_J] >= end)
        return past or (_over(m, UNIT_A, UNIT_C) and _over(m, UNIT_B, UNIT_C))
    past = m[x + LU_J] >= end or (m[x + LU_J] == end - 1 and m[x + LU_I] > m[c + LU_I])
    return _over(m, UNIT_X, UNIT_C) or (m[x + LU_K] == m[g + J_MAX_K] - 1 and past)


@compiled
def _load_choice(m):  # type: ignore[no-untyped-def]
    """Which of the loads of A and B the weighted arbiter listens to, whether or not it offers a command."""
    a, b = LOOP_UNIT + UNIT_A * LU_SIZE, LOOP_UNIT + UNIT_B * LU_SIZE
    same = m[a + LU_LOOP] == m[b + LU_LOOP]
    a_idle, b_idle = m[a + LU_STATE] == 0, m[b + LU_STATE] == 0
    force_a, force_b = not same and m[a + LU_LOOP] == m[H_HEAD], not same and m[b + LU_LOOP] == m[H_HEAD]
    if m[H_RESADD]:
        force_a, force_b = same and not a_idle, force_b or a_idle
    if force_a:
        return UNIT_A
    if force_b or a_idle:
        return UNIT_B
    if b_idle:
        return UNIT_A
    return UNIT_B if m[a + LU_K] > m[b + LU_K] or (m[b + LU_K] == 0 and m[b + LU_J] == 0) else UNIT_A


@compiled
def _winner(m):  # type: ignore[no-untyped-def]
    """Unit whose command the arbiter passes in this cycle, NOBODY if none offers one or there is no room."""
    if not has_room(m):
        return NOBODY
    if _store_valid(m):
        return UNIT_C
    if _execute_valid(m):
        return UNIT_X
    if m[H_UTIL_LD] >= m[P_LD_ENTRIES]:
        return NOBODY
    if _state(m, UNIT_D) and m[loop_of(m, UNIT_D) + J_D]:
        return UNIT_D
    chosen = _load_choice(m)
    memory = m[loop_of(m, chosen) + (J_A if chosen == UNIT_A else J_B)]
    return chosen if _state(m, chosen) and memory else NOBODY


@compiled
def _fire(m, t, unit):  # type: ignore[no-untyped-def]
    """Emit the next command of `unit`."""
    number = m[loop_of(m, unit) + J_NUMBER]
    if unit == UNIT_X:
        funct, rs1, rs2 = execute_x(m)
        queue = EXECUTE
        if _state(m, UNIT_X) == 0:
            m[H_EXECUTED] = number + 1
    elif unit == UNIT_C:
        funct, queue = 3, STORE
        rs1, rs2 = store_c(m)
    elif unit == UNIT_A:
        funct, queue = 2, LOAD
        rs1, rs2 = load_a(m)
    elif unit == UNIT_B:
        funct, queue = 1, LOAD
        rs1, rs2 = load_b(m)
    else:
        funct, queue = 14, LOAD
        rs1, rs2 = load_d(m)
    m[H_UTIL_LD + queue] += 1
    emit(m, t, FROM_MATMUL, number, funct, rs1, rs2)


@compiled
def _requested_loop(m, unit):  # type: ignore[no-untyped-def]
    """Loop `unit` begins in this cycle, NOBODY if it is at work or none is ready for it."""
    if _state(m, unit) != 0:
        return np.int64(NOBODY)
    started = m[MATMUL_LOOP + m[H_HEAD] * J_SIZE + J_STARTED]
    loop = 1 - m[H_HEAD] if (started >> unit) & 1 else m[H_HEAD]
    g = MATMUL_LOOP + loop * J_SIZE
    if not m[g + J_CONFIGURED] or (m[g + J_STARTED] >> unit) & 1:
        return np.int64(NOBODY)
    loads = (1 << UNIT_A) | (1 << UNIT_B) | (1 << UNIT_D)
    if unit == UNIT_X and m[g + J_STARTED] & loads != loads:
        return np.int64(NOBODY)
    if unit == UNIT_C and not (m[g + J_STARTED] >> UNIT_X) & 1 and not m[H_RESADD]:
        return np.int64(NOBODY)
    return loop


@compiled
def _begin(m, unit, loop):  # type: ignore[no-untyped-def]
    """`unit` takes up `loop`; accumulator halves alternate for D, execute and store each, where C leaves for memory."""
    o, g = LOOP_UNIT + unit * LU_SIZE, MATMUL_LOOP + loop * J_SIZE
    half = m[P_ACC_ROWS] // 2
    m[o + LU_STATE], m[o + LU_LOOP], m[o + LU_I], m[o + LU_J], m[o + LU_K] = 1, loop, 0, 0, 0
    m[g + J_STARTED] |= 1 << unit
    m[g + J_RUNNING] = 1
    if m[H_RESADD] and unit != UNIT_D and unit != UNIT_X:
        m[o + LU_START] = loop * half
    elif unit == UNIT_A:
        m[o + LU_START] = a_start(m, g)
    elif unit == UNIT_B:
        m[o + LU_START] = b_end(m, g)
    else:
        m[o + LU_START] = m[o + LU_NEXT_START]
    if unit >= UNIT_D and m[g + J_C]:
        m[o + LU_NEXT_START] = half - m[o + LU_NEXT_START]


@inlined
def _skipped(m, unit):  # type: ignore[no-untyped-def]
    """Whether `unit` gives up its loop without a command: no memory address, or an execute part not asked for."""
    g = loop_of(m, unit)
    if unit == UNIT_X:
        return m[H_RESADD] != 0
    memory = J_A if unit == UNIT_A else (J_B if unit == UNIT_B else (J_D if unit == UNIT_D else J_C))
    return m[g + memory] == 0


@compiled
def _finish_head(m, t):  # type: ignore[no-untyped-def]
    """The head loop is over: the other becomes the head."""
    g = MATMUL_LOOP + m[H_HEAD] * J_SIZE
    m[g + J_CONFIGURED], m[g + J_RUNNING], m[g + J_STARTED], m[g + J_COMPLETED] = 0, 0, 0, 0
    m[F_COMMAND] = most(m[F_COMMAND], m[g + J_NUMBER] + 1)
    m[H_HEAD] = 1 - m[H_HEAD]
    m[S_LAST_BUSY] = most(m[S_LAST_BUSY], t)
    if not m[MATMUL_LOOP + m[H_HEAD] * J_SIZE + J_CONFIGURED]:
        m[F_COMMAND] = most(m[F_COMMAND], m[H_CONSUMED] + 1)
        m[H_ACTIVE], m[H_FREE] = 0, t + 1


@compiled
def _completions(m):  # type: ignore[no-untyped-def]
    """Note which units are done with their loops, from what held at the start of the cycle; returns what is new."""
    news = 0
    for unit in range(UNITS):
        g = loop_of(m, unit)
        done = _state(m, unit) == 0 and m[g + J_RUNNING] and (m[g + J_STARTED] >> unit) & 1
        if done and not (m[g + J_COMPLETED] >> unit) & 1:
            news |= 1 << unit
    return news


@compiled
def loop_matmul(m, t, host):  # type: ignore[no-untyped-def]
    """One cycle of LoopMatmul."""
    head = MATMUL_LOOP + m[H_HEAD] * J_SIZE
    everything = (1 << UNITS) - 1
    taker, winner, news = _consumer(m, t), _winner(m), _completions(m)
    over = m[head + J_RUNNING] and m[head + J_COMPLETED] == everything
    begun, skipped = 0, 0
    loops = 0
    for unit in range(UNITS):
        loop = _requested_loop(m, unit)
        if loop != NOBODY:
            begun |= 1 << unit
            loops |= loop << unit
        if _state(m, unit) and _skipped(m, unit):
            skipped |= 1 << unit
    for unit in range(UNITS):
        if (news >> unit) & 1:
            m[loop_of(m, unit) + J_COMPLETED] |= 1 << unit
        if (skipped >> unit) & 1:
            m[LOOP_UNIT + unit * LU_SIZE + LU_STATE] = 0
    if winner != NOBODY:
        _fire(m, t, winner)
    for unit in range(UNITS):
        if (begun >> unit) & 1:
            _begin(m, unit, (loops >> unit) & 1)
    if over:
        _finish_head(m, t)
    if taker != NOBODY:
        _consume(m, t, taker)
    moved = winner != NOBODY or taker != NOBODY or over or (news | skipped | begun) != 0
    m[H_NEXT] = t + 1 if moved else NEVER
    if taker != NOBODY or over:
        advance_front(m, host)
    elif not moved and m[F_B_HEAD] != m[F_B_TAIL] and at_matmul(m) > t:
        m[H_NEXT] = at_matmul(m)
