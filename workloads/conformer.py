"""Conformer speech encoders (Gulati et al., arXiv 2005.08100) with a linear CTC head.

The encoder is the paper's, relative positions included. The paper decodes with an LSTM transducer, whose parameters are
part of its 10.3, 30.7 and 118.8 M; here, as in Conformer-CTC (Kim et al., arXiv 2206.00888), the head is one linear
layer over 128 word pieces. Utterances are full: there is no padding mask.
"""

from __future__ import annotations

from dataclasses import dataclass

from model_ir.builder import GraphBuilder
from model_ir.graph import Graph
from workloads.layers import add, layer_norm, linear, scale
from workloads.options import in_range
from workloads.relative_attention import relative_positions, relative_self_attention
from workloads.speech import FEATURE_BINS, SUBSAMPLING, convolve, feed_forward, subsample


@dataclass(frozen=True, slots=True, kw_only=True)
class ConformerConfig:
    """Sizes of a Conformer; `kernel` is the width of the depthwise convolution in steps of 40 ms."""

    name: str
    layers: int
    features: int
    heads: int
    kernel: int = 32
    vocabulary: int = 128
    epsilon: float = 1e-5


# arXiv 2005.08100, table 1 (encoder layers, encoder dim, attention heads, conv kernel size). Vocabulary: arXiv
# 2206.00888, section 4.1.
CONFORMER_S = ConformerConfig(name="conformer-s", layers=16, features=144, heads=4)
CONFORMER_M = ConformerConfig(name="conformer-m", layers=16, features=256, heads=4)
CONFORMER_L = ConformerConfig(name="conformer-l", layers=17, features=512, heads=8)


def build(config: ConformerConfig, *, seq: int = 1000, batch: int = 1) -> Graph:
    """The encoder for `batch` utterances of `seq` frames of 10 ms.

    Input `frames` (batch, seq, 80) log-mel features; output CTC logits (batch, seq // 4, vocabulary). Raises InputError
    for fewer than 4 frames.
    """
    in_range(config.name, "seq", seq, least=SUBSAMPLING, why="frames for one step after subsampling by 4")
    in_range(config.name, "batch", batch, least=1)
    b = GraphBuilder(config.name, origin=f"workload {config.name}")
    frames = b.input("frames", (batch, seq, FEATURE_BINS))
    x = subsample(b, frames, "subsampling", config.features, depthwise=False)
    positions = relative_positions(b, "relative_positions", b.shape(x)[1], config.features)
    for index in range(config.layers):
        x = _block(b, x, positions, f"layers.{index}", config)
    return b.finish(linear(b, x, "logits", config.vocabulary))


def _block(b: GraphBuilder, x: str, positions: str, name: str, config: ConformerConfig) -> str:
    # Section 2.4, eq. 1: half a feed-forward, attention, convolution, half a feed-forward, LayerNorm; each pre-normed
    # and residual.
    x = _half_feed_forward(b, x, f"{name}.feed_forward_0", config)
    normed = layer_norm(b, x, f"{name}.attention.norm", config.epsilon)
    attended = relative_self_attention(b, normed, positions, f"{name}.attention", config.heads)
    x = add(b, x, attended, f"{name}.attention.add")
    normed = layer_norm(b, x, f"{name}.convolution.input_norm", config.epsilon)
    convolved = convolve(b, normed, f"{name}.convolution", config.kernel, config.epsilon, gated=True)
    x = add(b, x, convolved, f"{name}.convolution.add")
    x = _half_feed_forward(b, x, f"{name}.feed_forward_1", config)
    return layer_norm(b, x, f"{name}.norm", config.epsilon)


def _half_feed_forward(b: GraphBuilder, x: str, name: str, config: ConformerConfig) -> str:
    y = feed_forward(b, layer_norm(b, x, f"{name}.norm", config.epsilon), name)
    return add(b, x, scale(b, y, f"{name}.half", 0.5), f"{name}.add")
