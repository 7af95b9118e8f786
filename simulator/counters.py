"""Gemmini's hardware counters by the names its C library knows them by: which there are, and what each counts.

Source of names and numbers: CounterFile.scala, objects CounterEvent and CounterExternal (gemmini_counter.h of the C
library repeats them as COUNTER_*). Nouns only; `cycle_level.counters` reads the values out of a finished run.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """One counter: `number` is its address in CounterEvent, or in CounterExternal where `external`; `source` the Scala
    file whose signal it counts."""

    name: str
    number: int
    external: bool = False
    meaning: str
    source: str


COUNTERS = (
    Counter(
        name="LOAD_DMA_WAIT_CYCLE",
        number=8,
        meaning="Cycles in which the load controller held a mvin whose first row the DMA had not taken.",
        source="LoadController.scala",
    ),
    Counter(
        name="LOAD_ACTIVE_CYCLE",
        number=9,
        meaning="Cycles in which the load controller was handing rows of a mvin to the DMA, from the second row on.",
        source="LoadController.scala",
    ),
    Counter(
        name="LOAD_SCRATCHPAD_WAIT_CYCLE",
        number=10,
        meaning="Cycles in which the load controller offered a row and the DMA's row queue had no room.",
        source="LoadController.scala",
    ),
    Counter(
        name="STORE_DMA_WAIT_CYCLE",
        number=11,
        meaning="Cycles in which the store controller held a mvout whose first row the DMA had not taken.",
        source="StoreController.scala",
    ),
    Counter(
        name="STORE_ACTIVE_CYCLE",
        number=12,
        meaning="Cycles in which the store controller was handing rows of a mvout to the DMA, from the second on.",
        source="StoreController.scala",
    ),
    Counter(
        name="STORE_POOLING_CYCLE",
        number=13,
        meaning="Cycles in which the store controller was configured to max-pool, whether it stored or not.",
        source="StoreController.scala",
    ),
    Counter(
        name="STORE_SCRATCHPAD_WAIT_CYCLE",
        number=14,
        meaning="Cycles in which the store controller offered a row and the DMA's dispatch queue had no room.",
        source="StoreController.scala",
    ),
    Counter(
        name="RDMA_ACTIVE_CYCLE",
        number=18,
        meaning="Cycles in which the DMA reader held a row whose requests were not all sent.",
        source="DMA.scala",
    ),
    Counter(
        name="WDMA_ACTIVE_CYCLE",
        number=21,
        meaning="Cycles in which the DMA writer held a row whose beats were not all sent.",
        source="DMA.scala",
    ),
    Counter(
        name="EXE_ACTIVE_CYCLE",
        number=24,
        meaning="Cycles in which the execute controller fed rows of an operation, after the cycle that began it.",
        source="ExecuteController.scala",
    ),
    Counter(
        name="EXE_FLUSH_CYCLE",
        number=25,
        meaning="Cycles in which the execute controller flushed results out of the mesh.",
        source="ExecuteController.scala",
    ),
    Counter(
        name="EXE_CONTROL_Q_BLOCK_CYCLE",
        number=26,
        meaning="Cycles in which a row could not be fed because the rows on their way to the mesh filled its queue.",
        source="ExecuteController.scala",
    ),
    Counter(
        name="RESERVATION_STATION_FULL_CYCLES",
        number=41,
        meaning="Cycles in which the reservation station took no command, be it full or not offered one.",
        source="ReservationStation.scala",
    ),
    Counter(
        name="RESERVATION_STATION_ACTIVE_CYCLES",
        number=42,
        meaning="Cycles in which the reservation station held commands other than a preload without its compute.",
        source="ReservationStation.scala",
    ),
    Counter(
        name="TRANSPOSE_PRELOAD_UNROLLER_ACTIVE_CYCLES",
        number=44,
        meaning="Cycles in which a preload with B transposed was being split into two.",
        source="TransposePreloadUnroller.scala",
    ),
    Counter(
        name="RDMA_BYTES_REC",
        number=4,
        external=True,
        meaning="Bytes of read requests, added once for every beat of the response: 64-byte requests count fourfold.",
        source="DMA.scala",
    ),
    Counter(
        name="WDMA_BYTES_SENT",
        number=5,
        external=True,
        meaning="Bytes of write packets, those masked out included.",
        source="DMA.scala",
    ),
    Counter(
        name="RDMA_TOTAL_LATENCY",
        number=6,
        external=True,
        meaning="Read requests in flight, summed over cycles: over the requests it is their mean latency.",
        source="XactTracker.scala",
    ),
    Counter(
        name="WDMA_TOTAL_LATENCY",
        number=7,
        external=True,
        meaning="Write packets not yet acknowledged, summed over cycles.",
        source="DMA.scala",
    ),
)
"""Those that the cycle engine counts. `Result.counters` has exactly these, counted from the first command accepted to
the last busy cycle."""

NOT_COUNTED = {
    "MAIN_*_CYCLES": "which controllers hold commands at once is not kept.",
    "DMA_TLB_*, RDMA_TLB_WAIT_CYCLES, WDMA_TLB_WAIT_CYCLES": "address translation is not modelled.",
    "RDMA_TL_WAIT_CYCLES, WDMA_TL_WAIT_CYCLES": "requests refused by the memory port are not told from those in its"
    " buffers.",
    "EXE_PRELOAD_HAZ_CYCLE, EXE_OVERLAP_HAZ_CYCLE": "they also count cycles in which the hazard delays nothing.",
    "SCRATCHPAD_*_WAIT_CYCLE, ACC_*_WAIT_CYCLE, *_GARBAGE_CYCLES": "they count what an empty queue's registers last"
    " held.",
    "IM2COL_*": "the RTL has im2col switched off.",
    "LOOP_MATMUL_ACTIVE_CYCLES": "it counts every command that passes the unroller.",
    "RESERVATION_STATION_*_COUNT": "they are levels, not counts.",
}
"""Counters that are left out rather than shown as zero, and why."""
