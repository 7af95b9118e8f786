"""Normalisations, softmax and GELU equal onnxruntime; RMSNorm its float64 formula where onnxruntime has no kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_oracle import assert_same, build, check, describe, evaluate_both, normal

from model_ir.errors import InputError
from model_ir.ops.normalisation import (
    BatchNorm,
    Gelu,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LogSoftmax,
    LpNormalization,
    Lrn,
    RmsNorm,
    Softmax,
)

few = settings(max_examples=12, deadline=None, derandomize=True)
image = st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(2, 5), st.integers(1, 5))
epsilons = st.sampled_from([1e-5, 1e-3, 0.1])


@st.composite
def shape_and_axis(draw: st.DrawFn) -> tuple[tuple[int, ...], int]:
    shape = tuple(draw(st.lists(st.integers(2, 6), min_size=1, max_size=4)))
    return shape, draw(st.integers(-len(shape), len(shape) - 1))


@few
@given(st.lists(st.integers(1, 5), min_size=2, max_size=5), epsilons)
def test_batch_norm(shape: list[int], epsilon: float) -> None:
    scale, bias, mean = (normal((shape[1],), seed) for seed in (1, 2, 3))
    arrays = [normal(shape), scale, bias, mean, np.abs(normal((shape[1],), 4))]
    check(build(BatchNorm, 5, epsilon=epsilon), arrays, "BatchNormalization", epsilon=epsilon)


@few
@given(shape_and_axis(), epsilons, st.booleans())
def test_layer_norm(case: tuple[tuple[int, ...], int], epsilon: float, bias: bool) -> None:
    shape, axis = case
    normalised = shape[axis:] if axis < 0 else shape[axis % len(shape) :]
    arrays = [normal(shape), normal(normalised, 1), *([normal(normalised, 2)] if bias else [])]
    op = build(LayerNorm, len(arrays), axis=axis, epsilon=epsilon)
    check(op, arrays, "LayerNormalization", axis=axis, epsilon=epsilon)


@few
@given(shape_and_axis(), epsilons)
def test_rms_norm(case: tuple[tuple[int, ...], int], epsilon: float) -> None:
    shape, axis = case
    first = axis % len(shape)
    x, scale = normal(shape), normal(shape[first:], 1)
    exact = x.astype(np.float64)
    mean_square = np.mean(exact**2, axis=tuple(range(first, len(shape))), keepdims=True)
    expected = (exact / np.sqrt(mean_square + epsilon) * scale).astype(np.float32)
    for result in evaluate_both(build(RmsNorm, 2, axis=axis, epsilon=epsilon), [x, scale]):
        assert_same(result[0], expected, "RmsNorm")


@few
@given(image, epsilons)
def test_instance_norm(shape: tuple[int, ...], epsilon: float) -> None:
    arrays = [normal(shape), normal((shape[1],), 1), normal((shape[1],), 2)]
    check(build(InstanceNorm, 3, epsilon=epsilon), arrays, "InstanceNormalization", epsilon=epsilon)


@few
@given(image, st.integers(1, 3), epsilons)
def test_group_norm(shape: tuple[int, ...], groups: int, epsilon: float) -> None:
    channels = shape[1] * groups
    arrays = [normal((shape[0], channels, *shape[2:])), normal((channels,), 1), normal((channels,), 2)]
    op = build(GroupNorm, 3, groups=groups, epsilon=epsilon)
    check(op, arrays, "GroupNormalization", opset=21, num_groups=groups, epsilon=epsilon)


@few
@given(shape_and_axis(), st.sampled_from([1.0, 40.0]))
def test_softmax(case: tuple[tuple[int, ...], int], scale: float) -> None:
    shape, axis = case
    check(build(Softmax, 1, axis=axis), [normal(shape, scale=scale)], "Softmax", axis=axis)
    check(build(LogSoftmax, 1, axis=axis), [normal(shape, scale=scale)], "LogSoftmax", axis=axis)


@few
@given(shape_and_axis(), st.sampled_from([1, 2]))
def test_lp_normalization(case: tuple[tuple[int, ...], int], p: int) -> None:
    shape, axis = case
    x = normal(shape)
    x[..., 0] = 0
    check(build(LpNormalization, 1, axis=axis, p=p), [x], "LpNormalization", axis=axis, p=p)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(approximate: str) -> None:
    check(
        build(Gelu, 1, approximate=approximate), [normal((3, 99), scale=2.0)], "Gelu", opset=20, approximate=approximate
    )


@few
@given(image, st.sampled_from([1, 3, 5]))
def test_lrn(shape: tuple[int, ...], size: int) -> None:
    attributes = {"size": size, "alpha": 0.3, "beta": 0.75, "bias": 1.5}
    check(build(Lrn, 1, **attributes), [normal(shape, scale=2.0)], "LRN", **attributes)


@pytest.mark.parametrize(
    ("op", "shapes", "words"),
    [
        (build(BatchNorm, 5), [(1, 3, 4), (3,), (4,), (3,), (3,)], ["per-channel", "value (4,)", "limit (3,)"]),
        (build(LayerNorm, 2), [(3, 4), (3,)], ["normalised axes", "(3,)", "(4,)"]),
        (build(LayerNorm, 2, axis=2), [(3, 4), (3,)], ["axis", "value 2"]),
        (build(RmsNorm, 2), [(3, 4), (5,)], ["(5,)"]),
        (build(GroupNorm, 3, groups=2), [(1, 3, 4), (3,), (3,)], ["groups", "value 2"]),
        (build(Softmax, 1, axis=-3), [(3, 4)], ["axis", "-2 to 1"]),
        (build(Gelu, 1, approximate="erf"), [(3,)], ["erf"]),
        (build(LpNormalization, 1, p=3), [(3,)], ["norm", "value 3"]),
        (build(Lrn, 1, size=0), [(1, 3, 4, 4)], ["window", "value 0"]),
        (build(InstanceNorm, 3), [(1, 3), (3,), (3,)], ["rank of at least 3"]),
    ],
)
def test_misfits_are_refused(op: Any, shapes: list[tuple[int, ...]], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        op.infer(describe([np.zeros(shape, np.float32) for shape in shapes]))
    for word in [op.kind, "'node'", *words]:
        assert word in str(caught.value)
