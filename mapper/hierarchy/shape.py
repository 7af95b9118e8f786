"""`Shape`: a mapping of a nest onto a hierarchy as sizes to aim at, which always makes whole loops; what a search moves
over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simulator.hierarchy.description import Hierarchy, Role
from simulator.hierarchy.mapping import HierarchyMapping, LevelMapping, SpatialLoop, TemporalLoop
from simulator.hierarchy.nest import TensorNest


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """`tiles[level][dim]`: positions of each dim that one instance of a level should hold (of the levels inside the
    first); `trips[level, axis, dim]`: instances over which a dim is spread; `orders[level]`: dims, outermost first;
    `keeps[level]`."""

    tiles: tuple[Mapping[str, int], ...]
    trips: Mapping[tuple[int, str, str], int]
    orders: tuple[tuple[str, ...], ...]
    keeps: tuple[tuple[Role, ...], ...]


def mapping_of(nest: TensorNest, hierarchy: Hierarchy, shape: Shape) -> HierarchyMapping:
    """The mapping with tiles no larger than the shape's and loops spread no wider; what does not stream and is filled
    more than once has two copies."""
    left = dict(nest.dims)
    levels = []
    last = len(hierarchy.levels) - 1
    for index, level in enumerate(hierarchy.levels):
        spread = dict.fromkeys(left, 1)
        for axis in level.fanout:
            for name in left:
                spread[name] *= shape.trips.get((index, axis.name, name), 1)
        temporal = []
        for name in shape.orders[index]:
            inner = shape.tiles[index + 1][name] if index < last else 1
            tile = min(left[name], inner * spread[name])
            if tile < left[name]:
                temporal.append(TemporalLoop(dim=name, tile=tile))
                left[name] = tile
        spatial = []
        for axis in level.fanout:
            for name in left:
                tile = -(-left[name] // shape.trips.get((index, axis.name, name), 1))
                if tile < left[name]:
                    spatial.append(SpatialLoop(dim=name, tile=tile, axis=axis.name))
                    left[name] = tile
        keeps = shape.keeps[index]
        levels.append(
            LevelMapping(
                temporal=tuple(temporal),
                spatial=tuple(spatial),
                keeps=keeps,
                double_buffered=() if level.streams or index == 0 else keeps,
            )
        )
    return HierarchyMapping(levels=tuple(levels))
