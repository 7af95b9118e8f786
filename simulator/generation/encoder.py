"""What a speech model adds: the encoder over the audio, once, and in each layer of the decoder the attention to it.

Whisper, arXiv 2212.04356, section 2.2, and model.py of openai/whisper.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from model_ir.language_model import AudioEncoder, LanguageModel
from simulator.generation.attention import Attention, attention_operators
from simulator.generation.parts import Parts, StepOperator
from simulator.generation.step import Step
from simulator.rooflines.formats import Number


def encoder_operators(
    model: LanguageModel, encoder: AudioEncoder, batch: Number, parts: Parts
) -> Iterator[StepOperator]:
    """The two convolutions (as matrix products), the layers, and the keys and values that every layer of the decoder
    takes from the result and keeps."""
    rows, width = batch * encoder.positions, encoder.features
    stem = (
        parts.linear(
            f"encoder.conv {index}",
            "encoder",
            count=1,
            rows=rows * steps,
            depth=encoder.kernel * channels,
            columns=width,
            biases=width,
        )
        for index, (steps, channels) in enumerate(((2, encoder.bins), (1, width)))
    )
    for operators in stem:
        yield from operators
    for operator in (*_layers(encoder, batch, parts), *_layers_between(encoder, rows, parts)):
        yield replace(operator, kind="encoder")
    first, *outliers = parts.linear(
        "encoder.keys and values",
        "encoder",
        count=model.layers,
        rows=rows,
        depth=width,
        columns=2 * model.key_features,
        biases=model.key_features if "value" in model.projections_with_bias else 0,
        result_bits=parts.precision.stored_cache_bits,
    )
    yield replace(first, cache_write_bytes=first.work.result_bytes)
    yield from outliers


def cross_attention_operators(
    model: LanguageModel, encoder: AudioEncoder, step: Step, parts: Parts
) -> Iterator[StepOperator]:
    """Query, attention to all positions of the encoder, output projection. Keys and values are kept since the audio was
    encoded."""
    for name, depth, columns, bias in (
        ("cross query", model.features, model.query_features, "query"),
        ("cross output", model.query_features, model.features, "output"),
    ):
        yield from parts.linear(
            name,
            "projections",
            count=model.layers,
            rows=step.rows,
            depth=depth,
            columns=columns,
            biases=columns if bias in model.projections_with_bias else 0,
        )
    attention = Attention(
        name="cross attention",
        count=model.layers,
        heads=model.heads,
        key_heads=model.key_heads,
        head_features=model.head_features,
        keys=encoder.positions,
        pairs=step.tokens * encoder.positions,
    )
    yield from attention_operators(step, attention, parts)


def _layers(encoder: AudioEncoder, batch: Number, parts: Parts) -> Iterator[StepOperator]:
    rows, width, layers = batch * encoder.positions, encoder.features, encoder.layers
    for name, depth, columns, biases in (
        ("query, key and value", width, 3 * width, 2 * width),
        ("output", width, width, width),
        ("up", width, encoder.hidden, encoder.hidden),
        ("down", encoder.hidden, width, width),
    ):
        yield from parts.linear(
            f"encoder.{name}", "encoder", count=layers, rows=rows, depth=depth, columns=columns, biases=biases
        )
    attention = Attention(
        name="encoder.attention",
        count=layers,
        heads=encoder.heads,
        key_heads=encoder.heads,
        head_features=width // encoder.heads,
        keys=encoder.positions,
        pairs=encoder.positions * encoder.positions,
        origin="step",
    )
    yield from attention_operators(Step(batch=batch, tokens=encoder.positions, context=0), attention, parts)


def _layers_between(encoder: AudioEncoder, rows: Number, parts: Parts) -> Iterator[StepOperator]:
    """What is no matmul: activations, norms, residuals."""
    width, layers = encoder.features, encoder.layers
    yield parts.elementwise("encoder.gelu", "gelu", count=2, elements=rows * width)
    yield parts.elementwise("encoder.activation", "gelu", count=layers, elements=rows * encoder.hidden)
    yield parts.elementwise(
        "encoder.norms", "layer_norm", count=2 * layers + 1, elements=rows * width, vectors=2 * width, row=width
    )
    yield parts.elementwise("encoder.residuals", "add", count=2 * layers, elements=rows * width, reads=2)
