"""`systolic replay` from file to results: reads rows, fills in what they leave out, replays them in parallel."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from simulator.accelerator import Accelerator, Memory
from systolic.pipeline import Progress
from systolic.replay_rows import RowDefaults, read_rows
from systolic.replay_run import Replayed, replay_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequest:
    """What `systolic replay` was asked; a row that states no memory of its own gets these, or the accelerator's."""

    streams: Path
    accelerator: Accelerator
    latency_cycles: int | None = None
    cycles_per_beat: int | None = None
    command_gap_cycles: int = 0
    values: bool = True
    workers: int | None = None

    @property
    def defaults(self) -> RowDefaults:
        """The memory and gap of a row that states none."""
        own = self.accelerator.memory
        memory = Memory(
            latency_cycles=self.latency_cycles or own.latency_cycles,
            cycles_per_beat=self.cycles_per_beat or own.cycles_per_beat,
        )
        return RowDefaults(memory=memory, command_gap_cycles=self.command_gap_cycles)


def replay_file(request: ReplayRequest, progress: Progress | None = None) -> Iterator[Replayed]:
    """Every row of the request's file, replayed, in its order; memory is bounded by a few rows.

    Raises InputError naming file, line, row and field of the first row that is malformed or holds an illegal command.
    """

    def on_bytes(done: int, total: int) -> None:
        if progress is not None:
            progress("KiB read", done // 1024, total // 1024)

    rows = read_rows(request.streams, request.defaults, on_bytes)
    workers = request.workers or os.cpu_count() or 1
    return replay_rows(rows, request.accelerator, values=request.values, workers=workers)
