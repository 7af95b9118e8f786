"""Reads a `Hierarchy` from TOML, strictly, and checks that such a machine can be.

A fault is an InputError naming file, dotted path, value and limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from pathlib import Path

from model_ir.errors import InputError
from simulator.hierarchy.description import DIM_KINDS, ROLES, Hierarchy, Level
from simulator.strict_toml import Shelf, check_keys, converted, find_source, read_table, short

SHELF = Shelf(what="hierarchy", folder="hierarchies")
MAX_LEVELS = 16
MAX_INSTANCES = 1 << 24
MAX_BYTES = 1 << 50
MAX_WORD_BITS = 256
MAX_CLOCK_HZ = 1e12
MAX_RATE = 1e9
"""Largest bandwidth (bytes per cycle) and energy (picojoules) that a description may state."""

_WORDS: dict[str, tuple[str, ...]] = {
    "levels.stores": ROLES,
    "levels.fanout.dims": DIM_KINDS,
    "levels.fanout.multicast": ROLES,
}

Violation = tuple[str, str, object, object]
"""Dotted path, problem, value, limit."""


def hierarchy_names() -> tuple[str, ...]:
    """Names of the descriptions that ship with the package, sorted."""
    return SHELF.names


def load_hierarchy(name_or_path: str | Path) -> Hierarchy:
    """The hierarchy of a shipped description (a bare name such as "simba-like") or of a TOML file (a Path, or a string
    that ends in .toml or holds a path separator).

    Raises InputError for a file that cannot be read or is not TOML, for a key that is unknown, missing or of the
    wrong type, and for a machine that cannot be.
    """
    source = find_source(name_or_path, SHELF, folder=None, where="hierarchy")
    table = read_table(source, "a hierarchy")
    check_keys(table, Hierarchy, source.label)
    hierarchy = converted(table, Hierarchy, lambda _: source.label, _WORDS)
    for path, problem, value, limit in violations(hierarchy):
        raise InputError(f"{source.label}: {path}", problem, value=short(value), limit=limit)
    return hierarchy


def violations(hierarchy: Hierarchy) -> Iterator[Violation]:
    """What makes the machine impossible, one by one."""
    yield from _number("clock_hz", hierarchy.clock_hz, 1.0, MAX_CLOCK_HZ)
    yield from _number("mac_pj", hierarchy.mac_pj, 0.0, MAX_RATE)
    for role in (*ROLES, "partial_sums"):
        yield from _number(f"word_bits.{role}", getattr(hierarchy.word_bits, role), 1, MAX_WORD_BITS)
    if not 2 <= len(hierarchy.levels) <= MAX_LEVELS:
        yield "levels", "too few or too many", len(hierarchy.levels), f"2 to {MAX_LEVELS}"
        return
    if set(hierarchy.levels[0].stores) != set(ROLES) or hierarchy.levels[0].capacity_bytes is not None:
        yield "levels[0]", "the outermost level stores every operand and is unlimited", hierarchy.levels[0].name, None
    names = [level.name for level in hierarchy.levels]
    for index, level in enumerate(hierarchy.levels):
        if names.index(level.name) != index:
            yield f"levels[{index}].name", "two levels of one name", level.name, None
        yield from _level_violations(f"levels[{index}]", level)
    if hierarchy.multipliers > MAX_INSTANCES:
        yield "levels", "too many multipliers", hierarchy.multipliers, MAX_INSTANCES


def _level_violations(path: str, level: Level) -> Iterator[Violation]:
    if not level.stores or len(set(level.stores)) != len(level.stores):
        yield f"{path}.stores", "names no operand, or one twice", level.stores, ", ".join(ROLES)
    for name in ("capacity_bytes", "read_bytes_per_cycle", "write_bytes_per_cycle", "shared_bytes_per_cycle"):
        value = getattr(level, name)
        if value is not None:
            limits = (1, MAX_BYTES) if name == "capacity_bytes" else (1e-6, MAX_RATE)
            yield from _number(f"{path}.{name}", value, *limits)
    for name in ("read_pj_per_byte", "write_pj_per_byte", "network_pj_per_byte"):
        yield from _number(f"{path}.{name}", getattr(level, name), 0.0, MAX_RATE)
    for role in ROLES:
        share = getattr(level.partition_bytes, role)
        if share is None:
            continue
        if role not in level.stores:
            yield f"{path}.partition_bytes.{role}", "a share for what the level does not store", share, level.stores
        yield from _number(f"{path}.partition_bytes.{role}", share, 1, level.capacity_bytes or MAX_BYTES)
    axes = [axis.name for axis in level.fanout]
    for index, axis in enumerate(level.fanout):
        where = f"{path}.fanout[{index}]"
        if axes.index(axis.name) != index:
            yield f"{where}.name", "two axes of one name", axis.name, None
        yield from _number(f"{where}.size", axis.size, 1, MAX_INSTANCES)
        for field, words in (("dims", axis.dims), ("multicast", axis.multicast)):
            if len(set(words)) != len(words):
                yield f"{where}.{field}", "names one twice", words, None
        if "outputs" in axis.multicast:
            yield f"{where}.multicast", "outputs are not sent to several instances", axis.multicast, "inputs, weights"


def _number(path: str, value: float, least: float, most: float) -> Iterator[Violation]:
    if not (isfinite(value) and least <= value <= most):
        yield path, "outside what a machine can have", value, f"{least:g} to {most:g}"
