"""Hypothesis strategies for small nests and legal mappings of them, machines to map them to, and what a nest must
compute."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
from hypothesis import strategies as st

from model_ir.errors import InfeasibleError, InputError
from simulator.accelerator_file import load_accelerator
from simulator.array_nest import ArrayNest, Repeat
from simulator.mapping import Mapping, Tile, check_legal
from simulator.packing import most_pixels_per_row


def machine(dim, scratchpad_rows, accumulator_rows):
    """Gemmini with another array and memories."""
    gemmini = load_accelerator("gemmini")
    return msgspec.structs.replace(
        gemmini,
        name=f"gemmini {dim}",
        array=msgspec.structs.replace(gemmini.array, rows=dim, columns=dim),
        scratchpad=msgspec.structs.replace(gemmini.scratchpad, capacity_bytes=scratchpad_rows * dim),
        accumulator=msgspec.structs.replace(gemmini.accumulator, capacity_bytes=accumulator_rows * dim * 4),
    )


MACHINES = (
    load_accelerator("gemmini"),
    machine(16, 512, 128),
    machine(4, 512, 128),
    machine(4, 4096, 1024),
    machine(8, 256, 64),
)


@st.composite
def matmuls(draw, largest=70):
    """A matmul, possibly transposed, with a bias, repeats and rows further apart than they are long."""
    size = st.integers(1, largest)
    rows, columns, depth = draw(size), draw(size), draw(size)
    transpose_a, transpose_b, bias = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    gap = st.sampled_from((0, 0, 3))
    a_stride = (rows if transpose_a else depth) + draw(gap)
    b_stride = (depth if transpose_b else columns) + draw(gap)
    c_stride = columns + draw(gap)
    count = draw(st.sampled_from((1, 1, 2, 3)))
    shared = draw(st.sampled_from((0, 1)))
    repeat = Repeat(
        count=count,
        a_stride=a_stride * (depth if transpose_a else rows),
        b_stride=shared * b_stride * (columns if transpose_b else depth),
        c_stride=c_stride * rows,
        bias_stride=shared * columns,
    )
    return ArrayNest(
        images=1,
        out_rows=1,
        out_columns=rows,
        out_channels=columns,
        kernel_rows=1,
        kernel_columns=1,
        in_channels=depth,
        in_rows=1,
        in_columns=rows,
        row_stride=1,
        column_stride=1,
        row_dilation=1,
        column_dilation=1,
        top_pad=0,
        left_pad=0,
        a_stride=a_stride,
        b_stride=b_stride,
        c_stride=c_stride,
        repeats=(repeat,) if count > 1 else (),
        transpose_a=transpose_a,
        transpose_b=transpose_b,
        bias=bias,
    )


@st.composite
def convolutions(draw, few_channels=False):
    """A convolution of up to two images; groups as repeats over slices of the channels. With `few_channels` one of
    which kernel columns can share a row of most machines."""
    images, in_rows = draw(st.integers(1, 2)), draw(st.integers(1, 11))
    in_columns = draw(st.integers(8 if few_channels else 1, 24))
    stride, dilation, kernel, pad = st.integers(1, 3), st.integers(1, 2), st.integers(1, 3), st.integers(0, 2)
    axes = []
    for size in (in_rows, in_columns):
        if few_channels and axes:
            kernel, dilation = st.integers(2, 7), st.just(1)
        taps, step, spread, before, after = draw(kernel), draw(stride), draw(dilation), draw(pad), draw(pad)
        reach = (taps - 1) * spread + 1
        before = max(before, reach - size - after)
        axes.append((taps, step, spread, before, (size + before + after - reach) // step + 1))
    groups = draw(st.sampled_from((1, 1, 2)))
    in_channels, out_channels = draw(st.integers(1, 4 if few_channels else 24)), draw(st.integers(1, 40))
    rows, columns = axes
    repeat = Repeat(
        count=groups, a_stride=in_channels, b_stride=out_channels, c_stride=out_channels, bias_stride=out_channels
    )
    return ArrayNest(
        images=images,
        out_rows=rows[4],
        out_columns=columns[4],
        out_channels=out_channels,
        kernel_rows=rows[0],
        kernel_columns=columns[0],
        in_channels=in_channels,
        in_rows=in_rows,
        in_columns=in_columns,
        row_stride=rows[1],
        column_stride=columns[1],
        row_dilation=rows[2],
        column_dilation=columns[2],
        top_pad=rows[3],
        left_pad=columns[3],
        a_stride=groups * in_channels,
        b_stride=groups * out_channels,
        c_stride=groups * out_channels,
        repeats=(repeat,) if groups > 1 else (),
        transpose_a=False,
        transpose_b=False,
        bias=draw(st.booleans()),
    )


FEW_CHANNELS = convolutions(few_channels=True)
NESTS = st.one_of(matmuls(), convolutions(), FEW_CHANNELS)


def _sizes(draw, limit, dim):
    """A tile size: any for loops that are not channels (dim 1), whole blocks or all of them for channels."""
    blocks = draw(st.integers(1, -(-limit // dim)))
    return min(limit, blocks * dim)


@st.composite
def legal_mappings(draw, nest, accelerator):
    """Any legal mapping of `nest`: drawn sizes are halved until they fit; None where not even the smallest does, or
    where the drawn dataflow cannot feed the nest's transposes."""
    dim = accelerator.dim
    order = draw(st.sampled_from(("pixels_outer", "channels_outer")))
    flow = draw(st.sampled_from(("ws", "os")))
    if nest.transpose_b:
        flow = "os" if nest.transpose_a else "ws"
    tile = Tile(
        images=_sizes(draw, nest.images, 1),
        out_rows=_sizes(draw, nest.out_rows, 1),
        out_columns=_sizes(draw, nest.out_columns, 1),
        out_channels=_sizes(draw, nest.out_channels, dim),
        kernel_rows=_sizes(draw, nest.kernel_rows, 1),
        kernel_columns=_sizes(draw, nest.kernel_columns, 1),
        in_channels=_sizes(draw, nest.in_channels, dim),
    )
    if most_pixels_per_row(nest, accelerator) > 1 and draw(st.booleans()):
        tile = replace(tile, out_columns=nest.out_columns, kernel_columns=nest.kernel_columns)
    mapping = Mapping(
        dataflow=flow,
        tile=tile,
        order=order,
        a_placement=draw(st.sampled_from(("tile", "panel", "whole") if order == "pixels_outer" else ("tile", "whole"))),
        b_placement=draw(
            st.sampled_from(("tile", "panel", "whole") if order == "channels_outer" else ("tile", "whole"))
        ),
        **{f"{operand}_copies": draw(st.sampled_from((2, 2, 1))) for operand in "abc"},
    )
    while mapping is not None and not _fits(nest, mapping, accelerator):
        mapping = _smaller(mapping, dim)
    if mapping is None or most_pixels_per_row(nest, accelerator) == 1:
        return mapping
    packings = [replace(mapping, max_pixels_per_row=pixels) for pixels in range(1, mapping.tile.kernel_columns + 1)]
    return draw(st.sampled_from([packed for packed in packings[::-1] if _fits(nest, packed, accelerator)]))


def _fits(nest, mapping, accelerator):
    try:
        check_legal(nest, mapping, accelerator)
    except (InfeasibleError, InputError):
        return False
    return True


def _smaller(mapping, dim):
    """Placements back to "tile" first, then the largest tile size halved; None at the end."""
    for name in ("a_placement", "b_placement"):
        if getattr(mapping, name) != "tile":
            return replace(mapping, **{name: "tile"})
    units = {"in_channels": dim, "out_channels": dim}
    sizes = {name: getattr(mapping.tile, name) for name in Tile.__dataclass_fields__}
    weights = {name: size // units.get(name, 1) for name, size in sizes.items()}
    name = max(weights, key=lambda key: weights[key])
    unit = units.get(name, 1)
    half = max(1, weights[name] // 2) * unit
    if half >= sizes[name]:
        return None
    return replace(mapping, tile=replace(mapping.tile, **{name: half}))


def operand_sizes(nest):
    """Elements that A, B, C and the bias span, repeats included."""
    sizes = []
    for name in ("a", "b", "c", "bias"):
        last = sum((repeat.count - 1) * getattr(repeat, f"{name}_stride") for repeat in nest.repeats)
        sizes.append(last)
    if nest.transpose_a:
        a = nest.a_stride * (nest.in_channels - 1) + nest.out_columns
    else:
        a = nest.a_stride * (nest.images * nest.in_rows * nest.in_columns - 1) + nest.in_channels
    positions = nest.kernel_rows * nest.kernel_columns
    if nest.transpose_b:
        b = nest.b_stride * (nest.out_channels - 1) + nest.in_channels
    else:
        b = nest.b_stride * (positions * nest.in_channels - 1) + nest.out_channels
    c = nest.c_stride * (nest.pixels - 1) + nest.out_channels
    return sizes[0] + a, sizes[1] + b, sizes[2] + c, sizes[3] + nest.out_channels


def repeat_offsets(nest):
    """(A, B, C, bias) element offsets of every repeat."""
    offsets = [(0, 0, 0, 0)]
    for repeat in nest.repeats:
        steps = (repeat.a_stride, repeat.b_stride, repeat.c_stride, repeat.bias_stride)
        offsets = [
            tuple(o + index * s for o, s in zip(old, steps, strict=True))
            for old in offsets
            for index in range(repeat.count)
        ]
    return offsets


def oracle(nest, a, b, bias):
    """(C indices, exact int64 sums): flat element indices of C and what belongs there, by plain indexing in numpy."""
    axes = (nest.images, nest.out_rows, nest.out_columns, nest.kernel_rows, nest.kernel_columns, nest.in_channels)
    image, row, column, krow, kcol, channel = np.ogrid[tuple(slice(0, size) for size in axes)]
    in_row = row * nest.row_stride + krow * nest.row_dilation - nest.top_pad
    in_column = column * nest.column_stride + kcol * nest.column_dilation - nest.left_pad
    inside = (in_row >= 0) & (in_row < nest.in_rows) & (in_column >= 0) & (in_column < nest.in_columns)
    if nest.transpose_a:
        a_at = channel * nest.a_stride + in_column
    else:
        a_at = ((image * nest.in_rows + in_row) * nest.in_columns + in_column) * nest.a_stride + channel
    a_at, inside = np.broadcast_arrays(a_at, inside)
    outs = np.arange(nest.out_channels)
    depth = np.arange(nest.kernel_rows * nest.kernel_columns * nest.in_channels)
    b_at = (
        outs[None, :] * nest.b_stride + depth[:, None]
        if nest.transpose_b
        else depth[:, None] * nest.b_stride + outs[None, :]
    )
    indices, sums = [], []
    for a_from, b_from, c_from, bias_from in repeat_offsets(nest):
        left = np.where(inside, a[np.where(inside, a_at + a_from, 0)], 0).reshape(nest.pixels, -1)
        total = left.astype(np.int64) @ b[b_at + b_from].astype(np.int64)
        if nest.bias:
            total = total + bias[bias_from + outs][None, :]
        indices.append(c_from + np.arange(nest.pixels)[:, None] * nest.c_stride + outs[None, :])
        sums.append(total)
    return np.stack(indices), np.stack(sums)
