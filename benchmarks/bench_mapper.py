"""Time of the mapper and what it gains over Gemmini's heuristic, on the layers of ResNet-50 and BERT-Base (512 tokens).

python -m benchmarks.bench_mapper
"""

from __future__ import annotations

from itertools import product
from statistics import median
from time import perf_counter
from typing import get_args

from mapper.schedule import Scheduled, schedule, schedule_layers
from mapper.solve import Objective, SolverName
from simulator.array_nest import ArrayNest
from simulator.roofline import roofline_of_array_nest
from tests.nest_cases import BERT, GEMMINI, RESNET50, convolution, matmul

SOLVERS: tuple[SolverName, ...] = get_args(SolverName)
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)

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
    """Print per-layer lines, then times of whole networks, by objective and solver."""
    for solver in SOLVERS:
        schedule(matmul(16, 16, 16), GEMMINI, solver=solver)  # imports
    for network in (COMPARED, RESNET50, BERT):
        answers = {name: schedule(nest, GEMMINI) for name, nest in network.items()}
        for name, nest in network.items():
            report(name, nest, answers[name])
        print(f"median {median(answer.solve.wall_seconds for answer in answers.values()) * 1e3:.0f} ms a layer\n")
    for solver, objective in product(SOLVERS, OBJECTIVES):
        for name, network in (("ResNet-50", RESNET50), ("BERT-Base 512", BERT)):
            whole_network(name, list(set(network.values())), objective, solver)


def whole_network(name: str, nests: list[ArrayNest], objective: Objective, solver: SolverName) -> None:
    """One line: seconds of all distinct layers on all cores, the median layer, and what was proven."""
    started = perf_counter()
    answers = schedule_layers(nests, GEMMINI, objective=objective, solver=solver, time_limit_seconds=60.0)
    seconds = perf_counter() - started
    proven = sum(answer.solve.status == "optimal" for answer in answers)
    print(
        f"{name:14s} {objective:21s} {solver:7s} {len(nests)} distinct layers in {seconds:6.2f} s, median"
        f" {median(answer.solve.wall_seconds for answer in answers) * 1e3:4.0f} ms; {proven} proven, largest gap"
        f" {max(answer.solve.gap for answer in answers):.1e}"
    )


if __name__ == "__main__":
    main()
