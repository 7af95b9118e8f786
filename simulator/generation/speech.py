"""The operators of one pass of a speech encoder with a CTC head (Conformer, arXiv 2005.08100; Squeezeformer, arXiv
2206.00888), with the sizes that `workloads.conformer` and `workloads.squeezeformer` write as graphs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from model_ir.speech_model import EXPANSION, REDUCTION_KERNEL, STEM_KERNEL, SUBSAMPLING, SpeechModel
from simulator.generation.attention import Attention, attention_operators
from simulator.generation.parts import Kind, Parts, StepOperator
from simulator.generation.precision import Precision
from simulator.generation.step import Step
from simulator.rooflines.counting import DEFAULT_COUNTING, Counting
from simulator.rooflines.formats import Number
from simulator.rooflines.work import matmul_work


def speech_operators(
    model: SpeechModel,
    frames: Number,
    batch: Number,
    precision: Precision,
    *,
    fused_attention: bool = True,
    counting: Counting = DEFAULT_COUNTING,
) -> tuple[StepOperator, ...]:
    """Every operator of one pass over `batch` utterances of `frames` frames; numbers, or arrays that broadcast."""
    parts = Parts(precision=precision, counting=counting)
    steps = steps_of(frames)
    operators = [*_stem(model, frames, batch, parts)]
    rates = ((model.layers - model.reduced_layers, steps), (model.reduced_layers, -(-steps // 2)))
    for count, length in rates:
        if count:
            step = Step(batch=batch, tokens=length, context=0, fused_attention=fused_attention)
            operators += _blocks(model, count, step, parts)
    if model.family == "squeezeformer":
        operators += _rates(model, steps, batch, parts)
    operators += parts.linear(
        "logits",
        "logits",
        count=1,
        rows=batch * steps,
        depth=model.features,
        columns=model.vocabulary,
        biases=model.vocabulary,
        table=True,
    )
    return tuple(operators)


def steps_of(frames: Number) -> Number:
    """Steps that the subsampling leaves of `frames`: what is written at most."""
    steps: Number = np.asarray(frames) // SUBSAMPLING
    return steps


def _stem(model: SpeechModel, frames: Number, batch: Number, parts: Parts) -> Iterator[StepOperator]:
    width, half = model.features, np.asarray(frames) // 2
    halved, pixels = batch * half * (2 * model.bands), batch * steps_of(frames) * model.bands
    yield from parts.linear("stem.0", "encoder", count=1, rows=halved, depth=STEM_KERNEL, columns=width, biases=width)
    depth = STEM_KERNEL * width
    if model.family == "squeezeformer":
        yield _depthwise("stem.1.depthwise", "encoder", 1, width, pixels, halved, STEM_KERNEL, parts)
        depth = width
    yield from parts.linear("stem.1", "encoder", count=1, rows=pixels, depth=depth, columns=width, biases=width)
    yield parts.elementwise("stem.relu", "relu", count=1, elements=(halved + pixels) * width)
    yield from parts.linear(
        "stem.linear",
        "encoder",
        count=1,
        rows=batch * steps_of(frames),
        depth=model.bands * width,
        columns=width,
        biases=width,
    )


def _blocks(model: SpeechModel, count: int, step: Step, parts: Parts) -> Iterator[StepOperator]:
    """`count` blocks: attention, two feed-forward networks, the convolution module, and what lies between them."""
    width, rows = model.features, step.rows
    yield from _attention(model, count, step, parts)
    wide = EXPANSION * width
    yield from parts.linear("up", "feed-forward", count=2 * count, rows=rows, depth=width, columns=wide, biases=wide)
    yield parts.elementwise("activation", "silu", count=2 * count, elements=rows * wide)
    yield from parts.linear("down", "feed-forward", count=2 * count, rows=rows, depth=wide, columns=width, biases=width)
    yield from _convolution(model, count, rows, parts)
    norms = 5 if model.family == "conformer" else 4
    yield parts.elementwise(
        "norms", "layer_norm", count=norms * count, elements=rows * width, vectors=2 * width, row=width
    )
    yield parts.elementwise("residuals", "add", count=4 * count, elements=rows * width, reads=2)
    scalings = 2 if model.family == "conformer" else 4
    yield parts.elementwise(
        "scalings",
        "mul",
        count=scalings * count,
        elements=rows * width,
        flops=1 if model.family == "conformer" else 2,
        vectors=0 if model.family == "conformer" else 2 * width,
    )


def _attention(model: SpeechModel, count: int, step: Step, parts: Parts) -> Iterator[StepOperator]:
    """Self-attention with relative positions: the content's scores are those of any attention; those of the 2 n - 1
    distances are one more product, whose result is shifted and added (arXiv 1901.02860, section 3.3)."""
    width, head = model.features, model.features // model.heads
    distances, bits = 2 * step.tokens - 1, parts.precision.activation_bits
    yield from parts.linear(
        "query, key and value",
        "projections",
        count=count,
        rows=step.rows,
        depth=width,
        columns=3 * width,
        biases=3 * width,
    )
    yield from parts.linear("positions", "projections", count=count, rows=distances, depth=width, columns=width)
    work = matmul_work(
        repeats=model.heads * step.batch,
        rows=step.tokens,
        columns=distances,
        depth=head,
        first_bits=bits,
        second_bits=bits,
        result_bits=0 if step.fused_attention else bits,
        second_repeats=model.heads,
        counting=parts.counting,
    )
    yield StepOperator(name="distances", kind="attention", count=count, work=work)
    attention = Attention(
        name="attention",
        count=count,
        heads=model.heads,
        key_heads=model.heads,
        head_features=head,
        keys=step.tokens,
        pairs=step.tokens * step.tokens,
        origin="step",
    )
    yield from attention_operators(step, attention, parts)
    yield from parts.linear(
        "attention output", "projections", count=count, rows=step.rows, depth=width, columns=width, biases=width
    )


def _convolution(model: SpeechModel, count: int, rows: Number, parts: Parts) -> Iterator[StepOperator]:
    """Pointwise to twice the width, gate, depthwise over time with batch normalisation, activation, pointwise back."""
    width, channels = model.features, model.channels
    yield from parts.linear(
        "pointwise in", "feed-forward", count=count, rows=rows, depth=width, columns=2 * width, biases=2 * width
    )
    gate = "mul" if model.family == "conformer" else "silu"
    reads = 2 if model.family == "conformer" else 1
    yield parts.elementwise("gate", gate, count=count, elements=rows * channels, reads=reads, flops=6)
    yield _depthwise("depthwise", "feed-forward", count, channels, rows, rows, model.kernel, parts)
    yield parts.elementwise(
        "batch norm and silu", "silu", count=count, elements=rows * channels, vectors=2 * channels, flops=7
    )
    yield from parts.linear(
        "pointwise out", "feed-forward", count=count, rows=rows, depth=channels, columns=width, biases=width
    )


def _rates(model: SpeechModel, steps: Number, batch: Number, parts: Parts) -> Iterator[StepOperator]:
    """Squeezeformer's way to half the rate and back, and the norm after the stem."""
    width, rows, half = model.features, batch * steps, batch * (np.asarray(steps) // 2)
    yield _depthwise("reduction", "feed-forward", 1, width, half, rows, REDUCTION_KERNEL, parts)
    for name, length in (("reduction.pointwise", half), ("recovery", rows)):
        yield from parts.linear(name, "feed-forward", count=1, rows=length, depth=width, columns=width, biases=width)
    yield parts.elementwise("stem.norm", "layer_norm", count=1, elements=rows * width, vectors=2 * width, row=width)
    yield parts.elementwise("recovery.sum", "add", count=1, elements=rows * width, reads=2)


def _depthwise(
    name: str, kind: Kind, count: int, channels: int, rows: Number, inputs: Number, taps: int, parts: Parts
) -> StepOperator:
    """A convolution of every channel by itself: one column of `taps` weights a channel."""
    precision = parts.precision
    work = matmul_work(
        repeats=channels,
        rows=rows,
        columns=1,
        depth=taps,
        first_bits=precision.activation_bits,
        second_bits=precision.stored_weight_bits,
        result_bits=precision.activation_bits,
        bias_bits=precision.activation_bits,
        bias_elements=channels,
        first_elements=inputs,
        counting=parts.counting,
    )
    return StepOperator(name=name, kind=kind, count=count, work=work, weight_bytes=work.second_bytes + work.other_bytes)
