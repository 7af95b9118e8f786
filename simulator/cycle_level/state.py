"""The state of the cycle-level engine: one flat int64 array, every slot of it named here. No behaviour.

One array because a compiled function takes it by one pointer. A unit's slot `*_NEXT` holds the next cycle at which the
unit may act; NEVER means "until another unit wakes it". Cycle 0 is the cycle in which the machine accepts the first
command. Rings and tables lie behind the units: record `i` of a table begins at its name + i * the size of a record.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simulator.accelerator import Accelerator, Memory
from simulator.memory_state import CACHED, OWN

NEVER = 1 << 60
PAST = -(1 << 40)
ACCUMULATOR_KEY = 1 << 40
"""Local rows as one number: scratchpad row, or this plus the accumulator row; garbage is -1."""
ACC_BANK_BIT = 1 << 20
ACCUMULATES_BIT = 1 << 21
ROW_SHIFT = 26
"""Where a write of an accumulator row, as one word, holds the row; below stand its bank and whether it accumulates."""
LOAD, EXECUTE, STORE = 0, 1, 2
WAITING, COMPUTING, FLUSH, FLUSHING = range(4)
PRELOAD_ONLY, MUL_PRELOAD, MUL_ONLY = range(3)
PLAIN, FIRST_PRELOAD, FIRST_COMPUTE, SECOND_PRELOAD = range(4)
SLOTS = QUEUE_RING = TAG_RING = ITEMS = 64
WRITE_RING = 2048
RESPONSES = 1024
BEAT_RING = 256
NARROW = WIDE = 32
"""Records of the rows in the input scaler, and behind them of those in the accumulator's."""
MOST_SCALE_CYCLES = NARROW - 4
FRONT_WIDTH = 8
MOST_IN_FLIGHT = 256
MOST_ACC_BANKS = 16
STORE_RING = 128
PAGES_LOGGED = 1024
ENTERS_LOGGED = 192

# Parameters (p), from the accelerator and the memory.
(
    P_DIM, P_MIN_ROWS, P_TAGS, P_SP_BANK_SHIFT, P_ACC_BANK_SHIFT, P_ACC_BANKS, P_READ_DELAY, P_MESH_DELAY, P_BUS,
    P_REQUEST, P_IN_FLIGHT, P_PORT, P_LATENCY, P_PER_BEAT, P_LD_QUEUE, P_ST_QUEUE, P_EX_QUEUE, P_LD_ENTRIES,
    P_EX_ENTRIES, P_ST_ENTRIES, P_FRONT, P_FRONT_ENTRIES, P_ACC_SCALE, P_ACC_PORTS, P_SUB_BANKS, P_ACC_LATENCY,
    P_SCALE_LATENCY, P_SCALE_UNITS, P_GAP, P_TRACKED, P_IN_BYTES, P_ACC_BYTES, P_SP_QUEUE, P_TRACE_FROM, P_TRACE_TO,
    P_MEMORY_KIND, P_MEMORY_PORT, P_HAZARDS, P_SP_ROWS, P_ACC_ROWS, P_MAX_POOL,
    P_NORM_LANES, P_NORM_LATENCY, P_WIDE_CYCLES, P_NARROW_CYCLES, P_NARROW_DEPTH
) = range(46)  # fmt: skip

# The next cycles of all units side by side, so that their minimum takes a few instructions; those of the execute
# controller and of the rows on their way to the banks, and the ends of two completions' queues, stand apart.
(
    F_NEXT, H_NEXT, CONV_NEXT, S_ISSUE_LD, S_ISSUE_EX, S_ISSUE_ST, L_NEXT, R_NEXT, Z_NEXT, X_U_NEXT, V_NEXT, V_D_NEXT,
    V_W_NEXT, O_NEXT, _, _
) = range(46, 62)  # fmt: skip
FIRST_NEXT = F_NEXT

# Front end (f): the host's commands up to the unrollers (times only, one ring of cycles a queue in `front`), then the
# queues before LoopConv (`conv_queue`, A), LoopMatmul (`matmul_queue`, B) and the reservation station (`unrolled`, C).
(
    F_COMMAND, _, F_FULL, F_MORE, F_BASE, F_READ, F_STARVED, F_B_HEAD, F_B_TAIL, F_C_HEAD, F_C_TAIL,
    F_A_HEAD, F_A_TAIL, F_LAST_OF, F_LAST_EXECUTE, F_END
) = range(64, 80)  # fmt: skip
Y_FUNCT, Y_RS1, Y_RS2, Y_COMMAND, Y_SOURCE, Y_IN, Y_OUT, Y_SIZE = range(8)

# Reservation station (s); queue numbers LOAD, EXECUTE, STORE. Slots of all queues share one numbering and one bit mask.
(
    S_VALID, S_FREE_LD, S_FREE_EX, S_FREE_ST, S_HEAD_LD, S_HEAD_EX, S_HEAD_ST, S_TAIL_LD, S_TAIL_EX, S_TAIL_ST,
    _, _, _, S_A_STRIDE, S_C_STRIDE, S_A_T, S_POOLED, S_BLOCK0, S_BLOCK1,
    S_BLOCK2, S_LAST_BUSY, S_SOLITARY, S_PIXELS0, _, _, S_LOGGED
) = range(128, 154)  # fmt: skip
E_COMMAND, E_DEPS, E_A_LOW, E_A_HIGH, E_B_LOW, E_B_HIGH, E_A_WRITES, E_ALLOCATED, E_STARTED, E_FUNCT, \
    E_RS1, E_RS2, E_SOURCE, E_SIZE = range(14)  # fmt: skip

# Load controller (l), its command queue (load_queue), the row queue to the reader (row_queue).
(
    _, L_HEAD, L_TAIL, L_POPPED, L_ROW, L_STATE, L_TRACKED, L_TRACKER, L_DONE_HEAD, L_DONE_TAIL
) = range(192, 202)  # fmt: skip
C_STRIDE, C_SHRINK, C_BLOCK, C_SCALE, C_PIXELS, C_SIZE = range(6)
K_VALID, K_SLOT, K_LEFT, K_START, K_SEEN, K_SIZE = range(6)

# Reader (r): the row being requested; responses wait in `responses` until their beats arrive.
(
    _, R_HEAD, R_TAIL, R_ACTIVE, R_ADDRESS, R_LEFT, R_DONE, R_ROW, R_ISSUED, R_MEMORY_FREE,
    R_REQUESTS, R_BYTES, R_BEATS
) = range(256, 269)  # fmt: skip
Q_ADDRESS, Q_BYTES, Q_LOCAL, Q_TRACKER, Q_BLOCK, Q_WIDE, Q_REPEATS, Q_SCALED, Q_ACCUMULATE, Q_PIXELS, Q_TIME, \
    Q_SIZE = range(12)  # fmt: skip
D_READY, D_BEATS, D_PER_BEAT, D_NUMBER, D_SHIFT, D_BYTES, D_ROW, D_OFFSET, D_TRACKER, D_BLOCK, D_WIDE, D_REPEATS, \
    D_SCALED, D_ACCUMULATE, D_PIXELS, D_SIZE = range(16)  # fmt: skip

# The way of answers to the banks (w): responses at the port, in the shared buffer and in the merger; rows in the input
# scaler (narrow) and in the accumulator's register (wide), each a record of `rows` (wr). Beats (a) are counted as they
# pass each place, their cycles lie in `beat_port` and `beat_moved`, those of reads alone in `beat_own` and
# `beat_merged`. Zero writer (z).
(
    W_NEXT, W_HEAD, W_TAIL, W_PORT, W_SHARED, W_PORT_NEXT, W_BUSY, W_FREE, W_SENT, W_MERGE_NEXT, W_NARROW_HEAD,
    W_NARROW_TAIL, W_NARROW_NEXT, W_NARROW_AT, W_HELD, W_REPEATED, W_WIDE_HEAD, W_WIDE_TAIL, W_WIDE_NEXT, W_SCALED,
    W_BANK, W_TIME, W_ACC_BANK, W_ACC_TIME, W_ACCUMULATES, W_LAST_TIME, A_PASSED, A_LEFT, A_MOVED, A_PENDING, A_OWN,
    A_MERGED, A_ACK_READY, W_SCALED_FROM, W_SCALED_UNTIL
) = range(320, 355)  # fmt: skip
WR_KEY, WR_READY, WR_REPEATS, WR_ACCUMULATE, WR_TRACKER, WR_LAST, WR_BYTES, WR_PIXELS, WR_COPIES, WR_SIZE = range(10)
_, Z_VALID, Z_SINCE, Z_LOCAL, Z_COLUMNS, Z_COLUMN, Z_BLOCK, Z_TRACKER, Z_BYTES, Z_ACCUMULATE, \
    Z_HELD, Z_HELD_SINCE, Z_HELD_KEY, Z_HELD_LAST, Z_HELD_BYTES, Z_HELD_ACCUMULATE, Z_PIXELS, \
    Z_HELD_COPIES = range(384, 402)  # fmt: skip

# Execute controller (x), unroller queue, command queue, tags, completions.
(
    X_NEXT, X_STATE, X_OP, X_TOTAL, X_A, X_A_STRIDE, X_A_ROWS, X_A_ON, X_B, X_B_ROWS, X_B_ON, X_D, X_D_ROWS, X_D_ON,
    X_NA, X_NB, X_ND, X_ENTRIES, X_LAST_OUT, X_OPS, X_TAG_HEAD, X_TAG_TAIL, X_TAG_MATCH, X_C_KEY, X_C_ROWS, X_C_SLOT,
    X_C_ACCUMULATES, X_FIRST, X_ROW, X_WS, X_A_T, X_B_T, X_STRIDE, X_C_STRIDE, X_FLUSHED, X_UQ_HEAD, X_UQ_TAIL,
    X_UQ_START, X_UNROLL, X_UNROLL_ON, X_CQ_HEAD, X_CQ_TAIL, X_PENDING0, X_PENDING1, X_PENDING_SINCE, X_DONE_HEAD,
    X_DONE_TAIL, X_BUSY, X_CAUSE, X_READS, X_READ_TIME, X_LAST_ROW, _, X_MACS_COLUMNS, X_MACS, X_FIRED,
    X_NEXT_COLUMNS, X_SMOOTH, X_BANK_A, X_BANK_B, X_BANK_D, X_LAG,
    X_SP_UNTIL
) = range(448, 511)  # fmt: skip
U_FUNCT, U_RS1, U_RS2, U_SLOT, U_VARIANT, U_TIME, U_SIZE = range(7)
T_MATCH, T_SLOT, T_KEY, T_ROWS, T_ACCUMULATES, T_ENTERED, T_LEFT, T_STRIDE, T_WS, T_SIZE = range(10)

# Store controller and writer (v), store command queue, items on their way out (items).
(
    _, V_HEAD, V_TAIL, V_POPPED, V_STATE, V_ROW, V_BLOCK, V_STRIDE, V_POOL_STEP, V_POOL_SIZE, V_POOL_UPPER,
    V_POOL_LEFT, V_POOL_DIM, V_POOL_ROWS, V_POOL_COLUMNS, V_ROWS, V_COLUMNS, V_OPENED, V_READ, V_DONE, V_SENT, V_FIRED,
    V_NORMED, V_SCALED, V_ISSUED, V_TAKEN, _, _, V_READY, V_W_ADDRESS, V_W_LEFT, V_PACKETS, V_LAST_ACK,
    V_REQUESTS, V_BYTES, V_BEATS, V_CLOSED, V_W_BEATS, V_W_REQUEST, V_HELD_BANK, V_HELD_BEHIND
) = range(512, 553)  # fmt: skip
I_KEY, I_ADDRESS, I_BYTES, I_STORE, I_QUEUED, I_READ, I_NORM, I_SCALE, I_ACCEPT, I_BANK, I_PASSAGE, I_SIZE = range(12)
O_LEFT, O_SLOT, O_START, O_SIZE = range(4)

# Port (o): what the crossbar did last, whether reader and writer are both under way, and then their queues.
(
    _, O_BUSY, O_LAST, O_SIDE, O_LOCKED, O_READ_FIRST, O_READ_SECOND, O_READ_BLOCKED, O_READS_HELD,
    O_READS, _, O_WRITE_FIRST, O_WRITE_SECOND, O_WRITE_ASIDE, O_WRITE_BLOCKED, O_BEATS_HELD, O_BEATS, _, O_STALE,
    O_TRANSLATED, O_PAGE, _, O_PAGE_BEFORE, _, O_PAGE_FROM, _, O_ASKS, _, O_ASKED, _, O_KNOWN, _, O_PAGES_LOGGED
) = range(640, 673)  # fmt: skip
# A request under way, behind the answer that it will get.
Q_FROM, Q_LENGTH, Q_USEFUL, Q_RECORD = range(D_SIZE, D_SIZE + 4)
# What was asked of the page registers, or done to them (PAGE_*, `cycle_level.port`), in which cycle, with which
# address.
PL_WHAT, PL_TIME, PL_ADDRESS, PL_SIZE = range(4)

# A single-ported accumulator bank: its state before cycle B_TIME; then, for each sub-bank, the rows that wait.
B_TIME, B_LAST, B_SUB_BANK, B_BLOCKED, B_WAITING = range(5)
B_SIZE = B_WAITING + 4

# Normaliser (nu): the set chosen, rows it has taken statistics of, cycles from which the entrance, each set and each
# arithmetic unit is free, cycles in which the lanes last fired.
(
    NU_SET, NU_ROWS, NU_ENTRANCE, NU_FREE, _, NU_LANES_FIRED, NU_MAX_FIRED, NU_DIVIDER, NU_ROOT, NU_INVERTER,
    NU_SUM_DIVIDER, NU_SIZE
) = range(12)  # fmt: skip

# Counters (n).
N_SP_READ, N_SP_WRITE, N_ACC_READ, N_ACC_WRITE, N_DEADLOCK = range(576, 581)

# Gemmini's own counters (g), one a row of `counters.COUNTERS`. That of a condition is lowered by the cycle before it
# holds and raised by the last cycle in which it does, so it is the number of cycles whenever it does not hold.
(
    G_LOAD_DMA_WAIT, G_LOAD_ACTIVE, G_LOAD_PAD_WAIT, G_STORE_DMA_WAIT, G_STORE_ACTIVE, G_STORE_POOLING,
    G_STORE_PAD_WAIT, G_RDMA_ACTIVE, G_WDMA_ACTIVE, G_EXE_ACTIVE, G_EXE_FLUSH, G_EXE_Q_BLOCK, G_ALLOCATED,
    G_STATION_ACTIVE, G_UNROLLER_ACTIVE, G_RDMA_BYTES, G_WDMA_BYTES, G_RDMA_LATENCY, G_WDMA_LATENCY
) = range(608, 627)  # fmt: skip

# LoopMatmul (h): which loop is the head, what its commands occupy of the reservation station; one
# record a loop in `matmul_loop` (j) and one a unit in `loop_unit` (lu), units numbered as UNIT_*.
(
    _, H_ACTIVE, H_FREE, H_HEAD, H_RESADD, H_UTIL_LD, H_UTIL_EX, H_UTIL_ST, H_CONSUMED, H_EXECUTED
) = range(592, 602)  # fmt: skip
UNIT_A, UNIT_B, UNIT_D, UNIT_X, UNIT_C, UNITS = range(6)
HOST, FROM_MATMUL, FROM_CONV = range(3)
"""Where a command came from (Y_SOURCE, E_SOURCE)."""
PRELOADING, MULTIPLYING = 1, 2
"""States of the execute unit besides 0, idle."""
(
    J_MAX_I, J_MAX_J, J_MAX_K, J_PAD_I, J_PAD_J, J_PAD_K, J_A, J_B, J_D, J_C, J_A_STRIDE, J_B_STRIDE, J_D_STRIDE,
    J_C_STRIDE, J_A_T, J_B_T, J_ACT, J_LOW_D, J_FULL_C, J_ACCUMULATE, J_A_HALF, J_B_HALF, J_CONFIGURED, J_RUNNING,
    J_STARTED, J_COMPLETED, J_NUMBER, J_SIZE
) = range(28)  # fmt: skip
LU_STATE, LU_LOOP, LU_I, LU_J, LU_K, LU_START, LU_NEXT_START, LU_SIZE = range(8)

# Tables: (name, records, words a record), laid out behind the units.
_TABLES = (
    ("FRONT", 8, FRONT_WIDTH),
    ("CONV_QUEUE", FRONT_WIDTH, Y_SIZE),
    ("MATMUL_QUEUE", FRONT_WIDTH, Y_SIZE),
    ("UNROLLED", FRONT_WIDTH, Y_SIZE),
    ("MATMUL_LOOP", 2, J_SIZE),
    ("LOOP_UNIT", UNITS, LU_SIZE),
    ("ENTRY", SLOTS, E_SIZE),
    ("UNISSUED", 3, QUEUE_RING),
    ("ENTER_LOG", ENTERS_LOGGED, 3),
    ("LOAD_QUEUE", QUEUE_RING, U_SIZE),
    ("LOAD_CONFIG", 3, C_SIZE),
    ("TRACKER", MOST_IN_FLIGHT + 1, K_SIZE),
    ("ROW_QUEUE", 16, Q_SIZE),
    ("READ_REQUEST", MOST_IN_FLIGHT, Q_RECORD),
    ("WRITE_REQUEST", MOST_IN_FLIGHT, Q_RECORD),
    ("PAGE_LOG", PAGES_LOGGED, PL_SIZE),
    ("IN_FLIGHT", MOST_IN_FLIGHT, 1),
    ("RESPONSE", RESPONSES, D_SIZE),
    ("BEAT_PORT", BEAT_RING, 1),
    ("BEAT_MOVED", BEAT_RING, 1),
    ("BEAT_OWN", BEAT_RING, 1),
    ("BEAT_MERGED", BEAT_RING, 1),
    ("ROWS", NARROW + WIDE, WR_SIZE),
    ("UNROLLER", 4, U_SIZE),
    ("COMMANDS", QUEUE_RING, U_SIZE),
    ("TAGS", TAG_RING, T_SIZE),
    ("LEFT", 64, 1),
    ("MESH_DONE", TAG_RING, 2),
    ("WRITE_TIME", WRITE_RING, 1),
    ("WRITE_BANK", WRITE_RING, 1),
    ("DMA_WRITE_TIME", WRITE_RING, 1),
    ("DMA_WRITE", WRITE_RING, 1),
    ("SUB_BANKS", MOST_ACC_BANKS, B_SIZE),
    ("STORE_QUEUE", QUEUE_RING, U_SIZE),
    ("ITEM", ITEMS, I_SIZE),
    ("STORES", STORE_RING, O_SIZE),
    ("NORMALISER", 1, NU_SIZE),
    ("ACKS", MOST_IN_FLIGHT, 1),
    ("STALLS", 16, 1),
    ("CONV", 1, 256),
)
_STARTS = np.cumsum([704] + [records * words for _, records, words in _TABLES]).tolist()
(
    FRONT, CONV_QUEUE, MATMUL_QUEUE, UNROLLED, MATMUL_LOOP, LOOP_UNIT, ENTRY, UNISSUED, ENTER_LOG, LOAD_QUEUE,
    LOAD_CONFIG, TRACKER, ROW_QUEUE, READ_REQUEST, WRITE_REQUEST, PAGE_LOG, IN_FLIGHT, RESPONSE, BEAT_PORT, BEAT_MOVED,
    BEAT_OWN, BEAT_MERGED, ROWS, UNROLLER, COMMANDS, TAGS, LEFT, MESH_DONE, WRITE_TIME, WRITE_BANK, DMA_WRITE_TIME,
    DMA_WRITE, SUB_BANKS, STORE_QUEUE, ITEM, STORES, NORMALISER, ACKS, STALLS, CONV, STATE_SIZE,
) = _STARTS  # fmt: skip
_START_IN_THE_PAST = (
    (FRONT, MATMUL_LOOP),
    (IN_FLIGHT, RESPONSE),
    (BEAT_PORT, ROWS),
    (LEFT, MESH_DONE),
    (WRITE_TIME, WRITE_BANK),
    (DMA_WRITE_TIME, DMA_WRITE),
    (ACKS, STALLS),
)


def _parameters(accelerator: Accelerator, memory: Memory, gap: int, trace: tuple[int, int]) -> dict[int, int]:
    array, dma, queues = accelerator.array, accelerator.dma, accelerator.queues
    pe_cycles = array.tile_latency_cycles + 1
    # VectorScalarMultiplier.scala: an entry, or the stages of a pipeline.
    scale_stages = 1 if dma.mvin_scale_units else dma.mvin_scale_latency_cycles
    normaliser = accelerator.normaliser
    return {
        P_DIM: accelerator.dim,
        P_MIN_ROWS: array.minimum_rows_per_compute,
        P_TAGS: array.matmuls_in_flight,
        P_SP_BANK_SHIFT: (accelerator.scratchpad_rows // accelerator.scratchpad.banks).bit_length() - 1,
        P_ACC_BANK_SHIFT: (accelerator.accumulator_rows // accelerator.accumulator.banks).bit_length() - 1,
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
        P_WIDE_CYCLES: 1 + dma.mvin_accumulator_scale_latency_cycles,
        P_NARROW_CYCLES: 1 + scale_stages + int(dma.pixel_repeater),
        P_NARROW_DEPTH: 1 + (3 if dma.mvin_scale_units else scale_stages) + int(dma.pixel_repeater),
        P_SCALE_LATENCY: dma.mvin_scale_latency_cycles,
        P_SCALE_UNITS: dma.mvin_scale_units,
        P_GAP: gap,
        # LoadController.scala: commands tracked, a request per row of one mvin in flight and one more.
        P_TRACKED: dma.requests_in_flight // array.rows + 1,
        P_IN_BYTES: accelerator.input_bytes,
        P_ACC_BYTES: accelerator.accumulator_bytes,
        P_SP_QUEUE: accelerator.scratchpad.read_queue_cycles,
        # ExecuteController.scala, raw_hazards_are_impossible: results and operands share no memory.
        P_HAZARDS: int(array.reads_accumulator or array.writes_scratchpad),
        P_SP_ROWS: accelerator.scratchpad_rows,
        P_ACC_ROWS: accelerator.accumulator_rows,
        P_MAX_POOL: int("max_pool" in accelerator.store_path_functions),
        P_NORM_LANES: normaliser.lanes if normaliser else 0,
        P_NORM_LATENCY: normaliser.latency_cycles if normaliser else 0,
        P_TRACE_FROM: trace[0],
        P_TRACE_TO: trace[1],
        P_MEMORY_KIND: CACHED if memory.cache else OWN,
    }


def new_machine(
    accelerator: Accelerator, memory: Memory, command_gap_cycles: int, trace: tuple[int, int]
) -> npt.NDArray[np.int64]:
    """A machine at rest: int64 (STATE_SIZE,)."""
    m = np.zeros(STATE_SIZE, np.int64)
    for slot, value in _parameters(accelerator, memory, command_gap_cycles, trace).items():
        m[slot] = value
    for start, end in _START_IN_THE_PAST:
        m[start:end] = PAST
    m[NORMALISER + NU_ENTRANCE : NORMALISER + NU_SIZE] = PAST
    m[[W_ACC_TIME, W_LAST_TIME, W_NARROW_AT, A_ACK_READY]] = PAST
    m[[X_SP_UNTIL, X_LAST_OUT, W_TIME, X_READ_TIME, X_FIRED, L_POPPED, V_POPPED, X_LAST_ROW]] = PAST
    m[[X_NEXT, W_NEXT, X_LAG]] = NEVER
    m[[W_PORT_NEXT, W_NARROW_NEXT, W_WIDE_NEXT, W_MERGE_NEXT]] = NEVER
    m[FIRST_NEXT : FIRST_NEXT + 16] = NEVER
    m[F_NEXT] = 0
    m[[O_LAST, O_READ_BLOCKED, O_WRITE_BLOCKED]] = PAST
    m[[O_READ_FIRST, O_READ_SECOND, O_WRITE_FIRST, O_WRITE_SECOND, O_WRITE_ASIDE]] = -1
    m[[O_PAGE, O_PAGE + 1, O_PAGE_BEFORE, O_PAGE_BEFORE + 1]] = -1
    m[O_TRANSLATED], m[O_PAGES_LOGGED], m[S_LOGGED] = 1, PAGES_LOGGED, ENTERS_LOGGED
    m[SUB_BANKS + B_LAST : SUB_BANKS + MOST_ACC_BANKS * B_SIZE : B_SIZE] = PAST
    ld, ex, st = int(m[P_LD_ENTRIES]), int(m[P_EX_ENTRIES]), int(m[P_ST_ENTRIES])
    m[V_HELD_BANK] = -1
    m[S_FREE_LD] = (1 << ld) - 1
    m[S_FREE_EX] = ((1 << ex) - 1) << ld
    m[S_FREE_ST] = ((1 << st) - 1) << (ld + ex)
    m[[X_PENDING0, X_PENDING1]] = -1
    m[X_WS] = 1
    _fill_the_past(m)
    return m


def _fill_the_past(m: npt.NDArray[np.int64]) -> None:
    """Results and stored items before the first: long gone, as whoever looks back from a later one finds them."""
    m[[X_TAG_HEAD, X_TAG_TAIL]] = TAG_RING
    m[TAGS + T_LEFT : TAGS + TAG_RING * T_SIZE : T_SIZE] = PAST + 1
    m[[V_SENT, V_FIRED, V_NORMED, V_SCALED, V_ISSUED, V_TAKEN]] = ITEMS
    for field in (I_QUEUED, I_READ, I_NORM, I_SCALE, I_ACCEPT):
        m[ITEM + field : ITEM + ITEMS * I_SIZE : I_SIZE] = PAST
    m[ITEM + I_BANK : ITEM + ITEMS * I_SIZE : I_SIZE] = -1
