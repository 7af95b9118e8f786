"""Mobile networks made of inverted residuals: MobileNet-V2 (Sandler et al., arXiv 1801.04381) and MnasNet-B1 (Tan et
al., arXiv 1807.11626).
"""

from __future__ import annotations

from dataclasses import dataclass

from model_ir.builder import GraphBuilder
from model_ir.graph import Graph
from model_ir.ops.elementwise import Clip
from workloads.layers import add, batch_norm, conv, unary
from workloads.options import in_range
from workloads.resnet import classifier

EPSILON = 1e-5
# Each of the five strided convolutions halves the image; below this the last one would see less than one pixel of it.
SMALLEST_IMAGE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """`repeats` inverted residuals of `channels` outputs; the first has `stride`; the depthwise kernel is `kernel`
    wide.
    """

    expansion: int
    channels: int
    repeats: int
    stride: int
    kernel: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileConfig:
    """A stem convolution of `stem` channels and stride 2, `stages`, a 1x1 convolution of `last` channels, pooling and a
    classifier.

    `activation_limit` 6 is ReLU6, None plain ReLU.
    """

    name: str
    stages: tuple[Stage, ...]
    activation_limit: float | None
    stem: int = 32
    last: int = 1280
    classes: int = 1000


# arXiv 1801.04381, table 2 (t, c, n, s), ReLU6: section 3.
MOBILENET_V2 = MobileConfig(
    name="mobilenet-v2",
    stages=(
        Stage(expansion=1, channels=16, repeats=1, stride=1),
        Stage(expansion=6, channels=24, repeats=2, stride=2),
        Stage(expansion=6, channels=32, repeats=3, stride=2),
        Stage(expansion=6, channels=64, repeats=4, stride=2),
        Stage(expansion=6, channels=96, repeats=3, stride=1),
        Stage(expansion=6, channels=160, repeats=3, stride=2),
        Stage(expansion=6, channels=320, repeats=1, stride=1),
    ),
    activation_limit=6.0,
)
# MnasNet-B1 (no squeeze-and-excitation) at depth multiplier 1.0: the authors' mnasnet-b1 (tensorflow/tpu,
# mnasnet_models.py), the network that torchvision publishes as mnasnet1_0.
MNASNET_B1 = MobileConfig(
    name="mnasnet-b1",
    stages=(
        Stage(expansion=1, channels=16, repeats=1, stride=1),
        Stage(expansion=3, channels=24, repeats=3, stride=2),
        Stage(expansion=3, channels=40, repeats=3, stride=2, kernel=5),
        Stage(expansion=6, channels=80, repeats=3, stride=2, kernel=5),
        Stage(expansion=6, channels=96, repeats=2, stride=1),
        Stage(expansion=6, channels=192, repeats=4, stride=2, kernel=5),
        Stage(expansion=6, channels=320, repeats=1, stride=1),
    ),
    activation_limit=None,
)


def build(config: MobileConfig, *, image: int = 224, batch: int = 1) -> Graph:
    """Logits (batch, classes) of `batch` square RGB images: input `image` (batch, 3, image, image). Raises InputError
    below 32 pixels.
    """
    in_range(config.name, "batch", batch, least=1)
    in_range(config.name, "image", image, least=SMALLEST_IMAGE, why="pixels a side, five halvings")
    b = GraphBuilder(config.name, origin=f"workload {config.name}")
    limit = config.activation_limit
    x = _conv_norm_act(b, b.input("image", (batch, 3, image, image)), "stem", config.stem, 3, limit, stride=2)
    for number, stage in enumerate(config.stages):
        for index in range(stage.repeats):
            x = _inverted_residual(b, x, f"stages.{number}.{index}", stage, limit, 1 if index else stage.stride)
    return b.finish(classifier(b, _conv_norm_act(b, x, "last", config.last, 1, limit), config.classes))


def _inverted_residual(b: GraphBuilder, x: str, name: str, stage: Stage, limit: float | None, stride: int) -> str:
    entering = b.shape(x)[1]
    wide = entering * stage.expansion
    y = x if stage.expansion == 1 else _conv_norm_act(b, x, f"{name}.expand", wide, 1, limit)
    y = _conv_norm_act(b, y, f"{name}.depthwise", wide, stage.kernel, limit, stride=stride, groups=wide)
    y = batch_norm(b, conv(b, y, f"{name}.project", stage.channels, (1, 1)), f"{name}.project.norm", EPSILON)
    return add(b, y, x, f"{name}.add") if stride == 1 and entering == stage.channels else y


def _conv_norm_act(
    b: GraphBuilder,
    x: str,
    name: str,
    channels: int,
    kernel: int,
    limit: float | None,
    *,
    stride: int = 1,
    groups: int = 1,
) -> str:
    y = conv(b, x, name, channels, (kernel, kernel), stride=stride, groups=groups)
    y = batch_norm(b, y, f"{name}.norm", EPSILON)
    if limit is None:
        return unary(b, y, f"{name}.relu", "relu")
    return b.apply(Clip, y, name=f"{name}.relu6", low=0.0, high=limit)
