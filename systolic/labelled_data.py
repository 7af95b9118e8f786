"""A user's labelled data: one .npz with `y` (or `labels`) and `X`, or each input under its own name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError

Array = npt.NDArray[Any]
LABELS = ("y", "labels")
ONLY_INPUT = "X"


def labels_of(path: Path, arrays: dict[str, Array]) -> Array:
    """The labels among `arrays`; InputError where there are none."""
    found = next((arrays[name] for name in LABELS if name in arrays), None)
    if found is None:
        raise InputError(str(path), "has neither 'y' nor 'labels'", value=", ".join(arrays))
    return found


def only_input(path: Path, arrays: dict[str, Array], name: str) -> Array:
    """The values of a network's one input `name`; InputError where the file has neither it nor `X`."""
    for key in (name, ONLY_INPUT):
        if key in arrays:
            return arrays[key]
    raise InputError(str(path), f"has no array for input {name!r}", value=", ".join(arrays))


def standardised(values: Array) -> npt.NDArray[np.float32]:
    """Mean 0 and variance 1 of every feature over all rows; a feature that never changes becomes 0."""
    if not np.issubdtype(values.dtype, np.floating):
        raise InputError("--standardise", "is for inputs of floats", value=values.dtype)
    wide = values.astype(np.float64)
    spread = wide.std(axis=0)
    result: npt.NDArray[np.float32] = ((wide - wide.mean(axis=0)) / np.where(spread > 0, spread, 1)).astype(np.float32)
    return result
