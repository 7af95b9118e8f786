"""What is minimised, in exact integers: cycles, bytes, quanta of energy, and quanta times cycles.

Energies are sums of event counts times the accelerator's table of picojoules; in quanta that are a whole number to the
picojoule the table's decimals are integers, and so are their sums. Comparing them needs no tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import lcm

from mapper.solve import Objective
from simulator.accelerator import Accelerator
from simulator.cost import Cost

_FINEST_PER_PJ = 10**6
"""A table with more decimals than this is rounded to them: 1e-6 pJ an event."""

Key = tuple[int, int]
"""What is minimised first and what decides among equals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyQuanta:
    """The accelerator's energy table in quanta; `per_pj` of them are a picojoule."""

    mac: int
    scratchpad_byte: int
    accumulator_byte: int
    dram_byte: int
    per_pj: int


def energy_quanta(accelerator: Accelerator) -> EnergyQuanta:
    """The coarsest quanta that make `accelerator`'s table whole numbers."""
    table = accelerator.energy
    entries = [
        Fraction(repr(float(entry)))
        for entry in (
            table.mac_pj,
            table.scratchpad_pj_per_byte,
            table.accumulator_pj_per_byte,
            table.dram_pj_per_byte,
        )
    ]
    per_pj = min(lcm(*(entry.denominator for entry in entries)), _FINEST_PER_PJ)
    mac, scratchpad_byte, accumulator_byte, dram_byte = (round(entry * per_pj) for entry in entries)
    return EnergyQuanta(
        mac=mac,
        scratchpad_byte=scratchpad_byte,
        accumulator_byte=accumulator_byte,
        dram_byte=dram_byte,
        per_pj=per_pj,
    )


def energy_of(cost: Cost, quanta: EnergyQuanta) -> int:
    """Energy of `cost` in quanta (`simulator.energy` in integers)."""
    return (
        quanta.mac * cost.macs
        + quanta.scratchpad_byte * (cost.scratchpad_read_bytes + cost.scratchpad_write_bytes)
        + quanta.accumulator_byte * (cost.accumulator_read_bytes + cost.accumulator_write_bytes)
        + quanta.dram_byte * cost.dram_bytes
    )


def key_of(cost: Cost, accelerator: Accelerator, objective: Objective) -> Key:
    """What `objective` compares of two costs."""
    return key_from(int(cost.cycles), cost.dram_bytes, energy_of(cost, energy_quanta(accelerator)), objective)


def key_from(cycles: int, traffic: int, energy: int, objective: Objective) -> Key:
    """The key of cycles, bytes and quanta."""
    if objective == "latency":
        return cycles, traffic
    first = {"traffic": traffic, "energy": energy, "energy_delay_product": energy * cycles}[objective]
    return first, cycles


def in_units(first: int, accelerator: Accelerator, objective: Objective) -> float:
    """The first number of a key in the units of `Solve`: quanta become picojoules."""
    if objective in ("energy", "energy_delay_product"):
        return first / energy_quanta(accelerator).per_pj
    return float(first)
