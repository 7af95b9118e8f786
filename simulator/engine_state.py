"""The state of the cycle-level engine: one int64 array a unit, its slots named here. No behaviour.

A unit holds, in its slot `*_NEXT`, the next cycle at which it may act; NEVER means "until another unit wakes it".
Cycle 0 is the cycle in which the machine accepts the first command.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.accelerator import Accelerator, Memory

NEVER = 1 << 60
PAST = -(1 << 40)
ACCUMULATOR_KEY = 1 << 40
"""Local rows as one number: scratchpad row, or this plus the accumulator row; garbage is -1."""

# Parameters (p), from the accelerator and the memory.
(
    P_DIM, P_MIN_ROWS, P_TAGS, P_SP_BANK_ROWS, P_ACC_BANK_ROWS, P_ACC_BANKS, P_READ_DELAY, P_MESH_DELAY, P_BUS,
    P_REQUEST, P_IN_FLIGHT, P_PORT, P_LATENCY, P_PER_BEAT, P_LD_QUEUE, P_ST_QUEUE, P_EX_QUEUE, P_LD_ENTRIES,
    P_EX_ENTRIES, P_ST_ENTRIES, P_FRONT, P_FRONT_ENTRIES, P_ACC_SCALE, P_ACC_PORTS, P_SUB_BANKS, P_ACC_LATENCY,
    P_SCALE_LATENCY, P_SCALE_UNITS, P_GAP, P_TRACKED, P_IN_BYTES, P_ACC_BYTES, P_SP_QUEUE, P_TRACE_FROM, P_TRACE_TO,
    P_SIZE,
) = range(36)  # fmt: skip

# Front end (f): the chain of host-side queues, one ring of dequeue cycles a stage in `front`.
F_COMMAND, F_NEXT, F_FULL, F_SIZE = range(4)

# Reservation station (s); queue numbers LOAD, EXECUTE, STORE. Slots of all queues share one numbering and one bit mask.
LOAD, EXECUTE, STORE = 0, 1, 2
(
    S_VALID, S_FREE_LD, S_FREE_EX, S_FREE_ST, S_HEAD_LD, S_HEAD_EX, S_HEAD_ST, S_TAIL_LD, S_TAIL_EX, S_TAIL_ST,
    S_ISSUE_LD, S_ISSUE_EX, S_ISSUE_ST, S_STORES_OUT, S_A_STRIDE, S_C_STRIDE, S_A_T, S_POOLED, S_BLOCK0, S_BLOCK1,
    S_BLOCK2, S_LAST_BUSY, S_SIZE,
) = range(23)  # fmt: skip
E_COMMAND, E_DEPS, E_A_LOW, E_A_HIGH, E_B_LOW, E_B_HIGH, E_A_WRITES, E_ALLOCATED, E_SIZE = range(9)
SLOTS = 64
QUEUE_RING = 64

# Load controller (l), its command queue (load_queue), the row queue to the reader (row_queue).
(
    L_NEXT, L_HEAD, L_TAIL, L_POPPED, L_ROW, L_STATE, L_TRACKED, L_TRACKER, L_DONE_HEAD, L_DONE_TAIL, L_SIZE,
) = range(11)  # fmt: skip
C_STRIDE, C_SHRINK, C_BLOCK, C_SCALE, C_SIZE = range(5)
K_VALID, K_SLOT, K_LEFT, K_START, K_SIZE = range(5)

# Reader (r): the row being requested; responses wait in `responses` until their beats arrive.
(
    R_NEXT, R_HEAD, R_TAIL, R_ACTIVE, R_ADDRESS, R_LEFT, R_DONE, R_ROW, R_ISSUED, R_PORT_FREE, R_MEMORY_FREE,
    R_REQUESTS, R_BYTES, R_BEATS, R_SIZE,
) = range(15)  # fmt: skip
Q_ADDRESS, Q_BYTES, Q_LOCAL, Q_TRACKER, Q_BLOCK, Q_WIDE, Q_REPEATS, Q_SCALED, Q_ACCUMULATE, Q_TIME, Q_SIZE = range(11)
D_FIRST, D_SHIFT, D_BYTES, D_ROW, D_OFFSET, D_TRACKER, D_BLOCK, D_WIDE, D_REPEATS, D_SCALED, D_ACCUMULATE, D_SIZE = (
    range(12)
)
RESPONSES = 1024

# DMA row writer (w) and zero writer (z).
W_NEXT, W_HEAD, W_TAIL, W_SENT, W_REPEAT, W_OUT, W_SCALE_FREE, W_BANK, W_TIME, W_LAST, W_ACCUMULATES, W_SIZE = range(12)
Z_NEXT, Z_VALID, Z_SINCE, Z_LOCAL, Z_COLUMNS, Z_COLUMN, Z_BLOCK, Z_TRACKER, Z_BYTES, Z_ACCUMULATE, \
    Z_HELD, Z_HELD_SINCE, Z_HELD_KEY, Z_HELD_LAST, Z_SIZE = range(15)  # fmt: skip

# Execute controller (x), unroller queue, command queue, tags, completions.
(
    X_NEXT, X_STATE, X_OP, X_TOTAL, X_A, X_A_STRIDE, X_A_ROWS, X_A_ON, X_B, X_B_ROWS, X_B_ON, X_D, X_D_ROWS, X_D_ON,
    X_NA, X_NB, X_ND, X_ENTRIES, X_LAST_OUT, X_OPS, X_TAG_HEAD, X_TAG_TAIL, X_TAG_MATCH, X_C_KEY, X_C_ROWS, X_C_SLOT,
    X_C_ACCUMULATES, X_FIRST, X_ROW, X_WS, X_A_T, X_B_T, X_STRIDE, X_C_STRIDE, X_FLUSH_FROM, X_UQ_HEAD, X_UQ_TAIL,
    X_UQ_START, X_UNROLL, X_UNROLL_ON, X_CQ_HEAD, X_CQ_TAIL, X_PENDING0, X_PENDING1, X_PENDING_SINCE, X_DONE_HEAD,
    X_DONE_TAIL, X_BUSY, X_CAUSE, X_READS, X_READ_TIME, X_LAST_ROW, X_U_NEXT, X_MACS_COLUMNS, X_MACS, X_FIRED, X_SIZE,
) = range(57)  # fmt: skip
WAITING, COMPUTING, FLUSH, FLUSHING = range(4)
PRELOAD_ONLY, MUL_PRELOAD, MUL_ONLY = range(3)
U_COMMAND, U_SLOT, U_VARIANT, U_TIME, U_SIZE = range(5)
PLAIN, FIRST_PRELOAD, FIRST_COMPUTE, SECOND_PRELOAD = range(4)
T_MATCH, T_SLOT, T_KEY, T_ROWS, T_ACCUMULATES, T_ENTERED, T_LEFT, T_STRIDE, T_WS, T_SIZE = range(10)
TAG_RING = 64
WRITE_RING = 2048
ACC_BANK_BIT = 1 << 20
ACCUMULATES_BIT = 1 << 21

# Store controller and writer (v), store command queue, items on their way out (items).
(
    V_NEXT, V_HEAD, V_TAIL, V_POPPED, V_STATE, V_ROW, V_BLOCK, V_STRIDE, V_POOL_STEP, V_POOL_SIZE, V_POOL_UPPER,
    V_POOL_LEFT, V_POOL_DIM, V_POOL_ROWS, V_POOL_COLUMNS, V_ROWS, V_COLUMNS, V_LEFT, V_SLOT, V_DONE, V_SENT, V_FIRED,
    V_SCALED, V_ISSUED, V_TAKEN, V_D_NEXT, V_W_NEXT, V_READY, V_W_ADDRESS, V_W_LEFT, V_PACKETS, V_LAST_ACK, V_REQUESTS,
    V_BYTES, V_BEATS, V_START, V_SIZE,
) = range(37)  # fmt: skip
I_KEY, I_ADDRESS, I_BYTES, I_STORE, I_QUEUED, I_READ, I_NORM, I_SCALE, I_ACCEPT, I_BANK, I_SIZE = range(11)
ITEMS = 64

# Counters (n).
N_SP_READ, N_SP_WRITE, N_ACC_READ, N_ACC_WRITE, N_DEADLOCK, N_SIZE = range(6)


class Machine(NamedTuple):
    """All state arrays of one simulation, int64; two-dimensional ones are rings or tables of records."""

    p: npt.NDArray[np.int64]
    f: npt.NDArray[np.int64]
    front: npt.NDArray[np.int64]
    s: npt.NDArray[np.int64]
    entry: npt.NDArray[np.int64]
    unissued: npt.NDArray[np.int64]
    l: npt.NDArray[np.int64]  # noqa: E741
    load_queue: npt.NDArray[np.int64]
    load_config: npt.NDArray[np.int64]
    tracker: npt.NDArray[np.int64]
    r: npt.NDArray[np.int64]
    row_queue: npt.NDArray[np.int64]
    in_flight: npt.NDArray[np.int64]
    responses: npt.NDArray[np.int64]
    w: npt.NDArray[np.int64]
    z: npt.NDArray[np.int64]
    x: npt.NDArray[np.int64]
    unroller: npt.NDArray[np.int64]
    commands: npt.NDArray[np.int64]
    tags: npt.NDArray[np.int64]
    left: npt.NDArray[np.int64]
    mesh_done: npt.NDArray[np.int64]
    write_time: npt.NDArray[np.int64]
    write_bank: npt.NDArray[np.int64]
    v: npt.NDArray[np.int64]
    store_queue: npt.NDArray[np.int64]
    items: npt.NDArray[np.int64]
    acks: npt.NDArray[np.int64]
    n: npt.NDArray[np.int64]
    trace: npt.NDArray[np.int64]
    stalls: npt.NDArray[np.int64]


def _parameters(accelerator: Accelerator, memory: Memory, gap: int, trace: tuple[int, int]) -> npt.NDArray[np.int64]:
    array, dma, queues = accelerator.array, accelerator.dma, accelerator.queues
    pe_cycles = array.tile_latency_cycles + 1
    values = {
        P_DIM: accelerator.dim,
        P_MIN_ROWS: array.minimum_rows_per_compute,
        P_TAGS: array.matmuls_in_flight,
        P_SP_BANK_ROWS: accelerator.scratchpad_rows // accelerator.scratchpad.banks,
        P_ACC_BANK_ROWS: accelerator.accumulator_rows // accelerator.accumulator.banks,
        P_ACC_BANKS: accelerator.accumulator.banks,
        P_READ_DELAY: accelerator.scratchpad.read_latency_cycles + accelerator.scratchpad.read_queue_cycles,
        # One row buffer, down the rows, across the skewed columns, then the output registers (MeshWithDelays.scala).
        P_MESH_DELAY: 1 + (array.rows + array.columns - 1) * pe_cycles + array.output_delay_cycles,
        P_BUS: dma.bus_bytes,
        P_REQUEST: dma.request_bytes,
        P_IN_FLIGHT: dma.requests_in_flight,
        P_PORT: dma.port_latency_cycles,
        P_LATENCY: memory.latency_cycles,
        P_PER_BEAT: memory.cycles_per_beat,
        P_LD_QUEUE: queues.load_command_entries,
        P_ST_QUEUE: queues.store_command_entries,
        P_EX_QUEUE: queues.command_entries,
        P_LD_ENTRIES: queues.load_entries,
        P_EX_ENTRIES: queues.execute_entries,
        P_ST_ENTRIES: queues.store_entries,
        P_FRONT: queues.front_queues,
        P_FRONT_ENTRIES: queues.front_queue_entries,
        P_ACC_SCALE: accelerator.accumulator.scale_latency_cycles,
        P_ACC_PORTS: accelerator.accumulator.ports,
        P_SUB_BANKS: accelerator.accumulator.sub_banks,
        P_ACC_LATENCY: accelerator.accumulator.read_latency_cycles,
        P_SCALE_LATENCY: dma.mvin_scale_latency_cycles,
        P_SCALE_UNITS: dma.mvin_scale_units,
        P_GAP: gap,
        # LoadController.scala: commands tracked, a request per row of one mvin in flight and one more.
        P_TRACKED: dma.requests_in_flight // array.rows + 1,
        P_IN_BYTES: accelerator.input_bytes,
        P_ACC_BYTES: accelerator.accumulator_bytes,
        P_SP_QUEUE: accelerator.scratchpad.read_queue_cycles,
        P_TRACE_FROM: trace[0],
        P_TRACE_TO: trace[1],
    }
    return np.array([values[index] for index in range(len(values))], dtype=np.int64)


def new_machine(
    accelerator: Accelerator, memory: Memory, command_gap_cycles: int, trace: tuple[int, int], causes: int
) -> Machine:
    """A machine at rest."""

    def zeros(*shape: int) -> npt.NDArray[np.int64]:
        return np.zeros(shape, np.int64)

    p = _parameters(accelerator, memory, command_gap_cycles, trace)
    machine = Machine(
        p=p,
        f=zeros(F_SIZE),
        front=np.full((int(p[P_FRONT]) + 1, int(p[P_FRONT_ENTRIES])), PAST, np.int64),
        s=zeros(S_SIZE),
        entry=zeros(SLOTS, E_SIZE),
        unissued=zeros(3, QUEUE_RING),
        l=zeros(L_SIZE),
        load_queue=zeros(QUEUE_RING, U_SIZE),
        load_config=zeros(3, C_SIZE),
        tracker=zeros(int(p[P_TRACKED]), K_SIZE),
        r=zeros(R_SIZE),
        row_queue=zeros(16, Q_SIZE),
        in_flight=np.full(int(p[P_IN_FLIGHT]), PAST, np.int64),
        responses=zeros(RESPONSES, D_SIZE),
        w=zeros(W_SIZE),
        z=zeros(Z_SIZE),
        x=zeros(X_SIZE),
        unroller=zeros(4, U_SIZE),
        commands=zeros(QUEUE_RING, U_SIZE),
        tags=zeros(TAG_RING, T_SIZE),
        left=np.full(64, PAST, np.int64),
        mesh_done=zeros(TAG_RING, 2),
        write_time=np.full(WRITE_RING, PAST, np.int64),
        write_bank=zeros(WRITE_RING),
        v=zeros(V_SIZE),
        store_queue=zeros(QUEUE_RING, U_SIZE),
        items=zeros(ITEMS, I_SIZE),
        acks=np.full(int(p[P_IN_FLIGHT]), PAST, np.int64),
        n=zeros(N_SIZE),
        trace=np.full((max(0, trace[1] - trace[0]), 2), -1, np.int64),
        stalls=zeros(causes),
    )
    for unit, slots in (
        (machine.s, (S_ISSUE_LD, S_ISSUE_EX, S_ISSUE_ST)),
        (machine.l, (L_NEXT,)),
        (machine.r, (R_NEXT,)),
        (machine.w, (W_NEXT,)),
        (machine.z, (Z_NEXT,)),
        (machine.x, (X_NEXT, X_U_NEXT)),
        (machine.v, (V_NEXT, V_D_NEXT, V_W_NEXT)),
    ):
        unit[list(slots)] = NEVER
    ld, ex, st = int(p[P_LD_ENTRIES]), int(p[P_EX_ENTRIES]), int(p[P_ST_ENTRIES])
    machine.s[S_FREE_LD] = (1 << ld) - 1
    machine.s[S_FREE_EX] = ((1 << ex) - 1) << ld
    machine.s[S_FREE_ST] = ((1 << st) - 1) << (ld + ex)
    machine.x[[X_PENDING0, X_PENDING1]] = -1
    machine.x[X_LAST_OUT], machine.w[W_TIME], machine.x[X_READ_TIME], machine.x[X_FIRED] = PAST, PAST, PAST, PAST
    machine.l[L_POPPED], machine.v[V_POPPED], machine.x[X_LAST_ROW] = PAST, PAST, PAST
    machine.x[X_WS] = 1
    return machine
