"""`Part`: a tensor, or a run of its channels: what gets one precision."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

from hls.layers import output_axis
from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.tensor import Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Elements `start` to `stop` of `axis` of `tensor`, whose shape is `shape`; the whole tensor where that is all."""

    tensor: str
    shape: Shape
    axis: int = 0
    start: int = 0
    stop: int

    @property
    def whole(self) -> bool:
        """Whether the part is all of the tensor."""
        return not self.shape or (self.start == 0 and self.stop == self.shape[self.axis])

    @property
    def name(self) -> str:
        """The tensor's name, with the channels where it is not all of them."""
        return self.tensor if self.whole else f"{self.tensor}[{self.start}:{self.stop}]"

    @property
    def elements(self) -> int:
        """How many numbers it has."""
        return prod(self.shape) if self.whole else prod(self.shape) // self.shape[self.axis] * (self.stop - self.start)

    @property
    def index(self) -> tuple[Any, ...]:
        """What selects it from the tensor's values, as a view of them."""
        return (...,) if self.whole else (slice(None),) * self.axis + (slice(self.start, self.stop),)


def whole(tensor: str, shape: Shape) -> Part:
    """All of a tensor."""
    return Part(tensor=tensor, shape=shape, stop=shape[0] if shape else 1)


def group_parts(graph: Graph, weight: str, groups: int) -> tuple[Part, ...]:
    """`weight` in `groups` runs of output channels, as even as they go. Raises InputError for more groups than
    channels."""
    shape, axis = graph.tensors[weight].shape, output_axis(graph, weight)
    channels = shape[axis] if shape else 1
    if not 1 <= groups <= channels:
        raise InputError(f"groups of {weight!r}", "more than it has channels", value=groups, limit=channels)
    edges = [channels * index // groups for index in range(groups + 1)]
    return tuple(Part(tensor=weight, shape=shape, axis=axis, start=start, stop=stop) for start, stop in pairwise(edges))
