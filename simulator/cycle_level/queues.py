"""Front end of the engine: the chain of queues a command passes from the host to the reservation station.

Two-entry queues (Controller.scala: raw, loop_conv, loop_matmul, unrolled), each adding a cycle; a command leaves one
when the next has room, an unroller's own command when the unroller takes it.
"""

from __future__ import annotations

from simulator.cycle_level.command_queue import head_seen, move_command, place, put_command, slot_free
from simulator.cycle_level.compile import compiled, inlined, least, merged, most
from simulator.cycle_level.conv_front import at_conv, matmul_slot_free, pass_conv, unrolls_conv
from simulator.cycle_level.conv_state import CV_ACTIVE, CV_NEXT

# isort: off
from simulator.cycle_level.state import (
    CONV_QUEUE, FRONT, FRONT_WIDTH, F_A_HEAD, F_A_TAIL, F_BASE, F_B_HEAD, F_B_TAIL, F_C_HEAD, F_C_TAIL, F_END, F_FULL,
    F_NEXT, F_READ, F_STARVED, HOST, H_ACTIVE, H_FREE, H_NEXT, MATMUL_QUEUE, NEVER, P_FRONT, P_FRONT_ENTRIES, P_GAP,
    UNROLLED, Y_FUNCT, Y_OUT,
)  # fmt: skip
# isort: on


@inlined
def unrolls(funct):  # type: ignore[no-untyped-def]
    """Whether LoopMatmul consumes the command: loop_ws and its configuration (GemminiISA.scala)."""
    return 8 <= funct <= 13


@merged
def _read(m, host):  # type: ignore[no-untyped-def]
    """Pass the host's next command through the queues up to LoopConv's (or, in a machine without one, the first).

    `host` is (funct, rs1, rs2, accepted) of the commands from number F_BASE to F_END - 1. The command's place in
    `accepted`, for the cycle in which it comes in, holds the host's own cycles before it.
    """
    funct, rs1, rs2, accepted = host
    ring, last, number = m[P_FRONT_ENTRIES], m[P_FRONT] - 3, m[F_READ]
    here, local = number % ring if ring & (ring - 1) else number & (ring - 1), number - m[F_BASE]
    before = here - 1 if here else ring - 1
    time = m[FRONT + before] + m[P_GAP] + accepted[local]
    for stage in range(last + 1):
        if stage < last:
            left = m[FRONT + (stage + 1) * FRONT_WIDTH + here]
        else:
            left = m[place(CONV_QUEUE, number - ring) + Y_OUT]
        if stage == 0:
            accepted[local] = time = most(most(time + 1, left + 1), 0)
        else:
            time = most(most(time + 1, m[FRONT + stage * FRONT_WIDTH + before] + 1), left + 1)
        m[FRONT + stage * FRONT_WIDTH + here] = time
    put_command(m, CONV_QUEUE, number, time, funct[local], rs1[local], rs2[local], number, HOST)
    m[F_A_TAIL] = m[F_READ] = number + 1


@inlined
def at_matmul(m):  # type: ignore[no-untyped-def]
    """First cycle in which LoopMatmul sees the command at the head of its queue."""
    return head_seen(m, MATMUL_QUEUE, m[F_B_HEAD])


@merged
def _pass_on(m):  # type: ignore[no-untyped-def]
    """Move the plain command at the head of LoopMatmul's queue into the unrolled queue, which has room."""
    time = most(most(at_matmul(m), m[H_FREE]), slot_free(m, UNROLLED, m[F_C_TAIL]))
    move_command(m, time, MATMUL_QUEUE, m[F_B_HEAD], UNROLLED, m[F_C_TAIL])
    m[F_B_HEAD] += 1
    m[F_C_TAIL] += 1


@compiled
def advance_front(m, host):  # type: ignore[no-untyped-def]
    """Determine every time in the front end that no longer depends on the future; sets when allocation may go on.

    F_STARVED tells that a command behind those held might already have been on its way. A loop command, or a command
    that meets a loop being unrolled, waits at the head of the unroller's queue for `cycle_level.loop_conv` or
    `cycle_level.loop_matmul`.
    """
    ring = m[P_FRONT_ENTRIES]
    moved = True
    while moved:
        moved = False
        while m[F_B_HEAD] != m[F_B_TAIL]:
            held = unrolls(m[place(MATMUL_QUEUE, m[F_B_HEAD]) + Y_FUNCT])
            if m[H_ACTIVE] or held:
                m[H_NEXT] = least(m[H_NEXT], at_matmul(m))
            if m[H_ACTIVE] or held or m[F_C_TAIL] - m[F_C_HEAD] >= ring:
                break
            _pass_on(m)
        empty = m[F_B_HEAD] == m[F_B_TAIL]
        while m[F_A_HEAD] != m[F_A_TAIL]:
            held = unrolls_conv(m[place(CONV_QUEUE, m[F_A_HEAD]) + Y_FUNCT])
            if m[CV_ACTIVE] or held:
                m[CV_NEXT] = least(m[CV_NEXT], at_conv(m))
            if m[CV_ACTIVE] or held or m[F_B_TAIL] - m[F_B_HEAD] >= ring:
                break
            pass_conv(m)
            # Only what has come to the head of a queue, or stands before one with room, can be moved on.
            moved = moved or empty or m[F_C_TAIL] - m[F_C_HEAD] < ring
        empty = m[F_A_HEAD] == m[F_A_TAIL]
        m[F_STARVED] = 0
        while m[F_A_TAIL] - m[F_A_HEAD] < ring:
            if m[F_READ] == m[F_END]:
                m[F_STARVED] = 1
                break
            _read(m, host)
            moved = moved or empty or m[F_B_TAIL] - m[F_B_HEAD] < ring
    if m[CV_ACTIVE] and m[F_B_TAIL] - m[F_B_HEAD] < ring:
        m[CV_NEXT] = least(m[CV_NEXT], matmul_slot_free(m))
    if m[F_FULL] == 0:
        m[F_NEXT] = NEVER
        if m[F_C_HEAD] != m[F_C_TAIL]:
            m[F_NEXT] = head_seen(m, UNROLLED, m[F_C_HEAD])


@inlined
def has_room(m):  # type: ignore[no-untyped-def]
    """Whether the unrolled queue takes a command in this cycle; unrollers run before the cycle's allocation."""
    return m[F_C_TAIL] - m[F_C_HEAD] < m[P_FRONT_ENTRIES]


@compiled
def emit(m, t, source, number, funct, rs1, rs2):  # type: ignore[no-untyped-def]
    """An unroller puts a command into the unrolled queue in cycle `t`, for host command `number`."""
    put_command(m, UNROLLED, m[F_C_TAIL], t, funct, rs1, rs2, number, source)
    m[F_C_TAIL] += 1
    if m[F_FULL] == 0 and m[F_C_TAIL] - m[F_C_HEAD] == 1:
        m[F_NEXT] = t + 1
