"""What the integer units cost: area and energy, from the 45 nm table and counted operators."""

from __future__ import annotations

from collections.abc import Iterator

from reports.case_study import CaseRow
from simulator.area import I_EXP, I_GELU, AreaPart, UnitWork, area_parts
from systolic.case_study.encoder import EncoderRun
from systolic.case_study.host import host_elements
from systolic.case_study.machines import survey_machine
from systolic.case_study.published import UNITS_AREA, UNITS_POWER

UNITS = "integer units"
SOFTMAX_WORK = UnitWork(products=2 * I_EXP.products, low_products=2 * I_EXP.low_products, sums=2 * I_EXP.sums + 2)
"""An element's maximum, exponential for the sum, and exponential for the output."""
LAYER_NORM_WORK = UnitWork(products=0, low_products=1, sums=4)
"""An element's part of the sum, of the squared differences, and its output."""
STATISTICS_PASSES = 2
"""Reads of an accumulator row before the one that leaves."""


def units_area() -> tuple[AreaPart, ...]:
    """The parts of the machine with integer units, memories as at the start."""
    return area_parts(survey_machine(256, 64, units=True))


def units_energy_pj(run: EncoderRun) -> float:
    """Of GELU, softmax and LayerNorm on the units: operations, and the reads of their statistics."""
    elements = host_elements(run.sizes)
    work = {"gelu": I_GELU, "softmax": SOFTMAX_WORK, "layer_norm": LAYER_NORM_WORK}
    operations = sum(elements[function] * one.energy_pj for function, one in work.items())
    read = STATISTICS_PASSES * run.machine.accumulator_bytes * (elements["softmax"] + elements["layer_norm"])
    return operations + read * run.machine.energy.accumulator_pj_per_byte


def silicon_rows(run: EncoderRun) -> Iterator[CaseRow]:
    """`run`: all of the network with the units; its statistics' reads are in its own energy, too, and taken off."""
    parts = {part.name: part.um2 for part in units_area()}
    units = parts.pop("integer units")
    yield CaseRow(
        step=UNITS,
        name="area by adding the units",
        ours=units / sum(parts.values()),
        published=UNITS_AREA,
        unit="change",
        where="section 3.4.4",
        gated=False,
        reason="the units by themselves are half as large again as theirs: operators counted in the RTL, 45 nm, beside "
        "an accelerator without controllers and DMA; theirs synthesised at 7 nm",
    )
    extra = units_energy_pj(run)
    elements = host_elements(run.sizes)
    reads = STATISTICS_PASSES * run.machine.accumulator_bytes * (elements["softmax"] + elements["layer_norm"])
    rest = run.on_chip_pj - reads * run.machine.energy.accumulator_pj_per_byte
    yield CaseRow(
        step=UNITS,
        name="energy of an inference by adding the units, DRAM apart",
        ours=extra / rest,
        published=UNITS_POWER,
        unit="change",
        where="section 3.4.4",
        gated=False,
        reason="the units' own share is a third of theirs: operations and extra reads of sums at 45 nm; each tenth of "
        "the energy that is leakage or clock, which go with the area, would add 2 points; theirs power at 7 nm",
    )
