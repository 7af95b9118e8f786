"""The values of a raw command stream, in the memory the measured streams started from: only the digest of its output.

The memory (../shared/ground_truth/README.md beside a clone) is 64 MiB at 0x80000000 whose byte i is
((i * 2654435761) >> 13) & 3, and a stream that states I and J leaves I x J int8 outputs at +0x1000000, row stride J.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError
from simulator.accelerator import Accelerator
from simulator.functional import execute
from simulator.program import Program

MEMORY_BASE = 0x80000000
MEMORY_BYTES = 64 << 20
OUTPUT_OFFSET = 0x1000000
OUTPUT_LIMIT_BYTES = MEMORY_BYTES - OUTPUT_OFFSET
_PATTERN_CHUNK = 1 << 20


@cache
def _pattern() -> npt.NDArray[np.uint8]:
    memory = np.empty(MEMORY_BYTES, np.uint8)
    for start in range(0, MEMORY_BYTES, _PATTERN_CHUNK):
        index = np.arange(start, start + _PATTERN_CHUNK, dtype=np.uint64)
        memory[start : start + _PATTERN_CHUNK] = (index * np.uint64(2654435761)) >> np.uint64(13) & np.uint64(3)
    memory.setflags(write=False)
    return memory


def initial_memory() -> npt.NDArray[np.uint8]:
    """A fresh copy of the memory a measured stream starts from, uint8 (MEMORY_BYTES,), byte 0 at MEMORY_BASE."""
    return _pattern().copy()


def output_digest(program: Program, accelerator: Accelerator, rows: int, columns: int) -> str:
    """SHA-256, in hexadecimal, of the `rows` x `columns` output bytes after `program` ran on `initial_memory`.

    Raises InputError for an output beyond the memory and as `functional.execute` does.
    """
    if rows < 1 or columns < 1 or rows * columns > OUTPUT_LIMIT_BYTES:
        raise InputError(
            "output", "I x J must fit the memory", value=f"{rows} x {columns} bytes", limit=OUTPUT_LIMIT_BYTES
        )
    memory = initial_memory()
    execute(program, accelerator, memory, MEMORY_BASE)
    return sha256(memory[OUTPUT_OFFSET : OUTPUT_OFFSET + rows * columns].tobytes()).hexdigest()
