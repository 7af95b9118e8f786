"""A config.json on disk to a `LanguageModel`. The only file of the room that knows JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from model_ir.errors import InputError
from model_ir.language_model import LanguageModel, checked
from workloads.hugging_face.fields import Fields
from workloads.hugging_face.model_types import sizes_of

MAX_FILE_BYTES = 1 << 20


def read_config(path: str | Path) -> LanguageModel:
    """The model that the Hugging Face configuration at `path` (a file, or a folder with a config.json) describes.

    Its `notes` say what the file left open and which keys were not read. Raises InputError for a file that cannot be
    read, is no JSON object or lacks a field, and for a model type or a variant of one that is not known here.
    """
    file = Path(path)
    file = file / "config.json" if file.is_dir() else file
    fields = Fields(str(file), _table(file))
    sizes = sizes_of(fields)
    fields.check_stored_type()
    return checked(LanguageModel(name=_name(file), source=str(file), notes=fields.final_notes(), **sizes))


def _name(file: Path) -> str:
    return file.resolve().parent.name if file.name == "config.json" else file.stem


def _table(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InputError(str(file), f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > MAX_FILE_BYTES:
        raise InputError(str(file), "too long for a configuration", limit=f"{MAX_FILE_BYTES} bytes")
    try:
        table = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(str(file), f"is not JSON: {error}") from None
    if not isinstance(table, dict):
        raise InputError(str(file), "is not a JSON object", value=type(table).__name__)
    return table
