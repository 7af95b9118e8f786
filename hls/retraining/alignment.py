"""Alignments: Quants behind Quants that bring the coarser operand of an addition to the finer one's grid.

They change no value, but which operand needs one follows from the scales, and these are learned: alignments are taken
out before a retraining and put in again after it.
"""

from __future__ import annotations

import numpy as np

from hls.quantise.grid import Grid
from hls.quantise.insert import grid_of, grids_of, quantised, without_quants
from model_ir.graph import Graph, verify
from model_ir.op import Op
from model_ir.ops.elementwise import Binary
from model_ir.ops.quantisation import Quant
from model_ir.passes.rewriting import rebuild, rename_inputs

MOST_BITS = 16
"""Of a grid whose numbers are tried one by one."""


def without_alignments(graph: Graph) -> Graph:
    """`graph` without the Quants that align operands of additions; `graph` itself where there are none.

    Raises InputError where there are some, but `aligned` could not put them in again.
    """
    quants = {op.outputs[0]: op for op in graph.ops if isinstance(op, Quant)}
    operands = {name for op in graph.ops if isinstance(op, Binary) for name in op.inputs}
    names: dict[str, str] = {}
    ops: list[Op] = []
    for op in graph.ops:
        behind = quants.get(op.inputs[0]) if op.outputs[0] in quants and op.outputs[0] in operands else None
        if behind is not None and isinstance(op, Quant) and _keeps(grid_of(graph, op), grid_of(graph, behind)):
            names[op.outputs[0]] = op.inputs[0]
        else:
            ops.append(rename_inputs(op, names))
    if not names:
        return graph
    aligned(graph)
    return verify(rebuild(graph, ops))


def aligned(graph: Graph) -> Graph:
    """`graph` with its Quants as `hls.quantise.insert` puts them in for the same grids, alignments among them. Raises
    InputError as `hls.quantise.insert.quantised`."""
    return quantised(without_quants(graph), grids_of(graph))


def _keeps(grid: Grid, other: Grid) -> bool:
    """Whether `grid` has all numbers of `other`, whose scale is one of a tensor."""
    if other.bits > MOST_BITS or len(other.scale) != 1:
        return False
    low, high = other.limits(0)
    numbers = other.real(np.arange(int(low), int(high) + 1))
    return bool(np.array_equal(grid.nearest(numbers), numbers))
