"""Small models that the tests of broken files start from, and the damage done to them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def value_info(name: str, *shape: int | str, kind: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(shape))


def model_of(
    nodes: list[onnx.NodeProto],
    initialisers: dict[str, Any] | None = None,
    inputs: list[onnx.ValueInfoProto] | None = None,
    output: str = "y",
    opset: int = 17,
) -> onnx.ModelProto:
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in (initialisers or {}).items()]
    graph = helper.make_graph(
        nodes, "g", inputs or [value_info("x", 1, 4, 8, 8)], [onnx.ValueInfoProto(name=output)], tensors
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def one_node(
    op_type: str, *more: Any, opset: int = 17, shape: tuple[int, ...] = (1, 4, 8, 8), **attributes: Any
) -> Any:
    """A model of one node: x, then `more` as initialisers."""
    names = [f"c{position}" for position in range(len(more))]
    node = helper.make_node(op_type, ["x", *names], ["y"], **attributes)
    return model_of([node], dict(zip(names, more, strict=True)), [value_info("x", *shape)], opset=opset)


def small_cnn() -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], name="conv", pads=[1, 1, 1, 1], strides=[2, 2], group=2),
        helper.make_node("BatchNormalization", ["c", "s", "t", "m", "v"], ["n"], epsilon=1e-3),
        helper.make_node("Clip", ["n", "low", "high"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        helper.make_node("Flatten", ["p"], ["f"], axis=1),
        helper.make_node("Gemm", ["f", "g", "h"], ["z"], transB=1, alpha=0.5),
        helper.make_node("Softmax", ["z"], ["y"], axis=-1),
    ]
    vectors = {name: np.abs(rng.standard_normal(6)).astype(np.float32) for name in "bstmv"}
    initialisers = {
        "w": rng.standard_normal((6, 2, 3, 3)).astype(np.float32),
        **vectors,
        "low": np.float32(0),
        "high": np.float32(6),
        "g": rng.standard_normal((5, 24)).astype(np.float32),
        "h": np.zeros(5, np.float32),
    }
    return model_of(nodes, initialisers)


def small_attention() -> onnx.ModelProto:
    rng = np.random.default_rng(1)
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["length"], axis=0),
        helper.make_node("Unsqueeze", ["length", "zero"], ["length1"]),
        helper.make_node("Concat", ["minus", "length1", "heads"], ["target"], axis=0),
        helper.make_node("MatMul", ["x", "w"], ["q"]),
        helper.make_node("Reshape", ["q", "target"], ["q4"]),
        helper.make_node("Transpose", ["q4"], ["qt"], perm=[0, 2, 1, 3]),
        helper.make_node("Transpose", ["q4"], ["kt"], perm=[0, 2, 3, 1]),
        helper.make_node("MatMul", ["qt", "kt"], ["scores"]),
        helper.make_node("Slice", ["scores", "zero", "two", "one1"], ["sliced"]),
        helper.make_node("Split", ["sliced"], ["first", "second"], axis=1),
        helper.make_node("Pad", ["first", "pads"], ["padded"], mode="constant"),
        helper.make_node("ReduceMean", ["padded"], ["y"], axes=[-1], keepdims=1),
    ]
    initialisers = {
        "one": np.int64(1),
        "zero": np.array([0]),
        "two": np.array([2]),
        "one1": np.array([1]),
        "minus": np.array([-1]),
        "heads": np.array([2, 4]),
        "pads": np.array([0, 0, 0, 1, 0, 0, 0, 1]),
        "w": rng.standard_normal((8, 8)).astype(np.float32),
    }
    return model_of(nodes, initialisers, [value_info("x", 1, 6, 8)])


def small_quantised() -> onnx.ModelProto:
    nodes = [
        helper.make_node(
            "Quant", ["x", "scale", "zp", "bits"], ["q"], domain="qonnx.custom_op.general", signed=1, narrow=0,
            rounding_mode="ROUND",
        ),
        helper.make_node("Resize", ["q", "", "scales"], ["r"], mode="nearest", nearest_mode="floor"),
        helper.make_node("ConstantOfShape", ["w__SHAPE"], ["w"], value=numpy_helper.from_array(np.float32([0.5]))),
        helper.make_node("ConvTranspose", ["r", "w"], ["t"], strides=[2, 2], output_padding=[1, 1]),
        helper.make_node("Sum", ["t", "t", "scale"], ["u"]),
        helper.make_node("LRN", ["u"], ["l"], size=3),
        helper.make_node("GlobalAveragePool", ["l"], ["y"]),
    ]  # fmt: skip
    initialisers = {
        "scale": np.float32(0.25),
        "zp": np.float32(0),
        "bits": np.float32(4),
        "scales": np.float32([1, 1, 2, 2]),
        "w__SHAPE": np.array([4, 3, 3, 3]),
    }
    model = model_of(nodes, initialisers)
    model.opset_import.append(helper.make_opsetid("qonnx.custom_op.general", 1))
    return model


BASES: tuple[Callable[[], onnx.ModelProto], ...] = (small_cnn, small_attention, small_quantised)


def mutants(count: int) -> Iterator[tuple[int, bytes]]:
    """`count` damaged files from the base models: bytes flipped, cut, doubled, or fields of the parsed message
    changed."""
    for seed in range(count):
        rng = random.Random(seed)
        model = BASES[seed % len(BASES)]()
        if seed % 2:
            for _ in range(rng.randint(1, 3)):
                mutate_message(model, rng)
            yield seed, model.SerializeToString()
        else:
            yield seed, mutate_bytes(bytearray(model.SerializeToString()), rng)


def mutate_bytes(data: bytearray, rng: random.Random) -> bytes:
    kind = rng.randrange(4)
    if kind == 0:
        return bytes(data[: rng.randrange(len(data))])
    if kind == 1:
        start = rng.randrange(len(data))
        return bytes(data[:start] + data[start + rng.randint(1, 16) :])
    if kind == 2:
        start = rng.randrange(len(data))
        return bytes(data[:start] + data[start : start + 32] + data[start:])
    for _ in range(rng.randint(1, 12)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


NUMBERS = (0, 1, -1, 2, 3, 7, 127, 1 << 20, 1 << 31, (1 << 63) - 1, -(1 << 63), -5)


def mutate_message(model: onnx.ModelProto, rng: random.Random) -> None:
    graph = model.graph
    node = rng.choice(graph.node)
    tensor = rng.choice(graph.initializer)
    kind = rng.randrange(12)
    if kind == 0 and node.input:
        names = [name for other in graph.node for name in other.output] + [item.name for item in graph.initializer]
        node.input[rng.randrange(len(node.input))] = rng.choice([*names, "", "nowhere"])
    elif kind == 1:
        node.op_type = rng.choice([other.op_type for other in graph.node] + ["Sqrt", "Expand", "Tile", "Neg", "Loop"])
    elif kind == 2 and node.attribute:
        attribute = rng.choice(node.attribute)
        if attribute.ints:
            attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(NUMBERS)
        attribute.i = rng.choice(NUMBERS)
        attribute.f = rng.choice([0.0, -1.0, 1e38, float("nan")])
    elif kind == 3 and node.attribute:
        del node.attribute[rng.randrange(len(node.attribute))]
    elif kind == 4 and tensor.dims:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(NUMBERS)
    elif kind == 5:
        tensor.data_type = rng.randrange(25)
    elif kind == 6 and tensor.raw_data:
        value = bytearray(tensor.raw_data)
        for _ in range(8):
            value[rng.randrange(len(value))] = rng.randrange(256)
        tensor.raw_data = bytes(value)
    elif kind == 7:
        dim = rng.choice(graph.input[0].type.tensor_type.shape.dim)
        dim.dim_value = rng.choice(NUMBERS)
    elif kind == 8:
        model.opset_import[0].version = rng.choice([*range(1, 30), *NUMBERS])
    elif kind == 9:
        del graph.node[rng.randrange(len(graph.node))]
    elif kind == 10 and tensor.data_type == INT64 and tensor.dims:
        values = [rng.choice(NUMBERS) for _ in range(tensor.dims[0] if 0 < tensor.dims[0] < 64 else 1)]
        tensor.CopyFrom(numpy_helper.from_array(np.array(values, np.int64), tensor.name))
    elif kind == 11:
        tensor.name = rng.choice([item.name for item in graph.initializer])
