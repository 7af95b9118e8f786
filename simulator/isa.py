"""Gemmini's command set: field encoders, local addresses, and disassembly to readable text.

Every encoder returns `(funct, rs1, rs2)` as plain integers exactly as the RoCC instruction carries them.
The bit positions are those of Gemmini's GemminiISA.scala and LocalAddr.scala (ucb-bar/gemmini at 8c3f992).
No timing and no values live here; numba callers find the same encoders in `isa_compiled`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from model_ir.errors import InputError
from simulator.isa_loops import LOOP_CONFIGURATIONS, LOOP_RUNS, loop_text
from simulator.isa_loops import LOOP_CONV_WS as LOOP_CONV_WS
from simulator.isa_loops import LOOP_WS as LOOP_WS
from simulator.isa_words import bits_float as bits_float
from simulator.isa_words import field as field
from simulator.isa_words import float_bits as float_bits
from simulator.isa_words import packed
from simulator.program import Program

CONFIG = 0
MVIN2 = 1
MVIN = 2
MVOUT = 3
COMPUTE_PRELOADED = 4
COMPUTE_ACCUMULATED = 5
PRELOAD = 6
FLUSH = 7
MVIN3 = 14

CONFIG_EX = 0
CONFIG_LD = 1
CONFIG_ST = 2
CONFIG_NORM = 3

WEIGHT_STATIONARY = 1
OUTPUT_STATIONARY = 0

NO_ACTIVATION = 0
RELU = 1

ACCUMULATOR_BIT = 1 << 31
ACCUMULATE_BIT = 1 << 30
FULL_WIDTH_BIT = 1 << 29
GARBAGE = (1 << 32) - 1
"""The local address that means "none": no operand read, no result written (LocalAddr.scala, all ones)."""

FUNCT_NAMES = {
    CONFIG: "config",
    MVIN: "mvin",
    MVIN2: "mvin2",
    MVIN3: "mvin3",
    MVOUT: "mvout",
    COMPUTE_PRELOADED: "compute_preloaded",
    COMPUTE_ACCUMULATED: "compute_accumulated",
    PRELOAD: "preload",
    FLUSH: "flush",
    **LOOP_RUNS,
    **LOOP_CONFIGURATIONS,
}

Command = tuple[int, int, int]

_MVIN_FUNCTS = (MVIN, MVIN2, MVIN3)


def local_address(row: int, *, accumulator: bool = False, accumulate: bool = False, full_width: bool = False) -> int:
    """The 32-bit local address of a scratchpad row, or of an accumulator row with its accumulate and
    full-width bits.

    Raises InputError when `row` does not fit the 26 row bits.
    """
    word = packed(("local_address.row", row, 25, 0))
    word |= ACCUMULATOR_BIT * accumulator | ACCUMULATE_BIT * accumulate | FULL_WIDTH_BIT * full_width
    return word


def span(rows: int, columns: int, address: int) -> int:
    """rs word naming a block: `rows` x `columns` elements at local `address`."""
    return packed(("span.rows", rows, 63, 48), ("span.columns", columns, 47, 32), ("span.address", address, 31, 0))


def config_ex(
    *,
    dataflow: int = WEIGHT_STATIONARY,
    activation: int = NO_ACTIVATION,
    shift: int = 0,
    a_stride: int = 1,
    c_stride: int = 1,
    a_transposed: bool = False,
    b_transposed: bool = False,
    strides_only: bool = False,
    scale: float = 1.0,
) -> Command:
    """Configure the execute pipeline; strides are in local rows, `shift` is output-stationary's right shift
    of C."""
    rs1 = packed(
        ("config_ex.dataflow", dataflow, 2, 2),
        ("config_ex.activation", activation, 4, 3),
        ("config_ex.strides_only", int(strides_only), 7, 7),
        ("config_ex.a_transposed", int(a_transposed), 8, 8),
        ("config_ex.b_transposed", int(b_transposed), 9, 9),
        ("config_ex.a_stride", a_stride, 31, 16),
        ("config_ex.scale", float_bits(scale), 63, 32),
    )
    rs2 = packed(("config_ex.shift", shift, 31, 0), ("config_ex.c_stride", c_stride, 63, 48))
    return CONFIG, rs1 | CONFIG_EX, rs2


def config_ld(
    *,
    stride_bytes: int,
    scale: float = 1.0,
    shrink: bool = False,
    block_stride: int | None = None,
    pixel_repeats: int = 1,
    load_id: int = 0,
    dim: int = 16,
) -> Command:
    """Configure mvin number `load_id` (0: mvin, 1: mvin2, 2: mvin3).

    `stride_bytes` separates rows in memory, `block_stride` (default `dim`) local rows separate DIM-column
    blocks of one mvin; `shrink` loads 8-bit elements into the accumulator.
    """
    rs1 = packed(
        ("config_ld.shrink", int(shrink), 2, 2),
        ("config_ld.id", load_id, 4, 3),
        ("config_ld.pixel_repeats", pixel_repeats, 15, 8),
        ("config_ld.block_stride", dim if block_stride is None else block_stride, 31, 16),
        ("config_ld.scale", float_bits(scale), 63, 32),
    )
    return CONFIG, rs1 | CONFIG_LD, packed(("config_ld.stride_bytes", stride_bytes, 63, 0))


def config_st(
    *,
    stride_bytes: int,
    activation: int = NO_ACTIVATION,
    scale: float = 1.0,
    pool_size: int = 0,
    pool_stride: int = 0,
    pool_upper_pad: int = 0,
    pool_left_pad: int = 0,
    pool_out_dim: int = 0,
    pool_out_rows: int = 0,
    pool_out_columns: int = 0,
    out_rows: int = 0,
    out_columns: int = 0,
) -> Command:
    """Configure mvout: memory row stride, scale and activation of accumulator rows, and max-pooling
    (`pool_stride` > 0).

    `out_rows` x `out_columns` is the un-pooled image in the accumulator, `pool_out_rows` x
    `pool_out_columns` what one mvout writes of the pooled image whose row in memory is `pool_out_dim` pixels.
    """
    rs1 = packed(
        ("config_st.activation", activation, 3, 2),
        ("config_st.pool_stride", pool_stride, 5, 4),
        ("config_st.pool_size", pool_size, 7, 6),
        ("config_st.pool_upper_pad", pool_upper_pad, 9, 8),
        ("config_st.pool_left_pad", pool_left_pad, 11, 10),
        ("config_st.pool_out_dim", pool_out_dim, 31, 24),
        ("config_st.pool_out_rows", pool_out_rows, 39, 32),
        ("config_st.pool_out_columns", pool_out_columns, 47, 40),
        ("config_st.out_rows", out_rows, 55, 48),
        ("config_st.out_columns", out_columns, 63, 56),
    )
    rs2 = packed(("config_st.stride_bytes", stride_bytes, 31, 0), ("config_st.scale", float_bits(scale), 63, 32))
    return CONFIG, rs1 | CONFIG_ST, rs2


def mvin(memory_address: int, address: int, columns: int, rows: int, load_id: int = 0) -> Command:
    """Load `rows` x `columns` elements from `memory_address` (0: zeros) to local `address` under config_ld
    `load_id`."""
    if load_id not in (0, 1, 2):
        raise InputError("mvin.load_id", "no such load configuration", value=load_id, limit="0..2")
    funct = _MVIN_FUNCTS[load_id]
    return funct, packed(("mvin.memory_address", memory_address, 63, 0)), span(rows, columns, address)


def mvout(memory_address: int, address: int, columns: int, rows: int) -> Command:
    """Store `rows` x `columns` elements from local `address` to `memory_address`."""
    return MVOUT, packed(("mvout.memory_address", memory_address, 63, 0)), span(rows, columns, address)


def preload(
    stationary: int,
    result: int,
    *,
    stationary_columns: int,
    stationary_rows: int,
    result_columns: int,
    result_rows: int,
) -> Command:
    """Preload B (weight-stationary) or D (output-stationary) from `stationary`; the next compute writes C
    to `result`."""
    return (
        PRELOAD,
        span(stationary_rows, stationary_columns, stationary),
        span(result_rows, result_columns, result),
    )


def compute_preloaded(
    a: int, other: int, *, a_columns: int, a_rows: int, other_columns: int, other_rows: int
) -> Command:
    """Multiply A with what the last preload brought; `other` is D (weight-stationary) or B
    (output-stationary)."""
    return COMPUTE_PRELOADED, span(a_rows, a_columns, a), span(other_rows, other_columns, other)


def compute_accumulated(
    a: int, other: int, *, a_columns: int, a_rows: int, other_columns: int, other_rows: int
) -> Command:
    """Like `compute_preloaded`, with the stationary operand already in the array (garbage preload)."""
    return COMPUTE_ACCUMULATED, span(a_rows, a_columns, a), span(other_rows, other_columns, other)


def flush(skip: bool = False) -> Command:
    """Flush the TLB."""
    return FLUSH, int(skip), 0


def program_of(commands: Iterable[Sequence[int]]) -> Program:
    """A Program from (funct, rs1, rs2) integers."""
    rows = list(commands)
    return Program(
        funct=np.array([row[0] for row in rows], dtype=np.uint8),
        rs1=np.array([row[1] for row in rows], dtype=np.uint64),
        rs2=np.array([row[2] for row in rows], dtype=np.uint64),
    )


def _address_text(address: int) -> str:
    if address == GARBAGE:
        return "garbage"
    if not address & ACCUMULATOR_BIT:
        return f"sp[{field(address, 28, 0)}]"
    accumulate = "+=" if address & ACCUMULATE_BIT else ""
    full_width = ":full" if address & FULL_WIDTH_BIT else ""
    return f"acc[{field(address, 25, 0)}]{full_width}{accumulate}"


def _span_text(word: int) -> str:
    return f"{_address_text(field(word, 31, 0))} {field(word, 63, 48)}x{field(word, 47, 32)}"


def _config_text(rs1: int, rs2: int) -> str:
    kind = field(rs1, 1, 0)
    if kind == CONFIG_EX:
        flow = "ws" if field(rs1, 2, 2) else "os"
        marks = "".join(
            text for bit, text in ((7, " strides-only"), (8, " A-transposed"), (9, " B-transposed")) if rs1 >> bit & 1
        )
        strides = f"A-stride {field(rs1, 31, 16)} C-stride {field(rs2, 63, 48)}"
        return f"config_ex {flow}{marks} act {field(rs1, 4, 3)} shift {field(rs2, 31, 0)} {strides}"
    if kind == CONFIG_LD:
        shrink = " shrink" if field(rs1, 2, 2) else ""
        scale = bits_float(field(rs1, 63, 32))
        block = f"block-stride {field(rs1, 31, 16)} repeat {field(rs1, 15, 8)}"
        return f"config_ld{field(rs1, 4, 3)}{shrink} stride {rs2} {block} scale {scale:g}"
    if kind == CONFIG_ST:
        pool = f" pool {field(rs1, 7, 6)}/{field(rs1, 5, 4)}" if field(rs1, 5, 4) else ""
        scale = bits_float(field(rs2, 63, 32))
        return f"config_st stride {field(rs2, 31, 0)} act {field(rs1, 3, 2)} scale {scale:g}{pool}"
    return f"config_norm {rs1:#x} {rs2:#x}"


def disassemble_command(funct: int, rs1: int, rs2: int) -> str:
    """One command as text: mnemonic, memory address, local blocks as `where[row] rows x columns`."""
    if funct == CONFIG:
        return _config_text(rs1, rs2)
    name = FUNCT_NAMES.get(funct, f"unknown{funct}")
    if funct in _MVIN_FUNCTS:
        return f"{name} {rs1:#x} -> {_span_text(rs2)}"
    if funct == MVOUT:
        return f"{name} {_span_text(rs2)} -> {rs1:#x}"
    if funct == PRELOAD:
        return f"{name} {_span_text(rs1)}, C {_span_text(rs2)}"
    if funct in (COMPUTE_PRELOADED, COMPUTE_ACCUMULATED):
        return f"{name} A {_span_text(rs1)}, {_span_text(rs2)}"
    if funct == FLUSH:
        return name
    if funct in LOOP_RUNS or funct in LOOP_CONFIGURATIONS:
        return f"{name} {loop_text(funct, rs1, rs2)}"
    return f"{name} {rs1:#x} {rs2:#x}"


def head(program: Program, commands: int) -> Program:
    """The first `commands` commands of `program`, less a preload at their end whose compute would be missing."""
    if 0 < commands < len(program) and program.funct[commands - 1] == PRELOAD:
        commands -= 1
    return Program(funct=program.funct[:commands], rs1=program.rs1[:commands], rs2=program.rs2[:commands])


def disassemble(program: Program) -> list[str]:
    """Every command of `program` as one line of text."""
    words = zip(program.funct.tolist(), program.rs1.tolist(), program.rs2.tolist(), strict=True)
    return [disassemble_command(funct, rs1, rs2) for funct, rs1, rs2 in words]
