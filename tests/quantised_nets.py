"""Small quantised networks in the agreed form, built by hand: every scale a power of two, weights and biases float
constants behind their own Quant, sums exact in float32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model_ir.builder import GraphBuilder
from model_ir.graph import Graph
from model_ir.ops.contraction import Conv, MatMul
from model_ir.ops.elementwise import Binary, Unary
from model_ir.ops.movement import Reshape
from model_ir.ops.pooling import MaxPool
from model_ir.ops.quantisation import Quant
from model_ir.precision import Precision

INPUT_BITS, INPUT_SCALE = 8, 2.0**-4


@dataclass(kw_only=True)
class QuantisedNet:
    """A builder that knows each tensor's scale; layers choose output scales that make values spread over the grid."""

    b: GraphBuilder
    random: np.random.Generator
    scales: dict[str, float] = field(default_factory=dict)

    def quant(
        self, x: str, bits: int, scale: float, *, signed: bool = True, narrow: bool = False, rounding: str = "ROUND"
    ) -> str:
        name = f"{x}.quant"
        grid = {"scale": scale, "zero_point": 0.0, "bits": float(bits)}
        for suffix, value in grid.items():
            self.b.parameter(f"{x}.{suffix}", (), value=np.array(value, np.float32))
        known = Precision(
            bits=bits, signed=signed, scale=scale, rounding="floor" if rounding == "FLOOR" else "half_even"
        )
        self.b.apply(
            Quant, x, *(f"{x}.{suffix}" for suffix in grid), name=name, signed=signed, narrow=narrow,
            rounding_mode=rounding, precision=known,
        )  # fmt: skip
        self.scales[name] = scale
        return name

    def weight(self, name: str, shape: Sequence[int], bits: int) -> str:
        value = (self.random.standard_normal(shape) * 0.4).astype(np.float32)
        self.b.parameter(name, tuple(shape), value=value)
        return self.quant(name, bits, 2.0 ** (1 - bits), narrow=bits > 2)

    def bias(self, name: str, size: int, scale: float) -> str:
        self.b.parameter(name, (size,), value=(self.random.standard_normal(size) * 0.2).astype(np.float32))
        return self.quant(name, 20, scale)

    def dense(self, x: str, name: str, size: int, bits: int, *, fused: bool = False) -> str:
        weight = self.weight(f"{name}.weight", (self.b.shape(x)[-1], size), bits)
        bias = self.bias(f"{name}.bias", size, self.scales[x] * self.scales[weight])
        if fused:
            return self.b.apply(MatMul, x, weight, bias, name=name)
        product = self.b.apply(MatMul, x, weight, name=f"{name}.product")
        return self.b.apply(Binary, product, bias, name=name, function="add")

    def conv(
        self,
        x: str,
        name: str,
        channels: int,
        bits: int,
        *,
        strides: tuple[int, int] = (1, 1),
        pads: tuple[int, ...] = (1, 1, 1, 1),
        kernel: tuple[int, int] = (3, 3),
        depthwise: bool = False,
        bias: bool = True,
    ) -> str:
        inputs = self.b.shape(x)[1]
        weight = self.weight(f"{name}.weight", (channels, 1 if depthwise else inputs, *kernel), bits)
        biases = [self.bias(f"{name}.bias", channels, self.scales[x] * self.scales[weight])] if bias else []
        return self.b.apply(
            Conv, x, weight, *biases, name=name, strides=strides, pads=pads, dilations=(1, 1),
            group=inputs if depthwise else 1,
        )  # fmt: skip

    def relu(self, x: str, bits: int) -> str:
        return self.quant(
            self.b.apply(Unary, x, name=f"{x}.relu", function="relu"), bits, 2.0 ** (2 - bits), signed=False
        )

    def pool(self, x: str, name: str) -> str:
        pooled = self.b.apply(MaxPool, x, name=name, kernel=(2, 2), strides=(2, 2), pads=(0,) * 4, dilations=(1, 1))
        self.scales[pooled] = self.scales[x]
        return pooled

    def flat(self, x: str, name: str) -> str:
        shape = self.b.shape(x)
        flat = self.b.apply(Reshape, x, name=name, shape=(shape[0], int(np.prod(shape[1:]))))
        self.scales[flat] = self.scales[x]
        return flat


def started(shape: Sequence[int], seed: int) -> tuple[QuantisedNet, str]:
    net = QuantisedNet(b=GraphBuilder("net"), random=np.random.default_rng(seed))
    return net, net.quant(net.b.input("x", tuple(shape)), INPUT_BITS, INPUT_SCALE)


def dense_net(
    widths: Sequence[int], bits: Sequence[int], *, batch: int = 1, seed: int = 0, fused: bool = False
) -> Graph:
    """A ReLU classifier; layer i has weights of bits[i] and, but for the last, activations of bits[i] + 1."""
    net, x = started((batch, widths[0]), seed)
    for index, (size, width) in enumerate(zip(widths[1:], bits, strict=True)):
        x = net.dense(x, f"dense_{index}", size, width, fused=fused)
        if index < len(widths) - 2:
            x = net.relu(x, width + 1)
    return net.b.finish(x)


def conv_net(
    bits: Sequence[int] = (4, 5, 6), *, image: int = 8, channels: Sequence[int] = (4, 6), batch: int = 1, seed: int = 0
) -> Graph:
    """Two convolutions, each ReLU and max-pool, then a dense layer to ten classes, on one-channel images."""
    net, x = started((batch, 1, image, image), seed)
    for index, (size, width) in enumerate(zip(channels, bits, strict=False)):
        x = net.relu(net.conv(x, f"conv_{index}", size, width), width + 1)
        x = net.pool(x, f"pool_{index}")
    return net.b.finish(net.dense(net.flat(x, "flat"), "dense", 10, bits[-1]))


def odd_net(*, depthwise: bool = True, batch: int = 1, seed: int = 0) -> Graph:
    """What the others lack: unequal pads and strides, a depthwise convolution, a residual sum, a layer without bias, a
    quantiser after a sum, one rounding down, scales above 1, a bias finer than its products, a quantised output."""
    net, x = started((batch, 2, 6, 5), seed)
    x = net.relu(net.conv(x, "wide", 3, 4, strides=(2, 1), pads=(1, 0, 0, 1), kernel=(3, 2)), 4)
    side = net.quant(net.conv(x, "side", 3, 3, depthwise=depthwise, bias=False), 5, 2.0**-2)
    total = net.b.apply(Binary, side, x, name="total", function="add")
    x = net.flat(net.quant(total, 4, 2.0**-1), "flat")
    weight = net.weight("deep.weight", (net.b.shape(x)[1], 4), 3)
    product = net.b.apply(MatMul, x, weight, name="deep.product")
    x = net.b.apply(Binary, net.bias("deep.bias", 4, 2.0**-9), product, name="deep", function="add")
    x = net.quant(x, 4, 2.0**1, rounding="FLOOR")
    return net.b.finish(net.quant(net.dense(x, "last", 3, 5), 6, 2.0**0))


def two_readers_net() -> Graph:
    """Sums and a ReLU that two quantisers each read, with grids of their own."""
    net, x = started((1, 4), 2)
    sums = net.dense(x, "sums", 5, 5)
    relu = net.b.apply(Unary, net.dense(x, "more", 5, 5), name="relu", function="relu")
    grids = [(source, bits, scale) for source in (sums, relu) for bits, scale in ((4, 2.0**-1), (6, 2.0**-3))]
    views = [net.quant(net.b.apply(Reshape, source, shape=(1, 5)), bits, scale) for source, bits, scale in grids]
    first, second = (net.b.apply(Binary, *views[place : place + 2], function="add") for place in (0, 2))
    return net.b.finish(net.b.apply(Binary, first, second, name="total", function="add"))


def inputs_of(graph: Graph, samples: int, seed: int = 1) -> Any:
    """Samples over the input's range and beyond it, not on its grid."""
    (name,) = graph.inputs
    random = np.random.default_rng(seed)
    return (random.standard_normal((samples, *graph.tensors[name].shape[1:])) * 4).astype(np.float32)
