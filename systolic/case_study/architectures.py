"""What an architecture of the search costs: blocks costed once, added up layer by layer.

An architecture is (d, heads of each layer, d_FFN of each layer); a head has d / 12 features whatever their number, as
in the program that ran the survey's (gemmini-rocc-tests, transformers/transformer.c: compression_factor).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mapper.across_layers.fused_mapping import fused_mapping
from mapper.heuristic import heuristic
from simulator.accelerator import Accelerator
from simulator.analytical import analytical
from simulator.fusion import Tail, fused_cost
from systolic.case_study.encoder import EncoderSizes, matmul_nest, scores_nest
from systolic.case_study.published import SEARCH_FEATURES, SEARCH_HEADS, SEARCH_HIDDEN, SEARCH_LAYERS

HEAD_SHARE = 12
TOKENS = 512
FloatArray = npt.NDArray[np.float64]
Architecture = tuple[int, tuple[int, ...], tuple[int, ...]]


def layer_sizes(features: int, heads: int, hidden: int) -> EncoderSizes:
    """One layer."""
    head = features // HEAD_SHARE
    return EncoderSizes(layers=1, tokens=TOKENS, features=features, heads=heads, hidden=hidden, head_features=head)


def layers_of_architecture(architecture: Architecture) -> tuple[EncoderSizes, ...]:
    """Its layers, first to last."""
    features, heads, hidden = architecture
    return tuple(layer_sizes(features, *pair) for pair in zip(heads, hidden, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockCosts:
    """Cycles, picojoules and weights of attention and feed-forward blocks: arrays (features, heads or hidden, 3)."""

    attention: FloatArray = field(repr=False)
    feed_forward: FloatArray = field(repr=False)

    def of(self, architecture: Architecture) -> FloatArray:
        """(cycles, picojoules, weights) of a whole architecture of the space."""
        features, heads, hidden = architecture
        d = SEARCH_FEATURES.index(features)
        total = np.zeros(3)
        for h, f in zip(heads, hidden, strict=True):
            total += self.attention[d, SEARCH_HEADS.index(h)] + self.feed_forward[d, SEARCH_HIDDEN.index(f)]
        return total


def block_costs(machine: Accelerator) -> BlockCosts:
    """The blocks of the whole space on `machine` by the analytical model under the library's tiles: 25 attentions and
    95 feed-forward networks. LayerNorm and the residual add are their traffic over the port and the unit's passes."""
    attention = np.array([[_attention(d, h, machine) for h in SEARCH_HEADS] for d in SEARCH_FEATURES])
    feed_forward = np.array([[_feed_forward(d, f, machine) for f in SEARCH_HIDDEN] for d in SEARCH_FEATURES])
    return BlockCosts(attention=attention, feed_forward=feed_forward)


def random_architecture(generator: np.random.Generator) -> Architecture:
    """One of the space, each choice as likely as any other."""
    layers = int(generator.choice(SEARCH_LAYERS))
    return (
        int(generator.choice(SEARCH_FEATURES)),
        tuple(generator.choice(SEARCH_HEADS, layers).tolist()),
        tuple(generator.choice(SEARCH_HIDDEN, layers).tolist()),
    )


def _attention(features: int, heads: int, machine: Accelerator) -> FloatArray:
    sizes = layer_sizes(features, heads, SEARCH_HIDDEN[0])
    width = sizes.attention
    nest = scores_nest(sizes)
    _, scores = fused_mapping(nest, machine, Tail(normalise="softmax"), tile_rows="blocks")
    total = heads * np.array((scores.cycles, scores.energy_pj))
    total += 3 * _matmul(TOKENS, width, features, machine)
    total += heads * _matmul(TOKENS, sizes.head, TOKENS, machine)
    total += _matmul(TOKENS, features, width, machine, wide=True) + _normalised(features, machine)
    return np.append(total, 4 * features * width)


def _feed_forward(features: int, hidden: int, machine: Accelerator) -> FloatArray:
    total = _matmul(TOKENS, hidden, features, machine) + _matmul(TOKENS, features, hidden, machine, wide=True)
    return np.append(total + _normalised(features, machine), 2 * features * hidden)


def _matmul(rows: int, columns: int, depth: int, machine: Accelerator, *, wide: bool = False) -> FloatArray:
    nest = matmul_nest(rows, columns, depth)
    mapping = heuristic(nest, machine)
    cost = fused_cost(nest, mapping, machine, wide_result=True) if wide else analytical(nest, mapping, machine)
    return np.array((cost.cycles, cost.energy_pj))


def _normalised(features: int, machine: Accelerator) -> FloatArray:
    """A LayerNorm of int32 sums and a residual add of int8, each at the port's or the unit's speed."""
    elements, table, unit = TOKENS * features, machine.energy, machine.vector_unit
    assert unit is not None
    sums, rate = machine.accumulator_bytes, machine.memory_bytes_per_cycle
    norm_cycles = max(unit.passes["layer_norm"] * elements / unit.lanes, sums * elements / rate)
    norm_pj = (sums + 1) * table.dram_pj_per_byte + (
        1 + unit.passes["layer_norm"]
    ) * sums * table.accumulator_pj_per_byte
    add_pj = 3 * table.dram_pj_per_byte + 3 * sums * table.accumulator_pj_per_byte
    return np.array((norm_cycles + 2 * elements / rate, elements * (norm_pj + add_pj)))
