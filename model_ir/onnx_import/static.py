"""Converters whose result is known at import: constants, shapes, ranges. None of them leaves an operator in the graph,
except fills too large to hold, which stay symbolic."""

from __future__ import annotations

from math import ceil, isfinite, prod

import numpy as np

from model_ir.onnx_import.node import Node
from model_ir.onnx_import.scope import FOLD_LIMIT_ELEMENTS, Converter, Scope
from model_ir.onnx_import.tensor import check_shape, precision_of
from model_ir.ops.arrays import storage_dtype
from model_ir.ops.gathering import Gather
from model_ir.ops.movement import Expand
from model_ir.precision import Precision

STRIPPED_SUFFIX = "__SHAPE"


def constant(scope: Scope, node: Node) -> None:
    """Constant: a tensor, a number or a list of numbers as attribute."""
    if len(node.proto.attribute) != 1:
        raise node.error("needs exactly one value", value=len(node.proto.attribute), limit=1)
    name = str(node.proto.attribute[0].name)
    if name == "value":
        value = node.tensor("value")
    elif name in ("value_int", "value_ints"):
        value = np.asarray(node.integer(name) if name == "value_int" else node.integers(name), np.int64)
    elif name in ("value_float", "value_floats"):
        value = np.asarray(node.real(name) if name == "value_float" else node.reals(name), np.float32)
    else:
        raise node.unsupported(f"attribute {name!r}")
    scope.constant(value, node.outputs[0])


def constant_of_shape(scope: Scope, node: Node) -> None:
    """ConstantOfShape. A weight that onnx.tools.replace_constants stripped (its shape is the initialiser
    `<weight>__SHAPE`) becomes a parameter without a value; any other fill is a constant, or a scalar expanded at run
    time where it is large."""
    shape = scope.static_integers(node, node.required(0), "the shape")
    fill = node.tensor("value") if node.has("value") else np.zeros(1, np.float32)
    if fill.size != 1:
        raise node.error("the fill value is not one number", value=list(fill.shape))
    check_shape(shape, 8 * fill.itemsize, node.where, f"output {node.outputs[0]!r}")
    stripped = node.inputs[0].endswith(STRIPPED_SUFFIX) and node.inputs[0] in scope.initialisers
    if stripped and fill.dtype.kind == "f":
        scope.valueless(node.outputs[0], shape, Precision(bits=8 * fill.itemsize, is_float=True))
    elif prod(shape) <= FOLD_LIMIT_ELEMENTS:
        scope.constant(np.full(shape, fill.reshape(())), node.outputs[0])
    else:
        scalar = scope.constant(fill.reshape(()), scope.fresh(f"{node.label}/fill"))
        scope.emit(node, Expand, scalar, shape=shape)


def shape(scope: Scope, node: Node) -> None:
    """Shape: known, since every axis is static; `start` and `end` clamp as in Python."""
    sizes = scope.shape(node.required(0))
    first = node.integer("start", 0)
    last = node.integer("end") if node.has("end") else len(sizes)
    scope.constant(np.asarray(sizes[slice(first, last)], np.int64), node.outputs[0])


def size(scope: Scope, node: Node) -> None:
    """Size: the number of elements."""
    scope.constant(np.asarray(scope.tensor(node.required(0)).elements, np.int64), node.outputs[0])


def range_(scope: Scope, node: Node) -> None:
    """Range over static start, limit and delta."""
    start, limit, delta = (scope.static(node, node.required(position), "an operand of Range") for position in range(3))
    if start.size != 1 or limit.size != 1 or delta.size != 1 or not np.all(delta):
        raise node.error("needs three scalars and a delta that is not zero")
    numbers = [float(value.reshape(())) for value in (start, limit, delta)]
    if not all(map(isfinite, numbers)):
        raise node.error("an operand is not a finite number", value=numbers)
    count = max(0, ceil((numbers[1] - numbers[0]) / numbers[2]))
    if count > FOLD_LIMIT_ELEMENTS:
        raise node.error("the range is too long", value=f"{count} elements", limit=f"{FOLD_LIMIT_ELEMENTS} elements")
    steps = np.arange(count, dtype=start.dtype)
    scope.constant(np.asarray(start.reshape(()) + steps * delta.reshape(()), start.dtype), node.outputs[0])


def non_zero(scope: Scope, node: Node) -> None:
    """NonZero of a static operand: indices, one row per axis."""
    value = scope.static(node, node.required(0), "the operand of NonZero")
    scope.constant(np.asarray(np.nonzero(np.atleast_1d(value)), np.int64), node.outputs[0])


def eye_like(scope: Scope, node: Node) -> None:
    """EyeLike: an identity of the operand's shape, shifted by k."""
    sizes = scope.shape(node.required(0))
    if len(sizes) != 2 or prod(sizes) > FOLD_LIMIT_ELEMENTS:
        raise node.error("needs a matrix of bounded size", value=sizes, limit=f"{FOLD_LIMIT_ELEMENTS} elements")
    precision = scope.tensor(node.inputs[0]).precision
    if node.has("dtype"):
        precision = precision_of(node.integer("dtype"), node.where, f"output of {node.label!r}")
    offset = max(-sizes[0], min(sizes[1], node.integer("k", 0)))
    scope.constant(np.eye(*sizes, k=offset, dtype=storage_dtype(precision)), node.outputs[0])


def one_hot(scope: Scope, node: Node) -> None:
    """OneHot with static depth and values along the last axis: a row of a small table for every index."""
    depth = int(scope.static_scalar(node, node.required(1), "the depth"))
    off, on = scope.static(node, node.required(2), "the values").reshape(-1)[:2].tolist()
    rank = len(scope.shape(node.required(0)))
    if node.axis("axis", rank + 1, -1) != rank or not 1 <= depth <= 256:
        raise node.unsupported("an axis other than the last, or more than 256 classes", value=depth)
    dtype = storage_dtype(scope.tensor(node.inputs[2]).precision)
    table = np.where(np.eye(depth, dtype=bool), on, off).astype(dtype)
    scope.emit(node, Gather, scope.constant(table, scope.fresh(f"{node.label}/table")), node.inputs[0], axis=0)


CONVERTERS: dict[str, Converter] = {
    "Constant": constant,
    "ConstantOfShape": constant_of_shape,
    "EyeLike": eye_like,
    "NonZero": non_zero,
    "OneHot": one_hot,
    "Range": range_,
    "Shape": shape,
    "Size": size,
}
