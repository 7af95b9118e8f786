"""Squeezeformer speech encoders (Kim et al., arXiv 2206.00888) with their linear CTC head.

Temporal U-Net: from block `reduce_before` on, time runs at half the rate; before block `recover_before` it is repeated
back and added to what it was. Relative positions are included. Utterances are full: there is no padding mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from model_ir.builder import GraphBuilder
from model_ir.graph import Graph
from model_ir.ops.movement import Expand, Pad, Reshape, Slice, Transpose
from workloads.layers import add, conv, layer_norm, linear, multiply, scale
from workloads.options import in_range
from workloads.relative_attention import relative_positions, relative_self_attention
from workloads.speech import FEATURE_BINS, SUBSAMPLING, convolve, feed_forward, subsample

# time_reduction.py of the authors' code: a depthwise convolution of 5 steps, stride 2, padded by 3 at the end.
REDUCTION_KERNEL = 5
REDUCTION = 2
# The reduction needs two steps: its kernel reaches past the padding otherwise.
LEAST_FRAMES = 2 * SUBSAMPLING


@dataclass(frozen=True, slots=True, kw_only=True)
class SqueezeformerConfig:
    """Sizes of a Squeezeformer; blocks are counted from 0; `steps` is the longest sequence after subsampling."""

    name: str
    layers: int
    features: int
    heads: int
    reduce_before: int
    recover_before: int
    kernel: int = 31
    vocabulary: int = 128
    steps: int = 5000
    epsilon: float = 1e-3


# Layers, features, heads: arXiv 2206.00888, table 2. Blocks of reduction and recovery, kernel:
# examples/squeezeformer/configs/*.yml of the authors' code (kssteven418/Squeezeformer); steps: its
# positional_encoding.py; epsilon: its framework's default.
SQUEEZEFORMER_XS = SqueezeformerConfig(
    name="squeezeformer-xs", layers=16, features=144, heads=4, reduce_before=7, recover_before=15
)
SQUEEZEFORMER_S = SqueezeformerConfig(
    name="squeezeformer-s", layers=18, features=196, heads=4, reduce_before=8, recover_before=17
)
SQUEEZEFORMER_SM = SqueezeformerConfig(
    name="squeezeformer-sm", layers=16, features=256, heads=4, reduce_before=7, recover_before=15
)
SQUEEZEFORMER_M = SqueezeformerConfig(
    name="squeezeformer-m", layers=20, features=324, heads=4, reduce_before=9, recover_before=19
)
SQUEEZEFORMER_ML = SqueezeformerConfig(
    name="squeezeformer-ml", layers=18, features=512, heads=8, reduce_before=8, recover_before=17
)
SQUEEZEFORMER_L = SqueezeformerConfig(
    name="squeezeformer-l", layers=22, features=640, heads=8, reduce_before=10, recover_before=21
)


def build(config: SqueezeformerConfig, *, seq: int = 1000, batch: int = 1) -> Graph:
    """The encoder for `batch` utterances of `seq` frames of 10 ms.

    Input `frames` (batch, seq, 80) log-mel features; output CTC logits (batch, seq // 4, vocabulary). Raises InputError
    for fewer than 8 frames and for more than 4 * `steps`.
    """
    in_range(
        config.name,
        "seq",
        seq,
        least=LEAST_FRAMES,
        most=SUBSAMPLING * config.steps + SUBSAMPLING - 1,
        why="frames, 4 a step",
    )
    in_range(config.name, "batch", batch, least=1)
    b = GraphBuilder(config.name, origin=f"workload {config.name}")
    frames = b.input("frames", (batch, seq, FEATURE_BINS))
    x = subsample(b, frames, "subsampling", config.features, depthwise=True)
    x = scale(b, x, "subsampling.scaled", sqrt(config.features))
    x = layer_norm(b, x, "norm", config.epsilon)
    return b.finish(linear(b, _blocks(b, x, config), "logits", config.vocabulary))


def _blocks(b: GraphBuilder, x: str, config: SqueezeformerConfig) -> str:
    full_rate = positions = relative_positions(b, "relative_positions", b.shape(x)[1], config.features)
    skipped = x
    for index in range(config.layers):
        if index == config.reduce_before:
            skipped, x = x, _reduce_time(b, x, "reduction")
            positions = relative_positions(b, "relative_positions.reduced", b.shape(x)[1], config.features)
        if index == config.recover_before:
            x, positions = _recover_time(b, x, skipped, "recovery"), full_rate
        x = _block(b, x, positions, f"layers.{index}", config)
    return x


def _block(b: GraphBuilder, x: str, positions: str, name: str, config: SqueezeformerConfig) -> str:
    # Sections 3.1.2 and 3.2.2: attention, feed-forward, convolution, feed-forward; a learned scaling before each,
    # LayerNorm after it.
    attended = relative_self_attention(
        b, _scaling(b, x, f"{name}.attention"), positions, f"{name}.attention", config.heads
    )
    x = _joined(b, x, attended, f"{name}.attention", config)
    x = _joined(b, x, _feed_forward(b, x, f"{name}.feed_forward_0"), f"{name}.feed_forward_0", config)
    scaled = _scaling(b, x, f"{name}.convolution")
    convolved = convolve(b, scaled, f"{name}.convolution", config.kernel, config.epsilon, gated=False)
    x = _joined(b, x, convolved, f"{name}.convolution", config)
    return _joined(b, x, _feed_forward(b, x, f"{name}.feed_forward_1"), f"{name}.feed_forward_1", config)


def _feed_forward(b: GraphBuilder, x: str, name: str) -> str:
    return feed_forward(b, _scaling(b, x, name), name)


def _scaling(b: GraphBuilder, x: str, name: str) -> str:
    features = (b.shape(x)[-1],)
    scaled = multiply(b, x, b.parameter(f"{name}.scaling.scale", features), f"{name}.scaling.product")
    return add(b, scaled, b.parameter(f"{name}.scaling.bias", features), f"{name}.scaling")


def _joined(b: GraphBuilder, x: str, y: str, name: str, config: SqueezeformerConfig) -> str:
    return layer_norm(b, add(b, x, y, f"{name}.add"), f"{name}.output_norm", config.epsilon)


def _reduce_time(b: GraphBuilder, x: str, name: str) -> str:
    """Half the rate: (batch, steps, features) to (batch, ceil(steps / 2), features); an odd last step becomes zero, as
    in the authors' code.
    """
    _, steps, features = b.shape(x)
    by_channel = b.apply(Transpose, x, name=f"{name}.by_channel", perm=(0, 2, 1))
    y = conv(
        b,
        by_channel,
        f"{name}.depthwise",
        features,
        (REDUCTION_KERNEL,),
        stride=REDUCTION,
        pads=(0, REDUCTION_KERNEL - REDUCTION),
        groups=features,
        bias=True,
    )
    by_step = b.apply(Transpose, y, name=f"{name}.by_step", perm=(0, 2, 1))
    y = linear(b, by_step, f"{name}.pointwise", features)
    missing = -(-steps // REDUCTION) - b.shape(y)[1]
    if not missing:
        return y
    return b.apply(Pad, y, name=f"{name}.padded", pads=(0, 0, 0, 0, missing, 0), mode="constant", value=0.0)


def _recover_time(b: GraphBuilder, x: str, skipped: str, name: str) -> str:
    """Each step twice, cut to the length of `skipped`, a linear layer, plus `skipped`."""
    batch, steps, features = b.shape(x)
    column = b.apply(Reshape, x, name=f"{name}.column", shape=(batch, steps, 1, features))
    twice = b.apply(Expand, column, name=f"{name}.twice", shape=(batch, steps, REDUCTION, features))
    x = b.apply(Reshape, twice, name=f"{name}.repeated", shape=(batch, REDUCTION * steps, features))
    wanted = b.shape(skipped)[1]
    if wanted != REDUCTION * steps:
        x = b.apply(Slice, x, name=f"{name}.cut", starts=(0,), ends=(wanted,), axes=(1,), steps=(1,))
    return add(b, linear(b, x, f"{name}.linear", features), skipped, f"{name}.add")
