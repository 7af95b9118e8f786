"""Passes on graphs built by hand: values kept, structure as promised, weights without values handled like those
with."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_ir.builder import GraphBuilder
from model_ir.errors import InputError
from model_ir.graph import Graph, execute, random_parameters, verify
from model_ir.ops.contraction import Conv, MatMul
from model_ir.ops.elementwise import Binary, Cast, Clip, HardSigmoid, Unary
from model_ir.ops.movement import Concat, Expand, Pad, Reshape, Slice, Split, Tile, Transpose
from model_ir.ops.normalisation import BatchNorm
from model_ir.ops.quantisation import Quant
from model_ir.passes.absorb import absorb_bias, absorb_transposes
from model_ir.passes.fold_batch_norm import fold_batch_norm, fold_dense_batch_norm
from model_ir.passes.fold_constants import fold_constants, merge_duplicates
from model_ir.passes.pipeline import DEFAULT_PASSES, run_passes
from model_ir.passes.precision import assign_precision
from model_ir.passes.recognise_activations import recognise_activations
from model_ir.passes.remove_identities import remove_identities
from model_ir.precision import FLOAT32, INT8, INT32, INT64, Precision

TOLERANCE = 1e-4


def kinds(graph: Graph) -> dict[str, int]:
    return dict(Counter(op.kind for op in graph.ops))


def outputs_of(graph: Graph, feeds: dict[str, Any]) -> list[Any]:
    return list(execute(graph, feeds).values())


def random_inputs(graph: Graph, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(graph.tensors[name].shape).astype(np.float32) for name in graph.inputs}


def assert_same_values(before: Graph, after: Graph) -> None:
    feeds = random_inputs(before)
    assert after.outputs == before.outputs
    for left, right in zip(outputs_of(before, feeds), outputs_of(verify(after), feeds), strict=True):
        assert left.shape == right.shape
        np.testing.assert_allclose(left, right, rtol=0, atol=TOLERANCE * float(np.abs(left).max()))


def with_values(graph: Graph, seed: int = 0) -> Graph:
    values = {name: np.abs(value) + np.float32(0.1) for name, value in random_parameters(graph, seed).items()}
    return replace(graph, constants={**graph.constants, **values})


def conv_with(
    *after: tuple[str, tuple[int, ...]], bias: bool = True, norm: bool = True, readers: int = 1, rank: int = 2
) -> Graph:
    """Conv [BatchNorm] and constant arithmetic of the given shapes; all weights without values."""
    b = GraphBuilder("conv")
    x = b.input("x", (2, 4, *(6,) * rank))
    weights = [b.parameter("w", (6, 2, *(3,) * rank)), *([b.parameter("b", (6,))] if bias else [])]
    window = {"strides": (1,) * rank, "pads": (1,) * 2 * rank, "dilations": (1,) * rank}
    y = conv = b.apply(Conv, x, *weights, group=2, **window)
    if norm:
        y = b.apply(
            BatchNorm, y, *(b.parameter(name, (6,)) for name in ("scale", "shift", "mean", "variance")), epsilon=0.01
        )
    for position, (function, shape) in enumerate(after):
        y = b.apply(Binary, y, b.parameter(f"c{position}", shape), function=function)
    extra = [b.apply(Unary, conv, function="neg")] if readers > 1 else []
    return b.finish(y, *extra)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    after=st.lists(
        st.tuples(st.sampled_from(["mul", "add", "sub", "div"]), st.sampled_from([(6, 1, 1), (1, 6, 1, 1), (), (1,)])),
        max_size=3,
    ),
    bias=st.booleans(),
    norm=st.booleans(),
)
def test_batch_norm_and_arithmetic_fold_into_the_convolution(
    after: list[tuple[str, tuple[int, ...]]], bias: bool, norm: bool
) -> None:
    stripped = conv_with(*after, bias=bias, norm=norm)
    valued = with_values(stripped)
    folded = fold_batch_norm(valued)
    assert_same_values(valued, folded)
    assert kinds(folded) == {"Conv": 1}
    without = verify(fold_batch_norm(stripped))
    assert kinds(without) == {"Conv": 1}
    assert not without.constants
    assert without.macs == stripped.macs
    assert {t.shape for t in without.tensors.values()} == {t.shape for t in folded.tensors.values()}


def test_convolution_read_twice_keeps_its_norm() -> None:
    graph = with_values(conv_with(readers=2))
    assert fold_batch_norm(graph) is graph


def test_arithmetic_that_is_not_per_channel_stays() -> None:
    for shape in ((6,), (6, 6), (1, 6, 6, 1), (2, 1, 1, 1)):
        graph = with_values(conv_with(("mul", shape), norm=False))
        assert fold_batch_norm(graph) is graph


def test_one_dimensional_convolution_folds() -> None:
    graph = with_values(conv_with(("add", (6, 1)), rank=1))
    folded = fold_batch_norm(graph)
    assert_same_values(graph, folded)
    assert kinds(folded) == {"Conv": 1}


def test_partly_known_norm_gives_weights_without_values() -> None:
    graph = conv_with()
    known = {name: np.ones(6, np.float32) for name in ("scale", "shift", "mean", "variance")}
    folded = fold_batch_norm(replace(graph, constants=known))
    assert kinds(folded) == {"Conv": 1}
    assert not folded.constants


def dense_with_norm(
    *, bias: tuple[int, ...] | None = (6,), transposed: bool = False, readers: int = 1, rank: int = 2
) -> Graph:
    """MatMul [+ bias] and BatchNorm; all weights without values."""
    b = GraphBuilder("dense")
    x = b.input("x", (*(6,) * (rank - 1), 4))
    weights = [b.parameter("w", (6, 4) if transposed else (4, 6)), *([b.parameter("b", bias)] if bias else [])]
    y = product = b.apply(MatMul, x, *weights, transpose_b=transposed)
    y = b.apply(
        BatchNorm, y, *(b.parameter(name, (6,)) for name in ("scale", "shift", "mean", "variance")), epsilon=0.01
    )
    extra = [b.apply(Unary, product, function="neg")] if readers > 1 else []
    return b.finish(y, *extra)


@pytest.mark.parametrize("bias", [None, (6,), (1, 6)])
@pytest.mark.parametrize("transposed", [False, True])
def test_batch_norm_folds_into_the_dense_layer(bias: tuple[int, ...] | None, transposed: bool) -> None:
    stripped = dense_with_norm(bias=bias, transposed=transposed)
    valued = with_values(stripped)
    assert_same_values(valued, fold_dense_batch_norm(valued))
    assert kinds(fold_dense_batch_norm(valued)) == {"MatMul": 1}
    assert_same_values(valued, run_passes(valued))
    assert kinds(run_passes(valued)) == {"MatMul": 1}
    without = verify(fold_dense_batch_norm(stripped))
    assert kinds(without) == {"MatMul": 1}
    assert not without.constants


def test_dense_layers_that_a_norm_does_not_fold_into_stay() -> None:
    """Read by others too, normalised along another axis than the outputs, or with a variance that cannot be."""
    for graph in (
        with_values(dense_with_norm(readers=2)),
        with_values(dense_with_norm(rank=3)),
        with_values(dense_with_norm(bias=(6, 6))),
        with_values(dense_with_norm(bias=(6, 1))),
    ):
        assert fold_dense_batch_norm(graph) is graph
    graph = with_values(dense_with_norm())
    broken = replace(graph, constants={**graph.constants, "variance": np.full(6, -1, np.float32)})
    assert fold_dense_batch_norm(broken) is broken


def test_impossible_variance_is_left_alone() -> None:
    graph = with_values(conv_with())
    broken = replace(graph, constants={**graph.constants, "variance": np.full(6, -1, np.float32)})
    assert fold_batch_norm(broken) is broken


def test_quantised_weights_are_not_rescaled() -> None:
    b = GraphBuilder("quantised")
    x = b.input("x", (1, 2, 4, 4))
    scalars = [b.parameter(name, (), value=np.float32(value)) for name, value in (("s", 0.5), ("z", 0), ("n", 4))]
    w = b.parameter("w", (3, 2, 1, 1), value=np.linspace(-3, 3, 6, dtype=np.float32).reshape(3, 2, 1, 1))
    q = b.apply(Quant, w, *scalars, precision=Precision(bits=4, scale=0.5))
    y = b.apply(Conv, x, q, strides=(1, 1), pads=(0,) * 4, dilations=(1, 1))
    vectors = [b.parameter(f"v{i}", (3,), value=np.full(3, 1.5, np.float32)) for i in range(4)]
    graph = b.finish(b.apply(BatchNorm, y, *vectors))
    passed = run_passes(graph)
    assert_same_values(graph, passed)
    assert kinds(passed) == {"Conv": 1, "BatchNorm": 1}
    assert passed.tensors[passed.ops[0].inputs[1]].precision.bits == 4


def test_identities_disappear_and_outputs_keep_their_names() -> None:
    b = GraphBuilder("identities")
    x = b.input("x", (2, 3))
    one, zero = b.parameter("one", (), value=np.float32(1)), b.parameter("zero", (1,), value=np.float32([0]))
    y = b.apply(Unary, x, function="relu", name="relu")
    y = b.apply(Reshape, y, shape=(2, 3))
    y = b.apply(Transpose, y, perm=(0, 1))
    y = b.apply(Cast, y, to=FLOAT32)
    y = b.apply(Concat, y, axis=0)
    y = b.apply(Slice, y, starts=(0,), ends=(3,), axes=(1,), steps=(1,))
    y = b.apply(Pad, y, pads=(0, 0, 0, 0))
    y = b.apply(Expand, y, shape=(1, 3))
    y = b.apply(Tile, y, repeats=(1, 1))
    y = b.apply(Split, y, axis=0, sizes=(2,))
    y = b.apply(Binary, y, one, function="mul")
    y = b.apply(Binary, zero, y, function="add")
    y = b.apply(Transpose, b.apply(Transpose, y, perm=(1, 0)), perm=(1, 0))
    y = b.apply(Reshape, b.apply(Reshape, y, shape=(6,)), shape=(2, 3), name="result")
    graph = b.finish(y)
    cleaned = remove_identities(graph)
    assert_same_values(graph, cleaned)
    assert [(op.name, op.outputs) for op in cleaned.ops] == [("relu", ("result",))]
    assert not cleaned.parameters


def test_what_looks_like_an_identity_but_is_none_stays() -> None:
    b = GraphBuilder("no identities")
    x = b.input("x", (2, 2))
    one, wide = b.parameter("one", (), value=np.float32(1)), b.parameter("wide", (1, 1, 1), value=np.float32([[[0]]]))
    outputs = [
        b.apply(Transpose, x, perm=(1, 0)),
        b.apply(Slice, x, starts=(1,), ends=(-3,), axes=(0,), steps=(-1,)),
        b.apply(Binary, one, x, function="sub"),
        b.apply(Binary, one, x, function="div"),
        b.apply(Binary, x, wide, function="add"),
        b.apply(Cast, x, to=INT64),
        b.apply(Pad, x, pads=(1, 0, -1, 0)),
    ]
    graph = b.finish(*outputs)
    cleaned = remove_identities(graph)
    assert_same_values(graph, cleaned)
    assert len(cleaned.ops) == len(outputs)


def test_input_passed_through_keeps_one_operator() -> None:
    b = GraphBuilder("through")
    x = b.input("x", (2, 3))
    graph = b.finish(b.apply(Reshape, x, shape=(2, 3), name="y"))
    assert_same_values(graph, run_passes(graph))


def test_two_outputs_of_one_tensor_both_stay() -> None:
    b = GraphBuilder("twice")
    x = b.apply(Unary, b.input("x", (2, 3)), function="exp")
    graph = b.finish(*(b.apply(Reshape, x, shape=(2, 3)) for _ in range(2)), x)
    assert_same_values(graph, run_passes(graph))


def test_constants_fold_also_without_values() -> None:
    b = GraphBuilder("constants")
    x = b.input("x", (4, 3))
    known = b.parameter("known", (3, 2), value=np.arange(6, dtype=np.float32).reshape(3, 2))
    stripped = b.parameter("stripped", (5, 3))
    left = b.apply(MatMul, x, b.apply(Binary, known, known, function="mul"))
    right = b.apply(MatMul, x, b.apply(Transpose, stripped, perm=(1, 0)))
    graph = b.finish(left, right)
    folded = verify(fold_constants(graph))
    assert kinds(folded) == {"MatMul": 2}
    weights = [folded.tensors[op.inputs[1]] for op in folded.ops]
    assert [weight.shape for weight in weights] == [(3, 2), (3, 5)]
    assert [weight.name in folded.constants for weight in weights] == [True, False]
    valued = with_values(graph)
    assert_same_values(valued, fold_constants(valued))


def test_scalar_is_not_folded_into_a_large_tensor() -> None:
    b = GraphBuilder("large")
    fill = b.apply(Expand, b.parameter("fill", (), value=np.float32(2)), shape=(1000, 1000))
    graph = b.finish(b.apply(Binary, b.input("x", (1000, 1000)), fill, function="add"))
    assert fold_constants(graph) is graph


def test_duplicates_are_merged_but_outputs_are_not() -> None:
    b = GraphBuilder("duplicates")
    x = b.input("x", (2, 3))
    first, second, other = (b.apply(Unary, x, function=name) for name in ("exp", "exp", "tanh"))
    total = b.apply(Binary, b.apply(Binary, first, second, function="add"), other, function="mul")
    graph = b.finish(total, second)
    merged = merge_duplicates(graph)
    assert_same_values(graph, merged)
    hidden = b.finish(total)
    assert kinds(merge_duplicates(hidden)) == {"Unary": 2, "Binary": 2}


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    shape=st.sampled_from([(5,), (1, 5), (4, 5), (1,), (4, 1), ()]),
    left=st.booleans(),
    valued=st.booleans(),
)
def test_bias_is_absorbed_when_it_is_a_vector_of_columns(shape: tuple[int, ...], left: bool, valued: bool) -> None:
    b = GraphBuilder("bias")
    x = b.input("x", (4, 3))
    product = b.apply(MatMul, x, b.parameter("w", (3, 5)))
    bias = b.parameter("b", shape)
    graph = b.finish(b.apply(Binary, *((bias, product) if left else (product, bias)), function="add"))
    if valued:
        graph = with_values(graph)
    absorbed = verify(absorb_bias(graph))
    assert kinds(absorbed) == ({"MatMul": 1} if shape in ((5,), (1, 5)) else {"MatMul": 1, "Binary": 1})
    if valued:
        assert_same_values(graph, absorbed)


def test_bias_of_a_product_read_twice_stays() -> None:
    b = GraphBuilder("shared")
    product = b.apply(MatMul, b.input("x", (4, 3)), b.parameter("w", (3, 5)))
    biased = b.apply(Binary, product, b.parameter("b", (5,)), function="add")
    graph = b.finish(b.apply(Binary, biased, product, function="mul"))
    assert absorb_bias(graph) is graph


@settings(max_examples=30, deadline=None, derandomize=True)
@given(flags=st.tuples(*[st.booleans()] * 4))
def test_transposes_become_flags(flags: tuple[bool, bool, bool, bool]) -> None:
    before_a, before_b, flag_a, flag_b = flags
    b = GraphBuilder("transposes")
    x = b.input("x", (2, 3, 4) if before_a == flag_a else (2, 4, 3))
    y = b.input("y", (2, 4, 5) if before_b == flag_b else (2, 5, 4))
    left = b.apply(Transpose, x, perm=(0, 2, 1)) if before_a else x
    right = b.apply(Transpose, y, perm=(0, 2, 1)) if before_b else y
    graph = b.finish(b.apply(MatMul, left, right, transpose_a=flag_a, transpose_b=flag_b))
    absorbed = absorb_transposes(graph)
    assert_same_values(graph, absorbed)
    assert kinds(absorbed) == {"MatMul": 1}


def test_hard_swish_in_both_spellings() -> None:
    b = GraphBuilder("hard swish")
    x = b.input("x", (3, 40))
    three, six = (b.parameter(name, (), value=np.float32(value)) for name, value in (("three", 3), ("six", 6)))
    clipped = b.apply(Clip, b.apply(Binary, x, three, function="add"), low=0.0, high=6.0)
    first = b.apply(Binary, b.apply(Binary, x, clipped, function="mul"), six, function="div")
    second = b.apply(Binary, b.apply(HardSigmoid, x, alpha=1 / 6, beta=0.5), x, function="mul")
    third = b.apply(Binary, x, b.apply(Binary, clipped, six, function="div"), function="mul")
    graph = b.finish(first, second, third)
    recognised = recognise_activations(graph)
    assert_same_values(graph, recognised)
    assert [getattr(op, "function", "") for op in recognised.ops] == ["hard_swish"] * 3


def test_assigned_precision_keeps_integers_and_values() -> None:
    b = GraphBuilder("precision")
    x, index = b.input("x", (4, 3)), b.input("i", (2,), INT64)
    y = b.apply(MatMul, x, b.parameter("w", (3, 5)), b.parameter("b", (5,)))
    graph = with_values(b.finish(y, b.apply(Binary, index, index, function="add", name="j")))
    costed = verify(assign_precision(graph, INT8))
    names = {name: tensor.precision for name, tensor in costed.tensors.items()}
    assert names == {"x": INT8, "w": INT8, "b": INT32, y: INT8, "i": INT64, "j": INT64}
    narrow = assign_precision(graph, Precision(bits=4), bias_precision=Precision(bits=16))
    assert narrow.tensors["b"].precision.bits == 16
    assert narrow.nest_of(narrow.ops[0]).reads[1].bytes == 8
    feeds = {"x": np.ones((4, 3), np.float32), "i": np.array([1, 2])}
    for left, right in zip(outputs_of(graph, feeds), outputs_of(costed, feeds), strict=True):
        np.testing.assert_array_equal(left, right)


def test_passes_verify_what_they_are_given() -> None:
    graph = with_values(conv_with())
    broken = replace(graph, tensors={**graph.tensors, "x": replace(graph.tensors["x"], shape=(2, 4, 5, 5))})
    with pytest.raises(InputError, match="computes shape"):
        run_passes(broken)


def test_passes_reach_a_fixed_point() -> None:
    graph = run_passes(with_values(conv_with(("mul", (6, 1, 1)), ("add", (1, 6, 1, 1)))))
    for apply in DEFAULT_PASSES:
        assert apply(graph) is graph
