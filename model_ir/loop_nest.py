"""`LoopNest`: the iteration space of one operator and one affine access per operand.

This is all that mappers and cost models see of an operator: never "Conv", never a graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

from model_ir.precision import Precision


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
    dims: tuple[tuple[str, int], ...]
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
