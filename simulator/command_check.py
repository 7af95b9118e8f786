"""Which commands are legal on a machine: one compiled pass over a Program names the first illegal command and field.

Both the cycle-level engine and the functional mode run it first, so neither guesses what a malformed command means.
The rules are the assertions of Gemmini's controllers (LoadController, StoreController, ExecuteController .scala,
ucb-bar/gemmini at 8c3f992) and the capacities of the accelerator description.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from model_ir.errors import InputError
from simulator.accelerator import Accelerator
from simulator.compile_cache import drop_stale_indexes
from simulator.isa import FUNCT_NAMES, PRELOAD
from simulator.program import Program

# Every compiled file of the simulator imports this one first.
drop_stale_indexes()

RULES: tuple[tuple[str, str], ...] = (
    ("", ""),
    ("funct", "unknown command"),
    ("funct", "loop command: unroll it into mvin, preload, compute and mvout first"),
    ("rs1[1:0]", "normaliser configuration: the engine has no normaliser"),
    ("config_ld.id", "no such load configuration"),
    ("config_ld.pixel_repeats", "pixel repetition is not modelled"),
    ("config_ex.dataflow", "dataflow the machine does not have"),
    ("config_ex.transpose", "the one transposer cannot serve two operands"),
    ("config_st.pool_size", "pooling needs size and stride above zero"),
    ("rows", "out of range"),
    ("columns", "out of range"),
    ("address", "row beyond the scratchpad"),
    ("address", "row beyond the accumulator"),
    ("address", "garbage where data must be"),
    ("config_ld.block_stride", "blocks of one mvin overlap"),
    ("funct", "mvin before its config_ld"),
    ("funct", "mvout before config_st"),
    ("funct", "preload or compute before config_ex"),
    ("funct", "compute without preload"),
    ("funct", "preload without compute"),
    ("address", "operand in the accumulator: the execute controller's accumulator reads are not modelled"),
    ("address", "full-width read the machine does not have, or not of the accumulator"),
    ("rs2", "memory address outside the image"),
)
(
    OK,
    UNKNOWN,
    LOOP,
    NORM,
    LOAD_ID,
    PIXELS,
    DATAFLOW,
    TRANSPOSE,
    POOL,
    ROWS,
    COLUMNS,
    SCRATCHPAD,
    ACCUMULATOR,
    GARBAGE_ADDRESS,
    BLOCK_STRIDE,
    NO_CONFIG_LD,
    NO_CONFIG_ST,
    NO_CONFIG_EX,
    NO_PRELOAD,
    NO_COMPUTE,
    OPERAND,
    FULL_WIDTH,
    MEMORY,
) = range(len(RULES))

GARBAGE_WORD = (1 << 32) - 1
NO_FAULT = (-1, OK, 0, 0)
NOTHING = 1 << 60
"""Index of a preload that waits for its compute when there is none."""
(
    CHECK_SHRINK, _, _, CHECK_BLOCK, _, _, CHECK_A_STRIDE, CHECK_C_STRIDE, CHECK_WS, CHECK_A_T, CHECK_B_T, CHECK_EX,
    CHECK_ST, CHECK_POOLED, CHECK_PENDING, CHECK_SIZE,
) = range(16)  # fmt: skip


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
def _check_config(rs1, has_ws, has_os):  # type: ignore[no-untyped-def]
    kind = bits(rs1, 1, 0)
    if kind == 3:
        return NORM, 3, 2
    if kind == 1:
        if bits(rs1, 4, 3) > 2:
            return LOAD_ID, bits(rs1, 4, 3), 2
        if bits(rs1, 15, 8) > 1:
            return PIXELS, bits(rs1, 15, 8), 1
    if kind == 2:
        size, stride = bits(rs1, 7, 6), bits(rs1, 5, 4)
        if (size == 0) != (stride == 0):
            return POOL, size, stride
    if kind == 0 and bits(rs1, 7, 7) == 0:
        ws = bits(rs1, 2, 2)
        if (ws and not has_ws) or (not ws and not has_os):
            return DATAFLOW, ws, 0
        a_transposed, b_transposed = bits(rs1, 8, 8), bits(rs1, 9, 9)
        if b_transposed and (a_transposed == ws):
            return TRANSPOSE, 2, 1
    return OK, 0, 0


@njit(cache=True)
def _check_block(word, max_rows, max_columns):  # type: ignore[no-untyped-def]
    rows, columns = bits(word, 63, 48), bits(word, 47, 32)
    if rows < 1 or rows > max_rows:
        return ROWS, rows, max_rows
    if columns < 1 or columns > max_columns:
        return COLUMNS, columns, max_columns
    return OK, 0, 0


@njit(cache=True)
def _check_mvin(rs2, dim, shrink, block_stride, sp_rows, acc_rows, request_bytes, acc_bytes):  # type: ignore[no-untyped-def]
    address = bits(rs2, 31, 0)
    if address == GARBAGE_WORD:
        return GARBAGE_ADDRESS, address, 0
    wide = ((address >> 31) & 1) and not shrink
    columns = max(request_bytes // (acc_bytes if wide else 1), dim)
    code, value, limit = _check_block(rs2, dim, columns)
    if code != OK:
        return code, value, limit
    rows, blocks = bits(rs2, 63, 48), (bits(rs2, 47, 32) + dim - 1) // dim
    if block_stride < rows:
        return BLOCK_STRIDE, block_stride, rows
    return _check_extent(address, (blocks - 1) * block_stride + rows, sp_rows, acc_rows)


@njit(cache=True)
def _check_mvout(rs2, dim, pooled_rows, full_ok, sp_rows, acc_rows, request_bytes):  # type: ignore[no-untyped-def]
    address = bits(rs2, 31, 0)
    if address == GARBAGE_WORD:
        return GARBAGE_ADDRESS, address, 0
    full = (address >> 29) & 1
    if full and (not full_ok or not ((address >> 31) & 1)):
        return FULL_WIDTH, address, 0
    columns = dim if full or pooled_rows else max(request_bytes, dim)
    code, value, limit = _check_block(rs2, dim if pooled_rows == 0 else 65535, columns)
    if code == ROWS and pooled_rows:  # a pooled mvout takes its rows from config_st; loop_conv_ws and gemmini.h send 0
        code = OK if 1 <= bits(rs2, 47, 32) <= columns else COLUMNS
        value, limit = bits(rs2, 47, 32), columns
    if code != OK:
        return code, value, limit
    rows, blocks = bits(rs2, 63, 48), (bits(rs2, 47, 32) + dim - 1) // dim
    extent = pooled_rows if pooled_rows else (blocks - 1) * dim + rows
    return _check_extent(address, extent, sp_rows, acc_rows)


@njit(cache=True)
def _check_operand(word, dim, stride, transposed, sp_rows, acc_rows):  # type: ignore[no-untyped-def]
    """A, B or D of the execute controller: garbage, or a block in the scratchpad."""
    address = bits(word, 31, 0)
    if address == GARBAGE_WORD:
        return OK, 0, 0
    if (address >> 31) & 1:
        return OPERAND, address, 0
    code, value, limit = _check_block(word, dim, dim)
    if code != OK:
        return code, value, limit
    rows = bits(word, 47, 32) if transposed else bits(word, 63, 48)
    return _check_extent(address, (rows - 1) * stride + 1, sp_rows, acc_rows)


@njit(cache=True)
def _check_result(word, dim, stride, sp_rows, acc_rows):  # type: ignore[no-untyped-def]
    address = bits(word, 31, 0)
    if address == GARBAGE_WORD:
        return OK, 0, 0
    code, value, limit = _check_block(word, dim, dim)
    if code != OK:
        return code, value, limit
    return _check_extent(address, (bits(word, 63, 48) - 1) * stride + 1, sp_rows, acc_rows)


@njit(cache=True)
def first_fault(funct, rs1, rs2, machine, state, more):  # type: ignore[no-untyped-def]
    """(index, rule, value, limit) of the first illegal command, rule OK if none; `machine` as `machine_limits` gives.

    `state` (CHECK_SIZE,) is what the commands before have configured, and is brought up to date; an index below 0 is a
    preload among them. `more` commands follow, so the last preload's compute may be missing.
    """
    dim, sp_rows, acc_rows, request_bytes, acc_bytes, full_ok, has_ws, has_os = machine
    shrink, block_stride = state[CHECK_SHRINK : CHECK_SHRINK + 3], state[CHECK_BLOCK : CHECK_BLOCK + 3]
    a_stride, c_stride = state[CHECK_A_STRIDE], state[CHECK_C_STRIDE]
    ws, a_t, b_t = state[CHECK_WS], state[CHECK_A_T], state[CHECK_B_T]
    ex_ready, st_ready = state[CHECK_EX] != 0, state[CHECK_ST] != 0
    pooled_rows, pending = state[CHECK_POOLED], state[CHECK_PENDING]
    for i in range(funct.size):
        f, code, value, limit = funct[i], OK, np.int64(0), np.int64(0)
        if f == 0:
            code, value, limit = _check_config(rs1[i], has_ws, has_os)
            kind = bits(rs1[i], 1, 0)
            if code == OK and kind == 1:
                shrink[bits(rs1[i], 4, 3)] = bits(rs1[i], 2, 2)
                block_stride[bits(rs1[i], 4, 3)] = bits(rs1[i], 31, 16)
            elif code == OK and kind == 2:
                st_ready = True
                pooled = bits(rs1[i], 5, 4) > 0
                pooled_rows = bits(rs1[i], 55, 48) * bits(rs1[i], 63, 56) if pooled else np.int64(0)
                if pooled and pooled_rows == 0:
                    code, value, limit = POOL, np.int64(0), np.int64(1)
            elif code == OK:
                if pending != NOTHING:
                    return pending, NO_COMPUTE, np.int64(f), np.int64(4)
                a_stride, c_stride = bits(rs1[i], 31, 16), bits(rs2[i], 63, 48)
                if bits(rs1[i], 7, 7) == 0:
                    ex_ready = True
                    ws, a_t, b_t = bits(rs1[i], 2, 2), bits(rs1[i], 8, 8), bits(rs1[i], 9, 9)
        elif f == 2 or f == 1 or f == 14:
            which = 0 if f == 2 else (1 if f == 1 else 2)
            if block_stride[which] < 0:
                code, value = NO_CONFIG_LD, np.int64(f)
            else:
                code, value, limit = _check_mvin(
                    rs2[i], dim, shrink[which], block_stride[which], sp_rows, acc_rows, request_bytes, acc_bytes
                )
        elif f == 3:
            if not st_ready:
                code, value = NO_CONFIG_ST, np.int64(f)
            else:
                code, value, limit = _check_mvout(rs2[i], dim, pooled_rows, full_ok, sp_rows, acc_rows, request_bytes)
        elif f == 6:
            if not ex_ready:
                return i, NO_CONFIG_EX, np.int64(f), np.int64(0)
            if pending != NOTHING:
                return pending, NO_COMPUTE, np.int64(f), np.int64(4)
            pending = np.int64(i)
            code, value, limit = _check_operand(rs1[i], dim, 1, ws and b_t, sp_rows, acc_rows)
            if code == OK:
                code, value, limit = _check_result(rs2[i], dim, c_stride, sp_rows, acc_rows)
        elif f == 4 or f == 5:
            if pending == NOTHING:
                return i, NO_PRELOAD, np.int64(f), np.int64(6)
            pending = np.int64(NOTHING)
            code, value, limit = _check_operand(rs1[i], dim, a_stride, a_t, sp_rows, acc_rows)
            if code == OK:
                code, value, limit = _check_operand(rs2[i], dim, 1, (not ws) and b_t, sp_rows, acc_rows)
        elif f != 7:
            code, value = (LOOP if 8 <= f <= 21 else UNKNOWN), np.int64(f)
        if code != OK:
            return i, code, np.int64(value), np.int64(limit)
    if pending != NOTHING and not more:
        return pending, NO_COMPUTE, np.int64(0), np.int64(4)
    state[CHECK_A_STRIDE], state[CHECK_C_STRIDE] = a_stride, c_stride
    state[CHECK_WS], state[CHECK_A_T], state[CHECK_B_T] = ws, a_t, b_t
    state[CHECK_EX], state[CHECK_ST], state[CHECK_POOLED] = ex_ready, st_ready, pooled_rows
    state[CHECK_PENDING] = pending if pending == NOTHING else pending - funct.size
    return np.int64(-1), OK, np.int64(0), np.int64(0)


def machine_limits(accelerator: Accelerator) -> tuple[int, ...]:
    """The capacities `first_fault` checks against, as plain integers."""
    return (
        accelerator.dim,
        accelerator.scratchpad_rows,
        accelerator.accumulator_rows,
        accelerator.dma.request_bytes // accelerator.input_bytes,
        accelerator.accumulator_bytes // accelerator.input_bytes,
        int(accelerator.accumulator.full_width_read),
        int("ws" in accelerator.array.dataflows),
        int("os" in accelerator.array.dataflows),
    )


def raise_fault(program: Program, index: int, rule: int, value: int, limit: int, *, first_index: int = 0) -> None:
    """Raise the InputError of one fault: path `command INDEX NAME.FIELD`, value and limit as found.

    `first_index` is the index of the program's first command in its stream; `index` counts from there, and is below 0
    for a preload before.
    """
    field, problem = RULES[rule]
    funct = int(program.funct[index]) if index >= 0 else PRELOAD
    name = FUNCT_NAMES.get(funct, f"funct {funct}")
    raise InputError(f"command {first_index + index} ({name}) {field}", problem, value=value, limit=limit or None)


def new_check() -> npt.NDArray[np.int64]:
    """Nothing is configured yet: the state `check_next` begins with."""
    state = np.zeros(CHECK_SIZE, np.int64)
    state[CHECK_BLOCK : CHECK_BLOCK + 3], state[CHECK_WS], state[CHECK_PENDING] = -1, 1, NOTHING
    return state


def check_next(
    program: Program, accelerator: Accelerator, state: npt.NDArray[np.int64], *, first_index: int, more: bool
) -> None:
    """Like `check_program` for a piece of a stream, `first_index` its first command's index; `state` is carried on."""
    words = (program.funct, program.rs1, program.rs2)
    index, rule, value, limit = first_fault(*words, machine_limits(accelerator), state, more)
    if rule != OK:
        raise_fault(program, int(index), int(rule), int(value), int(limit), first_index=first_index)


def check_program(program: Program, accelerator: Accelerator, *, origin: npt.NDArray[np.int64] | None = None) -> None:
    """Raise InputError naming index and field of the first command that is illegal on `accelerator`.

    `origin` int64 (n,) holds the index to report of every command of a program whose loops were unrolled.
    """
    index, rule, value, limit = first_fault(
        program.funct, program.rs1, program.rs2, machine_limits(accelerator), new_check(), False
    )
    if rule != OK:
        shift = 0 if origin is None else int(origin[index]) - int(index)
        raise_fault(program, int(index), int(rule), int(value), int(limit), first_index=shift)
