"""Gemmini's counters out of the state of a finished run."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simulator.counters import COUNTERS

# isort: off
from simulator.cycle_level.state import (
    G_ALLOCATED, G_EXE_ACTIVE, G_EXE_FLUSH, G_EXE_Q_BLOCK, G_LOAD_ACTIVE, G_LOAD_DMA_WAIT, G_LOAD_PAD_WAIT,
    G_RDMA_ACTIVE, G_RDMA_BYTES, G_RDMA_LATENCY, G_STATION_ACTIVE, G_STORE_ACTIVE, G_STORE_DMA_WAIT, G_STORE_PAD_WAIT,
    G_STORE_POOLING, G_UNROLLER_ACTIVE, G_WDMA_ACTIVE, G_WDMA_BYTES, G_WDMA_LATENCY, V_POOL_STEP,
)  # fmt: skip
# isort: on

_SLOTS = {
    "LOAD_DMA_WAIT_CYCLE": G_LOAD_DMA_WAIT,
    "LOAD_ACTIVE_CYCLE": G_LOAD_ACTIVE,
    "LOAD_SCRATCHPAD_WAIT_CYCLE": G_LOAD_PAD_WAIT,
    "STORE_DMA_WAIT_CYCLE": G_STORE_DMA_WAIT,
    "STORE_ACTIVE_CYCLE": G_STORE_ACTIVE,
    "STORE_POOLING_CYCLE": G_STORE_POOLING,
    "STORE_SCRATCHPAD_WAIT_CYCLE": G_STORE_PAD_WAIT,
    "RDMA_ACTIVE_CYCLE": G_RDMA_ACTIVE,
    "WDMA_ACTIVE_CYCLE": G_WDMA_ACTIVE,
    "EXE_ACTIVE_CYCLE": G_EXE_ACTIVE,
    "EXE_FLUSH_CYCLE": G_EXE_FLUSH,
    "EXE_CONTROL_Q_BLOCK_CYCLE": G_EXE_Q_BLOCK,
    "RESERVATION_STATION_ACTIVE_CYCLES": G_STATION_ACTIVE,
    "TRANSPOSE_PRELOAD_UNROLLER_ACTIVE_CYCLES": G_UNROLLER_ACTIVE,
    "RDMA_BYTES_REC": G_RDMA_BYTES,
    "WDMA_BYTES_SENT": G_WDMA_BYTES,
    "RDMA_TOTAL_LATENCY": G_RDMA_LATENCY,
    "WDMA_TOTAL_LATENCY": G_WDMA_LATENCY,
}


def counters_of(m: npt.NDArray[np.int64], cycles: int) -> dict[str, int]:
    """The values of `counters.COUNTERS` at the end of a run of `cycles` cycles, by name."""
    found = {name: int(m[slot]) for name, slot in _SLOTS.items()}
    # A command is taken in every cycle in which the station is ready: it says so only where one is offered.
    found["RESERVATION_STATION_FULL_CYCLES"] = cycles - int(m[G_ALLOCATED])
    if m[V_POOL_STEP]:
        # Pooling was never switched off; it may even be switched on after the last busy cycle.
        found["STORE_POOLING_CYCLE"] = max(0, found["STORE_POOLING_CYCLE"] + cycles - 1)
    return {counter.name: found[counter.name] for counter in COUNTERS}
