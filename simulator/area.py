"""Area of an accelerator by its parts, from the 45 nm table: operators and registers counted in the RTL, SRAM by bits.

Sources: operators, Kim et al. (arXiv 2302.14017v1, figure 15; from Horowitz, ISSCC 2014). Registers: the flip-flop
DFF_X1 of the NanGate 45 nm open cell library, 4.522 um2. SRAM: a 45 nm cell of 0.346 um2 (Mistry et al., IEDM 2007) in
arrays of which 70 % are cells (assumed); two ports take a cell of eight transistors, 30 % larger (Chang et al., VLSI
Symposium 2005). Counts: [R] ucb-bar/gemmini at 8c3f992, the Scala file named. Controllers, queues, DMA and the
pipelines' registers outside the array are not counted, so every share of what is counted is an upper bound.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulator.accelerator import Accelerator

ADD8, ADD32, MUL8, MUL32, FP32_MUL = 36.0, 137.0, 282.0, 3495.0, 7700.0
"""um2 of an operator."""
LOW_MUL32 = MUL32 / 2
"""A product of which the low 32 bits are kept (`withWidthOf`): half of the partial products."""
REGISTER_BIT = 4.522
SRAM_CELL, CELLS_OF_ARRAY, TWO_PORTS = 0.346, 0.70, 1.30
PE_REGISTER_BITS = 117
"""[R] PE.scala and Tile.scala: two stationary values of accumulator width (c1, c2), a of 8 bits, b and d of 20, and
five bits of control on the way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitWork:
    """32-bit integer operators in one lane of a unit, or operations on one element: full and low products, and sums,
    differences and comparisons."""

    products: int
    low_products: int
    sums: int

    @property
    def area_um2(self) -> float:
        """As hardware."""
        return self.products * MUL32 + self.low_products * LOW_MUL32 + self.sums * ADD32

    @property
    def energy_pj(self) -> float:
        """As operations: 3.1 pJ a product, half of it for a low one, 0.1 pJ a sum (the table's)."""
        return self.products * 3.1 + self.low_products * 1.55 + self.sums * 0.1


I_GELU = UnitWork(products=0, low_products=2, sums=6)
"""[R] AccumulatorScale.scala, igelu: a square and a product; negation, two comparisons, three sums."""
I_EXP = UnitWork(products=1, low_products=2, sums=6)
"""[R] AccumulatorScale.scala, iexp as it stands in its comment: a product whose upper bits count, one by ln 2, a
square; the maximum off, a negation, four sums."""
OUTPUT_LANE = UnitWork(
    products=I_GELU.products + I_EXP.products,
    low_products=I_GELU.low_products + I_EXP.low_products,
    sums=I_GELU.sums + I_EXP.sums + 1,
)
"""[R] AccScalePipe: GELU, exponential, and the mean off."""
STATISTICS_LANE = UnitWork(products=1, low_products=3, sums=I_EXP.sums + 3)
"""[R] Normalizer.scala: AccumulationLanes have an exponential, a squared difference and a part of a sum; MaxLanes a
comparison."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaPart:
    """One part of an accelerator and its area."""

    name: str
    um2: float


def area_parts(accelerator: Accelerator) -> tuple[AreaPart, ...]:
    """Array, memories, scaling, and integer units where the machine has a normaliser. 8-bit inputs only."""
    lanes = accelerator.array.columns
    pe = MUL8 + ADD32 + PE_REGISTER_BITS * REGISTER_BIT
    ports = TWO_PORTS if accelerator.accumulator.ports == 2 else 1.0
    parts = [
        AreaPart(name="array", um2=accelerator.peak_macs_per_cycle * pe),
        AreaPart(name="scratchpad", um2=_sram(accelerator.scratchpad.capacity_bytes)),
        AreaPart(name="accumulator", um2=_sram(accelerator.accumulator.capacity_bytes) * ports + lanes * ADD32),
        AreaPart(name="scaling", um2=(lanes + accelerator.dma.mvin_scale_units) * FP32_MUL),
    ]
    if accelerator.normaliser is not None:
        units = lanes * OUTPUT_LANE.area_um2 + accelerator.normaliser.lanes * STATISTICS_LANE.area_um2
        parts.append(AreaPart(name="integer units", um2=units + NORMALISER_ONCE))
    return tuple(parts)


NORMALISER_ONCE = 2 * FP32_MUL + 6 * ADD32
"""[R] Normalizer.scala, once for all lanes: two floating-point products (MulPipe); dividers, square root and running
sums are iterative, an adder each."""


def _sram(capacity_bytes: int) -> float:
    return 8 * capacity_bytes * SRAM_CELL / CELLS_OF_ARRAY
