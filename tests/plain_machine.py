"""Gemmini's plain commands on numpy integers, written from the instruction set alone: an oracle for functional mode.

Only what random streams use: int8 and int32 moves without scaling, both dataflows without transposes, ReLU, shift.
"""

from __future__ import annotations

import numpy as np

from simulator import isa

DIM = 16


def wrapped(values, bits):
    """Two's complement of `bits`: accumulators have 32, sums on their way through the mesh 20."""
    return (values + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


def span(word):
    return word >> 48, (word >> 32) & 0xFFFF, word & 0xFFFFFFFF


class PlainMachine:
    def __init__(self, image, base):
        self.image, self.base = image, base
        self.memory = {False: np.zeros((16384, DIM), np.int64), True: np.zeros((1024, DIM), np.int64)}
        self.loads = {}
        self.preloaded = self.weights = self.sums = np.zeros((DIM, DIM), np.int64)

    def block(self, word):
        """Rows x columns of the scratchpad in a DIM x DIM block of zeros."""
        rows, columns, address = span(word)
        block = np.zeros((DIM, DIM), np.int64)
        if address != isa.GARBAGE:
            block[:rows, :columns] = self.memory[False][address : address + rows, :columns]
        return block

    def run(self, commands):
        for funct, rs1, rs2 in commands:
            {0: self.configure, 2: self.load, 3: self.store, 6: self.preload, 4: self.compute, 5: self.compute}[funct](
                funct, rs1, rs2
            )

    def configure(self, _, rs1, rs2):
        if rs1 & 3 == isa.CONFIG_LD:
            self.load_stride = rs2
        elif rs1 & 3 == isa.CONFIG_ST:
            self.store_stride, self.store_relu = rs2 & 0xFFFFFFFF, rs1 >> 2 & 3
        else:
            self.weight_stationary, self.relu, self.shift = rs1 >> 2 & 1, rs1 >> 3 & 3, rs2 & 0xFFFFFFFF

    def load(self, _, rs1, rs2):
        rows, columns, address = span(rs2)
        to_accumulator = bool(address >> 31)
        kind, row = (np.int32 if to_accumulator else np.int8), address & 0x3FFFFFF
        for r in range(rows):
            at = rs1 - self.base + r * self.load_stride
            values = self.image[at : at + columns * kind().itemsize].copy().view(kind).astype(np.int64)
            for first in range(0, columns, DIM):
                part = values[first : first + DIM]
                cells = self.memory[to_accumulator][row + first + r, : part.size]
                cells[:] = wrapped(cells + part, 32) if address >> 30 & to_accumulator else part

    def store(self, _, rs1, rs2):
        rows, columns, address = span(rs2)
        for r in range(rows):
            values = np.concatenate(
                [
                    self.memory[bool(address >> 31)][(address & 0x3FFFFFF) + first + r]
                    for first in range(0, columns, DIM)
                ]
            )[:columns]
            if address >> 31:
                values = np.clip(np.maximum(values, 0) if self.store_relu else values, -128, 127)
            at = rs1 - self.base + r * self.store_stride
            self.image[at : at + columns] = values.astype(np.int8).view(np.uint8)

    def preload(self, _, rs1, rs2):
        self.preloaded, self.result = self.block(rs1), rs2

    def compute(self, funct, rs1, rs2):
        a, other = self.block(rs1), self.block(rs2)
        if self.weight_stationary:
            self.weights = self.preloaded if funct == 4 else self.weights
            total = a @ self.weights + other
        else:
            self.sums = wrapped((self.preloaded if funct == 4 else self.sums) + a @ other, 20)
            scaled = self.sums / 2.0**self.shift
            total = np.rint(scaled).astype(np.int64)
        rows, columns, address = span(self.result)
        if address == isa.GARBAGE:
            return
        cells = self.memory[bool(address >> 31)][address & 0x3FFFFFF :][:rows, :columns]
        part = total[:rows, :columns]
        if not address >> 31:
            part = np.clip(np.maximum(part, 0) if self.relu else part, -128, 127)
        cells[:] = wrapped(cells + part, 32) if address >> 30 & 1 and address >> 31 else part
