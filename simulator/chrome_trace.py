"""A watched run as events of the Chrome trace format, which https://ui.perfetto.dev and chrome://tracing open.

Source: Trace Event Format (Google, 2016): complete events "X", counters "C", metadata "M", times `ts` and `dur` in
microseconds. A cycle is shown as one nanosecond whatever the clock, so that every number read in the viewer is a
number of cycles. Events come as plain dictionaries, a bounded number at a time; nothing here touches the disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from simulator.cost import STALL_CAUSES
from simulator.isa import FUNCT_NAMES, disassemble_command
from simulator.tracing import Sample, Span, Stall, TraceChunk

Event = dict[str, Any]
PROCESS = 1
PARTS, ARRAY, EXECUTE, LOAD, STORE = 1, 2, 100, 200, 300
"""Threads: parts of the run (layers, streams), the array's stalls, then each unit's lanes from its number on."""
_UNITS = ((LOAD, "load"), (EXECUTE, "execute"), (STORE, "store"))
_WORD = (1 << 64) - 1


class ChromeTrace:
    """Turns runs that follow each other into events: `begin` once, then for each run `of` its chunks and `part`.

    Commands of one unit that overlap lie on lanes of their own. Within a lane events do not overlap, and those of the
    array's lane cover the watched cycles without a gap.
    """

    def __init__(self) -> None:
        self._ends: dict[int, list[int]] = {LOAD: [], EXECUTE: [], STORE: []}
        self._shift = 0
        self._array_from: int | None = None
        self._last: Sample | None = None

    def begin(self, process: str) -> Iterator[Event]:
        """Names of the process and of the threads that are always there."""
        yield _name("process_name", process, PARTS)
        yield from _thread("part", PARTS)
        yield from _thread("array", ARRAY)

    def part(self, name: str, cycles: int, **facts: object) -> Iterator[Event]:
        """The run that was told of is over and took `cycles`; the next one starts where it ended."""
        yield _complete(name, "part", PARTS, self._shift, self._shift + cycles, dict(facts))
        self._shift += cycles
        self._array_from = self._last = None

    def of(self, chunk: TraceChunk) -> Iterator[Event]:
        """The events of the next chunk of the current run."""
        for span in chunk.spans:
            yield from self._span(span)
        if self._array_from is None and (chunk.samples or chunk.stalls):
            self._array_from = min(row[0] for row in (*chunk.samples[:1], *(s[1:] for s in chunk.stalls[:1])))
        for stall in chunk.stalls:
            yield from self._busy_until(stall.start)
            yield self._stall(stall)
        held = [self._last, *chunk.samples] if self._last else chunk.samples
        for before, after in pairwise(held):
            yield from self._counters(before, after)
        if chunk.samples:
            self._last = chunk.samples[-1]
        if chunk.last and self._last is not None:
            yield from self._busy_until(self._last.cycle)

    def _span(self, span: Span) -> Iterator[Event]:
        unit, name = _UNITS[span.unit]
        lane, is_new = self._lane(unit, span)
        if is_new:
            yield from _thread(name if lane == unit else f"{name} {lane - unit + 1}", lane)
        rs1, rs2 = span.rs1 & _WORD, span.rs2 & _WORD
        facts = {
            "command": disassemble_command(span.funct, rs1, rs2),
            "number": span.command,
            "cycles_in_station_before": span.start - span.allocated,
            "rs1": f"{rs1:#x}",
            "rs2": f"{rs2:#x}",
        }
        mnemonic = FUNCT_NAMES.get(span.funct, f"funct {span.funct}")
        yield _complete(mnemonic, name, lane, self._shift + span.start, self._shift + span.end, facts)

    def _lane(self, unit: int, span: Span) -> tuple[int, bool]:
        """The lane of `unit` that has been free for the shortest time when the span starts, or a new one."""
        ends = self._ends[unit]
        free = [lane for lane, end in enumerate(ends) if end <= self._shift + span.start]
        lane = max(free, key=ends.__getitem__, default=len(ends))
        ends[lane : lane + 1] = [self._shift + span.end]
        return unit + lane, not free

    def _stall(self, stall: Stall) -> Event:
        cause = STALL_CAUSES[stall.cause]
        self._array_from = stall.end
        return _complete(f"stall: {cause}", "stall", ARRAY, self._shift + stall.start, self._shift + stall.end, {})

    def _busy_until(self, cycle: int) -> Iterator[Event]:
        start = cycle if self._array_from is None else self._array_from
        if start < cycle:
            yield _complete("fires rows", "busy", ARRAY, self._shift + start, self._shift + cycle, {})
            self._array_from = cycle

    def _counters(self, before: Sample, after: Sample) -> Iterator[Event]:
        cycles = after.cycle - before.cycle
        rates: dict[str, dict[str, float]] = {
            "array, rows a cycle": {"rows": (after.busy_cycles - before.busy_cycles) / cycles},
            "memory, bytes asked for a cycle": {
                "read": (after.read_bytes - before.read_bytes) / cycles,
                "write": (after.write_bytes - before.write_bytes) / cycles,
            },
            "reservation station, commands": {
                "load": before.loads,
                "execute": before.executes,
                "store": before.stores,
            },
            "read requests in flight": {"requests": before.reads_in_flight},
        }
        for name, values in rates.items():
            rounded = {key: round(value, 3) for key, value in values.items()}
            yield {"ph": "C", "name": name, "pid": PROCESS, "tid": 0, "ts": _time(self._shift + before.cycle)} | {
                "args": rounded
            }


def _time(cycle: int) -> float:
    return cycle / 1000


def _complete(name: str, category: str, thread: int, start: int, end: int, facts: dict[str, Any]) -> Event:
    times = {"ts": _time(start), "dur": _time(end - start)}
    return {"ph": "X", "name": name, "cat": category, "pid": PROCESS, "tid": thread, **times, "args": facts}


def _name(kind: str, name: str, thread: int) -> Event:
    return {"ph": "M", "name": kind, "pid": PROCESS, "tid": thread, "ts": 0, "args": {"name": name}}


def _thread(name: str, thread: int) -> Iterator[Event]:
    yield _name("thread_name", name, thread)
    yield _name("thread_sort_index", name, thread) | {"args": {"sort_index": thread}}
