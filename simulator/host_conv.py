"""Commands and host cycles of tiled_conv_auto (include/gemmini.h: tiled_conv_stride_auto, tiled_conv and
sp_tiled_conv)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from model_ir.errors import InputError
from simulator import isa
from simulator.accelerator import Accelerator
from simulator.host_calls import ConvCall, HostStream, Timed, placed, timed_stream
from simulator.host_instructions import CONV
from simulator.isa_loops import LoopConv, loop_conv_ws
from simulator.tiling_search import Sizes, TileSearch, conv_tile


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """Rows or columns of a tile: outputs before pooling, the first input in memory, and how many inputs and outputs lie
    outside the image on either side."""

    outs: int
    first_in: int
    before: int
    after: int
    pool_before: int
    pool_after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Addresses:
    input: int
    weights: int
    bias: int
    output: int


def conv_search(call: ConvCall, accelerator: Accelerator) -> TileSearch:
    """The tile (images, pooled rows, pooled columns, output channels, kernel rows, kernel columns, input channels) that
    the library chooses for `call`; InfeasibleError where none fits half of the memories."""

    def fits(sizes: Sizes) -> bool:
        scratchpad, accumulator = _rows(call, sizes, accelerator.dim)
        return scratchpad <= accelerator.scratchpad_rows // 2 and accumulator <= accelerator.accumulator_rows // 2

    return conv_tile(_limits(call), dim=accelerator.dim, fits=fits)


def conv_stream(
    call: ConvCall,
    accelerator: Accelerator,
    *,
    cycles_per_instruction: float,
    at: tuple[int, int, int, int] | None = None,
) -> HostStream:
    """The commands of `call` with the host's cycles around them. Input, weights, bias and output lie `at` these
    addresses, by default one behind the other.

    The library's search for the tile is not among the cycles: it depends on nothing but the sizes, and programs that
    give their tiles skip it; `search_cycles` is its price. Raises InputError for a machine without
    weight-stationary dataflow.
    """
    if "ws" not in accelerator.array.dataflows:
        raise InputError("conv", f"{accelerator.name} has no weight-stationary dataflow", value=accelerator.name)
    search = conv_search(call, accelerator)
    timed = list(_configuration(call, accelerator))
    before = CONV.first_tile
    for position, loop in _tiles(call, search.sizes, accelerator, at):
        if any(position):
            before = CONV.next_channels if position[-1] else CONV.next_tile
        timed.extend(zip((before, *CONV.loop), loop_conv_ws(loop), strict=True))
    return timed_stream(timed, CONV.after, CONV.code_lines, cycles_per_instruction)


def search_cycles(call: ConvCall, accelerator: Accelerator, *, cycles_per_try: float) -> int:
    """Host cycles of the library's search for the tile of `call`."""
    return round(conv_search(call, accelerator).tried * cycles_per_try)


def _limits(call: ConvCall) -> Sizes:
    return (
        call.images,
        call.pooled_rows,
        call.pooled_columns,
        call.out_channels,
        call.kernel,
        call.kernel,
        call.in_channels,
    )


def _rows(call: ConvCall, sizes: Sizes, dim: int) -> tuple[int, int]:
    """Scratchpad and accumulator rows of a tile (tiled_conv_total_spad_rows)."""
    images, pooled_rows, pooled_columns, out_channels, kernel_rows, kernel_columns, in_channels = sizes
    window, step, _ = call.window
    out_rows, out_columns = pooled_rows * step + window - 1, pooled_columns * step + window - 1
    in_rows = out_rows * call.stride + call.kernel_dilation * (kernel_rows - 1)
    in_columns = out_columns * call.stride + call.kernel_dilation * (kernel_columns - 1)
    if call.downsamples:
        in_rows, in_columns = in_rows >> 1, in_columns >> 1
    out_blocks = -(-out_channels // dim)
    a_rows = -(-in_channels // dim) * images * in_rows * in_columns
    b_rows = out_blocks * kernel_columns * kernel_rows * in_channels
    return a_rows + b_rows, out_blocks * images * out_rows * out_columns


def _configuration(call: ConvCall, accelerator: Accelerator) -> Iterator[Timed]:
    activation = isa.RELU if call.relu else isa.NO_ACTIVATION
    stride_bytes = call.out_channels * accelerator.input_bytes
    yield CONV.enter, isa.config_st(stride_bytes=stride_bytes, activation=activation)
    yield CONV.configure, isa.config_ex(a_stride=call.stride >> int(call.downsamples), scale=0.0)


def _addresses(call: ConvCall, accelerator: Accelerator, at: tuple[int, ...] | None) -> _Addresses:
    in_pixels, pooled = call.in_rows * call.in_columns, call.pooled_rows * call.pooled_columns
    input_at, weights, bias, output = at or placed(
        (
            call.images * in_pixels * call.in_channels * accelerator.input_bytes,
            call.kernel**2 * call.in_channels * call.out_channels * accelerator.input_bytes,
            call.out_channels * accelerator.accumulator_bytes,
            call.images * pooled * call.out_channels * accelerator.input_bytes,
        )
    )
    return _Addresses(input=input_at, weights=weights, bias=bias, output=output)


def _tiles(
    call: ConvCall, tile: Sizes, accelerator: Accelerator, at: tuple[int, ...] | None
) -> Iterator[tuple[Sizes, LoopConv]]:
    """((number of the tile along each loop, outermost first), its loop_conv_ws) in the library's order."""
    addresses, limits = _addresses(call, accelerator, at), _limits(call)
    counts = tuple(-(-limit // size) for limit, size in zip(limits, tile, strict=True))
    images, rows, columns, outs, kernel_rows, kernel_columns, ins = counts
    kernel = kernel_rows * kernel_columns * ins
    keeps = kernel * images * rows * columns <= 2, kernel * outs <= 2
    for position in product(*(range(count) for count in counts)):
        starts = tuple(index * size for index, size in zip(position, tile, strict=True))
        sizes = tuple(min(size, limit - start) for size, limit, start in zip(tile, limits, starts, strict=True))
        yield position, _loop(call, accelerator, addresses, starts, sizes, keeps)


def _side(call: ConvCall, start: int, size: int, kernel_start: int, kernel_size: int, outs: int, ins: int) -> _Side:
    """One dimension of a tile: `size` pooled outputs from `start` on, under the kernel's part from `kernel_start` on,
    of an image of `outs` outputs and `ins` inputs."""
    window, step, pool_padding = call.window
    first_out = start * step - pool_padding
    unpadded = size * step + window - 1
    pool_before = max(0, -first_out)
    pool_after = max(0, first_out + unpadded - outs)
    first_in = max(0, first_out) * call.stride + kernel_start * call.kernel_dilation - call.padding
    reach = call.kernel_dilation * (kernel_size - 1)
    count = (unpadded - pool_before - pool_after) * call.stride + reach
    return _Side(
        outs=unpadded - pool_before - pool_after,
        first_in=max(0, first_in),
        before=max(0, -first_in),
        after=max(0, first_in + count - ins),
        pool_before=pool_before,
        pool_after=pool_after,
    )


def _loop(
    call: ConvCall,
    accelerator: Accelerator,
    at: _Addresses,
    starts: Sizes,
    sizes: Sizes,
    keeps: tuple[bool, bool],
) -> LoopConv:
    image, row, column, out, kernel_row, kernel_column, channel = starts
    rows = _side(call, row, sizes[1], kernel_row, sizes[4], call.out_rows, call.in_rows)
    columns = _side(call, column, sizes[2], kernel_column, sizes[5], call.out_columns, call.in_columns)
    window, step, pool_padding = call.window
    width, wide = accelerator.input_bytes, accelerator.accumulator_bytes
    first_tap = not (kernel_row or kernel_column or channel)
    last_tap = (
        kernel_row + sizes[4] == call.kernel
        and kernel_column + sizes[5] == call.kernel
        and channel + sizes[6] == call.in_channels
    )
    keeps_a, keeps_b = keeps
    pixel = (image * call.in_rows + rows.first_in) * call.in_columns + columns.first_in
    tap = (kernel_row * call.kernel + kernel_column) * call.in_channels + channel
    result = (image * call.pooled_rows + row) * call.pooled_columns + column
    return LoopConv(
        batch_size=call.images,
        in_row_dim=call.in_rows,
        in_col_dim=call.in_columns,
        in_channels=call.in_channels,
        out_channels=call.out_channels,
        out_row_dim=call.out_rows,
        out_col_dim=call.out_columns,
        pool_out_row_dim=call.pooled_rows,
        pool_out_col_dim=call.pooled_columns,
        stride=call.stride,
        padding=call.padding,
        kernel_dim=call.kernel,
        kernel_dilation=call.kernel_dilation,
        in_stride=call.in_channels,
        weight_stride=call.out_channels,
        out_stride=call.out_channels,
        pool_size=window,
        pool_stride=step,
        pool_padding=pool_padding,
        batches=sizes[0],
        porows=sizes[1],
        pocols=sizes[2],
        pochs=sizes[3],
        krows=sizes[4],
        kcols=sizes[5],
        kchs=sizes[6],
        lpad=columns.before,
        rpad=columns.after,
        upad=rows.before,
        dpad=rows.after,
        plpad=columns.pool_before,
        prad=columns.pool_after,
        pupad=rows.pool_before,
        pdpad=rows.pool_after,
        orows=rows.outs,
        ocols=columns.outs,
        weights=0 if keeps_b and (image or row or column) else at.weights + (tap * call.out_channels + out) * width,
        output=at.output + (result * call.out_channels + out) * width if last_tap else 0,
        bias=(at.bias if call.bias else 1) + out * wide if first_tap else 0,
        input=0 if keeps_a and out else at.input + (pixel * call.in_channels + channel) * width,
        no_bias=not call.bias,
        no_pool=call.pool_size == 0,
        downsample=call.downsamples,
        activation=isa.RELU if call.relu else isa.NO_ACTIVATION,
        max_pixels_per_row=_pixels_per_row(call, sizes, accelerator.dim),
        a_spad_id=(1 if not (image or row or column) and first_tap else 2) if keeps_a else 0,
        b_spad_id=(1 if not out and first_tap else 2) if keeps_b else 0,
    )


def _pixels_per_row(call: ConvCall, sizes: Sizes, dim: int) -> int:
    """Kernel columns that share one row of the array: as many as have room beside each other, where pixels are read one
    by one (HAS_FIRST_LAYER_OPTIMIZATIONS)."""
    if call.downsamples or call.kernel_dilation > 1 or sizes[6] > dim:
        return 1
    return min(dim // sizes[6], sizes[5])
