"""`TensorNest`: a multiply-accumulate loop nest as any memory hierarchy sees it, from a LoopNest by its accesses alone.

Loops of one iteration are dropped; every other one has a kind (`hierarchy.DimKind`) by the operands it moves. Operator
names are never looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from model_ir.errors import InputError
from model_ir.loop_nest import Access, Dims, LoopNest, touched
from simulator.hierarchy.description import ROLES, DimKind, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorAxis:
    """One axis of an operand: index = `offset + sum(coefficient * loop)`; an index outside 0..size-1 is padding.

    `dense`: no two points of its loops have the same index and none is padding, so a tile has as many elements as its
    loops have positions.
    """

    size: int
    offset: int
    terms: tuple[tuple[str, int], ...]
    dense: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Operand:
    """One operand: the axes that loops move along, and those loops, `dims` (relevant loops, in the words of the
    mapping literature)."""

    role: Role
    axes: tuple[TensorAxis, ...]
    dims: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorNest:
    """`dims` (name, size over 1) in the nest's order, their `kinds`, the operands inputs, weights, outputs.

    `bias_elements` are read from DRAM once, as results leave for it.
    """

    name: str
    dims: Dims
    kinds: tuple[DimKind, ...]
    operands: tuple[Operand, Operand, Operand]
    bias_elements: int = 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates, products with padding included."""
        return prod(size for _, size in self.dims)

    @property
    def kind_of(self) -> dict[str, DimKind]:
        """Kind of each loop by name."""
        return {name: kind for (name, _), kind in zip(self.dims, self.kinds, strict=True)}

    def operand(self, role: Role) -> Operand:
        """The operand of that role."""
        return self.operands[ROLES.index(role)]


def tensor_nest(nest: LoopNest) -> TensorNest:
    """`nest` for a hierarchy; raises InputError for one that is no multiply-accumulate of two operands, a loop that
    moves two axes of an operand at once or has no kind, and results whose elements overlap (scattered sums)."""
    path = f"nest {nest.name}"
    if nest.kind != "mac" or len(nest.reads) not in (2, 3):
        raise InputError(path, "not a multiply-accumulate of two operands and an optional bias", value=nest.function)
    accesses = (nest.reads[0], nest.reads[1], nest.write)
    operands = tuple(
        _operand(role, _axes(path, access, nest.dims)) for role, access in zip(ROLES, accesses, strict=True)
    )
    inputs, weights, outputs = operands
    if not all(axis.dense for axis in outputs.axes):
        raise InputError(f"{path}: {nest.write.tensor}", "elements of the result overlap or lie outside it")
    windows = tuple(_window_kinds(inputs, weights, outputs))
    dims = tuple((name, size) for name, size in nest.dims if size > 1)
    return TensorNest(
        name=nest.name,
        dims=dims,
        kinds=tuple(_kind(path, name, operands, windows) for name, _ in dims),
        operands=(_shrunk(inputs, dims), _shrunk(weights, dims), _shrunk(outputs, dims)),
        bias_elements=_elements(nest.reads[2], nest.dims) if len(nest.reads) == 3 else 0,
    )


def _operand(role: Role, axes: tuple[TensorAxis, ...]) -> Operand:
    return Operand(role=role, axes=axes, dims=frozenset(name for axis in axes for name, _ in axis.terms))


def _axes(path: str, access: Access, dims: Dims) -> tuple[TensorAxis, ...]:
    sizes = dict(dims)
    seen: set[str] = set()
    axes = []
    for index, size in zip(access.indices, access.shape, strict=True):
        terms = tuple((name, step) for name, step in index.terms if step)
        for name, _ in terms:
            if name in seen:
                raise InputError(f"{path}: {access.tensor}", "one loop moves two axes at once", value=name)
            seen.add(name)
        if terms:
            dense = _is_dense(size, index.offset, terms, sizes)
            axes.append(TensorAxis(size=size, offset=index.offset, terms=terms, dense=dense))
    return tuple(axes)


def _is_dense(size: int, offset: int, terms: Sequence[tuple[str, int]], sizes: Mapping[str, int]) -> bool:
    reach = 0
    for step, count in sorted((abs(step), sizes[name]) for name, step in terms if sizes[name] > 1):
        if step <= reach:
            return False
        reach += step * (count - 1)
    low = offset + sum(min(step, 0) * (sizes[name] - 1) for name, step in terms)
    high = offset + sum(max(step, 0) * (sizes[name] - 1) for name, step in terms)
    return low >= 0 and high < size


def _shrunk(operand: Operand, dims: Dims) -> Operand:
    """`operand` without loops of one iteration; an axis that no loop moves along any more holds one element."""
    kept = {name for name, _ in dims}
    axes = (
        TensorAxis(
            size=axis.size,
            offset=axis.offset,
            terms=tuple(term for term in axis.terms if term[0] in kept),
            dense=axis.dense,
        )
        for axis in operand.axes
    )
    return _operand(operand.role, tuple(axis for axis in axes if axis.terms or not axis.dense))


def _window_kinds(inputs: Operand, weights: Operand, outputs: Operand) -> list[dict[str, DimKind]]:
    """For each axis of the inputs on which an output loop and a kernel loop meet, the kinds of those loops: rows on all
    such axes but the last."""
    windows = []
    for axis in inputs.axes:
        names = [name for name, _ in axis.terms]
        pixels = [name for name in names if name in outputs.dims and name not in weights.dims]
        kernels = [name for name in names if name in weights.dims and name not in outputs.dims]
        if pixels and kernels:
            windows.append((pixels, kernels))
    kinds: list[dict[str, DimKind]] = []
    for place, (pixels, kernels) in enumerate(windows):
        last = place == len(windows) - 1
        pixel: DimKind = "out_column" if last else "out_row"
        kernel: DimKind = "kernel_column" if last else "kernel_row"
        kinds.append(dict.fromkeys(pixels, pixel) | dict.fromkeys(kernels, kernel))
    return kinds


def _kind(path: str, name: str, operands: Sequence[Operand], windows: Sequence[Mapping[str, DimKind]]) -> DimKind:
    for window in windows:
        if name in window:
            return window[name]
    moves = tuple(name in operand.dims for operand in operands)
    kinds: dict[tuple[bool, ...], DimKind] = {
        (True, False, True): "image",
        (False, True, True): "out_channel",
        (True, True, False): "in_channel",
        (True, True, True): "group",
    }
    if moves not in kinds:
        raise InputError(f"{path}: loop {name}", "moves only one operand, or none, of the multiply-accumulate")
    return kinds[moves]


def _elements(access: Access, dims: Dims) -> int:
    return (
        access.touched_elements if access.touched_elements is not None else touched(access.shape, access.indices, dims)
    )
