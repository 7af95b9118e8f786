"""Raw command streams as files carry them, run under the memory they were measured with.

A command is (funct, rs1, rs2): integers, or text with funct in decimal and the operands in hexadecimal. loop_ws and
loop_conv_ws must be unrolled before; they raise an InputError that names them.
"""

from __future__ import annotations

from collections.abc import Sequence

from model_ir.errors import InputError
from simulator.accelerator import Accelerator, Memory
from simulator.accelerator_file import load_accelerator
from simulator.cost import Result
from simulator.engine import simulate
from simulator.isa import program_of
from simulator.program import Program

RawCommand = Sequence[int | str]


def _integer(word: int | str, base: int, top: int, path: str) -> int:
    try:
        value = word if isinstance(word, int) else int(word, base)
    except ValueError as error:
        raise InputError(path, f"not a number of base {base}", value=word) from error
    if not 0 <= value <= top:
        raise InputError(path, "does not fit its field", value=value, limit=top)
    return value


def program_from_words(commands: Sequence[RawCommand]) -> Program:
    """A Program from raw commands; InputError names index and field of the first that is not three numbers in range."""
    rows = []
    for index, command in enumerate(commands):
        if len(command) != 3:
            raise InputError(f"command {index}", "needs funct, rs1 and rs2", value=len(command), limit=3)
        words = zip(command, ("funct", "rs1", "rs2"), (10, 16, 16), (127, 2**64 - 1, 2**64 - 1), strict=True)
        rows.append([_integer(word, base, top, f"command {index} {name}") for word, name, base, top in words])
    return program_of(rows)


def replay(
    commands: Sequence[RawCommand],
    memory: Memory,
    *,
    accelerator: Accelerator | None = None,
    command_gap_cycles: int = 0,
) -> Result:
    """Run raw `commands` on `accelerator` (default: Gemmini's) with `memory` behind it; see `engine.simulate`."""
    machine = accelerator or load_accelerator("gemmini")
    return simulate(program_from_words(commands), machine, memory=memory, command_gap_cycles=command_gap_cycles)
