"""Labelled data for a graph, checked and cut into batches of the size the graph was built for.

Everything of hls that is given data checks it here, so that the same mistake is the same error everywhere.
"""

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
    size = batch_of(graph)
    if data.labels.ndim < 1 or data.rows == 0:
        raise InputError("labels", "there are none", value=data.labels.shape)
    rows = check_inputs(graph, data.inputs)
    if rows != data.rows:
        raise InputError("data", "inputs have another number of rows than the labels", value=rows, limit=data.rows)
    if rows % size:
        raise InputError("data", "rows do not make whole batches of the graph", value=rows, limit=f"{size} a batch")
    return tuple(
        Data(
            inputs={name: data.inputs[name][start : start + size] for name in graph.inputs},
            labels=data.labels[start : start + size],
        )
        for start in range(0, rows, size)
    )


def batch_of(graph: Graph) -> int:
    """Samples of one execution: the first axis of the first input."""
    return max(1, (*graph.tensors[graph.inputs[0]].shape, 1)[0])


def check_inputs(graph: Graph, inputs: Mapping[str, Array]) -> int:
    """The number of rows of `inputs`, (rows, ...) for every input of `graph` by name. Raises InputError for a missing
    input, another width, no rows, other rows than the first input's, numbers that are not finite, and what is no
    number."""
    rows = None
    for name in graph.inputs:
        if name not in inputs:
            raise InputError("data", f"no values for input {name!r}", value=", ".join(inputs) or "nothing")
        values, shape = inputs[name], graph.tensors[name].shape
        if values.shape[1:] != shape[1:] or values.ndim != len(shape):
            wanted = ("rows", *map(str, shape[1:]))
            raise InputError(f"data {name!r}", "wrong shape", value=values.shape, limit=f"({', '.join(wanted)})")
        rows = len(values) if rows is None else rows
        if len(values) != rows or rows == 0:
            raise InputError(f"data {name!r}", "wrong number of rows", value=len(values), limit=rows or "at least 1")
        if not (np.issubdtype(values.dtype, np.number) or values.dtype == np.bool_):
            raise InputError(f"data {name!r}", "holds no numbers", value=values.dtype)
        if np.issubdtype(values.dtype, np.inexact) and not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0][0])
            raise InputError(f"data {name!r}", "has numbers that are not finite", value=f"first in row {row}")
    return rows or 0


def check_classes(labels: Array, classes: int) -> None:
    """Raise InputError unless `labels` are whole numbers of [0, classes), at least two of them."""
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError("labels", "must be whole numbers", value=labels.dtype)
    if labels.size == 0:
        raise InputError("labels", "there are none", value=labels.shape)
    if labels.min() < 0 or labels.max() >= classes:
        wrong = int(labels.min() if labels.min() < 0 else labels.max())
        raise InputError("labels", "out of range", value=wrong, limit=f"0 to {classes - 1}")
    if labels.size > 1 and labels.min() == labels.max():
        raise InputError("labels", "only one class in the data", value=int(labels.min()))


def check_classification(graph: Graph, inputs: Array, labels: Array) -> None:
    """Raise InputError unless `inputs` (samples, ...) and `labels` (samples,), whole numbers, are data for `graph`, a
    classifier: one input, one output of (batch, classes). All that `check_inputs` and `check_classes` ask for holds,
    and there is at least one whole batch."""
    where = graph.origin or graph.name
    if len(graph.inputs) != 1 or len(graph.outputs) != 1 or len(graph.tensors[graph.outputs[0]].shape) != 2:
        raise InputError(where, "a classifier has one input and one output of logits (batch, classes)")
    rows = check_inputs(graph, {graph.inputs[0]: inputs})
    if labels.shape != (rows,):
        raise InputError("labels", "one a sample", value=labels.shape, limit=f"({rows},)")
    check_classes(labels, graph.tensors[graph.outputs[0]].shape[1])
    if rows < batch_of(graph):
        raise InputError("data", "fewer samples than one batch of the graph", value=rows, limit=batch_of(graph))
