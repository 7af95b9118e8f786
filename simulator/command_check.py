"""Which commands are legal on a machine: one compiled pass over a Program names the first illegal command and field.

Both the cycle-level engine and the functional mode run it first, so neither guesses what a malformed command means.
`command_rules` says what each rule is about and where it comes from.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from simulator.accelerator import Accelerator
from simulator.compile_cache import drop_stale_indexes
from simulator.loop_check import LOOP_CHECK_SIZE, check_loop
from simulator.loop_conv_check import CONV_CHECK_SIZE, check_conv
from simulator.program import Program

# isort: off
from simulator.command_rules import (
    ACCUMULATOR, ACTIVATION, ADDEND, BLOCK_STRIDE, COLUMNS, C_STRIDE, DATAFLOW, FULL_WIDTH, GARBAGE_ADDRESS, IMAGE,
    LOAD_ID, NORM, NORM_COMMAND, NO_COMPUTE, NO_CONFIG_EX, NO_CONFIG_LD, NO_CONFIG_ST, NO_LIMIT, NO_LOOP_CONV,
    NO_POOL, NO_PRELOAD, OK, OPERAND, PIXELS_FIT, POOL, ROWS, SCRATCHPAD, STATS_ID, TRANSPOSE, UNKNOWN, raise_fault,
)  # fmt: skip
# isort: on

# Every compiled file of the simulator imports this one first.
drop_stale_indexes()

GARBAGE_WORD = (1 << 32) - 1
NO_FAULT = (-1, OK, 0, 0)
NOTHING = 1 << 60
"""Index of a preload that waits for its compute when there is none."""
(
    CHECK_SHRINK, _, _, CHECK_BLOCK, _, _, CHECK_A_STRIDE, CHECK_C_STRIDE, CHECK_WS, CHECK_A_T, CHECK_B_T, CHECK_EX,
    CHECK_ST, CHECK_PIXELS, CHECK_PENDING, CHECK_REPEATS, _, _, CHECK_LOOP,
) = range(19)  # fmt: skip

CHECK_CONV = CHECK_LOOP + LOOP_CHECK_SIZE
CHECK_SIZE = CHECK_CONV + CONV_CHECK_SIZE


@njit(cache=True)
def bits(word, high, low):  # type: ignore[no-untyped-def]
    """Bits high:low of a uint64 word as int64."""
    return np.int64((word >> np.uint64(low)) & np.uint64((1 << (high - low + 1)) - 1))


@njit(cache=True)
def _check_extent(address, extent, sp_rows, acc_rows):  # type: ignore[no-untyped-def]
    """Code, value and limit of a local block of `extent` rows at a 32-bit local `address`."""
    if (address >> 31) & 1:
        end = (address & 0x3FFFFFF) + extent
        return (ACCUMULATOR if end > acc_rows else OK), end - 1, acc_rows - 1
    end = (address & 0x1FFFFFFF) + extent
    return (SCRATCHPAD if end > sp_rows else OK), end - 1, sp_rows - 1


@njit(cache=True)
def _check_config_ld(rs1):  # type: ignore[no-untyped-def]
    if bits(rs1, 4, 3) > 2:
        return LOAD_ID, bits(rs1, 4, 3), 2
    return OK, 0, 0


@njit(cache=True)
def _check_config_st(rs1, has_pool, has_norm):  # type: ignore[no-untyped-def]
    activation, stride, size = bits(rs1, 3, 2), bits(rs1, 5, 4), bits(rs1, 7, 6)
    if activation > 1 and not has_norm:
        return ACTIVATION, activation, 1
    if stride > 0 and not has_pool:
        return NO_POOL, stride, 0
    if stride > 0 and size == 0:
        return POOL, 0, 1
    if size > 0 and bits(rs1, 55, 48) * bits(rs1, 63, 56) == 0:
        return IMAGE, 0, 1
    return OK, 0, 0


@njit(cache=True)
def _check_config_ex(rs1, has_ws, has_os):  # type: ignore[no-untyped-def]
    ws = bits(rs1, 2, 2)
    if (ws and not has_ws) or (not ws and not has_os):
        return DATAFLOW, ws, NO_LIMIT
    if bits(rs1, 9, 9) and bits(rs1, 8, 8) == ws:
        return TRANSPOSE, 2, 1
    return OK, 0, 0


@njit(cache=True)
def _check_config_norm(rs1, has_norm):  # type: ignore[no-untyped-def]
    if not has_norm:
        return NORM, 3, 2
    return (STATS_ID if bits(rs1, 15, 8) > 1 else OK), bits(rs1, 15, 8), 1


@njit(cache=True)
def _check_block(word, max_rows, max_columns):  # type: ignore[no-untyped-def]
    rows, columns = bits(word, 63, 48), bits(word, 47, 32)
    if rows < 1 or rows > max_rows:
        return ROWS, rows, max_rows
    if columns < 1 or columns > max_columns:
        return COLUMNS, columns, max_columns
    return OK, 0, 0


@njit(cache=True)
def _check_mvin(rs2, shrink, block_stride, repeats, machine):  # type: ignore[no-untyped-def]
    dim, sp_rows, acc_rows, request_bytes, acc_bytes = machine[:5]
    address = bits(rs2, 31, 0)
    if address == GARBAGE_WORD:
        return GARBAGE_ADDRESS, address, NO_LIMIT
    to_acc = (address >> 31) & 1
    most = max(request_bytes // (acc_bytes if to_acc and not shrink else 1), dim)
    code, value, limit = _check_block(rs2, dim, most)
    if code != OK:
        return code, value, limit
    rows, columns = bits(rs2, 63, 48), bits(rs2, 47, 32)
    blocks = (columns + dim - 1) // dim
    if blocks > 1 and block_stride < rows:
        return BLOCK_STRIDE, block_stride, rows
    if repeats > 1 and (to_acc or columns * repeats > dim):
        return PIXELS_FIT, columns * repeats, np.int64(0) if to_acc else np.int64(dim)
    return _check_extent(address, (blocks - 1) * block_stride + rows, sp_rows, acc_rows)


@njit(cache=True)
def _check_mvout(rs2, pixels, machine):  # type: ignore[no-untyped-def]
    """`pixels` of the accumulator are read whatever `rs2` says of rows, where it is not 0."""
    dim, sp_rows, acc_rows, request_bytes, _, full_ok, _, _, _, has_norm, _, _, _ = machine
    address = bits(rs2, 31, 0)
    if address == GARBAGE_WORD:
        return GARBAGE_ADDRESS, address, NO_LIMIT
    to_acc, full = (address >> 31) & 1, (address >> 29) & 1
    if full and not (full_ok and to_acc):
        return FULL_WIDTH, address, NO_LIMIT
    if to_acc and (address >> 26) & 7 and not has_norm:
        return NORM_COMMAND, (address >> 26) & 7, 0
    columns = dim if full or pixels else max(request_bytes, dim)
    # Pooled and one-dimensional mvouts take their rows from config_st; loop_conv_ws and gemmini.h send 0.
    code, value, limit = _check_block(rs2 | np.uint64(1 << 48) if pixels else rs2, 65535 if pixels else dim, columns)
    if code != OK:
        return code, value, limit
    rows, blocks = bits(rs2, 63, 48), (bits(rs2, 47, 32) + dim - 1) // dim
    return _check_extent(address, pixels if pixels else (blocks - 1) * dim + rows, sp_rows, acc_rows)


@njit(cache=True)
def _check_operand(word, stride, transposed, machine):  # type: ignore[no-untyped-def]
    """A, B or D of the execute controller: garbage, or a block."""
    dim, sp_rows, acc_rows = machine[:3]
    address = bits(word, 31, 0)
    if address == GARBAGE_WORD:
        return OK, 0, 0
    if (address >> 31) & 1 and machine[10]:
        return OPERAND, address, NO_LIMIT
    code, value, limit = _check_block(word, dim, dim)
    if code != OK:
        return code, value, limit
    rows = bits(word, 47, 32) if transposed else bits(word, 63, 48)
    return _check_extent(address, (rows - 1) * stride + 1, sp_rows, acc_rows)


@njit(cache=True)
def _check_result(word, ws, stride, machine):  # type: ignore[no-untyped-def]
    dim, sp_rows, acc_rows = machine[:3]
    address = bits(word, 31, 0)
    if address == GARBAGE_WORD:
        return OK, 0, 0
    code, value, limit = _check_block(word, dim, dim)
    if code != OK:
        return code, value, limit
    rows = bits(word, 63, 48)
    if not ws and stride != 1 and rows > 1:
        return C_STRIDE, stride, 1
    return _check_extent(address, (rows - 1) * stride + 1, sp_rows, acc_rows)


@njit(cache=True)
def first_fault(funct, rs1, rs2, machine, state, more):  # type: ignore[no-untyped-def]
    """(index, rule, value, limit) of the first illegal command, rule OK if none; `machine` as `machine_limits` gives.

    `state` (CHECK_SIZE,) is what the commands before have configured, and is brought up to date; an index below 0 is a
    preload among them. `more` commands follow, so the last preload's compute may be missing.
    """
    _, _, _, _, _, _, has_ws, has_os, has_pool, has_norm, timed, has_conv, adds = machine
    shrink, block_stride = state[CHECK_SHRINK : CHECK_SHRINK + 3], state[CHECK_BLOCK : CHECK_BLOCK + 3]
    repeats = state[CHECK_REPEATS : CHECK_REPEATS + 3]
    a_stride, c_stride = state[CHECK_A_STRIDE], state[CHECK_C_STRIDE]
    ws, a_t, b_t = state[CHECK_WS], state[CHECK_A_T], state[CHECK_B_T]
    ex_ready, st_ready = state[CHECK_EX] != 0, state[CHECK_ST] != 0
    pixels, pending = state[CHECK_PIXELS], state[CHECK_PENDING]
    for i in range(funct.size):
        f, code, value, limit = funct[i], OK, np.int64(0), np.int64(0)
        kind = bits(rs1[i], 1, 0)
        if f == 0 and kind == 1:
            code, value, limit = _check_config_ld(rs1[i])
            if code == OK:
                which = bits(rs1[i], 4, 3)
                shrink[which], block_stride[which] = bits(rs1[i], 2, 2), bits(rs1[i], 31, 16)
                repeats[which] = bits(rs1[i], 15, 8)
        elif f == 0 and kind == 2:
            code, value, limit = _check_config_st(rs1[i], has_pool, has_norm)
            st_ready = True
            pixels = bits(rs1[i], 55, 48) * bits(rs1[i], 63, 56) if bits(rs1[i], 7, 6) > 0 else np.int64(0)
        elif f == 0 and kind == 3:
            code, value, limit = _check_config_norm(rs1[i], has_norm)
        elif f == 0:
            if pending != NOTHING:
                return pending, NO_COMPUTE, np.int64(f), np.int64(4)
            a_stride, c_stride = bits(rs1[i], 31, 16), bits(rs2[i], 63, 48)
            if bits(rs1[i], 7, 7) == 0:
                code, value, limit = _check_config_ex(rs1[i], has_ws, has_os)
                ex_ready = True
                ws, a_t, b_t = bits(rs1[i], 2, 2), bits(rs1[i], 8, 8), bits(rs1[i], 9, 9)
        elif f == 2 or f == 1 or f == 14:
            which = 0 if f == 2 else (1 if f == 1 else 2)
            if block_stride[which] < 0:
                code, value, limit = NO_CONFIG_LD, np.int64(f), np.int64(NO_LIMIT)
            else:
                code, value, limit = _check_mvin(rs2[i], shrink[which], block_stride[which], repeats[which], machine)
        elif f == 3:
            if not st_ready:
                code, value, limit = NO_CONFIG_ST, np.int64(f), np.int64(NO_LIMIT)
            else:
                code, value, limit = _check_mvout(rs2[i], pixels, machine)
        elif f == 6:
            if not ex_ready:
                return i, NO_CONFIG_EX, np.int64(f), np.int64(NO_LIMIT)
            if pending != NOTHING:
                return pending, NO_COMPUTE, np.int64(f), np.int64(4)
            pending = np.int64(i)
            code, value, limit = _check_operand(rs1[i], 1, ws and b_t, machine)
            if not ws and not adds and bits(rs1[i], 31, 0) != GARBAGE_WORD:
                code, value, limit = ADDEND, bits(rs1[i], 31, 0), np.int64(GARBAGE_WORD)
            if code == OK:
                code, value, limit = _check_result(rs2[i], ws, c_stride, machine)
        elif f == 4 or f == 5:
            if pending == NOTHING:
                return i, NO_PRELOAD, np.int64(f), np.int64(6)
            pending = np.int64(NOTHING)
            code, value, limit = _check_operand(rs1[i], a_stride, a_t, machine)
            if code == OK:
                code, value, limit = _check_operand(rs2[i], 1, (not ws) and b_t, machine)
            if ws and not adds and bits(rs2[i], 31, 0) != GARBAGE_WORD:
                code, value, limit = ADDEND, bits(rs2[i], 31, 0), np.int64(GARBAGE_WORD)
        elif f == 8 and not ex_ready:
            code, value, limit = NO_CONFIG_EX, np.int64(f), np.int64(NO_LIMIT)
        elif f == 8 and not st_ready:
            code, value, limit = NO_CONFIG_ST, np.int64(f), np.int64(NO_LIMIT)
        elif f == 8 and min(block_stride[0], block_stride[1]) < 0:
            code, value, limit = NO_CONFIG_LD, np.int64(f), np.int64(NO_LIMIT)
        elif 8 <= f <= 13:
            code, value, limit = check_loop(f, rs1[i], rs2[i], machine, state[CHECK_LOOP:])
        elif 15 <= f <= 21:
            # Functional mode, which unrolls loop_conv_ws before, checks what comes out.
            if not timed:
                code = OK
            elif not has_conv:
                code, value, limit = NO_LOOP_CONV, np.int64(f), np.int64(NO_LIMIT)
            elif f == 15 and not ex_ready:
                code, value, limit = NO_CONFIG_EX, np.int64(f), np.int64(NO_LIMIT)
            else:
                code, value, limit = check_conv(f, rs1[i], rs2[i], machine, state[CHECK_CONV:])
        elif f != 7:
            code, value, limit = UNKNOWN, np.int64(f), np.int64(NO_LIMIT)
        if code != OK:
            return i, code, np.int64(value), np.int64(limit)
    if pending != NOTHING and not more:
        return pending, NO_COMPUTE, np.int64(0), np.int64(4)
    state[CHECK_A_STRIDE], state[CHECK_C_STRIDE] = a_stride, c_stride
    state[CHECK_WS], state[CHECK_A_T], state[CHECK_B_T] = ws, a_t, b_t
    state[CHECK_EX], state[CHECK_ST], state[CHECK_PIXELS] = ex_ready, st_ready, pixels
    state[CHECK_PENDING] = pending if pending == NOTHING else pending - funct.size
    return np.int64(-1), OK, np.int64(0), np.int64(0)


def machine_limits(accelerator: Accelerator, *, timed: bool) -> tuple[int, ...]:
    """The capacities and abilities `first_fault` checks against, as plain integers; with `timed`, also against what
    the cycle engine does not do."""
    return (
        accelerator.dim,
        accelerator.scratchpad_rows,
        accelerator.accumulator_rows,
        accelerator.dma.request_bytes // accelerator.input_bytes,
        accelerator.accumulator_bytes // accelerator.input_bytes,
        int(accelerator.accumulator.full_width_read),
        int("ws" in accelerator.array.dataflows),
        int("os" in accelerator.array.dataflows),
        int("max_pool" in accelerator.store_path_functions),
        int(accelerator.normaliser is not None),
        int(timed),
        int(accelerator.queues.front_queues > 3),
        # ExecuteController.scala hardcodes the operand to garbage in a machine of one dataflow alone.
        int(accelerator.array.adds_operand or len(accelerator.array.dataflows) > 1),
    )


def new_check() -> npt.NDArray[np.int64]:
    """Nothing is configured yet: the state `check_next` begins with."""
    state = np.zeros(CHECK_SIZE, np.int64)
    state[CHECK_BLOCK : CHECK_BLOCK + 3], state[CHECK_WS], state[CHECK_PENDING] = -1, 1, NOTHING
    return state


def check_next(
    program: Program,
    accelerator: Accelerator,
    state: npt.NDArray[np.int64],
    *,
    first_index: int,
    more: bool,
    timed: bool = True,
) -> None:
    """Like `check_program` for a piece of a stream, `first_index` its first command's index; `state` is carried on.

    With `timed`, commands that are legal but that the cycle engine does not time are faults too.
    """
    words = (program.funct, program.rs1, program.rs2)
    index, rule, value, limit = first_fault(*words, machine_limits(accelerator, timed=timed), state, more)
    if rule != OK:
        raise_fault(program, int(index), int(rule), int(value), int(limit), first_index=first_index)


def check_program(program: Program, accelerator: Accelerator, *, origin: npt.NDArray[np.int64] | None = None) -> None:
    """Raise InputError naming index and field of the first command that is illegal on `accelerator`.

    `origin` int64 (n,) holds the index to report of every command of a program whose loops were unrolled.
    """
    limits = machine_limits(accelerator, timed=False)
    index, rule, value, limit = first_fault(program.funct, program.rs1, program.rs2, limits, new_check(), False)
    if rule != OK:
        shift = 0 if origin is None else int(origin[index]) - int(index)
        raise_fault(program, int(index), int(rule), int(value), int(limit), first_index=shift)
