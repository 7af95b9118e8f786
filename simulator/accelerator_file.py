"""Reads an `Accelerator` from TOML, strictly: a fault is an InputError naming file, dotted path, value and limit.

A file may start from another one, `base = "gemmini"`, and override what differs, table by table; `name` and
`description` are never inherited. `strict_toml` does the reading; `accelerator_limits` knows which
machines are possible.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from model_ir.errors import InputError
from simulator.accelerator import Accelerator, Dataflow
from simulator.accelerator_limits import violations
from simulator.strict_toml import Shelf, Source, check_keys, converted, find_source, read_table, short

SHELF = Shelf(what="accelerator", folder="accelerators")
MAX_BASES = 8
OWN_KEYS = ("name", "description")
"""Keys that every file states itself: a machine that differs from its base is not its base."""


def accelerator_names() -> tuple[str, ...]:
    """Names of the descriptions that ship with the package, sorted."""
    return SHELF.names


def load_accelerator(name_or_path: str | Path) -> Accelerator:
    """The accelerator of a shipped description (a bare name such as "gemmini") or of a TOML file (a Path, or a string
    that ends in .toml or holds a path separator).

    Raises InputError for a file that cannot be read or is not TOML, for a key that is unknown, missing or of the
    wrong type, and for a machine that cannot be (see `accelerator_limits.violations`).
    """
    source = find_source(name_or_path, SHELF, folder=None, where="accelerator")
    table, origins = _table_with_bases(source, seen=())
    accelerator = converted(
        table,
        Accelerator,
        lambda dotted: _origin(origins, dotted, source.label),
        {"array.dataflows": get_args(Dataflow)},
    )
    for violation in violations(accelerator):
        raise InputError(
            f"{_origin(origins, violation.path, source.label)}: {violation.path}",
            violation.problem,
            value=short(violation.value),
            limit=violation.limit,
        )
    return accelerator


def _table_with_bases(source: Source, seen: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, str]]:
    """The file's table laid over those of its bases, and for each dotted path the file that set it."""
    if source.label in seen or len(seen) > MAX_BASES:
        raise InputError(
            f"{source.label}: base",
            "the bases lead back to a file on the way, or too far",
            value=" -> ".join((*seen, source.label)),
            limit=f"{MAX_BASES} bases",
        )
    table = read_table(source, "an accelerator")
    base = table.pop("base", None)
    check_keys(table, Accelerator, source.label)
    own_origins = dict.fromkeys(_dotted_paths(table), source.label)
    if base is None:
        return table, own_origins
    if not isinstance(base, str):
        raise InputError(
            f"{source.label}: base", "wrong type", value=short(base), limit="a name or a path, as a string"
        )
    for key in OWN_KEYS:
        if key not in table:
            raise InputError(f"{source.label}: {key}", "missing; it is never inherited from the base", value=base)
    below = find_source(base, SHELF, folder=source.folder, where=f"{source.label}: base")
    inherited, origins = _table_with_bases(below, (*seen, source.label))
    return _merged(inherited, table), origins | own_origins


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the entries of `over` in their place; a table present in both is merged, all else is replaced."""
    result = dict(base)
    for key, value in over.items():
        inherited = base.get(key)
        if isinstance(inherited, dict) and isinstance(value, dict):
            result[key] = _merged(inherited, value)
        else:
            result[key] = value
    return result


def _dotted_paths(table: Mapping[str, Any], prefix: str = "") -> list[str]:
    paths = []
    for key, value in table.items():
        paths.append(f"{prefix}{key}")
        if isinstance(value, dict):
            paths.extend(_dotted_paths(value, f"{prefix}{key}."))
    return paths


def _origin(origins: Mapping[str, str], dotted: str, default: str) -> str:
    """The file that set `dotted`, or the nearest table around it."""
    while dotted:
        if dotted in origins:
            return origins[dotted]
        dotted = dotted.rpartition(".")[0]
    return default
