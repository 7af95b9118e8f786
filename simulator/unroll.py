"""Replaces the loop instructions of a Program by the plain commands Gemmini's unrollers make of them.

Each unroller has registers for two loops and fills them in turns; which half of the accumulator a loop uses changes
after every loop that stores (LoopMatmul.scala, LoopConv.scala at 8c3f992). The result takes effect as the loops do when
run command after command; no timing lives here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from model_ir.errors import InputError
from simulator.accelerator import Accelerator
from simulator.isa import FUNCT_NAMES
from simulator.isa_loops import (
    LOOP_CONFIGURATIONS,
    LOOP_CONV_WS,
    LOOP_CONV_WS_CONFIGS,
    LOOP_RUNS,
    LOOP_WS,
    Words,
    decode_loop_conv_ws,
    decode_loop_ws,
)
from simulator.program import Program
from simulator.unroll_conv import conv_placement, unroll_conv
from simulator.unroll_matmul import placement, unroll_matmul
from simulator.unroll_words import joined


@dataclass(slots=True)
class Unroller:
    """The state of one unroller between loops: registers of two loops, whose turn it is, and the accumulator half."""

    registers: tuple[dict[int, Words], dict[int, Words]] = field(default_factory=lambda: ({}, {}))
    slot: int = 0
    half: int = 0

    def run(self, funct: int, accelerator: Accelerator) -> Program:
        """Commands of the loop now in the registers; the next loop gets the other registers."""
        words, slot, half = self.registers[self.slot], self.slot, self.half
        self.slot = 1 - slot
        if funct == LOOP_WS:
            matmul = decode_loop_ws(words)
            self.half ^= int(matmul.c_dram_addr != 0)
            return unroll_matmul(matmul, placement(matmul, slot, half, accelerator), accelerator)
        conv = decode_loop_conv_ws(words)
        self.half ^= int(conv.output != 0)
        return unroll_conv(conv, conv_placement(conv, slot, half, accelerator), accelerator)


def expand_with_origin(
    program: Program, accelerator: Accelerator
) -> tuple[Program, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """`program` with every loop replaced by its plain commands, and for each of those the index of the command of
    `program` it comes from, int64 (n,).

    A program without loops is returned as it is. Raises InputError naming the command of a loop that cannot run.
    """
    special = np.flatnonzero(np.isin(program.funct, [*LOOP_RUNS, *LOOP_CONFIGURATIONS]))
    if special.size == 0:
        return program, np.arange(len(program))
    unrollers = {LOOP_WS: Unroller(), LOOP_CONV_WS: Unroller()}
    parts: list[Program] = []
    origins: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
    start = 0
    for index in special.tolist():
        funct, rs1, rs2 = int(program.funct[index]), int(program.rs1[index]), int(program.rs2[index])
        parts.append(piece(program, start, index))
        origins.append(np.arange(start, index))
        start = index + 1
        unroller = unrollers[LOOP_CONV_WS if funct == LOOP_CONV_WS or funct in LOOP_CONV_WS_CONFIGS else LOOP_WS]
        unroller.registers[unroller.slot][funct] = (rs1, rs2)
        if funct in LOOP_RUNS:
            try:
                parts.append(unroller.run(funct, accelerator))
            except InputError as error:
                raise InputError(f"command {index} ({FUNCT_NAMES[funct]})", str(error)) from error
            origins.append(np.full(len(parts[-1]), index))
    parts.append(piece(program, start, len(program)))
    origins.append(np.arange(start, len(program)))
    return joined(parts), np.concatenate(origins)


def piece(program: Program, start: int, end: int) -> Program:
    """Commands `start` to `end` (exclusive) of `program`."""
    return Program(funct=program.funct[start:end], rs1=program.rs1[start:end], rs2=program.rs2[start:end])


def expand(program: Program, accelerator: Accelerator) -> Program:
    """`program` with every loop_ws and loop_conv_ws replaced by plain commands; see `expand_with_origin`."""
    return expand_with_origin(program, accelerator)[0]
