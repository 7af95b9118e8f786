"""Precision rules: moving keeps a grid, arithmetic leaves it, sums of products are wide integers."""

from __future__ import annotations

from typing import Any

import pytest
from onnx_oracle import build

from model_ir.ops.contraction import Conv, MatMul
from model_ir.ops.elementwise import Binary, Clip, Unary, Where
from model_ir.ops.movement import Concat, Pad, Reshape, Transpose
from model_ir.ops.normalisation import Softmax
from model_ir.ops.pooling import AveragePool, GlobalPool, MaxPool, Reduce
from model_ir.ops.precisions import accumulated, computed, is_quantised, selected
from model_ir.precision import BOOL, FLOAT16, FLOAT32, INT8, INT32, INT64, UINT8, Precision
from model_ir.tensor import Tensor

GRID = Precision(bits=4, scale=0.5)
OTHER = Precision(bits=4, scale=0.25)
WINDOW = {"kernel": (2,), "strides": (1,), "pads": (0, 0), "dilations": (1,)}


def result(op: Any, *precisions: Precision) -> Precision:
    tensors = tuple(Tensor(name=f"x{i}", shape=(2, 2, 2), precision=p) for i, p in enumerate(precisions))
    precision: Precision = op.infer(tensors)[0].precision
    return precision


@pytest.mark.parametrize(
    "op",
    [
        build(Reshape, 1, shape=(8,)),
        build(Transpose, 1, perm=(2, 1, 0)),
        build(Pad, 1, pads=(1,) * 6),
        build(Unary, 1, function="relu"),
        build(MaxPool, 1, **WINDOW),
        build(GlobalPool, 1, function="max"),
        build(Reduce, 1, function="max", axes=None),
    ],
    ids=lambda op: op.kind,
)
def test_selecting_values_keeps_the_grid(op: Any) -> None:
    assert result(op, GRID) == GRID


@pytest.mark.parametrize(
    "op",
    [
        build(Unary, 1, function="sigmoid"),
        build(Clip, 1, low=0.0, high=0.3),
        build(Pad, 1, pads=(1,) * 6, value=0.3),
        build(Softmax, 1),
        build(AveragePool, 1, **WINDOW),
        build(GlobalPool, 1),
        build(Reduce, 1, function="sum", axes=None),
    ],
    ids=lambda op: op.kind,
)
def test_arithmetic_on_quantised_values_gives_real_numbers(op: Any) -> None:
    assert result(op, GRID) == FLOAT32
    assert result(op, FLOAT16) == FLOAT16
    assert result(op, INT32) == INT32


def test_two_operands() -> None:
    add, largest = build(Binary, 2, function="add"), build(Binary, 2, function="max")
    assert result(add, GRID, GRID) == FLOAT32
    assert result(largest, GRID, GRID) == GRID
    assert result(largest, GRID, OTHER) == FLOAT32
    assert result(add, INT64, INT64) == INT64
    assert result(add, FLOAT16, FLOAT32) == FLOAT32
    assert result(build(Binary, 2, function="less"), GRID, OTHER) == BOOL
    assert result(build(Binary, 2, function="pow"), FLOAT32, INT64) == FLOAT32
    assert result(build(Concat, 2, axis=0), GRID, GRID) == GRID
    assert result(build(Concat, 2, axis=0), GRID, OTHER) == FLOAT32
    assert result(build(Where, 3), BOOL, GRID, GRID) == GRID


def test_sums_of_products() -> None:
    assert result(build(MatMul, 2), INT8, UINT8) == INT32
    assert result(build(MatMul, 2), INT64, INT64) == INT64
    assert result(build(MatMul, 2), FLOAT32, GRID) == FLOAT32
    assert result(build(MatMul, 2), GRID, OTHER) == Precision(bits=32, scale=0.125)
    assert result(build(MatMul, 3), GRID, OTHER, Precision(bits=32, scale=0.125)).scale == 0.125
    assert result(build(MatMul, 3), GRID, OTHER, FLOAT32) == FLOAT32
    assert result(build(MatMul, 3), GRID, OTHER, INT32) == FLOAT32
    assert result(build(Conv, 2, strides=(1,), pads=(0, 0), dilations=(1,)), GRID, GRID).scale == 0.25


def test_rules_agree_with_each_other() -> None:
    everything = (BOOL, FLOAT16, FLOAT32, INT8, UINT8, INT32, INT64, GRID, OTHER)
    for left in everything:
        for right in everything:
            assert selected(left, left) == left
            assert computed(left, right) == computed(right, left) or left.bits == right.bits
            assert not is_quantised(computed(left, right))
            assert accumulated(left, right).is_float == (left.is_float or right.is_float)
