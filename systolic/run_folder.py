"""A run folder appears whole or not at all: written beside its place, then moved there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model_ir.errors import InputError
from reports.record import HEADER_FILE


@contextmanager
def new_run_folder(place: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes `place` when the block ends well and vanishes when it does not.

    An earlier run at `place` is replaced; anything else that stands there is an InputError, as is a parent that
    cannot be written (found before the block starts, so that no work is lost).
    """
    if place.exists() and not (place / HEADER_FILE).is_file():
        raise InputError(str(place), "exists and is not a run folder; choose another --name or --out")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{place.name}.", suffix=".partial", dir=place.parent))
    except OSError as error:
        raise InputError(str(place), f"cannot write a run folder here: {error.strerror}") from error
    try:
        yield partial
        partial.chmod(0o755)
        _put_in_place(partial, place)
    except KeyboardInterrupt as interrupt:
        raise InputError(str(place), "interrupted; nothing was written") from interrupt
    except OSError as error:
        raise InputError(str(place), f"cannot write the run: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _put_in_place(partial: Path, place: Path) -> None:
    if not place.exists():
        os.rename(partial, place)
        return
    replaced = partial.with_suffix(".replaced")
    os.rename(place, replaced)
    os.rename(partial, place)
    shutil.rmtree(replaced)
