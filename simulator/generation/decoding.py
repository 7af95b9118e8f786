"""Ways to decode, and the time that one output token takes by each: one by one, with speculation, by blocks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from model_ir.errors import InputError
from model_ir.language_model import LanguageModel, parameters
from simulator.generation.cost import StepCost, cost_of, step_cost, stored_weight_bytes
from simulator.generation.operators import step_operators
from simulator.generation.precision import Precision, computed_in
from simulator.generation.speculation import (
    Draft,
    Pipeline,
    check_draft,
    check_pipeline,
    draft_lengths,
    expected_round,
    pipeline_parts_per_token,
)
from simulator.generation.step import Cache, Step, cache_bytes
from simulator.rooflines.formats import Number
from simulator.rooflines.machine import Machine

MAX_OUTPUT_TOKENS = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What decodes on what: everything but the point (context, batch)."""

    model: LanguageModel
    machine: Machine
    precision: Precision
    cache: Cache = field(default_factory=Cache)
    fused_attention: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decoded:
    """`seconds` of one output token of every sequence of a batch, expected; `step` is the pass of the (large) model
    that most of it is; `extra_bytes` what has to be in memory besides that model and its cache (negative: less).
    `wait_seconds` pass between the prefill and the first token out, and `prefills` says whether there is a prefill."""

    seconds: Number
    step: StepCost
    extra_bytes: Number = 0.0
    wait_seconds: Number = 0.0
    prefills: bool = True


class Way(Protocol):
    """A way to decode: one more is one class with these."""

    @property
    def name(self) -> str:
        """As it is called on the command line."""

    def decoded(self, setting: Setting, context: Number, batch: Number) -> Decoded:
        """The expected time of a token after `context` others. Raises InputError for what cannot be."""

    def one_pass(self, setting: Setting, context: Number, batch: Number) -> StepCost:
        """The pass of the (large) model that is repeated, of which `decoded` is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneByOne:
    """Autoregressive: one token of every sequence a pass."""

    name: str = "one by one"

    def decoded(self, setting: Setting, context: Number, batch: Number) -> Decoded:
        """One pass a token. Raises InputError for a network that is not causal: its keys and values change with every
        new token."""
        if not setting.model.causal:
            raise InputError(
                setting.model.name, "is not causal: it cannot write one token after another; it decodes by diffusion"
            )
        cost = self.one_pass(setting, context, batch)
        return Decoded(seconds=cost.seconds, step=cost)

    def one_pass(self, setting: Setting, context: Number, batch: Number) -> StepCost:
        """One new token."""
        return decode_step(setting, context, batch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Speculative:
    """A `small` model drafts, the large one verifies, by the policies of `draft`. The small one keeps its own cache, in
    its own precision (None: that of the large one)."""

    small: LanguageModel
    draft: Draft
    precision: Precision | None = None
    name: str = "draft"

    def decoded(self, setting: Setting, context: Number, batch: Number) -> Decoded:
        """Expected time of a round over its expected tokens. All sequences of a batch go on together, so a round is as
        many tokens for each as for one: an upper estimate of the gain in a batch."""
        check_draft(self.draft)
        _same_words(self.small, setting.model)
        precision = self.precision or setting.precision
        little = replace(setting, model=self.small, precision=precision, cache=Cache())
        drafted: list[Number] = [0.0]
        for place in range(self.draft.length):
            drafted.append(drafted[-1] + decode_step(little, context + place, batch).seconds)
        seconds: Number = 0.0
        for count, chance in enumerate(draft_lengths(self.draft)):
            if chance:
                runs = count + (count < self.draft.length)
                verified = decode_step(setting, context, batch, tokens=count + 1).seconds
                seconds = seconds + chance * (drafted[runs] + verified)
        tokens, _ = expected_round(self.draft)
        kept = cache_bytes(self.small, Cache(), precision, tokens=context + self.draft.length, batch=batch)
        return Decoded(
            seconds=seconds / tokens,
            step=self.one_pass(setting, context, batch),
            extra_bytes=stored_weight_bytes(self.small, precision) + kept,
        )

    def one_pass(self, setting: Setting, context: Number, batch: Number) -> StepCost:
        """The verification of a whole draft."""
        return decode_step(setting, context, batch, tokens=self.draft.length + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipelined:
    """SPEED's: tokens in the layers one behind another."""

    pipeline: Pipeline
    name: str = "pipeline"

    def decoded(self, setting: Setting, context: Number, batch: Number) -> Decoded:
        """The expected parts between two tokens, each with as many tokens on the way as there are parts.

        With shared parameters a part is the layers of one, read once for all tokens on the way; otherwise all layers
        work at the same time, each part on another token, and all of them are read. The output projection is read once
        a part, for the token that is finished and for the prediction of the next one.
        """
        check_pipeline(self.pipeline, setting.model.layers)
        stages = self.pipeline.stages
        on_the_way = stages if self.pipeline.shared else 1
        layers = _part_of_step(setting, context, batch * on_the_way, logits=False).seconds
        logits = _part_of_step(setting, context, batch * min(stages, 2), logits=True).seconds
        matrices = parameters(setting.model).attention + parameters(setting.model).feed_forward
        shared = matrices * (1 - 1 / on_the_way) * setting.precision.mean_weight_bits / 8
        return Decoded(
            seconds=(layers / on_the_way + logits) * pipeline_parts_per_token(self.pipeline),
            step=self.one_pass(setting, context, batch),
            extra_bytes=-shared,
        )

    def one_pass(self, setting: Setting, context: Number, batch: Number) -> StepCost:
        """All layers, with every token on the way that shares their parameters."""
        return decode_step(setting, context, batch * (self.pipeline.stages if self.pipeline.shared else 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Diffusion:
    """Masked diffusion by blocks (LLaDA, arXiv 2502.09992, section 2.4; Block Diffusion, arXiv 2503.09573): a block of
    `block` tokens is denoised in `steps` passes, every token seeing every other. `cached`: earlier tokens are kept as
    keys and values and only the block passes (as Block Diffusion; Fast-dLLM, arXiv 2505.22618, approximates LLaDA so);
    otherwise the whole sequence passes every time, as LLaDA does."""

    block: int
    steps: int
    cached: bool = True
    name: str = "diffusion"

    def decoded(self, setting: Setting, context: Number, batch: Number) -> Decoded:
        """`steps` passes for `block` tokens."""
        _positive("diffusion: block", self.block)
        _positive("diffusion: steps", self.steps)
        cost = self.one_pass(setting, context, batch)
        return Decoded(
            seconds=cost.seconds * self.steps / self.block,
            step=cost,
            wait_seconds=cost.seconds * self.steps,
            prefills=self.cached,
        )

    def one_pass(self, setting: Setting, context: Number, batch: Number) -> StepCost:
        """One denoising of the block."""
        both_ways = replace(setting, model=replace(setting.model, causal=False, window=None, window_layers=0))
        new, earlier = (self.block, context) if self.cached else (context + self.block, np.zeros_like(context))
        return decode_step(both_ways, earlier, batch, tokens=new, logits_tokens=self.block)


def decode_step(
    setting: Setting, context: Number, batch: Number, *, tokens: Number = 1, logits_tokens: Number | None = None
) -> StepCost:
    """One pass over `tokens` new tokens of every sequence after `context` cached ones."""
    step = Step(
        batch=batch,
        tokens=tokens,
        context=context,
        logits_tokens=logits_tokens,
        fused_attention=setting.fused_attention,
    )
    return step_cost(setting.model, setting.machine, step, setting.cache, setting.precision)


def prefill_step(setting: Setting, prompt: Number, batch: Number) -> StepCost:
    """The whole prompt in one pass, logits of its last token only; with an encoder also the audio."""
    step = Step(batch=batch, tokens=prompt, context=0, logits_tokens=1, fused_attention=setting.fused_attention)
    # What is kept of no earlier token need not be computed again.
    cache = replace(setting.cache, kept_tokens=None)
    return step_cost(setting.model, setting.machine, step, cache, setting.precision, encodes=True)


def request_seconds(setting: Setting, way: Way, prompt: int, batch: int, output_tokens: int) -> float:
    """Seconds of a whole request: prefill of `prompt` tokens, whose pass writes the first output token, and the other
    `output_tokens` - 1, each with the context it finds. Raises InputError for no output tokens or more than
    MAX_OUTPUT_TOKENS."""
    if not 1 <= output_tokens <= MAX_OUTPUT_TOKENS:
        raise InputError("output tokens", "out of range", value=output_tokens, limit=f"1 to {MAX_OUTPUT_TOKENS}")
    contexts = np.arange(prompt, prompt + output_tokens - 1, dtype=float)
    first = first_token_seconds(prefill_step(setting, prompt, batch), way.decoded(setting, prompt, batch))
    if output_tokens == 1:
        return float(first)
    each = way.decoded(setting, contexts, batch).seconds
    return float(first) + float(np.sum(np.broadcast_to(each, contexts.shape)))


def first_token_seconds(prefill: StepCost, decoded: Decoded) -> Number:
    """From the prompt to the first token out."""
    return (prefill.seconds if decoded.prefills else 0.0) + decoded.wait_seconds


def _part_of_step(setting: Setting, context: Number, batch: Number, *, logits: bool) -> StepCost:
    """A decoding pass without the output projection, or that alone."""
    step = Step(batch=batch, tokens=1, context=context, fused_attention=setting.fused_attention)
    operators = step_operators(setting.model, step, setting.cache, setting.precision, counting=setting.machine.counting)
    chosen = [each for each in operators if (each.kind == "logits") == logits]
    return cost_of(chosen, setting.machine, computed_in(setting.precision, setting.machine))


def _same_words(small: LanguageModel, large: LanguageModel) -> None:
    if small.encoder is not None or large.encoder is not None:
        raise InputError(f"{large.name}: speculate", "a draft of a network with an encoder is not modelled")
    if abs(small.vocabulary - large.vocabulary) > 1024:
        # Checkpoints of one family pad their vocabulary differently (Qwen2.5: 151936 and 152064).
        raise InputError(
            f"{small.name}: vocabulary",
            "a draft needs the vocabulary of the large model",
            value=small.vocabulary,
            limit=f"{large.vocabulary} of {large.name}",
        )


def _positive(path: str, value: int) -> None:
    if value < 1:
        raise InputError(path, "too small", value=value, limit="at least 1")
