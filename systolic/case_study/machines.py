"""The machines of the case study: Gemmini's default array, weight-stationary, in its SoC, with other memories and with
the integer units of I-BERT."""

from __future__ import annotations

import msgspec

from simulator.accelerator import Accelerator
from simulator.accelerator_file import load_accelerator
from simulator.energy import sram_pj_per_byte

KIB = 1024


def survey_dram_bytes_per_cycle() -> float:
    """What the survey's laboratory gives its Gemmini's DRAM (`survey-timeloop` says where); our SoC's streams 7.5."""
    dram = load_accelerator("survey-timeloop").memory.dram
    assert dram is not None
    return dram.link_bytes_per_cycle


def survey_machine(
    scratchpad_kib: int, accumulator_kib: int, *, units: bool = False, dram_bytes_per_cycle: float | None = None
) -> Accelerator:
    """`gemmini-soc` as section 3.4.1 describes it (16x16, weight-stationary, behind a shared L2), with memories of so
    many KiB; with `units`, what `gemmini-ibert` has beside it: i-GELU on the way out and the normaliser. An access
    costs what a bank of its size costs (`simulator.energy.sram_pj_per_byte`). `dram_bytes_per_cycle`: each way between
    L2 and DRAM, where it is not the SoC's own."""
    base, integer = load_accelerator("gemmini-soc"), load_accelerator("gemmini-ibert")
    replace = msgspec.structs.replace
    memory = base.memory
    if dram_bytes_per_cycle is not None:
        assert memory.dram is not None
        memory = replace(memory, dram=replace(memory.dram, link_bytes_per_cycle=dram_bytes_per_cycle))
    banks = (scratchpad_kib * KIB // base.scratchpad.banks, accumulator_kib * KIB // base.accumulator.banks)
    return replace(
        base,
        name=f"survey-{scratchpad_kib}-{accumulator_kib}{'-units' if units else ''}",
        array=replace(base.array, dataflows=("ws",)),
        memory=memory,
        scratchpad=replace(base.scratchpad, capacity_bytes=scratchpad_kib * KIB),
        accumulator=replace(base.accumulator, capacity_bytes=accumulator_kib * KIB),
        fused_activations=integer.fused_activations if units else base.fused_activations,
        vector_unit=integer.vector_unit if units else None,
        energy=replace(
            base.energy,
            scratchpad_pj_per_byte=sram_pj_per_byte(banks[0]),
            accumulator_pj_per_byte=sram_pj_per_byte(banks[1]),
        ),
    )
