"""`Cost` is what every cost model returns and `Result` what the cycle-level engine adds to it. Nouns only."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Cycles, traffic and energy of one layer (or of a sum of layers) on one machine.

    `compute_cycles`, `read_cycles` and `write_cycles` are the busy cycles of the array, of the port's read direction
    and of its write direction; `cycles` is the latency after overlap and is never below any of them.
    """

    cycles: float
    compute_cycles: float
    read_cycles: float
    write_cycles: float
    macs: int
    dram_read_bytes: int
    dram_write_bytes: int
    scratchpad_read_bytes: int
    scratchpad_write_bytes: int
    accumulator_read_bytes: int
    accumulator_write_bytes: int
    energy_pj: float

    @property
    def dram_bytes(self) -> int:
        """Bytes over the memory port in both directions."""
        return self.dram_read_bytes + self.dram_write_bytes


STALL_CAUSES = ("load", "store", "bank_conflict", "dependency", "command", "drain")
"""Why the array fired no row in a cycle: waiting for data from memory; for memory freed by a store; for a scratchpad
bank; for an earlier result, the mesh's fill or its drain between operations; for a command or a reservation entry;
after the last row, for results and stores to finish.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Activity intervals as arrays (m,): index into `units`, program index of the command, [start, end) cycles."""

    units: tuple[str, ...]
    unit: npt.NDArray[np.int8]
    command: npt.NDArray[np.int64]
    start_cycle: npt.NDArray[np.int64]
    end_cycle: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryActivity:
    """What the cache and the DRAM behind it did: requests by whether their line was there, lines between the two, and
    DRAM accesses by whether their row was open."""

    hits: int
    misses: int
    lines_fetched: int
    lines_written_back: int
    row_hits: int
    row_misses: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What the cycle-level engine observed for one Program.

    `cycles` counts from the first command accepted to the last busy cycle, inclusive. `stall_cycles` maps a cause to
    the cycles in which the array had work in the machine but fired no row, so `execute_busy_cycles +
    sum(stall_cycles) == cycles`.
    """

    cycles: int
    commands: int
    execute_busy_cycles: int
    load_busy_cycles: int
    store_busy_cycles: int
    stall_cycles: dict[str, int]
    read_requests: int
    read_bytes: int
    write_requests: int
    write_bytes: int
    macs: int
    scratchpad_read_bytes: int
    scratchpad_write_bytes: int
    accumulator_read_bytes: int
    accumulator_write_bytes: int
    accepted_at: npt.NDArray[np.int64] = field(repr=False)
    trace: Trace | None = None
    counters: dict[str, int] = field(default_factory=dict)
    """Gemmini's hardware counters by name (`counters.COUNTERS`)."""
    memory_activity: MemoryActivity | None = None
    """With a cache in the accelerator's memory only."""
    notes: tuple[str, ...] = ()
    """What of the run rests on something not checked against the RTL."""
