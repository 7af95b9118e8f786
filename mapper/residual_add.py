"""Code generation of a residual addition: C = activation(scale (a A + b B)) on the accumulator, without the array.

Gemmini's way (sp_tiled_resadd in its C library): A is loaded into accumulator rows, B onto them with the accumulate
bit, the sum is stored through the scaling unit. All three tensors are contiguous, so the rows moved are full DMA
requests whatever the channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mapper.codegen.emit import ACTIVATIONS, Activation, Addresses
from model_ir.errors import InputError
from simulator import isa
from simulator.accelerator import Accelerator
from simulator.program import Program

STORE_LAG_BLOCKS = 2
"""Blocks loaded between a sum and its store (fewer in a small accumulator), so that the store finds it ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scales:
    """Factors of the two operands as they are loaded and of the sum as it is stored (fp32, rounded half to even)."""

    a: float = 1.0
    b: float = 1.0
    c: float = 1.0


def emit_residual_add(
    rows: int,
    channels: int,
    accelerator: Accelerator,
    *,
    activation: Activation = "none",
    scales: Scales | None = None,
    addresses: Addresses,
) -> Program:
    """The commands that add two contiguous int8 tensors of `rows` x `channels` at `addresses.a` and `.b` into
    `addresses.c`.

    Raises InputError for a size below 1, an activation the machine lacks, an unusable address, or elements that are not
    bytes.
    """
    scales = scales or Scales()
    _check(rows, channels, accelerator, activation, addresses)
    width = max(accelerator.dim, accelerator.dma.request_bytes)
    lines, rest = divmod(rows * channels, width)
    offset, count, columns = _blocks(lines, rest, width, accelerator.dim)
    first, slots = _accumulator_rows(len(offset), width // accelerator.dim, accelerator)
    span = (count.astype(np.uint64) << np.uint64(48)) | (columns.astype(np.uint64) << np.uint64(32)) | first
    commands = _interleaved(offset, span, addresses, min(STORE_LAG_BLOCKS, slots - 1))
    head = isa.program_of(
        (
            isa.config_ld(stride_bytes=width, scale=scales.a, shrink=True, block_stride=accelerator.dim, load_id=0),
            isa.config_ld(stride_bytes=width, scale=scales.b, shrink=True, block_stride=accelerator.dim, load_id=1),
            isa.config_st(stride_bytes=width, activation=ACTIVATIONS[activation], scale=scales.c),
        )
    )
    return Program(
        funct=np.concatenate((head.funct, commands.funct)),
        rs1=np.concatenate((head.rs1, commands.rs1)),
        rs2=np.concatenate((head.rs2, commands.rs2)),
    )


def _check(rows: int, channels: int, accelerator: Accelerator, activation: Activation, addresses: Addresses) -> None:
    for name, size in (("rows", rows), ("channels", channels)):
        if size < 1:
            raise InputError(f"residual add {name}", "must be positive", value=size, limit=1)
    for name, address in (("a", addresses.a), ("b", addresses.b), ("c", addresses.c)):
        if not 0 < address < 1 << 63:
            raise InputError(f"addresses.{name}", "not a usable byte address", value=address, limit="1..2^63-1")
    if activation != "none" and activation not in accelerator.fused_activations:
        raise InputError("activation", f"{accelerator.name} cannot apply it on the way out", value=activation)
    if accelerator.array.input_bits != 8:
        raise InputError(f"{accelerator.name}.array.input_bits", "only bytes can be widened by a load", value=8)


def _blocks(lines: int, rest: int, width: int, dim: int) -> tuple[npt.NDArray[np.uint64], ...]:
    """Byte offset, rows and columns of every block moved: up to `dim` lines of `width` bytes, and the rest."""
    starts = np.arange(0, lines, dim, dtype=np.uint64)
    offset, count = starts * np.uint64(width), np.minimum(np.uint64(dim), np.uint64(lines) - starts)
    columns = np.full(len(starts), width, np.uint64)
    if rest:
        offset = np.append(offset, np.uint64(lines * width))
        count, columns = np.append(count, np.uint64(1)), np.append(columns, np.uint64(rest))
    return offset, count, columns


def _accumulator_rows(blocks: int, planes: int, accelerator: Accelerator) -> tuple[npt.NDArray[np.uint64], int]:
    """First accumulator row of each block, around all of the accumulator from bank to bank; and how many blocks it
    holds."""
    size = planes * accelerator.dim
    bank_rows = accelerator.accumulator_rows // accelerator.accumulator.banks
    banks, slots = (accelerator.accumulator.banks, bank_rows // size) if bank_rows >= size else (1, 1)
    if banks * size > accelerator.accumulator_rows:
        raise InputError("accumulator", "smaller than one block of a residual add", value=size, limit=bank_rows)
    turn = np.arange(blocks, dtype=np.uint64)
    bank, slot = turn % np.uint64(banks), turn // np.uint64(banks) % np.uint64(slots)
    return bank * np.uint64(bank_rows) + slot * np.uint64(size), banks * slots


def _interleaved(
    offset: npt.NDArray[np.uint64], span: npt.NDArray[np.uint64], addresses: Addresses, store_lag: int
) -> Program:
    """Load A, load B, and the store of the block `store_lag` before, in turn."""
    accumulator, accumulate = np.uint64(isa.ACCUMULATOR_BIT), np.uint64(isa.ACCUMULATE_BIT)
    moves = (
        (isa.MVIN, addresses.a, span | accumulator, 0),
        (isa.MVIN2, addresses.b, span | accumulator | accumulate, 0),
        (isa.MVOUT, addresses.c, span | accumulator, store_lag),
    )
    turn = np.arange(len(offset))
    order = np.argsort(np.concatenate([(turn + lag) * len(moves) + place for place, (*_, lag) in enumerate(moves)]))
    return Program(
        funct=np.repeat(np.array([funct for funct, *_ in moves], np.uint8), len(offset))[order],
        rs1=np.concatenate([offset + np.uint64(address) for _, address, *_ in moves])[order],
        rs2=np.concatenate([words for _, _, words, _ in moves])[order],
    )
