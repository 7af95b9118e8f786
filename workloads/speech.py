"""Parts that Conformer and Squeezeformer share: convolutional subsampling, the body of the convolution module, the
feed-forward body.
"""

from __future__ import annotations

from model_ir.builder import GraphBuilder
from model_ir.ops.elementwise import Binary
from model_ir.ops.movement import Reshape, Split, Transpose
from workloads.layers import batch_norm, conv, linear, unary

FEATURE_BINS = 80
EXPANSION = 4
# Two strided convolutions, each of which rounds down.
SUBSAMPLING = 4


def subsample(b: GraphBuilder, frames: str, name: str, channels: int, *, depthwise: bool) -> str:
    """Two 3x3 convolutions of stride 2 over time and frequency, ReLU after each, then a linear layer.

    `frames` (batch, frames, bins) to (batch, frames // 4, channels). `depthwise`: the second is a depthwise and a
    pointwise convolution (Squeezeformer, section 3.2.3). Padded at the end only, as the authors' code does
    (kssteven418/Squeezeformer, subsampling.py).
    """
    batch, count, bins = b.shape(frames)
    x = b.apply(Reshape, frames, name=f"{name}.image", shape=(batch, 1, count, bins))
    x = _halve(b, x, f"{name}.conv_0", channels, groups=1)
    x = unary(b, x, f"{name}.conv_0.relu", "relu")
    if depthwise:
        x = _halve(b, x, f"{name}.conv_1.depthwise", channels, groups=channels)
        x = conv(b, x, f"{name}.conv_1", channels, (1, 1), bias=True)
    else:
        x = _halve(b, x, f"{name}.conv_1", channels, groups=1)
    x = unary(b, x, f"{name}.conv_1.relu", "relu")
    _, _, steps, bands = b.shape(x)
    by_step = b.apply(Transpose, x, name=f"{name}.by_step", perm=(0, 2, 3, 1))
    flat = b.apply(Reshape, by_step, name=f"{name}.flat", shape=(batch, steps, bands * channels))
    return linear(b, flat, f"{name}.linear", channels)


def feed_forward(b: GraphBuilder, x: str, name: str) -> str:
    """Linear to four times the width, SiLU, linear back (Conformer, section 2.3)."""
    features = b.shape(x)[-1]
    wide = unary(b, linear(b, x, f"{name}.in", EXPANSION * features), f"{name}.silu", "silu")
    return linear(b, wide, f"{name}.out", features)


def convolve(b: GraphBuilder, x: str, name: str, kernel: int, epsilon: float, *, gated: bool) -> str:
    """Pointwise convolution to twice the width, gate, depthwise convolution over time, batch norm, SiLU, pointwise
    convolution back.

    The gate is GLU, which halves the width (Conformer, section 2.2), or SiLU, which keeps it (Squeezeformer, section
    3.2.1). Pointwise convolutions over (batch, steps, features) are written as what they are, matrix products.
    """
    features = b.shape(x)[-1]
    wide = linear(b, x, f"{name}.pointwise_in", 2 * features)
    gate = _glu(b, wide, f"{name}.glu") if gated else unary(b, wide, f"{name}.gate", "silu")
    channels = b.shape(gate)[-1]
    by_channel = b.apply(Transpose, gate, name=f"{name}.by_channel", perm=(0, 2, 1))
    same = ((kernel - 1) // 2, kernel // 2)
    y = conv(b, by_channel, f"{name}.depthwise", channels, (kernel,), pads=same, groups=channels, bias=True)
    y = unary(b, batch_norm(b, y, f"{name}.norm", epsilon), f"{name}.silu", "silu")
    by_step = b.apply(Transpose, y, name=f"{name}.by_step", perm=(0, 2, 1))
    return linear(b, by_step, f"{name}.pointwise_out", features)


def _halve(b: GraphBuilder, x: str, name: str, channels: int, *, groups: int) -> str:
    return conv(b, x, name, channels, (3, 3), stride=2, pads=(0, 0, 1, 1), groups=groups, bias=True)


def _glu(b: GraphBuilder, x: str, name: str) -> str:
    # a * sigmoid(b) for the two halves of the features (Dauphin et al., arXiv 1612.08083, eq. 1).
    half = b.shape(x)[-1] // 2
    value, gate = b.add(
        Split(name=f"{name}.split", inputs=(x,), outputs=(f"{name}.value", f"{name}.gate"), axis=-1, sizes=(half, half))
    )
    return b.apply(Binary, value, unary(b, gate, f"{name}.sigmoid", "sigmoid"), name=name, function="mul")
