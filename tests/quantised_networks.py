"""Small float networks to quantise: dense, convolutional, with pooling, with a residual sum; and data for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hls.quantise.calibrate import calibrated
from hls.quantise.insert import quantised
from hls.quantise.scheme import FIXED_POINT, Scheme
from model_ir.builder import GraphBuilder
from model_ir.graph import Graph
from model_ir.ops.contraction import Conv, MatMul
from model_ir.ops.elementwise import Binary, Unary
from model_ir.ops.movement import Reshape
from model_ir.ops.pooling import MaxPool

Array = npt.NDArray[Any]


def drawn(seed: int, *shape: int, scale: float = 1.0) -> Array:
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


def dense(b: GraphBuilder, x: str, name: str, features: int, seed: int, *, bias: bool = True) -> str:
    inputs = b.shape(x)[-1]
    names = [b.parameter(f"{name}.w", (inputs, features), value=drawn(seed, inputs, features, scale=inputs**-0.5))]
    if bias:
        names.append(b.parameter(f"{name}.b", (features,), value=drawn(seed + 1, features, scale=0.3)))
    return b.apply(MatMul, x, *names, name=name)


def conv(b: GraphBuilder, x: str, name: str, channels: int, seed: int, *, pad: int = 1, group: int = 1) -> str:
    inputs = b.shape(x)[1] // group
    weight = drawn(seed, channels, inputs, 3, 3, scale=(9 * inputs) ** -0.5)
    names = (
        b.parameter(f"{name}.w", weight.shape, value=weight),
        b.parameter(f"{name}.b", (channels,), value=drawn(seed + 1, channels, scale=0.3)),
    )
    return b.apply(Conv, x, *names, name=name, strides=(1, 1), pads=(pad,) * 4, dilations=(1, 1), group=group)


def relu(b: GraphBuilder, x: str) -> str:
    return b.apply(Unary, x, name=f"{x}.relu", function="relu")


def mlp(widths: tuple[int, ...] = (6, 8, 5, 3), batch: int = 4, seed: int = 0) -> Graph:
    b = GraphBuilder("mlp")
    x = b.input("x", (batch, widths[0]))
    for place, width in enumerate(widths[1:]):
        x = dense(b, x, f"dense_{place}", width, seed + 10 * place)
        x = x if place == len(widths) - 2 else relu(b, x)
    return b.finish(x)


def cnn(batch: int = 2, seed: int = 0, *, group: int = 1) -> Graph:
    """Conv, ReLU, pooling, Conv, ReLU, flattened, dense."""
    b = GraphBuilder("cnn")
    x = b.input("image", (batch, 2, 6, 6))
    x = relu(b, conv(b, x, "conv_0", 4, seed))
    x = b.apply(MaxPool, x, name="pool", kernel=(2, 2), strides=(2, 2), pads=(0,) * 4, dilations=(1, 1))
    x = relu(b, conv(b, x, "conv_1", 4, seed + 10, pad=0, group=group))
    x = b.apply(Reshape, x, name="flat", shape=(batch, 4))
    return b.finish(dense(b, x, "logits", 3, seed + 20))


def residual(batch: int = 2, seed: int = 0) -> Graph:
    """A block whose input skips two convolutions, and a sum of two tensors that layers read too."""
    b = GraphBuilder("residual")
    x = b.input("image", (batch, 2, 5, 5))
    first = relu(b, conv(b, x, "conv_0", 3, seed))
    inner = relu(b, conv(b, first, "conv_1", 3, seed + 10))
    second = conv(b, inner, "conv_2", 3, seed + 20)
    total = relu(b, b.apply(Binary, second, first, name="sum", function="add"))
    both = b.apply(Binary, total, inner, name="both", function="add")
    flat = b.apply(Reshape, both, name="flat", shape=(batch, 75))
    return b.finish(
        b.apply(
            Binary,
            dense(b, flat, "logits", 3, seed + 30),
            dense(b, flat, "other", 3, seed + 40),
            name="out",
            function="add",
        )
    )


def data_for(graph: Graph, rows: int = 64, seed: int = 5) -> Array:
    shape = graph.tensors[graph.inputs[0]].shape
    return drawn(seed, rows, *shape[1:])


def all_bits(graph: Graph, bits: int) -> dict[str, int]:
    from hls.allocation.network import quantisable

    return dict.fromkeys(quantisable(graph).variables, bits)


def with_quants(graph: Graph, bits: int, scheme: Scheme = FIXED_POINT) -> Graph:
    return quantised(graph, calibrated(graph, data_for(graph), all_bits(graph, bits), scheme))
