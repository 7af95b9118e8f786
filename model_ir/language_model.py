"""What a Transformer that reads or writes text is, in numbers: its sizes, and the parameters that follow from them.

One noun for decoders (GPT-2, LLaMA, Mixtral, ...), encoders (BERT, masked diffusion) and encoder-decoders (Whisper).
It holds no graph: a graph is one execution, this is the network that is executed over every context and batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from model_ir.errors import InputError

Projection = Literal["query", "key", "value", "output", "gate", "up", "down", "logits"]
Norm = Literal["rms", "layer"]

ATTENTION: tuple[Projection, ...] = ("query", "key", "value", "output")


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioEncoder:
    """The encoder of a speech model (Whisper, arXiv 2212.04356, section 2.2): two convolutions over `bins` channels of
    a spectrogram, the second of stride 2, fixed sinusoid positions, `layers` pre-norm Transformer layers.

    `positions` is its fixed length in steps after the stride; `position_rows` those of a position table kept with the
    weights.
    """

    layers: int
    features: int
    heads: int
    hidden: int
    positions: int
    position_rows: int
    bins: int
    kernel: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModel:
    """Sizes of a Transformer over tokens.

    `features` is the width between layers, `head_features` that of one head, `key_heads` < `heads` grouped-query
    attention (1: multi-query), `hidden` the width of the feed-forward network (of each expert, with `experts` > 1, of
    which a token visits `experts_per_token`), `gated` whether that has a gate (three matrices, else two), `positions`
    the longest sequence the checkpoint is made for. `window_layers` layers see the last `window` tokens only.
    `position_rows` and `segment_rows` are learned tables added to the word embedding; `tied` means that it is the
    output projection too; `projections_with_bias` and `norms_in_layer` say what small vectors there are. Not `causal`:
    every token sees every other. `encoder` adds a cross-attention to each layer. `source` says where the sizes come
    from, `notes` what had to be assumed.
    """

    name: str
    source: str
    layers: int
    features: int
    heads: int
    key_heads: int
    head_features: int
    hidden: int
    vocabulary: int
    positions: int
    gated: bool = True
    norm: Norm = "rms"
    norms_in_layer: int = 2
    query_key_norm: bool = False
    embedding_norm: bool = False
    final_norm: bool = True
    projections_with_bias: tuple[Projection, ...] = ()
    tied: bool = False
    logits: bool = True
    pooler: bool = False
    causal: bool = True
    rotary: bool = True
    window: int | None = None
    window_layers: int = 0
    experts: int = 1
    experts_per_token: int = 1
    position_rows: int = 0
    segment_rows: int = 0
    encoder: AudioEncoder | None = None
    notes: tuple[str, ...] = ()

    @property
    def query_features(self) -> int:
        """Width of all query heads together."""
        return self.heads * self.head_features

    @property
    def key_features(self) -> int:
        """Width of all key heads together, and of all value heads."""
        return self.key_heads * self.head_features


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Learned parameters of a `LanguageModel` by what they are for; `active` are those one token makes use of."""

    embedding: int
    attention: int
    feed_forward: int
    norms: int
    logits: int
    encoder: int
    active: int

    @property
    def total(self) -> int:
        """All of them, a tied matrix counted once."""
        return self.embedding + self.attention + self.feed_forward + self.norms + self.logits + self.encoder


def parameters(model: LanguageModel) -> Parameters:
    """Count the parameters; equal to those of the graph the same sizes build. All experts count in the total."""
    attention = model.layers * attention_parameters(model) * (2 if model.encoder else 1)
    expert, router = expert_parameters(model), model.features * model.experts if model.experts > 1 else 0
    tables = model.vocabulary + model.position_rows + model.segment_rows
    logits = model.vocabulary * model.features if model.logits and not model.tied else 0
    logits += model.vocabulary if "logits" in model.projections_with_bias else 0
    logits += model.features * (model.features + 1) if model.pooler else 0
    counted = Parameters(
        embedding=tables * model.features,
        attention=attention,
        feed_forward=model.layers * (model.experts * expert + router),
        norms=_norm_parameters(model),
        logits=logits,
        encoder=encoder_parameters(model.encoder) if model.encoder else 0,
        active=0,
    )
    idle = model.layers * (model.experts - model.experts_per_token) * expert
    return Parameters(
        embedding=counted.embedding,
        attention=counted.attention,
        feed_forward=counted.feed_forward,
        norms=counted.norms,
        logits=counted.logits,
        encoder=counted.encoder,
        active=counted.total - idle,
    )


def attention_parameters(model: LanguageModel) -> int:
    """Of one attention: four projections and their biases."""
    width = {
        "query": model.query_features,
        "key": model.key_features,
        "value": model.key_features,
        "output": model.features,
    }
    weights = 2 * model.features * (model.query_features + model.key_features)
    return weights + sum(width[part] for part in ATTENTION if part in model.projections_with_bias)


def expert_parameters(model: LanguageModel) -> int:
    """Of one feed-forward network, or of one expert of a mixture."""
    wide: tuple[Projection, ...] = ("gate", "up") if model.gated else ("up",)
    weights = (len(wide) + 1) * model.features * model.hidden
    biases = sum(model.hidden for part in wide if part in model.projections_with_bias)
    return weights + biases + (model.features if "down" in model.projections_with_bias else 0)


def encoder_parameters(encoder: AudioEncoder) -> int:
    """Of a Whisper encoder: its key projection has no bias, everything else has (openai/whisper, model.py)."""
    width = encoder.features
    stem = encoder.kernel * (encoder.bins * width + width * width) + 2 * width
    attention = 4 * width * width + 3 * width
    feed_forward = 2 * width * encoder.hidden + encoder.hidden + width
    norms = 2 * 2 * width
    return stem + encoder.position_rows * width + encoder.layers * (attention + feed_forward + norms) + 2 * width


def checked(model: LanguageModel) -> LanguageModel:
    """`model` if its sizes can be a network's; otherwise InputError naming the field."""
    for field in ("layers", "features", "heads", "key_heads", "head_features", "hidden", "vocabulary", "positions"):
        if getattr(model, field) < 1:
            raise InputError(f"{model.name}: {field}", "too small", value=getattr(model, field), limit="at least 1")
    if model.heads % model.key_heads:
        raise InputError(
            f"{model.name}: key_heads", "must divide the heads", value=model.key_heads, limit=f"{model.heads} heads"
        )
    if not 1 <= model.experts_per_token <= model.experts:
        raise InputError(
            f"{model.name}: experts_per_token",
            "a token visits at least one expert and no more than there are",
            value=model.experts_per_token,
            limit=f"{model.experts} experts",
        )
    if model.window_layers and (model.window is None or model.window < 1):
        raise InputError(f"{model.name}: window", "layers with a window need its length", value=model.window)
    if not 0 <= model.window_layers <= model.layers:
        raise InputError(
            f"{model.name}: window_layers", "out of range", value=model.window_layers, limit=f"{model.layers} layers"
        )
    return model


def _norm_parameters(model: LanguageModel) -> int:
    vectors = 2 if model.norm == "layer" else 1
    norms = model.layers * (model.norms_in_layer + (1 if model.encoder else 0))
    norms += int(model.final_norm) + int(model.embedding_norm)
    return vectors * norms * model.features + (2 * model.layers * model.head_features if model.query_key_norm else 0)
