"""Dataflows as data, and whether a mapping obeys one.

Names are those of the taxonomy of Chen, Emer, Sze (Eyeriss, ISCA 2016): which operand stays in the processing elements.
Row-stationary: one element convolves one row of the filter with one row of the inputs into one row of partial sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from model_ir.errors import InputError
from simulator.hierarchy.description import Dataflow, Role
from simulator.hierarchy.mapping import HierarchyMapping, PlacedLoop, parent_level, tile_extents
from simulator.hierarchy.nest import TensorNest

DATAFLOWS: tuple[Dataflow, ...] = (
    Dataflow(name="free", description="any mapping"),
    Dataflow(
        name="weight-stationary",
        description="each weight beside a multiplier is used for all it is for before the next comes",
        stationary="weights",
    ),
    Dataflow(
        name="output-stationary",
        description="each partial sum stays in the innermost memory of outputs while terms are added",
        stationary="outputs",
    ),
    Dataflow(
        name="input-stationary",
        description="each input in its innermost memory is used for all it is for before the next comes",
        stationary="inputs",
    ),
    Dataflow(
        name="row-stationary",
        description="one instance works on one row of the filter and one row of outputs at a time",
        whole_inside=("kernel_column",),
        single_inside=("kernel_row", "out_row"),
    ),
)


def dataflow(name: str) -> Dataflow:
    """The dataflow of that name; InputError for an unknown one."""
    for known in DATAFLOWS:
        if known.name == name:
            return known
    names = [known.name for known in DATAFLOWS]
    close = get_close_matches(name, names, n=1)
    raise InputError(
        "dataflow", f"unknown{f'; did you mean {close[0]}?' if close else ''}", value=name, limit=", ".join(names)
    )


def obeys(nest: TensorNest, loops: Sequence[PlacedLoop], mapping: HierarchyMapping, flow: Dataflow) -> bool:
    """Whether a legal mapping (`loops` as `check_legal` returns them) has the dataflow."""
    inside = tile_extents(nest, loops, innermost_level(mapping, "inputs"))
    for (dim, size), kind in zip(nest.dims, nest.kinds, strict=True):
        if kind in flow.whole_inside and inside[dim] != size:
            return False
        if kind in flow.single_inside and inside[dim] != 1:
            return False
    return flow.stationary is None or _stays(nest, loops, mapping, flow.stationary)


def innermost_level(mapping: HierarchyMapping, role: Role) -> int:
    """The innermost level that keeps the operand."""
    return max(index for index, level in enumerate(mapping.levels) if role in level.keeps)


def _stays(nest: TensorNest, loops: Sequence[PlacedLoop], mapping: HierarchyMapping, role: Role) -> bool:
    """Whether, between the operand's innermost memory and the one above it, no temporal loop that moves it stands
    inside one that does not."""
    inner = innermost_level(mapping, role)
    if inner == 0:
        return True
    outer = parent_level(mapping, role, inner)
    moving = [
        loop.dim in nest.operand(role).dims
        for loop in loops
        if outer <= loop.level < inner and loop.axis is None and loop.trips > 1
    ]
    return moving == sorted(moving, reverse=True)
