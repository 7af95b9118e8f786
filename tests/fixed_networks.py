"""Small quantised networks in fixed point, built by hand: constants behind Quants, inputs and activations through
Quants, sums not rounded."""

from __future__ import annotations

from collections.abc import Mapping
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


def quantise(b: GraphBuilder, name: str, bits: int, fraction_bits: float, *, signed: bool = True) -> str:
    """`name` through a Quant of step 2^-`fraction_bits`; returns its result's name."""
    pieces = {"scale": 2.0**-fraction_bits, "zero_point": 0.0, "bits": float(bits)}
    for suffix, value in pieces.items():
        b.parameter(f"{name}.{suffix}", (), value=np.array(value, np.float32))
    return b.apply(Quant, name, *(f"{name}.{suffix}" for suffix in pieces), name=f"{name}.quant", signed=signed)


def constant(b: GraphBuilder, name: str, value: npt.NDArray[Any], bits: int, fraction_bits: float) -> str:
    """A parameter through a Quant; returns its result's name."""
    b.parameter(name, value.shape, value=value.astype(np.float32))
    return quantise(b, name, bits, fraction_bits)


def mlp(
    widths: tuple[int, ...] = (6, 7, 5, 3),
    *,
    batch: int = 4,
    weight_bits: int | tuple[int, ...] = 4,
    activation_bits: int | tuple[int, ...] = 6,
    seed: int = 0,
    spread: float = 0.5,
    weights: Mapping[str, npt.NDArray[Any]] | None = None,
) -> Graph:
    """A dense ReLU classifier in fixed point; `weights` replaces drawn values by name (`dense_0.weight`, ...)."""
    layers = len(widths) - 1
    of_weights = (weight_bits,) * layers if isinstance(weight_bits, int) else weight_bits
    of_activations = (activation_bits,) * layers if isinstance(activation_bits, int) else activation_bits
    generator = np.random.default_rng(seed)
    b = GraphBuilder("mlp", origin="test mlp")
    x = quantise(b, b.input("features", (batch, widths[0])), of_activations[0], of_activations[0] - 3)
    for place, (inputs, outputs) in enumerate(pairwise(widths)):
        drawn = {
            f"dense_{place}.weight": generator.normal(scale=spread, size=(inputs, outputs)),
            f"dense_{place}.bias": generator.normal(scale=0.25, size=(outputs,)),
        } | dict(weights or {})
        name, bias = f"dense_{place}.weight", f"dense_{place}.bias"
        w = constant(b, name, drawn[name], of_weights[place], of_weights[place] - 1)
        fraction = of_weights[place] - 1 + of_activations[place] - (3 if place == 0 else 2)
        c = constant(b, bias, drawn[bias], fraction + 2, fraction)
        x = b.apply(MatMul, x, w, c, name=f"dense_{place}")
        if place < layers - 1:
            x = b.apply(Unary, x, name=f"dense_{place}.relu", function="relu")
            bits = of_activations[place + 1]
            x = quantise(b, x, bits, bits - 2, signed=False)
    return b.finish(x)


def cnn(*, batch: int = 2, size: int = 6, channels: int = 3, seed: int = 1) -> Graph:
    """Convolution, ReLU, maximum pooling and a dense layer, 5-bit weights and 6-bit activations."""
    generator = np.random.default_rng(seed)
    b = GraphBuilder("cnn", origin="test cnn")
    x = quantise(b, b.input("image", (batch, 1, size, size)), 6, 4)
    w = constant(b, "conv.weight", generator.normal(scale=0.4, size=(channels, 1, 3, 3)), 5, 4)
    c = constant(b, "conv.bias", generator.normal(scale=0.2, size=(channels,)), 16, 8)
    x = b.apply(Conv, x, w, c, name="conv", strides=(1, 1), pads=(1, 1, 1, 1), dilations=(1, 1))
    x = quantise(b, b.apply(Unary, x, name="conv.relu", function="relu"), 6, 4, signed=False)
    x = b.apply(MaxPool, x, name="pool", kernel=(2, 2), strides=(2, 2), pads=(0, 0, 0, 0), dilations=(1, 1))
    flat = channels * (size // 2) ** 2
    x = b.apply(Reshape, x, name="flat", shape=(batch, flat))
    w = constant(b, "dense.weight", generator.normal(scale=0.3, size=(flat, 4)), 5, 4)
    c = constant(b, "dense.bias", generator.normal(scale=0.2, size=(4,)), 16, 8)
    return b.finish(b.apply(MatMul, x, w, c, name="dense"))
