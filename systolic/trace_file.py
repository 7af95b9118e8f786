"""A Chrome trace on disk: written as it comes, whole or not at all, packed where its name ends in .gz."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from model_ir.errors import InputError
from simulator.chrome_trace import Event

HEADER = '{"displayTimeUnit":"ns","otherData":%s,"traceEvents":[\n'
TIME_UNIT = "1 ns stands for 1 cycle"


def check_trace_name(path: Path) -> None:
    """Raise InputError unless `path` ends as a trace does."""
    if not path.name.endswith((".json", ".json.gz")):
        raise InputError(str(path), "a trace's name ends in .json or .json.gz")


@contextmanager
def trace_file(path: Path, facts: dict[str, str]) -> Iterator[Callable[[Iterable[Event]], None]]:
    """Yield a function that appends events to the trace; `path` (.json or .json.gz) appears when the block ends well.

    `facts` go into the file's "otherData". Raises InputError for another ending and where nothing can be written.
    """
    check_trace_name(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with _opened(partial, packed=path.name.endswith(".gz")) as text:
            text.write(HEADER % json.dumps({"time_unit": TIME_UNIT, **facts}))
            yield _writer(text)
            text.write("\n]}\n")
        partial.replace(path)
    except OSError as error:
        raise InputError(str(path), f"cannot write the trace: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _opened(path: Path, *, packed: bool) -> IO[str]:
    if packed:
        return gzip.open(path, "wt", encoding="utf-8", compresslevel=4)
    return path.open("w", encoding="utf-8")


def _writer(text: IO[str]) -> Callable[[Iterable[Event]], None]:
    separator = ""

    def write(events: Iterable[Event]) -> None:
        nonlocal separator
        for event in events:
            text.write(separator + json.dumps(event, separators=(",", ":")))
            separator = ",\n"

    return write
