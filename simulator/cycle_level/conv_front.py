"""LoopConv's place in the front end: its own queue (A), filled with the host's commands, and LoopMatmul's queue (B)
behind it, which takes what it passes on and what it sends itself (Controller.scala).
"""

from __future__ import annotations

from simulator.cycle_level.command_queue import head_seen, move_command, put_command, slot_free
from simulator.cycle_level.compile import compiled, inlined, merged, most
from simulator.cycle_level.conv_state import CV_FREE

# isort: off
from simulator.cycle_level.state import (
    CONV_QUEUE, FROM_CONV, F_A_HEAD, F_B_HEAD, F_B_TAIL, MATMUL_QUEUE, P_FRONT_ENTRIES,
)  # fmt: skip
# isort: on


@inlined
def unrolls_conv(funct):  # type: ignore[no-untyped-def]
    """Whether LoopConv consumes the command: loop_conv_ws and its configuration (GemminiISA.scala)."""
    return 15 <= funct <= 21


@inlined
def at_conv(m):  # type: ignore[no-untyped-def]
    """First cycle in which LoopConv sees the command at the head of its queue."""
    return head_seen(m, CONV_QUEUE, m[F_A_HEAD])


@inlined
def matmul_slot_free(m):  # type: ignore[no-untyped-def]
    """First cycle in which LoopMatmul's queue has room for one more, if it is known to get any."""
    return slot_free(m, MATMUL_QUEUE, m[F_B_TAIL])


@merged
def pass_conv(m):  # type: ignore[no-untyped-def]
    """Move the command at the head of LoopConv's queue, none of its own, into LoopMatmul's, which will have room."""
    time = most(most(at_conv(m), m[CV_FREE]), matmul_slot_free(m))
    move_command(m, time, CONV_QUEUE, m[F_A_HEAD], MATMUL_QUEUE, m[F_B_TAIL])
    m[F_A_HEAD] += 1
    m[F_B_TAIL] += 1


@inlined
def conv_room(m, t):  # type: ignore[no-untyped-def]
    """Whether LoopMatmul's queue takes a command in cycle `t`."""
    return m[F_B_TAIL] - m[F_B_HEAD] < m[P_FRONT_ENTRIES] and matmul_slot_free(m) <= t


@compiled
def emit_conv(m, t, number, funct, rs1, rs2):  # type: ignore[no-untyped-def]
    """LoopConv puts a command into LoopMatmul's queue in cycle `t`, for host command `number`."""
    put_command(m, MATMUL_QUEUE, m[F_B_TAIL], t, funct, rs1, rs2, number, FROM_CONV)
    m[F_B_TAIL] += 1
