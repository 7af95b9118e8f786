"""Reads a `Machine` from TOML, strictly, and checks that such a machine can be.

A fault is an InputError naming file, dotted path, value and limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan
from pathlib import Path

from model_ir.errors import InputError
from simulator.rooflines.formats import FORMAT_BITS
from simulator.rooflines.machine import Level, Machine
from simulator.strict_toml import Shelf, check_keys, converted, find_source, read_table, short

SHELF = Shelf(what="machine", folder="machines")
MAX_LEVELS = 8
MIN_CAPACITY_BYTES = 1024.0
MAX_RATE = 1e24
"""Largest rate (operations, elements or bytes a second) that a description may state."""

Violation = tuple[str, str, object, object]
"""Dotted path, problem, value, limit."""


def machine_names() -> tuple[str, ...]:
    """Names of the descriptions that ship with the package, sorted."""
    return SHELF.names


def load_machine(name_or_path: str | Path) -> Machine:
    """The machine of a shipped description (a bare name such as "a100") or of a TOML file (a Path, or a string that
    ends in .toml or holds a path separator).

    Raises InputError for a file that cannot be read or is not TOML, for a key that is unknown, missing or of the
    wrong type, and for a machine that cannot be.
    """
    source = find_source(name_or_path, SHELF, folder=None, where="machine")
    table = read_table(source, "a machine")
    check_keys(table, Machine, source.label)
    machine = converted(table, Machine, lambda _: source.label, {})
    for path, problem, value, limit in violations(machine):
        raise InputError(f"{source.label}: {path}", problem, value=short(value), limit=limit)
    return machine


def violations(machine: Machine) -> Iterator[Violation]:
    """What makes the machine impossible, one by one."""
    if not machine.peaks:
        yield "peaks", "no number format", 0, "at least 1"
    for index, peak in enumerate(machine.peaks):
        if peak.format not in FORMAT_BITS:
            yield f"peaks[{index}].format", "unknown number format", peak.format, ", ".join(FORMAT_BITS)
        if machine.formats.index(peak.format) != index:
            yield f"peaks[{index}].format", "two peaks of one format", peak.format, None
        yield from _rate(f"peaks[{index}].operations_per_second", peak.operations_per_second)
    yield from _rate("vector.operations_per_second", machine.vector.operations_per_second)
    for function, rate in machine.vector.elements_per_second.items():
        yield from _rate(f"vector.elements_per_second.{function}", rate)
    if machine.array and min(machine.array.rows, machine.array.columns) < 1:
        yield "array", "a side without elements", (machine.array.rows, machine.array.columns), "at least 1"
    if not 2 <= len(machine.levels) <= MAX_LEVELS:
        yield "levels", "too few or too many", len(machine.levels), f"2 to {MAX_LEVELS}"
    names = [level.name for level in machine.levels]
    for index, level in enumerate(machine.levels):
        if names.index(level.name) != index:
            yield f"levels[{index}].name", "two levels of one name", level.name, None
        yield from _level(f"levels[{index}]", level, outermost=index == 0)


def _level(path: str, level: Level, *, outermost: bool) -> Iterator[Violation]:
    if not level.capacity_bytes >= MIN_CAPACITY_BYTES:
        yield f"{path}.capacity_bytes", "too small", level.capacity_bytes, f"at least {MIN_CAPACITY_BYTES:g}"
    if level.instances < 1:
        yield f"{path}.instances", "no memory at all", level.instances, "at least 1"
    if level.square_tile is not None and level.square_tile < 1:
        yield f"{path}.square_tile", "a tile without elements", level.square_tile, "at least 1"
    bandwidth = level.bandwidth_bytes_per_second
    if outermost and bandwidth is not None:
        yield f"{path}.bandwidth_bytes_per_second", "the outermost memory has no way out", bandwidth, None
    elif not outermost and bandwidth is None:
        yield f"{path}.bandwidth_bytes_per_second", "missing", None, "bytes a second to the level before"
    elif bandwidth is not None:
        yield from _rate(f"{path}.bandwidth_bytes_per_second", bandwidth)


def _rate(path: str, value: float) -> Iterator[Violation]:
    if isnan(value) or not 0 < value <= MAX_RATE:
        yield path, "no possible rate", value, f"above 0, at most {MAX_RATE:g}"
