"""The cycle-level engine: what a Program costs on an accelerator, cycle by cycle. Timing only; values are
`functional`'s.

The units are those of Gemmini's RTL (ucb-bar/gemmini at 8c3f992), each with its queues and registers: front end and
reservation station (`engine_front`), load path (`engine_load`), execute controller and mesh (`engine_decide`,
`engine_execute`), store path (`engine_store`), driven by one clock (`engine_kernel`) that skips the cycles in which
nothing can happen.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError
from simulator.accelerator import Accelerator, Memory
from simulator.command_check import check_program
from simulator.cost import STALL_CAUSES, Result, Trace
from simulator.engine_front import queue_of
from simulator.engine_kernel import run
from simulator.program import Program

# isort: off
from simulator.engine_state import (
    N_ACC_READ, N_ACC_WRITE, N_SP_READ, N_SP_WRITE, R_BEATS, R_BYTES, R_REQUESTS, SLOTS, STALLS, V_BEATS, V_BYTES,
    V_REQUESTS, X_BUSY, X_MACS, new_machine,
)  # fmt: skip
# isort: on


UNITS = ("load", "execute", "store")


def _check_machine(accelerator: Accelerator, memory: Memory, gap: int) -> None:
    """Raise InputError for what the engine's state cannot hold."""
    queues, name = accelerator.queues, accelerator.name
    entries = queues.load_entries + queues.execute_entries + queues.store_entries
    bytes_per_row = accelerator.dim * accelerator.input_bytes
    limits = (
        ("queues entries in all", entries, SLOTS - 2),
        ("dma.requests_in_flight", accelerator.dma.requests_in_flight, 256),
        ("array.rows", accelerator.dim, 128),
        ("queues.command_entries", queues.command_entries, 60),
        ("scratchpad.read_queue_cycles", accelerator.scratchpad.read_queue_cycles, 10),
        ("array.matmuls_in_flight", accelerator.array.matmuls_in_flight, 32),
    )
    for field, value, limit in limits:
        if value > limit:
            raise InputError(f"{name}.{field}", "more than the engine holds", value=value, limit=limit)
    if accelerator.array.rows != accelerator.array.columns:
        raise InputError(f"{name}.array.columns", "the mesh must be square", value=accelerator.array.columns)
    if accelerator.dma.bus_bytes > accelerator.dma.request_bytes or bytes_per_row < 1:
        raise InputError(f"{name}.dma.bus_bytes", "wider than a request", value=accelerator.dma.bus_bytes)
    for field, value, least in (
        ("memory.latency_cycles", memory.latency_cycles, 1),
        ("memory.cycles_per_beat", memory.cycles_per_beat, 1),
        ("command_gap_cycles", gap, 0),
    ):
        if value < least:
            raise InputError(f"{name}.{field}", "too small", value=value, limit=least)


def _trace_of(intervals: npt.NDArray[np.int64], program: Program, span: tuple[int, int]) -> Trace:
    """Activity intervals of the traced commands that completed with one."""
    done = np.flatnonzero(intervals[:, 0] >= 0)
    command = done.astype(np.int64) + span[0]
    unit = [queue_of(program.funct[index], program.rs1[index]) for index in command]
    return Trace(
        units=UNITS,
        unit=np.array(unit, dtype=np.int8),
        command=command,
        start_cycle=intervals[done, 0],
        end_cycle=intervals[done, 1] + 1,
    )


def simulate(
    program: Program,
    accelerator: Accelerator,
    *,
    memory: Memory | None = None,
    command_gap_cycles: int = 0,
    trace_commands: tuple[int, int] | None = None,
) -> Result:
    """Run `program` in timing mode.

    `memory` overrides the accelerator's; the host offers a command `command_gap_cycles` extra cycles after the last
    was taken; `trace_commands` = (from, to) records the activity intervals of those command indices. Raises
    InputError for an illegal command (index and field) or a machine beyond the engine's limits.
    """
    memory = memory or accelerator.memory
    _check_machine(accelerator, memory, command_gap_cycles)
    check_program(program, accelerator)
    accepted: npt.NDArray[np.int64] = np.zeros(len(program), np.int64)
    span = trace_commands or (0, 0)
    span = (max(0, span[0]), min(len(program), span[1]))
    m = new_machine(accelerator, memory, command_gap_cycles, span)
    intervals = np.full((max(0, span[1] - span[0]), 2), -1, np.int64)
    cycles = 0
    if len(program):
        cycles, stuck = run(m, intervals, program.funct, program.rs1, program.rs2, accepted)
        if stuck >= 0:
            raise RuntimeError(f"the engine made no progress at command {stuck}")
    stalls = m[STALLS : STALLS + len(STALL_CAUSES)]
    return Result(
        cycles=int(cycles),
        commands=len(program),
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
        trace=_trace_of(intervals, program, span) if trace_commands else None,
    )
