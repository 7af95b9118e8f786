"""Gemmini's loop instructions: `LoopMatmul` (loop_ws) and `LoopConv` (loop_conv_ws), their command words and text.

A loop is five or six configuration commands, which fill the registers of one of the unroller's two loops, and the
command that runs it. Fields carry the names and bit positions of GemminiISA.scala, LoopMatmul.scala and LoopConv.scala
(ucb-bar/gemmini at 8c3f992) and of the macros of gemmini.h (gemmini-rocc-tests at 180c468). Encodings of loop_conv_ws
from before July 2023 (square images, no strides of their own) are another instruction set and are not understood.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from model_ir.errors import InputError
from simulator.isa_words import field, packed

LOOP_WS = 8
LOOP_CONV_WS = 15
LOOP_WS_CONFIGS = (9, 10, 11, 12, 13)
LOOP_CONV_WS_CONFIGS = (16, 17, 18, 19, 20, 21)

LOOP_RUNS = {LOOP_WS: "loop_ws", LOOP_CONV_WS: "loop_conv_ws"}
LOOP_CONFIGURATIONS = {
    **dict(
        zip(
            LOOP_WS_CONFIGS,
            (
                "loop_ws_bounds",
                "loop_ws_addresses_ab",
                "loop_ws_addresses_dc",
                "loop_ws_strides_ab",
                "loop_ws_strides_dc",
            ),
            strict=True,
        )
    ),
    **{funct: f"loop_conv_ws_config{index + 1}" for index, funct in enumerate(LOOP_CONV_WS_CONFIGS)},
}

Words = tuple[int, int]
_Field = tuple[str, int, int, int]
"""Name, word (1: rs1, 2: rs2), high bit, low bit."""

_FIELDS: dict[int, tuple[_Field, ...]] = {
    9: (
        ("pad_k", 1, 47, 32), ("pad_j", 1, 31, 16), ("pad_i", 1, 15, 0),
        ("max_k", 2, 47, 32), ("max_j", 2, 31, 16), ("max_i", 2, 15, 0),
    ),
    10: (("a_dram_addr", 1, 63, 0), ("b_dram_addr", 2, 63, 0)),
    11: (("d_dram_addr", 1, 63, 0), ("c_dram_addr", 2, 63, 0)),
    12: (("a_dram_stride", 1, 63, 0), ("b_dram_stride", 2, 63, 0)),
    13: (("d_dram_stride", 1, 63, 0), ("c_dram_stride", 2, 63, 0)),
    8: (
        ("ex_accumulate", 1, 0, 0), ("full_c", 1, 1, 1), ("low_d", 1, 2, 2), ("act", 1, 10, 8),
        ("b_spad_id", 1, 17, 16), ("a_spad_id", 1, 19, 18),
        ("a_transpose", 2, 0, 0), ("b_transpose", 2, 1, 1), ("is_resadd", 2, 2, 2),
    ),
    16: (
        ("out_channels", 1, 63, 48), ("in_channels", 1, 47, 32), ("in_row_dim", 1, 31, 16), ("batch_size", 1, 15, 0),
        ("padding", 2, 63, 56), ("stride", 2, 55, 48), ("out_col_dim", 2, 47, 32), ("pool_out_row_dim", 2, 31, 16),
        ("out_row_dim", 2, 15, 0),
    ),
    17: (
        ("kernel_dim", 1, 63, 48), ("pool_out_col_dim", 1, 47, 32), ("pool_size", 1, 31, 16), ("pool_stride", 1, 15, 8),
        ("pool_padding", 1, 7, 0),
        ("batches", 2, 63, 48), ("porows", 2, 47, 32), ("pocols", 2, 31, 16), ("pochs", 2, 15, 0),
    ),
    18: (
        ("krows", 1, 63, 48), ("kcols", 1, 47, 32), ("kchs", 1, 31, 16), ("lpad", 1, 15, 0),
        ("rpad", 2, 63, 48), ("upad", 2, 47, 32), ("dpad", 2, 31, 24), ("plpad", 2, 23, 16), ("in_col_dim", 2, 15, 0),
    ),
    19: (
        ("orows", 1, 63, 48), ("prad", 1, 47, 32), ("pupad", 1, 31, 21), ("pdpad", 1, 20, 10),
        ("kernel_dilation", 1, 9, 0),
        ("in_stride", 2, 63, 48), ("weight_stride", 2, 47, 32), ("out_stride", 2, 31, 16), ("ocols", 2, 15, 0),
    ),
    20: (("weights", 1, 63, 0), ("output", 2, 63, 0)),
    21: (("bias", 1, 63, 0), ("input", 2, 63, 0)),
    15: (
        ("no_bias", 1, 0, 0), ("wrot180", 1, 1, 1), ("trans_output_1203", 1, 2, 2), ("trans_weight_1203", 1, 3, 3),
        ("trans_weight_0132", 1, 4, 4), ("trans_input_3120", 1, 5, 5), ("dw", 1, 6, 6),
        ("max_pixels_per_row", 1, 15, 8), ("b_spad_id", 1, 17, 16), ("a_spad_id", 1, 19, 18),
        ("no_pool", 2, 0, 0), ("downsample", 2, 1, 1), ("input_dilated", 2, 2, 2), ("activation", 2, 4, 3),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopMatmul:
    """One loop_ws: C = A B + D over `max_i` x `max_j` x `max_k` blocks of DIM, weight-stationary.

    Pads are the elements missing from the last block of each dimension; memory strides count elements. A memory address
    of 0 skips that operand: A or B stays as an earlier loop left it, D is not loaded, C is not stored.
    `a_spad_id`, `b_spad_id` 1 or 2 name a half of the scratchpad, 0 takes the half of the loop's own registers.
    `is_resadd` adds A and B in the accumulator instead of multiplying; `act` (RTL's Activation) matters to the unroller
    for LayerNorm (2) and softmax (4) only, whose stores come row by row.
    """

    max_i: int
    max_j: int
    max_k: int
    pad_i: int = 0
    pad_j: int = 0
    pad_k: int = 0
    a_dram_addr: int
    b_dram_addr: int
    d_dram_addr: int = 0
    c_dram_addr: int = 0
    a_dram_stride: int
    b_dram_stride: int
    d_dram_stride: int = 0
    c_dram_stride: int = 0
    ex_accumulate: bool = False
    full_c: bool = False
    low_d: bool = False
    act: int = 0
    a_transpose: bool = False
    b_transpose: bool = False
    is_resadd: bool = False
    a_spad_id: int = 0
    b_spad_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConv:
    """One loop_conv_ws: a tile of a convolution, weight-stationary, with the pooling of its store.

    Outer bounds (`batch_size` to `pool_padding`, and the strides, in elements between pixels of the tensors in memory)
    describe the layer, inner bounds (`batches` to `ocols`) the tile; `lpad` to `dpad` are the tile's padding pixels,
    `plpad` to `pdpad` its pooling padding. A memory address of 0 skips that operand. `input_dilated` is a dilation by
    two, `downsample` reads every second pixel only, `max_pixels_per_row` kernel columns share one row of the array.
    """

    batch_size: int
    in_row_dim: int
    in_col_dim: int
    in_channels: int
    out_channels: int
    out_row_dim: int
    out_col_dim: int
    pool_out_row_dim: int
    pool_out_col_dim: int
    stride: int = 1
    padding: int = 0
    kernel_dim: int
    kernel_dilation: int = 1
    in_stride: int
    weight_stride: int
    out_stride: int
    pool_size: int = 1
    pool_stride: int = 1
    pool_padding: int = 0
    batches: int
    porows: int
    pocols: int
    pochs: int
    krows: int
    kcols: int
    kchs: int
    lpad: int = 0
    rpad: int = 0
    upad: int = 0
    dpad: int = 0
    plpad: int = 0
    prad: int = 0
    pupad: int = 0
    pdpad: int = 0
    orows: int
    ocols: int
    weights: int
    output: int
    bias: int
    input: int
    no_bias: bool = False
    no_pool: bool = True
    downsample: bool = False
    input_dilated: bool = False
    activation: int = 0
    wrot180: bool = False
    trans_output_1203: bool = False
    trans_weight_1203: bool = False
    trans_weight_0132: bool = False
    trans_input_3120: bool = False
    dw: bool = False
    max_pixels_per_row: int = 1
    a_spad_id: int = 0
    b_spad_id: int = 0


def _encoded(loop: LoopMatmul | LoopConv, run: int, configs: tuple[int, ...]) -> list[tuple[int, int, int]]:
    commands = []
    for funct in (*configs, run):
        words = [
            packed(
                *((name, int(getattr(loop, name)), high, low) for name, at, high, low in _FIELDS[funct] if at == word)
            )
            for word in (1, 2)
        ]
        commands.append((funct, words[0], words[1]))
    return commands


def loop_ws(loop: LoopMatmul) -> list[tuple[int, int, int]]:
    """The six commands of one loop_ws, as (funct, rs1, rs2); InputError where a value does not fit its field."""
    return _encoded(loop, LOOP_WS, LOOP_WS_CONFIGS)


def loop_conv_ws(loop: LoopConv) -> list[tuple[int, int, int]]:
    """The seven commands of one loop_conv_ws, as (funct, rs1, rs2); InputError where a value does not fit its field."""
    return _encoded(loop, LOOP_CONV_WS, LOOP_CONV_WS_CONFIGS)


def _decoded(words: Mapping[int, Words], run: int, configs: tuple[int, ...]) -> dict[str, Any]:
    for funct in configs:
        if funct not in words:
            raise InputError(LOOP_RUNS[run], "runs before its configuration", value=LOOP_CONFIGURATIONS[funct])
    values: dict[str, Any] = {}
    for funct in (*configs, run):
        for name, word, high, low in _FIELDS[funct]:
            value = field(words[funct][word - 1], high, low)
            values[name] = bool(value) if high == low else value
    return values


def decode_loop_ws(words: Mapping[int, Words]) -> LoopMatmul:
    """The loop that `words`, (rs1, rs2) by funct 8 to 13, describe.

    Raises InputError for a missing configuration and for bits 9:3 of loop_ws's rs2, which select loops between
    scratchpad and accumulator only (gemmini.md's instruction set has none).
    """
    if field(words[LOOP_WS][1], 9, 3):
        raise InputError(
            "loop_ws.rs2[9:3]", "loops within the scratchpad only are not modelled", value=words[LOOP_WS][1]
        )
    return LoopMatmul(**_decoded(words, LOOP_WS, LOOP_WS_CONFIGS))


def decode_loop_conv_ws(words: Mapping[int, Words]) -> LoopConv:
    """The loop that `words`, (rs1, rs2) by funct 15 to 21, describe; `max_pixels_per_row` 0 means 1, as in the RTL.

    Raises InputError for a missing configuration.
    """
    values = _decoded(words, LOOP_CONV_WS, LOOP_CONV_WS_CONFIGS)
    values["max_pixels_per_row"] = max(values["max_pixels_per_row"], 1)
    return LoopConv(**values)


def loop_text(funct: int, rs1: int, rs2: int) -> str:
    """The non-zero fields of one loop command as `name value` pairs; memory addresses in hexadecimal."""
    parts = []
    for name, word, high, low in _FIELDS[funct]:
        value = field((rs1, rs2)[word - 1], high, low)
        address = name.endswith("addr") or name in ("weights", "output", "bias", "input")
        if value:
            parts.append(f"{name} {value:#x}" if address else f"{name} {value}")
    return " ".join(parts)
