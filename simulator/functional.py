"""Functional mode: carries the int8 / int32 VALUES of a Program through scratchpad, array and accumulator. No timing.

Commands take effect in program order, which is what Gemmini's reservation station guarantees to software; loops are
unrolled first. Arithmetic is that of the RTL: `functional_move` for loads and stores, `functional_array` for the mesh,
`normaliser` for the I-BERT functions.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from model_ir.errors import InputError
from simulator.accelerator import Accelerator
from simulator.command_check import bits, check_program
from simulator.command_rules import MEMORY, raise_fault
from simulator.functional_array import (
    EXECUTE_SIZE,
    X_A_STRIDE,
    X_A_TRANSPOSED,
    X_B_TRANSPOSED,
    X_WS,
    config_execute,
    limit_to,
    multiply,
    read_block,
    write_result,
)
from simulator.functional_move import (
    LOAD_SIZE,
    STORE_SIZE,
    V_STEP,
    config_load,
    config_norm,
    config_store,
    mvin,
    mvout,
    mvout_pooled,
)
from simulator.normaliser import new_statistics
from simulator.program import Program
from simulator.unroll import expand_with_origin


@njit(cache=True, nogil=True)
def _compute(f, rs1, rs2, result, execute, pending, weights, total, mesh_bits, sp, acc):  # type: ignore[no-untyped-def]
    """One compute; `pending` is what the last preload brought, `weights` and `total` what stays in the mesh."""
    dim = pending.shape[0]
    a, other = np.empty((dim, dim), np.int32), np.empty((dim, dim), np.int32)
    read_block(rs1, execute[X_A_STRIDE], execute[X_A_TRANSPOSED], execute, sp, acc, a)
    read_block(rs2, 1, execute[X_B_TRANSPOSED] and not execute[X_WS], execute, sp, acc, other)
    if execute[X_WS]:
        if f == 4:
            weights[:, :] = pending
        total[:, :] = other
        multiply(a, weights, total)
    else:
        if f == 4:
            total[:, :] = pending
        multiply(a, other, total)
    limit_to(total, mesh_bits)
    write_result(result, execute, total, sp, acc)


@njit(cache=True, nogil=True)
def _run(funct, rs1, rs2, dim, mesh_bits, statistics, factors, sp, acc, image, base):  # type: ignore[no-untyped-def]
    """Run all commands; returns the index of the command that left the image, or -1."""
    loads = np.zeros((3, LOAD_SIZE), np.int64)
    store = np.zeros(STORE_SIZE, np.int64)
    execute = np.zeros(EXECUTE_SIZE, np.int64)
    pending, weights = np.zeros((dim, dim), np.int32), np.zeros((dim, dim), np.int32)
    total = np.zeros((dim, dim), np.int32)
    result = np.uint64(0)
    for i in range(funct.size):
        f, ok = funct[i], True
        kind = bits(rs1[i], 1, 0)
        if f == 0 and kind == 0:
            config_execute(rs1[i], rs2[i], execute)
        elif f == 0 and kind == 1:
            config_load(rs1[i], rs2[i], loads)
        elif f == 0 and kind == 2:
            config_store(rs1[i], rs2[i], store)
        elif f == 0:
            config_norm(rs1[i], rs2[i], store)
        elif f == 2 or f == 1 or f == 14:
            ok = mvin(rs1[i], rs2[i], loads[0 if f == 2 else (1 if f == 1 else 2)], dim, sp, acc, image, base)
        elif f == 3 and store[V_STEP] > 0:
            ok = mvout_pooled(rs1[i], rs2[i], store, statistics, factors, sp, acc, image, base)
        elif f == 3:
            ok = mvout(rs1[i], rs2[i], store, statistics, factors, dim, sp, acc, image, base)
        elif f == 6:
            read_block(rs1[i], 1, execute[X_WS] and execute[X_B_TRANSPOSED], execute, sp, acc, pending)
            result = rs2[i]
        elif f == 4 or f == 5:
            _compute(f, rs1[i], rs2[i], result, execute, pending, weights, total, mesh_bits, sp, acc)
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
    check_program(program, accelerator)
    program, origin = expand_with_origin(program, accelerator)
    check_program(program, accelerator, origin=origin)
    dim = accelerator.dim
    scratchpad = np.zeros((accelerator.scratchpad_rows, dim), np.int8)
    accumulator = np.zeros((accelerator.accumulator_rows, dim), np.int32)
    statistics, factors = new_statistics()
    index = _run(
        program.funct, program.rs1, program.rs2, dim, accelerator.array.mesh_output_bits, statistics, factors,
        scratchpad, accumulator, memory_image, base_address,
    )  # fmt: skip
    if index >= 0:
        end = base_address + memory_image.size
        address, shift = int(program.rs1[index]), int(origin[index]) - int(index)
        raise_fault(program, int(index), MEMORY, address, end, first_index=shift)
