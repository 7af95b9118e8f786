"""Reads a description (a frozen Struct) from TOML, strictly: a fault is an InputError naming file, dotted path, value
and limit. The only file that knows TOML; it knows no machine.
"""

from __future__ import annotations

import re
import reprlib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec

from model_ir.errors import InputError

MAX_FILE_BYTES = 1 << 20

Noun = TypeVar("Noun", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Descriptions that ship with the package: what one is called in messages ("accelerator") and the folder inside
    `simulator` that holds them."""

    what: str
    folder: str

    @property
    def files(self) -> Traversable:
        """The folder."""
        return resources.files("simulator").joinpath(self.folder)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the descriptions, sorted."""
        entries = (entry.name for entry in self.files.iterdir())
        return tuple(sorted(name.removesuffix(".toml") for name in entries if name.endswith(".toml")))


@dataclass(frozen=True, slots=True)
class Source:
    """A file to read: what messages call it, its bytes' place, and the folder that relative paths in it start at."""

    label: str
    file: Traversable
    folder: Path | None


def find_source(name_or_path: str | Path, shelf: Shelf, *, folder: Path | None, where: str) -> Source:
    """The file of a shipped description (a bare name) or of a path (a Path, or a string that ends in .toml or holds a
    path separator), relative to `folder`; InputError at `where` for an unknown name."""
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith(".toml") or "/" in text or "\\" in text:
        path = (folder or Path()) / text
        return Source(plain(str(path)), path, path.parent)
    if text not in shelf.names:
        close = get_close_matches(text, shelf.names, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise InputError(
            where,
            f"no {shelf.what} of that name ships with systolic; {hint}a file of your own is given as a path to a .toml",
            value=short(text),
            limit=", ".join(shelf.names),
        )
    return Source(f"{text}.toml", shelf.files.joinpath(f"{text}.toml"), None)


def read_table(source: Source, what: str) -> dict[str, Any]:
    """The file's table; InputError where it cannot be read or is not TOML."""
    try:
        if source.file.is_dir():
            raise InputError(source.label, f"is a folder, not a description of {what}")
        if not source.file.is_file():
            raise InputError(source.label, "no such file")
        with source.file.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InputError(source.label, f"cannot be read: {error}") from None
    if len(content) > MAX_FILE_BYTES:
        raise InputError(source.label, f"too long for a description of {what}", limit=f"{MAX_FILE_BYTES} bytes")
    try:
        return tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(source.label, "is not UTF-8 text", value=f"byte {error.start}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(source.label, f"is not TOML: {error}") from None


def check_keys(table: Mapping[str, Any], noun: type[msgspec.Struct], label: str, prefix: str = "") -> None:
    """Raise InputError for the first key that `noun` (or the noun of a table or list of tables inside it) does not
    have."""
    nouns = {field.encode_name: _noun(field.type) for field in msgspec.structs.fields(noun)}
    for key, value in table.items():
        if key not in nouns:
            raise InputError(f"{label}: {prefix}{plain(key)}", _unknown_key(key, tuple(nouns)), value=short(value))
        inner = nouns[key]
        if inner is None:
            continue
        if isinstance(value, dict):
            check_keys(value, inner, label, f"{prefix}{key}.")
        for place, item in enumerate(value if isinstance(value, list) else ()):
            if isinstance(item, dict):
                check_keys(item, inner, label, f"{prefix}{key}[{place}].")


def converted(
    table: dict[str, Any],
    noun: type[Noun],
    origin: Callable[[str], str],
    choices: Mapping[str, tuple[str, ...]],
) -> Noun:
    """`table` as `noun`; InputError for a key that is missing or of the wrong type. `origin` names the file that set a
    dotted path, `choices` the words allowed in lists, by dotted path without places."""
    try:
        return msgspec.convert(table, noun, strict=True)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at `$")
    dotted = place.rstrip("`").lstrip(".")
    missing = re.fullmatch(r"Object missing required field `(\w+)`", problem)
    if missing:
        dotted = f"{dotted}.{missing[1]}".lstrip(".")
        raise InputError(f"{origin(dotted)}: {dotted}", "missing key")
    dotted, value = _faulty_item(table, dotted, whole_numbers="`int`" in problem)
    words = choices.get(re.sub(r"\[\d+\]", "", dotted)) if dotted.endswith("]") else None
    text = problem[0].lower() + problem[1:].replace("`", "")
    limit = ", ".join(words) if words else None
    raise InputError(f"{origin(dotted.partition('[')[0])}: {dotted}", text, value=short(value), limit=limit)


def short(value: object) -> str:
    """`value` as it may stand in a one-line message, cut where it is long."""
    return reprlib.repr(value)


def plain(text: str) -> str:
    """`text` as it may stand in a one-line message."""
    return text if text.isprintable() else repr(text)


def _noun(annotation: Any) -> type[msgspec.Struct] | None:
    """The Struct in a field's type (`VectorUnit | None` and `tuple[Level, ...]` hold one), if there is one."""
    candidates = get_args(annotation) or (annotation,)
    return next((kind for kind in candidates if isinstance(kind, type) and issubclass(kind, msgspec.Struct)), None)


def _unknown_key(key: str, known: tuple[str, ...]) -> str:
    with_unit = [name for name in known if name.startswith(f"{key}_")]
    if with_unit:
        return f"unknown key: it lacks its unit, write {' or '.join(with_unit)}"
    close = get_close_matches(key, known, n=1)
    return f"unknown key; did you mean {close[0]}?" if close else f"unknown key; known here: {', '.join(known)}"


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
