"""Commands of a matmul whose rows are normalised in the accumulator, and of the two apart: what the cycle engine runs.

A matmul's own commands (`mapper.codegen.emit`) store each finished block of its result. Fused, those stores give way to
the normaliser's passes over a whole row once all of its blocks are finished: for two rows side by side (there are two
sets of statistics) gather, finish, output, as sp_tiled_norm does (gemmini.h at 180c468). Apart, the stores carry the
int32 sums out at full width, and a program of its own loads them again and normalises.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from mapper.codegen.emit import Addresses, emit
from model_ir.errors import InputError
from model_ir.ops.integer_arithmetic import NormConstants
from simulator import isa
from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.isa_normaliser import config_norm, normalised
from simulator.mapping import Mapping, ceil_div
from simulator.normaliser import (
    INV_STDDEV,
    INV_SUM_EXP,
    LAYERNORM,
    MAX,
    MEAN,
    RESET,
    SOFTMAX,
    STATISTICS_SETS,
    SUM,
    SUM_EXP,
    VARIANCE,
)
from simulator.program import Program

PASSES = {
    "layer_norm": ((SUM, MEAN), (VARIANCE, INV_STDDEV), (RESET, RESET)),
    "softmax": ((MAX, MAX), (SUM_EXP, INV_SUM_EXP), (RESET, RESET)),
}
"""For every function its passes over a row: what a block does to the statistics, and what the row's last block does."""
ACTIVATION = {"layer_norm": LAYERNORM, "softmax": SOFTMAX}
Words = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalisation:
    """A function of `PASSES`, the constants of its integers, and the factor of the int8 result."""

    function: str
    constants: NormConstants
    scale: float = 1.0


def emit_fused(
    nest: ArrayNest,
    mapping: Mapping,
    accelerator: Accelerator,
    normalisation: Normalisation,
    *,
    addresses: Addresses,
) -> Program:
    """The commands of the matmul with its rows normalised before they leave.

    Raises what `mapper.codegen.emit.emit` raises; InputError where a tile does not hold whole rows, rows of the result
    are not contiguous, or the machine has no normaliser; and where the commands would reuse accumulator rows before
    they are normalised (a bias may arrive as soon as a part of a row has left).
    """
    _check(nest, mapping, accelerator, normalisation)
    plain = emit(nest, mapping, accelerator, addresses=addresses)
    rewriter = _Rewriter(nest=nest, accelerator=accelerator, normalisation=normalisation, result=addresses.c)
    head = int(np.argmax(plain.funct != isa.CONFIG))
    words = list(zip(plain.funct.tolist(), plain.rs1.tolist(), plain.rs2.tolist(), strict=True))
    rewritten = [*words[:head], *configured(normalisation, nest.out_channels)]
    for command in words[head:]:
        rewritten.extend(rewriter.rewrite(command))
    rewriter.check_done()
    return isa.program_of(rewritten)


def emit_wide(nest: ArrayNest, mapping: Mapping, accelerator: Accelerator, *, addresses: Addresses) -> Program:
    """The commands of the matmul or convolution with its int32 sums stored as they are, in the nest's own strides from
    `addresses.c` on. Raises what `mapper.codegen.emit.emit` raises.
    """
    plain = emit(nest, mapping, accelerator, addresses=addresses)
    width, dim = accelerator.accumulator_bytes, accelerator.dim
    head = int(np.argmax(plain.funct != isa.CONFIG))
    words = list(zip(plain.funct.tolist(), plain.rs1.tolist(), plain.rs2.tolist(), strict=True))
    rewritten: list[Words] = [*words[:head], isa.config_st(stride_bytes=nest.c_stride * width)]
    for command in words[head:]:
        if command[0] != isa.MVOUT:
            rewritten.append(command)
            continue
        rows, columns, local = _block(command[2])
        memory = addresses.c + (command[1] - addresses.c) * width
        for part in range(0, columns, dim):
            address = local + part | isa.FULL_WIDTH_BIT
            rewritten.append(isa.mvout(memory + part * width, address, min(dim, columns - part), rows))
    return isa.program_of(rewritten)


def emit_normalisation(
    rows: int,
    columns: int,
    accelerator: Accelerator,
    normalisation: Normalisation,
    *,
    source: int,
    target: int,
) -> Program:
    """The commands that load int32 rows from `source`, normalise them and store int8 rows at `target`, one block of up
    to DIM rows loading while the one before is normalised; one after the other where the accumulator holds one block.

    Raises InputError where the machine has no normaliser or its accumulator does not hold a block of whole rows.
    """
    if accelerator.normaliser is None:
        raise InputError(f"accelerator {accelerator.name}", "has no normaliser", value=normalisation.function)
    dim, width = accelerator.dim, accelerator.accumulator_bytes
    block_rows = ceil_div(columns, dim) * dim
    if block_rows > accelerator.accumulator_rows:
        raise InputError(
            "columns",
            "a block of whole rows does not fit the accumulator",
            value=columns,
            limit=accelerator.accumulator_rows,
        )
    copies = (0, accelerator.accumulator_rows // 2) if 2 * block_rows <= accelerator.accumulator_rows else (0,)
    commands: list[Words] = [
        isa.config_ld(stride_bytes=columns * width),
        *configured(normalisation, columns),
    ]
    waiting: list[Words] = []
    for turn, first in enumerate(range(0, rows, dim)):
        count, base = min(dim, rows - first), copies[turn % len(copies)]
        for column in range(0, columns, dim):
            local = isa.local_address(base + column, accumulator=True)
            at = source + width * (first * columns + column)
            commands.append(isa.mvin(at, local, min(dim, columns - column), count))
        commands += waiting
        pieces = [
            Row(
                memory=target + (first + row) * columns,
                blocks={block: base + block * dim + row for block in range(ceil_div(columns, dim))},
            )
            for row in range(count)
        ]
        waiting = list(row_passes(pieces, columns, dim, normalisation))
        if len(copies) == 1:
            commands += waiting
            waiting = []
    return isa.program_of([*commands, *waiting])


@dataclass(slots=True, kw_only=True)
class Row:
    """A row of the result: its place in memory and the accumulator row of each finished block of DIM columns."""

    memory: int
    blocks: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class _Rewriter:
    """Turns stores into passes of the normaliser; `rows` are those of which only a part is finished."""

    nest: ArrayNest
    accelerator: Accelerator
    normalisation: Normalisation
    result: int
    rows: dict[int, Row] = field(default_factory=dict)
    held: set[int] = field(default_factory=set)

    def rewrite(self, command: Words) -> Iterator[Words]:
        """What stands in the place of `command`."""
        funct, rs1, rs2 = command
        if funct != isa.MVOUT:
            self._check_free(command)
            yield command
            return
        dim, columns = self.accelerator.dim, self.nest.out_channels
        count, width, local = _block(rs2)
        first = local & ~isa.ACCUMULATOR_BIT
        done: list[Row] = []
        for row in range(count):
            number, column = divmod(rs1 - self.result + row * columns, columns)
            found = self.rows.setdefault(number, Row(memory=self.result + number * columns))
            for part in range(0, width, dim):
                found.blocks[(column + part) // dim] = first + row + part
                self.held.add(first + row + part)
            if len(found.blocks) == ceil_div(columns, dim):
                done.append(self.rows.pop(number))
        yield from row_passes(done, columns, dim, self.normalisation)
        for finished in done:
            self.held.difference_update(finished.blocks.values())

    def _check_free(self, command: Words) -> None:
        """Raise InputError where `command` writes accumulator rows that wait to be normalised."""
        funct, _, rs2 = command
        if not self.held or funct not in (isa.PRELOAD, isa.MVIN, isa.MVIN2, isa.MVIN3):
            return
        rows, columns, local = _block(rs2)
        if not local & isa.ACCUMULATOR_BIT or local == isa.GARBAGE:
            return
        first = local & ((1 << 26) - 1)
        touched = {first + row + part for row in range(rows) for part in range(0, columns, self.accelerator.dim)}
        if touched & self.held:
            raise InputError("mapping", "its commands reuse accumulator rows before they are whole", value=first)

    def check_done(self) -> None:
        """Raise InputError where a row never became whole."""
        if self.rows:
            raise InputError("mapping", "stores only parts of some rows", value=len(self.rows))


def row_passes(rows: list[Row], columns: int, dim: int, normalisation: Normalisation) -> Iterator[Words]:
    """Every pass over `rows`, two side by side, each with a set of statistics of its own."""
    for first in range(0, len(rows), STATISTICS_SETS):
        pair = rows[first : first + STATISTICS_SETS]
        for gathering, finishing in PASSES[normalisation.function]:
            for statistics_set, row in enumerate(pair):
                yield config_norm(statistics_set=statistics_set)
                for column, width, local in _runs(row, columns, dim):
                    command = finishing if column + width == columns else gathering
                    yield isa.mvout(row.memory + column, normalised(local, command), width, 1)


def _runs(row: Row, columns: int, dim: int) -> Iterator[tuple[int, int, int]]:
    """(first column, columns, accumulator row) of pieces of up to four blocks that lie DIM rows apart, as one mvout
    takes them."""
    block, last = 0, ceil_div(columns, dim)
    while block < last:
        length = 1
        while length < 4 and block + length < last and row.blocks[block + length] == row.blocks[block] + length * dim:
            length += 1
        yield block * dim, min(columns - block * dim, length * dim), row.blocks[block]
        block += length


def configured(normalisation: Normalisation, stride_bytes: int) -> list[Words]:
    """Store and normaliser configured for the function."""
    activation = ACTIVATION[normalisation.function]
    return [
        isa.config_st(stride_bytes=stride_bytes, activation=activation & 3, scale=normalisation.scale),
        config_norm(normalisation.constants, activation_msb=activation >> 2),
        config_norm(normalisation.constants, activation_msb=activation >> 2, inverse=True),
    ]


def _block(word: int) -> tuple[int, int, int]:
    """Rows, columns and local address of a command's block."""
    return word >> 48, word >> 32 & 0xFFFF, word & 0xFFFFFFFF


def _check(nest: ArrayNest, mapping: Mapping, accelerator: Accelerator, normalisation: Normalisation) -> None:
    if accelerator.normaliser is None:
        raise InputError(f"accelerator {accelerator.name}", "has no normaliser", value=normalisation.function)
    if normalisation.function not in PASSES:
        raise InputError("normalisation", "no such function", value=normalisation.function, limit=" | ".join(PASSES))
    if mapping.tile.out_channels != nest.out_channels:
        raise InputError(
            "mapping.tile.out_channels", "rows must be whole", value=mapping.tile.out_channels, limit=nest.out_channels
        )
    _check_rows(nest)


def _check_rows(nest: ArrayNest) -> None:
    if nest.c_stride != nest.out_channels:
        raise InputError("nest.c_stride", "rows must be contiguous", value=nest.c_stride, limit=nest.out_channels)
