"""Roofline <= analytical <= cycle-level; what is conserved; the sums over tiles against plain enumeration."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mapper.codegen.emit import emit
from mapper.program import addresses_of
from model_ir.errors import InfeasibleError, InputError
from model_ir.loop_nest import Access, AffineIndex, LoopNest
from model_ir.precision import INT8
from simulator.accelerator import Accelerator
from simulator.analytical import analytical
from simulator.array_nest import ArrayNest
from simulator.cost import Cost
from simulator.engine import simulate
from simulator.mapping import Mapping, Tile, dataflows, tile_counts
from simulator.roofline import roofline, roofline_of_array_nest, touched_bytes
from simulator.tile_sums import Axis, line_cycles, row_beats, sum_of_touched
from tests.nest_cases import (
    BERT,
    GEMMINI,
    RESNET50,
    convolution,
    few_channels,
    machine,
    machines,
    mappings,
    matmul,
    nests,
)


def drawn_case(data: st.DataObject, accelerator: Accelerator, largest: int) -> tuple[ArrayNest, Mapping, Cost]:
    """A random nest with a legal mapping and its cost."""
    nest = data.draw(st.one_of(nests(largest=largest), few_channels(largest=2 + largest)))
    assume(dataflows(nest, accelerator))
    mapping = data.draw(mappings(nest, accelerator))
    try:
        return nest, mapping, analytical(nest, mapping, accelerator)
    except (InfeasibleError, InputError):
        assume(False)
        raise


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_roofline_is_below_analytical(data: st.DataObject) -> None:
    accelerator = data.draw(machines())
    nest, _, cost = drawn_case(data, accelerator, largest=6)
    bound = roofline_of_array_nest(nest, accelerator)
    assert bound.cycles <= cost.cycles
    assert bound.compute_cycles <= cost.compute_cycles
    assert bound.read_cycles <= cost.read_cycles
    assert bound.write_cycles <= cost.write_cycles
    assert bound.dram_read_bytes <= cost.dram_read_bytes
    assert bound.macs == cost.macs == nest.macs


@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.data())
def test_analytical_is_below_the_cycle_engine(data: st.DataObject) -> None:
    accelerator = data.draw(st.sampled_from((machine(4, 256, 64), machine(16, 512, 256), GEMMINI)))
    nest, mapping, cost = drawn_case(data, accelerator, largest=data.draw(st.sampled_from((4, 16))))
    result = simulate(emit(nest, mapping, accelerator, addresses=addresses_of(nest, accelerator)), accelerator)
    assert cost.cycles <= result.cycles
    assert cost.compute_cycles <= result.execute_busy_cycles
    assert cost.dram_read_bytes <= result.read_bytes
    # The port counts whole beats, the model the bytes that are meant.
    assert cost.dram_write_bytes <= result.write_bytes


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_analytical_counts_what_a_walk_over_all_tiles_counts(data: st.DataObject) -> None:
    nest, mapping, cost = drawn_case(data, machine(4, 96, 48), largest=6)
    assert nest.repeat_count * walked_compute(nest, mapping, 4) == cost.compute_cycles
    outputs = nest.repeat_count * nest.pixels * nest.out_channels
    assert cost.dram_write_bytes == outputs
    reads = nest.repeat_count * walked_reads(nest, mapping)
    bias = cost.dram_read_bytes - reads
    blocks = max(tile_counts(nest, mapping.tile).pixels, -(-nest.pixels // 4))
    assert bias == nest.bias * nest.repeat_count * blocks * nest.out_channels * 4


def spans(size: int, tile: int) -> list[range]:
    """The tiles of a loop."""
    return [range(start, min(start + tile, size)) for start in range(0, size, tile)]


def walked_compute(nest: ArrayNest, mapping: Mapping, dim: int) -> int:
    """Array cycles of one repeat, block by block."""
    tile, total = mapping.tile, 0
    columns = [
        len(range(0, len(part), mapping.max_pixels_per_row)) for part in spans(nest.kernel_columns, tile.kernel_columns)
    ]
    blocks = nest.kernel_rows * sum(columns) * -(-nest.in_channels // dim) * -(-nest.out_channels // dim)
    for images, rows, columns in product(
        spans(nest.images, tile.images), spans(nest.out_rows, tile.out_rows), spans(nest.out_columns, tile.out_columns)
    ):
        lines = [len(columns)] * len(images) * len(rows)
        if follows_on_chip(nest, mapping) and len(columns) == nest.out_columns:
            lines = [len(columns) * len(rows)] * len(images)
        runs = [len(run) for line in lines for run in spans(line, dim)]
        if mapping.dataflow == "os":
            total += blocks * dim * len(runs)
        elif nest.transpose_a or nest.transpose_b:
            total += blocks * dim * (len(runs) + nest.transpose_b)
        else:
            total += blocks * (dim + sum(max(run, min(4, dim)) for run in runs[1:]))
    return total


def follows_on_chip(nest: ArrayNest, mapping: Mapping) -> bool:
    """Whether the pixels of A that one kernel position needs lie in one row of pixels, line after line: nothing is kept
    between them."""
    window = nest if mapping.a_placement != "tile" else mapping.tile
    one_line = window.kernel_rows == 1 or nest.row_stride == 1
    return not nest.transpose_a and window.kernel_columns == 1 and one_line


def walked_reads(nest: ArrayNest, mapping: Mapping) -> int:
    """Bytes of A and B of one repeat: the loops in their order, remembering which tiles each buffer holds."""
    tile = mapping.tile
    pixels = list(
        product(
            spans(nest.images, tile.images),
            spans(nest.out_rows, tile.out_rows),
            spans(nest.out_columns, tile.out_columns),
        )
    )
    channels = spans(nest.out_channels, tile.out_channels)
    reductions = list(
        product(
            spans(nest.kernel_rows, tile.kernel_rows),
            spans(nest.kernel_columns, tile.kernel_columns),
            spans(nest.in_channels, tile.in_channels),
        )
    )
    outer = list(product(range(len(pixels)), range(len(channels))))
    if mapping.order == "channels_outer":
        outer.sort(key=lambda pair: (pair[1], pair[0]))
    total, held_a, held_b = 0, set(), set()
    for pixel, channel in outer:
        for reduction, (krows, kcols, depth) in enumerate(reductions):
            a_new, b_new = (pixel, reduction), (channel, reduction)
            if mapping.a_placement == "tile" and held_a != {a_new}:
                held_a = set()
            if mapping.a_placement == "panel" and any(held[0] != pixel for held in held_a):
                held_a = set()
            if mapping.b_placement == "tile" and held_b != {b_new}:
                held_b = set()
            if mapping.b_placement == "panel" and any(held[0] != channel for held in held_b):
                held_b = set()
            if mapping.a_placement == "tile" and a_new not in held_a:
                total += a_bytes(nest, pixels[pixel], krows, kcols) * len(depth)
            if mapping.a_placement == "panel" and pixel not in {held[0] for held in held_a}:
                whole = (range(nest.kernel_rows), range(nest.kernel_columns))
                total += a_bytes(nest, pixels[pixel], *whole) * nest.in_channels
            if b_new not in held_b:
                total += len(krows) * len(kcols) * len(depth) * len(channels[channel])
            held_a, held_b = held_a | {a_new}, held_b | {b_new}
    if mapping.a_placement == "whole":
        everything = (range(nest.images), range(nest.out_rows), range(nest.out_columns))
        total += a_bytes(nest, everything, range(nest.kernel_rows), range(nest.kernel_columns)) * nest.in_channels
    return total


def a_bytes(nest: ArrayNest, pixels: tuple[range, range, range], krows: range, kcols: range) -> int:
    """Input pixels inside the image that these outputs read through these kernel positions."""
    images, rows, columns = pixels
    lines = {row * nest.row_stride + k * nest.row_dilation - nest.top_pad for row in rows for k in krows}
    places = {
        column * nest.column_stride + k * nest.column_dilation - nest.left_pad for column in columns for k in kcols
    }
    inside = sum(0 <= line < nest.in_rows for line in lines) * sum(0 <= place < nest.in_columns for place in places)
    return len(images) * inside


def everything_resident(nest: ArrayNest) -> Mapping:
    """One tile of everything."""
    tile = Tile(**{name: getattr(nest, name) for name in Tile.__dataclass_fields__})
    return Mapping(dataflow="ws", tile=tile, order="pixels_outer", a_placement="whole", b_placement="whole")


@pytest.mark.parametrize("nest", [matmul(48, 32, 24), convolution(1, 9, 3, 16, 20, pad=1, stride=2)])
def test_a_resident_nest_moves_compulsory_bytes(nest: ArrayNest) -> None:
    cost = analytical(nest, everything_resident(nest), GEMMINI)
    bound = roofline_of_array_nest(nest, GEMMINI)
    bias_repeats = (-(-nest.pixels // GEMMINI.dim) - 1) * nest.out_channels * GEMMINI.accumulator_bytes
    assert cost.dram_read_bytes == bound.dram_read_bytes + bias_repeats
    assert cost.dram_write_bytes == bound.dram_write_bytes
    assert cost.scratchpad_write_bytes == bound.dram_read_bytes - nest.out_channels * GEMMINI.accumulator_bytes


@pytest.mark.parametrize("nest", [*RESNET50.values(), *BERT.values()])
def test_roofline_of_real_layers_is_peak_or_bandwidth(nest: ArrayNest) -> None:
    bound = roofline_of_array_nest(nest, GEMMINI)
    assert bound.compute_cycles == nest.macs / GEMMINI.peak_macs_per_cycle
    assert bound.cycles >= bound.dram_read_bytes / GEMMINI.memory_bytes_per_cycle
    assert bound.cycles >= bound.dram_write_bytes / GEMMINI.dma.bus_bytes


def test_roofline_of_a_loop_nest_counts_touched_elements_once() -> None:
    """A 1x1 convolution with stride 2 reads a quarter of its 8 x 8 x 16 input."""

    def access(tensor: str, shape: tuple[int, ...], *indices: AffineIndex) -> Access:
        return Access(tensor=tensor, shape=shape, indices=indices, precision=INT8)

    row, column = (AffineIndex(terms=((name, 2),)) for name in ("row", "column"))
    plain = {name: AffineIndex(terms=((name, 1),)) for name in ("row", "column", "k", "j")}
    nest = LoopNest(
        name="strided",
        kind="mac",
        function="conv",
        dims=(("row", 4), ("column", 4), ("j", 32), ("k", 16)),
        reads=(access("a", (8, 8, 16), row, column, plain["k"]), access("b", (16, 32), plain["k"], plain["j"])),
        write=access("c", (4, 4, 32), plain["row"], plain["column"], plain["j"]),
        flops_per_point=2.0,
    )
    cost = roofline(nest, GEMMINI)
    same = roofline_of_array_nest(convolution(1, 8, 1, 16, 32, stride=2, bias=False), GEMMINI)
    assert cost.dram_read_bytes == 4 * 4 * 16 + 16 * 32
    assert cost == same


def test_a_diagonal_touches_no_more_than_its_length() -> None:
    diagonal = AffineIndex(terms=(("i", 1),))
    access = Access(tensor="t", shape=(5, 5), indices=(diagonal, diagonal), precision=INT8)
    assert touched_bytes(access, {"i": 5}) == 5


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    out_size=st.integers(1, 14),
    kernel_size=st.integers(1, 5),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 3),
    pad=st.integers(0, 3),
    in_size=st.integers(1, 40),
    data=st.data(),
)
def test_windows_are_sets_of_positions(
    out_size: int, kernel_size: int, stride: int, dilation: int, pad: int, in_size: int, data: st.DataObject
) -> None:
    axis = Axis(out_size=out_size, kernel_size=kernel_size, stride=stride, dilation=dilation, pad=pad, in_size=in_size)
    out_tile, kernel_tile = data.draw(st.integers(1, out_size)), data.draw(st.integers(1, kernel_size))
    expected = 0
    for outs, taps in product(spans(out_size, out_tile), spans(kernel_size, kernel_tile)):
        positions = {out * stride + tap * dilation - pad for out in outs for tap in taps}
        expected += len(positions & set(range(in_size)))
    assert sum_of_touched(axis, out_tile, kernel_tile) == expected


@pytest.mark.parametrize(("columns", "tile"), [(1, 1), (16, 16), (17, 17), (49, 20), (3136, 448), (50, 3)])
def test_line_cycles_and_beats_by_hand(columns: int, tile: int) -> None:
    parts = [len(span) for span in spans(columns, tile)]
    runs = [len(run) for part in parts for run in spans(part, 16)]
    assert line_cycles(columns, tile, 16, 4) == sum(max(run, 4) for run in runs)
    assert row_beats(columns, tile, GEMMINI) == sum(-(-part // 16) for part in parts)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_faster_memory_never_costs_more(data: st.DataObject) -> None:
    nest, mapping, cost = drawn_case(data, machine(4, 96, 48), largest=6)
    slow = machine(4, 96, 48)
    faster = msgspec.structs.replace(
        slow, memory=msgspec.structs.replace(slow.memory, cycles_per_beat=1, latency_cycles=20)
    )
    assert analytical(nest, mapping, faster).cycles <= cost.cycles


def test_illegal_mappings_are_refused() -> None:
    nest = matmul(4096, 4096, 4096)
    with pytest.raises(InfeasibleError, match="scratchpad: needs"):
        analytical(nest, everything_resident(nest), GEMMINI)
    one = everything_resident(matmul(16, 16, 16))
    with pytest.raises(InputError, match="tile outside its loop"):
        analytical(matmul(8, 16, 16), replace(one), GEMMINI)
