"""GPT-2 and LLaMA against plain numpy implementations written here, the key-value cache against the whole prompt,
grouped against repeated heads.
"""

from dataclasses import replace
from math import sqrt
from typing import Any

import numpy as np
import pytest
from plain_layers import Array, silu, softmax
from workload_values import Values, assert_close, inputs, outputs, parameters

from model_ir.graph import Graph
from workloads import gpt2, llama, llama_sizes

GPT2 = replace(gpt2.GPT2_SMALL, layers=3, features=24, heads=4, hidden=40, vocabulary=61, positions=16)
LLAMA = replace(
    llama_sizes.LLAMA_3_8B,
    layers=3,
    features=24,
    heads=6,
    key_heads=2,
    hidden=40,
    vocabulary=61,
    positions=16,
    theta=100.0,
)
QWEN = replace(LLAMA, name="small-qwen", qkv_bias=True, tied=True)


def causal_attention(query: Array, key: Array, value: Array) -> Array:
    """One head: (tokens, d) each."""
    scores = query @ key.T / sqrt(query.shape[-1])
    return softmax(np.where(np.tri(len(query), dtype=bool), scores, -np.inf)) @ value


def plain_gpt2(p: Values, ids: Array, config: gpt2.Gpt2Config) -> Array:
    """Logits of one sequence (tokens,), head by head and in float64."""

    def norm(x: Array, name: str) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + config.epsilon)
        return centred / deviation * p[f"{name}.scale"] + p[f"{name}.bias"]

    def dense(x: Array, name: str) -> Array:
        return x @ p[f"{name}.weight"].astype(np.float64) + p[f"{name}.bias"]

    width = config.features // config.heads
    words = p["embeddings.word.weight"].astype(np.float64)
    x = words[ids] + p["embeddings.position.weight"][: len(ids)]
    for index in range(config.layers):
        name = f"layers.{index}"
        qkv = dense(norm(x, f"{name}.attention.norm"), f"{name}.attention.qkv")
        heads = []
        for head in range(config.heads):
            columns = slice(head * width, (head + 1) * width)
            heads.append(causal_attention(*(part[:, columns] for part in np.split(qkv, 3, axis=1))))
        x = x + dense(np.concatenate(heads, axis=1), f"{name}.attention.output")
        wide = dense(norm(x, f"{name}.feed_forward.norm"), f"{name}.feed_forward.in")
        gelu = 0.5 * wide * (1 + np.tanh(sqrt(2 / np.pi) * (wide + 0.044715 * wide**3)))
        x = x + dense(gelu, f"{name}.feed_forward.out")
    return norm(x, "norm") @ words.T


def plain_llama(p: Values, ids: Array, config: llama_sizes.LlamaConfig) -> Array:
    """Logits of one sequence (tokens,), head by head in float64, the rotation as a product of complex numbers."""

    def norm(x: Array, name: str) -> Array:
        return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + config.epsilon) * p[f"{name}.scale"]

    def dense(x: Array, name: str) -> Array:
        return x @ p[f"{name}.weight"].astype(np.float64) + p.get(f"{name}.bias", np.zeros(1))

    width = config.features // config.heads
    half = width // 2
    turns = np.exp(1j * np.arange(len(ids))[:, None] / config.theta ** (2 * np.arange(half) / width))

    def rotated(x: Array) -> Array:
        product = (x[:, :half] + 1j * x[:, half:]) * turns
        return np.concatenate([product.real, product.imag], axis=1)

    words = p["embeddings.word.weight"].astype(np.float64)
    x = words[ids]
    for index in range(config.layers):
        name = f"layers.{index}.attention"
        normed = norm(x, f"{name}.norm")
        query, key, value = (dense(normed, f"{name}.{part}") for part in ("query", "key", "value"))
        heads = []
        for head in range(config.heads):
            shared = head * config.key_heads // config.heads
            q = query[:, head * width : (head + 1) * width]
            k, v = (part[:, shared * width : (shared + 1) * width] for part in (key, value))
            heads.append(causal_attention(rotated(q), rotated(k), v))
        x = x + dense(np.concatenate(heads, axis=1), f"{name}.output")
        name = f"layers.{index}.feed_forward"
        normed = norm(x, f"{name}.norm")
        gate = silu(dense(normed, f"{name}.gate"))
        x = x + dense(gate * dense(normed, f"{name}.up"), f"{name}.down")
    x = norm(x, "norm")
    return x @ words.T if config.tied else dense(x, "logits")


def test_gpt2_equals_a_plain_implementation() -> None:
    graph = gpt2.build(GPT2, seq=11, batch=2)
    p, feeds = parameters(graph), inputs(graph, GPT2.vocabulary)
    expected = np.stack([plain_gpt2(p, ids, GPT2) for ids in feeds["input_ids"]])
    assert_close(outputs(graph, feeds | p)[0], expected)


@pytest.mark.parametrize("config", [LLAMA, QWEN, replace(LLAMA, key_heads=6), replace(LLAMA, key_heads=1)])
def test_llama_equals_a_plain_implementation(config: llama_sizes.LlamaConfig) -> None:
    graph = llama.build(config, seq=11, batch=2)
    p, feeds = parameters(graph), inputs(graph, config.vocabulary)
    expected = np.stack([plain_llama(p, ids, config) for ids in feeds["input_ids"]])
    assert_close(outputs(graph, feeds | p)[0], expected)


def built(family: str, **options: Any) -> Graph:
    return {
        "gpt2": lambda: gpt2.build(GPT2, batch=2, **options),
        "llama": lambda: llama.build(LLAMA, batch=2, **options),
        "qwen": lambda: llama.build(QWEN, batch=2, **options),
    }[family]()


@pytest.mark.parametrize(("context", "new"), [(1, 1), (9, 1), (15, 1), (4, 3)])
@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen"])
def test_decoding_after_a_cache_equals_the_whole_prompt(family: str, context: int, new: int) -> None:
    whole = built(family, seq=context + new)
    prompt = built(family, seq=context)
    step = built(family, seq=new, context=context, phase="decode")
    learned = {name: value for name, value in parameters(whole).items() if name not in whole.constants}
    ids = inputs(whole, 61)["input_ids"]

    expected, *expected_cache = outputs(whole, learned | {"input_ids": ids})
    _, *cache = outputs(prompt, learned | {"input_ids": ids[:, :context]})
    pasts = dict(zip(step.inputs[1:], cache, strict=True))
    logits, *grown = outputs(step, learned | {"input_ids": ids[:, context:]} | pasts)

    assert_close(logits, expected[:, context:], relative=1e-5)
    for result, reference in zip(grown, expected_cache, strict=True):
        assert_close(result, reference, relative=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_later_token_changes_nothing_before_it(family: str) -> None:
    graph = built(family, seq=8)
    feeds = inputs(graph, 61) | parameters(graph)
    ids = feeds["input_ids"].copy()
    ids[:, 5] = (ids[:, 5] + 1) % 61
    before, after = outputs(graph, feeds)[0], outputs(graph, feeds | {"input_ids": ids})[0]
    np.testing.assert_array_equal(before[:, :5], after[:, :5])
    assert (before[:, 5:] != after[:, 5:]).any(axis=(1, 2)).all()


@pytest.mark.parametrize("options", [{"seq": 9}, {"context": 7, "phase": "decode"}], ids=["prefill", "decode"])
@pytest.mark.parametrize("key_heads", [1, 2, 3])
def test_grouped_heads_equal_repeated_heads(key_heads: int, options: dict[str, Any]) -> None:
    config = replace(QWEN, key_heads=key_heads)
    repeats, width = config.heads // key_heads, config.features // config.heads
    grouped, full = llama.build(config, **options), llama.build(replace(config, key_heads=config.heads), **options)

    def repeated(name: str, value: Array) -> Array:
        if name.startswith("past_"):
            return np.repeat(value, repeats, axis=1)
        if ".key." in name or ".value." in name:
            by_head = value.reshape(*value.shape[:-1], key_heads, width)
            return np.repeat(by_head, repeats, axis=-2).reshape(*value.shape[:-1], -1)
        return value

    feeds = inputs(grouped, config.vocabulary) | parameters(grouped)
    result = outputs(grouped, feeds)[0]
    assert_close(
        result, outputs(full, {name: repeated(name, value) for name, value in feeds.items()})[0], relative=1e-5
    )
    # Sharing must save work and memory, or there would be no point in it.
    assert grouped.macs < full.macs
    assert grouped.parameter_count < full.parameter_count
