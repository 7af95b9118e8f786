"""Every word of the machine's state has a kind here, by which `skipping.state` reads it and writes it back.

A slot or a field that is missing is a fault that a test finds: what is not part of the state seen from the present
cycle must be named as such.
"""

from __future__ import annotations

import numpy as np

# isort: off
from simulator.cycle_level.state import (
    A_ACK_READY, A_LEFT, A_MERGED, A_MOVED, A_OWN, A_PASSED, A_PENDING, D_ACCUMULATE, D_BEATS, D_BLOCK, D_BYTES,
    D_NUMBER, D_OFFSET, D_PER_BEAT, D_PIXELS, D_READY, D_REPEATS, D_ROW, D_SCALED, D_SHIFT, D_TRACKER, D_WIDE,
    E_ALLOCATED, E_A_HIGH, E_A_LOW, E_A_WRITES, E_B_HIGH, E_B_LOW, E_COMMAND, E_DEPS, E_FUNCT, E_RS1, E_RS2, E_SOURCE,
    E_STARTED, F_A_HEAD, F_A_TAIL, F_BASE, F_B_HEAD, F_B_TAIL, F_COMMAND, F_C_HEAD, F_C_TAIL, F_END, F_FULL,
    F_LAST_EXECUTE, F_LAST_OF, F_MORE, F_NEXT, F_READ, F_STARVED, H_ACTIVE, H_CONSUMED, H_EXECUTED, H_FREE, H_HEAD,
    H_NEXT, H_RESADD, H_UTIL_EX, H_UTIL_LD, H_UTIL_ST, I_ACCEPT, I_ADDRESS, I_BANK, I_BYTES, I_KEY, I_NORM, I_PASSAGE,
    I_QUEUED, I_READ, I_SCALE, I_STORE, K_LEFT, K_SEEN, K_SLOT, K_START, K_VALID, L_DONE_HEAD, L_DONE_TAIL, L_HEAD,
    L_NEXT, L_POPPED, L_ROW, L_STATE, L_TAIL, L_TRACKED, L_TRACKER, NORMALISER, NU_SET, N_DEADLOCK, O_ASKED, O_ASKS,
    O_BEATS, O_BEATS_HELD, O_BUSY, O_KNOWN, O_LAST, O_LEFT, O_LOCKED, O_NEXT, O_PAGE, O_PAGES_LOGGED, O_PAGE_BEFORE,
    O_PAGE_FROM, O_READS, O_READS_HELD, O_READ_BLOCKED, O_READ_FIRST, O_READ_SECOND, O_SIDE, O_SLOT, O_STALE, O_START,
    O_TRANSLATED, O_WRITE_ASIDE, O_WRITE_BLOCKED, O_WRITE_FIRST, O_WRITE_SECOND, Q_ACCUMULATE, Q_ADDRESS, Q_BLOCK,
    Q_BYTES, Q_FROM, Q_LENGTH, Q_LOCAL, Q_PIXELS, Q_REPEATS, Q_SCALED, Q_TIME, Q_TRACKER, Q_USEFUL, Q_WIDE, R_ACTIVE,
    R_ADDRESS, R_DONE, R_HEAD, R_ISSUED, R_LEFT, R_MEMORY_FREE, R_NEXT, R_ROW, R_TAIL, S_A_STRIDE, S_A_T, S_BLOCK0,
    S_BLOCK1, S_BLOCK2, S_C_STRIDE, S_FREE_EX, S_FREE_LD, S_FREE_ST, S_HEAD_EX, S_HEAD_LD, S_HEAD_ST, S_ISSUE_EX,
    S_ISSUE_LD, S_ISSUE_ST, S_LAST_BUSY, S_LOGGED, S_PIXELS0, S_POOLED, S_SOLITARY, S_TAIL_EX, S_TAIL_LD, S_TAIL_ST,
    S_VALID, T_ACCUMULATES, T_ENTERED, T_KEY, T_LEFT, T_MATCH, T_ROWS, T_SLOT, T_STRIDE, T_WS, U_FUNCT, U_RS1, U_RS2,
    U_SLOT, U_TIME, U_VARIANT, V_BLOCK, V_CLOSED, V_COLUMNS, V_DONE, V_D_NEXT, V_FIRED, V_HEAD, V_HELD_BANK,
    V_HELD_BEHIND, V_ISSUED, V_LAST_ACK, V_NEXT, V_NORMED, V_OPENED, V_PACKETS, V_POOL_COLUMNS, V_POOL_DIM,
    V_POOL_LEFT, V_POOL_ROWS, V_POOL_SIZE, V_POOL_STEP, V_POOL_UPPER, V_POPPED, V_READ, V_READY, V_ROW, V_ROWS,
    V_SCALED, V_SENT, V_STATE, V_STRIDE, V_TAIL, V_TAKEN, V_W_ADDRESS, V_W_BEATS, V_W_LEFT, V_W_NEXT, V_W_REQUEST,
    WR_ACCUMULATE, WR_BYTES, WR_COPIES, WR_KEY, WR_LAST, WR_PIXELS, WR_READY, WR_REPEATS, WR_TRACKER, W_ACCUMULATES,
    W_ACC_BANK, W_ACC_TIME, W_BANK, W_BUSY, W_FREE, W_HEAD, W_HELD, W_LAST_TIME, W_MERGE_NEXT, W_NARROW_AT,
    W_NARROW_HEAD, W_NARROW_NEXT, W_NARROW_TAIL, W_NEXT, W_PORT, W_PORT_NEXT, W_REPEATED, W_SCALED, W_SCALED_FROM,
    W_SCALED_UNTIL, W_SENT, W_SHARED, W_TAIL, W_TIME, W_WIDE_HEAD, W_WIDE_NEXT, W_WIDE_TAIL, X_A, X_A_ON, X_A_ROWS,
    X_A_STRIDE, X_A_T, X_B, X_BANK_A, X_BANK_B, X_BANK_D, X_B_ON, X_B_ROWS, X_B_T, X_CAUSE, X_CQ_HEAD, X_CQ_TAIL,
    X_C_ACCUMULATES, X_C_KEY, X_C_ROWS, X_C_SLOT, X_C_STRIDE, X_D, X_DONE_HEAD, X_DONE_TAIL, X_D_ON, X_D_ROWS,
    X_ENTRIES, X_FIRED, X_FIRST, X_FLUSHED, X_LAG, X_LAST_OUT, X_LAST_ROW, X_MACS_COLUMNS, X_NA, X_NB, X_ND, X_NEXT,
    X_NEXT_COLUMNS, X_OP, X_OPS, X_PENDING0, X_PENDING1, X_PENDING_SINCE, X_READS, X_READ_TIME, X_ROW, X_SMOOTH,
    X_SP_UNTIL, X_STATE, X_STRIDE, X_TAG_HEAD, X_TAG_MATCH, X_TAG_TAIL, X_TOTAL, X_UNROLL, X_UNROLL_ON, X_UQ_HEAD,
    X_UQ_START, X_UQ_TAIL, X_U_NEXT, X_WS, Y_COMMAND, Y_FUNCT, Y_IN, Y_OUT, Y_RS1, Y_RS2, Y_SOURCE, Z_ACCUMULATE,
    Z_BLOCK, Z_BYTES, Z_COLUMN, Z_COLUMNS, Z_HELD, Z_HELD_ACCUMULATE, Z_HELD_BYTES, Z_HELD_COPIES, Z_HELD_KEY,
    Z_HELD_LAST, Z_HELD_SINCE, Z_LOCAL, Z_NEXT, Z_PIXELS, Z_SINCE, Z_TRACKER, Z_VALID,
)  # fmt: skip
# isort: on

# How a word is seen from the present cycle `t`.
WORD, STAMP, OLD, DUE, AGE, SLOT, ADDRESS, ROW1, ROW2, ROW4 = range(10)
"""WORD: as it is. STAMP: a cycle; before `t` all are alike. OLD: a cycle from which others are computed, so that only
those further before `t` than any fixed chain of delays are alike. DUE: a cycle, or 0 for none. AGE: a cycle that is
none yet when PAST. SLOT: an entry of the reservation station, -1 for none. ADDRESS: a memory address. ROW1,
ROW2, ROW4: a local row of a mvin's, whose tracker stands so many words behind."""


def _fields(**kinds: tuple[int, ...]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """(slots or fields, 2): each with its kind."""
    names = ("word", "stamp", "old", "due", "age", "slot", "address", "row1", "row2", "row4")
    return np.array([(field, names.index(name)) for name, fields in kinds.items() for field in fields], np.int64)


ALWAYS = _fields(
    word=(
        F_FULL, F_STARVED, S_A_STRIDE, S_C_STRIDE, S_A_T, S_POOLED, S_BLOCK0, S_BLOCK1, S_BLOCK2,
        S_SOLITARY, L_STATE, L_TRACKED, Z_VALID, Z_HELD, X_STATE, X_WS, X_A_T, X_B_T, X_STRIDE, X_C_STRIDE, X_UNROLL,
        X_UNROLL_ON, X_MACS_COLUMNS, X_NEXT_COLUMNS, V_STATE, V_STRIDE, V_POOL_STEP, V_POOL_SIZE, V_POOL_UPPER,
        V_POOL_LEFT, V_POOL_DIM, V_POOL_ROWS, V_POOL_COLUMNS, V_ROWS, V_COLUMNS, V_W_LEFT,
        W_BUSY, W_HELD, W_SCALED, A_LEFT, A_PENDING, O_SIDE, O_BUSY, V_W_BEATS, NORMALISER + NU_SET, S_PIXELS0,
        S_PIXELS0 + 1, S_PIXELS0 + 2,
    ),
    stamp=(
        F_NEXT, S_ISSUE_LD, S_ISSUE_EX, S_ISSUE_ST, L_NEXT, R_NEXT, R_MEMORY_FREE, W_NEXT, W_FREE,
        W_MERGE_NEXT, W_NARROW_NEXT, W_REPEATED, W_WIDE_NEXT, W_SCALED_FROM, W_SCALED_UNTIL,
        Z_NEXT, X_NEXT, X_LAST_OUT, X_PENDING_SINCE, X_U_NEXT, X_FLUSHED, V_NEXT, V_D_NEXT, V_W_NEXT, V_READY,
        V_LAST_ACK, S_LAST_BUSY, O_LAST, X_SP_UNTIL,
    ),
    due=(L_DONE_HEAD, V_DONE),
    slot=(X_PENDING0, X_PENDING1),
)  # fmt: skip
# Registers that mean something only while their unit is at work.
LOADING = _fields(word=(L_ROW, L_TRACKER))
READING = _fields(word=(R_LEFT, R_DONE), address=(R_ADDRESS,))
MERGING = _fields(word=(W_SENT,))
ZEROING = _fields(
    word=(Z_COLUMNS, Z_COLUMN, Z_BLOCK, Z_TRACKER, Z_BYTES, Z_ACCUMULATE, Z_PIXELS), stamp=(Z_SINCE,), row4=(Z_LOCAL,)
)  # fmt: skip
HOLDING = _fields(word=(Z_HELD_LAST, Z_HELD_BYTES, Z_HELD_ACCUMULATE, Z_HELD_COPIES), stamp=(Z_HELD_SINCE,))
OPERATING = _fields(word=(X_OP, X_TOTAL, X_NA, X_NB, X_ND, X_FIRST, X_ROW, X_SMOOTH, X_BANK_A, X_BANK_B, X_BANK_D))
OPERANDS = (
    X_A, X_A_STRIDE, X_A_ROWS, X_A_ON, X_B, X_B_ROWS, X_B_ON, X_D, X_D_ROWS, X_D_ON, X_C_KEY, X_C_ROWS,
    X_C_ACCUMULATES, X_C_SLOT,
)  # fmt: skip
"""What an operation took from the commands at the head of the queue, where they still are."""
CAUSE = _fields(word=(X_CAUSE,))
STORING = _fields(word=(V_ROW, V_BLOCK))
SENDING_PACKETS = _fields(address=(V_W_ADDRESS,))
# Fields of the tables' records.
WAITING_COMMAND = _fields(old=(Y_IN,))
GONE_COMMAND = _fields(old=(Y_OUT,))
ALLOCATED = _fields(stamp=(E_ALLOCATED,))
QUEUED = _fields(word=(U_FUNCT, U_VARIANT), slot=(U_SLOT,), stamp=(U_TIME,))
TRACKED = _fields(slot=(K_SLOT,), word=(K_LEFT,), stamp=(K_SEEN,))
ROW = _fields(
    word=(Q_BYTES, Q_TRACKER, Q_BLOCK, Q_WIDE, Q_REPEATS, Q_SCALED, Q_ACCUMULATE, Q_PIXELS),
    address=(Q_ADDRESS,),
    stamp=(Q_TIME,),
    row1=(Q_LOCAL,),
)  # fmt: skip
READY = _fields(stamp=(D_READY,))
LENGTH = _fields(word=(D_BEATS, D_PER_BEAT))
ANSWER = _fields(
    word=(D_SHIFT, D_BYTES, D_OFFSET, D_TRACKER, D_BLOCK, D_WIDE, D_REPEATS, D_SCALED, D_ACCUMULATE, D_PIXELS),
    row2=(D_ROW,),
)  # fmt: skip
READ_UNDER_WAY = _fields(word=(Q_LENGTH, Q_USEFUL), address=(Q_FROM,))
WRITE_UNDER_WAY = _fields(word=(Q_LENGTH, Q_USEFUL), address=(Q_FROM,))
MEETING = _fields(word=(O_LOCKED, O_READS_HELD, O_BEATS_HELD, O_ASKS, O_ASKS + 1), stamp=(O_NEXT,))
ROW_TO_WRITE = _fields(
    word=(WR_REPEATS, WR_ACCUMULATE, WR_TRACKER, WR_LAST, WR_BYTES, WR_PIXELS, WR_COPIES),
    stamp=(WR_READY,),
    row4=(WR_KEY,),
)
STORE_UNDER_WAY = _fields(word=(O_LEFT,), slot=(O_SLOT,))
TAG = _fields(word=(T_ROWS, T_ACCUMULATES, T_STRIDE, T_WS), slot=(T_SLOT,), stamp=(T_ENTERED,), age=(T_LEFT,))
LEFT_MESH = _fields(stamp=(0,), slot=(1,))
ITEM_ON_ITS_WAY = _fields(
    word=(I_BYTES, I_STORE, I_BANK, I_PASSAGE), address=(I_ADDRESS,), old=(I_READ, I_NORM, I_SCALE, I_ACCEPT),
    stamp=(I_QUEUED,),
)  # fmt: skip
ITEM_PASSED = _fields(word=(I_BANK,), stamp=(I_READ, I_NORM, I_SCALE, I_ACCEPT))
ONE_STAMP = _fields(stamp=(0,))

# What is no state of its own.
POSITIONS = (
    F_READ, F_COMMAND, F_B_HEAD, F_B_TAIL, F_C_HEAD, F_C_TAIL, F_A_HEAD, F_A_TAIL, S_VALID, S_FREE_LD,
    S_FREE_EX, S_FREE_ST, S_HEAD_LD, S_HEAD_EX, S_HEAD_ST, S_TAIL_LD, S_TAIL_EX, S_TAIL_ST, L_HEAD, L_TAIL,
    R_HEAD, R_TAIL, R_ACTIVE, R_ISSUED, W_HEAD, W_TAIL, W_PORT, W_SHARED, W_NARROW_HEAD, W_NARROW_TAIL,
    W_WIDE_HEAD, W_WIDE_TAIL, A_PASSED, A_MOVED, A_OWN, A_MERGED, X_ENTRIES, X_OPS, X_TAG_HEAD, X_TAG_TAIL,
    X_UQ_HEAD, X_UQ_TAIL, X_CQ_HEAD, X_CQ_TAIL, X_DONE_HEAD, X_DONE_TAIL, V_HEAD, V_TAIL, V_SENT, V_FIRED,
    V_SCALED, V_ISSUED, V_TAKEN, V_PACKETS, V_OPENED, V_READ, V_CLOSED, V_NORMED, V_HELD_BANK, V_HELD_BEHIND,
    V_W_REQUEST, O_READ_FIRST, O_READ_SECOND, O_READS, O_READS + 1, O_WRITE_FIRST, O_WRITE_SECOND, O_WRITE_ASIDE,
    O_BEATS, O_BEATS + 1, O_KNOWN, O_KNOWN + 1, O_ASKED, O_ASKED + 1, O_STALE,
)  # fmt: skip
"""Where rings stand, which entries are taken, which request is meant and what follows from it: the walk counts, or goes
on to the record."""
PAGES = (O_PAGE, O_PAGE + 1, O_PAGE_BEFORE, O_PAGE_BEFORE + 1, O_PAGE_FROM, O_PAGE_FROM + 1, O_TRANSLATED)
"""Brought up to date by every request that is skipped (`skipping.repeat`)."""
PASSING = (
    X_UQ_START, L_POPPED, V_POPPED, W_TIME, W_BANK, W_ACC_TIME, W_ACC_BANK, W_ACCUMULATES, W_LAST_TIME,
    W_NARROW_AT, W_PORT_NEXT, A_ACK_READY, X_READS, X_READ_TIME, X_FIRED, F_BASE, F_MORE, F_LAST_OF, F_LAST_EXECUTE,
    F_END, O_PAGES_LOGGED, X_LAG, Z_HELD_KEY, S_LOGGED,
    O_READ_BLOCKED, O_WRITE_BLOCKED,
)  # fmt: skip
"""Set anew in the cycle that looks at it, read only by a trace, a cache's answers, or set by who runs the machine."""
UNUSED = (L_DONE_TAIL, R_ROW, X_TAG_MATCH, X_LAST_ROW, N_DEADLOCK)
PASSING_FIELDS = {
    "E": (
        E_COMMAND,
        E_STARTED,
        E_DEPS,
        E_A_LOW,
        E_A_HIGH,
        E_B_LOW,
        E_B_HIGH,
        E_A_WRITES,
        E_SOURCE,
        E_FUNCT,
        E_RS1,
        E_RS2,
    ),
    "U": (U_RS1, U_RS2),
    "K": (K_VALID, K_START),
    "T": (T_MATCH, T_KEY),
    "Y": (Y_COMMAND, Y_FUNCT, Y_RS1, Y_RS2, Y_SOURCE),
    "D": (D_NUMBER,),
    "I": (I_KEY,),
    "O": (O_START,),
}
"""Fields of records that the walk derives or treats by itself, or that only a trace reads."""
WALKED_TABLES = (
    "FRONT", "CONV_QUEUE", "MATMUL_QUEUE", "UNROLLED", "ENTRY", "UNISSUED", "LOAD_QUEUE", "LOAD_CONFIG",
    "TRACKER", "ROW_QUEUE", "READ_REQUEST", "WRITE_REQUEST", "IN_FLIGHT", "RESPONSE", "BEAT_PORT", "BEAT_MOVED",
    "BEAT_OWN", "BEAT_MERGED", "ROWS", "STORES", "UNROLLER", "COMMANDS", "TAGS", "LEFT", "MESH_DONE",
    "WRITE_TIME", "WRITE_BANK", "DMA_WRITE_TIME", "DMA_WRITE", "STORE_QUEUE", "ITEM", "ACKS",
)  # fmt: skip
OTHER_TABLES = ("STALLS", "SUB_BANKS", "MATMUL_LOOP", "LOOP_UNIT", "CONV", "NORMALISER", "PAGE_LOG", "ENTER_LOG")
"""Counters, what is at rest in the machines and streams in which something is skipped (`skipping.repeat`), logs."""
LOOPS = (H_NEXT, H_ACTIVE, H_FREE, H_HEAD, H_RESADD, H_UTIL_LD, H_UTIL_EX, H_UTIL_ST, H_CONSUMED, H_EXECUTED)
"""At rest until the first loop command, from which on nothing is skipped."""
