"""LLaMA-style decoders (Touvron et al., arXiv 2302.13971 and 2307.09288): RMSNorm, rotary positions, grouped-query
attention, SwiGLU.
"""

from __future__ import annotations

import numpy as np

from model_ir.builder import GraphBuilder
from model_ir.graph import Graph
from model_ir.ops.contraction import MatMul
from model_ir.ops.elementwise import Binary
from model_ir.ops.movement import Concat, Split
from model_ir.precision import INT64
from workloads.attention import attend, causal_mask, merge_heads, split_heads
from workloads.decoding import Cache, Span, span
from workloads.layers import add, constant, embedding, linear, multiply, rms_norm, unary
from workloads.llama_sizes import LlamaConfig


def build(
    config: LlamaConfig, *, seq: int | None = None, batch: int = 1, context: int | None = None, phase: str = "prefill"
) -> Graph:
    """The model for one execution of `phase` ("prefill" or "decode"); see `workloads.decoding` for `seq` and `context`.

    Input `input_ids` (batch, seq), integers, and in the decode phase `past_key.i`, `past_value.i` (batch, key heads,
    context, d), keys after rotation. Outputs: logits (batch, seq, vocabulary), then the keys and values of every layer,
    context + seq tokens long. Raises InputError for options out of range.
    """
    run = span(config.name, seq=seq, batch=batch, context=context, phase=phase, positions=config.positions)
    b = GraphBuilder(config.name, origin=f"workload {config.name}")
    ids = b.input("input_ids", (run.batch, run.tokens), INT64)
    x = embedding(b, ids, "embeddings.word", config.vocabulary, config.features)
    mask = causal_mask(b, "mask", tokens=run.tokens, context=run.context)
    cache = Cache(b, run, heads=config.key_heads, features=config.features // config.heads)
    _rotary_tables(b, config, run)
    for index in range(config.layers):
        name = f"layers.{index}"
        normed = rms_norm(b, x, f"{name}.attention.norm", config.epsilon)
        x = add(b, x, _attention(b, normed, index, config, cache, mask), f"{name}.attention.add")
        normed = rms_norm(b, x, f"{name}.feed_forward.norm", config.epsilon)
        x = add(b, x, _feed_forward(b, normed, f"{name}.feed_forward", config), f"{name}.feed_forward.add")
    return b.finish(_logits(b, rms_norm(b, x, "norm", config.epsilon), config), *cache.outputs)


def _attention(b: GraphBuilder, x: str, index: int, config: LlamaConfig, cache: Cache, mask: str | None) -> str:
    name, width = f"layers.{index}.attention", config.features // config.heads

    def project(part: str, heads: int) -> str:
        flat = linear(b, x, f"{name}.{part}", heads * width, bias=config.qkv_bias)
        return split_heads(b, flat, f"{name}.{part}", heads)

    query = _rotate(b, project("query", config.heads), f"{name}.query.rotary")
    new_key = _rotate(b, project("key", config.key_heads), f"{name}.key.rotary")
    key, value = cache.extend(index, new_key, project("value", config.key_heads))
    merged = merge_heads(b, attend(b, query, key, value, name, mask), name)
    return linear(b, merged, f"{name}.output", config.features, bias=False)


def _feed_forward(b: GraphBuilder, x: str, name: str, config: LlamaConfig) -> str:
    # SwiGLU: (silu(x W_gate) * x W_up) W_down (Shazeer, arXiv 2002.05202, eq. 6).
    gate = unary(b, linear(b, x, f"{name}.gate", config.hidden, bias=False), f"{name}.silu", "silu")
    gated = multiply(b, gate, linear(b, x, f"{name}.up", config.hidden, bias=False), f"{name}.gated")
    return linear(b, gated, f"{name}.down", config.features, bias=False)


def _rotary_tables(b: GraphBuilder, config: LlamaConfig, run: Span) -> None:
    # Su et al., arXiv 2104.09864, eq. 15: angle = position * theta^(-2 i / d), i = 0 .. d/2 - 1; computed in float64,
    # stored in float32.
    width = config.features // config.heads
    frequencies = config.theta ** (-np.arange(0, width, 2) / width)
    angles = np.arange(run.context, run.context + run.tokens)[:, None] * frequencies[None, :]
    constant(b, "rotary.cos", np.cos(angles))
    constant(b, "rotary.sin", np.sin(angles))


def _rotate(b: GraphBuilder, x: str, name: str) -> str:
    """Rotate the pairs (i, i + d/2) of each head by the angle of its position: the pairing of the released checkpoints'
    converted form.
    """
    half = b.shape(x)[-1] // 2
    low, high = b.add(
        Split(name=f"{name}.split", inputs=(x,), outputs=(f"{name}.low", f"{name}.high"), axis=-1, sizes=(half, half))
    )
    low_cos = multiply(b, low, "rotary.cos", f"{name}.low_cos")
    high_sin = multiply(b, high, "rotary.sin", f"{name}.high_sin")
    high_cos = multiply(b, high, "rotary.cos", f"{name}.high_cos")
    low_sin = multiply(b, low, "rotary.sin", f"{name}.low_sin")
    first = b.apply(Binary, low_cos, high_sin, name=f"{name}.first", function="sub")
    return b.apply(Concat, first, add(b, high_cos, low_sin, f"{name}.second"), name=name, axis=-1)


def _logits(b: GraphBuilder, x: str, config: LlamaConfig) -> str:
    if config.tied:
        return b.apply(MatMul, x, "embeddings.word.weight", name="logits", transpose_b=True)
    return linear(b, x, "logits", config.vocabulary, bias=False)
