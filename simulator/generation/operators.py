"""The operators of one step of a language model, as `Work` of the roofline's vocabulary: every matrix product, the
attention over what is cached, and what is no matmul.

The sizes are those that the builders of `workloads` write as graphs, with two differences that engines for inference
make: query, key and value are one product, so are gate and up; and scores stay on chip (`Step.fused_attention`).
Operators of all layers of one kind are one, with `count` of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from model_ir.language_model import LanguageModel, Projection
from simulator.generation.attention import self_attention_operators
from simulator.generation.encoder import cross_attention_operators, encoder_operators
from simulator.generation.experts import touched_experts
from simulator.generation.parts import Parts, StepOperator
from simulator.generation.precision import Precision
from simulator.generation.step import Cache, Step, cache_numbers
from simulator.rooflines.counting import DEFAULT_COUNTING, Counting
from simulator.rooflines.formats import Number


def step_operators(
    model: LanguageModel,
    step: Step,
    cache: Cache,
    precision: Precision,
    *,
    encodes: bool = False,
    counting: Counting = DEFAULT_COUNTING,
) -> tuple[StepOperator, ...]:
    """Every operator of `step`, in the order of a layer. `encodes`: the audio encoder runs in this step too, and the
    keys and values that the decoder takes from it are made."""
    parts = Parts(precision=precision, counting=counting)
    operators: list[StepOperator] = []
    if model.encoder and encodes:
        operators += encoder_operators(model, model.encoder, step.batch, parts)
    operators.append(_embedding(model, step, parts))
    operators += _projections(model, step, cache, parts)
    operators += self_attention_operators(model, step, cache, parts)
    operators += _output(model, step, parts)
    if model.encoder:
        operators += cross_attention_operators(model, model.encoder, step, parts)
    operators += _feed_forward(model, step, parts)
    operators += _norms_and_sums(model, step, parts)
    if model.logits:
        operators += _logits(model, step, parts)
    return tuple(operators)


def biased(model: LanguageModel, widths: dict[Projection, int]) -> int:
    """How many of the columns of projections of these widths have a bias."""
    return sum(width for name, width in widths.items() if name in model.projections_with_bias)


def _embedding(model: LanguageModel, step: Step, parts: Parts) -> StepOperator:
    tables = 1 + (model.position_rows > 0) + (model.segment_rows > 0)
    return parts.elementwise(
        "embedding", "gather", count=1, elements=step.rows * model.features, reads=tables, flops=tables - 1
    )


def _projections(model: LanguageModel, step: Step, cache: Cache, parts: Parts) -> Iterator[StepOperator]:
    """The projections in front of attention, rotary positions, and what is kept of the new tokens."""
    keys, queries, rows = model.key_features, model.query_features, step.rows
    widths: dict[Projection, int] = {"query": queries}
    if cache.keeps == "kv":
        widths |= {"key": keys, "value": keys}
    first, *outliers = parts.linear(
        "query, key and value" if cache.keeps == "kv" else "query",
        "projections",
        count=model.layers,
        rows=rows,
        depth=model.features,
        columns=sum(widths.values()),
        biases=biased(model, widths),
    )
    kept = rows * cache_numbers(model, cache) * parts.precision.stored_cache_bits / 8
    if cache.keeps == "kv":
        result = rows * queries * parts.precision.activation_bits / 8 + kept
        yield replace(first, work=replace(first.work, result_bytes=result), cache_write_bytes=kept)
        yield from outliers
    else:
        yield first
        yield from outliers
        yield from _kept_inputs(model, step, cache, parts)
    if model.rotary:
        rotated = queries + (keys if cache.keeps == "kv" else 0)
        yield parts.elementwise("rotary", "rotary", count=model.layers, elements=rows * rotated)


def _kept_inputs(model: LanguageModel, step: Step, cache: Cache, parts: Parts) -> Iterator[StepOperator]:
    """What is kept of the new tokens where that is no keys and values: X as it is, or its latents."""
    numbers, bits = cache_numbers(model, cache), parts.precision.stored_cache_bits
    kept = step.rows * numbers * bits / 8
    if cache.keeps == "x":
        write = parts.elementwise(
            "inputs kept", "gather", count=model.layers, elements=step.rows * numbers, writes=0, flops=0
        )
        yield replace(write, work=replace(write.work, result_bytes=kept), cache_write_bytes=kept)
        return
    first, *outliers = parts.linear(
        "latents kept",
        "projections",
        count=model.layers,
        rows=step.rows,
        depth=model.features,
        columns=numbers,
        result_bits=bits,
    )
    yield replace(first, cache_write_bytes=kept)
    yield from outliers


def _output(model: LanguageModel, step: Step, parts: Parts) -> Iterator[StepOperator]:
    return parts.linear(
        "attention output",
        "projections",
        count=model.layers,
        rows=step.rows,
        depth=model.query_features,
        columns=model.features,
        biases=biased(model, {"output": model.features}),
    )


def _feed_forward(model: LanguageModel, step: Step, parts: Parts) -> Iterator[StepOperator]:
    """Up (and gate), activation, down; with experts also the router, and of the experts those that are expected to be
    visited, each by its share of the tokens."""
    rows: Number = step.rows
    experts: Number = 1
    if model.experts > 1:
        yield from parts.linear(
            "router", "feed-forward", count=model.layers, rows=rows, depth=model.features, columns=model.experts
        )
        experts = touched_experts(model.experts, model.experts_per_token, rows)
        rows = np.asarray(rows) * model.experts_per_token / experts
    hidden = model.hidden
    wide: dict[Projection, int] = {"gate": hidden, "up": hidden} if model.gated else {"up": hidden}
    yield from parts.linear(
        "gate and up" if model.gated else "up",
        "feed-forward",
        count=model.layers,
        rows=rows,
        depth=model.features,
        columns=sum(wide.values()),
        biases=biased(model, wide),
        repeats=experts,
    )
    yield parts.elementwise(
        "activation",
        "silu" if model.gated else "gelu",
        count=model.layers,
        elements=rows * experts * hidden,
        reads=2 if model.gated else 1,
        flops=6 if model.gated else None,
    )
    yield from parts.linear(
        "down",
        "feed-forward",
        count=model.layers,
        rows=rows,
        depth=hidden,
        columns=model.features,
        biases=biased(model, {"down": model.features}),
        repeats=experts,
    )


def _norms_and_sums(model: LanguageModel, step: Step, parts: Parts) -> Iterator[StepOperator]:
    elements, vectors = step.rows * model.features, 2 if model.norm == "layer" else 1
    name = "layer_norm" if model.norm == "layer" else "rms_norm"
    crossing = 1 if model.encoder else 0
    norms = model.layers * (model.norms_in_layer + crossing) + int(model.final_norm) + int(model.embedding_norm)
    yield parts.elementwise(
        "norms", name, count=norms, elements=elements, vectors=vectors * model.features, row=model.features
    )
    if model.query_key_norm:
        heads = model.heads + model.key_heads
        yield parts.elementwise(
            "query and key norms",
            name,
            count=model.layers,
            elements=step.rows * heads * model.head_features,
            vectors=2 * model.head_features,
            row=model.head_features,
        )
    yield parts.elementwise("residuals", "add", count=model.layers * (2 + crossing), elements=elements, reads=2)


def _logits(model: LanguageModel, step: Step, parts: Parts) -> Iterator[StepOperator]:
    tokens = step.tokens if step.logits_tokens is None else step.logits_tokens
    return parts.linear(
        "logits",
        "logits",
        count=1,
        rows=step.batch * tokens,
        depth=model.features,
        columns=model.vocabulary,
        biases=biased(model, {"logits": model.vocabulary}),
        table=True,
    )
