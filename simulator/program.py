"""`Program`: a stream of Gemmini commands as arrays, and the encoding of each field (gemmini.md's instruction table).

What the mapper emits, what a command-stream file holds and what the engine runs are this one type.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Commands in program order.

    `funct` uint8 (n,), `rs1` and `rs2` uint64 (n,): exactly the fields of Gemmini's RoCC instructions. DRAM addresses
    are byte addresses in the 64-bit space the memory image of the functional engine is placed in.
    """

    funct: npt.NDArray[np.uint8]
    rs1: npt.NDArray[np.uint64]
    rs2: npt.NDArray[np.uint64]

    def __len__(self) -> int:
        return int(self.funct.size)
