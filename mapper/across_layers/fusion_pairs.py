"""A matmul and the normalisation after it, one after the other and as one: what the fusion gains or costs.

The setting is the survey's (Kim et al., arXiv 2302.14017, section 5.5.2): apart, Gemmini's own heuristic tiles the
matmul, the sums leave as int32 (section 3.3: 32-bit outputs before the nonlinear operations), come back and are
normalised by the vector unit; fused, a tile holds whole rows and nothing but the normalised int8 leaves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mapper.across_layers.fused_mapping import TileRows, fused_mapping
from mapper.heuristic import heuristic
from model_ir.loop_nest import LoopNest
from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.cost import Cost
from simulator.fusion import Tail, fused_cost
from simulator.mapping import Mapping
from simulator.vector_cost import vector_cost


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionPair:
    """Costs of the two operators apart and of both as one, with the fused mapping."""

    matmul: Cost
    normalisation: Cost
    fused: Cost
    mapping: Mapping

    @property
    def change(self) -> float:
        """Latency of the fused pair against the separate one: -0.78 is 78 % less, 0.83 is 83 % more."""
        return self.fused.cycles / (self.matmul.cycles + self.normalisation.cycles) - 1

    @property
    def traffic_change(self) -> float:
        """DRAM bytes of the fused pair against the separate one."""
        return self.fused.dram_bytes / (self.matmul.dram_bytes + self.normalisation.dram_bytes) - 1


def compare_pair(
    matmul: ArrayNest, normalisation: LoopNest, accelerator: Accelerator, *, tile_rows: TileRows = "blocks"
) -> FusionPair:
    """The pair both ways. Raises InfeasibleError where whole rows do not fit the accumulator twice, InputError where
    the machine's vector unit lacks the function."""
    tail = tail_of(normalisation)
    mapping, fused = fused_mapping(matmul, accelerator, tail, tile_rows=tile_rows)
    apart = fused_cost(matmul, heuristic(matmul, accelerator), accelerator, wide_result=True)
    _, alone = vector_cost(_of_accumulators(normalisation, accelerator), accelerator)
    return FusionPair(matmul=apart, normalisation=alone, fused=fused, mapping=mapping)


def tail_of(normalisation: LoopNest, *, residual: bool = False) -> Tail:
    """What a fused normalisation does to the sums: its function, and its own parameters over the port once."""
    parameters = sum(access.touched_bytes for access in normalisation.reads[1:])
    return Tail(residual=residual, normalise=normalisation.function, parameter_bytes=parameters)


def _of_accumulators(normalisation: LoopNest, accelerator: Accelerator) -> LoopNest:
    """The nest with its first operand as wide as the accumulator."""
    data, *parameters = normalisation.reads
    wide = replace(data.precision, bits=accelerator.array.accumulator_bits)
    return replace(normalisation, reads=(replace(data, precision=wide), *parameters))
