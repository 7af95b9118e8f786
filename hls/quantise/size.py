"""How many bits a graph with Quants has: of every tensor, and of its weights together."""

from __future__ import annotations

from itertools import groupby

from hls.quantise.insert import grids_of
from model_ir.graph import Graph


def bits_of(graph: Graph) -> dict[str, int]:
    """Bits by variable, as `hls.allocation.network` names them: activations by the output of their producer, weights by
    parameter, with runs of channels (`W[0:16]`) where those differ.

    Raises InputError where a Quant has parameters that are no grid.
    """
    bits: dict[str, int] = {}
    for name, grid in grids_of(graph).items():
        start = 0
        for width, run in groupby(grid.channel_bits or (grid.bits,)):
            stop = start + len(list(run))
            bits[f"{name}[{start}:{stop}]" if grid.channel_bits else name] = width
            start = stop
    return bits


def weight_bits(graph: Graph) -> int:
    """Bits that the weights take together, biases left out. Raises InputError as `bits_of`."""
    total = 0
    for name, grid in grids_of(graph).items():
        if name in graph.parameters:
            elements = graph.tensors[name].elements
            widths = grid.channel_bits or (grid.bits,)
            total += elements // len(widths) * sum(widths)
    return total
