"""A second model, never mixed with Vivado's: LUTs and flip-flops that Yosys counts of distributed arithmetic.

da4ml writes a layer's products and sums as shared adders (no DSP), and Yosys counts cells before placement. The rows of
`synthesised.csv` were measured here by `hls.rtl` (da4ml 0.6.0, a register behind every 5 adders; Yosys 0.70,
`synth_xilinx -family xc7`, abc9 fast) of dense networks whose weights are `assumed_weights`, so that nothing about them
is assumed; none takes more than 6 000 LUTs. Measure where you can: `hls.rtl.synthesise`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from hls.resources.adders import unrolled
from hls.resources.calibration import Factor, adder_bits, fitted_factor, published_rows, register_bits
from hls.resources.estimate import Estimate
from hls.resources.layers import fixed_layers
from hls.resources.timing import depth
from model_ir.graph import Graph

NO_DSP = 1 << 10
"""Significant bits that no constant has: every product is adders."""
ADDERS_A_STAGE = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributedArithmetic:
    """LUTs and flip-flops of a network as distributed arithmetic, by Yosys' count; `tool` says so."""

    lut: Estimate
    ff: Estimate
    tool: str = "fitted to Yosys 0.70's counts of da4ml's RTL; not Vivado's"


@lru_cache
def yosys_factors() -> tuple[Factor, Factor]:
    """LUTs an adder bit, flip-flops a bit and stage, with their errors."""
    rows = published_rows("synthesised.csv")
    return (
        fitted_factor("lut", rows, lambda row: float(row.lut or 0) / adder_bits(row, NO_DSP), NO_DSP),
        fitted_factor("ff", rows, lambda row: float(row.ff or 0) / register_bits(row, NO_DSP, 1.0), NO_DSP),
    )


def distributed_arithmetic(graph: Graph) -> DistributedArithmetic:
    """LUTs and flip-flops of a quantised `graph`, one position of a convolution. Raises what `fixed_layers` does."""
    luts, registers = yosys_factors()
    adders = stages = 0.0
    for layer in fixed_layers(graph):
        path = unrolled(
            layer.weights, activation_bits=layer.activation_bits, weight_bits=layer.weight_bits, dsp_bits=NO_DSP
        )
        adders += path.adder_bits
        passed_on = (layer.terms + layer.outputs) * layer.activation_bits
        stages += passed_on * depth(path.levels, 1.0, ADDERS_A_STAGE)
    return DistributedArithmetic(lut=_estimate(adders, luts), ff=_estimate(stages, registers))


def _estimate(amount: float, factor: Factor) -> Estimate:
    value = amount * factor.factor
    return Estimate(value=value, low=value / factor.reach, high=value * factor.reach)
