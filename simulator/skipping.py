"""Runs a machine without simulating twice what it repeats: `simulate(chunks)` does so by itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simulator.engine_kernel import PAUSED, run
from simulator.engine_repeat import (
    KNOWN_SIZE,
    MOST_SEGMENTS,
    SKIPPED_CYCLES,
    SKIPPED_SEGMENTS,
    STATE,
    cut,
    may_repeat,
    note_after,
    note_before,
    note_state,
    repeats,
    resume,
    skip,
)
from simulator.engine_repeat_commands import BATCH_COMMANDS, READ, new_view
from simulator.engine_state import F_BASE, F_COMMAND, F_MORE, NEVER
from simulator.engine_window import EXECUTE_COMMANDS

Words = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]
END, NUMBER, TIMES = range(3)
TRIALS = 192
"""States looked at before it is asked whether that paid."""
LEAST_SHARE = 0.2
"""Segments to be skipped for each state looked at: below it, looking costs more than is saved."""
LONGEST_REST = 1 << 14
PARAMETERS = F_COMMAND
"""The machine's parameters lie before this slot."""


class Skipper:
    """Advances a machine exactly as `engine_kernel.run`, but leaves the cycles of acceptance alone.

    It keeps what it has seen of one machine: a run needs a Skipper of its own. Nothing is skipped on a machine that
    `may_repeat` does not take, nor from a stream's first loop command or outlandish address on. A stretch that repeats
    nothing is left alone for a while.
    """

    def __init__(self) -> None:
        self._known = np.zeros(KNOWN_SIZE, np.int64)
        self._known[STATE] = -1
        self._view = new_view()
        self._segments = np.zeros(3 * MOST_SEGMENTS, np.int64)
        self._on = True
        self._trials = self._skipped_before = self._rest = 0
        self._next_rest = TRIALS

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
        """Run `words` from cycle `t`; returns as `engine_kernel.run`."""
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
        columns = segments[: 3 * count].reshape(count, 3).T
        ends, numbers = columns[END].tolist(), columns[NUMBER].tolist()
        tries = _next_of(columns[TIMES] > 1)
        m[F_MORE] = 1
        i = 0
        while i < count:
            # Before the first cycle, some of the first segment's commands have been read already.
            if known[STATE] < 0 and tries[i] == i and first + i > 0 and not self._rests():
                self._trials += 1
                note_state(m, t, known, view)
            if known[STATE] >= 0:
                at, t = skip(m, t, known, view, segments, i, count)
                if at > i:
                    i = at
                    resume(m, t, known, view)
                    continue
            noted = known[STATE] >= 0 and tries[i] == i
            stop = i + 1 if noted else min(max(tries[i], i + self._rest, i + 1), count)
            start, end = ends[i - 1] if i else 0, ends[stop - 1]
            if noted:
                note_before(m, t, known)
            m[F_BASE] = first + start
            part = slice(start, end)
            t, how = run(m, memory, t, NEVER, intervals, funct[part], rs1[part], rs2[part], accepted[part])
            if how != PAUSED:
                return int(t), int(how)
            if noted:
                self._trials += 1
                note_after(m, t, known, view, numbers[i])
            else:
                known[STATE] = -1
                self._rest = max(0, self._rest - (stop - i))
            i = stop
        return int(t), PAUSED

    def _rests(self) -> bool:
        """Whether looking for what repeats does not pay at present."""
        if self._trials >= TRIALS:
            skipped = int(self._known[SKIPPED_SEGMENTS])
            if skipped - self._skipped_before < LEAST_SHARE * self._trials:
                self._rest, self._next_rest = self._next_rest, min(2 * self._next_rest, LONGEST_REST)
            else:
                self._next_rest = TRIALS
            self._trials, self._skipped_before = 0, skipped
        return self._rest > 0


def _next_of(wanted: npt.NDArray[np.bool_]) -> list[int]:
    """For each place, the first at or behind it that is wanted, or the end."""
    places = np.where(wanted, np.arange(len(wanted)), len(wanted))
    return [int(place) for place in np.minimum.accumulate(places[::-1])[::-1]]


def _skippable(funct: npt.NDArray[np.uint8], more: bool) -> int:
    """How many commands: the array's last work is left to the full run, which tells it from waiting for more."""
    if more:
        return int(funct.size)
    executes = np.flatnonzero(np.isin(funct, EXECUTE_COMMANDS))
    return int(executes[-1]) if executes.size else 0
