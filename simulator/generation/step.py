"""One step of generation: which tokens are computed, which they see and what is kept of them. Sizes may be arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from model_ir.errors import InputError
from model_ir.language_model import LanguageModel
from simulator.generation.precision import Precision
from simulator.rooflines.formats import Number

Keeps = Literal["kv", "x", "x-latent"]
KEEPS: tuple[Keeps, ...] = ("kv", "x", "x-latent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """What is kept of earlier tokens.

    `keeps` "kv": keys and values. "x": the inputs X of each layer after its norm, from which keys and values are
    computed again (XQuant, Tomar et al., arXiv 2508.10395): half of the keys and values of multi-head attention, more
    than those of grouped-query attention with more than two heads a key head. "x-latent": its form for the latter, X
    times the left singular vectors of the key and of the value projection: as many numbers as keys and values, which
    quantise better. `kept_tokens`: no layer keeps more tokens than these (a compression budget); None: all.
    """

    keeps: Keeps = "kv"
    kept_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """`tokens` new tokens of each of `batch` sequences after `context` cached ones; numbers, or arrays that broadcast.

    `logits_tokens` of each sequence go through the output projection (None: all the new ones). `whole_scores`: scores
    are computed for every pair of a new and an earlier or new token, masked or not, as a graph does; otherwise for the
    pairs that are visible, as kernels that skip masked tiles do (FlashAttention-2, arXiv 2307.08691, section 3.1).
    `fused_attention`: scores never leave the chip; otherwise they are written and read around the softmax.
    """

    batch: Number
    tokens: Number
    context: Number
    logits_tokens: Number | None = None
    whole_scores: bool = False
    fused_attention: bool = True

    @property
    def rows(self) -> Number:
        """New tokens of all sequences."""
        return self.batch * self.tokens


def cached_tokens(context: Number, cache: Cache, window: int | None = None) -> Number:
    """Of `context` earlier tokens, those that a layer still holds: at most its window less the token that looks, and
    at most the budget."""
    held: Any = context if window is None else np.minimum(context, window - 1)
    tokens: Number = held if cache.kept_tokens is None else np.minimum(held, cache.kept_tokens)
    return tokens


def visible_pairs(step: Step, cache: Cache, *, causal: bool, window: int | None = None) -> Number:
    """Pairs (query, key) of one sequence of which the score counts.

    Causal: new token i (from 0) sees the held ones and 0 to i; with a window only the last `window` tokens up to
    itself. Not causal: every new token sees the held and the new ones.
    """
    held, tokens = cached_tokens(step.context, cache, window), step.tokens
    if step.whole_scores or not causal:
        return tokens * (held + tokens)
    if window is None:
        return tokens * held + tokens * (tokens + 1) / 2
    if cache.kept_tokens is None:
        return _windowed_pairs(step.context, tokens, window)
    # Which tokens a budget dropped is not known: the held ones count for every query, the new ones within the window.
    return tokens * held + _windowed_pairs(0, tokens, window)


def _windowed_pairs(context: Number, tokens: Number, window: int) -> Number:
    """Sum of min(position + 1, window) over positions context to context + tokens - 1."""
    growing = np.clip(window - np.asarray(context), 0, tokens)
    pairs: Number = growing * context + growing * (growing + 1) / 2 + (tokens - growing) * window
    return pairs


def cache_numbers(model: LanguageModel, cache: Cache) -> int:
    """Numbers kept of one token in one layer."""
    return model.features if cache.keeps == "x" else 2 * model.key_features


def cache_bytes(model: LanguageModel, cache: Cache, precision: Precision, *, tokens: Number, batch: Number) -> Number:
    """Bytes of everything kept of `batch` sequences of `tokens` tokens, over all layers; and of the audio, if there is
    an encoder, whose keys and values every layer of the decoder keeps."""
    full = cached_tokens(tokens, cache) * (model.layers - model.window_layers)
    windowed: Number = 0
    if model.window_layers:
        assert model.window is not None
        windowed = cached_tokens(tokens, cache, model.window + 1) * model.window_layers
    numbers = (full + windowed) * cache_numbers(model, cache)
    if model.encoder:
        numbers = numbers + model.layers * model.encoder.positions * 2 * model.key_features
    return batch * numbers * precision.stored_cache_bits / 8


def check_cache(model: LanguageModel, cache: Cache) -> tuple[str, ...]:
    """Notes on what `cache` does to `model`. Raises InputError for a budget below one token and for layer inputs kept
    of a network with cross-attention."""
    if cache.kept_tokens is not None and cache.kept_tokens < 1:
        raise InputError("cache: kept tokens", "too few", value=cache.kept_tokens, limit="at least 1")
    if cache.keeps not in KEEPS:
        raise InputError("cache: keeps", "unknown", value=repr(cache.keeps), limit=", ".join(KEEPS))
    if cache.keeps == "kv":
        return ()
    if model.encoder:
        raise InputError(
            f"{model.name}: cache", "with cross-attention only keys and values are kept", value=cache.keeps
        )
    inputs, pairs = model.features, 2 * model.key_features
    if cache.keeps == "x" and inputs > pairs:
        return (
            f"{model.name}: a layer's input ({inputs} numbers a token) is {inputs / pairs:.2g} times its keys and"
            f" values ({pairs}): keeping X costs memory here; x-latent keeps {pairs}",
        )
    if cache.keeps == "x-latent" and inputs <= pairs:
        return (f"{model.name}: X itself ({inputs} numbers a token) is no larger than its latents ({pairs})",)
    return ()
