"""Evaluating operators whose inputs are all known, once, by their own reference definition. Shared by the importer and
the passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from model_ir.op import Op
from model_ir.ops.arrays import storage_dtype
from model_ir.ops.elementwise import Binary, Cast, Clip, Unary, Where
from model_ir.ops.gathering import Gather, GatherElements
from model_ir.ops.movement import Concat, Expand, Pad, Reshape, Slice, Split, Tile, Transpose
from model_ir.ops.pooling import ArgReduce, Reduce
from model_ir.ops.resampling import CumSum, Trilu
from model_ir.tensor import Tensor

# Operators worth evaluating ahead of time: linear time in what they read and write.
FOLDABLE: tuple[type[Op], ...] = (
    ArgReduce,
    Binary,
    Cast,
    Clip,
    Concat,
    CumSum,
    Expand,
    Gather,
    GatherElements,
    Pad,
    Reduce,
    Reshape,
    Slice,
    Split,
    Tile,
    Transpose,
    Trilu,
    Unary,
    Where,
)


def evaluate_constant(
    op: Op, outputs: Sequence[Tensor], values: Sequence[npt.NDArray[Any] | None]
) -> dict[str, npt.NDArray[Any]]:
    """The values of `outputs` of `op` for the given inputs, in the array type and shape of each output tensor."""
    with np.errstate(all="ignore"):
        results = op.evaluate(np, *values)
    return {
        tensor.name: np.asarray(result).astype(storage_dtype(tensor.precision)).reshape(tensor.shape)
        for tensor, result in zip(outputs, results, strict=True)
    }
