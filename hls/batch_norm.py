"""Batch normalisation while a network learns: each batch's own mean and variance, and afterwards those of the data.

Ioffe and Szegedy, arXiv 1502.03167, Algorithm 2: train with the statistics of each batch, then fix them to the average
mean over batches and m / (m - 1) times the average variance, m the elements a channel has in a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError
from model_ir.graph import Graph, execute
from model_ir.op import Op
from model_ir.ops.elementwise import Binary
from model_ir.ops.movement import Reshape
from model_ir.ops.normalisation import BatchNorm
from model_ir.ops.pooling import Reduce
from model_ir.passes.rewriting import Replacement, View, rewrite

Array = npt.NDArray[Any]
MEAN, VARIANCE = 3, 4
"""Places of the statistics among the inputs of BatchNorm."""


def with_batch_statistics(graph: Graph) -> Graph:
    """`graph` whose batch normalisations, where their mean and variance have no values yet, take those of their batch.

    The same graph comes back where there are none.
    """
    return rewrite(graph, _of_batch)


def learned_statistics(graph: Graph, values: Mapping[str, Any], inputs: Array, xp: Any = np) -> dict[str, Array]:
    """Mean and variance, by the names they have in `graph`, of all whole batches of `inputs` (samples, ...) under the
    learned `values` of the other parameters.

    Raises InputError where two batch normalisations share statistics: each would need its own.
    """
    norms = [op for op in graph.ops if isinstance(op, BatchNorm) and _unknown(graph, op)]
    names = [name for op in norms for name in op.inputs[MEAN:]]
    if len(set(names)) < len(names):
        raise InputError(graph.origin or graph.name, "batch normalisations share a mean or variance", value=names)
    if not norms:
        return {}
    watched = replace(with_batch_statistics(graph), outputs=tuple(_batch_name(name) for name in names))
    batch = graph.tensors[graph.inputs[0]].shape[0]
    sums = {name: np.zeros(graph.tensors[name].shape) for name in names}
    starts = range(0, len(inputs) - batch + 1, batch)
    for start in starts:
        found = execute(watched, {**values, graph.inputs[0]: inputs[start : start + batch]}, xp)
        for name in names:
            sums[name] += np.asarray(found[_batch_name(name)], np.float64)
    averages = {name: total / len(starts) for name, total in sums.items()}
    for op in norms:
        x = graph.tensors[op.inputs[0]]
        elements = x.elements // x.shape[1]
        averages[op.inputs[VARIANCE]] *= elements / (elements - 1)
    return {name: value.astype(np.float32) for name, value in averages.items()}


def _unknown(graph: Graph, op: BatchNorm) -> bool:
    """Whether both statistics of `op` are parameters without values."""
    return all(name in graph.parameters and name not in graph.constants for name in op.inputs[MEAN:])


def _batch_name(parameter: str) -> str:
    return f"{parameter}.of_batch"


def _of_batch(view: View, op: Op) -> Replacement | None:
    if not isinstance(op, BatchNorm) or not _unknown(view.graph, op):
        return None
    x, (mean, variance) = op.inputs[0], (_batch_name(name) for name in op.inputs[MEAN:])
    shape = view.shape(x)
    if np.prod(shape) == shape[1]:
        raise InputError(op.name, "batch statistics need more than one element a channel", value=shape)
    others = tuple(axis for axis in range(len(shape)) if axis != 1)
    aligned = tuple(size if axis == 1 else 1 for axis, size in enumerate(shape))
    placed, centred, squared = (f"{mean}.{part}" for part in ("placed", "centred", "squared"))
    return Replacement(
        ops=(
            Reduce(name=mean, inputs=(x,), outputs=(mean,), function="mean", axes=others, keepdims=False),
            Reshape(name=placed, inputs=(mean,), outputs=(placed,), shape=aligned),
            Binary(name=centred, inputs=(x, placed), outputs=(centred,), function="sub"),
            Binary(name=squared, inputs=(centred, centred), outputs=(squared,), function="mul"),
            Reduce(name=variance, inputs=(squared,), outputs=(variance,), function="mean", axes=others, keepdims=False),
            replace(op, inputs=(*op.inputs[:MEAN], mean, variance)),
        )
    )
