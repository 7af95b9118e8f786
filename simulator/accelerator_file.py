"""Reads an `Accelerator` from TOML, strictly: a fault is an InputError naming file, dotted path, value and limit.

A file may start from another one, `base = "gemmini"`, and override what differs, table by table; `name` and
`description` are never inherited. This is the only file that knows TOML; `accelerator_limits` knows which machines
are possible.
"""

from __future__ import annotations

import re
import reprlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, get_args

import msgspec

from model_ir.errors import InputError
from simulator.accelerator import Accelerator, Dataflow
from simulator.accelerator_limits import violations

MAX_FILE_BYTES = 1 << 20
MAX_BASES = 8
OWN_KEYS = ("name", "description")
"""Keys that every file states itself: a machine that differs from its base is not its base."""


@dataclass(frozen=True, slots=True)
class _Source:
    """A file to read: what messages call it, its bytes' place, and the folder that a relative `base` starts from."""

    label: str
    file: Traversable
    folder: Path | None


def accelerator_names() -> tuple[str, ...]:
    """Names of the descriptions that ship with the package, sorted."""
    entries = (entry.name for entry in _shipped_folder().iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in entries if name.endswith(".toml")))


def load_accelerator(name_or_path: str | Path) -> Accelerator:
    """The accelerator of a shipped description (a bare name such as "gemmini") or of a TOML file (a Path, or a string
    that ends in .toml or holds a path separator).

    Raises InputError for a file that cannot be read or is not TOML, for a key that is unknown, missing or of the
    wrong type, and for a machine that cannot be (see `accelerator_limits.violations`).
    """
    source = _source(name_or_path, folder=None, where="accelerator")
    table, origins = _table_with_bases(source, seen=())
    accelerator = _converted(table, origins, source.label)
    for violation in violations(accelerator):
        raise InputError(
            f"{_origin(origins, violation.path, source.label)}: {violation.path}",
            violation.problem,
            value=_short(violation.value),
            limit=violation.limit,
        )
    return accelerator


def _shipped_folder() -> Traversable:
    return resources.files("simulator").joinpath("accelerators")


def _source(name_or_path: str | Path, *, folder: Path | None, where: str) -> _Source:
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith(".toml") or "/" in text or "\\" in text:
        path = (folder or Path()) / text
        return _Source(_plain(str(path)), path, path.parent)
    names = accelerator_names()
    if text not in names:
        close = get_close_matches(text, names, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise InputError(
            where,
            f"no accelerator of that name ships with systolic; {hint}a file of your own is given as a path to a .toml",
            value=_short(text),
            limit=", ".join(names),
        )
    return _Source(f"{text}.toml", _shipped_folder().joinpath(f"{text}.toml"), None)


def _table_with_bases(source: _Source, seen: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, str]]:
    """The file's table laid over those of its bases, and for each dotted path the file that set it."""
    if source.label in seen or len(seen) > MAX_BASES:
        raise InputError(
            f"{source.label}: base",
            "the bases lead back to a file on the way, or too far",
            value=" -> ".join((*seen, source.label)),
            limit=f"{MAX_BASES} bases",
        )
    table = _parsed(source)
    base = table.pop("base", None)
    _check_keys(table, Accelerator, source.label, prefix="")
    own_origins = dict.fromkeys(_dotted_paths(table), source.label)
    if base is None:
        return table, own_origins
    if not isinstance(base, str):
        raise InputError(
            f"{source.label}: base", "wrong type", value=_short(base), limit="a name or a path, as a string"
        )
    for key in OWN_KEYS:
        if key not in table:
            raise InputError(f"{source.label}: {key}", "missing; it is never inherited from the base", value=base)
    below = _source(base, folder=source.folder, where=f"{source.label}: base")
    inherited, origins = _table_with_bases(below, (*seen, source.label))
    return _merged(inherited, table), origins | own_origins


def _parsed(source: _Source) -> dict[str, Any]:
    try:
        if source.file.is_dir():
            raise InputError(source.label, "is a folder, not an accelerator description")
        if not source.file.is_file():
            raise InputError(source.label, "no such file")
        with source.file.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InputError(source.label, f"cannot be read: {error}") from None
    if len(content) > MAX_FILE_BYTES:
        raise InputError(source.label, "too long for an accelerator description", limit=f"{MAX_FILE_BYTES} bytes")
    try:
        return tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(source.label, "is not UTF-8 text", value=f"byte {error.start}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(source.label, f"is not TOML: {error}") from None


def _check_keys(table: Mapping[str, Any], noun: type[msgspec.Struct], label: str, prefix: str) -> None:
    """Raise InputError for the first key that `noun` (or the noun of a table inside it) does not have."""
    nouns = {field.encode_name: _noun(field.type) for field in msgspec.structs.fields(noun)}
    for key, value in table.items():
        if key not in nouns:
            raise InputError(f"{label}: {prefix}{_plain(key)}", _unknown_key(key, tuple(nouns)), value=_short(value))
        inner = nouns[key]
        if inner is not None and isinstance(value, dict):
            _check_keys(value, inner, label, f"{prefix}{key}.")


def _noun(annotation: Any) -> type[msgspec.Struct] | None:
    """The Struct in a field's type (`VectorUnit | None` holds VectorUnit), if there is one."""
    candidates = get_args(annotation) or (annotation,)
    return next((kind for kind in candidates if isinstance(kind, type) and issubclass(kind, msgspec.Struct)), None)


def _unknown_key(key: str, known: tuple[str, ...]) -> str:
    with_unit = [name for name in known if name.startswith(f"{key}_")]
    if with_unit:
        return f"unknown key: it lacks its unit, write {' or '.join(with_unit)}"
    close = get_close_matches(key, known, n=1)
    return f"unknown key; did you mean {close[0]}?" if close else f"unknown key; known here: {', '.join(known)}"


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


def _converted(table: dict[str, Any], origins: Mapping[str, str], label: str) -> Accelerator:
    try:
        return msgspec.convert(table, Accelerator, strict=True)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at `$")
    dotted = place.rstrip("`").lstrip(".")
    missing = re.fullmatch(r"Object missing required field `(\w+)`", problem)
    if missing:
        dotted = f"{dotted}.{missing[1]}".lstrip(".")
        raise InputError(f"{_origin(origins, dotted, label)}: {dotted}", "missing key")
    dotted, value = _faulty_item(table, dotted, whole_numbers="`int`" in problem)
    limit = ", ".join(get_args(Dataflow)) if dotted.startswith("array.dataflows[") else None
    text = problem[0].lower() + problem[1:].replace("`", "")
    where = f"{_origin(origins, dotted.partition('[')[0], label)}: {dotted}"
    raise InputError(where, text, value=_short(value), limit=limit)


def _faulty_item(table: Mapping[str, Any], dotted: str, *, whole_numbers: bool) -> tuple[str, Any]:
    """Path and value of the item that msgspec rejects at `dotted`; in a table of numbers it says only `[...]`, so the
    first item that is no number is looked up."""
    value: Any = table
    path = ""
    for part in re.findall(r"[^.\[\]]+|\[\d+\]|\[\.\.\.\]", dotted):
        if part == "[...]":
            good = (int,) if whole_numbers else (int, float)
            part = next(key for key, item in value.items() if type(item) not in good)
        if re.fullmatch(r"\[\d+\]", part):
            value, path = value[int(part[1:-1])], path + part
        else:
            value, path = value[part], f"{path}.{part}".lstrip(".")
    return path, value


def _short(value: object) -> str:
    return reprlib.repr(value)


def _plain(text: str) -> str:
    """`text` as it may stand in a one-line message."""
    return text if text.isprintable() else repr(text)
