"""Energy of counted events: accesses and multiply-accumulates times the accelerator's table of picojoules."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from simulator.accelerator import Accelerator

Amount = TypeVar("Amount", float, npt.NDArray[np.float64])
"""Counted events: of one run, or an array with an entry per run."""


def energy_pj(
    accelerator: Accelerator, *, macs: Amount, scratchpad_bytes: Amount, accumulator_bytes: Amount, dram_bytes: Amount
) -> Amount:
    """Dynamic energy in picojoules of `macs` multiply-accumulates and of bytes moved (both directions) at each memory.

    Event counts times energy per event, the method of Accelergy (Wu et al., ICCAD 2019) and of the survey's energy
    model (Kim et al., arXiv 2302.14017, section 3); the table and its source stand in the accelerator's file. Leakage
    and the host are not counted.
    """
    table = accelerator.energy
    return (
        macs * table.mac_pj
        + scratchpad_bytes * table.scratchpad_pj_per_byte
        + accumulator_bytes * table.accumulator_pj_per_byte
        + dram_bytes * table.dram_pj_per_byte
    )


def sram_pj_per_byte(bank_bytes: int) -> float:
    """Picojoules a byte of a read or write of an SRAM bank of `bank_bytes`: 5 pJ for 32 bits from 8 KiB (the survey's
    45 nm table, Kim et al., arXiv 2302.14017, figure 15), growing with the square root of the capacity.

    The rule is that of the table's own source (Horowitz, ISSCC 2014, figure 1.1.9): 64 bits cost 10, 20 and 100 pJ from
    8 KiB, 32 KiB and 1 MiB, where the root gives 10, 20 and 113.
    """
    return 1.25 * math.sqrt(bank_bytes / 8192)
