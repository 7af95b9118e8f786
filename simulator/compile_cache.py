"""Keeps numba's on-disk cache honest across files.

Numba recompiles a cached function when its own file changes, not when a function it calls in another file does. The
engine spans several files, so an index older than any of them is dropped before the first of them is imported.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

COMPILED_FILES = (
    "command_check.py",
    "loop_check.py",
    "loop_conv_check.py",
    "functional*.py",
    "normaliser.py",
    "memory_state.py",
    "cycle_level/*.py",
    "skipping/*.py",
)


def drop_stale_indexes() -> int:
    """Remove cache indexes of this package older than its compiled sources; returns how many were removed."""
    package = Path(__file__).parent
    sources = [path for pattern in COMPILED_FILES for path in package.glob(pattern)]
    newest = max(path.stat().st_mtime for path in sources)
    removed = 0
    for source in sources:
        for folder in _cache_folders(source.parent):
            for index in folder.glob(f"{source.stem}.*.nbi"):
                try:
                    if index.stat().st_mtime < newest:
                        index.unlink()
                        removed += 1
                except OSError:
                    # Another process dropped it first, or it may not be written, and then neither may what is stale.
                    continue
    return removed


def _cache_folders(folder: Path) -> Iterator[Path]:
    """Where numba keeps what it compiled of a folder: beside it, in the folder named by NUMBA_CACHE_DIR or, where the
    folder may not be written, in the user's cache; in the last two under the folder's name and a hash of its path."""
    from numba.misc.appdirs import AppDirs

    yield folder / "__pycache__"
    elsewhere = os.environ.get("NUMBA_CACHE_DIR") or AppDirs(appname="numba", appauthor=False).user_cache_dir
    yield from Path(elsewhere).glob(f"{folder.name}_*/")
