"""`HierarchyMapping`: a nest's loops, tiled and placed on the levels of a hierarchy; whether it fits; its text.

Every loop splits the range that the loops outside it leave of its dim into chunks of `tile` positions; the last chunk
is what is left (imperfect factors: Horeni et al., Ruby, ISPASS 2022). A temporal loop takes the chunks one after the
other, a spatial loop gives them to different instances at the same time. Outermost first, the loops of a mapping are

    for each level, from DRAM:  its temporal loops, then its spatial loops

and a level holds of each operand that it keeps what the loops of its own and of inner levels touch. That tile is
fetched anew at every step of the innermost temporal loop outside the level that moves the operand (and has more than
one step); loops inside that one use it again. A level that keeps the overlap of windows fetches, where that loop only
steps on, what the tile before did not hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from model_ir.errors import InfeasibleError, InputError
from simulator.hierarchy.description import ROLES, Hierarchy, Level, Role, SpatialAxis
from simulator.hierarchy.nest import Operand, TensorNest
from simulator.index_sets import image_size


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporalLoop:
    """Chunks of `tile` positions of `dim`, one after the other."""

    dim: str
    tile: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpatialLoop:
    """Chunks of `tile` positions of `dim`, each in another instance along `axis` of the level's fan-out."""

    dim: str
    tile: int
    axis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelMapping:
    """The loops at one level, outermost first; the operands it keeps (the others pass it by) and those of them that
    have two copies, so that the next fill overlaps with the use of the last."""

    temporal: tuple[TemporalLoop, ...] = ()
    spatial: tuple[SpatialLoop, ...] = ()
    keeps: tuple[Role, ...] = ()
    double_buffered: tuple[Role, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HierarchyMapping:
    """One `LevelMapping` for every level of the hierarchy, from DRAM."""

    levels: tuple[LevelMapping, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedLoop:
    """One loop of a mapping in its place: the level, the axis (None: temporal), the range it splits at its largest
    (`extent`) and into how many chunks (`trips`)."""

    level: int
    dim: str
    tile: int
    axis: str | None
    extent: int

    @property
    def trips(self) -> int:
        """Chunks, of which the last may be smaller."""
        return -(-self.extent // self.tile)


def placed_loops(nest: TensorNest, mapping: HierarchyMapping) -> tuple[PlacedLoop, ...]:
    """All loops of the mapping, outermost first."""
    extents = dict(nest.dims)
    placed = []
    for index, level in enumerate(mapping.levels):
        loops: tuple[TemporalLoop | SpatialLoop, ...] = (*level.temporal, *level.spatial)
        for loop in loops:
            axis = loop.axis if isinstance(loop, SpatialLoop) else None
            if loop.dim not in extents:
                raise InputError(f"mapping.levels[{index}]", "no such loop in the nest", value=loop.dim)
            extent = extents[loop.dim]
            if not 1 <= loop.tile <= extent:
                raise InputError(
                    f"mapping.levels[{index}].{loop.dim}",
                    "tile outside what the outer loops leave",
                    value=loop.tile,
                    limit=extent,
                )
            placed.append(PlacedLoop(level=index, dim=loop.dim, tile=loop.tile, axis=axis, extent=extent))
            extents[loop.dim] = loop.tile
    for dim, extent in extents.items():
        if extent > 1:
            raise InputError(f"mapping: loop {dim}", "its innermost chunk is not one position", value=extent, limit=1)
    return tuple(placed)


def tile_extents(nest: TensorNest, loops: Sequence[PlacedLoop], level: int) -> dict[str, int]:
    """Positions of each loop, at most, that one instance of `level` holds at a time."""
    extents = dict(nest.dims)
    for loop in loops:
        if loop.level < level:
            extents[loop.dim] = loop.tile
    return extents


def tile_elements(operand: Operand, extents: Mapping[str, int]) -> int:
    """Elements of `operand` that the largest tile of those extents spans, at most: exact but where padding is cut off
    some tile at both ends."""
    return prod(
        min(axis.size, image_size([(extents[name], step) for name, step in axis.terms]))
        if not axis.dense
        else prod(extents[name] for name, _ in axis.terms)
        for axis in operand.axes
    )


def fill_loop(operand: Operand, loops: Sequence[PlacedLoop], level: int) -> int | None:
    """Index in `loops` of the temporal loop at whose every step `level` fetches the operand; None: once in the run."""
    for index in reversed(range(len(loops))):
        loop = loops[index]
        if loop.level < level and loop.axis is None and loop.trips > 1 and loop.dim in operand.dims:
            return index
    return None


def is_refilled(operand: Operand, loops: Sequence[PlacedLoop], level: int) -> bool:
    """Whether `level` holds more than one tile of the operand in the run."""
    return fill_loop(operand, loops, level) is not None


def parent_level(mapping: HierarchyMapping, role: Role, level: int) -> int:
    """The nearest level outside `level` that keeps the operand."""
    return next(index for index in reversed(range(level)) if role in mapping.levels[index].keeps)


def kept_bits(
    nest: TensorNest,
    loops: Sequence[PlacedLoop],
    mapping: HierarchyMapping,
    hierarchy: Hierarchy,
    level: int,
    role: Role,
) -> int:
    """Bits of one element of the operand as `level` holds it: an output is a partial sum unless all terms of its sum
    are added before it arrives."""
    words = hierarchy.word_bits
    if role != "outputs":
        return words.inputs if role == "inputs" else words.weights
    return words.partial_sums if arrives_partial(nest, loops, mapping, hierarchy, level) else words.outputs


def child_level(mapping: HierarchyMapping, role: Role, level: int) -> int:
    """The nearest level inside `level` that keeps the operand; the number of levels: the multipliers."""
    inner = range(level + 1, len(mapping.levels))
    return next((index for index in inner if role in mapping.levels[index].keeps), len(mapping.levels))


def arrives_partial(
    nest: TensorNest,
    loops: Sequence[PlacedLoop],
    mapping: HierarchyMapping,
    hierarchy: Hierarchy,
    level: int,
) -> bool:
    """Whether outputs that come up into `level` lack terms of their sum: a loop over such terms has several steps
    outside the place where the level below writes its tile back, or several instances whose sums do not arrive as
    one."""
    outputs = nest.operand("outputs")
    child = child_level(mapping, "outputs", level)
    written = write_loop(outputs, loops, child, len(hierarchy.levels))
    for index, loop in enumerate(loops):
        if loop.trips == 1 or loop.level >= child or loop.dim in outputs.dims:
            continue
        if loop.axis is None:
            if written is not None and index <= written:
                return True
        elif loop.level < level or not axis_of(hierarchy, loop).reduces_outputs:
            return True
    return False


def write_loop(operand: Operand, loops: Sequence[PlacedLoop], level: int, levels: int) -> int | None:
    """As `fill_loop`; the multipliers (`level` == `levels`) hold nothing: they fetch and write at every step."""
    if level < levels:
        return fill_loop(operand, loops, level)
    temporal = (index for index in reversed(range(len(loops))) if loops[index].axis is None and loops[index].trips > 1)
    return next(temporal, None)


def axis_of(hierarchy: Hierarchy, loop: PlacedLoop) -> SpatialAxis:
    """The axis along which a spatial loop is spread."""
    return next(axis for axis in hierarchy.levels[loop.level].fanout if axis.name == loop.axis)


def copies(operand: Operand, loops: Sequence[PlacedLoop], mapping: HierarchyMapping, level: int) -> int:
    """Copies of the operand's tile at `level`: two where it is double buffered and filled more than once."""
    return 1 + (operand.role in mapping.levels[level].double_buffered and is_refilled(operand, loops, level))


def kept_bytes(
    nest: TensorNest,
    loops: Sequence[PlacedLoop],
    mapping: HierarchyMapping,
    hierarchy: Hierarchy,
    level: int,
    role: Role,
) -> int:
    """Bytes that the operand takes in one instance of `level`."""
    operand = nest.operand(role)
    elements = tile_elements(operand, tile_extents(nest, loops, level))
    bits = kept_bits(nest, loops, mapping, hierarchy, level, role)
    return -(-elements * bits // 8) * copies(operand, loops, mapping, level)


def check_legal(nest: TensorNest, mapping: HierarchyMapping, hierarchy: Hierarchy) -> tuple[PlacedLoop, ...]:
    """Return the placed loops of a mapping that fits; InfeasibleError says what exceeds which capacity by how much,
    InputError what is no mapping of this nest onto this hierarchy."""
    if len(mapping.levels) != len(hierarchy.levels):
        raise InputError(
            "mapping.levels", "not one for each level", value=len(mapping.levels), limit=len(hierarchy.levels)
        )
    loops = placed_loops(nest, mapping)
    for index, level in enumerate(hierarchy.levels):
        _check_keeps(mapping.levels[index], level, outermost=index == 0)
        _check_spread(nest, [loop for loop in loops if loop.level == index and loop.axis is not None], level)
    _check_sums(nest, loops, mapping, hierarchy)
    for index in range(1, len(hierarchy.levels)):
        _check_capacity(nest, loops, mapping, hierarchy, index)
    return loops


def _check_keeps(mapped: LevelMapping, level: Level, *, outermost: bool) -> None:
    path = f"mapping of {level.name}"
    for role in mapped.keeps:
        if role not in level.stores:
            raise InputError(path, "keeps an operand that the level does not store", value=role, limit=level.stores)
    if outermost and set(mapped.keeps) != set(ROLES):
        raise InputError(path, "the outermost level keeps every operand", value=mapped.keeps, limit=ROLES)
    for role in mapped.double_buffered:
        if role not in mapped.keeps:
            raise InputError(path, "two copies of an operand that is not kept", value=role, limit=mapped.keeps)


def _check_spread(nest: TensorNest, spatial: Sequence[PlacedLoop], level: Level) -> None:
    path = f"mapping of {level.name}"
    axes = {axis.name: axis for axis in level.fanout}
    kinds = nest.kind_of
    spread = dict.fromkeys(axes, 1)
    for loop in spatial:
        if loop.axis not in axes:
            raise InputError(path, "no such axis", value=loop.axis, limit=tuple(axes))
        if loop.trips > 1 and kinds[loop.dim] not in axes[loop.axis].dims:
            raise InputError(
                f"{path}: loop {loop.dim}",
                f"loops of this kind are not spread along {loop.axis}",
                value=kinds[loop.dim],
                limit=axes[loop.axis].dims,
            )
        spread[loop.axis] *= loop.trips
    for name, axis in axes.items():
        if spread[name] > axis.size:
            raise InfeasibleError(
                f"{path}: axis {name}", demand=spread[name], capacity=axis.size, unit="instances", hint="spread less"
            )


def _check_sums(nest: TensorNest, loops: Sequence[PlacedLoop], mapping: HierarchyMapping, hierarchy: Hierarchy) -> None:
    """Several partial sums of one output that arrive apart need a level that adds them."""
    outputs = nest.operand("outputs")
    for loop in loops:
        if loop.axis is None or loop.trips == 1 or loop.dim in outputs.dims:
            continue
        if axis_of(hierarchy, loop).reduces_outputs:
            continue
        receiver = parent_level(mapping, "outputs", loop.level + 1)
        if not hierarchy.levels[receiver].accumulates:
            raise InputError(
                f"mapping of {hierarchy.levels[loop.level].name}: loop {loop.dim}",
                f"its partial sums arrive one by one at {hierarchy.levels[receiver].name}, which does not add them",
                value=f"spread along {loop.axis}",
            )


def _check_capacity(
    nest: TensorNest,
    loops: Sequence[PlacedLoop],
    mapping: HierarchyMapping,
    hierarchy: Hierarchy,
    index: int,
) -> None:
    level = hierarchy.levels[index]
    total = 0
    for role in mapping.levels[index].keeps:
        needed = kept_bytes(nest, loops, mapping, hierarchy, index, role)
        total += needed
        share = {
            "inputs": level.partition_bytes.inputs,
            "weights": level.partition_bytes.weights,
            "outputs": level.partition_bytes.outputs,
        }[role]
        if share is not None and needed > share:
            raise InfeasibleError(
                f"{level.name}: {role}", demand=needed, capacity=share, unit="bytes", hint="take smaller tiles"
            )
    if level.capacity_bytes is not None and total > level.capacity_bytes:
        raise InfeasibleError(
            level.name, demand=total, capacity=level.capacity_bytes, unit="bytes", hint="take smaller tiles"
        )
