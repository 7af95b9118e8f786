"""Small quantised networks, built by hand in the form that all of firmware takes: Quants with powers of two."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from model_ir.builder import GraphBuilder
from model_ir.graph import Graph
from model_ir.ops.contraction import Conv, MatMul
from model_ir.ops.elementwise import Unary
from model_ir.ops.movement import Reshape
from model_ir.ops.pooling import MaxPool
from model_ir.ops.quantisation import Quant

Array = npt.NDArray[Any]


def quantise(
    builder: GraphBuilder, name: str, *, scale: Any, bits: int, zero_point: float = 0.0, **attributes: Any
) -> str:
    """A Quant behind tensor `name`, its parameters 0-d constants named after it."""
    parameters = {"scale": scale, "zero_point": zero_point, "bits": bits}
    names = [
        builder.parameter(f"{name}.{part}", np.shape(value), value=np.asarray(value, np.float32))
        for part, value in parameters.items()
    ]
    return builder.apply(Quant, name, *names, name=f"{name}.quant", **attributes)


def weight(builder: GraphBuilder, name: str, value: Array, *, scale: Any, bits: int, **attributes: Any) -> str:
    """A float constant and its Quant."""
    builder.parameter(name, value.shape, value=value.astype(np.float32))
    return quantise(builder, name, scale=scale, bits=bits, **attributes)


def mlp(
    widths: Sequence[int],
    *,
    seed: int = 0,
    batch: int = 1,
    weight_bits: Sequence[int] | None = None,
    activation_bits: Sequence[int] | None = None,
    spread: float = 1.0,
) -> Graph:
    """Dense layers of `widths`, ReLU between; layer i multiplies activation_bits[i] with weight_bits[i]. Weights are
    normal with deviation `spread` / sqrt(fan-in), limited to +-1."""
    generator = np.random.default_rng(seed)
    layers = len(widths) - 1
    weight_bits, activation_bits = weight_bits or [6] * layers, activation_bits or [6] * layers
    builder = GraphBuilder("mlp")
    x = builder.input("x", (batch, widths[0]))
    step = 4.0 / 2 ** activation_bits[0]
    x = quantise(builder, x, scale=step * 2, bits=activation_bits[0])
    step *= 2
    for layer, (rows, columns) in enumerate(pairwise(widths)):
        weight_step = 2.0 ** (1 - weight_bits[layer])
        drawn = generator.normal(size=(rows, columns)) * spread * rows**-0.5
        matrix = weight(builder, f"w{layer}", drawn, scale=weight_step, bits=weight_bits[layer], narrow=True)
        shift = generator.normal(size=columns) * 0.2
        bias = weight(builder, f"b{layer}", shift, scale=step * weight_step, bits=20)
        x = builder.apply(MatMul, x, matrix, bias, name=f"dense{layer}")
        if layer < layers - 1:
            x = builder.apply(Unary, x, function="relu", name=f"relu{layer}")
            step = 4.0 / 2 ** activation_bits[layer + 1]
            x = quantise(builder, x, scale=step, bits=activation_bits[layer + 1], signed=False)
    return builder.finish(x)


def cnn(*, size: int = 4, channels: int = 3, seed: int = 0, batch: int = 1, bits: int = 4) -> Graph:
    """A padded 3x3 convolution of one channel, ReLU, 2x2 max pool, a dense layer of 3 outputs."""
    generator = np.random.default_rng(seed)
    builder = GraphBuilder("cnn")
    x = quantise(builder, builder.input("image", (batch, 1, size, size)), scale=2.0**-bits, bits=bits, signed=False)
    step = 2.0 ** (1 - bits)
    kernel = weight(builder, "k", generator.normal(size=(channels, 1, 3, 3)) * 0.4, scale=step, bits=bits)
    bias = weight(builder, "k_bias", generator.normal(size=channels) * 0.1, scale=step * 2.0**-bits, bits=16)
    x = builder.apply(Conv, x, kernel, bias, name="conv", strides=(1, 1), pads=(1,) * 4, dilations=(1, 1))
    x = builder.apply(Unary, x, function="relu", name="relu")
    x = quantise(builder, x, scale=2.0 ** (1 - bits), bits=bits, signed=False)
    x = builder.apply(MaxPool, x, name="pool", kernel=(2, 2), strides=(2, 2), pads=(0,) * 4, dilations=(1, 1))
    features = channels * (size // 2) ** 2
    x = builder.apply(Reshape, x, name="flat", shape=(batch, features))
    matrix = weight(builder, "w", generator.normal(size=(features, 3)) * 0.3, scale=step, bits=bits)
    return builder.finish(builder.apply(MatMul, x, matrix, name="dense"))


def random_inputs(graph: Graph, samples: int, *, seed: int = 0, spread: float = 2.0) -> dict[str, Array]:
    """Normal float32 values for every input, beyond its Quant's range too."""
    generator = np.random.default_rng(seed)
    shapes = {name: (samples, *graph.tensors[name].shape[1:]) for name in graph.inputs}
    return {name: (generator.normal(size=shape) * spread).astype(np.float32) for name, shape in shapes.items()}


def execute_rows(graph: Graph, inputs: dict[str, Array]) -> dict[str, Array]:
    """The graph's own execution on rows of a whole number of its batches."""
    from model_ir.graph import execute

    batch, rows = graph.tensors[graph.inputs[0]].shape[0], len(next(iter(inputs.values())))
    parts = [
        execute(graph, {name: value[start : start + batch] for name, value in inputs.items()})
        for start in range(0, rows, batch)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in graph.outputs}
