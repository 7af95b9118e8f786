"""Loops found in a list of commands: runs of commands that repeat with every field moving by a constant step.

A Program is a trace; a C file that ran it command by command would be megabytes. `rolled` writes it as nested loops:
a run of p items is a loop where each repeat has the same shape and every field of every command in it moves by the same
step from one repeat to the next. Short periods are looked for first, so inner loops come before the loops around them.
`unrolled` is the inverse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator import isa
from simulator.program import Program

IntArray = npt.NDArray[np.int64]
HashArray = npt.NDArray[np.uint64]

FIELDS = 6
"""Numbers of a command: of rs1 and then of rs2 rows, columns and address of a span, or 0, 0 and the whole word."""
LEAST_REPEATS = 3
MOST_COMPARED = 100_000_000
"""Items times periods compared in one pass; of longer periods only the likeliest are looked for."""
LIKELY_PERIODS = 24


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Loop:
    """`body` repeated `count` times; `steps` (commands in the body, FIELDS) is what each command's fields move by from
    one repeat to the next."""

    count: int
    body: tuple[Item, ...]
    steps: IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """One command: its kind and its `fields` (FIELDS,) in the first repeat of every loop around it."""

    funct: int
    fields: IntArray


Item = Step | Loop


def fields_of(program: Program) -> IntArray:
    """(commands, FIELDS) of `program`: what a word's parts are depends on the command."""
    fields = np.zeros((len(program), FIELDS), np.int64)
    for column, words in ((0, program.rs1), (3, program.rs2)):
        spans = np.isin(program.funct, _SPANS[column])
        fields[:, column + 2] = np.where(spans, words & np.uint64(0xFFFFFFFF), words).astype(np.int64)
        fields[spans, column] = (words[spans] >> np.uint64(48)).astype(np.int64)
        fields[spans, column + 1] = ((words[spans] >> np.uint64(32)) & np.uint64(0xFFFF)).astype(np.int64)
    return fields


_EXECUTES = (isa.PRELOAD, isa.COMPUTE_PRELOADED, isa.COMPUTE_ACCUMULATED)
_SPANS = {0: _EXECUTES, 3: (*_EXECUTES, isa.MVIN, isa.MVIN2, isa.MVIN3, isa.MVOUT)}
"""Commands whose rs1 (column 0) and rs2 (column 3) are spans."""


def rolled(program: Program) -> tuple[Item, ...]:
    """`program` as commands and nested loops; expanding them gives exactly its commands."""
    fields = fields_of(program)
    items = _Items.of(program, fields)
    before = -1
    while before != len(items.nodes):
        before = len(items.nodes)
        period = 1
        while period <= min(len(items.nodes) // LEAST_REPEATS, MOST_COMPARED // len(items.nodes)):
            items = items.with_loops(period)
            period += 1
        for likely in items.likely_periods(period):
            items = items.with_loops(likely)
    kinds, rows = zip(*unrolled(items.nodes), strict=True)
    if not (np.array_equal(kinds, program.funct) and np.array_equal(np.stack(rows), fields)):
        raise AssertionError("the loops found are not the program")
    return tuple(items.nodes)


def unrolled(items: tuple[Item, ...] | list[Item]) -> Iterator[tuple[int, IntArray]]:
    """(funct, fields) of every command that `items` stand for, in order."""
    for item in items:
        if isinstance(item, Step):
            yield item.funct, item.fields
            continue
        once = list(unrolled(item.body))
        steps = _spread(item)
        for repeat in range(item.count):
            for (funct, fields), step in zip(once, steps, strict=True):
                yield funct, fields + repeat * step


def size(item: Item) -> int:
    """Commands written down in `item`, those of a loop once."""
    return 1 if isinstance(item, Step) else sum(size(part) for part in item.body)


def _spread(loop: Loop) -> list[IntArray]:
    """The step of every command that one repeat of `loop` expands to."""
    spread: list[IntArray] = []
    place = 0
    for part in loop.body:
        written = size(part)
        spread += _of_repeats(part, list(loop.steps[place : place + written]))
        place += written
    return spread


def _of_repeats(item: Item, steps: list[IntArray]) -> list[IntArray]:
    """The steps of an item's written commands, once for every command it expands to."""
    if isinstance(item, Step):
        return steps
    spread: list[IntArray] = []
    place = 0
    for part in item.body:
        written = size(part)
        spread += _of_repeats(part, steps[place : place + written])
        place += written
    return spread * item.count


@dataclass(frozen=True, slots=True, kw_only=True)
class _Items:
    """A list of items with, of each, its shape (equal where kinds, loops and steps are) and a linear hash of its
    fields: items of one shape whose hashes differ by the same amount have fields that do, but for chance in 2^64."""

    nodes: list[Item]
    shapes: IntArray
    hashes: HashArray
    known: dict[object, int]
    weights: HashArray

    @classmethod
    def of(cls, program: Program, fields: IntArray) -> _Items:
        weights = np.random.default_rng(0).integers(1, 1 << 64, FIELDS + (1 << 16), dtype=np.uint64) | np.uint64(1)
        known: dict[object, int] = {}
        config = program.funct == isa.CONFIG
        rows = zip(program.funct.tolist(), program.rs1.tolist(), program.rs2.tolist(), config.tolist(), strict=True)
        keys = [(funct, rs1, rs2) if is_config else (funct, rs1 == 0) for funct, rs1, rs2, is_config in rows]
        shapes = np.array([known.setdefault(key, len(known)) for key in keys], np.int64)
        nodes: list[Item] = [
            Step(funct=funct, fields=row) for funct, row in zip(program.funct.tolist(), fields, strict=True)
        ]
        hashes = (fields.astype(np.uint64) * weights[:FIELDS]).sum(axis=1, dtype=np.uint64)
        return cls(nodes=nodes, shapes=shapes, hashes=hashes, known=known, weights=weights[FIELDS:])

    def with_loops(self, period: int) -> _Items:
        """The list with every run of at least LEAST_REPEATS repeats of `period` items as a loop."""
        starts, counts = self._runs(period)
        if not len(starts):
            return self
        nodes: list[Item] = []
        pieces: list[tuple[IntArray, HashArray]] = []
        done = 0
        for start, count in zip(starts.tolist(), counts.tolist(), strict=True):
            loop, shape = self._loop(start, period, count)
            hashed = (self.hashes[start : start + period] * self.weights[:period]).sum(dtype=np.uint64)
            nodes += [*self.nodes[done:start], loop]
            pieces.append((self.shapes[done:start], self.hashes[done:start]))
            pieces.append((np.array([shape]), np.array([hashed])))
            done = start + count * period
        nodes += self.nodes[done:]
        pieces.append((self.shapes[done:], self.hashes[done:]))
        return _Items(
            nodes=nodes,
            shapes=np.concatenate([shapes for shapes, _ in pieces]),
            hashes=np.concatenate([hashes for _, hashes in pieces]),
            known=self.known,
            weights=self.weights,
        )

    def likely_periods(self, least: int) -> list[int]:
        """The periods from `least` on after which the shapes repeat best, shortest first: the highest peaks of their
        autocorrelation."""
        most = len(self.nodes) // LEAST_REPEATS
        if least > most:
            return []
        signal = np.random.default_rng(0).standard_normal(len(self.known))[self.shapes]
        spectrum = np.fft.rfft(signal - signal.mean(), 2 * len(signal))
        alike = np.fft.irfft(spectrum * spectrum.conj())[: most + 1] / np.arange(
            len(signal), len(signal) - most - 1, -1
        )
        best = np.argsort(alike[least:])[::-1][:LIKELY_PERIODS] + least
        return sorted(int(period) for period in best)

    def _runs(self, period: int) -> tuple[IntArray, IntArray]:
        """First items and repeats of the runs of `period`, none overlapping another."""
        alike = self.shapes[period:] == self.shapes[:-period]
        moved = self.hashes[period:] - self.hashes[:-period]
        same = alike[period:] & alike[:-period] & (moved[period:] == moved[:-period])
        edges = np.diff(np.concatenate(([0], same.astype(np.int8), [0])))
        begins, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
        long = ends - begins >= period
        starts, counts = [], []
        free = 0
        for begin, end in zip(begins[long].tolist(), ends[long].tolist(), strict=True):
            first = max(begin, free)
            if end - first < period:
                continue
            starts.append(first)
            counts.append((end - first) // period + 2)
            free = first + counts[-1] * period
        return np.array(starts, np.int64), np.array(counts, np.int64)

    def _loop(self, start: int, period: int, count: int) -> tuple[Loop, int]:
        body = tuple(self.nodes[start : start + period])
        first, second = (
            np.concatenate([_written(item) for item in self.nodes[at : at + period]]) for at in (start, start + period)
        )
        moved = self.hashes[start + period : start + 2 * period] - self.hashes[start : start + period]
        key = (count, tuple(self.shapes[start : start + period].tolist()), tuple(moved.tolist()))
        return Loop(count=count, body=body, steps=second - first), self.known.setdefault(key, len(self.known))


def _written(item: Item) -> IntArray:
    """(commands written in `item`, FIELDS) in the first repeat of its loops."""
    if isinstance(item, Step):
        return item.fields[None, :]
    return np.concatenate([_written(part) for part in item.body])
