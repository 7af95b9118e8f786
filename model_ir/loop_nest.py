"""`LoopNest`: the iteration space of one operator and one affine access per operand.

This is all that mappers and cost models see of an operator: never "Conv", never a graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Literal

from model_ir.precision import Precision

Dims = tuple[tuple[str, int], ...]
"""The loops of a nest, outermost first: name and size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AffineIndex:
    """One tensor axis addressed by the loops: `offset + sum(coefficient * loop variable)`; an index outside the axis
    reads zero
    (padding)."""

    terms: tuple[tuple[str, int], ...]
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How the nest reads or writes one tensor.

    `shape` and `indices` are in storage order (the last axis is contiguous in memory: activations channels-last,
    convolution weights kernel-row, kernel-column, input channel, output channel). `constant` says the tensor is a
    parameter.
    """

    tensor: str
    shape: tuple[int, ...]
    indices: tuple[AffineIndex, ...]
    precision: Precision
    constant: bool = False
    touched_elements: int | None = None

    @property
    def elements(self) -> int:
        """Elements of the whole tensor (the footprint of the full nest is at most this)."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes of the whole tensor."""
        return -(-self.elements * self.precision.bits // 8)

    @property
    def touched_bytes(self) -> int:
        """Bytes of the elements that the nest reaches (a gather or a strided read leaves the rest alone)."""
        elements = self.elements if self.touched_elements is None else self.touched_elements
        return -(-elements * self.precision.bits // 8)


NestKind = Literal["mac", "elementwise", "move"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopNest:
    """Iteration space `dims` (name, size), the operands read, the one written, and the work at each point.

    `kind` "mac": each point multiplies the elements of `reads[0]` and `reads[1]` and adds to `write`; `reads[2]`,
    where there is one, is the bias that `write` starts from. "elementwise": each point applies `function`
    (`flops_per_point` operations, several passes for reductions such as softmax). "move": no arithmetic, only data in
    another place; `function` is "view" when storage order does not change at all.
    """

    name: str
    kind: NestKind
    function: str
    dims: Dims
    reads: tuple[Access, ...]
    write: Access
    flops_per_point: float

    @property
    def points(self) -> int:
        """Size of the iteration space."""
        return prod(size for _, size in self.dims)

    @property
    def macs(self) -> int:
        """Multiply-accumulates (0 unless `kind` is "mac")."""
        return self.points if self.kind == "mac" else 0

    @property
    def flops(self) -> float:
        """Arithmetic operations; a multiply-accumulate is 2."""
        return self.points * self.flops_per_point

    @property
    def compulsory_bytes(self) -> int:
        """Bytes moved if every element that is needed crosses the memory port exactly once."""
        return sum(access.touched_bytes for access in self.reads) + self.write.touched_bytes

    @property
    def arithmetic_intensity(self) -> float:
        """FLOPs per compulsory byte (Williams et al., Roofline, CACM 2009)."""
        return self.flops / max(1, self.compulsory_bytes)


def touched(shape: tuple[int, ...], indices: Sequence[AffineIndex], dims: Dims) -> int:
    """Elements of a tensor of `shape` that `indices` reach over the whole of `dims` (no loop may address two axes)."""
    sizes = dict(dims)
    return prod(_reached(size, index, sizes) for size, index in zip(shape, indices, strict=True))


def _reached(size: int, index: AffineIndex, sizes: Mapping[str, int]) -> int:
    """Positions 0..size-1 that `index` takes.

    The longest loop makes an arithmetic progression from every base that the other loops give; progressions in the same
    residue class are intervals, whose union is counted. Axes of any length cost only the shorter loops.
    """
    if len(index.terms) == 1 and index.terms[0][1] == 1:
        # One loop straight along the axis: nearly every index there is.
        return max(0, min(index.offset + sizes[index.terms[0][0]], size) - max(index.offset, 0))
    terms = sorted(((sizes[name], step) for name, step in index.terms if step), key=lambda term: term[0])
    count, step = terms.pop() if terms else (1, 1)
    bases = {index.offset + (count - 1) * min(step, 0)}
    for other_count, other_step in terms:
        bases = {base + other_step * turn for base, turn in product(bases, range(other_count))}
    step = abs(step)
    intervals: dict[int, list[tuple[int, int]]] = {}
    for base in bases:
        start, residue = divmod(base, step)
        first, last = max(start, 0), min(start + count - 1, (size - 1 - residue) // step)
        if first <= last:
            intervals.setdefault(residue, []).append((first, last))
    return sum(map(_union_length, intervals.values()))


def _union_length(intervals: list[tuple[int, int]]) -> int:
    total, end = 0, -1
    for first, last in sorted(intervals):
        total += max(0, last - max(first, end + 1) + 1)
        end = max(end, last)
    return total
