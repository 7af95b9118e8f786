"""What the mesh computes and where its results go. Compiled.

Sources: PE.scala (every partial sum has the mesh's output bits and wraps), Arithmetic.scala (rounding shift, clipping),
ExecuteController.scala (operands, results) of ucb-bar/gemmini at 8c3f992.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from simulator.command_check import GARBAGE_WORD, bits
from simulator.functional_move import bits_to_float, local_row, scaled_int8
from simulator.normaliser import RELU, wrapped

(
    X_WS, X_ACTIVATION, X_SHIFT, X_A_STRIDE, X_C_STRIDE, X_A_TRANSPOSED, X_B_TRANSPOSED, X_SCALE, EXECUTE_SIZE,
) = range(9)  # fmt: skip


@njit(cache=True, nogil=True)
def config_execute(rs1, rs2, execute):  # type: ignore[no-untyped-def]
    """config_ex: everything, or the two strides only (ExecuteController.scala)."""
    execute[X_A_STRIDE], execute[X_C_STRIDE] = bits(rs1, 31, 16), bits(rs2, 63, 48)
    if bits(rs1, 7, 7) == 0:
        execute[X_WS], execute[X_ACTIVATION], execute[X_SHIFT] = bits(rs1, 2, 2), bits(rs1, 4, 3), bits(rs2, 31, 0) & 31
        execute[X_A_TRANSPOSED], execute[X_B_TRANSPOSED] = bits(rs1, 8, 8), bits(rs1, 9, 9)
        execute[X_SCALE] = bits(rs1, 63, 32)


@njit(cache=True, nogil=True, inline="always")
def _rounding_shift(value, shift):  # type: ignore[no-untyped-def]
    """Arithmetic right shift, rounding half to even (Arithmetic.scala, SIntArithmetic `>>`)."""
    if shift == 0:
        return value
    result = value >> shift
    half = (value >> (shift - 1)) & 1
    below = (value & ((1 << (shift - 1)) - 1)) != 0
    return result + (1 if half and (below or result & 1) else 0)


@njit(cache=True, nogil=True)
def _operand_row(row, address, execute, sp, acc, out):  # type: ignore[no-untyped-def]
    """One local row as the mesh gets it, into `out` (DIM,); accumulator rows are activated and scaled to int8."""
    if not (address >> 31) & 1:
        out[:] = sp[row]
        return
    scale = bits_to_float(execute[X_SCALE])
    for column in range(out.size):
        value = acc[row, column]
        out[column] = scaled_int8(max(value, np.int32(0)) if execute[X_ACTIVATION] == RELU else value, scale)


@njit(cache=True, nogil=True)
def read_block(word, stride, transposed, execute, sp, acc, out):  # type: ignore[no-untyped-def]
    """Operand block (rows x columns as the span says) into `out` (DIM, DIM) int32, zero elsewhere."""
    out[:, :] = 0
    address = bits(word, 31, 0)
    if address == GARBAGE_WORD:
        return
    line = np.empty(out.shape[0], np.int32)
    row0, rows, columns = local_row(address), bits(word, 63, 48), bits(word, 47, 32)
    for row in range(columns if transposed else rows):
        _operand_row(row0 + row * stride, address, execute, sp, acc, line)
        if transposed:
            out[:rows, row] = line[:rows]
        else:
            out[row, :columns] = line[:columns]


@njit(cache=True, nogil=True)
def multiply(a, b, total):  # type: ignore[no-untyped-def]
    """total += a @ b, all (DIM, DIM) int32."""
    dim = a.shape[0]
    for row in range(dim):
        for k in range(dim):
            factor = a[row, k]
            if factor != 0:
                for column in range(dim):
                    total[row, column] += factor * b[k, column]


@njit(cache=True, nogil=True)
def limit_to(total, mesh_bits):  # type: ignore[no-untyped-def]
    """Partial sums keep the mesh's output bits and wrap, so those of the sum do (PE.scala, MacUnit's out_d)."""
    for row in range(total.shape[0]):
        for column in range(total.shape[1]):
            total[row, column] = wrapped(np.int64(total[row, column]), mesh_bits)


@njit(cache=True, nogil=True)
def write_result(word, execute, total, sp, acc):  # type: ignore[no-untyped-def]
    """C into the scratchpad (shifted, saturated to int8, ReLU) or the accumulator (shifted, set or added)."""
    address = bits(word, 31, 0)
    if address == GARBAGE_WORD:
        return
    to_acc, accumulate, row0 = (address >> 31) & 1, (address >> 30) & 1, local_row(address)
    shift = np.int64(0) if execute[X_WS] else execute[X_SHIFT]
    for row in range(bits(word, 63, 48)):
        local = row0 + row * execute[X_C_STRIDE]
        for column in range(bits(word, 47, 32)):
            value = _rounding_shift(np.int64(total[row, column]), shift)
            if not to_acc:
                value = min(max(value, np.int64(-128)), np.int64(127))
                sp[local, column] = np.int8(max(value, np.int64(0)) if execute[X_ACTIVATION] == RELU else value)
            elif accumulate:
                acc[local, column] += np.int32(value)
            else:
                acc[local, column] = np.int32(value)
