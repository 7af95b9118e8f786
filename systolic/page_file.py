"""Writing a page where the user asked for it."""

from __future__ import annotations

from pathlib import Path

from model_ir.errors import InputError


def write_text(page: Path, text: str) -> None:
    """`text` as the file `page`, its folder made where it is missing; InputError where that cannot be."""
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(str(page), f"cannot write the page: {error.strerror}") from error
