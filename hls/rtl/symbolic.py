"""The operators that RTL has, on arrays of da4ml's symbolic fixed-point numbers: one sample, a leading axis of 1.

Every rule is exact: what it computes is what the operator's reference definition computes in exact arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from hls.quantise.sums import FLOAT32_MOST
from hls.rtl.fixed import at_least, clipped, constant_like, floored, is_constant, rounded, sign_of
from hls.rtl.quants import FixedGrid, check_constant
from model_ir.op import Op
from model_ir.ops.checks import refusal
from model_ir.ops.contraction import Conv, MatMul
from model_ir.ops.elementwise import Binary, Unary
from model_ir.ops.movement import Concat, Reshape, Transpose
from model_ir.ops.pooling import MaxPool
from model_ir.tensor import Shape

Array = npt.NDArray[Any]
Symbols = npt.NDArray[np.object_]


def quantised(values: Symbols, grid: FixedGrid) -> Symbols:
    """Every value to its place on `grid`: rounded, then limited (as limited, then rounded: the bounds are on it)."""
    shape = values.shape
    spread = (np.broadcast_to(array, shape).ravel() for array in (grid.step, grid.low, grid.high, grid.sign))
    result = [
        sign_of(value, step)
        if sign
        else clipped(rounded(value, step) if grid.to_even else floored(value, step), low, high)
        for value, step, low, high, sign in zip(values.ravel(), *spread, strict=True)
    ]
    return _symbols(result, shape)


def check_operator(op: Op) -> None:
    """Raise InputError where RTL has no operator of this kind."""
    if type(op) not in RULES:
        kinds = ", ".join(sorted(kind.__name__ for kind in RULES))
        raise refusal(op, "the RTL has no such operator", limit=f"Quant, {kinds}")


def apply(op: Op, operands: Sequence[Any], output: Shape) -> Symbols:
    """The output of `op`, whose shape for one sample is `output`: symbolic operands with a leading axis of 1, constants
    as float64 arrays. InputError for a form of the operator that RTL does not have."""
    result = RULES[type(op)](op, operands)
    if result.shape != output:
        raise refusal(op, "mixes samples", value=result.shape, limit=output)
    return result


def _symbols(values: Sequence[Any], shape: Shape) -> Symbols:
    result = np.empty(len(values), object)
    result[:] = values
    return result.reshape(shape)


def _is_symbolic(operand: Any) -> bool:
    return bool(operand.dtype == object)


def _weight(op: Op, operands: Sequence[Any]) -> Array:
    if not _is_symbolic(operands[0]) or _is_symbolic(operands[1]):
        raise refusal(op, "the RTL multiplies activations (first operand) with constants (second) only")
    return check_constant(op, op.inputs[1], operands[1])


def _bias(op: Op, operands: Sequence[Any]) -> Array | None:
    if len(operands) < 3 or operands[2] is None:
        return None
    if _is_symbolic(operands[2]):
        raise refusal(op, f"bias {op.inputs[2]!r} must be a constant")
    return check_constant(op, op.inputs[2], operands[2])


def _exact(op: Op, values: Symbols) -> Symbols:
    """`values` if sums that reach them are exact in float32. InputError otherwise: graph and RTL could differ."""
    for value in values.ravel():
        reach = (max(value.high, 0) - min(value.low, 0)) / value.step
        if reach >= FLOAT32_MOST:
            raise refusal(op, "sums are too wide to be exact in float32", value=f"{reach:g} steps", limit=FLOAT32_MOST)
    return values


def _products(vector: Symbols, matrix: Array) -> list[Any]:
    """Symbols (k) times constants (k, j), as adders of shifted values that da4ml shares between the j sums."""
    from da4ml.trace import FixedVariableArray

    fixed = np.array([is_constant(value) for value in vector], bool)
    offset = np.array([float(value.low) for value in vector[fixed]]) @ matrix[fixed]
    if fixed.all():
        return [constant_like(vector[0], number) for number in offset]
    live = FixedVariableArray(vector[~fixed]).matmul(matrix[~fixed])._vars
    return [value + float(number) for value, number in zip(live, offset, strict=True)]


def _matmul(op: MatMul, operands: Sequence[Any]) -> Symbols:
    weight, bias, x = _weight(op, operands), _bias(op, operands), operands[0]
    if weight.ndim != 2 or op.transpose_a or x.ndim < 2:
        raise refusal(op, "the RTL multiplies rows of activations with one matrix", value=weight.shape)
    matrix = weight.T if op.transpose_b else weight
    rows = x.reshape(-1, x.shape[-1])
    shape = (*x.shape[:-1], matrix.shape[1])
    result = _exact(op, _symbols([value for row in rows for value in _products(row, matrix)], shape))
    return result if bias is None else _exact(op, np.asarray(result + bias))


def _positions(x: Shape, kernel: Shape, op: Conv | MaxPool, counts: Shape) -> Array:
    """(windows, taps): which spatial element (row-major) each window reads at each tap, -1 in the padding."""
    windows = np.array(list(product(*map(range, counts))))[:, None, :] * op.strides
    taps = np.array(list(product(*map(range, kernel))))[None, :, :] * op.dilations
    source = windows + taps - np.array(op.pads[: len(kernel)])
    inside = ((source >= 0) & (source < np.array(x))).all(axis=-1)
    flat = np.ravel_multi_index(tuple(np.moveaxis(np.where(inside[..., None], source, 0), -1, 0)), x)
    return np.where(inside, flat, -1)


def _conv(op: Conv, operands: Sequence[Any]) -> Symbols:
    weight, bias, x = _weight(op, operands), _bias(op, operands), operands[0]
    kernel, sizes = weight.shape[2:], x.shape[2:]
    rank = len(sizes)
    counts = tuple(
        (size + op.pads[axis] + op.pads[axis + rank] - op.dilations[axis] * (kernel[axis] - 1) - 1) // op.strides[axis]
        + 1
        for axis, size in enumerate(sizes)
    )
    pixels = x.reshape(op.group, weight.shape[1], -1)
    filters = weight.reshape(op.group, -1, weight.shape[1], int(np.prod(kernel)))
    columns = []
    for source in _positions(sizes, kernel, op, counts):
        inside = source >= 0
        for group in range(op.group):
            patch = pixels[group][:, source[inside]].ravel()
            matrix = filters[group][:, :, inside].reshape(filters.shape[1], -1).T
            columns += _products(patch, matrix) if patch.size else [constant_like(x.flat[0], 0.0)] * filters.shape[1]
    result = _symbols(columns, (int(np.prod(counts)), weight.shape[0])).T.reshape(1, weight.shape[0], *counts)
    result = _exact(op, result)
    return result if bias is None else _exact(op, np.asarray(result + bias.reshape(1, -1, *(1,) * rank)))


def _max_pool(op: MaxPool, operands: Sequence[Any]) -> Symbols:
    x, sizes = operands[0], operands[0].shape[2:]
    places = np.arange(int(np.prod(sizes)), dtype=np.float32).reshape(1, 1, *sizes)
    counts = op.evaluate(np, places)[0].shape[2:]
    windows = _positions(sizes, op.kernel, op, counts)
    flat = x.reshape(x.shape[1], -1)
    pooled = [
        reduce(lambda best, other: best.max_of(other), channel[source[source >= 0]])
        for channel in flat
        for source in windows
    ]
    return _symbols(pooled, (1, x.shape[1], *counts))


def _relu(op: Unary, operands: Sequence[Any]) -> Symbols:
    if op.function != "relu":
        raise refusal(op, "the RTL has no such function", value=op.function, limit="relu")
    return _symbols([at_least(value, 0.0) for value in operands[0].ravel()], operands[0].shape)


_PAIRS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "max": lambda a, b: a.max_of(b),
    "min": lambda a, b: a.min_of(b),
}


def _binary(op: Binary, operands: Sequence[Any]) -> Symbols:
    if op.function not in _PAIRS:
        raise refusal(op, "the RTL has no such function", value=op.function, limit=", ".join(_PAIRS))
    like = next(operand for operand in operands if _is_symbolic(operand)).flat[0]
    symbolic = [
        operand if _is_symbolic(operand) else _constants(op, like, name, operand)
        for name, operand in zip(op.inputs, operands, strict=True)
    ]
    a, b = np.broadcast_arrays(*symbolic)
    return _exact(
        op, _symbols([_PAIRS[op.function](*pair) for pair in zip(a.ravel(), b.ravel(), strict=True)], a.shape)
    )


def _constants(op: Op, like: Any, name: str, value: Array) -> Symbols:
    exact = check_constant(op, name, value)
    return _symbols([constant_like(like, float(number)) for number in exact.ravel()], exact.shape)


def _reshape(op: Reshape, operands: Sequence[Any]) -> Symbols:
    return np.asarray(operands[0].reshape(1, *op.shape[1:]))


def _transpose(op: Transpose, operands: Sequence[Any]) -> Symbols:
    if op.perm[0] != 0:
        raise refusal(op, "mixes samples", value=op.perm)
    return np.asarray(operands[0].transpose(op.perm))


def _concat(op: Concat, operands: Sequence[Any]) -> Symbols:
    if not all(map(_is_symbolic, operands)):
        raise refusal(op, "the RTL joins activations only")
    return np.concatenate(operands, axis=op.axis)


RULES: dict[type[Op], Callable[[Any, Sequence[Any]], Symbols]] = {
    Binary: _binary,
    Concat: _concat,
    Conv: _conv,
    MatMul: _matmul,
    MaxPool: _max_pool,
    Reshape: _reshape,
    Transpose: _transpose,
    Unary: _relu,
}
