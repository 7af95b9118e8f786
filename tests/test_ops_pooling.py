"""Pooling and reductions equal onnxruntime over drawn windows and axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_oracle import build, check, describe, integers, normal

from model_ir.errors import InputError
from model_ir.ops.pooling import REDUCTIONS, ArgReduce, AveragePool, GlobalPool, MaxPool, Reduce

few = settings(max_examples=40, deadline=None, derandomize=True)


@st.composite
def windows(draw: st.DrawFn) -> tuple[tuple[int, ...], dict[str, Any]]:
    rank = draw(st.integers(1, 3))
    kernel = [draw(st.integers(1, 3)) for _ in range(rank)]
    dilations = [draw(st.integers(1, 2)) for _ in range(rank)]
    pads = [draw(st.integers(0, kernel[axis % rank] - 1)) for axis in range(2 * rank)]
    sizes = [
        dilation * (taps - 1) + 1 + draw(st.integers(0, 6)) for dilation, taps in zip(dilations, kernel, strict=True)
    ]
    attributes = {
        "strides": tuple(draw(st.integers(1, 3)) for _ in range(rank)),
        "pads": tuple(pads),
        "dilations": tuple(dilations),
        "ceil_mode": draw(st.booleans()),
    }
    return (draw(st.integers(1, 2)), draw(st.integers(1, 3)), *sizes), attributes | {"kernel": tuple(kernel)}


def as_onnx(attributes: dict[str, Any]) -> dict[str, Any]:
    renamed = {"kernel_shape" if name == "kernel" else name: value for name, value in attributes.items()}
    return {name: int(value) if isinstance(value, bool) else value for name, value in renamed.items()}


@few
@given(windows())
def test_max_pool(case: tuple[tuple[int, ...], dict[str, Any]]) -> None:
    shape, attributes = case
    check(build(MaxPool, 1, **attributes), [normal(shape) - 5], "MaxPool", **as_onnx(attributes))


def test_max_pool_of_integers() -> None:
    attributes = {"kernel": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1), "dilations": (1, 1)}
    check(
        build(MaxPool, 1, **attributes),
        [integers((1, 2, 7, 7), -128, -100, dtype=np.int8)],
        "MaxPool",
        **as_onnx(attributes),
    )


@few
@given(windows(), st.booleans())
def test_average_pool(case: tuple[tuple[int, ...], dict[str, Any]], count_include_pad: bool) -> None:
    shape, attributes = case
    attributes = attributes | {"count_include_pad": count_include_pad}
    check(build(AveragePool, 1, **attributes), [normal(shape)], "AveragePool", opset=19, **as_onnx(attributes))


@pytest.mark.parametrize(("function", "node"), [("mean", "GlobalAveragePool"), ("max", "GlobalMaxPool")])
@pytest.mark.parametrize("shape", [(2, 3, 7), (1, 5, 4, 6), (2, 2, 3, 2, 4)])
def test_global_pool(function: str, node: str, shape: tuple[int, ...]) -> None:
    check(build(GlobalPool, 1, function=function), [normal(shape)], node)


ONNX_REDUCTIONS = {
    "mean": "ReduceMean", "sum": "ReduceSum", "max": "ReduceMax", "min": "ReduceMin", "prod": "ReduceProd",
    "l1": "ReduceL1", "l2": "ReduceL2", "sum_square": "ReduceSumSquare", "log_sum": "ReduceLogSum",
    "log_sum_exp": "ReduceLogSumExp",
}  # fmt: skip


def test_every_reduction_has_an_oracle() -> None:
    assert set(ONNX_REDUCTIONS) == set(REDUCTIONS)


@st.composite
def reductions(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...] | None, bool]:
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    rank = len(shape)
    chosen = draw(st.none() | st.lists(st.integers(0, rank - 1), min_size=1, max_size=rank, unique=True))
    axes = None if chosen is None else tuple(axis - rank if draw(st.booleans()) else axis for axis in chosen)
    return shape, axes, draw(st.booleans())


@pytest.mark.parametrize("function", ONNX_REDUCTIONS)
@settings(few, max_examples=8)
@given(reductions())
def test_reduce(function: str, case: tuple[tuple[int, ...], tuple[int, ...] | None, bool]) -> None:
    shape, axes, keepdims = case
    x = normal(shape)
    if function == "log_sum":
        x = np.abs(x) + np.float32(0.1)
    given_axes = [] if axes is None else [np.array(axes, np.int64)]
    op = build(Reduce, 1, function=function, axes=axes, keepdims=keepdims)
    check(op, [x], ONNX_REDUCTIONS[function], node_arrays=[x, *given_axes], keepdims=int(keepdims))


@pytest.mark.parametrize("function", ["sum", "max", "min", "prod"])
def test_reduce_of_integers_stays_integer(function: str) -> None:
    x = integers((3, 4), -4, 5, dtype=np.int32)
    op = build(Reduce, 1, function=function, axes=(1,), keepdims=False)
    check(op, [x], ONNX_REDUCTIONS[function], node_arrays=[x, np.array([1])], keepdims=0)


@pytest.mark.parametrize(("function", "node"), [("argmax", "ArgMax"), ("argmin", "ArgMin")])
@pytest.mark.parametrize("keepdims", [True, False])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_arg_reduce(function: str, node: str, keepdims: bool, axis: int) -> None:
    x = integers((3, 4, 5), 0, 3).astype(np.float32)
    op = build(ArgReduce, 1, function=function, axis=axis, keepdims=keepdims)
    check(op, [x], node, axis=axis, keepdims=int(keepdims))


POOL = {"kernel": (3, 3), "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}


@pytest.mark.parametrize(
    ("op", "shape", "words"),
    [
        (build(MaxPool, 1, **POOL), (1, 2, 2, 5), ["window", "value 3", "limit 2"]),
        (build(MaxPool, 1, **(POOL | {"pads": (3, 0, 0, 0)})), (1, 2, 5, 5), ["whole windows", "at most 2"]),
        (build(AveragePool, 1, **POOL), (1, 2, 5), ["kernel"]),
        (build(AveragePool, 1, **POOL), (1, 2), ["rank of at least 3"]),
        (build(GlobalPool, 1), (1, 2), ["rank of at least 3"]),
        (build(GlobalPool, 1, function="sum"), (1, 2, 3), ["sum"]),
        (build(Reduce, 1, function="median", axes=(0,)), (3,), ["median"]),
        (build(Reduce, 1, function="sum", axes=(0, -1)), (3,), ["repeated"]),
        (build(ArgReduce, 1, function="argmax", axis=1), (3,), ["axis", "value 1"]),
    ],
)
def test_misfits_are_refused(op: Any, shape: tuple[int, ...], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        op.infer(describe([np.zeros(shape, np.float32)]))
    for word in [op.kind, "'node'", *words]:
        assert word in str(caught.value)
