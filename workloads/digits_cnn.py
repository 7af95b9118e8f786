"""A small convolutional network for 8x8 handwritten digits, of a size that becomes firmware.

Convolutions of 3x3 with batch normalisation, ReLU and 2x2 maximum pooling, then two dense layers; no global average
pooling, which firmware generators get wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

from model_ir.builder import GraphBuilder
from model_ir.graph import Graph
from model_ir.ops.movement import Reshape
from model_ir.ops.pooling import MaxPool
from workloads.layers import batch_norm, conv, linear, unary
from workloads.options import in_range

EPSILON = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class CnnConfig:
    """Pixels a side, channels of each convolution (each followed by pooling that halves the image), width of the hidden
    dense layer, classes."""

    name: str
    image: int
    channels: tuple[int, ...]
    hidden: int
    classes: int


# Ours: 3682 learned parameters.
DIGITS_CNN = CnnConfig(name="digits-cnn", image=8, channels=(8, 16), hidden=32, classes=10)


def build(config: CnnConfig, *, batch: int = 1) -> Graph:
    """Logits (batch, classes) of input `image` (batch, 1, config.image, config.image)."""
    in_range(config.name, "batch", batch, least=1)
    b = GraphBuilder(config.name, origin=f"workload {config.name}")
    x = b.input("image", (batch, 1, config.image, config.image))
    for index, channels in enumerate(config.channels):
        name = f"conv_{index}"
        x = batch_norm(b, conv(b, x, name, channels, (3, 3)), f"{name}.norm", EPSILON)
        x = unary(b, x, f"{name}.relu", "relu")
        x = b.apply(MaxPool, x, name=f"{name}.pool", kernel=(2, 2), strides=(2, 2), pads=(0, 0, 0, 0), dilations=(1, 1))
    _, channels, height, width = b.shape(x)
    x = b.apply(Reshape, x, name="flat", shape=(batch, channels * height * width))
    x = unary(b, linear(b, x, "dense_0", config.hidden), "dense_0.relu", "relu")
    return b.finish(linear(b, x, "logits", config.classes))
