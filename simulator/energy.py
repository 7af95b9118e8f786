"""Energy of counted events: accesses and multiply-accumulates times the accelerator's table of picojoules."""

from __future__ import annotations

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
