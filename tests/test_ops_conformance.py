"""Every operator of the table: shape rule, evaluation on both array modules, gradients and loop nest agree with each
other."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import product
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nest_oracle import elements_reached, run
from onnx_oracle import build, describe, evaluate_both, normal
from op_samples import AFFINE_MOVES, CONTRACTIONS, SAMPLES, Sample

from model_ir.loop_nest import LoopNest, touched
from model_ir.ops.contraction import Conv, ConvTranspose
from model_ir.ops.host import HostOp
from model_ir.ops.movement import Reshape
from model_ir.ops.nests import at, channels_last
from model_ir.ops.registry import OPERATORS

RUNNABLE = [sample for sample in SAMPLES if not isinstance(sample.op, HostOp)]
DIFFERENTIABLE = [sample for sample in SAMPLES if sample.differentiable]


def nest_of(sample: Sample) -> LoopNest:
    tensors = describe(sample.arrays)
    return sample.op.loop_nest(tensors, sample.op.infer(tensors), frozenset({"x1"}))


def test_every_operator_is_sampled_once_listed() -> None:
    assert len(set(OPERATORS)) == len(OPERATORS)
    assert {type(sample.op) for sample in SAMPLES} == set(OPERATORS)


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.__name__)
def test_operators_are_frozen_documented_values(operator: Any) -> None:
    op = next(sample.op for sample in SAMPLES if type(sample.op) is operator)
    assert operator.__doc__
    assert not operator.__doc__.startswith(operator.__name__ + "(")
    assert op == replace(op)
    assert hash(op) == hash(replace(op))
    with pytest.raises(AttributeError):
        setattr(op, fields(op)[0].name, "other")


@pytest.mark.parametrize("sample", RUNNABLE, ids=str)
def test_shapes_and_values_agree_on_numpy_and_jax(sample: Sample) -> None:
    """`evaluate_both` asserts that inferred shapes are the evaluated ones and float32 stays float32."""
    before = [array.copy() for array in sample.arrays]
    on_numpy, on_jax = evaluate_both(sample.op, sample.arrays)
    for left, right in zip(on_numpy, on_jax, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)
    for array, copy in zip(sample.arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("sample", DIFFERENTIABLE, ids=str)
def test_gradient_is_the_directional_derivative(sample: Sample) -> None:
    """jax.grad along a random direction equals the central difference of the numpy definition in float64."""
    x, *others = sample.arrays
    rng = np.random.default_rng(7)
    weights = [rng.standard_normal(result.shape) for result in sample.op.evaluate(np, x, *others)]
    direction = rng.standard_normal(x.shape)

    def on_jax(value: Any) -> Any:
        results = sample.op.evaluate(jnp, value, *map(jnp.asarray, others))
        return sum(jnp.sum(result * weight) for result, weight in zip(results, weights, strict=True))

    def on_numpy(step: float) -> float:
        doubles = [array.astype(np.float64) if array.dtype == np.float32 else array for array in others]
        results = sample.op.evaluate(np, x + step * direction, *doubles)
        return sum(float(np.sum(result * weight)) for result, weight in zip(results, weights, strict=True))

    slope = float(np.sum(np.asarray(jax.jit(jax.grad(on_jax))(jnp.asarray(x))) * direction))
    step = 1e-6
    assert slope == pytest.approx((on_numpy(step) - on_numpy(-step)) / (2 * step), rel=2e-3, abs=2e-3)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_nest_covers_the_output_and_every_read(sample: Sample) -> None:
    tensors = describe(sample.arrays)
    outputs = sample.op.infer(tensors)
    nest = nest_of(sample)
    assert nest.name == sample.op.name
    assert nest.write.elements == sum(tensor.elements for tensor in outputs)
    assert nest.write.tensor == outputs[0].name
    assert nest.flops >= 0
    assert (nest.flops > 0) == (nest.kind != "move")
    assert nest.macs == (nest.points if nest.kind == "mac" else 0)
    assert nest.compulsory_bytes <= sum(access.bytes for access in (*nest.reads, nest.write))
    assert [access.tensor for access in nest.reads] == [tensor.name for tensor in tensors if tensor is not None]
    by_name = {tensor.name: tensor for tensor in tensors if tensor is not None}
    for access in nest.reads:
        assert access.elements == by_name[access.tensor].elements
        assert access.precision == by_name[access.tensor].precision
        assert access.constant == (access.tensor == "x1")
    for access in (*nest.reads, nest.write):
        names = {name for index in access.indices for name, _ in index.terms}
        assert names <= {name for name, _ in nest.dims}
        if access.indices:
            assert access.touched_elements in (None, elements_reached(nest, access))


def orders(sample: Sample) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:
    """Storage order of each input and of the output, as the LoopNest documentation fixes it."""
    ranks = [array.ndim for array in sample.arrays]
    plain = [tuple(range(rank)) for rank in ranks]
    if not isinstance(sample.op, Conv | ConvTranspose):
        (output,) = sample.op.infer(describe(sample.arrays))
        return plain, tuple(range(len(output.shape)))
    image = channels_last(ranks[0])
    channels = (1, 0) if isinstance(sample.op, Conv) else (0, 1)
    return [image, (*range(2, ranks[0]), *channels), *plain[2:]], image


@pytest.mark.parametrize("sample", [*CONTRACTIONS, *AFFINE_MOVES], ids=str)
def test_executing_the_nest_equals_the_definition(sample: Sample) -> None:
    assert_nest_computes_the_operator(sample)


def assert_nest_computes_the_operator(sample: Sample) -> None:
    nest = nest_of(sample)
    assert nest.kind in ("mac", "move")
    (expected,) = sample.op.evaluate(np, *(array.astype(np.float64) for array in sample.arrays))
    if isinstance(sample.op, Reshape):
        result = run(nest, [array.reshape(-1) for array in sample.arrays])
        np.testing.assert_array_equal(result, expected.reshape(-1))
        return
    input_orders, output_order = orders(sample)
    operands = [array.transpose(order) for array, order in zip(sample.arrays, input_orders, strict=True)]
    np.testing.assert_allclose(run(nest, operands), expected.transpose(output_order), rtol=1e-9, atol=1e-12)


@st.composite
def conv_samples(draw: st.DrawFn) -> Sample:
    """Convolutions of any rank, stride, pads, dilation and group, small enough to run point by point."""
    rank, group = draw(st.integers(1, 2)), draw(st.sampled_from([1, 2]))
    kernel = [draw(st.integers(1, 3)) for _ in range(rank)]
    dilations = tuple(draw(st.integers(1, 2)) for _ in range(rank))
    sizes = [(taps - 1) * step + 1 + draw(st.integers(0, 3)) for taps, step in zip(kernel, dilations, strict=True)]
    strides = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    pads = tuple(draw(st.integers(0, 2)) for _ in range(2 * rank))
    inner, outer = draw(st.integers(1, 2)), draw(st.integers(1, 2)) * group
    arrays = (normal((1, inner * group, *sizes)), normal((outer, inner, *kernel), 1), normal((outer,), 2))
    return Sample(build(Conv, 3, strides=strides, pads=pads, dilations=dilations, group=group), arrays)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(conv_samples())
def test_executing_any_convolution_nest_equals_the_definition(sample: Sample) -> None:
    assert_nest_computes_the_operator(sample)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.integers(1, 12),
    st.integers(-15, 15),
    st.lists(st.tuples(st.integers(1, 5), st.integers(-4, 4)), max_size=3),
)
def test_touched_elements_are_counted_exactly(size: int, offset: int, loops: list[tuple[int, int]]) -> None:
    dims = tuple((f"d{place}", count) for place, (count, _) in enumerate(loops))
    index = at(*((f"d{place}", step) for place, (_, step) in enumerate(loops)), offset=offset)
    turns = product(*(range(count) for count, _ in loops))
    places = {offset + sum(step * turn for (_, step), turn in zip(loops, t, strict=True)) for t in turns}
    assert touched((size,), (index,), dims) == sum(0 <= place < size for place in places)


def test_counting_touched_elements_does_not_depend_on_the_length_of_an_axis() -> None:
    length = 10**12
    index = at(("d0", 2), "d1", offset=-1)
    assert touched((length,), (index,), (("d0", length // 2), ("d1", 3))) == length


@pytest.mark.parametrize("sample", CONTRACTIONS, ids=str)
def test_mac_nests_read_two_operands_and_a_bias(sample: Sample) -> None:
    nest = nest_of(sample)
    assert nest.kind == "mac"
    assert nest.flops_per_point == 2
    assert len(nest.reads) == len(sample.arrays)
    sizes = dict(nest.dims)
    reduced = set(sizes) - {name for index in nest.write.indices for name, _ in index.terms}
    assert nest.points == prod(sizes.values())
    assert reduced <= {"k", "ic", "kd", "kh", "kw", "i", "j"} or nest.function == "einsum"
