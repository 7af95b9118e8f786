"""The best band for a depthwise convolution and the pointwise one after it as one: every band, through its cost."""

from __future__ import annotations

from itertools import product

from mapper.objective import Key, key_of
from mapper.solve import Objective
from model_ir.errors import InfeasibleError
from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.cost import Cost
from simulator.fusion_depthwise import Band, band_rows, depthwise_pointwise_cost


def fused_depthwise(
    depthwise: ArrayNest, pointwise: ArrayNest, accelerator: Accelerator, *, objective: Objective = "latency"
) -> tuple[Band, Cost]:
    """The band of least `objective` (and then what decides among equals) and its cost.

    Raises InfeasibleError where not even one row of output fits; InputError as `depthwise_pointwise_cost` does.
    """
    best: tuple[Key, Band, Cost] | None = None
    channels = [*range(accelerator.dim, pointwise.out_channels, accelerator.dim), pointwise.out_channels]
    smallest = Band(out_rows=1, out_channels=channels[0], depthwise_stays=False, pointwise_stays=False)
    try:
        depthwise_pointwise_cost(depthwise, pointwise, accelerator, smallest)
    except InfeasibleError:
        # Weights of few channels may take less room once than the two parts of a double buffer.
        smallest = Band(out_rows=1, out_channels=channels[0], depthwise_stays=True, pointwise_stays=True)
        depthwise_pointwise_cost(depthwise, pointwise, accelerator, smallest)
    for rows, size, first, second in product(range(1, depthwise.out_rows + 1), channels, (True, False), (True, False)):
        band = Band(out_rows=rows, out_channels=size, depthwise_stays=first, pointwise_stays=second)
        scratchpad, accumulator = band_rows(depthwise, pointwise, accelerator, band)
        if scratchpad > accelerator.scratchpad_rows or accumulator > accelerator.accumulator_rows:
            continue
        cost = depthwise_pointwise_cost(depthwise, pointwise, accelerator, band)
        key = key_of(cost, accelerator, objective)
        if best is None or key < best[0]:
            best = key, band, cost
    assert best is not None, "the smallest band fits"
    return best[1], best[2]
