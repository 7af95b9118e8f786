"""Runs a machine without simulating twice what it repeats: `simulate(chunks)` does so by itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simulator.cycle_level.kernel import PAUSED, run
from simulator.cycle_level.state import F_BASE, F_COMMAND, F_MORE, NEVER
from simulator.cycle_level.window import EXECUTE_COMMANDS
from simulator.skipping.commands import BATCH_COMMANDS, READ, new_view
from simulator.skipping.repeat import proceed
from simulator.skipping.table import (
    KNOWN_SIZE,
    MOST_SEGMENTS,
    SEGMENT_SIZE,
    SKIPPED_CYCLES,
    STATE,
    cut,
    may_repeat,
    repeats,
)

Words = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]
PARAMETERS = F_COMMAND
"""The machine's parameters lie before this slot."""
_IS_EXECUTE = np.isin(np.arange(256), EXECUTE_COMMANDS)
"""By funct; to look each up is ten times as fast as to compare it with every one of them."""


class Skipper:
    """Advances a machine exactly as `cycle_level.kernel.run`, but leaves the cycles of acceptance alone.

    It keeps what it has seen of one machine: a run needs a Skipper of its own. Nothing is skipped on a machine that
    `may_repeat` does not take, nor from a stream's first loop command or outlandish address on. A stretch that repeats
    nothing is left alone for a while.
    """

    def __init__(self) -> None:
        self._known = np.zeros(KNOWN_SIZE, np.int64)
        self._known[STATE] = -1
        self._view = new_view()
        self._segments = np.zeros(SEGMENT_SIZE * MOST_SEGMENTS, np.int64)
        self._on = True

    @property
    def skipped_cycles(self) -> int:
        """Cycles that were not simulated."""
        return int(self._known[SKIPPED_CYCLES])

    def __call__(
        self,
        m: npt.NDArray[np.int64],
        memory: npt.NDArray[np.int64],
        t: int,
        intervals: npt.NDArray[np.int64],
        words: Words,
        accepted: npt.NDArray[np.int64],
    ) -> tuple[int, int]:
        """Run `words` from cycle `t`; returns as `cycle_level.kernel.run`."""
        funct, rs1, rs2 = words
        self._on = self._on and may_repeat(m) and repeats(funct, rs1, rs2)
        done = 0
        if self._on:
            self._view[:PARAMETERS] = m[:PARAMETERS]
            more, first = bool(m[F_MORE]), int(m[F_BASE])
            end = _skippable(funct, more)
            while done < end:
                batch = slice(done, min(done + BATCH_COMMANDS, end))
                part = (funct[batch], rs1[batch].copy(), rs2[batch])
                t, how = self._batch(m, memory, t, intervals, part, accepted[batch], first + done)
                if how != PAUSED:
                    return t, how
                done = batch.stop
            if more:
                return t, PAUSED
            m[F_MORE], m[F_BASE] = more, first + done
        cycles, how = run(m, memory, t, NEVER, intervals, funct[done:], rs1[done:], rs2[done:], accepted[done:])
        return int(cycles), int(how)

    def _batch(
        self,
        m: npt.NDArray[np.int64],
        memory: npt.NDArray[np.int64],
        t: int,
        intervals: npt.NDArray[np.int64],
        words: Words,
        accepted: npt.NDArray[np.int64],
        first: int,
    ) -> tuple[int, int]:
        """Run a batch of commands, the first with number `first`, none of which is the array's last."""
        known, view, segments = self._known, self._view, self._segments
        funct, rs1, rs2 = words
        view[READ] = first
        count = cut(m, known, view, funct, rs1, rs2, segments)
        done = 0
        while True:
            done, start, end, t = proceed(m, t, known, view, segments, done, count)
            if start == end:
                return int(t), PAUSED
            part = slice(start, end)
            t, how = run(m, memory, t, NEVER, intervals, funct[part], rs1[part], rs2[part], accepted[part])
            if how != PAUSED:
                return int(t), int(how)


def _skippable(funct: npt.NDArray[np.uint8], more: bool) -> int:
    """How many commands: the array's last work is left to the full run, which tells it from waiting for more."""
    if more:
        return int(funct.size)
    executes = np.flatnonzero(_IS_EXECUTE[funct])
    return int(executes[-1]) if executes.size else 0
