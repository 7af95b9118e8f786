"""Keeps numba's on-disk cache honest across files.

Numba recompiles a cached function when its own file changes, not when a function it calls in another file does. The
engine spans several files, so an index older than any of them is dropped before the first of them is imported.
"""

from __future__ import annotations

from pathlib import Path

COMPILED_FILES = (
    "command_check.py",
    "loop_check.py",
    "loop_conv_check.py",
    "functional*.py",
    "normaliser.py",
    "engine_*.py",
    "memory_state.py",
)


def drop_stale_indexes() -> int:
    """Remove cache indexes in this package older than its compiled sources; returns how many were removed."""
    package = Path(__file__).parent
    sources = [path for pattern in COMPILED_FILES for path in package.glob(pattern)]
    newest = max(path.stat().st_mtime for path in sources)
    removed = 0
    for source in sources:
        for index in package.glob(f"__pycache__/{source.stem}.*.nbi"):
            try:
                if index.stat().st_mtime < newest:
                    index.unlink()
                    removed += 1
            except OSError:
                # Another process dropped it first, or the package is read-only and its sources cannot change either.
                continue
    return removed
