"""Every stored bit of a quantised network's constants, and the number that its flip puts in its place.

Constants behind Quants are stored as the integers of their grids: two's complement of the grid's bits where it is
signed, plain binary otherwise; one signed bit stands for -1 and 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hls.quantise.insert import grid_of
from model_ir.errors import InputError
from model_ir.graph import Graph, verify
from model_ir.ops.quantisation import Quant

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A constant as it lies in memory: `integers` int64 with the `widths` of each in bits and the `scale` that a step
    is worth, all of the constant's shape. `parameter` is the constant, `tensor` what layers read."""

    parameter: str
    tensor: str
    integers: Array = field(repr=False)
    widths: Array = field(repr=False)
    scale: Array = field(repr=False)
    signed: bool

    @property
    def bits(self) -> int:
        """Bits of all its elements."""
        return int(self.widths.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sites:
    """Bits that may flip, one an entry: `constant` is the place among the stored constants, `element` the flat index
    there, `bit` from 0, the lowest, and `step` by how many integers its flip moves the element, `delta` by how much the
    real number it stands for."""

    constant: Array
    element: Array
    bit: Array
    step: Array
    delta: Array

    def __len__(self) -> int:
        return len(self.bit)

    def at(self, places: Array) -> Sites:
        """Some of the sites."""
        return Sites(
            constant=self.constant[places],
            element=self.element[places],
            bit=self.bit[places],
            step=self.step[places],
            delta=self.delta[places],
        )


def stored_constants(graph: Graph) -> tuple[Stored, ...]:
    """The constants of `graph` that Quants round, weights and biases, in topological order. Raises InputError where
    there are none, and for grids that `grid_of` refuses."""
    found = []
    for op in graph.ops:
        if not isinstance(op, Quant) or op.inputs[0] not in graph.parameters:
            continue
        if op.inputs[0] not in graph.constants:
            raise InputError(f"parameter {op.inputs[0]!r}", "has no value")
        grid, values = grid_of(graph, op), graph.constants[op.inputs[0]]
        found.append(
            Stored(
                parameter=op.inputs[0],
                tensor=op.outputs[0],
                integers=grid.stored(values),
                widths=np.broadcast_to(grid.widths(values.ndim), values.shape),
                scale=np.broadcast_to(grid.scales(values.ndim).astype(np.float64), values.shape),
                signed=grid.signed,
            )
        )
    if not found:
        raise InputError(graph.origin or graph.name, "stores no quantised constants: no Quant reads a parameter")
    return tuple(found)


def flipped(integers: Array, bit: Array | int, widths: Array | int, *, signed: bool) -> Array:
    """What `integers` of so many bits become when one `bit` of each flips, int64."""
    widths = np.asarray(widths, np.int64)
    one = np.int64(1)
    pattern = (integers & ((one << widths) - 1)) ^ (one << np.asarray(bit, np.int64))
    if not signed:
        return np.asarray(pattern, np.int64)
    value = np.where(pattern >= one << (widths - 1), pattern - (one << widths), pattern)
    return np.asarray(np.where(widths == 1, -integers, value), np.int64)


def all_sites(constants: Sequence[Stored]) -> Sites:
    """Every bit of `constants`, element by element, lowest bit first."""
    parts = []
    for place, stored in enumerate(constants):
        widths = stored.widths.ravel()
        element = np.repeat(np.arange(widths.size), widths)
        starts = np.cumsum(widths) - widths
        bit = np.arange(len(element)) - np.repeat(starts, widths)
        before = stored.integers.ravel()[element]
        step = flipped(before, bit, widths[element], signed=stored.signed) - before
        delta = step * stored.scale.ravel()[element]
        parts.append((np.full(len(element), place), element, bit, step, delta))
    constant, element, bit, step, delta = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Sites(constant=constant, element=element, bit=bit, step=step, delta=delta)


def drawn_sites(sites: Sites, count: int, seed: int) -> Sites:
    """`count` of the sites, each as likely as any other, in their order."""
    places = np.random.default_rng(seed).choice(len(sites), size=count, replace=False)
    return sites.at(np.sort(places))


def as_stored(graph: Graph, constants: Sequence[Stored]) -> Graph:
    """`graph` with its stored constants as parameters of the numbers they stand for, in place of their Quants."""
    values = {}
    quants = {op.outputs[0]: op for op in graph.ops if isinstance(op, Quant)}
    for stored in constants:
        (real,) = quants[stored.tensor].evaluate(np, *(graph.constants[name] for name in quants[stored.tensor].inputs))
        values[stored.tensor] = real
    ops = tuple(op for op in graph.ops if op.outputs[0] not in values)
    read = {name for op in ops for name in op.inputs}
    kept = {name for name in graph.parameters if name in read}
    return verify(
        replace(
            graph,
            ops=ops,
            parameters=frozenset(kept | set(values)),
            constants={**{name: graph.constants[name] for name in kept if name in graph.constants}, **values},
        )
    )
