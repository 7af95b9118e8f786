"""BERT encoders (Devlin et al., arXiv 1810.04805): embeddings, post-norm Transformer encoder, optional pooler; no task
head.

Sequences are full: there is no padding mask. Dropout does nothing at inference and is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from model_ir.builder import GraphBuilder
from model_ir.graph import Graph
from model_ir.ops.movement import Reshape, Slice
from model_ir.ops.normalisation import Gelu
from model_ir.precision import INT64
from workloads.attention import self_attention
from workloads.layers import add, embedding, layer_norm, linear, table_rows, unary
from workloads.options import in_range


@dataclass(frozen=True, slots=True, kw_only=True)
class BertConfig:
    """Sizes of a BERT encoder; `features` is d, `hidden` the width of the feed-forward network, `positions` the longest
    sequence.
    """

    name: str
    layers: int
    features: int
    heads: int
    hidden: int
    vocabulary: int = 30522
    positions: int = 512
    segments: int = 2
    epsilon: float = 1e-12
    pooler: bool = True


# Layers, features, heads: arXiv 1810.04805, section 3; hidden = 4 * features, same place. Vocabulary, positions,
# segments and epsilon: bert_config.json and modeling.py of the released uncased checkpoints (google-research/bert).
BERT_BASE = BertConfig(name="bert-base", layers=12, features=768, heads=12, hidden=3072)
BERT_LARGE = BertConfig(name="bert-large", layers=24, features=1024, heads=16, hidden=4096)


def build(config: BertConfig, *, seq: int = 128, batch: int = 1) -> Graph:
    """The encoder for `batch` sequences of `seq` tokens.

    Inputs `input_ids` and `token_type_ids` (batch, seq), integers; outputs the last layer (batch, seq, features) and,
    with the pooler, the pooled first token (batch, features). Raises InputError for a sequence longer than the position
    table.
    """
    in_range(config.name, "seq", seq, least=1, most=config.positions, why="tokens in the position table")
    in_range(config.name, "batch", batch, least=1)
    b = GraphBuilder(config.name, origin=f"workload {config.name}")
    x = _embeddings(b, config, seq, batch)
    for index in range(config.layers):
        x = _layer(b, x, f"layers.{index}", config)
    return b.finish(x, _pooler(b, x, config)) if config.pooler else b.finish(x)


def _embeddings(b: GraphBuilder, config: BertConfig, seq: int, batch: int) -> str:
    words = b.input("input_ids", (batch, seq), INT64)
    segments = b.input("token_type_ids", (batch, seq), INT64)
    x = embedding(b, words, "embeddings.word", config.vocabulary, config.features)
    x = add(
        b, x, embedding(b, segments, "embeddings.segment", config.segments, config.features), "embeddings.with_segment"
    )
    positions = table_rows(b, "embeddings.position", config.positions, config.features, start=0, count=seq)
    return layer_norm(b, add(b, x, positions, "embeddings.sum"), "embeddings.norm", config.epsilon)


def _layer(b: GraphBuilder, x: str, name: str, config: BertConfig) -> str:
    attended = self_attention(b, x, f"{name}.attention", config.heads)
    x = layer_norm(b, add(b, x, attended, f"{name}.attention.add"), f"{name}.attention.norm", config.epsilon)
    wide = b.apply(Gelu, linear(b, x, f"{name}.feed_forward.in", config.hidden), name=f"{name}.feed_forward.gelu")
    narrow = linear(b, wide, f"{name}.feed_forward.out", config.features)
    return layer_norm(b, add(b, x, narrow, f"{name}.feed_forward.add"), f"{name}.feed_forward.norm", config.epsilon)


def _pooler(b: GraphBuilder, x: str, config: BertConfig) -> str:
    first = b.apply(Slice, x, name="pooler.first", starts=(0,), ends=(1,), axes=(1,), steps=(1,))
    token = b.apply(Reshape, first, name="pooler.token", shape=(b.shape(x)[0], config.features))
    return unary(b, linear(b, token, "pooler.dense", config.features), "pooler.tanh", "tanh")
