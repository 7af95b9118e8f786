"""Energy of counted events: accesses and multiply-accumulates times the accelerator's table of picojoules."""

from __future__ import annotations

from simulator.accelerator import Accelerator


def energy_pj(
    accelerator: Accelerator, *, macs: float, scratchpad_bytes: float, accumulator_bytes: float, dram_bytes: float
) -> float:
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
