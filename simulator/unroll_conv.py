"""loop_conv_ws as the plain commands Gemmini's LoopConv.scala emits for it (ucb-bar/gemmini at 8c3f992).

The order here is one that gives the right values when commands take effect one after the other: loads of bias, input
and weights, then all computes, then all stores, each group in the order of its state machine. `cycle_level.loop_conv`
interleaves them as the RTL does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from model_ir.errors import InputError
from simulator.accelerator import Accelerator
from simulator.isa import (
    COMPUTE_ACCUMULATED,
    COMPUTE_PRELOADED,
    CONFIG,
    CONFIG_ST,
    GARBAGE,
    MVIN,
    MVIN2,
    MVIN3,
    MVOUT,
    PRELOAD,
    config_ex,
    config_ld,
    program_of,
)
from simulator.isa_loops import LoopConv
from simulator.program import Program
from simulator.unroll_words import Ints, accumulator, alternated, commands, grid, joined, memory, scratchpad, spans

SCALE_UNCHANGED = (1 << 32) - 1
"""The config_st scale that keeps the one set before (ACC_SCALE_NO_CHANGE, LoopConv.scala)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvShape:
    """What a LoopConv implies, in pixels and local rows (derived_params, LoopConv.scala).

    `irows`, `icols` are the input tile with its padding, `unpadded_*` without; `upad`, `lpad`, `dpad`, `rpad` its
    padding after undilating; `image` the local rows of one input image as loaded; strides separate blocks of DIM
    channels of one operand.
    """

    irows: int
    icols: int
    unpadded_rows: int
    unpadded_columns: int
    upad: int
    lpad: int
    dpad: int
    rpad: int
    image: int
    input_stride: int
    weight_stride: int
    weight_rows: int
    pixels_out: int


def undilated(value: int, dilated: bool) -> int:
    """Pixels that remain of `value` when every second one is a hole of a dilated input."""
    return (value + dilated) >> dilated


def conv_shape(loop: LoopConv, dim: int) -> ConvShape:
    """The sizes `loop` implies on a machine of `dim` columns; InputError where padding exceeds the tile."""
    spread_rows = loop.krows + (loop.kernel_dilation - 1) * (loop.krows - 1)
    spread_columns = loop.kcols + (loop.kernel_dilation - 1) * (loop.kcols - 1)
    irows, icols = loop.orows * loop.stride + spread_rows - 1, loop.ocols * loop.stride + spread_columns - 1
    holes = loop.input_dilated
    rows, columns = irows - loop.upad - loop.dpad, icols - loop.lpad - loop.rpad
    if rows < 0 or columns < 0:
        raise InputError("loop_conv_ws.pads", "padding exceeds the tile's input", value=min(rows, columns), limit=0)
    rows, columns = undilated(rows, holes), undilated(columns, holes)
    upad, dpad, lpad, rpad = (undilated(pad, holes) for pad in (loop.upad, loop.dpad, loop.lpad, loop.rpad))
    if holes:
        irows, icols = rows + upad + dpad, columns + lpad + rpad
    image = (irows >> loop.downsample) * (icols >> loop.downsample)
    taps = loop.krows * loop.kcols
    in_blocks, out_blocks = -(-loop.kchs // dim), -(-loop.pochs // dim)
    return ConvShape(
        irows=irows, icols=icols, unpadded_rows=rows, unpadded_columns=columns,
        upad=upad, lpad=lpad, dpad=dpad, rpad=rpad, image=image,
        input_stride=(loop.kchs if loop.trans_input_3120 else loop.batches) * image,
        weight_stride=taps * (loop.pochs if loop.trans_weight_0132 else loop.kchs),
        weight_rows=taps * (in_blocks * loop.pochs if loop.trans_weight_0132 else out_blocks * loop.kchs),
        pixels_out=loop.orows * loop.ocols,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvPlacement:
    """First scratchpad row of the input, the row past the weights' last, first accumulator row of the output."""

    a_start: int
    b_end: int
    c_start: int


def conv_placement(loop: LoopConv, slot: int, half: int, accelerator: Accelerator) -> ConvPlacement:
    """The halves of scratchpad and accumulator a loop takes that runs from register set `slot` (0 or 1) while stores
    have alternated to accumulator `half`."""
    sp_half = accelerator.scratchpad_rows // 2
    return ConvPlacement(
        a_start=(loop.a_spad_id - 1 if loop.a_spad_id else slot) * sp_half,
        b_end=(loop.b_spad_id or slot + 1) * sp_half,
        c_start=half * (accelerator.accumulator_rows // 2),
    )


def _result_rows(loop: LoopConv, place: ConvPlacement, dim: int, och: Ints, b: Ints, orow: Ints, ocol: Ints) -> Ints:
    image = loop.orows * loop.ocols
    return place.c_start + (och // dim) * loop.batches * image + b * image + orow * loop.ocols + ocol


def _load_bias(loop: LoopConv, place: ConvPlacement, machine: Accelerator, shape: ConvShape) -> Program:
    dim = machine.dim
    if loop.bias == 0:
        return joined([])
    step = min(loop.pochs, max(machine.dma.request_bytes // (dim * machine.accumulator_bytes), 1) * dim)
    axes = (range(loop.batches), range(loop.orows), range(0, loop.ocols, dim), range(0, loop.pochs, step))
    b, orow, ocol, och = grid(*axes)
    address = accumulator(_result_rows(loop, place, dim, och, b, orow, ocol), "loop_conv_ws.bias")
    source = memory(0, och * 0) if loop.no_bias else memory(loop.bias, och * machine.accumulator_bytes)
    words = spans(np.minimum(dim, loop.ocols - ocol), np.minimum(step, loop.pochs - och), address)
    stride = loop.batches * shape.pixels_out
    return joined([
        program_of([config_ld(stride_bytes=0, block_stride=stride, load_id=2)]),
        commands(MVIN3, source, words),
    ])  # fmt: skip


def _column_runs(loop: LoopConv, shape: ConvShape, dim: int) -> list[tuple[int, int]]:
    """(first input column, columns) of each input load: left padding, image, right padding."""
    runs, column, end = [], -shape.lpad, shape.unpadded_columns
    while column < end + shape.rpad:
        if column < 0:
            width = min(dim, -column)
        elif column >= end:
            width = min(dim, end + shape.rpad - column)
        else:
            width = min(dim << loop.downsample, end - column)
        runs.append((column, width))
        column += width
    return runs


def _load_input(loop: LoopConv, place: ConvPlacement, machine: Accelerator, shape: ConvShape) -> Program:
    dim, size, halved = machine.dim, machine.input_bytes, int(loop.downsample)
    if loop.input == 0:
        return joined([])
    channels = loop.batches if loop.trans_input_3120 else loop.kchs
    step = min(channels, max(machine.dma.request_bytes // (dim * size), 1) * dim)
    b_step, channel_step = (step, 1) if loop.trans_input_3120 else (1, step)
    runs = np.array(_column_runs(loop, shape, dim), np.int64).reshape(-1, 2)
    rows = range(-shape.upad, shape.unpadded_rows + shape.dpad, 1 << halved)
    b, row, run, channel = grid(
        range(0, loop.batches, b_step), rows, range(len(runs)), range(0, loop.kchs, channel_step)
    )
    column, width = runs[run, 0], runs[run, 1]
    if loop.trans_input_3120:
        pixel = (channel * loop.in_row_dim + row) * loop.in_col_dim + column
        offset, outer, inner = (pixel * loop.batches + b) * size, b, channel
        stride, taken = loop.batch_size, np.minimum(step, loop.batches - b)
    else:
        pixel = (b * loop.in_row_dim + row) * loop.in_col_dim + column
        offset, outer, inner = (pixel * loop.in_stride + channel) * size, channel, b
        stride, taken = loop.in_stride, np.minimum(step, loop.kchs - channel)
    at = place.a_start + (outer // dim) * shape.input_stride + inner * shape.image
    at += ((row + shape.upad) >> halved) * (shape.icols >> halved) + ((column + shape.lpad) >> halved)
    zeros = (row < 0) | (row >= shape.unpadded_rows) | (column < 0) | (column >= shape.unpadded_columns)
    source = np.where(zeros, np.uint64(0), memory(loop.input, offset))
    config = config_ld(
        stride_bytes=(stride * size) << halved,
        block_stride=shape.input_stride,
        pixel_repeats=loop.max_pixels_per_row,
    )
    words = spans(width >> halved, taken, scratchpad(at, "loop_conv_ws.input"))
    return joined([program_of([config]), commands(MVIN, source, words)])


def _load_weights(loop: LoopConv, place: ConvPlacement, machine: Accelerator, shape: ConvShape) -> Program:
    dim, size = machine.dim, machine.input_bytes
    if loop.weights == 0:
        return joined([])
    wide = loop.kchs if loop.trans_weight_0132 else loop.pochs
    step = min(wide, max(machine.dma.request_bytes // (dim * size), 1) * dim)
    och_step, kch_step = (dim, step) if loop.trans_weight_0132 else (step, dim)
    axes = (range(0, loop.pochs, och_step), range(loop.krows), range(loop.kcols), range(0, loop.kchs, kch_step))
    och, krow, kcol, kch = grid(*axes)
    tap = krow * loop.kernel_dim + kcol
    local = krow * loop.kcols + kcol
    start = place.b_end - shape.weight_rows
    if loop.trans_weight_0132:
        rows, columns = np.minimum(dim, loop.pochs - och), np.minimum(step, loop.kchs - kch)
        at = start + (kch // dim) * shape.weight_stride + local * loop.pochs + och
    else:
        rows, columns = np.minimum(dim, loop.kchs - kch), np.minimum(step, loop.pochs - och)
        at = start + (och // dim) * shape.weight_stride + local * loop.kchs + kch
    if loop.dw:
        stride, offset = 1, tap
    elif loop.trans_weight_1203:
        stride = loop.kernel_dim**2 * loop.out_channels
        offset = (kch * loop.kernel_dim**2 + tap) * loop.out_channels + och
    elif loop.trans_weight_0132:
        stride, offset = loop.in_channels, (tap * loop.out_channels + och) * loop.in_channels + kch
    else:
        stride, offset = loop.weight_stride, (tap * loop.in_channels + kch) * loop.weight_stride + och
    config = config_ld(stride_bytes=stride * size, block_stride=shape.weight_stride, load_id=1)
    words = spans(rows, columns, scratchpad(at, "loop_conv_ws.weights"))
    return joined([program_of([config]), commands(MVIN2, memory(loop.weights, offset * size), words)])


def _output_pixels(loop: LoopConv, dim: int, krow: int, kcol: int) -> Iterator[tuple[int, int]]:
    """(output row, first output column) of each compute of one kernel tap: with a dilated input, those whose input
    pixel is no hole (skip_iteration, LoopConv.scala)."""
    holes = loop.input_dilated
    step = 1 + holes if loop.trans_input_3120 else dim << holes
    for orow in range(loop.orows):
        if holes and (krow * loop.kernel_dilation + orow - loop.upad) & 1:
            continue
        first = (kcol * loop.kernel_dilation - loop.lpad) & 1 if holes else 0
        for ocol in range(first, loop.ocols, step):
            yield orow, ocol


def _tap(
    loop: LoopConv,
    place: ConvPlacement,
    machine: Accelerator,
    shape: ConvShape,
    och: int,
    krow: int,
    kcol: int,
    kch: int,
) -> Program:
    """All computes of one block of weights: kernel position (krow, kcol), input channels from kch, output from och."""
    dim = machine.dim
    pixels = np.array(list(_output_pixels(loop, dim, krow, kcol)), np.int64).reshape(-1, 2)
    b, index = grid(range(0, loop.batches, dim if loop.trans_input_3120 else 1), range(len(pixels)))
    orow, ocol = pixels[index, 0], pixels[index, 1]
    holes, halved = loop.input_dilated, loop.downsample
    irow = (orow * loop.stride + krow * loop.kernel_dilation + holes) >> holes
    icol = (ocol * loop.stride + kcol * loop.kernel_dilation + holes) >> holes
    inside = (irow >> halved) * (shape.icols >> halved) + (icol >> halved)
    if loop.trans_input_3120:
        rows = np.minimum(dim, loop.batches - b)
        a = place.a_start + (b // dim) * shape.input_stride + kch * shape.image + inside
    else:
        rows = (np.minimum(dim << holes, loop.ocols - ocol) + holes) >> holes
        a = place.a_start + (kch // dim) * shape.input_stride + b * shape.image + inside
    columns = np.full(b.size, min(dim, loop.pochs - och))
    depth = np.full(b.size, min(loop.max_pixels_per_row, loop.kcols - kcol) * min(dim, loop.kchs - kch))
    turned = (loop.krows - krow - 1, loop.kcols - kcol - 1) if loop.wrot180 else (krow, kcol)
    weights = place.b_end - shape.weight_rows
    if loop.trans_weight_0132:
        weights += (kch // dim) * shape.weight_stride + (turned[0] * loop.kcols + turned[1]) * loop.pochs + och
    else:
        weights += (och // dim) * shape.weight_stride + (turned[0] * loop.kcols + turned[1]) * loop.kchs + kch
    first = np.arange(b.size) == 0
    stationary = np.where(first, scratchpad(np.full(b.size, weights), "loop_conv_ws.weights"), GARBAGE)
    result = _result_rows(loop, place, dim, columns * 0 + och, b, orow, ocol)
    preloads = commands(
        PRELOAD,
        spans(depth, columns, stationary),
        spans(rows, columns, accumulator(result, "loop_conv_ws.output", accumulate=True)),
    )
    operand = spans(rows, depth, scratchpad(a, "loop_conv_ws.input"))
    computes = commands(COMPUTE_PRELOADED, operand, spans(rows, columns, np.full(b.size, GARBAGE)))
    functs = np.where(first, COMPUTE_PRELOADED, COMPUTE_ACCUMULATED).astype(np.uint8)
    return alternated(preloads, replace(computes, funct=functs))


def _execute(loop: LoopConv, place: ConvPlacement, machine: Accelerator, shape: ConvShape) -> Program:
    parts = []
    if loop.trans_input_3120:
        strides = config_ex(strides_only=True, a_stride=shape.irows * shape.icols, c_stride=shape.pixels_out)
        parts.append(program_of([strides]))
    for och in range(0, loop.pochs, machine.dim):
        for krow in range(loop.krows):
            for kcol in range(0, loop.kcols, loop.max_pixels_per_row):
                for kch in range(0, loop.kchs, machine.dim):
                    parts.append(_tap(loop, place, machine, shape, och, krow, kcol, kch))
    return joined(parts)


def _config_store(loop: LoopConv, machine: Accelerator, *, pooled: bool) -> Program:
    """config_st before and after a pooled store; its fields are cut to their bits as the RTL cuts them."""
    rs1 = CONFIG_ST | loop.activation << 2
    if pooled:
        rs1 |= (loop.pool_stride & 3) << 4 | (loop.pool_size & 3) << 6 | (loop.pupad & 3) << 8 | (loop.plpad & 3) << 10
        rs1 |= (loop.pool_out_col_dim & 255) << 24 | (loop.porows & 255) << 32 | (loop.pocols & 255) << 40
        rs1 |= (loop.orows & 255) << 48 | (loop.ocols & 255) << 56
    return program_of([(CONFIG, rs1, loop.out_stride * machine.input_bytes | SCALE_UNCHANGED << 32)])


def _store_pooled(loop: LoopConv, place: ConvPlacement, machine: Accelerator) -> Program:
    dim = machine.dim
    b, och = grid(range(loop.batches), range(0, loop.pochs, dim))
    zero = och * 0
    image = loop.pool_out_row_dim * loop.pool_out_col_dim
    address = accumulator(_result_rows(loop, place, dim, och, b, zero, zero), "loop_conv_ws.output")
    offset = (b * image * loop.out_stride + och) * machine.input_bytes
    stores = commands(MVOUT, memory(loop.output, offset), spans(zero, np.minimum(dim, loop.pochs - och), address))
    return joined([_config_store(loop, machine, pooled=True), stores, _config_store(loop, machine, pooled=False)])


def _store(loop: LoopConv, place: ConvPlacement, machine: Accelerator) -> Program:
    dim = machine.dim
    axes = (range(loop.batches), range(loop.orows), range(0, loop.ocols, dim), range(0, loop.pochs, dim))
    b, orow, ocol, och = grid(*axes)
    if loop.trans_output_1203:
        offset = ((orow * loop.out_col_dim + ocol) * loop.batch_size + b) * loop.out_channels + och
    else:
        offset = ((b * loop.out_row_dim + orow) * loop.out_col_dim + ocol) * loop.out_stride + och
    address = accumulator(_result_rows(loop, place, dim, och, b, orow, ocol), "loop_conv_ws.output")
    words = spans(np.minimum(dim, loop.ocols - ocol), np.minimum(dim, loop.pochs - och), address)
    return commands(MVOUT, memory(loop.output, offset * machine.input_bytes), words)


def unroll_conv(loop: LoopConv, place: ConvPlacement, machine: Accelerator) -> Program:
    """The plain commands of `loop`, in an order whose sequential execution gives its values.

    The store without pooling uses the config_st in force, as the computes use the config_ex: strides, activation and
    transposes there are the host's to set. Raises InputError for an empty bound, padding beyond the tile, or an operand
    at a row below zero.
    """
    for name in ("batches", "pochs", "krows", "kcols", "kchs", "orows", "ocols", "stride", "kernel_dilation"):
        if getattr(loop, name) == 0:
            raise InputError(f"loop_conv_ws.{name}", "must not be zero", value=0, limit=1)
    shape = conv_shape(loop, machine.dim)
    parts = [load(loop, place, machine, shape) for load in (_load_bias, _load_input, _load_weights)]
    parts.append(_execute(loop, place, machine, shape))
    if loop.output:
        store = _store if loop.no_pool or "max_pool" not in machine.store_path_functions else _store_pooled
        parts.append(store(loop, place, machine))
    return joined(parts)
