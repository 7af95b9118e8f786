"""Mapping-space statistics, fusion findings and least traffic, by the suite's mapper and analytical model."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import msgspec
import numpy as np

from mapper.across_layers.fusion_pairs import compare_pair
from mapper.mapspace_sample import sample_costs, sample_mappings
from mapper.schedule import schedule
from model_ir.errors import InfeasibleError
from reports.mapspace import NEAR
from simulator.accelerator import Accelerator
from simulator.accelerator_file import load_accelerator
from simulator.array_nest import ArrayNest
from systolic.layer_request import layer_of
from systolic.mapspace_job import starved_cycles
from systolic.network import NetworkRequest
from systolic.pipeline import layers_of
from systolic.reproduce.published import Missing, Ours, PublishedTable
from workloads import bert

SAMPLES: Final = 100_000
SAMPLED_LAYERS: Final = {
    "3x3 convolution, 512 channels": "7x7x512,3x3x512",
    "1x1 convolution, 2048 channels": "7x7x512,1x1x2048",
    "MHA projection": "512,768,768",
    "FFN W1": "512,768,3072",
}
PAIRS: Final = {
    "Q K^T + softmax, 512 tokens": (512, 256, "attention.scores", "attention.softmax"),
    "Wout + LayerNorm, accumulator 128 kB": (512, 128, "attention.output", "attention.norm"),
    "Wout + LayerNorm, accumulator 256 kB": (512, 256, "attention.output", "attention.norm"),
    "W2 + LayerNorm, accumulator 256 kB": (512, 256, "feed_forward.out", "feed_forward.norm"),
    "Q K^T + softmax, 4096 tokens": (4096, 256, "attention.scores", "attention.softmax"),
}
"""Tokens, accumulator in KiB, matmul, normalisation."""
FUSING_MACHINE: Final = "survey-256-64"
TRAFFIC_LAYER: Final = "512,3072,768"


def mapping_space(_: PublishedTable) -> Ours:
    """Energy-delay products of random legal mappings over the least, the array filled at random as in the published
    study (docs/mapspace.md): tenth percentile and share within NEAR times."""
    machine, ours = load_accelerator("gemmini"), dict[tuple[str, str], float | Missing]()
    for row, sizes in SAMPLED_LAYERS.items():
        nest = _array_nest(sizes, machine)
        costs = sample_costs(nest, sample_mappings(nest, machine, SAMPLES), machine)
        products = starved_cycles(costs, machine, seed=0) * costs.energy_pj
        ratios = products / products.min()
        ours[row, "10th percentile"] = float(np.percentile(ratios, 10))
        ours[row, "share within 3x, %"] = 100 * float(np.mean(ratios < NEAR))
    return ours


def fusion(_: PublishedTable) -> Ours:
    """Change of latency by fusing, on the analytical model; apart under Gemmini's heuristic."""
    ours: Ours = {}
    for row, (tokens, kib, first, second) in PAIRS.items():
        machine = _with_accumulator(load_accelerator(FUSING_MACHINE), kib)
        network = bert.build(replace(bert.BERT_BASE, layers=1, positions=tokens, pooler=False), seq=tokens)
        layers = {layer.name: layer for layer in layers_of(network, machine)}
        work = layers[f"layers.0.{first}"].work
        assert isinstance(work, ArrayNest)
        try:
            change = compare_pair(work, layers[f"layers.0.{second}"].nest, machine).change
        except InfeasibleError as error:
            ours[row, "change, %"] = Missing(f"whole rows of sums do not fit twice: {error}")
        else:
            ours[row, "change, %"] = 100 * change
    return ours


def least_traffic(table: PublishedTable) -> Ours:
    """DRAM traffic of the mapping that moves least, in MB, beside every other tool's."""
    machine = load_accelerator("gemmini")
    found = schedule(_array_nest(TRAFFIC_LAYER, machine), machine, objective="traffic")
    return {(row, "MB"): found.cost.dram_bytes / 1e6 for row in table.rows}


def _array_nest(sizes: str, machine: Accelerator) -> ArrayNest:
    nest = layer_of(NetworkRequest(model=sizes), machine).work
    assert isinstance(nest, ArrayNest)
    return nest


def _with_accumulator(machine: Accelerator, kib: int) -> Accelerator:
    accumulator = msgspec.structs.replace(machine.accumulator, capacity_bytes=kib * 1024)
    return msgspec.structs.replace(machine, accumulator=accumulator)
