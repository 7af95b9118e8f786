"""Mappings of ResNet-50's and BERT-Base's layers onto the hierarchies that ship: what is proven, and in what time.

python -m benchmarks.bench_hierarchy [HIERARCHY [OBJECTIVE [SOLVER]]]
"""

from __future__ import annotations

import sys
from statistics import median
from time import process_time
from typing import cast

from mapper.hierarchy.integer_program import solve_on_hierarchy
from mapper.solve import Objective, SolverName
from simulator.hierarchy.file import load_hierarchy
from simulator.hierarchy.nest import tensor_nest
from tests.hierarchy_cases import convolution, matmul

LAYERS = {
    "conv1": convolution(112, 7, 3, 64, stride=2, pad=3),
    "56 3x3 64": convolution(56, 3, 64, 64, pad=1),
    "56 1x1 64-256": matmul(3136, 64, 256),
    "56 1x1 256-64": matmul(3136, 256, 64),
    "28 3x3/2 128": convolution(28, 3, 128, 128, stride=2, pad=1),
    "28 3x3 128": convolution(28, 3, 128, 128, pad=1),
    "28 1x1 128-512": matmul(784, 128, 512),
    "14 3x3 256": convolution(14, 3, 256, 256, pad=1),
    "14 1x1 1024-256": matmul(196, 1024, 256),
    "7 3x3 512": convolution(7, 3, 512, 512, pad=1),
    "7 1x1 2048-512": matmul(49, 2048, 512),
    "fc": matmul(1, 2048, 1000),
    "bert projection": matmul(512, 768, 768),
    "bert feed forward": matmul(512, 768, 3072),
}

GAP = 0.05


def main() -> None:
    """A line a layer, then the median."""
    name, objective, solver = (*sys.argv[1:], *("simba-like", "energy", "highs")[len(sys.argv) - 1 :])
    machine = load_hierarchy(name)
    tensor = {layer: tensor_nest(nest) for layer, nest in LAYERS.items()}
    solve_on_hierarchy(tensor["fc"], machine, gap=0.9)  # imports
    seconds, proven = [], 0
    for layer, nest in tensor.items():
        started = process_time()
        _, cost, found = solve_on_hierarchy(
            nest,
            machine,
            objective=cast(Objective, objective),
            solver=cast(SolverName, solver),
            gap=GAP,
            time_limit_seconds=20.0,
        )
        seconds.append(found.wall_seconds)
        proven += found.gap <= GAP
        print(
            f"{layer:18s} {cost.cycles:11.0f} cycles {cost.energy_pj / 1e6:9.2f} uJ {cost.dram_bytes / 1e6:7.2f} MB"
            f" {objective} gap {found.gap:5.1%} {found.wall_seconds:5.2f} s ({process_time() - started:.2f} s CPU)",
            flush=True,
        )
    print(f"{name}, {objective}, {solver}: {proven} of {len(tensor)} within {GAP:.0%}, median {median(seconds):.2f} s")


if __name__ == "__main__":
    main()
