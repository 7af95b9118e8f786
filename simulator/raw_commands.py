"""Raw command streams as files carry them, run under the memory they were measured with.

A command is (funct, rs1, rs2): integers, or text with funct in decimal and the operands in hexadecimal.
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
_FIELDS = (("funct", 10, 127), ("rs1", 16, 2**64 - 1), ("rs2", 16, 2**64 - 1))


def _integer(word: object, base: int, top: int, path: str) -> int:
    if isinstance(word, bool) or not isinstance(word, int | str):
        raise InputError(path, f"must be an integer or text of base {base}", value=repr(word))
    try:
        # int() would also take blanks around the digits and underscores between them.
        value = word if isinstance(word, int) else int(word if word.isascii() and word.isalnum() else "", base)
    except ValueError as error:
        raise InputError(path, f"not a number of base {base}", value=repr(word)) from error
    if not 0 <= value <= top:
        raise InputError(path, "does not fit its field", value=value, limit=top)
    return value


def program_from_words(commands: Sequence[RawCommand]) -> Program:
    """A Program from raw commands; InputError names index and field of the first that is not three numbers in range."""
    rows = []
    for index, command in enumerate(commands):
        if isinstance(command, str) or not isinstance(command, Sequence):
            raise InputError(f"command {index}", "must be a list of funct, rs1 and rs2", value=repr(command))
        if len(command) != len(_FIELDS):
            raise InputError(f"command {index}", "needs funct, rs1 and rs2", value=len(command), limit=len(_FIELDS))
        words = zip(command, _FIELDS, strict=True)
        rows.append([_integer(word, base, top, f"command {index} {name}") for word, (name, base, top) in words])
    return program_of(rows)


def replay(
    commands: Sequence[RawCommand],
    memory: Memory | None = None,
    *,
    accelerator: Accelerator | None = None,
    command_gap_cycles: int = 0,
) -> Result:
    """Run raw `commands` on `accelerator` (default: Gemmini's) with `memory` behind it (default: the accelerator's).

    See `engine.simulate` for what comes back. Raises InputError naming index and field of the first command that is
    malformed or illegal.
    """
    machine = accelerator or load_accelerator("gemmini")
    return simulate(program_from_words(commands), machine, memory=memory, command_gap_cycles=command_gap_cycles)
