"""A small Transformer that classifies short sequences of feature vectors: one that a laptop trains on real data.

Post-norm encoder layers as BERT's (`workloads.bert`), the mean over tokens, a linear classifier. Two sizes: handwritten
digits in pieces of 2x2 pixels, and the constituents of jets.
"""

from __future__ import annotations

from dataclasses import dataclass

from model_ir.builder import GraphBuilder
from model_ir.graph import Graph
from model_ir.ops.normalisation import Gelu
from model_ir.ops.pooling import Reduce
from workloads.attention import self_attention
from workloads.layers import add, layer_norm, linear
from workloads.options import in_range

INPUT, OUTPUT = "tokens", "logits"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenClassifierConfig:
    """Sizes: `tokens` of `inputs` numbers each, `features` inside, `hidden` in the feed-forward network."""

    name: str
    tokens: int
    inputs: int
    classes: int
    layers: int = 2
    features: int = 32
    heads: int = 4
    hidden: int = 64
    epsilon: float = 1e-5


# Ours, small enough to train in a minute of one core: an 8x8 image of the UCI digits is 16 pieces of 2x2 pixels; a jet
# is its 32 leading constituents.
DIGITS = TokenClassifierConfig(name="digits-transformer", tokens=16, inputs=4, classes=10)
JETS = TokenClassifierConfig(name="jet-transformer", tokens=32, inputs=10, classes=5, layers=1)


def build(config: TokenClassifierConfig, *, batch: int = 1) -> Graph:
    """Logits (batch, classes) of input `tokens` (batch, tokens, inputs)."""
    in_range(config.name, "batch", batch, least=1)
    b = GraphBuilder(config.name, origin=f"workload {config.name}")
    x = linear(b, b.input(INPUT, (batch, config.tokens, config.inputs)), "embedding", config.features)
    positions = b.parameter("positions", (1, config.tokens, config.features))
    x = layer_norm(b, add(b, x, positions, "embedding.placed"), "embedding.norm", config.epsilon)
    for index in range(config.layers):
        x = _layer(b, x, f"layers.{index}", config)
    pooled = b.apply(Reduce, x, name="pooled", function="mean", axes=(1,), keepdims=False)
    return b.finish(linear(b, pooled, OUTPUT, config.classes))


def _layer(b: GraphBuilder, x: str, name: str, config: TokenClassifierConfig) -> str:
    attended = self_attention(b, x, f"{name}.attention", config.heads)
    x = layer_norm(b, add(b, x, attended, f"{name}.attention.add"), f"{name}.attention.norm", config.epsilon)
    wide = b.apply(Gelu, linear(b, x, f"{name}.feed_forward.in", config.hidden), name=f"{name}.feed_forward.gelu")
    narrow = linear(b, wide, f"{name}.feed_forward.out", config.features)
    return layer_norm(b, add(b, x, narrow, f"{name}.feed_forward.add"), f"{name}.feed_forward.norm", config.epsilon)
