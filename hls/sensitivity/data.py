"""Labelled data for a graph, checked and cut into batches of the size the graph was built for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError
from model_ir.graph import Graph

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Rows for every graph input by name, and `labels`, one row each (classes for cross-entropy, else any target)."""

    inputs: Mapping[str, Array] = field(repr=False)
    labels: Array = field(repr=False)

    @property
    def rows(self) -> int:
        """Number of samples."""
        return int(self.labels.shape[0])


def batches_of(graph: Graph, data: Data) -> tuple[Data, ...]:
    """`data` in batches of the graph's first axis. Raises InputError for a missing input, another width, numbers that
    are not finite and rows that do not make whole batches."""
    size = (*graph.tensors[graph.inputs[0]].shape, 1)[0]
    if data.labels.ndim < 1 or data.rows == 0:
        raise InputError("labels", "there are none", value=data.labels.shape)
    for name in graph.inputs:
        if name not in data.inputs:
            raise InputError("data", f"no values for input {name!r}", value=", ".join(data.inputs) or "nothing")
        _check_input(graph, name, data)
    if data.rows % size:
        raise InputError(
            "data", "rows do not make whole batches of the graph", value=data.rows, limit=f"{size} a batch"
        )
    return tuple(
        Data(
            inputs={name: data.inputs[name][start : start + size] for name in graph.inputs},
            labels=data.labels[start : start + size],
        )
        for start in range(0, data.rows, size)
    )


def _check_input(graph: Graph, name: str, data: Data) -> None:
    values, shape = data.inputs[name], graph.tensors[name].shape
    if values.shape[1:] != shape[1:] or values.ndim != len(shape):
        wanted = ("rows", *map(str, shape[1:]))
        raise InputError(f"data {name!r}", "wrong shape", value=values.shape, limit=f"({', '.join(wanted)})")
    if values.shape[0] != data.rows:
        raise InputError(f"data {name!r}", "has another number of rows than the labels", value=values.shape[0])
    if np.issubdtype(values.dtype, np.inexact) and not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0][0])
        raise InputError(f"data {name!r}", "has numbers that are not finite", value=f"first in row {row}")


def check_classes(labels: Array, classes: int) -> None:
    """Raise InputError unless `labels` are whole numbers of [0, classes), at least two of them."""
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError("labels", "must be whole numbers", value=labels.dtype)
    if labels.min() < 0 or labels.max() >= classes:
        wrong = int(labels.min() if labels.min() < 0 else labels.max())
        raise InputError("labels", "out of range", value=wrong, limit=f"0 to {classes - 1}")
    if labels.size > 1 and labels.min() == labels.max():
        raise InputError("labels", "only one class in the data", value=int(labels.min()))
