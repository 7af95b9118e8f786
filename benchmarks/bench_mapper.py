"""Time of the mapper and what it gains over Gemmini's heuristic, on the layers of ResNet-50 and BERT-Base (512 tokens).

python -m benchmarks.bench_mapper
"""

from __future__ import annotations

from statistics import median
from time import perf_counter

from mapper.schedule import Scheduled, schedule, schedule_layers
from simulator.array_nest import ArrayNest
from simulator.roofline import roofline_of_array_nest
from tests.nest_cases import BERT, GEMMINI, RESNET50, convolution, matmul

COMPARED = {
    "512,768,768": matmul(512, 768, 768, bias=False),
    "512,64,512": matmul(512, 64, 512, bias=False),
    "512,512,64": matmul(512, 512, 64, bias=False),
    "512,768,3072": matmul(512, 768, 3072, bias=False),
    "512,3072,768": matmul(512, 3072, 768, bias=False),
    "7x7/2 3-64 @224": convolution(1, 224, 7, 3, 64, stride=2, pad=3, bias=False),
    "3x3 64-64 @56": convolution(1, 56, 3, 64, 64, pad=1, bias=False),
    "1x1 64-256 @56": matmul(3136, 64, 256, bias=False),
    "3x3 256-256 @14": convolution(1, 14, 3, 256, 256, pad=1, bias=False),
    "1x1 512-2048 @7": matmul(49, 512, 2048, bias=False),
}
"""Layers that published mappers were measured on."""


def report(name: str, nest: ArrayNest, found: Scheduled) -> None:
    """One line: cycles and traffic against roofline and heuristic, and the solver's evidence."""
    bound, baseline = roofline_of_array_nest(nest, GEMMINI), found.heuristic_cost
    assert baseline is not None
    print(
        f"{name:20s} {found.cost.cycles:10.0f} cycles ({bound.cycles / found.cost.cycles:6.1%} of roofline, heuristic x"
        f"{baseline.cycles / found.cost.cycles:.2f}) {found.cost.dram_bytes / 1e6:7.2f} MB (least"
        f" {bound.dram_bytes / 1e6:.2f}, heuristic {baseline.dram_bytes / 1e6:.2f}) {found.solve.status}"
        f" {found.solve.wall_seconds * 1e3:5.0f} ms"
    )


def main() -> None:
    """Print per-layer lines, then times of whole networks."""
    schedule(matmul(16, 16, 16), GEMMINI)  # imports
    for network in (COMPARED, RESNET50, BERT):
        answers = {name: schedule(nest, GEMMINI) for name, nest in network.items()}
        for name, nest in network.items():
            report(name, nest, answers[name])
        print(f"median {median(answer.solve.wall_seconds for answer in answers.values()) * 1e3:.0f} ms a layer\n")
    for name, network in (("ResNet-50", RESNET50), ("BERT-Base 512", BERT)):
        started = perf_counter()
        answers = schedule_layers(list(network.values()), GEMMINI)
        print(f"{name}: {len(set(network.values()))} distinct layers in {perf_counter() - started:.2f} s")
        assert answers


if __name__ == "__main__":
    main()
