"""Attention over cached and new tokens: scores, softmax, weighted sum; and keys and values computed again from what is
kept in their place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from model_ir.language_model import LanguageModel
from simulator.generation.parts import FLOPS, Parts, StepOperator
from simulator.generation.step import Cache, Step, cached_tokens, visible_pairs
from simulator.rooflines.formats import Number
from simulator.rooflines.work import Work, matmul_work


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Attention:
    """The attention of `count` layers of `heads` heads, `key_heads` of keys, `head_features` wide: `keys` a sequence
    are there, `pairs` of a query and a key count. `origin` of keys and values: kept from earlier ("cache"), results of
    this step ("step") or made on chip as they are used ("chip")."""

    name: str
    count: int
    keys: Number
    pairs: Number
    heads: int
    key_heads: int
    head_features: int
    origin: Literal["cache", "step", "chip"] = "cache"


def attention_operators(step: Step, attention: Attention, parts: Parts) -> Iterator[StepOperator]:
    """Scores, softmax and weighted sum. Query heads that share a key head are rows of one product, so keys and values
    are read once (`workloads.attention.attend`)."""
    name, count, width = attention.name, attention.count, attention.head_features
    activation_bits, products = parts.precision.activation_bits, attention.key_heads * step.batch
    mean_keys = attention.pairs / np.asarray(step.tokens)
    queries = attention.heads // attention.key_heads * step.tokens
    wide = "softmax" in parts.counting.wide_before
    score_bits = 0 if step.fused_attention else 32 if wide else activation_bits
    key_bits = parts.precision.stored_cache_bits if attention.origin == "cache" else activation_bits
    size = 0 if attention.origin == "chip" else products * attention.keys * width * key_bits / 8
    cached = size if attention.origin == "cache" else 0
    scores = matmul_work(
        repeats=products,
        rows=queries,
        columns=mean_keys,
        depth=width,
        first_bits=activation_bits,
        second_bits=key_bits,
        result_bits=score_bits,
        counting=parts.counting,
    )
    attended = matmul_work(
        repeats=products,
        rows=queries,
        columns=width,
        depth=mean_keys,
        first_bits=0 if step.fused_attention else activation_bits,
        second_bits=key_bits,
        result_bits=activation_bits,
        counting=parts.counting,
    )
    softmax = parts.elementwise(
        f"{name}.softmax",
        "softmax",
        count=count,
        elements=step.batch * attention.heads * attention.pairs,
        reads=score_bits / activation_bits,
        writes=0 if step.fused_attention else 1,
        kind="attention",
    )
    yield _product(f"{name}.scores", count, replace(scores, second_bytes=size), cached)
    yield replace(softmax, work=replace(softmax.work, row_bytes=mean_keys * score_bits / 8))
    yield _product(f"{name}.attended", count, replace(attended, second_bytes=size), cached)


def self_attention_operators(model: LanguageModel, step: Step, cache: Cache, parts: Parts) -> Iterator[StepOperator]:
    """The attention of every layer to the tokens it holds and to the new ones; layers with a window are one group,
    those without another."""
    groups = (
        ("attention", model.layers - model.window_layers, None),
        ("window attention", model.window_layers, model.window),
    )
    for name, count, window in groups:
        if not count:
            continue
        held = cached_tokens(step.context, cache, window)
        if cache.keeps != "kv":
            yield from _recomputed(model, step, cache, parts, name=name, count=count, held=held)
        yield from attention_operators(
            step,
            Attention(
                name=name,
                count=count,
                heads=model.heads,
                key_heads=model.key_heads,
                head_features=model.head_features,
                keys=held + step.tokens,
                pairs=visible_pairs(step, cache, causal=model.causal, window=window),
                origin="cache" if cache.keeps == "kv" else "chip",
            ),
            parts,
        )


def _recomputed(
    model: LanguageModel, step: Step, cache: Cache, parts: Parts, *, name: str, count: int, held: Number
) -> Iterator[StepOperator]:
    """Keys and values of the held and the new tokens from what is kept (XQuant, arXiv 2508.10395, sections 3.1 and
    3.3): X times the two projections, or the latents times what is left of each after X's part of it was applied.

    They are used as they are made and never written; rotary positions are applied to the keys again.
    """
    rows, keys = step.batch * (held + step.tokens), model.key_features
    depth, columns, repeats = (model.features, 2 * keys, 1) if cache.keeps == "x" else (keys, keys, 2)
    biases = sum(keys for part in ("key", "value") if part in model.projections_with_bias) if repeats == 1 else 0
    again, *outliers = parts.linear(
        f"{name}.keys and values again",
        "recomputation",
        count=count,
        rows=rows,
        depth=depth,
        columns=columns,
        repeats=repeats,
        biases=biases,
        first_bits=parts.precision.stored_cache_bits,
        result_bits=0,
    )
    yield replace(again, cache_read_bytes=again.work.first_bytes)
    yield from outliers
    if model.rotary:
        yield parts.elementwise(
            f"{name}.rotary again",
            "rotary",
            count=count,
            elements=rows * keys,
            reads=0,
            writes=0,
            flops=FLOPS["rotary"],
            kind="recomputation",
        )


def _product(name: str, count: int, work: Work, cached: Number) -> StepOperator:
    return StepOperator(name=name, kind="attention", count=count, work=work, cache_read_bytes=cached)
