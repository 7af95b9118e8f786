"""Grouped and depthwise convolutions on a square array: several groups side by side in one block of weights.

One group of a depthwise convolution has one input and one output channel and uses one of the array's DIM x DIM cells.
The weights are parameters, so they may be stored as block-diagonal matrices: a block then takes DIM channels of a pixel
at once, multiplies them with mostly zeros, and returns DIM results, in the cycles one group took.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest, Repeat

Element = TypeVar("Element", np.int8, np.float64)


def pack_groups(nest: ArrayNest, accelerator: Accelerator) -> ArrayNest:
    """`nest` with as many neighbouring groups in a block as fit and divide their number, B stored as `block_diagonal`
    stores it; `nest` itself where no two groups fit a block or none lie side by side."""
    at, packed = next(
        ((at, size) for at, repeat in enumerate(nest.repeats) if (size := _packed(nest, repeat, accelerator)) > 1),
        (0, 1),
    )
    if packed == 1 or nest.transpose_a or nest.transpose_b:
        return nest
    groups, others = nest.repeats[at], nest.repeats[:at] + nest.repeats[at + 1 :]
    if any(repeat.b_stride for repeat in others):
        return nest
    wide = packed * nest.out_channels
    repeat = Repeat(
        count=groups.count // packed,
        a_stride=packed * groups.a_stride,
        b_stride=nest.kernel_rows * nest.kernel_columns * packed * nest.in_channels * wide,
        c_stride=packed * groups.c_stride,
        bias_stride=packed * groups.bias_stride,
    )
    return replace(
        nest,
        in_channels=packed * nest.in_channels,
        out_channels=wide,
        b_stride=wide,
        repeats=(*nest.repeats[:at], repeat, *nest.repeats[at + 1 :]),
        groups=packed,
    )


def _packed(nest: ArrayNest, repeat: Repeat, accelerator: Accelerator) -> int:
    """How many groups of `repeat` share a block: the most that fit and divide their number."""
    side_by_side = (
        repeat.a_stride == nest.in_channels
        and repeat.c_stride == nest.out_channels
        and repeat.b_stride > 0
        and (repeat.bias_stride == nest.out_channels or not nest.bias)
    )
    most = accelerator.dim // max(nest.in_channels, nest.out_channels)
    return max((size for size in range(1, most + 1) if repeat.count % size == 0), default=1) if side_by_side else 1


def block_diagonal(weights: npt.NDArray[Element], packed: int) -> npt.NDArray[Element]:
    """Weights (kernel_rows, kernel_columns, in_channels, groups, out_channels) of single groups as a packed nest's B:
    (groups / packed, kernel_rows, kernel_columns, packed, in_channels, packed, out_channels), zero between groups."""
    rows, columns, depth, groups, width = weights.shape
    blocks = np.zeros((groups // packed, rows, columns, packed, depth, packed, width), weights.dtype)
    for group in range(groups):
        blocks[group // packed, :, :, group % packed, :, group % packed, :] = weights[:, :, :, group, :]
    return blocks
