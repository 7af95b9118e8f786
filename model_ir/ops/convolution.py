"""The arithmetic of convolution on either array module: im2col by strided slices and matrix products."""

from __future__ import annotations

from functools import reduce
from itertools import product
from math import prod
from operator import add
from typing import Any

from model_ir.ops.arrays import pad_spatial
from model_ir.ops.windows import tap

COLUMN_ELEMENTS = 1 << 24
"""Largest im2col buffer that a convolution builds at a time (elements); more kernel positions take several passes."""


def convolve(
    xp: Any,
    x: Any,
    weight: Any,
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
    group: int,
) -> Any:
    """Grouped convolution by im2col, as many kernel positions at a time as `COLUMN_ELEMENTS` allows, one matrix product
    each."""
    batch, channels = x.shape[:2]
    out_channels, group_channels, *kernel = weight.shape
    padded = pad_spatial(xp, x, pads)
    counts = [
        (size - dilation * (taps - 1) - 1) // stride + 1
        for size, taps, stride, dilation in zip(padded.shape[2:], kernel, strides, dilations, strict=True)
    ]
    positions = [
        tuple(step * dilation for step, dilation in zip(steps, dilations, strict=True))
        for steps in product(*map(range, kernel))
    ]
    weight = weight.reshape(group, out_channels // group, group_channels, len(positions))
    chunk = max(1, COLUMN_ELEMENTS // (batch * channels * prod(counts)))

    def part(first: int) -> Any:
        taps = [tap(padded, starts, counts, strides) for starts in positions[first : first + chunk]]
        columns = xp.stack(taps, axis=2) if len(taps) > 1 else taps[0]
        columns = columns.reshape(batch, group, group_channels * len(taps), prod(counts))
        matrix = weight[..., first : first + len(taps)].reshape(group, out_channels // group, -1)
        return xp.matmul(matrix, columns)

    total = reduce(add, map(part, range(0, len(positions), chunk)))
    return total.reshape(batch, out_channels, *counts)


def spread(xp: Any, x: Any, axis: int, stride: int) -> Any:
    """Put `stride - 1` zeros between neighbours along `axis`."""
    if stride == 1:
        return x
    size = x.shape[axis]
    wide = xp.pad(
        xp.expand_dims(x, axis + 1), [(0, 0)] * (axis + 1) + [(0, stride - 1)] + [(0, 0)] * (x.ndim - axis - 1)
    )
    joined = wide.reshape(*x.shape[:axis], size * stride, *x.shape[axis + 1 :])
    return joined[(slice(None),) * axis + (slice(0, size * stride - stride + 1),)]
