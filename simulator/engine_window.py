"""A command stream in pieces: the engine sees a window of it, and forgets the commands no unit will look at again.

Units name commands by their index in the window; moving the window takes the same number off all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from simulator.isa import COMPUTE_ACCUMULATED, COMPUTE_PRELOADED, PRELOAD
from simulator.program import Program

# isort: off
from simulator.engine_state import (
    COMMANDS, ENTRY, E_COMMAND, E_SIZE, F_COMMAND, LOAD_QUEUE, L_HEAD, L_TAIL, P_FRONT_ENTRIES, P_TRACE_FROM,
    P_TRACE_TO, QUEUE_RING, SLOTS, STORE_QUEUE, S_VALID, UNROLLER, U_COMMAND, U_SIZE, V_HEAD, V_TAIL, X_CQ_HEAD,
    X_CQ_TAIL, X_UQ_HEAD, X_UQ_TAIL,
)  # fmt: skip
# isort: on

_QUEUES = (
    (LOAD_QUEUE, QUEUE_RING, L_HEAD, L_TAIL),
    (STORE_QUEUE, QUEUE_RING, V_HEAD, V_TAIL),
    (COMMANDS, QUEUE_RING, X_CQ_HEAD, X_CQ_TAIL),
    (UNROLLER, 4, X_UQ_HEAD, X_UQ_TAIL),
)
_EXECUTE = np.array([PRELOAD, COMPUTE_PRELOADED, COMPUTE_ACCUMULATED], np.uint8)


def joined(first: Program, second: Program) -> Program:
    """The commands of `first`, then those of `second`."""
    return Program(
        funct=np.concatenate((first.funct, second.funct)),
        rs1=np.concatenate((first.rs1, second.rs1)),
        rs2=np.concatenate((first.rs2, second.rs2)),
    )


def pieces(programs: Iterable[Program]) -> Iterator[tuple[Program, bool]]:
    """(piece, whether another follows) of a stream; every piece but the first has a preload or compute in it.

    So a piece that has a follower is not the one with the array's last work. One piece is read ahead.
    """
    held: Program | None = None
    for program in programs:
        if not len(program):
            continue
        if held is None:
            held = program
        elif np.isin(program.funct, _EXECUTE).any():
            yield held, True
            held = program
        else:
            held = joined(held, program)
    if held is not None:
        yield held, False


def _oldest(m: npt.NDArray[np.int64]) -> int:
    """Index in the window of the oldest command a unit still holds, or that is next to be allocated."""
    valid = int(m[S_VALID])
    held = [int(m[ENTRY + slot * E_SIZE + E_COMMAND]) for slot in range(SLOTS) if valid >> slot & 1]
    for queue, size, head, tail in _QUEUES:
        held += [int(m[queue + number % size * U_SIZE + U_COMMAND]) for number in range(m[head], m[tail])]
    return min(held, default=int(m[F_COMMAND]))


def move(m: npt.NDArray[np.int64], window: Program, piece: Program) -> tuple[Program, int]:
    """The window once the engine has taken all of it, with `piece` to come; and how many commands it has let go."""
    # The front end keeps times by index modulo its entries.
    gone = _oldest(m) // int(m[P_FRONT_ENTRIES]) * int(m[P_FRONT_ENTRIES])
    m[[F_COMMAND, P_TRACE_FROM, P_TRACE_TO]] -= gone
    m[ENTRY + E_COMMAND : ENTRY + SLOTS * E_SIZE : E_SIZE] -= gone
    for queue, size, _, _ in _QUEUES:
        m[queue + U_COMMAND : queue + size * U_SIZE : U_SIZE] -= gone
    rest = Program(funct=window.funct[gone:], rs1=window.rs1[gone:], rs2=window.rs2[gone:])
    return joined(rest, piece), gone
