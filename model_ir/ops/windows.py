"""Sliding windows shared by convolution and pooling: their attributes, output sizes and strided slices.

Output size as in the ONNX operator specification (Conv, MaxPool): floor((size + pads - dilation * (kernel - 1) - 1) /
stride) + 1, or the ceiling, in which case a window that would start in the end padding is left out (as onnxruntime and
PyTorch do).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from model_ir.op import Op
from model_ir.ops.checks import refusal

SPATIAL_NAMES = {1: ("w",), 2: ("h", "w"), 3: ("d", "h", "w")}


def check_windows(
    op: Op,
    rank: int,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
) -> None:
    """Raise InputError unless there is one positive kernel, stride and dilation and two non-negative pads per spatial
    axis (1 to 3)."""
    if rank not in SPATIAL_NAMES:
        raise refusal(op, "wrong number of spatial axes", value=rank, limit="1 to 3")
    for what, values, count, least in (
        ("kernel", kernel, rank, 1),
        ("strides", strides, rank, 1),
        ("dilations", dilations, rank, 1),
        ("pads", pads, 2 * rank, 0),
    ):
        if len(values) != count or any(value < least for value in values):
            raise refusal(op, f"{what} do not fit", value=tuple(values), limit=f"{count} values of at least {least}")


def window_counts(
    op: Op,
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    *,
    ceil_mode: bool = False,
) -> tuple[int, ...]:
    """Windows per spatial axis; raises InputError where the padded input is smaller than one window."""
    counts = []
    rank = len(sizes)
    for axis, (size, taps, stride, dilation) in enumerate(zip(sizes, kernel, strides, dilations, strict=True)):
        slack = size + pads[axis] + pads[rank + axis] - dilation * (taps - 1) - 1
        if slack < 0:
            raise refusal(
                op,
                f"window is larger than padded spatial axis {axis}",
                value=dilation * (taps - 1) + 1,
                limit=slack + dilation * (taps - 1) + 1,
            )
        count = slack // stride + 1
        if ceil_mode and slack % stride and count * stride < size + pads[axis]:
            count += 1
        counts.append(count)
    return tuple(counts)


def window_slice(x: Any, axis: int, start: int, count: int, stride: int) -> Any:
    """Every `stride`-th element from `start` along `axis`, `count` of them."""
    return x[(slice(None),) * axis + (slice(start, start + (count - 1) * stride + 1, stride),)]


def tap(x: Any, starts: Sequence[int], counts: Sequence[int], strides: Sequence[int]) -> Any:
    """The element at one kernel position of every window: (N, C, counts...) out of padded (N, C, spatial...)."""
    for axis, (start, count, stride) in enumerate(zip(starts, counts, strides, strict=True)):
        x = window_slice(x, axis + 2, start, count, stride)
    return x


def spatial_loops(name: str, rank: int) -> tuple[str, ...]:
    """Names of the spatial loops: ("oh", "ow") for "o" and 2 axes, ("kw",) for "k" and 1."""
    return tuple(name + axis for axis in SPATIAL_NAMES[rank])
