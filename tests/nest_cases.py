"""Small random nests, machines and mappings, shared by the tests of cost models and mapper; and the real layers they
run on."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from simulator.accelerator import Accelerator
from simulator.accelerator_file import load_accelerator
from simulator.array_nest import ArrayNest, Repeat
from simulator.mapping import PLACEMENTS, Mapping, Tile, dataflows
from simulator.packing import most_pixels_per_row

GEMMINI = load_accelerator("gemmini")


def matmul(m: int, k: int, n: int, **changes: Any) -> ArrayNest:
    """C[m, n] = A[m, k] B[k, n] + bias."""
    return convolution(1, m, 1, k, n, rows=1, **changes)


def convolution(
    images: int,
    columns: int,
    kernel: int,
    in_channels: int,
    out_channels: int,
    *,
    rows: int | None = None,
    stride: int = 1,
    dilation: int = 1,
    pad: int = 0,
    **changes: Any,
) -> ArrayNest:
    """A convolution of an image of `rows` (default: `columns`) x `columns` input pixels."""
    in_rows = columns if rows is None else rows
    reach = (kernel - 1) * dilation + 1
    fields = {
        "images": images,
        "out_rows": (in_rows + 2 * pad - reach) // stride + 1,
        "out_columns": (columns + 2 * pad - reach) // stride + 1,
        "out_channels": out_channels,
        "kernel_rows": kernel,
        "kernel_columns": kernel,
        "in_channels": in_channels,
        "in_rows": in_rows,
        "in_columns": columns,
        "row_stride": stride,
        "column_stride": stride,
        "row_dilation": dilation,
        "column_dilation": dilation,
        "top_pad": pad,
        "left_pad": pad,
        "a_stride": in_channels,
        "b_stride": out_channels,
        "c_stride": out_channels,
        "repeats": (),
        "transpose_a": False,
        "transpose_b": False,
        "bias": True,
    }
    return ArrayNest(**(fields | changes))


def machine(
    dim: int, scratchpad_rows: int, accumulator_rows: int, *, base: Accelerator = GEMMINI, **dma: int
) -> Accelerator:
    """Gemmini with another array size and other memories, in rows; `dma` changes fields of its DMA."""
    replace = msgspec.structs.replace
    return replace(
        base,
        name=f"gemmini{dim}",
        array=replace(base.array, rows=dim, columns=dim, minimum_rows_per_compute=min(4, dim)),
        scratchpad=replace(base.scratchpad, capacity_bytes=scratchpad_rows * dim * base.input_bytes),
        accumulator=replace(base.accumulator, capacity_bytes=accumulator_rows * dim * base.accumulator_bytes),
        dma=replace(base.dma, **dma),
    )


@st.composite
def machines(draw: st.DrawFn) -> Accelerator:
    """2x2 and 4x4 arrays with a few dozen rows of memory, and buses of one or several blocks."""
    dim = draw(st.sampled_from((2, 4)))
    bus = draw(st.sampled_from((4, 16)))
    return machine(
        dim,
        draw(st.integers(8, 96)),
        draw(st.integers(2, 48)),
        bus_bytes=bus,
        request_bytes=bus * draw(st.sampled_from((1, 4))),
    )


@st.composite
def nests(draw: st.DrawFn, largest: int = 6) -> ArrayNest:
    """Matmuls (also with transposed operands) and convolutions with strides, dilations, pads and repeats."""
    channels = st.integers(1, 2 * largest)
    repeats = draw(st.sampled_from(((), (), (2,), (3, 2))))
    common = {
        "repeats": tuple(Repeat(count=count, a_stride=7, b_stride=7, c_stride=7) for count in repeats),
        "bias": draw(st.booleans()),
    }
    if draw(st.booleans()):
        transposed = draw(st.sampled_from(((False, False), (False, True), (True, False), (True, True))))
        common |= dict(zip(("transpose_a", "transpose_b"), transposed, strict=True))
        return matmul(draw(st.integers(1, 3 * largest)), draw(channels), draw(channels), **common)
    kernel, dilation, pad = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(0, 1))
    reach = (kernel - 1) * dilation + 1
    size = draw(st.integers(max(1, reach - 2 * pad), max(largest, reach)))
    return convolution(
        draw(st.integers(1, 2)),
        size,
        kernel,
        draw(channels),
        draw(channels),
        stride=draw(st.integers(1, 2)),
        dilation=dilation,
        pad=pad,
        **common,
    )


@st.composite
def few_channels(draw: st.DrawFn, largest: int = 8) -> ArrayNest:
    """Convolutions of which kernel columns can share a row of a small array: one or two channels, lines of `largest`
    pixels at most."""
    kernel, pad = draw(st.integers(2, 4)), draw(st.integers(0, 2))
    columns = draw(st.integers(max(kernel, 4), largest))
    return convolution(
        draw(st.integers(1, 2)),
        columns,
        kernel,
        draw(st.integers(1, 2)),
        draw(st.integers(1, 5)),
        rows=draw(st.integers(kernel, kernel + 1)),
        stride=draw(st.integers(1, 2)),
        pad=pad,
        bias=draw(st.booleans()),
        repeats=draw(st.sampled_from(((), (), (Repeat(count=2, a_stride=7, b_stride=7, c_stride=7),)))),
    )


@st.composite
def mappings(draw: st.DrawFn, nest: ArrayNest, accelerator: Accelerator) -> Mapping:
    """Any mapping of the vocabulary; it need not fit."""
    order, a_placement, b_placement = draw(st.sampled_from(PLACEMENTS))
    sizes = {name: draw(st.integers(1, getattr(nest, name))) for name in Tile.__dataclass_fields__}
    for name in ("in_channels", "out_channels"):
        whole = getattr(nest, name)
        sizes[name] = min(whole, -(-sizes[name] // accelerator.dim) * accelerator.dim)
    return Mapping(
        dataflow=draw(st.sampled_from(dataflows(nest, accelerator))),
        tile=Tile(**sizes),
        order=order,
        a_placement=a_placement,
        b_placement=b_placement,
        max_pixels_per_row=draw(st.integers(1, most_pixels_per_row(nest, accelerator))),
    )


RESNET50 = {
    "conv1": convolution(1, 224, 7, 3, 64, stride=2, pad=3),
    "56 1x1 64-64": matmul(3136, 64, 64),
    "56 3x3 64": convolution(1, 56, 3, 64, 64, pad=1),
    "56 1x1 64-256": matmul(3136, 64, 256),
    "56 1x1 256-64": matmul(3136, 256, 64),
    "56 1x1 256-128": matmul(3136, 256, 128),
    "56 3x3/2 128": convolution(1, 56, 3, 128, 128, stride=2, pad=1),
    "28 1x1 128-512": matmul(784, 128, 512),
    "56 1x1/2 256-512": convolution(1, 56, 1, 256, 512, stride=2),
    "28 1x1 512-128": matmul(784, 512, 128),
    "28 3x3 128": convolution(1, 28, 3, 128, 128, pad=1),
    "28 1x1 512-256": matmul(784, 512, 256),
    "28 3x3/2 256": convolution(1, 28, 3, 256, 256, stride=2, pad=1),
    "14 1x1 256-1024": matmul(196, 256, 1024),
    "28 1x1/2 512-1024": convolution(1, 28, 1, 512, 1024, stride=2),
    "14 1x1 1024-256": matmul(196, 1024, 256),
    "14 3x3 256": convolution(1, 14, 3, 256, 256, pad=1),
    "14 1x1 1024-512": matmul(196, 1024, 512),
    "14 3x3/2 512": convolution(1, 14, 3, 512, 512, stride=2, pad=1),
    "7 1x1 512-2048": matmul(49, 512, 2048),
    "14 1x1/2 1024-2048": convolution(1, 14, 1, 1024, 2048, stride=2),
    "7 1x1 2048-512": matmul(49, 2048, 512),
    "7 3x3 512": convolution(1, 7, 3, 512, 512, pad=1),
    "fc": matmul(1, 2048, 1000),
}
"""The distinct layers of ResNet-50 (He et al., CVPR 2016, table 1; stride in the 3x3 and its shortcut), one image."""

_HEADS = (Repeat(count=12, a_stride=64, b_stride=64, c_stride=512 * 512),)

BERT = {
    "projection": matmul(512, 768, 768),
    "scores": matmul(512, 64, 512, bias=False, transpose_b=True, repeats=_HEADS),
    "context": matmul(512, 512, 64, bias=False, repeats=_HEADS),
    "feed forward 1": matmul(512, 768, 3072),
    "feed forward 2": matmul(512, 3072, 768),
}
"""The distinct matmuls of BERT-Base at 512 tokens (Devlin et al., 2019)."""
