"""`Tensor`: a name, a static shape and a precision. Values live in `Graph.constants`."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from model_ir.precision import FLOAT32, Precision

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A value of the graph; `shape` is static and () is a scalar."""

    name: str
    shape: Shape
    precision: Precision = FLOAT32

    @property
    def elements(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """Size in memory, whole bytes for the tensor."""
        return -(-self.elements * self.precision.bits // 8)
