"""Programs of loop instructions for the tests: a tiled matmul by loop_ws, a tiled convolution by loop_conv_ws, and
their numpy oracles."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from simulator_programs import BASE, DIM, numpy_scaled

from simulator import isa
from simulator.isa_loops import LoopConv, LoopMatmul, loop_conv_ws, loop_ws

A_AT, B_AT, C_AT, D_AT, END = (BASE + (1 << 16) * part for part in range(5))


def empty_image():
    return np.zeros(END - BASE, np.uint8)


def place(image, address, array):
    data = np.ascontiguousarray(array).view(np.uint8).reshape(-1)
    image[address - BASE : address - BASE + data.size] = data


def blocks(elements):
    return -(-elements // DIM)


@dataclass(frozen=True)
class Matmul:
    """C (rows x columns) = act(A B + D), computed in tiles of `tile` = (i, j, k) blocks in `order`."""

    rows: int
    columns: int
    depth: int
    tile: tuple[int, int, int]
    order: str = "ijk"
    bias_bits: int = 0
    activation: int = 0
    full_c: bool = False
    a_transpose: bool = False
    b_transpose: bool = False


def matmul_program(case):
    """Configuration and one loop_ws a tile, k innermost; partial sums stay in the accumulator."""
    m, n, d = case.rows, case.columns, case.depth
    width = 4 if case.full_c else 1
    a_stride, b_stride = (m if case.a_transpose else d), (d if case.b_transpose else n)
    bias_bytes = 1 if case.bias_bits == 8 else 4
    commands = [
        isa.config_ex(a_transposed=case.a_transpose, b_transposed=case.b_transpose),
        isa.config_st(stride_bytes=n * width, activation=case.activation),
        isa.config_ld(stride_bytes=a_stride),
        isa.config_ld(stride_bytes=b_stride, load_id=1),
        isa.config_ld(stride_bytes=n * bias_bytes, load_id=2, shrink=case.bias_bits == 8),
    ]
    sizes = dict(zip("ijk", (m, n, d), strict=True))
    steps = dict(zip("ijk", case.tile, strict=True))
    axes = [range(0, blocks(sizes[axis]), steps[axis]) for axis in case.order]
    for at in product(*axes):
        first = dict(zip(case.order, at, strict=True))
        i, j, k = (first[axis] * DIM for axis in "ijk")
        count = {axis: min(steps[axis], blocks(sizes[axis]) - first[axis]) for axis in "ijk"}
        pad = {axis: max((first[axis] + count[axis]) * DIM - sizes[axis], 0) for axis in "ijk"}
        last = first["k"] + count["k"] == blocks(d)
        commands += loop_ws(
            LoopMatmul(
                max_i=count["i"], max_j=count["j"], max_k=count["k"],
                pad_i=pad["i"], pad_j=pad["j"], pad_k=pad["k"],
                a_dram_addr=A_AT + (k * a_stride + i if case.a_transpose else i * a_stride + k),
                b_dram_addr=B_AT + (j * b_stride + k if case.b_transpose else k * b_stride + j),
                d_dram_addr=D_AT + (i * n + j) * bias_bytes if case.bias_bits and k == 0 else 0,
                c_dram_addr=C_AT + (i * n + j) * width if last else 0,
                a_dram_stride=a_stride, b_dram_stride=b_stride, d_dram_stride=n, c_dram_stride=n,
                ex_accumulate=bool(case.bias_bits or k), full_c=case.full_c, low_d=case.bias_bits == 8,
                act=case.activation, a_transpose=case.a_transpose, b_transpose=case.b_transpose,
            )
        )  # fmt: skip
    return commands


@dataclass(frozen=True)
class Conv:
    """One convolution layer (channels last); every field as in LoopConv. `parts` are the tiles along batches,
    pooled rows, pooled columns, output channels, kernel rows, kernel columns and input channels."""

    batch: int = 1
    in_rows: int = 5
    in_columns: int = 5
    in_channels: int = 3
    out_channels: int = 4
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    kernel_dilation: int = 1
    input_dilated: bool = False
    downsample: bool = False
    pool_size: int = 1
    pool_stride: int = 0
    pool_padding: int = 0
    activation: int = 0
    scale: float = 1.0
    bias: bool = True
    wrot180: bool = False
    trans_output_1203: bool = False
    trans_weight_1203: bool = False
    trans_weight_0132: bool = False
    trans_input_3120: bool = False
    pixels: int = 1
    parts: tuple[int, int, int, int, int, int, int] = (1, 1, 1, 1, 1, 1, 1)

    def out(self, size):
        wide = 2 * size - 1 if self.input_dilated else size
        return (wide + 2 * self.padding - (self.kernel - 1) * self.kernel_dilation - 1) // self.stride + 1

    def pooled(self, size):
        return (size + 2 * self.pool_padding - self.pool_size) // max(self.pool_stride, 1) + 1


def conv_oracle(case, x, w, bias):
    """int8 (batch, rows, columns, channels): x (batch, rows, columns, in), w (kernel, kernel, in, out), int32 bias."""
    if case.input_dilated:
        spread = np.zeros((x.shape[0], 2 * x.shape[1] - 1, 2 * x.shape[2] - 1, x.shape[3]), np.int64)
        spread[:, ::2, ::2] = x
        x = spread
    p, s = case.padding, case.stride
    x = np.pad(x.astype(np.int64), ((0, 0), (p, p), (p, p), (0, 0)))
    w = w[::-1, ::-1] if case.wrot180 else w
    rows, columns = case.out(case.in_rows), case.out(case.in_columns)
    total = np.zeros((x.shape[0], rows, columns, w.shape[3]), np.int64) + (bias if case.bias else 0)
    for kr, kc in product(range(case.kernel), repeat=2):
        top, left = kr * case.kernel_dilation, kc * case.kernel_dilation
        total += x[:, top : top + rows * s : s, left : left + columns * s : s][:, :rows, :columns] @ w[kr, kc]
    result = numpy_scaled(np.maximum(total, 0) if case.activation else total, case.scale)
    if not case.pool_stride:
        return result
    q = case.pool_padding
    padded = np.pad(result, ((0, 0), (q, q), (q, q), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (case.pool_size, case.pool_size), (1, 2))
    return windows[:, :: case.pool_stride, :: case.pool_stride].max((-1, -2))


def conv_image(case, x, w, bias):
    """Memory with the operands in the layouts the case's transposes name."""
    image = empty_image()
    place(image, A_AT, x.transpose(3, 1, 2, 0) if case.trans_input_3120 else x)
    order = (0, 1, 2, 3)
    if case.trans_weight_1203:
        order = (2, 0, 1, 3)
    elif case.trans_weight_0132:
        order = (0, 1, 3, 2)
    place(image, B_AT, w.transpose(order))
    place(image, D_AT, bias)
    return image


def conv_result(case, image):
    """What the program stored, as (batch, rows, columns, channels) int8."""
    rows, columns = case.pooled(case.out(case.in_rows)), case.pooled(case.out(case.in_columns))
    shape = (case.batch, rows, columns, case.out_channels)
    data = image[C_AT - BASE :][: int(np.prod(shape))].view(np.int8)
    if case.trans_output_1203:
        return data.reshape(rows, columns, case.batch, case.out_channels).transpose(2, 0, 1, 3)
    return data.reshape(shape)


def _extent(start, count, size):
    """Padding before and after `count` elements from `start` of an axis that has `size`."""
    return max(-start, 0), max(start + count - size, 0)


def _input_extent(case, first, outputs, tap, taps, size):
    """Input start, and padding before and after, of `outputs` output elements from `first` under taps from `tap`."""
    start = first * case.stride + tap * case.kernel_dilation - case.padding
    count = outputs * case.stride + (taps - 1) * case.kernel_dilation
    before, after = _extent(start, count, 2 * size - 1 if case.input_dilated else size)
    if case.input_dilated:  # the tile begins and ends on a pixel, not on a hole
        before += before == 0 and start % 2 != 0
        after += after == 0 and (start + count) % 2 != 1
    return start, before, after


def _loop(case, steps, at):
    """The LoopConv of the tile that begins at `at` = (batch, pooled row, pooled column, out, krow, kcol, in)."""
    b, porow, pocol, poch, krow, kcol, kch = at
    out_rows, out_columns = case.out(case.in_rows), case.out(case.in_columns)
    pool_rows, pool_columns = case.pooled(out_rows), case.pooled(out_columns)
    ends = (case.batch, pool_rows, pool_columns, case.out_channels, case.kernel, case.kernel, case.in_channels)
    count = [min(step, end - start) for step, end, start in zip(steps, ends, at, strict=True)]
    step = max(case.pool_stride, 1)
    orow, ocol = porow * step - case.pool_padding, pocol * step - case.pool_padding
    rows, columns = (count[1] - 1) * step + case.pool_size, (count[2] - 1) * step + case.pool_size
    pupad, pdpad = _extent(orow, rows, out_rows)
    plpad, prad = _extent(ocol, columns, out_columns)
    orows, ocols = rows - pupad - pdpad, columns - plpad - prad
    irow, upad, dpad = _input_extent(case, max(orow, 0), orows, krow, count[4], case.in_rows)
    icol, lpad, rpad = _input_extent(case, max(ocol, 0), ocols, kcol, count[5], case.in_columns)
    row, column = (irow + upad) >> case.input_dilated, (icol + lpad) >> case.input_dilated
    pixel = row * case.in_columns + column
    source = ((b * case.in_rows * case.in_columns) + pixel) * case.in_channels + kch
    if case.trans_input_3120:
        source = (kch * case.in_rows * case.in_columns + pixel) * case.batch + b
    if case.wrot180:
        krow, kcol = case.kernel - krow - count[4], case.kernel - kcol - count[5]
    tap, channels, outputs = krow * case.kernel + kcol, case.in_channels, case.out_channels
    weights = (tap * channels + kch) * outputs + poch
    if case.trans_weight_1203:
        weights = (kch * case.kernel**2 + tap) * outputs + poch
    elif case.trans_weight_0132:
        weights = (tap * outputs + poch) * channels + kch
    output = ((b * pool_rows + porow) * pool_columns + pocol) * outputs + poch
    if case.trans_output_1203:
        output = ((porow * pool_columns + pocol) * case.batch + b) * outputs + poch
    first = at[4:] == (0, 0, 0)
    last = all(at[axis] + count[axis] == ends[axis] for axis in (4, 5, 6))
    return LoopConv(
        batch_size=case.batch, in_row_dim=case.in_rows, in_col_dim=case.in_columns, in_channels=channels,
        out_channels=outputs, out_row_dim=out_rows, out_col_dim=out_columns,
        pool_out_row_dim=pool_rows, pool_out_col_dim=pool_columns,
        stride=case.stride, padding=case.padding, kernel_dim=case.kernel, kernel_dilation=case.kernel_dilation,
        in_stride=channels, weight_stride=outputs, out_stride=outputs,
        pool_size=case.pool_size, pool_stride=step, pool_padding=case.pool_padding,
        batches=count[0], porows=count[1], pocols=count[2], pochs=count[3], krows=count[4], kcols=count[5],
        kchs=count[6], lpad=lpad, rpad=rpad, upad=upad, dpad=dpad, plpad=plpad, prad=prad, pupad=pupad, pdpad=pdpad,
        orows=orows, ocols=ocols,
        weights=B_AT + weights, output=C_AT + output if last else 0,
        bias=(D_AT + 4 * poch if case.bias else 1) if first else 0, input=A_AT + source,
        no_bias=not case.bias, no_pool=case.pool_stride == 0, downsample=case.downsample,
        input_dilated=case.input_dilated, activation=case.activation, wrot180=case.wrot180,
        trans_output_1203=case.trans_output_1203, trans_weight_1203=case.trans_weight_1203,
        trans_weight_0132=case.trans_weight_0132, trans_input_3120=case.trans_input_3120,
        max_pixels_per_row=case.pixels,
    )  # fmt: skip


def conv_loops(case):
    """The loops of all tiles; kernel and input channels innermost, their partial sums stay in the accumulator."""
    rows, columns = case.pooled(case.out(case.in_rows)), case.pooled(case.out(case.in_columns))
    ends = (case.batch, rows, columns, case.out_channels, case.kernel, case.kernel, case.in_channels)
    steps = tuple(-(-end // part) for part, end in zip(case.parts, ends, strict=True))
    axes = [range(0, end, step) for end, step in zip(ends, steps, strict=True)]
    return [_loop(case, steps, at) for at in product(*axes)]


def conv_program(case):
    """Configuration and one loop_conv_ws a tile."""
    transposed_stride = case.batch * case.out_channels
    commands = [
        isa.config_st(
            stride_bytes=transposed_stride if case.trans_output_1203 else case.out_channels,
            activation=case.activation,
            scale=case.scale,
        ),
        isa.config_ex(
            a_stride=case.stride >> case.downsample,
            c_stride=1 + case.input_dilated,
            a_transposed=case.trans_input_3120,
            b_transposed=case.trans_weight_0132,
        ),
    ]
    for loop in conv_loops(case):
        commands += loop_conv_ws(loop)
    return commands
