"""Optional extras of this distribution: asked for before they are imported, and named where they are missing."""

from __future__ import annotations

from importlib.util import find_spec

from model_ir.errors import InputError


def needs(extra: str, *modules: str) -> None:
    """Raise InputError naming `extra` unless all its `modules` can be imported."""
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise InputError(extra, f"needs {' and '.join(missing)}, an extra: pip install 'systolic[{extra}]'")
