"""A slow executor of LoopNests in plain Python: what the loops, the accesses and the padding rule literally say.

It knows no operator: an operator's nest is right if this agrees with the operator's own definition.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from model_ir.loop_nest import Access, LoopNest

Array = npt.NDArray[Any]
Point = Mapping[str, int]


def address(access: Access, point: Point) -> tuple[int, ...] | None:
    """The element that `access` addresses at `point`, or None outside the tensor."""
    assert len(access.indices) == len(access.shape), f"{access.tensor}: one index per axis"
    place = tuple(
        index.offset + sum(coefficient * point[name] for name, coefficient in index.terms) for index in access.indices
    )
    inside = all(0 <= position < size for position, size in zip(place, access.shape, strict=True))
    return place if inside else None


def points(nest: LoopNest) -> list[dict[str, int]]:
    """Every point of the iteration space."""
    names = [name for name, _ in nest.dims]
    assert len(set(names)) == len(names)
    return [dict(zip(names, values, strict=True)) for values in product(*(range(size) for _, size in nest.dims))]


def _read(access: Access, values: Array, point: Point) -> Any:
    place = address(access, point)
    return 0 if place is None else values[place]


def bias_of_output(nest: LoopNest, bias: Access, values: Array) -> Array:
    """The bias spread over the output: each of its axes follows the output axis that has the same index."""
    result = np.zeros(nest.write.shape)
    for place in np.ndindex(*nest.write.shape):
        source = tuple(
            0 if size == 1 else place[nest.write.indices.index(index)]
            for index, size in zip(bias.indices, bias.shape, strict=True)
        )
        result[place] = values[source]
    return result


def run(nest: LoopNest, operands: list[Array]) -> Array:
    """Execute a "mac" or "move" nest on operands in storage order (one per read); the result is in storage order,
    float64."""
    for access, values in zip(nest.reads, operands, strict=True):
        assert access.shape == values.shape, f"{access.tensor}: access {access.shape}, operand {values.shape}"
    operands = [values.astype(np.float64) for values in operands]
    if nest.kind == "mac" and len(operands) == 3:
        result = bias_of_output(nest, nest.reads[2], operands[2])
    else:
        result = np.zeros(nest.write.shape)
    for point in points(nest):
        place = address(nest.write, point)
        if place is None:
            continue
        read = [_read(access, values, point) for access, values in zip(nest.reads, operands, strict=True)]
        result[place] += read[0] * read[1] if nest.kind == "mac" else sum(read)
    return result


def elements_reached(nest: LoopNest, access: Access) -> int:
    """How many different elements of the tensor the loops address."""
    return len({place for point in points(nest) if (place := address(access, point)) is not None})
