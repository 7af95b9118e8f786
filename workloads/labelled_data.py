"""Reading labelled arrays from npz files, and what must hold of them before anybody learns from them."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError

Array = npt.NDArray[Any]
SPLIT_SEED = 0


def read_arrays(path: Path) -> dict[str, Array]:
    """All arrays of an npz file by name. Raises InputError where it cannot be read."""
    try:
        stored = np.load(path, allow_pickle=False)
        if isinstance(stored, np.ndarray):
            raise InputError(str(path), "holds one array and no names for it; an npz file is wanted")
        with stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise InputError(str(path), f"is no readable npz file: {error}") from error


def check_shape(where: str, values: Array, shape: tuple[int, ...]) -> None:
    """Raise InputError unless `values` have this shape."""
    if values.shape != shape:
        raise InputError(where, "wrong shape", value=values.shape, limit=shape)


def check_finite(where: str, values: Array) -> None:
    """Raise InputError for numbers that are not finite, and for what is no number; it names the first row."""
    if not (np.issubdtype(values.dtype, np.number) or values.dtype == np.bool_):
        raise InputError(where, "must be numbers", value=values.dtype)
    if not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0][0])
        raise InputError(where, "has numbers that are not finite", value=f"first in row {row}")


def check_labels(where: str, labels: Array, classes: int) -> None:
    """Raise InputError unless `labels` (samples,) are whole numbers of [0, classes), at least two of them."""
    where = f"{where}: labels"
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1:
        raise InputError(where, "must be whole numbers, one a sample", value=f"{labels.dtype} {labels.shape}")
    if labels.size == 0:
        raise InputError(where, "there are none")
    if labels.min() < 0 or labels.max() >= classes:
        wrong = int(labels.min() if labels.min() < 0 else labels.max())
        raise InputError(where, "out of range", value=wrong, limit=f"0 to {classes - 1}")
    if labels.min() == labels.max():
        raise InputError(where, "only one class in the data", value=int(labels.min()))


def split(samples: int, test: int, validation: int) -> tuple[Array, Array, Array]:
    """Which of `samples` train, which are to choose by and which to report on: the same in every run.

    `test` and `validation` are counts; of a set that leaves nothing to train on, a fifth and a tenth are held back.
    Raises InputError where a part would be empty.
    """
    if samples <= test + validation:
        test, validation = samples // 5, samples // 10
    if validation == 0:
        raise InputError("data", "too few samples to train, choose and test", value=samples, limit="at least 10")
    order = np.random.default_rng(SPLIT_SEED).permutation(samples)
    return order[test + validation :], order[test : test + validation], order[:test]
