"""Which machines the cycle-level engine can simulate."""

from __future__ import annotations

from model_ir.errors import InputError
from simulator.accelerator import Accelerator, Memory
from simulator.cycle_level.state import FRONT_WIDTH, MOST_ACC_BANKS, SLOTS

MOST_SCRATCHPAD_BANKS = 62
"""The banks read in a cycle are the bits of one signed word."""


def check_machine(accelerator: Accelerator, memory: Memory, gap: int) -> None:
    """Raise InputError for what the engine's state cannot hold, or the RTL cannot be built as."""
    queues, name = accelerator.queues, accelerator.name
    entries = queues.load_entries + queues.execute_entries + queues.store_entries
    bytes_per_row = accelerator.dim * accelerator.input_bytes
    limits = (
        ("queues entries in all", entries, SLOTS - 2),
        ("dma.requests_in_flight", accelerator.dma.requests_in_flight, 256),
        ("array.rows", accelerator.dim, 128),
        ("queues.command_entries", queues.command_entries, 60),
        ("queues.front_queue_entries", queues.front_queue_entries, FRONT_WIDTH),
        ("queues.front_queues", queues.front_queues, 8),
        ("scratchpad.read_queue_cycles", accelerator.scratchpad.read_queue_cycles, 10),
        ("scratchpad.banks", accelerator.scratchpad.banks, MOST_SCRATCHPAD_BANKS),
        ("array.matmuls_in_flight", accelerator.array.matmuls_in_flight, 32),
    )
    for field, value, limit in limits:
        if value > limit:
            raise InputError(f"{name}.{field}", "more than the engine holds", value=value, limit=limit)
    if accelerator.dim < 4:
        # ExecuteController.scala: two registers hold finished commands until they are reported, one a cycle; shorter
        # operations overwrite them and the machine hangs.
        raise InputError(f"{name}.array.rows", "the execute controller loses commands", value=accelerator.dim, limit=4)
    if accelerator.array.rows != accelerator.array.columns:
        raise InputError(f"{name}.array.columns", "the mesh must be square", value=accelerator.array.columns)
    if accelerator.dma.bus_bytes > accelerator.dma.request_bytes or bytes_per_row < 1:
        raise InputError(f"{name}.dma.bus_bytes", "wider than a request", value=accelerator.dma.bus_bytes)
    _check_memories(accelerator)
    for field, value, least in (
        ("queues.front_queues", queues.front_queues, 3),
        ("memory.latency_cycles", memory.latency_cycles, 1),
        ("memory.cycles_per_beat", memory.cycles_per_beat, 1),
        ("command_gap_cycles", gap, 0),
    ):
        if value < least:
            raise InputError(f"{name}.{field}", "too small", value=value, limit=least)


def _check_memories(accelerator: Accelerator) -> None:
    scratchpad, accumulator, dma = accelerator.scratchpad, accelerator.accumulator, accelerator.dma
    if scratchpad.read_latency_cycles != 1:
        # Scratchpad.scala: a SyncReadMem; what the array waits beyond it is scratchpad.read_queue_cycles.
        path, problem = f"{accelerator.name}.scratchpad.read_latency_cycles", "the scratchpad's SRAM answers after one"
        raise InputError(path, problem, value=scratchpad.read_latency_cycles, limit=1)
    if accumulator.ports == 1:
        _check_sub_banks(accelerator)
    elif accumulator.sub_banks != 1:
        path, problem = f"{accelerator.name}.accumulator.sub_banks", "an accumulator of two ports has no sub-banks"
        raise InputError(path, problem, value=accumulator.sub_banks, limit=1)
    if dma.requests_in_flight == 1 and dma.request_bytes > dma.bus_bytes:
        # DMA.scala: a packet's own number counts as taken from its second beat on (xactBusy.andR): it waits for itself.
        path, problem = f"{accelerator.name}.dma.requests_in_flight", "writes of several beats take two"
        raise InputError(path, problem, value=1, limit=2)


def _check_sub_banks(accelerator: Accelerator) -> None:
    """A single-ported accumulator deals its rows to sub-banks by their lowest address bits (AccumulatorMem.scala)."""
    accumulator, name = accelerator.accumulator, accelerator.name
    if accumulator.sub_banks < 2:
        problem = "a single-ported accumulator takes two sub-banks to accumulate a row a cycle"
        raise InputError(f"{name}.accumulator.sub_banks", problem, value=accumulator.sub_banks, limit=2)
    if accumulator.banks > MOST_ACC_BANKS:
        problem = "more than the engine holds"
        raise InputError(f"{name}.accumulator.banks", problem, value=accumulator.banks, limit=MOST_ACC_BANKS)
