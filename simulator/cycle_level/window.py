"""A command stream in pieces, cut so that the engine can tell the array's last work from what is yet to come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from simulator.isa import COMPUTE_ACCUMULATED, COMPUTE_PRELOADED, LOOP_CONV_WS, LOOP_WS, PRELOAD
from simulator.program import Program

EXECUTE_COMMANDS = np.array([PRELOAD, COMPUTE_PRELOADED, COMPUTE_ACCUMULATED, LOOP_WS, LOOP_CONV_WS], np.uint8)
IS_EXECUTE = np.isin(np.arange(256), EXECUTE_COMMANDS)
"""By funct; to look each up is ten times as fast as to compare it with every one of them."""


def joined(first: Program, second: Program) -> Program:
    """The commands of `first`, then those of `second`."""
    return Program(
        funct=np.concatenate((first.funct, second.funct)),
        rs1=np.concatenate((first.rs1, second.rs1)),
        rs2=np.concatenate((first.rs2, second.rs2)),
    )


def pieces(programs: Iterable[Program]) -> Iterator[tuple[Program, bool]]:
    """(piece, whether another follows) of a stream; every piece but the first has a preload, compute or loop in it.

    So a piece that has a follower is not the one with the array's last work. One piece is read ahead.
    """
    held: Program | None = None
    for program in programs:
        if not len(program):
            continue
        if held is None:
            held = program
        elif IS_EXECUTE[program.funct].any():
            yield held, True
            held = program
        else:
            held = joined(held, program)
    if held is not None:
        yield held, False
