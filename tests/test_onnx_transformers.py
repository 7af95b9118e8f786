"""Transformer layers as exporters write them: imported with dynamic axes bound, equal to onnxruntime, and recognised by
the passes."""

from __future__ import annotations

from math import pi, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx_cases import INT64, Writer, checked_passes, kinds, save

from model_ir.errors import InputError
from model_ir.onnx_import import import_onnx
from model_ir.ops.normalisation import Gelu, LayerNorm, RmsNorm

HIDDEN, HEADS, INNER, VOCABULARY, POSITIONS = 24, 3, 48, 50, 16
DEPTH = HIDDEN // HEADS
BATCH, SEQUENCE = 2, 5


# The older exporter of PyTorch (torch.onnx.export with TorchScript, operator sets 11 to 17).


def old_axes(w: Writer, op_type: str, x: str, axes: list[int]) -> str:
    if w.opset < 13:
        return w.op(op_type, x, axes=axes)
    return w.op(op_type, x, w.constant(np.array(axes)))


def old_layer_norm(w: Writer, x: str) -> str:
    mean = w.op("ReduceMean", x, axes=[-1])
    deviation = w.op("Sub", x, mean)
    square = w.op("Pow", deviation, w.real(2.0))
    variance = w.op("ReduceMean", square, axes=[-1])
    root = w.op("Sqrt", w.op("Add", variance, w.real(1e-12)))
    scaled = w.op("Mul", w.op("Div", deviation, root), w.weight(HIDDEN, mean=1.0))
    return w.op("Add", scaled, w.weight(HIDDEN))


def old_linear(w: Writer, x: str, inputs: int, outputs: int) -> str:
    return w.op("Add", w.weight(outputs), w.op("MatMul", x, w.weight(inputs, outputs)))


def old_size(w: Writer, x: str, axis: int) -> str:
    return old_axes(w, "Unsqueeze", w.op("Gather", w.op("Shape", x), w.constant(np.int64(axis)), axis=0), [0])


def old_heads(w: Writer, x: str, perm: list[int]) -> str:
    """x.view(x.size(0), x.size(1), heads, depth).permute(...) with the sizes read at run time."""
    sizes = [old_size(w, x, 0), old_size(w, x, 1), w.constant(np.array([HEADS])), w.constant(np.array([DEPTH]))]
    return w.op("Transpose", w.op("Reshape", x, w.op("Concat", *sizes, axis=0)), perm=perm)


def old_gelu(w: Writer, x: str) -> str:
    erf = w.op("Erf", w.op("Div", x, w.real(sqrt(2))))
    return w.op("Mul", w.op("Mul", x, w.op("Add", erf, w.real(1.0))), w.real(0.5))


def old_softmax(w: Writer, x: str) -> str:
    # Before operator set 13 Softmax flattens; the exporter writes it for the last axis of 4.
    return w.op("Softmax", x, axis=3 if w.opset < 13 else -1)


def torch_old_bert(opset: int) -> onnx.ModelProto:
    w = Writer(opset)
    ids = w.input("input_ids", ["batch", "sequence"], INT64)
    mask = w.input("attention_mask", ["batch", "sequence"], INT64)
    words = w.op("Gather", w.weight(VOCABULARY, HIDDEN), ids)
    length = old_size(w, ids, 1)
    starts, axes, steps = w.constant(np.array([0])), w.constant(np.array([1])), w.constant(np.array([1]))
    positions = w.op("Slice", w.stored(np.arange(POSITIONS)[None]), starts, length, axes, steps)
    types = w.op("ConstantOfShape", w.op("Concat", old_size(w, ids, 0), old_size(w, ids, 1), axis=0),
                 value=onnx.numpy_helper.from_array(np.array([0])))  # fmt: skip
    x = w.op("Add", words, w.op("Gather", w.weight(2, HIDDEN), types))
    x = old_layer_norm(w, w.op("Add", x, w.op("Gather", w.weight(POSITIONS, HIDDEN), positions)))

    wide = old_axes(w, "Unsqueeze", old_axes(w, "Unsqueeze", mask, [1]), [2])
    hidden = w.op("Sub", w.real(1.0), w.op("Cast", wide, to=1))
    hidden = w.op("Mul", hidden, w.real(-10000.0))

    query, key, value = (old_linear(w, x, HIDDEN, HIDDEN) for _ in range(3))
    query, value = (old_heads(w, item, [0, 2, 1, 3]) for item in (query, value))
    key = old_heads(w, key, [0, 2, 3, 1])
    scores = w.op("Add", w.op("Div", w.op("MatMul", query, key), w.real(sqrt(DEPTH))), hidden)
    context = w.op("Transpose", w.op("MatMul", old_softmax(w, scores), value), perm=[0, 2, 1, 3])
    sizes = [old_size(w, context, 0), old_size(w, context, 1), w.constant(np.array([HIDDEN]))]
    context = w.op("Reshape", context, w.op("Concat", *sizes, axis=0))
    x = old_layer_norm(w, w.op("Add", old_linear(w, context, HIDDEN, HIDDEN), x))
    inner = old_gelu(w, old_linear(w, x, HIDDEN, INNER))
    x = old_layer_norm(w, w.op("Add", old_linear(w, inner, INNER, HIDDEN), x))

    first = w.op("Gather", x, w.constant(np.int64(0)), axis=1)
    pooled = w.op("Tanh", w.op("Gemm", first, w.weight(HIDDEN, HIDDEN), w.weight(HIDDEN), transB=1))
    w.output(x)
    w.output(pooled)
    return w.model()


def bert_feeds() -> dict[str, Any]:
    rng = np.random.default_rng(7)
    mask = np.ones((BATCH, SEQUENCE), np.int64)
    mask[1, 3:] = 0
    return {"input_ids": rng.integers(0, VOCABULARY, (BATCH, SEQUENCE)), "attention_mask": mask}


@pytest.mark.parametrize("opset", [11, 13, 16])
def test_layer_of_the_old_torch_exporter(tmp_path: Path, opset: int) -> None:
    dims = {"batch": BATCH, "sequence": SEQUENCE}
    passed = checked_passes(torch_old_bert(opset), tmp_path, bert_feeds(), dims)
    found = kinds(passed)
    assert (found["LayerNorm"], found["Gelu"], found["Softmax"]) == (3, 1, 1)
    # Six linear layers and two products of the attention, one of the pooler, no separate bias.
    assert found["MatMul"] == 9
    assert sum(len(op.inputs) == 3 for op in passed.ops if op.kind == "MatMul") == 7
    assert not found["Erf"]
    assert {op.axis for op in passed.ops if isinstance(op, LayerNorm)} == {2}
    assert {op.approximate for op in passed.ops if isinstance(op, Gelu)} == {"none"}
    # What remains beside: embeddings, head reshapes and transposes, mask, residuals.
    assert found["Reduce"] == 0
    assert found["Where"] == 0


def test_dynamic_axes_must_be_bound_by_name(tmp_path: Path) -> None:
    path = save(torch_old_bert(13), tmp_path)
    with pytest.raises(InputError, match=r"dynamic; bind it with --dim batch=1"):
        import_onnx(path)
    with pytest.raises(InputError, match=r"bind it with --dim sequence=1"):
        import_onnx(path, dims={"batch": 1})
    with pytest.raises(InputError, match=r"--dim bach matches no dynamic axis.*batch, sequence"):
        import_onnx(path, dims={"batch": 1, "sequence": 4, "bach": 1})
    with pytest.raises(InputError, match="at least 1"):
        import_onnx(path, dims={"batch": 0, "sequence": 4})
    by_position = {
        f"{name}:{axis}": size for name in ("input_ids", "attention_mask") for axis, size in enumerate((3, 4))
    }
    assert import_onnx(path, dims=by_position).tensors["input_ids"].shape == (3, 4)
    with pytest.raises(InputError, match="broadcast"):
        import_onnx(path, dims={**by_position, "attention_mask:1": 7})


# The exporter of PyTorch that traces with dynamo (operator set 18 and later).


def dynamo_linear(w: Writer, x: str, inputs: int, outputs: int) -> str:
    weight = w.op("Transpose", w.weight(outputs, inputs), perm=[1, 0])
    return w.op("Add", w.op("MatMul", x, weight), w.weight(outputs))


def dynamo_norm(w: Writer, x: str) -> str:
    scale, bias = w.weight(HIDDEN, mean=1.0), w.weight(HIDDEN)
    return w.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=1e-12)


def torch_dynamo_layer(opset: int, approximate: str) -> onnx.ModelProto:
    w = Writer(opset)
    x = w.input("hidden", ["s77", "s44", HIDDEN])
    keep = w.input("mask", ["s77", 1, 1, "s44"], onnx.TensorProto.BOOL)
    batch = w.op("Shape", x, start=0, end=1)
    length = w.op("Shape", x, start=1, end=2)
    shape = w.op("Concat", batch, length, w.stored(np.array([-1])), w.stored(np.array([DEPTH])), axis=0)
    query, key, value = (
        w.op("Transpose", w.op("Reshape", dynamo_linear(w, x, HIDDEN, HIDDEN), shape, allowzero=1), perm=[0, 2, 1, 3])
        for _ in range(3)
    )
    # scaled_dot_product_attention splits the scale between both sides and hides NaN rows.
    half = w.stored(np.float32(DEPTH**-0.25))
    query, key = w.op("Mul", query, half), w.op("Mul", w.op("Transpose", key, perm=[0, 1, 3, 2]), half)
    mask = w.op("Where", keep, w.stored(np.float32(0)), w.stored(np.float32(-np.inf)))
    weights = w.op("Softmax", w.op("Add", w.op("MatMul", query, key), mask), axis=-1)
    weights = w.op("Where", w.op("IsNaN", weights), w.stored(np.float32(0)), weights)
    context = w.op("Transpose", w.op("MatMul", weights, value), perm=[0, 2, 1, 3])
    context = w.op("Reshape", context, w.op("Concat", batch, length, w.stored(np.array([HIDDEN])), axis=0), allowzero=1)
    x = dynamo_norm(w, w.op("Add", dynamo_linear(w, context, HIDDEN, HIDDEN), x))
    inner = dynamo_linear(w, x, HIDDEN, INNER)
    gelu = w.op("Gelu", inner, approximate=approximate)
    w.output(dynamo_norm(w, w.op("Add", dynamo_linear(w, gelu, INNER, HIDDEN), x)))
    return w.model()


@pytest.mark.parametrize(("opset", "approximate"), [(20, "none"), (20, "tanh")])
def test_layer_of_the_dynamo_exporter(tmp_path: Path, opset: int, approximate: str) -> None:
    rng = np.random.default_rng(3)
    mask = np.ones((BATCH, 1, 1, SEQUENCE), bool)
    mask[0, ..., 4:] = False
    feeds = {"hidden": rng.standard_normal((BATCH, SEQUENCE, HIDDEN)).astype(np.float32), "mask": mask}
    passed = checked_passes(torch_dynamo_layer(opset, approximate), tmp_path, feeds, {"s77": BATCH, "s44": SEQUENCE})
    found = kinds(passed)
    assert (found["LayerNorm"], found["Gelu"], found["Softmax"], found["MatMul"]) == (2, 1, 1, 8)
    assert [op.approximate for op in passed.ops if isinstance(op, Gelu)] == [approximate]
    # The weights' transposes are folded and the key's two are one; query, key, value and context keep theirs.
    assert found["Transpose"] == 4


# TensorFlow's BERT through tf2onnx.


def tf_norm(w: Writer, x: str, inverse: str) -> str:
    """tf.nn.batch_normalization over the last axis, tf.nn.moments before it."""
    mean = w.op("ReduceMean", x, axes=[2], keepdims=1)
    deviation = w.op("Sub", x, mean)
    variance = w.op("ReduceMean", w.op("Mul", deviation, deviation), axes=[2], keepdims=1)
    root = w.op("Sqrt", w.op("Add", variance, w.stored(np.float32(1e-12))))
    one_over = w.op("Reciprocal", root) if inverse == "Reciprocal" else w.op("Div", w.stored(np.float32(1)), root)
    gain = w.op("Mul", one_over, w.weight(HIDDEN, mean=1.0))
    shift = w.op("Sub", w.weight(HIDDEN), w.op("Mul", mean, gain))
    return w.op("Add", w.op("Mul", x, gain), shift)


def tf_gelu(w: Writer, x: str) -> str:
    cube = w.op("Pow", x, w.stored(np.float32(3)))
    inner = w.op("Add", x, w.op("Mul", w.stored(np.float32(0.044715)), cube))
    tanh = w.op("Tanh", w.op("Mul", w.stored(np.float32(sqrt(2 / pi))), inner))
    half = w.op("Mul", w.stored(np.float32(0.5)), w.op("Add", w.stored(np.float32(1)), tanh))
    return w.op("Mul", x, half)


def tf_softmax(w: Writer, x: str) -> str:
    shifted = w.op("Exp", w.op("Sub", x, w.op("ReduceMax", x, axes=[-1], keepdims=1)))
    axes = w.stored(np.array([-1]))
    return w.op("Div", shifted, w.op("ReduceSum", shifted, axes, keepdims=1))


def tf_layer(projection: str, inverse: str) -> onnx.ModelProto:
    w = Writer(13)
    x = w.input("x", ["unk__1", SEQUENCE, HIDDEN])

    def heads() -> str:
        if projection == "Einsum":
            product = w.op("Einsum", x, w.weight(HIDDEN, HEADS, DEPTH), equation="abc,cde->abde")
            return w.op("Add", product, w.weight(HEADS, DEPTH))
        flat = w.op("Reshape", x, w.stored(np.array([-1, HIDDEN])))
        product = w.op("Add", w.op("MatMul", flat, w.weight(HIDDEN, HIDDEN)), w.weight(HIDDEN))
        return w.op("Reshape", product, w.stored(np.array([-1, SEQUENCE, HEADS, DEPTH])))

    query, key, value = heads(), heads(), heads()
    if projection == "Einsum":
        scores = w.op("Einsum", key, query, equation="aecd,abcd->acbe")
    else:
        query, key = (w.op("Transpose", item, perm=[0, 2, 1, 3]) for item in (query, key))
        scores = w.op("MatMul", query, w.op("Transpose", key, perm=[0, 1, 3, 2]))
    weights = tf_softmax(w, w.op("Mul", scores, w.stored(np.float32(DEPTH**-0.5))))
    if projection == "Einsum":
        context = w.op("Einsum", weights, value, equation="acbe,aecd->abcd")
        product = w.op("Einsum", context, w.weight(HEADS, DEPTH, HIDDEN), equation="abcd,cde->abe")
    else:
        context = w.op("MatMul", weights, w.op("Transpose", value, perm=[0, 2, 1, 3]))
        flat = w.op("Reshape", w.op("Transpose", context, perm=[0, 2, 1, 3]), w.stored(np.array([-1, HIDDEN])))
        product = w.op(
            "Reshape", w.op("MatMul", flat, w.weight(HIDDEN, HIDDEN)), w.stored(np.array([-1, SEQUENCE, HIDDEN]))
        )
    attended = tf_norm(w, w.op("Add", w.op("Add", product, w.weight(HIDDEN)), x), inverse)
    inner = tf_gelu(w, w.op("Add", w.op("MatMul", attended, w.weight(HIDDEN, INNER)), w.weight(INNER)))
    outer = w.op("Add", w.op("MatMul", inner, w.weight(INNER, HIDDEN)), w.weight(HIDDEN))
    w.output(tf_norm(w, w.op("Add", outer, attended), inverse))
    return w.model()


@pytest.mark.parametrize("inverse", ["Reciprocal", "Div"])
@pytest.mark.parametrize("projection", ["Einsum", "MatMul"])
def test_layer_of_tensorflow(tmp_path: Path, projection: str, inverse: str) -> None:
    x = np.random.default_rng(5).standard_normal((BATCH, SEQUENCE, HIDDEN)).astype(np.float32)
    passed = checked_passes(tf_layer(projection, inverse), tmp_path, {"x": x}, {"unk__1": BATCH})
    found = kinds(passed)
    assert (found["LayerNorm"], found["Gelu"], found["Softmax"]) == (2, 1, 1)
    assert found["Reduce"] == 0
    assert [op.approximate for op in passed.ops if isinstance(op, Gelu)] == ["tanh"]


# Decoders: RMSNorm, SwiGLU and rotary embedding as Hugging Face's LLaMA comes out of the older exporter; fused ones of
# onnxruntime.


def llama_norm(w: Writer, x: str, inverse: str) -> str:
    mean = w.op("ReduceMean", w.op("Pow", x, w.real(2.0)), axes=[-1])
    root = w.op("Sqrt", w.op("Add", mean, w.real(1e-6)))
    normal = w.op("Div", x, root)
    if inverse == "Mul":
        normal = w.op("Mul", x, w.op("Div", w.real(1.0), root))
    return w.op("Mul", w.weight(HIDDEN, mean=1.0), normal)


def rotary(w: Writer, x: str, cosine: str, sine: str) -> str:
    def half(start: int, end: int) -> str:
        bounds = (np.array([start]), np.array([end]), np.array([3]), np.array([1]))
        return w.op("Slice", x, *map(w.constant, bounds))

    turned = w.op("Concat", w.op("Neg", half(DEPTH // 2, 2**63 - 1)), half(0, DEPTH // 2), axis=-1)
    return w.op("Add", w.op("Mul", x, cosine), w.op("Mul", turned, sine))


@pytest.mark.parametrize("inverse", ["Mul", "Div"])
def test_llama_block(tmp_path: Path, inverse: str) -> None:
    w = Writer(14)
    x = w.input("x", [BATCH, SEQUENCE, HIDDEN])
    angles = np.outer(np.arange(SEQUENCE), 10000 ** (-np.arange(0, DEPTH, 2) / DEPTH))
    cosine, sine = (
        w.stored(np.tile(function(angles), 2)[None, None].astype(np.float32)) for function in (np.cos, np.sin)
    )
    normal = llama_norm(w, x, inverse)
    query, key, value = (old_heads(w, w.op("MatMul", normal, w.weight(HIDDEN, HIDDEN)), [0, 2, 1, 3]) for _ in range(3))
    query, key = (rotary(w, item, cosine, sine) for item in (query, key))
    scores = w.op("Div", w.op("MatMul", query, w.op("Transpose", key, perm=[0, 1, 3, 2])), w.real(sqrt(DEPTH)))
    causal = w.op(
        "Trilu", w.constant(np.full((SEQUENCE, SEQUENCE), -1e9, np.float32)), w.constant(np.int64(1)), upper=1
    )
    weights = w.op("Softmax", w.op("Add", scores, causal), axis=-1)
    context = w.op("Transpose", w.op("MatMul", weights, value), perm=[0, 2, 1, 3])
    context = w.op("Reshape", context, w.constant(np.array([0, 0, HIDDEN])))
    x = w.op("Add", x, w.op("MatMul", context, w.weight(HIDDEN, HIDDEN)))
    normal = llama_norm(w, x, inverse)
    gate = w.op("MatMul", normal, w.weight(HIDDEN, INNER))
    gated = w.op("Mul", w.op("Mul", gate, w.op("Sigmoid", gate)), w.op("MatMul", normal, w.weight(HIDDEN, INNER)))
    w.output(w.op("Add", x, w.op("MatMul", gated, w.weight(INNER, HIDDEN))))
    feeds = {"x": np.random.default_rng(1).standard_normal((BATCH, SEQUENCE, HIDDEN)).astype(np.float32)}
    passed = checked_passes(w.model(), tmp_path, feeds)
    assert kinds(passed)["RmsNorm"] == 2
    assert kinds(passed)["LayerNorm"] == 0
    assert {op.epsilon for op in passed.ops if isinstance(op, RmsNorm)} == {float(np.float32(1e-6))}
    assert [op.function for op in passed.ops if op.kind == "Unary"].count("silu") == 1  # type: ignore[attr-defined]
    assert any(op.transpose_b for op in passed.ops if op.kind == "MatMul")  # type: ignore[attr-defined]


def test_fused_operators_of_onnxruntime(tmp_path: Path) -> None:
    w = Writer(17)
    domain = "com.microsoft"
    x, skip = w.input("x", [BATCH, SEQUENCE, HIDDEN]), w.input("skip", [BATCH, SEQUENCE, HIDDEN])
    scale, shift, bias = w.weight(HIDDEN, mean=1.0), w.weight(HIDDEN), w.weight(HIDDEN)
    y = w.op("SkipLayerNormalization", x, skip, scale, shift, bias, domain=domain, epsilon=1e-5)
    y = w.op("BiasGelu", y, w.weight(HIDDEN), domain=domain)
    y = w.op("FastGelu", y, w.weight(HIDDEN), domain=domain)
    y = w.op("QuickGelu", w.op("Gelu", y, domain=domain), domain=domain)
    y = w.op("SimplifiedLayerNormalization", y, scale, axis=-1, epsilon=1e-5)
    y = w.op("SkipSimplifiedLayerNormalization", y, skip, scale, domain=domain, epsilon=1e-5)
    w.output(w.op("FusedMatMul", y, y, domain=domain, transB=1, alpha=0.25))
    rng = np.random.default_rng(0)
    feeds = {name: rng.standard_normal((BATCH, SEQUENCE, HIDDEN)).astype(np.float32) for name in ("x", "skip")}
    passed = checked_passes(w.model({domain: 1}), tmp_path, feeds)
    assert [op.function for op in passed.ops if op.kind == "Unary"] == ["gelu_sigmoid"]  # type: ignore[attr-defined]
