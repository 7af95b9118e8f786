"""MatMul, Conv, ConvTranspose and Einsum equal onnxruntime over drawn shapes and attributes."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_oracle import build, check, describe, evaluate_both, integers, normal

from model_ir.errors import InputError
from model_ir.ops.contraction import Conv, ConvTranspose, Einsum, MatMul

few = settings(max_examples=25, deadline=None, derandomize=True)
small = st.integers(1, 4)


@st.composite
def matmul_shapes(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    batch = draw(st.lists(small, max_size=2))
    left = [draw(st.sampled_from([size, 1])) for size in batch]
    right = [draw(st.sampled_from([size, 1])) for size in batch]
    right = right[draw(st.integers(0, len(right))) :]
    rows, inner, columns = draw(st.integers(1, 7)), draw(st.integers(1, 7)), draw(st.integers(1, 7))
    a = (inner,) if not left and draw(st.booleans()) else (*left, rows, inner)
    b = (inner,) if draw(st.integers(0, 4)) == 0 else (*right, inner, columns)
    return a, b


@few
@given(matmul_shapes())
def test_matmul(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    check(build(MatMul, 2), [normal(shapes[0], 1), normal(shapes[1], 2)], "MatMul")


@few
@given(st.tuples(small, small, small), st.booleans(), st.booleans(), st.integers(0, 4))
def test_matmul_equals_gemm(sizes: tuple[int, int, int], transpose_a: bool, transpose_b: bool, bias_kind: int) -> None:
    rows, inner, columns = sizes
    a = normal((inner, rows) if transpose_a else (rows, inner), 1)
    b = normal((columns, inner) if transpose_b else (inner, columns), 2)
    arrays = [a, b]
    if bias_kind:
        arrays.append(normal([(columns,), (rows, columns), (1, columns), (rows, 1)][bias_kind - 1], 3))
    op = build(MatMul, len(arrays), transpose_a=transpose_a, transpose_b=transpose_b)
    check(op, arrays, "Gemm", transA=int(transpose_a), transB=int(transpose_b))


@st.composite
def convolutions(draw: st.DrawFn, transposed: bool = False) -> dict[str, Any]:
    rank = draw(st.integers(1, 3))
    group = draw(st.sampled_from([1, 1, 2, 3]))
    per_axis = st.integers(1, 3)
    kernel = [draw(per_axis) for _ in range(rank)]
    strides = [draw(per_axis) for _ in range(rank)]
    dilations = [draw(st.integers(1, 2)) for _ in range(rank)]
    pads = [draw(st.integers(0, 2)) for _ in range(2 * rank)]
    reach = [dilation * (taps - 1) + 1 for dilation, taps in zip(dilations, kernel, strict=True)]
    if transposed:
        pads = [min(pad, (reach[axis % rank] - 1) // 2) for axis, pad in enumerate(pads)]
    sizes = [draw(st.integers(1 if transposed else extent, extent + 6)) for extent in reach]
    return {
        "batch": draw(st.integers(1, 2)),
        "group": group,
        "in_channels": group * draw(st.integers(1, 3)),
        "out_channels": group * draw(st.integers(1, 3)),
        "sizes": tuple(sizes),
        "kernel": tuple(kernel),
        "strides": tuple(strides),
        "pads": tuple(pads),
        "dilations": tuple(dilations),
        "bias": draw(st.booleans()),
    }


@settings(few, max_examples=40)
@given(convolutions())
def test_conv(case: dict[str, Any]) -> None:
    group = case["group"]
    x = normal((case["batch"], case["in_channels"], *case["sizes"]), 1)
    weight = normal((case["out_channels"], case["in_channels"] // group, *case["kernel"]), 2)
    arrays = [x, weight, *([normal((case["out_channels"],), 3)] if case["bias"] else [])]
    attributes = {name: case[name] for name in ("strides", "pads", "dilations", "group")}
    check(build(Conv, len(arrays), **attributes), arrays, "Conv", **attributes)


@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_conv(multiplier: int) -> None:
    arrays = [normal((2, 6, 9, 8), 1), normal((6 * multiplier, 1, 3, 3), 2), normal((6 * multiplier,), 3)]
    attributes = {"strides": (2, 1), "pads": (1, 0, 1, 2), "dilations": (1, 2), "group": 6}
    check(build(Conv, 3, **attributes), arrays, "Conv", **attributes)


def test_conv_in_several_passes_equals_conv_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = [normal((1, 4, 8, 8), 1), normal((6, 2, 3, 3), 2)]
    op = build(Conv, 2, strides=(1, 1), pads=(1, 1, 1, 1), dilations=(1, 1), group=2)
    (whole,) = op.evaluate(np, *arrays)
    monkeypatch.setattr("model_ir.ops.convolution.COLUMN_ELEMENTS", 600)
    (pieces,) = op.evaluate(np, *arrays)
    np.testing.assert_allclose(pieces, whole, rtol=1e-5, atol=1e-5)


@settings(few, max_examples=40)
@given(convolutions(transposed=True), st.data())
def test_conv_transpose(case: dict[str, Any], data: st.DataObject) -> None:
    group = case["group"]
    x = normal((case["batch"], case["in_channels"], *case["sizes"]), 1)
    weight = normal((case["in_channels"], case["out_channels"] // group, *case["kernel"]), 2)
    arrays = [x, weight, *([normal((case["out_channels"],), 3)] if case["bias"] else [])]
    attributes = {name: case[name] for name in ("strides", "pads", "dilations", "group")}
    attributes["output_padding"] = tuple(data.draw(st.integers(0, stride - 1)) for stride in case["strides"])
    check(build(ConvTranspose, len(arrays), **attributes), arrays, "ConvTranspose", **attributes)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk->ik", [(3, 4), (4, 5)]),
        ("bqhd,bkhd->bhqk", [(2, 3, 2, 4), (2, 5, 2, 4)]),
        ("bhqk,bkhd->bqhd", [(2, 2, 3, 5), (2, 5, 2, 4)]),
        ("...ij,...jk->...ik", [(2, 3, 4), (2, 4, 5)]),
        ("i,j->ij", [(3,), (4,)]),
        ("ij->ji", [(3, 4)]),
        ("ii->i", [(4, 4)]),
        ("ij,ij->", [(3, 4), (3, 4)]),
        ("ij , jk", [(3, 4), (4, 5)]),
        ("ab,bc,cd->ad", [(2, 3), (3, 4), (4, 2)]),
        ("bhwc,hkc->bhwk", [(2, 3, 4, 5), (3, 6, 5)]),
    ],
)
def test_einsum(equation: str, shapes: list[tuple[int, ...]]) -> None:
    arrays = [normal(shape, seed) for seed, shape in enumerate(shapes)]
    check(build(Einsum, len(arrays), equation=equation), arrays, "Einsum", equation=equation)


def test_integer_products_are_exact() -> None:
    a, b = integers((3, 9), -128, 128, dtype=np.int32), integers((9, 4), -128, 128, seed=1, dtype=np.int32)
    on_numpy, on_jax = evaluate_both(build(MatMul, 2), [a, b])
    np.testing.assert_array_equal(on_numpy[0], a.astype(np.int64) @ b)
    np.testing.assert_array_equal(on_jax[0], a.astype(np.int64) @ b)


def test_narrow_integers_do_not_overflow() -> None:
    a, b = np.full((2, 64), -128, np.int8), np.full((64, 3), 255, np.uint8)
    for result in evaluate_both(build(MatMul, 2), [a, b]):
        np.testing.assert_array_equal(result[0], np.full((2, 3), -128 * 255 * 64))
    x, weight = np.full((1, 4, 5, 5), 127, np.int8), np.full((2, 4, 3, 3), 127, np.int8)
    for op in (build(Conv, 2, **CONV), build(ConvTranspose, 2, **TRANSPOSE)):
        for result in evaluate_both(op, [x, weight if op.kind == "Conv" else weight.transpose(1, 0, 2, 3)]):
            assert np.max(np.asarray(result[0])) == 127 * 127 * 36


CONV = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
TRANSPOSE = CONV | {"output_padding": (0, 0)}


@pytest.mark.parametrize(
    ("op", "shapes", "words"),
    [
        (build(MatMul, 2), [(3, 4), (5, 6)], ["inner sizes", "4 and 5"]),
        (build(MatMul, 2), [(2, 3, 4), (3, 4, 5)], ["broadcast"]),
        (build(MatMul, 3), [(3, 4), (4, 5), (2, 3, 5)], ["bias", "(3, 5)"]),
        (build(MatMul, 2, transpose_a=True), [(4,), (4, 5)], ["rank of at least 2"]),
        (build(MatMul, 1), [(3, 4)], ["number of inputs", "value 1"]),
        (build(Conv, 2, **CONV), [(1, 3, 8, 8), (4, 2, 3, 3)], ["input channels 3", "limit 2"]),
        (build(Conv, 2, **CONV, group=3), [(1, 3, 8, 8), (4, 1, 3, 3)], ["group 3"]),
        (build(Conv, 2, **CONV), [(1, 3, 2, 8), (4, 3, 3, 3)], ["window", "value 3", "limit 2"]),
        (build(Conv, 2, **CONV), [(1, 3, 8), (4, 3, 3, 3)], ["ranks"]),
        (build(Conv, 2, **CONV), [(1, 3, 8), (4, 3, 3)], ["strides"]),
        (build(Conv, 2, **(CONV | {"strides": (0, 1)})), [(1, 3, 8, 8), (4, 3, 3, 3)], ["strides", "(0, 1)"]),
        (build(Conv, 2, **(CONV | {"pads": (0, 0, -1, 0)})), [(1, 3, 8, 8), (4, 3, 3, 3)], ["pads"]),
        (build(Conv, 3, **CONV), [(1, 3, 8, 8), (4, 3, 3, 3), (3,)], ["bias", "limit (4,)"]),
        (build(ConvTranspose, 2, **TRANSPOSE), [(1, 3, 8, 8), (4, 2, 3, 3)], ["limit 4"]),
        (build(ConvTranspose, 2, **(TRANSPOSE | {"pads": (4,) * 4})), [(1, 3, 2, 2), (3, 2, 3, 3)], ["(1, 2, -4, -4)"]),
        (build(Einsum, 2, equation="ij,jk->ik"), [(3, 4), (5, 6)], ["'j'", "4 and 5"]),
        (build(Einsum, 1, equation="ij,jk->ik"), [(3, 4)], ["operands"]),
        (build(Einsum, 1, equation="ij->k"), [(3, 4)], ["output labels"]),
        (build(Einsum, 1, equation="i->i"), [(3, 4)], ["'i'"]),
    ],
)
def test_misfits_are_refused(op: Any, shapes: list[tuple[int, ...]], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        op.infer(describe([np.zeros(shape, np.float32) for shape in shapes]))
    for word in chain([op.kind, "'node'"], words):
        assert word in str(caught.value)
