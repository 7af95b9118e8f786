"""Sizes of LLaMA-style decoders, each with its source."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaConfig:
    """Sizes of a LLaMA-style decoder.

    `key_heads` < `heads` is grouped-query attention; `hidden` the width of the gated feed-forward network; `theta` the
    base of the rotary frequencies; `tied` uses the word embedding as LM head; `qkv_bias` adds biases to the query, key
    and value projections (Qwen2).
    """

    name: str
    layers: int
    features: int
    heads: int
    key_heads: int
    hidden: int
    vocabulary: int
    positions: int
    theta: float = 10000.0
    epsilon: float = 1e-5
    tied: bool = False
    qkv_bias: bool = False


# arXiv 2307.09288, section 2.2 and table 1; hidden, vocabulary and epsilon: config.json of the checkpoints on the model
# card (meta-llama/Llama-2-7b-hf, Llama-2-13b-hf).
LLAMA_2_7B = LlamaConfig(
    name="llama-2-7b",
    layers=32,
    features=4096,
    heads=32,
    key_heads=32,
    hidden=11008,
    vocabulary=32000,
    positions=4096,
)
LLAMA_2_13B = LlamaConfig(
    name="llama-2-13b",
    layers=40,
    features=5120,
    heads=40,
    key_heads=40,
    hidden=13824,
    vocabulary=32000,
    positions=4096,
)
# arXiv 2407.21783, table 3; positions (8192, before the 3.1 extension): model card meta-llama/Meta-Llama-3-8B.
LLAMA_3_8B = LlamaConfig(
    name="llama-3-8b",
    layers=32,
    features=4096,
    heads=32,
    key_heads=8,
    hidden=14336,
    vocabulary=128256,
    positions=8192,
    theta=500000.0,
)
# arXiv 2307.09288, table 1 (grouped-query attention above 34 G); the rest: config.json (meta-llama/Llama-2-70b-hf).
LLAMA_2_70B = LlamaConfig(
    name="llama-2-70b",
    layers=80,
    features=8192,
    heads=64,
    key_heads=8,
    hidden=28672,
    vocabulary=32000,
    positions=4096,
)
# arXiv 2407.21783, table 3.
LLAMA_3_70B = LlamaConfig(
    name="llama-3-70b",
    layers=80,
    features=8192,
    heads=64,
    key_heads=8,
    hidden=28672,
    vocabulary=128256,
    positions=8192,
    theta=500000.0,
)
# arXiv 2401.02385, table 1; vocabulary and epsilon: config.json on the model card (TinyLlama/TinyLlama-1.1B).
TINYLLAMA_1B = LlamaConfig(
    name="tinyllama-1.1b",
    layers=22,
    features=2048,
    heads=32,
    key_heads=4,
    hidden=5632,
    vocabulary=32000,
    positions=2048,
)
# arXiv 2412.15115, table 1; the rest: config.json on the model cards (Qwen/Qwen2.5-0.5B to -72B).
QWEN2_5_0B5 = LlamaConfig(
    name="qwen2.5-0.5b",
    layers=24,
    features=896,
    heads=14,
    key_heads=2,
    hidden=4864,
    vocabulary=151936,
    positions=32768,
    theta=1000000.0,
    epsilon=1e-6,
    tied=True,
    qkv_bias=True,
)
QWEN2_5_1B5 = LlamaConfig(
    name="qwen2.5-1.5b",
    layers=28,
    features=1536,
    heads=12,
    key_heads=2,
    hidden=8960,
    vocabulary=151936,
    positions=32768,
    theta=1000000.0,
    epsilon=1e-6,
    tied=True,
    qkv_bias=True,
)
QWEN2_5_7B = LlamaConfig(
    name="qwen2.5-7b",
    layers=28,
    features=3584,
    heads=28,
    key_heads=4,
    hidden=18944,
    vocabulary=152064,
    positions=131072,
    theta=1000000.0,
    epsilon=1e-6,
    qkv_bias=True,
)
QWEN2_5_72B = LlamaConfig(
    name="qwen2.5-72b",
    layers=80,
    features=8192,
    heads=64,
    key_heads=8,
    hidden=29568,
    vocabulary=152064,
    positions=131072,
    theta=1000000.0,
    epsilon=1e-5,
    qkv_bias=True,
)
CONFIGS = (
    LLAMA_2_7B,
    LLAMA_2_13B,
    LLAMA_2_70B,
    LLAMA_3_8B,
    LLAMA_3_70B,
    TINYLLAMA_1B,
    QWEN2_5_0B5,
    QWEN2_5_1B5,
    QWEN2_5_7B,
    QWEN2_5_72B,
)
