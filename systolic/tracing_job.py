"""Traces of layers and of command streams: runs them watched, one after another, into one file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mapper.program import layer_programs
from simulator.accelerator import Accelerator, Memory
from simulator.chrome_trace import ChromeTrace
from simulator.engine import simulate
from simulator.program import Program
from simulator.raw_commands import program_from_words
from simulator.tracing import TraceChunk, Watcher
from systolic.limits import TRACED_CYCLES
from systolic.replay_rows import read_rows
from systolic.trace_file import check_trace_name, trace_file

if TYPE_CHECKING:
    from systolic.pipeline import LayerRun, Progress
    from systolic.replay_job import ReplayRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRequest:
    """Where a trace goes and which cycles of every layer or stream it shows."""

    path: Path
    first_cycle: int = 0
    cycles: int = TRACED_CYCLES
    sample_cycles: int = 64

    def __post_init__(self) -> None:
        """Raises InputError, before any work is done, for a name that is no trace's."""
        check_trace_name(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedStream:
    """Commands to run under watch, with the memory behind them (None: the accelerator's)."""

    name: str
    programs: Program | Iterable[Program]
    memory: Memory | None = None
    command_gap_cycles: int = 0


def trace_streams(
    streams: Iterable[TracedStream], accelerator: Accelerator, request: TraceRequest, progress: Progress | None = None
) -> int:
    """Write the trace of `streams`, as if one ran after the other; returns how many there were.

    Memory is bounded by one chunk of a trace. Raises InputError as `trace_file`, `Watcher` and `simulate` do.
    """
    clock = f"{accelerator.clock_hz:g} Hz"
    facts = {"accelerator": accelerator.name, "clock": clock, "first_cycle_of_each_part": str(request.first_cycle)}
    done = 0
    with trace_file(request.path, facts) as write:
        trace = ChromeTrace()
        write(trace.begin(f"{accelerator.name}: 1 ns stands for 1 cycle ({clock})"))

        def take(chunk: TraceChunk) -> None:
            write(trace.of(chunk))

        for stream in streams:
            end = request.first_cycle + request.cycles
            watcher = Watcher(take, first_cycle=request.first_cycle, end_cycle=end, sample_cycles=request.sample_cycles)
            result = simulate(
                stream.programs,
                accelerator,
                memory=stream.memory,
                command_gap_cycles=stream.command_gap_cycles,
                advance=watcher,
            )
            write(trace.part(stream.name, result.cycles, commands=result.commands, **result.counters))
            done += 1
            if progress is not None:
                progress("trace", done, done)
    return done


def layer_streams(runs: Sequence[LayerRun], accelerator: Accelerator, chosen: Iterable[int]) -> Iterator[TracedStream]:
    """The commands of the layers numbered `chosen` that run as commands."""
    for index in chosen:
        run = runs[index]
        if run.result is not None:
            programs = layer_programs(run.layer, run.mapping, accelerator)
            yield TracedStream(name=f"{index}: {run.layer.name}", programs=programs)


def row_streams(request: ReplayRequest) -> Iterator[TracedStream]:
    """The rows of a file of command streams, read once more."""
    for row in read_rows(request.streams, request.defaults):
        yield TracedStream(
            name=row.name,
            programs=program_from_words(row.commands),
            memory=row.memory,
            command_gap_cycles=row.command_gap_cycles,
        )


def distinct_layers(runs: Sequence[LayerRun]) -> list[int]:
    """Numbers of the layers that run as commands, the first of each set of identical ones."""
    return [index for index, run in enumerate(runs) if run.result is not None and run.identical_to == index]
