"""A Program as C: its preloads and computes as loops of Gemmini's intrinsics, everything else as a table.

The array's commands repeat so regularly that they become a few nested loops (`gemmini_c.loops`); the loads and stores
between them mostly come at moments that follow no pattern, so each is a row of a table that says after how many of the
array's commands it is issued. `moves()` before every command of the array keeps the Program's order exactly. Where the
table would be long and all commands together make shorter loops (a depthwise convolution's channels), they do, and
the table is empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mapper.gemmini_c.loops import Item, Step, rolled, size
from model_ir.errors import InputError
from simulator import isa
from simulator.program import Program

IntArray = npt.NDArray[np.int64]

EXECUTES = (isa.PRELOAD, isa.COMPUTE_PRELOADED, isa.COMPUTE_ACCUMULATED)
NAMES = {
    isa.PRELOAD: "PRELOAD",
    isa.COMPUTE_PRELOADED: "COMPUTE_PRELOADED",
    isa.COMPUTE_ACCUMULATED: "COMPUTE_ACCUMULATED",
    isa.CONFIG: "CONFIG",
    isa.MVIN: "MVIN",
    isa.MVIN2: "MVIN2",
    isa.MVIN3: "MVIN3",
    isa.MVOUT: "MVOUT",
}
"""Of the array's commands the C file's macros, of the others what the table calls them."""
MOVED = {
    isa.MVIN: "gemmini_extended_mvin",
    isa.MVIN2: "gemmini_extended_mvin2",
    isa.MVIN3: "gemmini_extended_mvin3",
    isa.MVOUT: "gemmini_extended_mvout",
}
LONG_TABLE = 3000
"""Rows of a table for which shorter loops are looked for."""
VARIABLES = "ijklmnpqrstuvw"


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Where an operand lies in the Program's memory, and the C array that it is."""

    name: str
    address: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandText:
    """The C of one Program: the statements before it, rows of its table of moves, the statements that run it."""

    configuration: tuple[str, ...]
    moves: tuple[str, ...]
    statements: tuple[str, ...]


def command_text(program: Program, regions: Sequence[Region]) -> CommandText:
    """C for `program`, whose memory addresses lie in `regions` (in the order that the table numbers them, from 1; 0 is
    no memory). Raises InputError for a command that has no place in it."""
    first = int(np.argmax(program.funct != isa.CONFIG))
    words = zip(program.rs1[:first].tolist(), program.rs2[:first].tolist(), strict=True)
    configuration = tuple(_configured(rs1, rs2) for rs1, rs2 in words)
    program = Program(funct=program.funct[first:], rs1=program.rs1[first:], rs2=program.rs2[first:])
    rows, items = _table_and_loops(program)
    if len(rows) > LONG_TABLE and not (program.funct == isa.CONFIG).any():
        everything = rolled(program)
        if sum(map(size, everything)) < len(rows) + sum(map(size, items)):
            rows, items = [], everything
    return CommandText(
        configuration=configuration,
        moves=tuple(_move(*row, regions) for row in rows),
        statements=tuple(_statements(items, (), "  ", regions)),
    )


def _table_and_loops(program: Program) -> tuple[list[tuple[int, int, int, int]], tuple[Item, ...]]:
    """What is not the array's as (issued after, funct, rs1, rs2), and what is as loops."""
    executes = np.isin(program.funct, EXECUTES)
    others = ~executes
    words = (program.funct[others].tolist(), program.rs1[others].tolist(), program.rs2[others].tolist())
    rows = list(zip(np.cumsum(executes)[others].tolist(), *words, strict=True))
    array = Program(funct=program.funct[executes], rs1=program.rs1[executes], rs2=program.rs2[executes])
    return rows, rolled(array) if len(array) else ()


def _configured(rs1: int, rs2: int) -> str:
    """The intrinsic for a configuration, or the raw command where none says all of it."""
    scale = f"{isa.bits_float(isa.field(rs1, 63, 32))!r}f"
    kind = isa.field(rs1, 1, 0)
    if kind == isa.CONFIG_EX:
        flow = "WEIGHT_STATIONARY" if isa.field(rs1, 2, 2) else "OUTPUT_STATIONARY"
        sizes = f"{isa.field(rs2, 31, 0)}, {scale}, {isa.field(rs2, 63, 48)}, {isa.field(rs1, 31, 16)}"
        flags = ", ".join(str(isa.field(rs1, bit, bit)) for bit in (8, 9, 7))
        return f"gemmini_extended3_config_ex({flow}, {isa.field(rs1, 4, 3)}, {sizes}, {flags});"
    if kind == isa.CONFIG_LD:
        block = f"{isa.field(rs1, 2, 2)}, {isa.field(rs1, 31, 16)}, {isa.field(rs1, 15, 8)}, {isa.field(rs1, 4, 3)}"
        return f"gemmini_extended5_config_ld({rs2}, {scale}, {block});"
    if kind == isa.CONFIG_ST and rs1 >> 4 == 0:
        activation = "RELU" if isa.field(rs1, 3, 2) == isa.RELU else str(isa.field(rs1, 3, 2))
        scale = f"{isa.bits_float(isa.field(rs2, 63, 32))!r}f"
        return f"gemmini_extended_config_st({isa.field(rs2, 31, 0)}, {activation}, {scale});"
    return f"ROCC_INSTRUCTION_RS1_RS2(XCUSTOM_ACC, {rs1:#x}, {rs2:#x}, k_CONFIG);"


def _move(after: int, funct: int, rs1: int, rs2: int, regions: Sequence[Region]) -> str:
    """{issued after, command, operand, byte offset in it (or rs1), rs2}."""
    if funct == isa.CONFIG:
        return f"{{{after}, {NAMES[funct]}, 0, {rs1:#x}, {rs2:#x}}}"
    if funct not in MOVED:
        raise InputError("command", "cannot be written as C", value=isa.disassemble_command(funct, rs1, rs2))
    number, offset = _place(rs1, rs1, regions)
    return f"{{{after}, {NAMES[funct]}, {number}, {offset}, {rs2:#x}}}"


def _place(first: int, last: int, regions: Sequence[Region]) -> tuple[int, int]:
    """Number of the operand that holds the addresses `first` to `last`, and the offset of `first` in it."""
    if first == last == 0:
        return 0, 0
    for number, region in enumerate(regions, 1):
        if region.address <= first and last < region.address + region.size_bytes:
            return number, first - region.address
    raise InputError("command", "moves what is no operand", value=f"{first:#x} to {last:#x}")


_Around = tuple[tuple[int, IntArray], ...]
"""Of each loop around some commands, outermost first: its count, and their steps (commands, FIELDS)."""


def _statements(items: Sequence[Item], around: _Around, indent: str, regions: Sequence[Region]) -> Iterator[str]:
    """Statements for `items` in the loops `around` them."""
    place = 0
    for item in items:
        if isinstance(item, Step):
            moved = tuple((count, steps[place]) for count, steps in around)
            yield indent + (_memory(item, moved, regions) if item.funct in MOVED else _execute(item, moved))
            place += 1
            continue
        variable, written = VARIABLES[len(around)], len(item.steps)
        yield f"{indent}for (uint32_t {variable} = 0; {variable} < {item.count}; {variable}++) {{"
        inner = (*((count, steps[place : place + written]) for count, steps in around), (item.count, item.steps))
        yield from _statements(item.body, inner, indent + "  ", regions)
        yield f"{indent}}}"
        place += written


def _parts(step: Step, moved: _Around, first: int) -> tuple[str, str, str]:
    """Local address, columns and rows of the span whose fields begin at `first`."""
    fields = ((first + 2, True), (first + 1, False), (first, False))
    address, columns, rows = (
        _expression(int(step.fields[field]), [int(steps[field]) for _, steps in moved], is_address=is_address)
        for field, is_address in fields
    )
    return address, columns, rows


def _execute(step: Step, moved: _Around) -> str:
    """A command of the array: two local addresses, then columns and rows of each."""
    (address, columns, rows), (other, *other_sizes) = _parts(step, moved, 0), _parts(step, moved, 3)
    return f"{NAMES[step.funct]}({', '.join((address, other, columns, rows, *other_sizes))});"


def _memory(step: Step, moved: _Around, regions: Sequence[Region]) -> str:
    """A load or store: where in memory, local address, columns, rows."""
    first, steps = int(step.fields[2]), [int(steps[2]) for _, steps in moved]
    reach = [step * (count - 1) for step, (count, _) in zip(steps, moved, strict=True)]
    low, high = first + sum(min(0, way) for way in reach), first + sum(max(0, way) for way in reach)
    number, offset = _place(low, high, regions)
    memory = f"operand[{number}] + {_expression(offset + first - low, steps, is_address=False)}" if number else "NULL"
    return f"{MOVED[step.funct]}({', '.join((memory, *_parts(step, moved, 3)))});"


def _expression(first: int, steps: Sequence[int], *, is_address: bool) -> str:
    """`first` plus what each loop variable adds, an accumulator's address with its bits by name."""
    terms = [
        f"{'+' if step > 0 else '-'} {variable if abs(step) == 1 else f'{abs(step)} * {variable}'}"
        for variable, step in zip(VARIABLES, steps, strict=False)
        if step
    ]
    if not is_address:
        return " ".join((str(first), *terms))
    if first == isa.GARBAGE and not terms:
        return "GARBAGE_ADDR"
    flags = first & (isa.ACCUMULATOR_BIT | isa.ACCUMULATE_BIT)
    name = {isa.ACCUMULATOR_BIT: "ACC", isa.ACCUMULATOR_BIT | isa.ACCUMULATE_BIT: "ACC_ADD"}.get(flags)
    base = " + ".join(part for part in (name, str(first - flags) if first > flags or not name else "") if part)
    return " ".join((base, *terms))
