"""Stages of a long job that resume: what a stage made is kept in the run's folder and taken over while its key holds.

A stage's folder appears whole or not at all, except `work/`, where it may keep what helps it to go on after an
interruption (checkpoints of training).
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError
from model_ir.graph import Graph
from systolic.text_file import file_name

Result = TypeVar("Result")
Arrays = dict[str, npt.NDArray[Any]]
STAGES = "stages"
_DONE = "done.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRecord:
    """Name of a stage, seconds it took, and whether it was taken over."""

    name: str
    seconds: float
    resumed: bool


@dataclass(slots=True, kw_only=True)
class Stages:
    """The stages of one run in `folder`, in the order they are asked for. `key` hashes what was asked and every
    result so far that others read: a stage is taken over only where none of these has changed."""

    folder: Path
    key: str
    records: list[StageRecord] = field(default_factory=list)

    def run(
        self,
        name: str,
        asked: Any,
        make: Callable[[Path], tuple[Result, Arrays]],
        kind: type[Result],
        *,
        leaf: bool = False,
        produces: Path | None = None,
    ) -> tuple[Result, Arrays]:
        """The result (of dataclass `kind`) and arrays of stage `name`, made by `make(work folder)` unless kept from
        before. `asked` is what this stage reads of the request and of leaves; no later stage reads a `leaf`. `produces`
        is what it leaves elsewhere: without it the stage is made again. Raises InputError where the folder cannot be
        written."""
        key = hashlib.sha256(msgspec.json.encode([self.key, name, asked], enc_hook=str)).hexdigest()
        place = self.folder / STAGES / file_name(name, otherwise="stage")
        start = time.perf_counter()
        found = _kept(place, key, kind) if produces is None or produces.exists() else None
        resumed = found is not None
        if found is None:
            found = _made(place, key, make)
        result, arrays, digest = found
        if not leaf:
            self.key = hashlib.sha256(f"{key}{digest}".encode()).hexdigest()
        self.records.append(StageRecord(name=name, seconds=time.perf_counter() - start, resumed=resumed))
        return result, arrays


def _made(place: Path, key: str, make: Callable[[Path], tuple[Result, Arrays]]) -> tuple[Result, Arrays, str]:
    partial = place.with_name(f".{place.name}.partial")
    try:
        # Another key's leftovers would be another network's checkpoints.
        work = partial / key[:16]
        for other in partial.glob("*") if partial.exists() else ():
            if other != work:
                shutil.rmtree(other) if other.is_dir() else other.unlink()
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(str(place), f"cannot keep a stage here: {error.strerror or error}") from error
    result, arrays = make(work)
    try:
        return result, arrays, _keep(place, partial, key, result, arrays)
    except OSError as error:
        raise InputError(str(place), f"cannot keep a stage here: {error.strerror or error}") from error


def _keep(place: Path, partial: Path, key: str, result: Any, arrays: Arrays) -> str:
    """Write a stage's result beside its place, then move it there; the digest of what was written."""
    whole = place.with_name(f".{place.name}.whole")
    shutil.rmtree(whole, ignore_errors=True)
    whole.mkdir()
    text = msgspec.json.encode(result)
    digest = _digest(text, arrays)
    np.savez(whole / "arrays.npz", **arrays)  # type: ignore[arg-type]
    (whole / "result.json").write_bytes(text)
    (whole / _DONE).write_bytes(msgspec.json.encode({"key": key, "digest": digest}))
    shutil.rmtree(place, ignore_errors=True)
    whole.rename(place)
    shutil.rmtree(partial, ignore_errors=True)
    return digest


def _kept(place: Path, key: str, kind: type[Result]) -> tuple[Result, Arrays, str] | None:
    """What the stage left, if it was asked the same; None where it was not or the files are damaged."""
    try:
        done = msgspec.json.decode((place / _DONE).read_bytes(), type=dict[str, str])
        if done.get("key") != key:
            return None
        text = (place / "result.json").read_bytes()
        with np.load(place / "arrays.npz", allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        if _digest(text, arrays) != done.get("digest"):
            return None
        return msgspec.json.decode(text, type=kind), arrays, done["digest"]
    except (OSError, ValueError, EOFError, msgspec.DecodeError):
        return None


def _digest(text: bytes, arrays: Arrays) -> str:
    sums = hashlib.sha256(text)
    for name in sorted(arrays):
        value = np.ascontiguousarray(arrays[name])
        sums.update(f"{name}{value.dtype}{value.shape}".encode())
        sums.update(value.tobytes())
    return sums.hexdigest()


def constants_digest(graph: Graph) -> str:
    """A digest of a network's numbers, by name."""
    return _digest(b"", dict(graph.constants))
