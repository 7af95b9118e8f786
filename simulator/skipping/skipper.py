"""Runs a machine without simulating twice what it repeats: `simulate(chunks)` does so by itself."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import finalize

import numpy as np
import numpy.typing as npt

from simulator.cycle_level.kernel import PAUSED, run
from simulator.cycle_level.state import F_BASE, F_COMMAND, F_MORE, NEVER
from simulator.cycle_level.window import IS_EXECUTE
from simulator.skipping.commands import BATCH_COMMANDS, READ, VIEW_SIZE, renew_view
from simulator.skipping.repeat import proceed
from simulator.skipping.table import (
    KNOWN_SIZE,
    MOST_SEGMENTS,
    SEGMENT_SIZE,
    SKIPPED_CYCLES,
    cut,
    may_repeat,
    renew,
    repeats,
)

Words = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]
PARAMETERS = F_COMMAND
"""The machine's parameters lie before this slot."""


MOST_SPARE = 8
"""Rooms kept for the Skippers to come: one a thread that simulates, at most so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Room:
    """What a Skipper works in: about 100 MiB, taken up as they fill. To take them up anew for each run would cost as
    much as half of what is simulated, so they go from one Skipper to the next."""

    known: npt.NDArray[np.int64]
    view: npt.NDArray[np.int64]
    segments: npt.NDArray[np.int64]
    rs1: npt.NDArray[np.int64]


_SPARE: list[_Room] = []


def _take_room() -> _Room:
    """A room in which nothing is known. A list's pop and append are whole to other threads."""
    try:
        room = _SPARE.pop()
    except IndexError:
        room = _Room(
            known=np.zeros(KNOWN_SIZE, np.int64),
            view=np.zeros(VIEW_SIZE, np.int64),
            segments=np.zeros(SEGMENT_SIZE * MOST_SEGMENTS, np.int64),
            rs1=np.zeros(BATCH_COMMANDS, np.int64),
        )
    renew(room.known)
    renew_view(room.view)
    return room


def _give_back(room: _Room) -> None:
    if len(_SPARE) < MOST_SPARE:
        _SPARE.append(room)


class Skipper:
    """Advances a machine exactly as `cycle_level.kernel.run`, but leaves the cycles of acceptance alone.

    It keeps what it has seen of one machine: a run needs a Skipper of its own. Nothing is skipped on a machine that
    `may_repeat` does not take, nor from a stream's first loop command or outlandish address on. A stretch that repeats
    nothing is left alone for a while.
    """

    def __init__(self) -> None:
        self._room = _take_room()
        finalize(self, _give_back, self._room)
        self._on = True

    @property
    def skipped_cycles(self) -> int:
        """Cycles that were not simulated."""
        return int(self._room.known[SKIPPED_CYCLES])

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
            self._room.view[:PARAMETERS] = m[:PARAMETERS]
            more, first = bool(m[F_MORE]), int(m[F_BASE])
            end = _skippable(funct, more)
            while done < end:
                batch = slice(done, min(done + BATCH_COMMANDS, end))
                numbered = self._room.rs1[: batch.stop - done]
                numbered[:] = rs1[batch]
                part = (funct[batch], numbered, rs2[batch])
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
        known, view, segments = self._room.known, self._room.view, self._room.segments
        funct, rs1, rs2 = words
        view[READ] = first
        count = cut(m, known, view, funct, rs1, rs2, segments)
        cycles, how = proceed(m, memory, t, intervals, funct, rs1, rs2, accepted, known, view, segments, count)
        return int(cycles), int(how)


def _skippable(funct: npt.NDArray[np.uint8], more: bool) -> int:
    """How many commands: the array's last work is left to the full run, which tells it from waiting for more."""
    if more:
        return int(funct.size)
    last = funct.size - 1
    while last >= 0 and not IS_EXECUTE[funct[last]]:
        last -= 1
    return max(last, 0)
