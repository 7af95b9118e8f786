"""From what a relaxed program chose to a mapping, and on from there while its exact cost falls.

A step changes the size of one tile or of two, moves spreading along an axis from one dim to another, or changes which
operand's loops are innermost at a level. The first step that is better is taken, in a fixed order that goes on where it
was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from math import prod
from time import perf_counter

import numpy as np
import numpy.typing as npt

from mapper.hierarchy.objective import compared
from mapper.hierarchy.program import HierarchyProgram
from mapper.hierarchy.shape import Shape, mapping_of
from mapper.hierarchy.tables import sizes_of
from mapper.solve import Objective
from model_ir.errors import InfeasibleError, InputError
from simulator.hierarchy.cost import HierarchyCost, hierarchy_cost
from simulator.hierarchy.dataflow import obeys
from simulator.hierarchy.description import ROLES, Dataflow, Hierarchy, Role
from simulator.hierarchy.mapping import HierarchyMapping, check_legal
from simulator.hierarchy.nest import TensorNest


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which mapping is asked for."""

    nest: TensorNest
    hierarchy: Hierarchy
    objective: Objective
    flow: Dataflow
    bypass: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A mapping and its exact cost; `key` is what is compared."""

    key: tuple[float, float]
    mapping: HierarchyMapping
    cost: HierarchyCost


def found(question: Question, mapping: HierarchyMapping) -> Found | None:
    """The mapping with its cost, None where it does not fit or lacks the dataflow."""
    try:
        loops = check_legal(question.nest, mapping, question.hierarchy)
    except (InfeasibleError, InputError):
        return None
    if not obeys(question.nest, loops, mapping, question.flow):
        return None
    cost = hierarchy_cost(question.nest, mapping, question.hierarchy)
    return Found(key=compared(cost, question.objective), mapping=mapping, cost=cost)


def shapes_of(program: HierarchyProgram, values: npt.NDArray[np.int64]) -> Iterator[Shape]:
    """The shapes of a point of the program: with the least sizes of the ranges chosen, and with the sizes that its
    logarithms are nearest to."""

    def chosen(literals: Sequence[int]) -> int:
        return int(np.argmax(values[list(literals)]))

    trips = {key: program.trip_ranges[key][chosen(literals)][0] for key, literals in program.trips.items()}
    orders = []
    for level in range(program.count):
        role = next(role for role, literal in program.innermost[level].items() if values[literal])
        orders.append(_order(program.nest, role))
    keeps = tuple(
        tuple(
            role
            for role in ROLES
            if role in level.stores
            and all(values[literal] == wanted for literal, wanted in program.kept.get((index, role), ()))
        )
        for index, level in enumerate(program.hierarchy.levels)
    )
    for near in (False, True):
        tiles: list[dict[str, int]] = [dict(program.nest.dims)]
        for level in range(1, program.count):
            tiles.append({})
            for name in program.names:
                least, most = program.ranges[name].ranges[chosen(program.size[level][name])]
                aimed = program.size_at(level, name, values)
                tiles[level][name] = min(most, max(least, round(aimed))) if near else least
        yield Shape(tiles=tuple(tiles), trips=trips, orders=tuple(orders), keeps=keeps)


def descend(question: Question, shape: Shape, deadline: float) -> Found | None:
    """The best mapping met, None where the shape is no legal mapping."""
    start = mapping_of(question.nest, question.hierarchy, shape)
    best, seen = found(question, start), {start}
    if best is None:
        return None
    moves, place, idle = list(_neighbours(question, shape)), 0, 0
    while idle < len(moves) and perf_counter() < deadline:
        neighbour = moves[place % len(moves)]
        mapping = mapping_of(question.nest, question.hierarchy, neighbour)
        other = None if mapping in seen else found(question, mapping)
        seen.add(mapping)
        place, idle = place + 1, idle + 1
        if other is not None and other.key < best.key:
            best, moves, idle = other, list(_neighbours(question, neighbour)), 0
    return best


def repaired(question: Question, shape: Shape) -> Shape:
    """The shape with its tiles shrunk, level by level from inside, until they fit."""
    for _ in range(200):
        try:
            check_legal(question.nest, mapping_of(question.nest, question.hierarchy, shape), question.hierarchy)
        except InfeasibleError as error:
            level = next(
                (index for index, level in enumerate(question.hierarchy.levels) if str(error).startswith(level.name)),
                None,
            )
            if level is None:
                return shape
            tiles = dict(shape.tiles[level])
            name = max(tiles, key=lambda each: tiles[each])
            tiles[name] = max(1, tiles[name] * 7 // 8)
            shape = replace(shape, tiles=(*shape.tiles[:level], tiles, *shape.tiles[level + 1 :]))
        except InputError:
            return shape
        else:
            return shape
    return shape


def _order(nest: TensorNest, role: Role) -> tuple[str, ...]:
    """All dims, those that do not move the operand innermost."""
    moving = nest.operand(role).dims
    names = [name for name, _ in nest.dims]
    return (*(name for name in names if name in moving), *(name for name in names if name not in moving))


def _neighbours(question: Question, shape: Shape) -> Iterator[Shape]:
    yield from _other_tiles(question, shape)
    yield from _other_trips(question, shape)
    yield from _exchanged_tiles(question, shape)
    for level in range(len(question.hierarchy.levels)):
        for role in ROLES:
            order = _order(question.nest, role)
            if order != shape.orders[level]:
                yield replace(shape, orders=(*shape.orders[:level], order, *shape.orders[level + 1 :]))


def _other_tiles(question: Question, shape: Shape) -> Iterator[Shape]:
    for name, size in question.nest.dims:
        useful = [least for least, _ in sizes_of(size, singles=16).ranges]
        for level in range(1, len(question.hierarchy.levels)):
            here = shape.tiles[level][name]
            larger = [each for each in useful if each > here][:2]
            smaller = [each for each in useful if each < here][-2:]
            for tile in (*larger, *smaller[::-1], size):
                if tile != here:
                    yield _with_tile(shape, level, name, tile)


def _exchanged_tiles(question: Question, shape: Shape) -> Iterator[Shape]:
    """One dim's tile larger and another's smaller, which a full memory may hold where it does not hold the first
    alone."""
    useful = {name: [least for least, _ in sizes_of(size, singles=16).ranges] for name, size in question.nest.dims}
    for level in range(1, len(question.hierarchy.levels)):
        tiles = shape.tiles[level]
        for grown, shrunk in permutations(tiles, 2):
            larger = next((each for each in useful[grown] if each > tiles[grown]), None)
            smaller = next((each for each in reversed(useful[shrunk]) if each < tiles[shrunk]), None)
            if larger is not None and smaller is not None:
                yield _with_tile(_with_tile(shape, level, shrunk, smaller), level, grown, larger)


def _with_tile(shape: Shape, at: int, name: str, tile: int) -> Shape:
    """Another tile at one level; levels outside hold no less."""
    tiles = [
        {**each, name: tile if level == at else max(each[name], tile) if level < at else each[name]}
        for level, each in enumerate(shape.tiles)
    ]
    return replace(shape, tiles=tuple(tiles))


def _other_trips(question: Question, shape: Shape) -> Iterator[Shape]:
    """One dim spread wider or less wide, another along the same axis taking its place."""
    kinds, sizes = question.nest.kind_of, dict(question.nest.dims)
    for level, memory in enumerate(question.hierarchy.levels):
        for axis in memory.fanout:
            names = [name for name in sizes if kinds[name] in axis.dims]
            now = {name: shape.trips.get((level, axis.name, name), 1) for name in names}
            for name in names:
                for wanted in {now[name] * 2, now[name] + 1, now[name] // 2, now[name] - 1, 1, axis.size}:
                    if not 1 <= wanted <= min(axis.size, sizes[name]) or wanted == now[name]:
                        continue
                    changed = {**now, name: wanted}
                    yield from _fitted(shape, level, axis.name, axis.size, name, changed)


def _fitted(shape: Shape, level: int, axis: str, size: int, name: str, wanted: dict[str, int]) -> Iterator[Shape]:
    """The spreading itself where it fits the axis; each other dim cut to what is left, or grown into it."""
    for other in wanted:
        room = size // prod(count for each, count in wanted.items() if each != other)
        if other != name and room >= 1:
            yield _with_trips(shape, level, axis, {**wanted, other: room})
    if prod(wanted.values()) <= size:
        yield _with_trips(shape, level, axis, wanted)


def _with_trips(shape: Shape, level: int, axis: str, wanted: dict[str, int]) -> Shape:
    return replace(shape, trips={**shape.trips, **{(level, axis, name): trips for name, trips in wanted.items()}})
