"""Kernel columns packed into the array's rows: what is legal, what it costs, and that the machine waits for copies."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mapping_strategies import FEW_CHANNELS, MACHINES, legal_mappings

from mapper.codegen.emit import emit
from mapper.heuristic import heuristic
from mapper.integer_program import solve
from mapper.program import addresses_of
from model_ir.errors import InfeasibleError, InputError
from simulator import isa
from simulator.analytical import analytical
from simulator.engine import simulate
from simulator.mapping import Mapping, Tile, buffers, check_legal
from simulator.packing import most_pixels_per_row, packs
from simulator.roofline import quantised_roofline
from simulator.serial import serial_cycles
from tests.nest_cases import GEMMINI, RESNET50, convolution, machine

STEM = RESNET50["conv1"]


def bits(word, high, low):
    return int(word) >> low & ((1 << (high - low + 1)) - 1)


class Station:
    """Which loads and computes Gemmini's reservation station lets overtake each other (ReservationStation.scala), and
    which elements of the scratchpad they write and read (PixelRepeater.scala)."""

    def __init__(self, accelerator):
        self.dim, self.half = accelerator.dim, accelerator.scratchpad_rows // 2
        self.loads, self.computes = [], []
        self.writer, self.reader = {}, {}
        self.repeats, self.a_stride = Counter(), 1
        self.arrived, self.settled = set(), -1

    def load(self, number, which, rs2):
        rows, columns, first = bits(rs2, 63, 48), bits(rs2, 47, 32), bits(rs2, 31, 0)
        if first >> 31:
            return
        copies = self.repeats[which]
        start = first if not copies else max(first - copies, self.half if first > self.half else 0)
        mats = -(-columns // self.dim)
        assert mats == 1 or not copies
        span = (start, start + rows)
        for index in range(len(self.computes) - 1, self.settled, -1):
            low, high = self.computes[index]
            if low < span[1] and span[0] < high:
                self.settled = index
                break
        if mats > 1:
            return  # Only weights, whose ranges have no copies.
        for row in range(first, first + rows):
            for copy in range(copies + 1):
                if row - copy >= (self.half if row >= self.half else 0):
                    for column in range(copy * columns, (copy + 1) * columns):
                        place = row - copy, column
                        assert self.reader.get(place, -1) <= self.settled, "overwritten before it is read"
                        self.writer[place] = number
        self.loads.append((number, span))

    def compute(self, rs1):
        rows, columns, first = bits(rs1, 63, 48), bits(rs1, 47, 32), bits(rs1, 31, 0)
        span = (first, first + rows * self.a_stride)
        self.arrived |= {number for number, (low, high) in self.loads if low < span[1] and span[0] < high}
        for row in range(rows):
            for column in range(columns):
                place = first + row * self.a_stride, column
                assert self.writer[place] in self.arrived, "read before it is written"
                self.reader[place] = len(self.computes)
        self.computes.append(span)


def watched(program, accelerator):
    """The station after all of `program`; weights are watched as far as they are one block wide."""
    station = Station(accelerator)
    which = {isa.MVIN: 0, isa.MVIN2: 1, isa.MVIN3: 2}
    words = zip(program.funct.tolist(), program.rs1.tolist(), program.rs2.tolist(), strict=True)
    for number, (funct, rs1, rs2) in enumerate(words):
        if funct == isa.CONFIG and bits(rs1, 1, 0) == isa.CONFIG_LD:
            station.repeats[bits(rs1, 4, 3)] = max(bits(rs1, 15, 8), 1) - 1
        elif funct == isa.CONFIG and bits(rs1, 1, 0) == isa.CONFIG_EX:
            station.a_stride = bits(rs1, 31, 16)
        elif funct in which:
            station.load(number, which[funct], rs2)
        elif funct in (isa.COMPUTE_PRELOADED, isa.COMPUTE_ACCUMULATED):
            station.compute(rs1)
    return station


@settings(max_examples=300, derandomize=True, deadline=None)
@given(data=st.data(), nest=FEW_CHANNELS, accelerator=st.sampled_from(MACHINES))
def test_no_command_overtakes_copies_it_needs(data, nest, accelerator):
    mapping = data.draw(legal_mappings(nest, accelerator))
    assume(mapping is not None)
    watched(emit(nest, mapping, accelerator, addresses=addresses_of(nest, accelerator)), accelerator)


def test_a_kernel_row_is_cut_into_packs_of_which_the_last_is_what_is_left():
    program = emit(STEM, packed(STEM, 5), GEMMINI, addresses=addresses_of(STEM, GEMMINI))
    preloads = (program.funct == isa.PRELOAD) & (program.rs1 & np.uint64(0xFFFFFFFF) != isa.GARBAGE)
    depths = Counter((program.rs1[preloads] >> np.uint64(48)).tolist())
    assert set(depths) == {15, 6}
    assert depths[15] == depths[6]
    loads = [bits(rs1, 15, 8) for rs1 in program.rs1[program.funct == isa.CONFIG] if bits(rs1, 1, 0) == isa.CONFIG_LD]
    assert loads == [5, 1, 1]


@pytest.mark.parametrize(
    ("columns", "tile", "pixels", "expected"), [(7, 7, 5, 2), (7, 7, 1, 7), (7, 3, 2, 5), (3, 2, 2, 2)]
)
def test_packs_by_hand(columns, tile, pixels, expected):
    assert packs(columns, tile, pixels) == expected


def packed(nest, pixels, **changes):
    """Whole lines of the nest, four at a time."""
    tile = Tile(
        images=1,
        out_rows=min(4, nest.out_rows),
        out_columns=nest.out_columns,
        out_channels=min(16, nest.out_channels),
        kernel_rows=nest.kernel_rows,
        kernel_columns=nest.kernel_columns,
        in_channels=nest.in_channels,
    )
    plain = Mapping(
        dataflow="ws", tile=tile, order="pixels_outer", a_placement="tile", b_placement="whole",
        max_pixels_per_row=pixels,
    )  # fmt: skip
    return replace(plain, **changes)


def test_the_first_layer_of_resnet_50_takes_two_packs_a_kernel_row():
    cycles = {
        pixels: simulate(
            emit(STEM, packed(STEM, pixels), GEMMINI, addresses=addresses_of(STEM, GEMMINI)), GEMMINI
        ).cycles
        for pixels in (1, 4, 5)
    }
    bound = quantised_roofline(STEM, GEMMINI)
    assert bound.compute_cycles == 7 * 2 * 4 * 112 * 112 < 0.3 * cycles[1]
    for pixels in (4, 5):
        cost = analytical(STEM, packed(STEM, pixels), GEMMINI)
        assert bound.cycles <= cost.cycles <= cycles[pixels] < 1.1 * bound.cycles
    assert heuristic(STEM, GEMMINI).max_pixels_per_row == 5  # DIM // 3, as the library
    assert solve(STEM, GEMMINI)[0].max_pixels_per_row == 4  # as few packs with fewer copies


@settings(max_examples=40, derandomize=True, deadline=None)
@given(data=st.data(), nest=FEW_CHANNELS, accelerator=st.sampled_from(MACHINES))
def test_bounds_are_in_order(data, nest, accelerator):
    mapping = data.draw(legal_mappings(nest, accelerator))
    assume(mapping is not None)
    program = emit(nest, mapping, accelerator, addresses=addresses_of(nest, accelerator))
    cost, result = analytical(nest, mapping, accelerator), simulate(program, accelerator)
    assert quantised_roofline(nest, accelerator).cycles <= cost.cycles <= result.cycles
    assert cost.compute_cycles <= result.execute_busy_cycles
    if len(program) < 400:
        assert result.cycles <= serial_cycles(program, accelerator)


def test_copies_take_rows_and_cycles():
    plain, five = packed(STEM, 1), packed(STEM, 5)
    assert buffers(STEM, five, GEMMINI).a_rows == buffers(STEM, plain, GEMMINI).a_rows + 4
    costs = [analytical(STEM, mapping, GEMMINI) for mapping in (plain, five)]
    assert costs[0].compute_cycles == 3.5 * costs[1].compute_cycles
    assert costs[0].dram_bytes == costs[1].dram_bytes
    weights = 7 * 7 * 3 * 64
    assert costs[1].scratchpad_write_bytes - weights == 5 * (costs[0].scratchpad_write_bytes - weights)
    one = convolution(1, 64, 8, 1, 1, rows=11, bias=False)  # four lines of results in one tile: no line twice
    assert analytical(one, packed(one, 8), GEMMINI).read_cycles == 8 * 11 * 64


WIDE = convolution(1, 40, 3, 2, 8, rows=6)


@pytest.mark.parametrize(
    ("nest", "pixels", "changes", "said"),
    [
        (WIDE, 4, {}, "side by side (value 4, limit 3)"),
        (convolution(1, 40, 3, 9, 8), 2, {}, "limit 1"),
        (convolution(1, 40, 3, 2, 8, dilation=2), 2, {}, "limit 1"),
        (WIDE, 3, {"kernel_columns": 2}, "limit 2"),
        (WIDE, 3, {"out_columns": 20, "a_placement": "whole"}, "whole lines"),
        (WIDE, 3, {"out_columns": 2}, "reservation station"),
        (WIDE, 0, {}, "limit 3"),
    ],
)
def test_what_the_machine_cannot_pack_is_refused(nest, pixels, changes, said):
    mapping = packed(nest, pixels)
    tile = {name: size for name, size in changes.items() if name in Tile.__dataclass_fields__}
    others = {name: value for name, value in changes.items() if name not in tile}
    with pytest.raises(InputError) as error:
        check_legal(nest, replace(mapping, tile=replace(mapping.tile, **tile), **others), GEMMINI)
    assert "mapping.max_pixels_per_row" in str(error.value)
    assert said in str(error.value)


def test_packed_pixels_stay_in_half_of_the_scratchpad():
    nest = convolution(1, 64, 3, 2, 8, rows=64)
    mapping = packed(nest, 3, a_placement="whole")
    small = machine(16, 6000, 1024)
    with pytest.raises(InfeasibleError, match="half of the scratchpad: needs 4098 rows, has 3000"):
        check_legal(nest, mapping, small)
    check_legal(nest, replace(mapping, max_pixels_per_row=1), small)


def test_a_machine_without_the_repeater_packs_nothing():
    plain = msgspec.structs.replace(GEMMINI, dma=msgspec.structs.replace(GEMMINI.dma, pixel_repeater=False))
    assert most_pixels_per_row(STEM, GEMMINI) == 5
    assert most_pixels_per_row(STEM, plain) == 1
    assert heuristic(STEM, plain).max_pixels_per_row == 1
    assert solve(STEM, plain)[1].objective > 3 * solve(STEM, GEMMINI)[1].objective


@pytest.mark.parametrize(("row", "waits"), [(11, True), (12, False)])
def test_the_station_takes_a_load_of_copies_to_end_that_much_earlier(row, waits):
    """Five copies of rows 32 to 47 are rows 28 to 43 to it: a compute that begins behind waits for nothing."""
    block = {"stationary_columns": 16, "stationary_rows": 16, "result_columns": 16, "result_rows": 1}
    operands = {"a_columns": 15, "a_rows": 1, "other_columns": 16, "other_rows": 1}
    program = isa.program_of(
        [
            isa.config_ex(),
            isa.config_ld(stride_bytes=3, pixel_repeats=5),
            isa.mvin(1 << 31, 32, 3, 16),
            isa.preload(1024, isa.ACCUMULATOR_BIT, **block),
            isa.compute_preloaded(32 + row, isa.GARBAGE, **operands),
        ]
    )
    trace = simulate(program, GEMMINI, trace_commands=(2, 5)).trace
    load, compute = (trace.command == 2), (trace.command == 4)
    assert (trace.start_cycle[compute].min() > trace.end_cycle[load].max()) == waits
