"""LoopConv's place in the front end: its own queue (A), filled with the host's commands, and LoopMatmul's queue (B)
behind it, which takes what it passes on and what it sends itself (Controller.scala).
"""

from __future__ import annotations

from simulator.engine_compile import compiled, inlined, most
from simulator.engine_conv_state import CV_FREE

# isort: off
from simulator.engine_state import (
    CONV_QUEUE, FRONT_WIDTH, FROM_CONV, F_A_HEAD, F_B_HEAD, F_B_TAIL, MATMUL_QUEUE, P_FRONT_ENTRIES, Y_COMMAND,
    Y_FUNCT, Y_IN, Y_OUT, Y_RS1, Y_RS2, Y_SIZE, Y_SOURCE,
)  # fmt: skip
# isort: on


@inlined
def unrolls_conv(funct):  # type: ignore[no-untyped-def]
    """Whether LoopConv consumes the command: loop_conv_ws and its configuration (GemminiISA.scala)."""
    return 15 <= funct <= 21


@inlined
def at_conv(m):  # type: ignore[no-untyped-def]
    """First cycle in which LoopConv sees the command at the head of its queue."""
    head = m[F_A_HEAD]
    entered = m[CONV_QUEUE + head % FRONT_WIDTH * Y_SIZE + Y_IN]
    return most(entered, m[CONV_QUEUE + (head - 1) % FRONT_WIDTH * Y_SIZE + Y_OUT]) + 1


@inlined
def matmul_slot_free(m):  # type: ignore[no-untyped-def]
    """First cycle in which LoopMatmul's queue has room for one more, if it is known to get any."""
    return m[MATMUL_QUEUE + (m[F_B_TAIL] - m[P_FRONT_ENTRIES]) % FRONT_WIDTH * Y_SIZE + Y_OUT] + 1


@compiled
def pass_conv(m):  # type: ignore[no-untyped-def]
    """Move the command at the head of LoopConv's queue, none of its own, into LoopMatmul's, which will have room."""
    a, b = CONV_QUEUE + m[F_A_HEAD] % FRONT_WIDTH * Y_SIZE, MATMUL_QUEUE + m[F_B_TAIL] % FRONT_WIDTH * Y_SIZE
    time = most(most(at_conv(m), m[CV_FREE]), matmul_slot_free(m))
    for word in range(Y_IN):
        m[b + word] = m[a + word]
    m[b + Y_IN], m[a + Y_OUT] = time, time
    m[F_A_HEAD] += 1
    m[F_B_TAIL] += 1


@inlined
def conv_room(m, t):  # type: ignore[no-untyped-def]
    """Whether LoopMatmul's queue takes a command in cycle `t`."""
    return m[F_B_TAIL] - m[F_B_HEAD] < m[P_FRONT_ENTRIES] and matmul_slot_free(m) <= t


@compiled
def emit_conv(m, t, number, funct, rs1, rs2):  # type: ignore[no-untyped-def]
    """LoopConv puts a command into LoopMatmul's queue in cycle `t`, for host command `number`."""
    y = MATMUL_QUEUE + m[F_B_TAIL] % FRONT_WIDTH * Y_SIZE
    m[y + Y_FUNCT], m[y + Y_RS1], m[y + Y_RS2] = funct, rs1, rs2
    m[y + Y_COMMAND], m[y + Y_SOURCE], m[y + Y_IN] = number, FROM_CONV, t
    m[F_B_TAIL] += 1
