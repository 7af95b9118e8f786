"""Every mapping of a small nest onto a hierarchy: tile sizes, spreading, loop orders, operands passed by, copies.

Each dim has at most one temporal loop at a level and one spatial loop along an axis. Orders of the loops of the
innermost level are not told apart: no memory stands inside them, and no cost depends on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, permutations, product
from math import prod
from typing import Literal

from model_ir.errors import InfeasibleError, InputError
from simulator.hierarchy.dataflow import DATAFLOWS, obeys
from simulator.hierarchy.description import ROLES, Dataflow, Hierarchy, Level, Role
from simulator.hierarchy.mapping import (
    HierarchyMapping,
    LevelMapping,
    SpatialLoop,
    TemporalLoop,
    check_legal,
    tile_elements,
)
from simulator.hierarchy.nest import TensorNest

Tiles = Literal["divisors", "any"]
"""Tile sizes to try: those that divide the range they split, or all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A place for one loop of each dim: the temporal loops of a level, or one axis of its fan-out."""

    level: int
    axis: str | None
    size: int
    kinds: frozenset[str]


Split = tuple[int, ...]
"""What is left of one dim inside each slot."""


def legal_hierarchy_mappings(
    nest: TensorNest,
    hierarchy: Hierarchy,
    *,
    flow: Dataflow = DATAFLOWS[0],
    tiles: Tiles = "divisors",
    bypass: bool = False,
) -> Iterator[HierarchyMapping]:
    """Every mapping that fits and has the dataflow. Without `bypass` a level keeps all that it stores."""
    slots = hierarchy_slots(hierarchy)
    splits = [
        tuple(dim_splits(size, slots, kind, tiles)) for (_, size), kind in zip(nest.dims, nest.kinds, strict=True)
    ]
    for chosen in product(*splits):
        yield from mappings_of_tiling(nest, hierarchy, chosen, flow=flow, bypass=bypass)


def mappings_of_tiling(
    nest: TensorNest, hierarchy: Hierarchy, chosen: Sequence[Split], *, flow: Dataflow, bypass: bool
) -> Iterator[HierarchyMapping]:
    """Every mapping of `legal_hierarchy_mappings` that cuts the dims as `chosen`."""
    slots = hierarchy_slots(hierarchy)
    if not _axes_fit(nest, slots, chosen):
        return
    for keeps in product(*(_keeps(level, index, bypass) for index, level in enumerate(hierarchy.levels))):
        if not _tiles_fit(nest, hierarchy, slots, chosen, keeps):
            continue
        for mapping in _ordered(nest, hierarchy, slots, chosen, keeps):
            try:
                loops = check_legal(nest, mapping, hierarchy)
            except (InfeasibleError, InputError):
                continue
            if obeys(nest, loops, mapping, flow):
                yield mapping


def hierarchy_slots(hierarchy: Hierarchy) -> tuple[Slot, ...]:
    """The places for loops, outermost first."""
    slots = []
    for index, level in enumerate(hierarchy.levels):
        slots.append(Slot(level=index, axis=None, size=0, kinds=frozenset()))
        slots.extend(
            Slot(level=index, axis=axis.name, size=axis.size, kinds=frozenset(axis.dims)) for axis in level.fanout
        )
    return tuple(slots)


def dim_splits(size: int, slots: Sequence[Slot], kind: str, tiles: Tiles) -> Iterator[Split]:
    """Every way to cut a dim of `size` down to one position through the slots."""
    if not slots:
        if size == 1:
            yield ()
        return
    slot, inner = slots[0], slots[1:]
    for tile in range(1, size + 1):
        trips = -(-size // tile)
        if tiles == "divisors" and size % tile:
            continue
        if trips > 1 and slot.axis is not None and (trips > slot.size or kind not in slot.kinds):
            continue
        for rest in dim_splits(tile, inner, kind, tiles):
            yield (tile, *rest)


def _keeps(level: Level, index: int, bypass: bool) -> tuple[tuple[Role, ...], ...]:
    if index == 0 or not bypass:
        return (level.stores,)
    return tuple(_subsets(level.stores))


def _subsets(roles: Sequence[Role]) -> Iterator[tuple[Role, ...]]:
    return chain.from_iterable(combinations(roles, count) for count in range(len(roles) + 1))


def _axes_fit(nest: TensorNest, slots: Sequence[Slot], chosen: Sequence[Split]) -> bool:
    for place, slot in enumerate(slots):
        if slot.axis is None:
            continue
        trips = (
            -(-(split[place - 1] if place else size) // split[place])
            for (_, size), split in zip(nest.dims, chosen, strict=True)
        )
        if prod(trips) > slot.size:
            return False
    return True


def _tiles_fit(
    nest: TensorNest,
    hierarchy: Hierarchy,
    slots: Sequence[Slot],
    chosen: Sequence[Split],
    keeps: Sequence[tuple[Role, ...]],
) -> bool:
    """Whether one copy of each tile, outputs complete, fits: what no order can change."""
    for index, level in enumerate(hierarchy.levels):
        if index == 0 or level.capacity_bytes is None:
            continue
        first = next(place for place, slot in enumerate(slots) if slot.level == index)
        extents = {name: split[first - 1] for (name, _), split in zip(nest.dims, chosen, strict=True)}
        words = hierarchy.word_bits
        bits = dict(zip(ROLES, (words.inputs, words.weights, min(words.outputs, words.partial_sums)), strict=True))
        needed = sum(-(-tile_elements(nest.operand(role), extents) * bits[role] // 8) for role in keeps[index])
        if needed > level.capacity_bytes:
            return False
    return True


def _ordered(
    nest: TensorNest,
    hierarchy: Hierarchy,
    slots: Sequence[Slot],
    chosen: Sequence[Split],
    keeps: Sequence[tuple[Role, ...]],
) -> Iterator[HierarchyMapping]:
    """The mappings of one tiling: all orders of its loops and all choices of copies."""
    temporal: list[list[tuple[TemporalLoop, ...]]] = []
    spatial: list[tuple[SpatialLoop, ...]] = []
    last = len(hierarchy.levels) - 1
    for index in range(last + 1):
        loops = [
            loop for place, slot in enumerate(slots) if slot.level == index for loop in _loops(nest, chosen, place)
        ]
        steps = [
            TemporalLoop(dim=dim, tile=tile) for dim, tile, axis in _with_axis(loops, slots, index) if axis is None
        ]
        temporal.append([tuple(steps)] if index == last else list(permutations(steps)))
        spatial.append(
            tuple(
                SpatialLoop(dim=dim, tile=tile, axis=axis)
                for dim, tile, axis in _with_axis(loops, slots, index)
                if axis is not None
            )
        )
    copies = [
        [()] if level.streams or index == 0 else list(_subsets(keeps[index]))
        for index, level in enumerate(hierarchy.levels)
    ]
    for orders in product(*temporal):
        for doubled in product(*copies):
            yield HierarchyMapping(
                levels=tuple(
                    LevelMapping(temporal=order, spatial=spread, keeps=kept, double_buffered=double)
                    for order, spread, kept, double in zip(orders, spatial, keeps, doubled, strict=True)
                )
            )


def _loops(nest: TensorNest, chosen: Sequence[Split], place: int) -> Iterator[tuple[str, int, int]]:
    """Loops of more than one step in a slot: dim, tile, slot."""
    for (name, size), split in zip(nest.dims, chosen, strict=True):
        if split[place] < (split[place - 1] if place else size):
            yield name, split[place], place


def _with_axis(
    loops: Sequence[tuple[str, int, int]], slots: Sequence[Slot], level: int
) -> Iterator[tuple[str, int, str | None]]:
    for dim, tile, place in loops:
        if slots[place].level == level:
            yield dim, tile, slots[place].axis
