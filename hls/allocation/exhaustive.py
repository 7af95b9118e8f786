"""Every choice of bits, one after another: the oracle of the solvers, for problems small enough to enumerate."""

from __future__ import annotations

from itertools import product

from hls.allocation.grid import on_grid
from hls.allocation.problem import Problem, check
from model_ir.errors import InputError

MOST_COMBINATIONS = 1_000_000


def exhaustive(problem: Problem) -> tuple[dict[str, int], float] | None:
    """The bits of least objective that meet every budget, and that objective; None when nothing meets them.

    Compares on the solvers' grid. Raises InputError above `MOST_COMBINATIONS`.
    """
    grid = on_grid(check(problem))
    if problem.combinations > MOST_COMBINATIONS:
        raise InputError("exhaustive", "too many choices", value=problem.combinations, limit=MOST_COMBINATIONS)
    best: tuple[int, dict[str, int]] | None = None
    for chosen in product(*(range(len(bits)) for bits in problem.choices.values())):
        places = dict(zip(problem.choices, chosen, strict=True))
        if grid.feasible(places):
            cost = grid.objective.of(places)
            if best is None or cost < best[0]:
                best = cost, places
    if best is None:
        return None
    bits = grid.bits(best[1])
    return bits, problem.objective.of(bits)
