"""Residual networks for ImageNet (He et al., arXiv 1512.03385), with the stride of a bottleneck on its 3x3 convolution
("v1.5").

The paper puts that stride on the first 1x1 convolution; every widely used checkpoint (and the published 4.09 GMAC of
ResNet-50) has it on the 3x3. Batch normalisation is kept as an operator of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from model_ir.builder import GraphBuilder
from model_ir.graph import Graph
from model_ir.ops.movement import Reshape
from model_ir.ops.pooling import GlobalPool, MaxPool
from workloads.layers import add, batch_norm, conv, linear, unary
from workloads.options import in_range

EPSILON = 1e-5
# Each of the five stages halves the image; below this the last one would see less than one pixel of it.
SMALLEST_IMAGE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ResnetConfig:
    """`blocks` per stage; `widths` of the 3x3 convolutions; `expansion` 1 is two 3x3 convolutions, 4 the bottleneck of
    three.
    """

    name: str
    blocks: tuple[int, ...]
    expansion: int
    widths: tuple[int, ...] = (64, 128, 256, 512)
    stem: int = 64
    classes: int = 1000
    strided_kernel: int = 3
    """Which convolution of a bottleneck halves the image: the 3x3 one, or the first 1x1 one as in the paper."""


# arXiv 1512.03385, table 1.
RESNET_18 = ResnetConfig(name="resnet18", blocks=(2, 2, 2, 2), expansion=1)
RESNET_34 = ResnetConfig(name="resnet34", blocks=(3, 4, 6, 3), expansion=1)
RESNET_50 = ResnetConfig(name="resnet50", blocks=(3, 4, 6, 3), expansion=4)


def build(config: ResnetConfig, *, image: int = 224, batch: int = 1) -> Graph:
    """Logits (batch, classes) of `batch` square RGB images: input `image` (batch, 3, image, image). Raises InputError
    below 32 pixels.
    """
    in_range(config.name, "batch", batch, least=1)
    in_range(config.name, "image", image, least=SMALLEST_IMAGE, why="pixels a side, five halvings")
    b = GraphBuilder(config.name, origin=f"workload {config.name}")
    x = _conv_norm(b, b.input("image", (batch, 3, image, image)), "stem", config.stem, 7, stride=2)
    x = unary(b, x, "stem.relu", "relu")
    x = b.apply(MaxPool, x, name="stem.pool", kernel=(3, 3), strides=(2, 2), pads=(1, 1, 1, 1), dilations=(1, 1))
    for stage, (count, width) in enumerate(zip(config.blocks, config.widths, strict=True)):
        for index in range(count):
            stride = 2 if stage and not index else 1
            x = _block(b, x, f"stages.{stage}.{index}", width, config, stride)
    return b.finish(classifier(b, x, config.classes))


def classifier(b: GraphBuilder, x: str, classes: int) -> str:
    """Global average pooling and a linear layer: (batch, channels, height, width) to logits (batch, classes)."""
    batch, channels = b.shape(x)[:2]
    pooled = b.apply(GlobalPool, x, name="pool", function="mean")
    return linear(b, b.apply(Reshape, pooled, name="pool.flat", shape=(batch, channels)), "head", classes)


def _block(b: GraphBuilder, x: str, name: str, width: int, config: ResnetConfig, stride: int) -> str:
    out = width * config.expansion
    kernels = (3, 3) if config.expansion == 1 else (1, 3, 1)
    strided = kernels.index(config.strided_kernel if config.expansion > 1 else 3)
    y = x
    for index, kernel in enumerate(kernels):
        last = index == len(kernels) - 1
        step = stride if index == strided else 1
        y = _conv_norm(b, y, f"{name}.conv_{index}", out if last else width, kernel, stride=step)
        y = y if last else unary(b, y, f"{name}.conv_{index}.relu", "relu")
    same = stride == 1 and b.shape(x)[1] == out
    shortcut = x if same else _conv_norm(b, x, f"{name}.shortcut", out, 1, stride=stride)
    return unary(b, add(b, y, shortcut, f"{name}.add"), f"{name}.relu", "relu")


def _conv_norm(b: GraphBuilder, x: str, name: str, channels: int, kernel: int, *, stride: int) -> str:
    return batch_norm(b, conv(b, x, name, channels, (kernel, kernel), stride=stride), f"{name}.norm", EPSILON)
