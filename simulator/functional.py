"""Functional mode: carries the int8 / int32 VALUES of a Program through scratchpad, array and accumulator. No timing.

Commands take effect in program order, which is what Gemmini's reservation station guarantees to software; loops are
unrolled first. Arithmetic is that of the RTL (ucb-bar/gemmini at 8c3f992): Arithmetic.scala's rounding shift,
Configs.scala's scale functions (int to fp32, fp32 multiply, round half even, saturate), AccumulatorScale.scala's ReLU
before scaling, DMA.scala's max-pool comparators.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from model_ir.errors import InputError
from simulator.accelerator import Accelerator
from simulator.command_check import GARBAGE_WORD, MEMORY, bits, check_program, raise_fault
from simulator.program import Program
from simulator.unroll import expand_with_origin

LOAD_SCALE_IDENTITY = 0x3F800000


@njit(cache=True)
def _bits_to_float(word):  # type: ignore[no-untyped-def]
    return np.array([np.uint32(word)], np.uint32).view(np.float32)[0]


@njit(cache=True, inline="always")
def _scaled_int8(value, scale):  # type: ignore[no-untyped-def]
    """fp32 product, round half even, saturate to int8."""
    product = np.rint(np.float32(value) * scale)
    if product > np.float32(127.0):
        return np.int32(127)
    if product < np.float32(-128.0):
        return np.int32(-128)
    return np.int32(product)


@njit(cache=True, inline="always")
def _rounding_shift(value, shift):  # type: ignore[no-untyped-def]
    """Arithmetic right shift, rounding half to even (Arithmetic.scala, SIntArithmetic `>>`)."""
    if shift == 0:
        return value
    result = value >> shift
    half = (value >> (shift - 1)) & 1
    below = (value & ((1 << (shift - 1)) - 1)) != 0
    return result + (1 if half and (below or result & 1) else 0)


@njit(cache=True)
def _outside(start, end, base, size):  # type: ignore[no-untyped-def]
    return start < base or end > base + size


@njit(cache=True)
def _mvin(rs1, rs2, stride, block_stride, shrink, scale_bits, dim, sp, acc, image, base):  # type: ignore[no-untyped-def]
    """One mvin; returns False when it reads outside the image."""
    rows, columns, address = bits(rs2, 63, 48), bits(rs2, 47, 32), bits(rs2, 31, 0)
    to_acc, accumulate = (address >> 31) & 1, (address >> 30) & 1
    row0 = address & (0x3FFFFFF if to_acc else 0x1FFFFFFF)
    width = 4 if to_acc and not shrink else 1
    zeros = rs1 == np.uint64(0)
    scale = _bits_to_float(scale_bits)
    identity = scale_bits == LOAD_SCALE_IDENTITY
    for row in range(rows):
        offset = np.int64(rs1 - np.uint64(base)) + row * stride
        if not zeros and (offset < 0 or offset + columns * width > image.size):
            return False
        for column in range(columns):
            local = row0 + (column // dim) * block_stride + row
            value = np.int32(0)
            if not zeros and width == 4:
                at = offset + 4 * column
                word = np.uint32(image[at]) | (np.uint32(image[at + 1]) << np.uint32(8))
                word |= (np.uint32(image[at + 2]) << np.uint32(16)) | (np.uint32(image[at + 3]) << np.uint32(24))
                value = np.int32(word)
            elif not zeros:
                value = np.int32(np.int8(image[offset + column]))
                if not identity:
                    value = _scaled_int8(value, scale)
            if not to_acc:
                sp[local, column % dim] = np.int8(value)
            elif accumulate:
                acc[local, column % dim] += value
            else:
                acc[local, column % dim] = value
    return True


@njit(cache=True)
def _stored_value(sp, acc, address, row, column, relu, scale):  # type: ignore[no-untyped-def]
    """The int8 an mvout stores for one element."""
    if not ((address >> 31) & 1):
        return np.int32(sp[row, column])
    value = acc[row, column]
    if relu and value < 0:
        value = np.int32(0)
    return _scaled_int8(value, scale)


@njit(cache=True)
def _mvout(rs1, rs2, stride, relu, scale, dim, sp, acc, image, base):  # type: ignore[no-untyped-def]
    rows, columns, address = bits(rs2, 63, 48), bits(rs2, 47, 32), bits(rs2, 31, 0)
    full = (address >> 29) & 1 and (address >> 31) & 1
    row0 = address & (0x3FFFFFF if (address >> 31) & 1 else 0x1FFFFFFF)
    if full:
        row0 = address & 0x3FFFFFF
    width = 4 if full else 1
    for row in range(rows):
        offset = np.int64(rs1 - np.uint64(base)) + row * stride
        if offset < 0 or offset + columns * width > image.size:
            return False
        for column in range(columns):
            local = row0 + (column // dim) * dim + row
            if full:
                word = np.uint32(acc[local, column % dim])
                for byte in range(4):
                    image[offset + 4 * column + byte] = np.uint8((word >> np.uint32(8 * byte)) & np.uint32(255))
            else:
                image[offset + column] = np.uint8(
                    np.int8(_stored_value(sp, acc, address, local, column % dim, relu, scale))
                )
    return True


@njit(cache=True)
def _mvout_pooled(rs1, rs2, stride, pool, relu, scale, sp, acc, image, base):  # type: ignore[no-untyped-def]
    """Max-pool while storing; elements outside the image are zeros (Scratchpad.scala, writeData_is_all_zeros)."""
    columns, address = bits(rs2, 47, 32), bits(rs2, 31, 0)
    row0 = address & (0x3FFFFFF if (address >> 31) & 1 else 0x1FFFFFFF)
    step, size = bits(pool, 5, 4), bits(pool, 7, 6)
    upper, left, out_dim = bits(pool, 9, 8), bits(pool, 11, 10), bits(pool, 31, 24)
    in_rows, in_columns = bits(pool, 55, 48), bits(pool, 63, 56)
    for out_row in range(bits(pool, 39, 32)):
        for out_column in range(bits(pool, 47, 40)):
            offset = np.int64(rs1 - np.uint64(base)) + (out_row * out_dim + out_column) * stride
            if offset < 0 or offset + columns > image.size:
                return False
            for column in range(columns):
                best = np.int32(-128)
                for window in range(size * size):
                    row = out_row * step + window // size - upper
                    pixel = out_column * step + window % size - left
                    value = np.int32(0)
                    if 0 <= row < in_rows and 0 <= pixel < in_columns:
                        local = row0 + row * in_columns + pixel
                        value = _stored_value(sp, acc, address, local, column, relu, scale)
                    best = max(best, value)
                image[offset + column] = np.uint8(np.int8(best))
    return True


@njit(cache=True)
def _read_block(word, stride, transposed, sp, out):  # type: ignore[no-untyped-def]
    """Operand block (rows x columns as the span says) into `out` (DIM, DIM) int32, zero elsewhere."""
    out[:, :] = 0
    address = bits(word, 31, 0)
    if address == GARBAGE_WORD:
        return
    row0, rows, columns = address & 0x1FFFFFFF, bits(word, 63, 48), bits(word, 47, 32)
    if transposed:
        for column in range(columns):
            for row in range(rows):
                out[row, column] = sp[row0 + column * stride, row]
    else:
        for row in range(rows):
            for column in range(columns):
                out[row, column] = sp[row0 + row * stride, column]


@njit(cache=True)
def _multiply(a, b, total):  # type: ignore[no-untyped-def]
    """total += a @ b, all (DIM, DIM) int32."""
    dim = a.shape[0]
    for row in range(dim):
        for k in range(dim):
            factor = a[row, k]
            if factor != 0:
                for column in range(dim):
                    total[row, column] += factor * b[k, column]


@njit(cache=True)
def _write_result(word, stride, shift, mesh_bits, relu, total, sp, acc):  # type: ignore[no-untyped-def]
    address = bits(word, 31, 0)
    if address == GARBAGE_WORD:
        return
    rows, columns = bits(word, 63, 48), bits(word, 47, 32)
    to_acc, accumulate = (address >> 31) & 1, (address >> 30) & 1
    row0 = address & (0x3FFFFFF if to_acc else 0x1FFFFFFF)
    top = (1 << (mesh_bits - 1)) - 1
    for row in range(rows):
        for column in range(columns):
            value = _rounding_shift(np.int64(total[row, column]), shift)
            value = min(max(value, -top - 1), top)
            local = row0 + row * stride
            if to_acc and accumulate:
                acc[local, column] += np.int32(value)
            elif to_acc:
                acc[local, column] = np.int32(value)
            else:
                value = min(max(value, -128), 127)
                sp[local, column] = np.int8(max(value, 0) if relu else value)


@njit(cache=True)
def _execute(funct, rs1, rs2, dim, mesh_bits, sp, acc, image, base):  # type: ignore[no-untyped-def]
    """Run all commands; returns the index of the command that left the image, or -1."""
    ld_stride = np.zeros(3, np.int64)
    ld_block = np.zeros(3, np.int64)
    ld_shrink = np.zeros(3, np.int64)
    ld_scale = np.zeros(3, np.int64)
    st_stride, st_relu, st_scale, pool = np.int64(0), False, np.float32(1.0), np.uint64(0)
    ws, ex_relu, shift, a_stride, c_stride, a_t, b_t = True, False, 0, 1, 1, False, False
    pending = np.zeros((dim, dim), np.int32)
    weights = np.zeros((dim, dim), np.int32)
    total = np.zeros((dim, dim), np.int32)
    a, other = np.zeros((dim, dim), np.int32), np.zeros((dim, dim), np.int32)
    result = np.uint64(0)
    for i in range(funct.size):
        f, ok = funct[i], True
        if f == 0:
            kind = bits(rs1[i], 1, 0)
            if kind == 1:
                which = bits(rs1[i], 4, 3)
                ld_stride[which], ld_block[which] = np.int64(rs2[i]), bits(rs1[i], 31, 16)
                ld_shrink[which], ld_scale[which] = bits(rs1[i], 2, 2), bits(rs1[i], 63, 32)
            elif kind == 2:
                st_stride, st_relu, pool = bits(rs2[i], 31, 0), bits(rs1[i], 3, 2) == 1, rs1[i]
                if bits(rs2[i], 63, 32) != 0xFFFFFFFF:
                    st_scale = _bits_to_float(bits(rs2[i], 63, 32))
            else:
                a_stride, c_stride = bits(rs1[i], 31, 16), bits(rs2[i], 63, 48)
                if bits(rs1[i], 7, 7) == 0:
                    ws, ex_relu = bits(rs1[i], 2, 2) == 1, bits(rs1[i], 4, 3) == 1
                    shift = bits(rs2[i], 31, 0) & 31
                    a_t, b_t = bits(rs1[i], 8, 8) == 1, bits(rs1[i], 9, 9) == 1
        elif f == 2 or f == 1 or f == 14:
            which = 0 if f == 2 else (1 if f == 1 else 2)
            ok = _mvin(
                rs1[i], rs2[i], ld_stride[which], ld_block[which], ld_shrink[which], ld_scale[which],
                dim, sp, acc, image, base,
            )  # fmt: skip
        elif f == 3 and bits(pool, 5, 4) > 0:
            ok = _mvout_pooled(rs1[i], rs2[i], st_stride, pool, st_relu, st_scale, sp, acc, image, base)
        elif f == 3:
            ok = _mvout(rs1[i], rs2[i], st_stride, st_relu, st_scale, dim, sp, acc, image, base)
        elif f == 6:
            _read_block(rs1[i], 1, ws and b_t, sp, pending)
            result = rs2[i]
        elif f == 4 or f == 5:
            _read_block(rs1[i], a_stride, a_t, sp, a)
            _read_block(rs2[i], 1, (not ws) and b_t, sp, other)
            if ws:
                if f == 4:
                    weights[:, :] = pending
                total[:, :] = other
                _multiply(a, weights, total)
                _write_result(result, c_stride, 0, mesh_bits, ex_relu, total, sp, acc)
            else:
                if f == 4:
                    total[:, :] = pending
                _multiply(a, other, total)
                _write_result(result, c_stride, shift, mesh_bits, ex_relu, total, sp, acc)
        if not ok:
            return i
    return -1


def execute(program: Program, accelerator: Accelerator, memory_image: npt.NDArray[np.uint8], base_address: int) -> None:
    """Run `program` on `memory_image`, uint8 (bytes,), whose byte 0 is at `base_address`; the image is mutated.

    Scratchpad and accumulator start as zeros. Raises InputError for an illegal command, a command that leaves the
    image, or a machine whose elements are not int8 with int32 accumulators.
    """
    if (accelerator.array.input_bits, accelerator.array.accumulator_bits) != (8, 32):
        raise InputError(
            f"{accelerator.name}.array.input_bits", "functional mode carries int8 into int32",
            value=accelerator.array.input_bits, limit=8,
        )  # fmt: skip
    if memory_image.dtype != np.uint8 or memory_image.ndim != 1:
        raise InputError("memory_image", "must be a flat uint8 array", value=str(memory_image.dtype))
    program, origin = expand_with_origin(program, accelerator)
    check_program(program, accelerator, origin=origin)
    dim = accelerator.dim
    scratchpad = np.zeros((accelerator.scratchpad_rows, dim), np.int8)
    accumulator = np.zeros((accelerator.accumulator_rows, dim), np.int32)
    index = _execute(
        program.funct, program.rs1, program.rs2, dim, accelerator.array.mesh_output_bits,
        scratchpad, accumulator, memory_image, base_address,
    )  # fmt: skip
    if index >= 0:
        end = base_address + memory_image.size
        address, shift = int(program.rs1[index]), int(origin[index]) - int(index)
        raise_fault(program, int(index), MEMORY, address, end, first_index=shift)
