"""Solved schedules on disk, one JSON file a content key, so that a second run of the same layer solves nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import msgspec

from model_ir.errors import InputError


def default_cache_folder() -> Path:
    """`$SYSTOLIC_CACHE`, else `systolic` in the user's cache folder (XDG base directory specification)."""
    chosen = os.environ.get("SYSTOLIC_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "systolic"


class ScheduleCache(MutableMapping[str, Any]):
    """A mapping from content key to JSON-able value; every entry appears whole or not at all.

    A file that is not valid JSON (a full disk, another program) counts as absent: the schedule is solved again and
    rewritten.
    """

    def __init__(self, folder: Path) -> None:
        """Use `folder`, made if need be. Raises InputError where that cannot be."""
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(str(folder), f"cannot keep schedules here: {error.strerror}") from error

    def __getitem__(self, key: str) -> Any:
        try:
            return msgspec.json.decode(self._path(key).read_bytes())
        except (OSError, msgspec.DecodeError) as error:
            raise KeyError(key) from error

    def __setitem__(self, key: str, value: Any) -> None:
        partial = self._path(key).with_suffix(f".{os.getpid()}.partial")
        try:
            partial.write_bytes(msgspec.json.encode(value))
            partial.replace(self._path(key))
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise InputError(str(self.folder), f"cannot keep schedules here: {error.strerror}") from error

    def __delitem__(self, key: str) -> None:
        try:
            self._path(key).unlink()
        except FileNotFoundError as error:
            raise KeyError(key) from error

    def __iter__(self) -> Iterator[str]:
        return (path.stem for path in self.folder.glob("*.json"))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"
