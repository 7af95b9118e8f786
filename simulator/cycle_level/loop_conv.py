"""LoopConv of the engine, cycle by cycle: loop_conv_ws into configurations, mvins, preloads, computes and mvouts
(LoopConv.scala, Pipeline.scala).

Two loops are held, the head and the one behind it, each owning half the scratchpad and half the accumulator. Five
units (loads of bias, input and weights, execute, store) walk a loop each; what a unit sends passes a pipeline of two
registers of its own, then an arbiter that lets one command a cycle into LoopMatmul's queue. A unit is held back while
its kind of command fills the loops' share of the reservation station. Execute waits for all loads of its loop, the
loads of the next loop wait for those, and the store waits for the execute unit.

`loop_conv` is one cycle; it reads what the registers held at its start, so it decides everything first and changes
state after. A cycle that changes nothing puts it to sleep until an allocation, a completion or a command wakes it.
"""

from __future__ import annotations

import numpy as np

from simulator.cycle_level.compile import compiled, inlined, least, most
from simulator.cycle_level.conv_front import at_conv, conv_room, emit_conv, unrolls_conv
from simulator.cycle_level.conv_loads import conv_loop, conv_unit, next_bias, next_input, next_weights
from simulator.cycle_level.conv_registers import configure_conv
from simulator.cycle_level.conv_work import conv_a_start, conv_b_end, next_execute, next_store, on_a_hole, step_execute
from simulator.cycle_level.queues import advance_front

# isort: off
from simulator.cycle_level.conv_state import (
    BEFORE_POOL, CU_BATCH, CU_COLUMN, CU_FIRST, CU_FIRST_FUNCT, CU_FIRST_RS1, CU_FIRST_RS2, CU_LAST, CU_LAST_FUNCT,
    CU_LAST_RS1, CU_LAST_RS2, CU_LOOP, CU_NEW, CU_NEXT_START, CU_ROW, CU_START, CU_STATE, CONFIGURING, CONV_LOOP,
    CONV_UNITS, CR_BIAS, CR_COMPLETED, CR_CONFIGURED, CR_INPUT, CR_INPUT_3120, CR_LEFT, CR_NO_POOL, CR_NUMBER,
    CR_OUTPUT, CR_RUNNING, CR_SIZE, CR_STARTED, CR_UPPER, CR_WEIGHTS, IDLE, IN_BIAS, IN_EXECUTE, IN_INPUT, IN_STORE,
    IN_WEIGHTS, CV_ACTIVE, CV_CONSUMED, CV_EXECUTED, CV_FREE, CV_HEAD, CV_NEXT, CV_UTIL_LD, PRELOADING, STORING,
)  # fmt: skip
from simulator.cycle_level.state import (
    CONV_QUEUE, EXECUTE, FRONT_WIDTH, F_A_HEAD, F_A_TAIL, F_COMMAND, LOAD, NEVER, P_ACC_ROWS, P_EX_ENTRIES,
    P_LD_ENTRIES, P_ST_ENTRIES, STORE, S_LAST_BUSY, Y_COMMAND, Y_FUNCT, Y_OUT, Y_RS1, Y_RS2, Y_SIZE,
)  # fmt: skip
# isort: on

NOBODY = -1
LOADS = (1 << IN_BIAS) | (1 << IN_INPUT) | (1 << IN_WEIGHTS)
EVERYTHING = (1 << CONV_UNITS) - 1


@compiled
def _consumer(m, t):  # type: ignore[no-untyped-def]
    """Loop that takes the loop command at the head of the queue in cycle `t`, NOBODY if there is none or no room."""
    if m[F_A_HEAD] == m[F_A_TAIL] or at_conv(m) > t:
        return np.int64(NOBODY)
    if not unrolls_conv(m[CONV_QUEUE + m[F_A_HEAD] % FRONT_WIDTH * Y_SIZE + Y_FUNCT]):
        return np.int64(NOBODY)
    head = m[CV_HEAD]
    loop = 1 - head if m[CONV_LOOP + head * CR_SIZE + CR_CONFIGURED] else head
    return np.int64(NOBODY) if m[CONV_LOOP + loop * CR_SIZE + CR_CONFIGURED] else loop


@compiled
def _consume(m, t, loop):  # type: ignore[no-untyped-def]
    y = CONV_QUEUE + m[F_A_HEAD] % FRONT_WIDTH * Y_SIZE
    h = CONV_LOOP + loop * CR_SIZE
    configure_conv(m, h, m[y + Y_FUNCT], m[y + Y_RS1], m[y + Y_RS2])
    m[h + CR_NUMBER] = m[y + Y_COMMAND]
    m[CV_CONSUMED] = m[y + Y_COMMAND]
    m[y + Y_OUT] = t
    m[F_A_HEAD] += 1
    m[S_LAST_BUSY] = most(m[S_LAST_BUSY], t)
    if m[y + Y_FUNCT] == 15:
        m[CV_ACTIVE] = 1
    elif m[CV_ACTIVE] == 0:
        m[F_COMMAND] = most(m[F_COMMAND], m[y + Y_COMMAND] + 1)


@inlined
def _busy(m, unit):  # type: ignore[no-untyped-def]
    """Whether `unit` works on its loop, or commands of its are still in its pipeline."""
    o = conv_unit(unit)
    return m[o + CU_STATE] != IDLE or m[o + CU_FIRST] != 0 or m[o + CU_LAST] != 0


@inlined
def _over(m, of, other):  # type: ignore[no-untyped-def]
    """Whether unit `of` has nothing more to do for the loop `other` works on."""
    return m[conv_unit(of) + CU_LOOP] != m[conv_unit(other) + CU_LOOP] or not _busy(m, of)


@inlined
def _queue(unit):  # type: ignore[no-untyped-def]
    return STORE if unit == IN_STORE else (EXECUTE if unit == IN_EXECUTE else LOAD)


@inlined
def _operand(m, unit):  # type: ignore[no-untyped-def]
    """Memory address of what `unit` moves, 0 if its loop does not; of no meaning for the execute unit."""
    h = conv_loop(m, unit)
    if unit == IN_BIAS:
        return m[h + CR_BIAS]
    if unit == IN_INPUT:
        return m[h + CR_INPUT]
    return m[h + CR_WEIGHTS] if unit == IN_WEIGHTS else m[h + CR_OUTPUT]


@compiled
def _waits_for_loop(m, unit):  # type: ignore[no-untyped-def]
    """Whether loading `unit` must let the loop of the execute unit finish its loads first (wait_for_prev_loop)."""
    if m[conv_unit(unit) + CU_LOOP] == m[conv_unit(IN_EXECUTE) + CU_LOOP]:
        return False
    h = conv_loop(m, IN_EXECUTE)
    computing = (m[h + CR_STARTED] & ~m[h + CR_COMPLETED]) >> IN_EXECUTE
    return computing & 1 != 0 and m[h + CR_COMPLETED] & LOADS != LOADS


@compiled
def _offers(m, unit):  # type: ignore[no-untyped-def]
    """Whether `unit` has a command for the first register of its pipeline."""
    if m[conv_unit(unit) + CU_STATE] == IDLE:
        return False
    if unit == IN_EXECUTE:
        loaded = _over(m, IN_INPUT, IN_EXECUTE) and _over(m, IN_WEIGHTS, IN_EXECUTE) and _over(m, IN_BIAS, IN_EXECUTE)
        return loaded and not on_a_hole(m)
    if _operand(m, unit) == 0:
        return False
    return _over(m, IN_EXECUTE, IN_STORE) if unit == IN_STORE else not _waits_for_loop(m, unit)


@inlined
def _ready(m, unit, entries):  # type: ignore[no-untyped-def]
    """Whether the arbiter sees a command of `unit`: one in the last register, and its share is not full."""
    return m[conv_unit(unit) + CU_LAST] != 0 and m[CV_UTIL_LD + _queue(unit)] < entries


@compiled
def _winner(m, t):  # type: ignore[no-untyped-def]
    """Unit whose command the arbiter passes in this cycle, NOBODY if none is ready or there is no room."""
    if not conv_room(m, t):
        return NOBODY
    if _ready(m, IN_STORE, m[P_ST_ENTRIES]):
        return IN_STORE
    if _ready(m, IN_EXECUTE, m[P_EX_ENTRIES]):
        return IN_EXECUTE
    if _ready(m, IN_BIAS, m[P_LD_ENTRIES]):
        return IN_BIAS
    if _ready(m, IN_WEIGHTS, m[P_LD_ENTRIES]):
        return IN_WEIGHTS
    return IN_INPUT if _ready(m, IN_INPUT, m[P_LD_ENTRIES]) else NOBODY


@compiled
def _send(m, t, unit):  # type: ignore[no-untyped-def]
    """The last register of `unit` leaves for LoopMatmul's queue."""
    o = conv_unit(unit)
    m[CV_UTIL_LD + _queue(unit)] += 1
    number = m[conv_loop(m, unit) + CR_NUMBER]
    emit_conv(m, t, number, m[o + CU_LAST_FUNCT], m[o + CU_LAST_RS1], m[o + CU_LAST_RS2])
    m[o + CU_LAST] = 0


@compiled
def _shift(m, unit, entering):  # type: ignore[no-untyped-def]
    """Move the pipeline of `unit` on, whose last register is empty if its command has left in this cycle, and take the
    unit's next command into the first register if one is `entering`; returns whether anything moved."""
    o = conv_unit(unit)
    moved = False
    if m[o + CU_FIRST] and not m[o + CU_LAST]:
        m[o + CU_LAST], m[o + CU_LAST_FUNCT] = 1, m[o + CU_FIRST_FUNCT]
        m[o + CU_LAST_RS1], m[o + CU_LAST_RS2], m[o + CU_FIRST] = m[o + CU_FIRST_RS1], m[o + CU_FIRST_RS2], 0
        moved = True
    if entering and not m[o + CU_FIRST]:
        if unit == IN_BIAS:
            funct, rs1, rs2 = next_bias(m)
        elif unit == IN_INPUT:
            funct, rs1, rs2 = next_input(m)
        elif unit == IN_WEIGHTS:
            funct, rs1, rs2 = next_weights(m)
        elif unit == IN_EXECUTE:
            funct, rs1, rs2 = next_execute(m)
            if m[o + CU_STATE] == IDLE:
                m[CV_EXECUTED] = m[conv_loop(m, unit) + CR_NUMBER] + 1
        else:
            funct, rs1, rs2 = next_store(m)
        m[o + CU_FIRST], m[o + CU_FIRST_FUNCT], m[o + CU_FIRST_RS1], m[o + CU_FIRST_RS2] = 1, funct, rs1, rs2
        moved = True
    return moved


@compiled
def _requested_loop(m, unit):  # type: ignore[no-untyped-def]
    """Loop `unit` begins in this cycle, NOBODY if it is at work or none is ready for it."""
    if _busy(m, unit):
        return np.int64(NOBODY)
    started = m[CONV_LOOP + m[CV_HEAD] * CR_SIZE + CR_STARTED]
    loop = 1 - m[CV_HEAD] if (started >> unit) & 1 else m[CV_HEAD]
    h = CONV_LOOP + loop * CR_SIZE
    if not m[h + CR_CONFIGURED] or (m[h + CR_STARTED] >> unit) & 1:
        return np.int64(NOBODY)
    if unit == IN_EXECUTE and m[h + CR_STARTED] & LOADS != LOADS:
        return np.int64(NOBODY)
    if unit == IN_STORE and not (m[h + CR_STARTED] >> IN_EXECUTE) & 1:
        return np.int64(NOBODY)
    return loop


@compiled
def _begin(m, unit, loop):  # type: ignore[no-untyped-def]
    """`unit` takes up `loop`; accumulator halves alternate for bias, execute and store each, where output leaves."""
    o, h = conv_unit(unit), CONV_LOOP + loop * CR_SIZE
    m[o + CU_STATE], m[o + CU_LOOP] = CONFIGURING, loop
    for iterator in range(CU_BATCH, CU_NEW):
        m[o + iterator] = 0
    m[h + CR_STARTED] |= 1 << unit
    m[h + CR_RUNNING] = 1
    if unit == IN_INPUT:
        m[o + CU_START], m[o + CU_ROW], m[o + CU_COLUMN] = conv_a_start(m, h, loop), -m[h + CR_UPPER], -m[h + CR_LEFT]
        return
    if unit == IN_WEIGHTS:
        m[o + CU_START] = conv_b_end(m, h, loop)
        return
    m[o + CU_START] = m[o + CU_NEXT_START]
    if m[h + CR_OUTPUT]:
        m[o + CU_NEXT_START] = m[P_ACC_ROWS] // 2 - m[o + CU_NEXT_START]
    if unit == IN_EXECUTE:
        m[o + CU_NEW] = 1
        m[o + CU_STATE] = CONFIGURING if m[h + CR_INPUT_3120] else PRELOADING
    elif unit == IN_STORE:
        m[o + CU_STATE] = STORING if m[h + CR_NO_POOL] else BEFORE_POOL


@compiled
def _completions(m, unit):  # type: ignore[no-untyped-def]
    """Whether `unit` is found to be done with its loop in this cycle."""
    h = conv_loop(m, unit)
    started = m[h + CR_RUNNING] and (m[h + CR_STARTED] >> unit) & 1
    return started and not (m[h + CR_COMPLETED] >> unit) & 1 and not _busy(m, unit)


@compiled
def _finish_head(m, t):  # type: ignore[no-untyped-def]
    """The head loop is over: the other becomes the head."""
    h = CONV_LOOP + m[CV_HEAD] * CR_SIZE
    m[h + CR_CONFIGURED], m[h + CR_RUNNING], m[h + CR_STARTED], m[h + CR_COMPLETED] = 0, 0, 0, 0
    m[F_COMMAND] = most(m[F_COMMAND], m[h + CR_NUMBER] + 1)
    m[CV_HEAD] = 1 - m[CV_HEAD]
    m[S_LAST_BUSY] = most(m[S_LAST_BUSY], t)
    if not m[CONV_LOOP + m[CV_HEAD] * CR_SIZE + CR_CONFIGURED]:
        m[F_COMMAND] = most(m[F_COMMAND], m[CV_CONSUMED] + 1)
        m[CV_ACTIVE], m[CV_FREE] = 0, t + 1


@compiled
def _decide(m):  # type: ignore[no-untyped-def]
    """Masks of the units that offer a command, give up their loop, are found done, or begin a loop; and which loop."""
    offers, skips, done, begun, loops = 0, 0, 0, 0, 0
    for unit in range(CONV_UNITS):
        loop = _requested_loop(m, unit)
        if loop != NOBODY:
            begun |= 1 << unit
            loops |= loop << unit
        offers |= (1 << unit) if _offers(m, unit) else 0
        skips |= (1 << unit) if unit != IN_EXECUTE and m[conv_unit(unit) + CU_STATE] and not _operand(m, unit) else 0
        done |= (1 << unit) if _completions(m, unit) else 0
    return offers, skips, done, begun, loops


@compiled
def loop_conv(m, t, host):  # type: ignore[no-untyped-def]
    """One cycle of LoopConv."""
    head = CONV_LOOP + m[CV_HEAD] * CR_SIZE
    taker, winner, hole = _consumer(m, t), _winner(m, t), on_a_hole(m)
    offers, skips, done, begun, loops = _decide(m)
    over = m[head + CR_RUNNING] and m[head + CR_COMPLETED] == EVERYTHING
    moved = winner != NOBODY or taker != NOBODY or over or hole or (skips | done | begun) != 0
    if winner != NOBODY:
        _send(m, t, winner)
    for unit in range(CONV_UNITS):
        if (done >> unit) & 1:
            m[conv_loop(m, unit) + CR_COMPLETED] |= 1 << unit
        if (skips >> unit) & 1:
            m[conv_unit(unit) + CU_STATE] = IDLE
        moved = _shift(m, unit, (offers >> unit) & 1) or moved
    if hole:
        step_execute(m, True)
    for unit in range(CONV_UNITS):
        if (begun >> unit) & 1:
            _begin(m, unit, (loops >> unit) & 1)
    if over:
        _finish_head(m, t)
    if taker != NOBODY:
        _consume(m, t, taker)
    m[CV_NEXT] = t + 1 if moved else NEVER
    if winner != NOBODY or taker != NOBODY or over:
        advance_front(m, host)
    elif not moved and m[F_A_HEAD] != m[F_A_TAIL] and at_conv(m) > t:
        m[CV_NEXT] = least(m[CV_NEXT], at_conv(m))
