"""GPT-2 language models (Radford et al., "Language Models are Unsupervised Multitask Learners", 2019): pre-norm
decoder, tied LM head.
"""

from __future__ import annotations

from dataclasses import dataclass

from model_ir.builder import GraphBuilder
from model_ir.graph import Graph
from model_ir.ops.contraction import MatMul
from model_ir.ops.movement import Split
from model_ir.ops.normalisation import Gelu
from model_ir.precision import INT64
from workloads.attention import attend, causal_mask, merge_heads, split_heads
from workloads.decoding import Cache, span
from workloads.layers import add, embedding, layer_norm, linear, table_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpt2Config:
    """Sizes of a GPT-2; the feed-forward network is `hidden` wide, the longest sequence is `positions` tokens."""

    name: str
    layers: int
    features: int
    heads: int
    hidden: int
    vocabulary: int = 50257
    positions: int = 1024
    epsilon: float = 1e-5
    joint_projection: bool = True
    """Query, key and value are one product, as in the released checkpoints; False: three."""


# Layers and features: table 2 of the paper; heads, hidden = 4 * features, vocabulary, positions, epsilon: hparams.json
# and model.py of the released checkpoints (openai/gpt-2).
GPT2_SMALL = Gpt2Config(name="gpt2", layers=12, features=768, heads=12, hidden=3072)
GPT2_MEDIUM = Gpt2Config(name="gpt2-medium", layers=24, features=1024, heads=16, hidden=4096)
GPT2_LARGE = Gpt2Config(name="gpt2-large", layers=36, features=1280, heads=20, hidden=5120)
GPT2_XL = Gpt2Config(name="gpt2-xl", layers=48, features=1600, heads=25, hidden=6400)


def build(
    config: Gpt2Config, *, seq: int | None = None, batch: int = 1, context: int | None = None, phase: str = "prefill"
) -> Graph:
    """The model for one execution of `phase` ("prefill" or "decode"); see `workloads.decoding` for `seq` and `context`.

    Input `input_ids` (batch, seq), integers, and in the decode phase `past_key.i`, `past_value.i` (batch, heads,
    context, d). Outputs: logits (batch, seq, vocabulary), then the keys and values of every layer, context + seq tokens
    long. Raises InputError for options out of range.
    """
    run = span(config.name, seq=seq, batch=batch, context=context, phase=phase, positions=config.positions)
    b = GraphBuilder(config.name, origin=f"workload {config.name}")
    ids = b.input("input_ids", (run.batch, run.tokens), INT64)
    words = embedding(b, ids, "embeddings.word", config.vocabulary, config.features)
    places = table_rows(
        b, "embeddings.position", config.positions, config.features, start=run.context, count=run.tokens
    )
    x = add(b, words, places, "embeddings.sum")
    mask = causal_mask(b, "mask", tokens=run.tokens, context=run.context)
    cache = Cache(b, run, heads=config.heads, features=config.features // config.heads)
    for index in range(config.layers):
        x = _layer(b, x, index, config, cache, mask)
    x = layer_norm(b, x, "norm", config.epsilon)
    logits = b.apply(MatMul, x, "embeddings.word.weight", name="logits", transpose_b=True)
    return b.finish(logits, *cache.outputs)


def _layer(b: GraphBuilder, x: str, index: int, config: Gpt2Config, cache: Cache, mask: str | None) -> str:
    name = f"layers.{index}"
    normed = layer_norm(b, x, f"{name}.attention.norm", config.epsilon)
    x = add(b, x, _attention(b, normed, index, config, cache, mask), f"{name}.attention.add")
    normed = layer_norm(b, x, f"{name}.feed_forward.norm", config.epsilon)
    wide = linear(b, normed, f"{name}.feed_forward.in", config.hidden)
    active = b.apply(Gelu, wide, name=f"{name}.feed_forward.gelu", approximate="tanh")
    return add(b, x, linear(b, active, f"{name}.feed_forward.out", config.features), f"{name}.feed_forward.add")


def _attention(b: GraphBuilder, x: str, index: int, config: Gpt2Config, cache: Cache, mask: str | None) -> str:
    name, features = f"layers.{index}.attention", config.features
    parts = tuple(f"{name}.{part}" for part in ("query", "key", "value"))
    if config.joint_projection:
        joint = linear(b, x, f"{name}.qkv", 3 * features)
        b.add(Split(name=f"{name}.split", inputs=(joint,), outputs=parts, axis=-1, sizes=(features,) * 3))
    else:
        parts = tuple(linear(b, x, part, features) for part in parts)
    query, new_key, new_value = (split_heads(b, part, part, config.heads) for part in parts)
    key, value = cache.extend(index, new_key, new_value)
    return linear(b, merge_heads(b, attend(b, query, key, value, name, mask), name), f"{name}.output", features)
