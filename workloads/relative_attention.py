"""Multi-head self-attention with relative sinusoidal positions (Dai et al., Transformer-XL, arXiv 1901.02860, section
3.3).

Score of query i and key j: ((q_i + u) k_j + (q_i + v) p_(i-j)) / sqrt(d_head), where p is a projection of the sinusoid
of the distance i - j and u, v are learned. Conformer and Squeezeformer both use it.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import numpy.typing as npt

from model_ir.builder import GraphBuilder
from model_ir.ops.contraction import MatMul
from model_ir.ops.movement import Pad, Reshape, Slice
from model_ir.ops.normalisation import Softmax
from workloads.attention import merge_heads, split_heads
from workloads.layers import add, constant, linear, scale


def relative_positions(b: GraphBuilder, name: str, tokens: int, features: int) -> str:
    """The sinusoids of the distances tokens - 1, ..., 0, ..., -(tokens - 1): a constant (1, 2 tokens - 1, features)."""
    return constant(b, name, _sinusoids(np.arange(tokens - 1, -tokens, -1), features)[None])


def relative_self_attention(b: GraphBuilder, x: str, positions: str, name: str, heads: int) -> str:
    """Self-attention of (batch, tokens, features) with `positions` from `relative_positions`: same shape out.

    Query, key, value and output projections have biases, the projection of the positions has none.
    """
    features = b.shape(x)[-1]
    width = features // heads
    query, key, value = (
        split_heads(b, linear(b, x, f"{name}.{part}", features), f"{name}.{part}", heads)
        for part in ("query", "key", "value")
    )
    distances = split_heads(
        b, linear(b, positions, f"{name}.position", features, bias=False), f"{name}.position", heads
    )
    by_content = _biased_scores(b, query, key, f"{name}.content", heads, width)
    by_position = _shift(b, _biased_scores(b, query, distances, f"{name}.distance", heads, width), f"{name}.distance")
    weights = b.apply(Softmax, add(b, by_content, by_position, f"{name}.scores"), name=f"{name}.softmax", axis=-1)
    attended = b.apply(MatMul, weights, value, name=f"{name}.attended")
    return linear(b, merge_heads(b, attended, name), f"{name}.output", features)


def _biased_scores(b: GraphBuilder, query: str, other: str, name: str, heads: int, width: int) -> str:
    biased = add(b, query, b.parameter(f"{name}.bias", (heads, 1, width)), f"{name}.query")
    scaled = scale(b, biased, f"{name}.scaled_query", 1 / sqrt(width))
    return b.apply(MatMul, scaled, other, name=f"{name}.scores", transpose_b=True)


def _shift(b: GraphBuilder, x: str, name: str) -> str:
    """Row i of (batch, heads, tokens, 2 tokens - 1) moved left by tokens - 1 - i and cut to `tokens`: column j becomes
    distance i - j.

    Appendix B of the paper: a zero column in front, then the same memory read as rows one longer.
    """
    batch, heads, tokens, span = b.shape(x)
    padded = b.apply(Pad, x, name=f"{name}.padded", pads=(0, 0, 0, 1, 0, 0, 0, 0), mode="constant", value=0.0)
    skewed = b.apply(Reshape, padded, name=f"{name}.skewed", shape=(batch, heads, span + 1, tokens))
    cut = b.apply(Slice, skewed, name=f"{name}.cut", starts=(1,), ends=(span + 1,), axes=(2,), steps=(1,))
    rows = b.apply(Reshape, cut, name=f"{name}.rows", shape=(batch, heads, tokens, span))
    return b.apply(Slice, rows, name=f"{name}.shifted", starts=(0,), ends=(tokens,), axes=(3,), steps=(1,))


def _sinusoids(positions: npt.NDArray[np.int64], features: int) -> npt.NDArray[np.float64]:
    # Vaswani et al., arXiv 1706.03762, section 3.5: sine in even columns, cosine in odd ones, wavelengths 2 pi to 20000
    # pi.
    angles = positions[:, None] * 10000.0 ** (-np.arange(0, features, 2) / features)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(len(positions), -1)[:, :features]
