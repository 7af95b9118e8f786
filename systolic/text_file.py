"""Writing a text where the user asked for it, and naming its file after a network or a layer."""

from __future__ import annotations

from pathlib import Path

from model_ir.errors import InputError


def write_text(path: Path, text: str, *, problem: str = "cannot write the page") -> None:
    """`text` as the file `path`, its folder made where it is missing; InputError with `problem` where not."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(str(path), f"{problem}: {error.strerror or error}") from error


def file_name(name: str, *, otherwise: str) -> str:
    """`name` with a hyphen for whatever may not stand in a file's name; `otherwise` where nothing is left."""
    return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name).strip(".-") or otherwise
