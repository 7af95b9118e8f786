"""Multi-head and grouped-query attention from primitives, with a causal mask and a key-value cache where the network
has them.

Attention(Q, K, V) = softmax(Q K^T / sqrt(d_head)) V (Vaswani et al., arXiv 1706.03762, eq. 1). The division is done on
Q, which has d_head / keys times fewer elements than the scores.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from model_ir.builder import GraphBuilder
from model_ir.ops.contraction import MatMul
from model_ir.ops.elementwise import Binary, Where
from model_ir.ops.movement import Concat, Reshape, Transpose
from model_ir.ops.normalisation import Softmax
from workloads.layers import add, constant, linear, scale

# Large enough that exp() of it is exactly zero in float32, small enough that adding a score to it cannot overflow.
MASKED = -1e9


def split_heads(b: GraphBuilder, x: str, name: str, heads: int) -> str:
    """(batch, tokens, heads * d) to (batch, heads, tokens, d)."""
    batch, tokens, features = b.shape(x)
    parts = b.apply(Reshape, x, name=f"{name}.heads", shape=(batch, tokens, heads, features // heads))
    return b.apply(Transpose, parts, name=f"{name}.by_head", perm=(0, 2, 1, 3))


def merge_heads(b: GraphBuilder, x: str, name: str) -> str:
    """(batch, heads, tokens, d) to (batch, tokens, heads * d)."""
    batch, heads, tokens, features = b.shape(x)
    by_token = b.apply(Transpose, x, name=f"{name}.by_token", perm=(0, 2, 1, 3))
    return b.apply(Reshape, by_token, name=f"{name}.merged", shape=(batch, tokens, heads * features))


def causal_mask(b: GraphBuilder, name: str, *, tokens: int, context: int) -> str | None:
    """The term to add to scores: 0 where a query may see a key, MASKED where the key comes later; shape (tokens,
    context + tokens).

    Query i stands at position context + i. None when nothing is masked (one new token sees everything before it). It is
    computed from two position vectors, so a long sequence costs no memory in the graph.
    """
    if tokens == 1:
        return None
    queries = constant(b, f"{name}.query_positions", np.arange(context, context + tokens)[:, None])
    keys = constant(b, f"{name}.key_positions", np.arange(context + tokens)[None, :])
    visible = b.apply(Binary, keys, queries, name=f"{name}.visible", function="less_equal")
    return b.apply(Where, visible, constant(b, f"{name}.zero", 0.0), constant(b, f"{name}.masked", MASKED), name=name)


def extend_cache(b: GraphBuilder, new: str, name: str, past: str | None) -> str:
    """`new` keys or values (batch, heads, tokens, d) after those of the graph input `past`, if there is one."""
    return new if past is None else b.apply(Concat, past, new, name=name, axis=2)


def attend(b: GraphBuilder, query: str, key: str, value: str, name: str, mask: str | None = None) -> str:
    """softmax(query key^T / sqrt(d) + mask) value; query (batch, heads, tokens, d), key and value (batch, key heads,
    keys, d).

    With fewer key heads than heads (grouped-query attention, Ainslie et al., arXiv 2305.13245) the queries that share a
    key head become rows of one matrix product, so keys and values are read once and never repeated; head h uses key
    head h // (heads / key heads).
    """
    batch, heads, tokens, features = b.shape(query)
    _, key_heads, keys, _ = b.shape(key)
    rows = heads // key_heads * tokens
    scaled = scale(b, query, f"{name}.scaled_query", 1 / sqrt(features))
    grouped = _reshaped(b, scaled, f"{name}.grouped_query", (batch, key_heads, rows, features))
    products = b.apply(MatMul, grouped, key, name=f"{name}.scores", transpose_b=True)
    scores = _reshaped(b, products, f"{name}.scores_by_head", (batch, heads, tokens, keys))
    masked = scores if mask is None else add(b, scores, mask, f"{name}.masked_scores")
    weights = b.apply(Softmax, masked, name=f"{name}.softmax", axis=-1)
    grouped_weights = _reshaped(b, weights, f"{name}.grouped_weights", (batch, key_heads, rows, keys))
    attended = b.apply(MatMul, grouped_weights, value, name=f"{name}.attended")
    return _reshaped(b, attended, f"{name}.attended_by_head", (batch, heads, tokens, features))


def self_attention(b: GraphBuilder, x: str, name: str, heads: int) -> str:
    """Bidirectional multi-head self-attention with biased query, key, value and output projections: (batch, tokens,
    features), same out.
    """
    features = b.shape(x)[-1]
    query, key, value = (
        split_heads(b, linear(b, x, f"{name}.{part}", features), f"{name}.{part}", heads)
        for part in ("query", "key", "value")
    )
    return linear(b, merge_heads(b, attend(b, query, key, value, name), name), f"{name}.output", features)


def _reshaped(b: GraphBuilder, x: str, name: str, shape: tuple[int, ...]) -> str:
    return x if b.shape(x) == shape else b.apply(Reshape, x, name=name, shape=shape)
