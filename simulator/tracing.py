"""What a watched run of the cycle engine shows, in pieces of bounded size, and the watcher itself.

`simulate(..., advance=Watcher(take))` runs as without `advance`, and calls `take` with one TraceChunk after another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError
from simulator.cycle_level.kernel import DONE, ON_COMMAND, ON_DRAIN, PAUSED, REACHED, run
from simulator.cycle_level.state import F_MORE, NEVER

# isort: off
from simulator.cycle_level.trace import (
    A_SIZE, B_SIZE, C_SIZE, N_CAUSE, N_SAMPLES, N_SINCE, N_SIZE, N_SPANS, N_STALLS, UNKNOWN, cut_stalls, note_cause,
    observe, sample,
)  # fmt: skip
# isort: on

CHUNK_ROWS = 1 << 15
KEPT_STALLS = 4


class Span(NamedTuple):
    """A command in its unit, cycles [start, end): `unit` 0 load, 1 execute, 2 store; `command` is the number of the
    host's command it is or came from; it was `allocated` in the reservation station before it started."""

    unit: int
    command: int
    funct: int
    rs1: int
    rs2: int
    allocated: int
    start: int
    end: int


class Stall(NamedTuple):
    """Cycles [start, end) in which the array fired no row; `cause` is a position in `cost.STALL_CAUSES`."""

    cause: int
    start: int
    end: int


class Sample(NamedTuple):
    """At the start of a cycle: bytes asked for and cycles with a row fired so far, commands that each queue of the
    reservation station holds, and read requests in flight."""

    cycle: int
    read_bytes: int
    write_bytes: int
    busy_cycles: int
    loads: int
    executes: int
    stores: int
    reads_in_flight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceChunk:
    """What was seen since the last chunk: spans by the cycle they ended, stalls and samples by time; whether it is the
    `last` of the run."""

    spans: list[Span]
    stalls: list[Stall]
    samples: list[Sample]
    last: bool


class Watcher:
    """Advances the engine for `simulate` and logs the cycles from `first_cycle` up to `end_cycle` (None: the end).

    The rest of the run goes at full speed. `take` gets chunks of at most CHUNK_ROWS rows a kind, in order; a command
    under way at `end_cycle` is not among them. One Watcher watches one run.
    """

    def __init__(
        self,
        take: Callable[[TraceChunk], object],
        *,
        first_cycle: int = 0,
        end_cycle: int | None = None,
        sample_cycles: int = 64,
        stop: bool = False,
    ) -> None:
        """With `stop` the run ends with the window: its Result says nothing, and further commands are taken unseen.

        Raises InputError for a window without cycles or samples less than a cycle apart.
        """
        if end_cycle is not None and end_cycle <= first_cycle:
            raise InputError("end_cycle", "nothing to watch before it", value=end_cycle, limit=first_cycle)
        if sample_cycles < 1 or first_cycle < 0:
            raise InputError("sample_cycles, first_cycle", "too small", value=min(sample_cycles, first_cycle))
        self._take, self._every = take, sample_cycles
        self._first, self._last = first_cycle, NEVER if end_cycle is None else end_cycle
        self._logs = tuple(np.zeros((CHUNK_ROWS, size), np.int64) for size in (A_SIZE, B_SIZE, C_SIZE))
        self._filled = np.zeros(N_SIZE, np.int64)
        self._filled[[N_CAUSE, N_SINCE]] = UNKNOWN, 0
        self._started, self._open = False, True
        self._stop = stop
        self.done = False
        """Whether the last chunk is out."""

    def __call__(
        self,
        m: npt.NDArray[np.int64],
        memory: npt.NDArray[np.int64],
        t: int,
        trace: npt.NDArray[np.int64],
        words: tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]],
        accepted: npt.NDArray[np.int64],
    ) -> tuple[int, int]:
        """Run until the stream pauses or ends, as `cycle_level.kernel.run` does; (cycle, how it ended)."""
        if self.done and self._stop:
            return t, PAUSED if m[F_MORE] else DONE
        end = REACHED
        if not self._started and self._first <= t:
            # Before the first cycle there is to visit, the array waits for the first command.
            self._filled[[N_CAUSE, N_SINCE]] = ON_COMMAND, self._first
        self._started = True
        if t < self._first:
            t, end = run(m, memory, t, self._first, trace, *words, accepted)
            if end not in (REACHED, PAUSED) and t > self._first:
                # Nothing is left to visit; what is still on its way drains.
                note_cause(ON_DRAIN, self._first, self._logs[1], self._filled)
        if end == REACHED and self._open and t % self._every and not self._filled[N_SAMPLES]:
            sample(m, t, self._logs[2], self._filled)
        while end == REACHED and t < self._last:
            t, end = observe(m, memory, t, self._last, self._every, self._logs, self._filled, trace, *words, accepted)
            if end == REACHED and t < self._last:
                self._drain(kept=KEPT_STALLS)
        if self._open and end != PAUSED:
            self._close(m, t)
        if end == REACHED and self._stop:
            end = PAUSED if m[F_MORE] else DONE
        elif end == REACHED:
            t, end = run(m, memory, t, NEVER, trace, *words, accepted)
        if end != PAUSED or (self._stop and not self._open):
            # A window may reach beyond the end, which is known only now.
            cut_stalls(min(t, self._last), self._logs[1], self._filled)
            self._drain(kept=0)
            self.done = True
        return int(t), int(end)

    def _close(self, m: npt.NDArray[np.int64], t: int) -> None:
        """Nothing more is watched: the last stall ends, the last sample is taken."""
        note_cause(UNKNOWN, min(t, self._last), self._logs[1], self._filled)
        if self._first <= t <= self._last:
            sample(m, t, self._logs[2], self._filled)
        self._open = False

    def _drain(self, *, kept: int) -> None:
        """Hand over what is logged, but for the last `kept` stalls, which the end of the run may still cut."""
        spans, stalls, samples = self._logs
        count = max(0, int(self._filled[N_STALLS]) - kept)
        self._take(
            TraceChunk(
                spans=[Span(*row) for row in spans[: self._filled[N_SPANS]].tolist()],
                stalls=[Stall(*row) for row in stalls[:count].tolist()],
                samples=[Sample(*row) for row in samples[: self._filled[N_SAMPLES]].tolist()],
                last=kept == 0,
            )
        )
        left = int(self._filled[N_STALLS]) - count
        stalls[:left] = stalls[count : count + left]
        self._filled[[N_SPANS, N_STALLS, N_SAMPLES]] = 0, left, 0
