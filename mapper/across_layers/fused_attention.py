"""The best blocks of queries and keys for attention as one: queries evenly cut into any number of blocks or in
multiples of DIM, all keys or whole DIM blocks of them, each pair through its cost."""

from __future__ import annotations

from itertools import product

from mapper.objective import Key, key_of
from mapper.solve import Objective
from model_ir.errors import InfeasibleError
from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.cost import Cost
from simulator.fusion_attention import AttentionTile, attention_cost, attention_rows
from simulator.mapping import ceil_div


def fused_attention(
    scores: ArrayNest,
    attended: ArrayNest,
    accelerator: Accelerator,
    *,
    function: str = "softmax",
    objective: Objective = "latency",
) -> tuple[AttentionTile, Cost]:
    """The tile of least `objective` (and then what decides among equals) and its cost.

    Raises InfeasibleError where one query and one block of keys do not fit; InputError as `attention_cost` does.
    """
    best: tuple[Key, AttentionTile, Cost] | None = None
    keys = [*range(accelerator.dim, scores.out_channels, accelerator.dim), scores.out_channels]
    rows = {ceil_div(scores.out_columns, blocks) for blocks in range(1, scores.out_columns + 1)}
    rows.update(range(accelerator.dim, scores.out_columns, accelerator.dim))
    for size, queries in product(keys, sorted(rows)):
        tile = AttentionTile(queries=queries, keys=size)
        scratchpad, accumulator = attention_rows(scores, attended, accelerator, tile)
        if scratchpad > accelerator.scratchpad_rows or accumulator > accelerator.accumulator_rows:
            continue
        cost = attention_cost(scores, attended, accelerator, tile, function=function)
        key = key_of(cost, accelerator, objective)
        if best is None or key < best[0]:
            best = key, tile, cost
    if best is None:
        smallest = AttentionTile(queries=1, keys=keys[0])
        attention_cost(scores, attended, accelerator, smallest, function=function)
        raise InfeasibleError("attention tiles", demand=1, capacity=0, unit="found")
    return best[1], best[2]
