"""`systolic jets`: jets simulated and written where they were asked for, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from model_ir.errors import InputError
from systolic.pipeline import Progress
from workloads.jets.generate import generate_jets
from workloads.jets.jets_file import Jets, write_jets


def jets_job(out: Path, count: int, seed: int, progress: Progress) -> Jets:
    """`count` jets of `seed`, also as the file `out`. Raises InputError where it cannot be written, before anything is
    simulated, or Pythia is missing."""
    with _file_made_whole(out) as file:
        jets = generate_jets(count, seed, lambda done, total: progress("jets", done, total))
        write_jets(file, jets)
    return jets


@contextmanager
def _file_made_whole(path: Path) -> Iterator[IO[bytes]]:
    """A file beside `path` that takes its name once it is complete, and otherwise goes away."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        if path.is_dir():
            raise IsADirectoryError("is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        file = partial.open("wb")
    except OSError as error:
        raise InputError(str(path), f"cannot write the jets: {error.strerror or error}") from error
    try:
        with file:
            yield file
        partial.replace(path)
    except OSError as error:
        raise InputError(str(path), f"cannot write the jets: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
