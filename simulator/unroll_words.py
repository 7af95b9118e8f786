"""Command words in bulk: what the loop unrollers build their commands from, one numpy array an operand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError
from simulator.isa import ACCUMULATE_BIT, ACCUMULATOR_BIT, FULL_WIDTH_BIT
from simulator.program import Program

Ints = npt.NDArray[np.int64]
ROW_BITS = 26


def grid(*axes: Sequence[int] | range) -> list[Ints]:
    """Flat index arrays of a loop nest over `axes`, outermost first, in the order the nest visits them."""
    meshed = np.meshgrid(*(np.asarray(axis, np.int64) for axis in axes), indexing="ij")
    return [axis.reshape(-1) for axis in meshed]


def spans(rows: Ints, columns: Ints, addresses: Ints) -> npt.NDArray[np.uint64]:
    """rs words naming blocks of `rows` x `columns` at 32-bit local `addresses`; all int64 (n,)."""
    words = (rows.astype(np.uint64) << np.uint64(48)) | (columns.astype(np.uint64) << np.uint64(32))
    return np.asarray(words | addresses.astype(np.uint64), np.uint64)


def _checked(rows: Ints, what: str) -> Ints:
    if rows.size and (rows.min() < 0 or rows.max() >> ROW_BITS):
        worst = int(rows.min() if rows.min() < 0 else rows.max())
        raise InputError(what, "row outside the local memory", value=worst, limit=(1 << ROW_BITS) - 1)
    return rows


def scratchpad(rows: Ints, what: str) -> Ints:
    """Local addresses of scratchpad `rows`; InputError naming the operand `what` where one is no row at all."""
    return _checked(rows, what)


def accumulator(rows: Ints, what: str, *, accumulate: Ints | bool = False, full_width: bool = False) -> Ints:
    """Local addresses of accumulator `rows`, with their accumulate (int64 (n,) 0 or 1) and full-width bits."""
    marks = np.asarray(accumulate, np.int64) * ACCUMULATE_BIT | ACCUMULATOR_BIT | FULL_WIDTH_BIT * full_width
    return np.asarray(_checked(rows, what) | marks, np.int64)


def memory(base: int, offsets: Ints) -> npt.NDArray[np.uint64]:
    """Byte addresses `base` + `offsets`; the unrollers keep 32 bits of an offset (castDramOffset)."""
    return np.uint64(base) + (offsets & 0xFFFFFFFF).astype(np.uint64)


def commands(funct: int, rs1: npt.NDArray[np.uint64], rs2: npt.NDArray[np.uint64]) -> Program:
    """Commands that differ in their operands only."""
    return Program(funct=np.full(rs1.size, funct, np.uint8), rs1=rs1, rs2=rs2)


def alternated(first: Program, second: Program) -> Program:
    """Commands of two programs of one length in turns: first[0], second[0], first[1], ..."""
    words = [np.stack([getattr(first, name), getattr(second, name)], 1).reshape(-1) for name in ("funct", "rs1", "rs2")]
    return Program(funct=words[0], rs1=words[1], rs2=words[2])


def joined(programs: Sequence[Program]) -> Program:
    """All commands of `programs`, one program after the other."""
    if not programs:
        return Program(funct=np.zeros(0, np.uint8), rs1=np.zeros(0, np.uint64), rs2=np.zeros(0, np.uint64))
    return Program(
        funct=np.concatenate([program.funct for program in programs]),
        rs1=np.concatenate([program.rs1 for program in programs]),
        rs2=np.concatenate([program.rs2 for program in programs]),
    )
