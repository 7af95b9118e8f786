"""The cycle-level engine: what a Program costs on an accelerator, cycle by cycle. Timing only; values are
`functional`'s.

The units are those of Gemmini's RTL (ucb-bar/gemmini at 8c3f992), each with its queues and registers: front end and
reservation station (`cycle_level.front`), load path (`cycle_level.load`), execute controller and mesh
(`cycle_level.decide`, `cycle_level.execute`), store path (`cycle_level.store`), driven by one clock
(`cycle_level.kernel`) that skips the cycles in which nothing can happen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError
from simulator.accelerator import Accelerator, Memory
from simulator.command_check import check_next, new_check
from simulator.cost import STALL_CAUSES, MemoryActivity, Result, Trace
from simulator.cycle_level.counters import counters_of
from simulator.cycle_level.front import queue_of
from simulator.cycle_level.kernel import DONE, PAUSED, run, start
from simulator.cycle_level.limits import check_machine
from simulator.cycle_level.window import pieces
from simulator.memory_state import M_FETCHED, M_HITS, M_MISSED, M_ROW_HITS, M_ROW_MISSES, M_WRITTEN_BACK, new_memory
from simulator.program import Program
from simulator.skipping.skipper import Skipper

# isort: off
from simulator.cycle_level.state import (
    F_BASE, F_MORE, NEVER, NORMALISER, NU_ROWS, N_ACC_READ, N_ACC_WRITE, N_SP_READ, N_SP_WRITE, R_BEATS, R_BYTES,
    R_REQUESTS, STALLS, V_BEATS, V_BYTES, V_REQUESTS, X_BUSY, X_MACS, new_machine,
)  # fmt: skip
# isort: on


UNITS = ("load", "execute", "store")
NORMALISER_NOTE = "normaliser timing not RTL-checked"
Words = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]
Advance = Callable[
    [npt.NDArray[np.int64], npt.NDArray[np.int64], int, npt.NDArray[np.int64], Words, npt.NDArray[np.int64]],
    tuple[int, int],
]
"""Runs (machine, memory, from cycle, intervals, commands, their cycles of acceptance) until it needs more commands or
ends; returns as `cycle_level.kernel.run`."""


def _trace_of(intervals: npt.NDArray[np.int64], units: npt.NDArray[np.int8], span: tuple[int, int]) -> Trace:
    """Activity intervals of the traced commands that completed with one."""
    done = np.flatnonzero(intervals[:, 0] >= 0)
    return Trace(
        units=UNITS,
        unit=units[done],
        command=done.astype(np.int64) + span[0],
        start_cycle=intervals[done, 0],
        end_cycle=intervals[done, 1] + 1,
    )


def _note_units(units: npt.NDArray[np.int8], piece: Program, first: int, span: tuple[int, int]) -> None:
    """Which unit runs each traced command of `piece`, whose first command has index `first`."""
    for index in range(max(span[0], first), min(span[1], first + len(piece))):
        units[index - span[0]] = queue_of(piece.funct[index - first], piece.rs1[index - first].view(np.int64))


def in_full(
    m: npt.NDArray[np.int64],
    memory: npt.NDArray[np.int64],
    t: int,
    intervals: npt.NDArray[np.int64],
    words: Words,
    accepted: npt.NDArray[np.int64],
) -> tuple[int, int]:
    """Advance a machine cycle by cycle, whatever it repeats; returns as `cycle_level.kernel.run`."""
    cycles, end = run(m, memory, t, NEVER, intervals, *words, accepted)
    return int(cycles), int(end)


def activity_of(behind: npt.NDArray[np.int64]) -> MemoryActivity:
    """What the cache and DRAM of a memory's state did."""
    return MemoryActivity(
        hits=int(behind[M_HITS]),
        misses=int(behind[M_MISSED]),
        lines_fetched=int(behind[M_FETCHED]),
        lines_written_back=int(behind[M_WRITTEN_BACK]),
        row_hits=int(behind[M_ROW_HITS]),
        row_misses=int(behind[M_ROW_MISSES]),
    )


def result_of(m: npt.NDArray[np.int64], *, cycles: int, commands: int, accepted: npt.NDArray[np.int64]) -> Result:
    """What machine `m` did in `cycles` with a stream of `commands`, accepted in these cycles."""
    stalls = m[STALLS : STALLS + len(STALL_CAUSES)]
    return Result(
        cycles=cycles,
        commands=commands,
        execute_busy_cycles=int(m[X_BUSY]),
        load_busy_cycles=int(m[R_BEATS]),
        store_busy_cycles=int(m[V_BEATS]),
        stall_cycles={cause: int(spent) for cause, spent in zip(STALL_CAUSES, stalls, strict=True)},
        read_requests=int(m[R_REQUESTS]),
        read_bytes=int(m[R_BYTES]),
        write_requests=int(m[V_REQUESTS]),
        write_bytes=int(m[V_BYTES]),
        macs=int(m[X_MACS]),
        scratchpad_read_bytes=int(m[N_SP_READ]),
        scratchpad_write_bytes=int(m[N_SP_WRITE]),
        accumulator_read_bytes=int(m[N_ACC_READ]),
        accumulator_write_bytes=int(m[N_ACC_WRITE]),
        accepted_at=accepted,
        counters=counters_of(m, cycles),
        notes=(NORMALISER_NOTE,) if m[NORMALISER + NU_ROWS] else (),
    )


def _run_pieces(
    m: npt.NDArray[np.int64],
    behind: npt.NDArray[np.int64],
    programs: Iterable[Program],
    accelerator: Accelerator,
    span: tuple[int, int],
    intervals: npt.NDArray[np.int64],
    units: npt.NDArray[np.int8],
    host_cycles: npt.NDArray[np.int64] | None,
    advance: Advance,
) -> tuple[int, int, npt.NDArray[np.int64]]:
    """Run the stream piece by piece; returns (cycles, commands, cycles the commands of the last piece came in)."""
    cycles, known, checked = 0, 0, new_check()
    accepted: npt.NDArray[np.int64] = np.zeros(0, np.int64)
    room = accepted
    for piece, more in pieces(programs):
        check_next(piece, accelerator, checked, first_index=known, more=more)
        _note_units(units, piece, known, span)
        words = (
            np.ascontiguousarray(piece.funct),
            np.ascontiguousarray(piece.rs1).view(np.int64),
            np.ascontiguousarray(piece.rs2).view(np.int64),
        )
        if len(room) < len(piece):
            room = np.zeros(len(piece), np.int64)
        accepted = room[: len(piece)]
        accepted[:] = 0 if host_cycles is None else host_cycles
        m[F_MORE], m[F_BASE] = more, known
        t = cycles if known else start(m, *words, accepted)
        known += len(piece)
        cycles, stuck = advance(m, behind, t, intervals, words, accepted)
        if stuck != (PAUSED if more else DONE):
            raise RuntimeError(f"the engine made no progress at command {stuck}")
    return int(cycles), known, accepted


def simulate(
    program: Program | Iterable[Program],
    accelerator: Accelerator,
    *,
    memory: Memory | None = None,
    command_gap_cycles: int = 0,
    trace_commands: tuple[int, int] | None = None,
    host_cycles: npt.NDArray[np.int64] | None = None,
    memory_state: npt.NDArray[np.int64] | None = None,
    advance: Advance | None = None,
) -> Result:
    """Run `program` in timing mode.

    Consecutive Programs of one command stream give the result of their concatenation, and only two of them are held
    at a time (a run of Programs without preload or compute counts as one); `accepted_at` is then empty, and a fault is
    found when its Program's turn comes.
    `memory` overrides the accelerator's; the host offers a command `command_gap_cycles` extra cycles after the last
    was taken; `trace_commands` = (from, to) records the activity intervals of those command indices.
    `host_cycles`, int64 (n,), are further cycles of the host before each command of a single Program. `memory_state`
    (`memory_state.new_memory`), changed by the run, carries the cache from one run to the next. `advance` runs the
    machine in place of the engine's own way, which is as fast as it goes: `skipping.skipper.Skipper` for Programs in
    pieces without a trace, `in_full` otherwise (`tracing.Watcher` watches it). Raises InputError for an illegal command
    (index and field) or a machine beyond the engine's limits.
    """
    memory = memory or accelerator.memory
    check_machine(accelerator, memory, command_gap_cycles)
    whole = isinstance(program, Program)
    start_index, end_index = trace_commands or (0, 0)
    span = (max(0, start_index), min(len(program), end_index) if isinstance(program, Program) else end_index)
    if host_cycles is not None and not (isinstance(program, Program) and host_cycles.shape == (len(program),)):
        raise InputError("host_cycles", "needs one number a command of a single Program", value=host_cycles.shape)
    behind = new_memory(memory, accelerator.dma.bus_bytes) if memory_state is None else memory_state
    m = new_machine(accelerator, memory, command_gap_cycles, span)
    intervals = np.full((max(0, span[1] - span[0]), 2), -1, np.int64)
    units = np.full(len(intervals), -1, np.int8)
    programs = [program] if isinstance(program, Program) else program
    if advance is None:
        advance = in_full if whole or trace_commands else Skipper()
    cycles, commands, accepted = _run_pieces(
        m, behind, programs, accelerator, span, intervals, units, host_cycles, advance
    )
    result = result_of(m, cycles=cycles, commands=commands, accepted=accepted if whole else accepted[:0])
    return replace(
        result,
        trace=_trace_of(intervals, units, span) if trace_commands else None,
        memory_activity=activity_of(behind) if memory.cache else None,
    )
