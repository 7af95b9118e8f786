"""A Program as C: its preloads and computes as loops of Gemmini's intrinsics, everything else as a table.

The array's commands repeat so regularly that they become a few nested loops (`gemmini_c_loops`); the loads and stores
between them come at moments that follow no pattern, so each is a row of a table that says after how many of the array's
commands it is issued. `moves()` before every command of the array keeps the Program's order exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mapper.gemmini_c_loops import Item, Step, rolled
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
MOVED = (isa.MVIN, isa.MVIN2, isa.MVIN3, isa.MVOUT)
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
    executes = np.isin(program.funct, EXECUTES)
    after = np.cumsum(executes)[~executes].tolist()
    moves = zip(
        after,
        program.funct[~executes].tolist(),
        program.rs1[~executes].tolist(),
        program.rs2[~executes].tolist(),
        strict=True,
    )
    array = Program(funct=program.funct[executes], rs1=program.rs1[executes], rs2=program.rs2[executes])
    items = rolled(array) if len(array) else ()
    return CommandText(
        configuration=configuration,
        moves=tuple(_move(*move, regions) for move in moves),
        statements=tuple(_statements(items, (), "  ")),
    )


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
    if rs1 == 0:
        return f"{{{after}, {NAMES[funct]}, 0, 0, {rs2:#x}}}"
    for number, region in enumerate(regions, 1):
        if region.address <= rs1 < region.address + region.size_bytes:
            return f"{{{after}, {NAMES[funct]}, {number}, {rs1 - region.address}, {rs2:#x}}}"
    raise InputError("command", "moves what is no operand", value=isa.disassemble_command(funct, rs1, rs2))


def _statements(items: Sequence[Item], steps: tuple[IntArray, ...], indent: str) -> Iterator[str]:
    """Statements for `items`; `steps` are, of each loop around them, the steps (commands, FIELDS) of these items'
    commands."""
    place = 0
    for item in items:
        if isinstance(item, Step):
            yield f"{indent}{_call(item, [step[place] for step in steps])}"
            place += 1
            continue
        variable = VARIABLES[len(steps)]
        written = len(item.steps)
        yield f"{indent}for (uint32_t {variable} = 0; {variable} < {item.count}; {variable}++) {{"
        inner = (*(step[place : place + written] for step in steps), item.steps)
        yield from _statements(item.body, inner, indent + "  ")
        yield f"{indent}}}"
        place += written


def _call(step: Step, moved: Sequence[IntArray]) -> str:
    """The macro with the command's two spans: local address, columns, rows of each."""
    parts = [
        _expression(step.fields[field], [steps[field] for steps in moved], is_address=field % 3 == 2)
        for field in (2, 1, 0, 5, 4, 3)
    ]
    if step.funct == isa.PRELOAD:
        return f"PRELOAD({parts[0]}, {parts[3]}, {parts[1]}, {parts[2]}, {parts[4]}, {parts[5]});"
    return f"{NAMES[step.funct]}({parts[0]}, {parts[3]}, {parts[1]}, {parts[2]}, {parts[4]}, {parts[5]});"


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
    name = {isa.ACCUMULATOR_BIT: "SET", isa.ACCUMULATOR_BIT | isa.ACCUMULATE_BIT: "ADD"}.get(flags)
    base = " + ".join(part for part in (name, str(first - flags) if first > flags or not name else "") if part)
    return " ".join((base, *terms))
