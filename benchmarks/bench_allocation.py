"""How long bit allocation takes to a proven optimum: `python -m benchmarks.bench_allocation`.

Fifty layers of four bit widths under three budgets, as HAWQ-V3 solves them (the bar: below 1 s), and with fifty
activations beside them.
"""

from __future__ import annotations

import time
from typing import get_args

from hls.allocation.allocate import SolverName, allocate
from tests.allocation_cases import hawq_style, with_activations


def main() -> None:
    """Print a line for every solver and instance."""
    names: tuple[SolverName, ...] = get_args(SolverName)
    for solver in names:
        allocate(hawq_style(0, layers=2), solver=solver)  # imports are not what is timed
        for seed in range(3):
            for title, problem in (("50 variables", hawq_style(seed)), ("100 variables", with_activations(seed))):
                started = time.perf_counter()
                answer = allocate(problem, solver=solver)
                seconds = time.perf_counter() - started
                print(f"{solver:7s} {title:13s} seed {seed}: {seconds:.2f} s, {answer.status}, gap {answer.gap:.1e}")


if __name__ == "__main__":
    main()
