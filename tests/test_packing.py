"""Kernel columns packed into the array's rows: what is legal, what it costs, and that the machine waits for copies."""

from __future__ import annotations

from collections import Counter

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mapping_strategies import FEW_CHANNELS, MACHINES, legal_mappings

from mapper.codegen.emit import emit
from mapper.program import addresses_of
from simulator import isa
from tests.nest_cases import RESNET50

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
