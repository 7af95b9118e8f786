"""One of the front end's queues of commands: records in a ring, each with the cycles it came in and left (Y_*)."""

from __future__ import annotations

from simulator.cycle_level.compile import inlined, merged, most

# isort: off
from simulator.cycle_level.state import (
    FRONT_WIDTH, P_FRONT_ENTRIES, Y_COMMAND, Y_FUNCT, Y_IN, Y_OUT, Y_RS1, Y_RS2, Y_SIZE, Y_SOURCE,
)  # fmt: skip
# isort: on


@inlined
def place(queue, number):  # type: ignore[no-untyped-def]
    """Record of the queue's command `number`, counted from its first."""
    return queue + number % FRONT_WIDTH * Y_SIZE


@inlined
def head_seen(m, queue, head):  # type: ignore[no-untyped-def]
    """First cycle in which what stands at the queue's head is seen: it has come in, and the one before it has left."""
    return most(m[place(queue, head) + Y_IN], m[place(queue, head - 1) + Y_OUT]) + 1


@inlined
def slot_free(m, queue, tail):  # type: ignore[no-untyped-def]
    """First cycle in which the queue has room for command `tail`, if it is known to get any."""
    return m[place(queue, tail - m[P_FRONT_ENTRIES]) + Y_OUT] + 1


@inlined
def put_command(m, queue, tail, time, funct, rs1, rs2, number, source):  # type: ignore[no-untyped-def]
    """A command for host command `number` comes in in cycle `time`."""
    y = place(queue, tail)
    m[y + Y_FUNCT], m[y + Y_RS1], m[y + Y_RS2] = funct, rs1, rs2
    m[y + Y_COMMAND], m[y + Y_SOURCE], m[y + Y_IN] = number, source, time


@merged
def move_command(m, time, queue, head, behind, tail):  # type: ignore[no-untyped-def]
    """In cycle `time` the head of `queue` becomes command `tail` of the queue `behind` it."""
    leaving, entering = place(queue, head), place(behind, tail)
    for word in range(Y_IN):
        m[entering + word] = m[leaving + word]
    m[entering + Y_IN], m[leaving + Y_OUT] = time, time
