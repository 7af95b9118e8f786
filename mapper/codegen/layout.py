"""Where operands lie in the scratchpad and accumulator: the order of rows within a buffer, and the places of its
copies.

Two things decide. The reservation station orders commands by address range, and the range of a wide mvin reaches from
its first block to its last: the blocks of one mvin stay close together, so that loads into a buffer that is being read
wait for nothing. And a scratchpad bank serves one row a cycle: what is read and written at the same time goes to
different banks where it fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product

from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.mapping import (
    Buffers,
    Mapping,
    a_passes,
    b_passes,
    ceil_div,
    input_extent,
    input_taps,
    is_ragged,
    joins_lines,
    tile_counts,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputLayout:
    """Rows of A. Channel block kb of column x of a line is at line * `line` + x + kb * `depth`; with chunks of DIM
    columns (`chunk` rows apart, 0 without) at line * `line` + x // DIM * `chunk` + x % DIM + kb * `depth`. A stored
    transposed has channel k of pixel block p at k // DIM * `depth` + k % DIM + p * `chunk`. `rows` are all of these and
    the `guard` in front of them, where copies of a first line's first pixels go."""

    height: int
    width: int
    line: int
    chunk: int
    depth: int
    rows: int
    guard: int

    def block_stride(self, transposed: bool) -> int:
        """Rows between the blocks of one mvin."""
        return self.chunk if transposed else self.depth


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightLayout:
    """Rows of B. Row r of block b is at r // DIM * `row` + r % DIM + b * `block`, with r = position * `position` +
    in_channel and b an output-channel block; stored transposed, r is the output channel and b the in-channel block."""

    position: int
    row: int
    block: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultLayout:
    """Rows of C. With slots, DIM rows per channel block, so that one mvout takes several blocks (Gemmini's
    StoreController walks blocks DIM rows apart); without, one row a pixel, `plane` rows from one channel block to the
    next."""

    slotted: bool
    plane: int
    second: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """All buffers of a mapping; `a_bases` and `b_bases` are the first rows of the copies (the same twice for a single
    one)."""

    a: InputLayout
    b: WeightLayout
    c: ResultLayout
    a_bases: tuple[int, int]
    b_bases: tuple[int, int]


def layout_of(nest: ArrayNest, mapping: Mapping, accelerator: Accelerator, needed: Buffers) -> Layout:
    """The layout of a legal mapping whose `buffers` are `needed`: rounded up to whole chunks of DIM rows where there is
    room."""
    choices = product(_weight_layouts(nest, mapping, accelerator.dim), _input_layouts(nest, mapping, accelerator.dim))
    fitting = (
        (a, b) for b, a in choices if a.rows * needed.a_copies + b.rows * needed.b_copies <= accelerator.scratchpad_rows
    )
    a, b = next(fitting)
    starts, b_bases = _bases((a.rows, needed.a_copies), (b.rows, needed.b_copies), nest, mapping, accelerator)
    return Layout(
        a=a,
        b=b,
        c=_result_layout(nest, mapping, needed, accelerator),
        a_bases=(starts[0] + a.guard, starts[1] + a.guard),
        b_bases=b_bases,
    )


def _input_layouts(nest: ArrayNest, mapping: Mapping, dim: int) -> tuple[InputLayout, ...]:
    """A's layouts, best first; the last takes no more rows than `buffers` counts."""
    tile, whole = mapping.tile, mapping.a_placement == "whole"
    taps = input_taps(nest, mapping)
    outs = (nest.out_rows, nest.out_columns) if whole else (tile.out_rows, tile.out_columns)
    channels = tile.in_channels if mapping.a_placement == "tile" else nest.in_channels
    height = input_extent(outs[0], nest.row_stride, taps[0], nest.row_dilation)
    width = input_extent(outs[1], nest.column_stride, taps[1], nest.column_dilation)
    lines = height * (nest.images if whole else tile.images)
    chunks, blocks = ceil_div(outs[1], dim), ceil_div(channels, dim)
    if nest.transpose_a:
        sizes = [(0, dim, chunks * dim, blocks * chunks * dim), (0, channels, dim, channels * chunks)]
    elif joins_lines(nest, mapping):
        sizes = [(width, 0, lines * width, lines * blocks * width)]
    else:
        sizes = [(blocks * width, 0, width, lines * blocks * width)]
        if taps[1] == 1 and not (whole and is_ragged(nest, tile, dim)):
            line = chunks * blocks * dim
            sizes.insert(0, (line, blocks * dim, dim, lines * line))
    guard = mapping.max_pixels_per_row - 1
    return tuple(
        InputLayout(height=height, width=width, line=line, chunk=chunk, depth=depth, rows=rows + guard, guard=guard)
        for line, chunk, depth, rows in sizes
    )


def _weight_layouts(nest: ArrayNest, mapping: Mapping, dim: int) -> tuple[WeightLayout, ...]:
    """B's layouts, best first; the last takes no more rows than `buffers` counts."""
    tile, full = mapping.tile, mapping.b_placement != "tile"
    channels = nest.in_channels if full else tile.in_channels
    out_channels = nest.out_channels if mapping.b_placement == "whole" else tile.out_channels
    positions = nest.kernel_rows * nest.kernel_columns if full else tile.kernel_rows * tile.kernel_columns
    if nest.transpose_b:
        height, blocks, position = out_channels, ceil_div(channels, dim), 0
        padded = ceil_div(height, dim) * dim
    else:
        height, blocks, position = positions * channels, ceil_div(out_channels, dim), ceil_div(channels, dim) * dim
        padded = positions * position
    chunked = WeightLayout(position=position, row=blocks * dim, block=dim, rows=padded * blocks)
    plain = WeightLayout(position=channels, row=dim, block=height, rows=height * blocks)
    # Few channels at many kernel positions: rounding each position up would cost more loads than it saves waits.
    return (plain,) if positions > 1 and channels < dim else (chunked, plain)


def _result_layout(nest: ArrayNest, mapping: Mapping, needed: Buffers, accelerator: Accelerator) -> ResultLayout:
    dim, tile, capacity = accelerator.dim, mapping.tile, accelerator.accumulator_rows
    blocks, pixels = ceil_div(tile.out_channels, dim), tile.images * tile.out_rows * tile.out_columns
    lines = tile.images if joins_lines(nest, mapping) else tile.images * tile.out_rows
    full, rest = divmod(pixels // lines, dim)
    slots = lines * full + (ceil_div(lines, dim // rest) if rest else 0)
    rows = slots * dim * blocks
    slotted = blocks > 1 and rows * needed.c_copies <= capacity
    rows = rows if slotted else needed.c_rows
    bank = capacity // accelerator.accumulator.banks
    aligned = ceil_div(rows, bank) * bank
    return ResultLayout(
        slotted=slotted,
        plane=dim if slotted else pixels,
        second=aligned if aligned + rows <= capacity else rows,
    )


def _bases(
    a: tuple[int, int], b: tuple[int, int], nest: ArrayNest, mapping: Mapping, accelerator: Accelerator
) -> tuple[tuple[int, int], tuple[int, int]]:
    """First rows of the copies of A and of B, given as (rows, copies): of all orders of the copies, each packed or
    moved up to the next bank, the one with the fewest expected bank conflicts. A's packed pixels stay in one half of
    the memory, beyond which no copies are written."""
    capacity, packed = accelerator.scratchpad_rows, mapping.max_pixels_per_row > 1
    half, guard = capacity // 2, mapping.max_pixels_per_row - 1
    bank_rows = capacity // accelerator.scratchpad.banks
    weights = _conflict_weights(nest, mapping, accelerator.dim)
    best, bases = None, ((0, 0), (0, 0))
    for order in sorted(set(permutations("a" * a[1] + "b" * b[1]))):
        for moves in product((False, True), repeat=len(order) - 1):
            places: dict[str, list[int]] = {"a": [], "b": []}
            end = 0
            for name, moved in zip(order, (False, *moves), strict=True):
                start = ceil_div(end, bank_rows) * bank_rows if moved else end
                places[name].append(start)
                end = start + (a if name == "a" else b)[0]
            if end > capacity:
                continue
            if packed and any((start + guard) // half != (start + a[0] - 1) // half for start in places["a"]):
                continue
            score = _conflicts(places["a"], a[0], places["b"], b[0], bank_rows, weights)
            if best is None or score < best:
                best, bases = score, ((places["a"][0], places["a"][-1]), (places["b"][0], places["b"][-1]))
    if best is None:  # One copy at either end of the memory, the weights between them.
        return (0, capacity - a[0]), (a[0], a[0] + (b[1] - 1) * b[0])
    return bases


def _conflict_weights(nest: ArrayNest, mapping: Mapping, dim: int) -> tuple[float, float, float]:
    """Rows per row of A fed to the array: of B read, of A written, of B written."""
    counts, tile = tile_counts(nest, mapping.tile), mapping.tile
    kernel = nest.kernel_rows * nest.kernel_columns
    b_read = 1.0 if mapping.dataflow == "os" else min(1.0, dim / (tile.images * tile.out_rows * tile.out_columns))
    a_written = a_passes(counts, mapping) / (kernel * ceil_div(nest.out_channels, dim))
    b_written = b_passes(counts, mapping) * dim / nest.pixels
    return b_read, min(a_written, 1.0), min(b_written, 1.0)


def _conflicts(
    a: list[int], a_rows: int, b: list[int], b_rows: int, bank_rows: int, weights: tuple[float, float, float]
) -> float:
    """Expected cycles lost per row of A: A is read all the time, B's rows and the writes to the other copies beside
    it."""
    b_read, a_written, b_written = weights
    across = sum(_shared(x, a_rows, y, b_rows, bank_rows) for x in a for y in b) / (len(a) * len(b))
    within_a = _shared(a[0], a_rows, a[1], a_rows, bank_rows) if len(a) == 2 else 0.0
    within_b = _shared(b[0], b_rows, b[1], b_rows, bank_rows) if len(b) == 2 else 0.0
    return (b_read + b_written) * across + a_written * within_a + b_read * b_written * within_b


def _shared(x: int, x_rows: int, y: int, y_rows: int, bank_rows: int) -> float:
    """Probability that a row of one buffer and a row of another are in the same bank."""
    common = 0
    for bank in range(x // bank_rows, (x + x_rows - 1) // bank_rows + 1):
        low, high = bank * bank_rows, (bank + 1) * bank_rows
        of_x = min(high, x + x_rows) - max(low, x)
        common += of_x * max(0, min(high, y + y_rows) - max(low, y))
    return common / (x_rows * y_rows)
