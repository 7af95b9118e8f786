"""The catalogue: every network by name, and `build`, which refuses names and options it does not know.

A new network is one builder (or one row of sizes) and one row of WORKLOADS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Protocol

from model_ir.errors import InputError
from model_ir.graph import Graph
from workloads import (
    bert,
    conformer,
    digits_cnn,
    gpt2,
    jet_tagger,
    llama,
    llama_sizes,
    mobilenet,
    resnet,
    squeezeformer,
    token_classifier,
    vit,
)
from workloads.decoding import DEFAULT_CONTEXT_TOKENS, DEFAULT_PROMPT_TOKENS


class Builder(Protocol):
    """What builds a workload once its sizes are bound: options by keyword in, graph out."""

    def __call__(self, **options: int | str) -> Graph:
        """Build the graph; raises InputError for an option out of range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option that a workload takes, its default and what it counts."""

    name: str
    default: int | str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A row of the catalogue; `options` are all that the workload takes."""

    description: str
    builder: Builder
    options: tuple[Option, ...]

    @property
    def defaults(self) -> dict[str, int | str]:
        """The defaults by option name."""
        return {option.name: option.default for option in self.options}


BATCH = Option(name="batch", default=1, meaning="inputs at once")
TOKENS = (Option(name="seq", default=128, meaning="tokens"), BATCH)
FRAMES = (Option(name="seq", default=1000, meaning="frames of 10 ms"), BATCH)
IMAGE = (Option(name="image", default=224, meaning="pixels a side"), BATCH)
DECODER = (
    Option(name="seq", default=DEFAULT_PROMPT_TOKENS, meaning="new tokens; 1 unless given in the decode phase"),
    BATCH,
    Option(name="context", default=DEFAULT_CONTEXT_TOKENS, meaning="cached tokens, decode phase only"),
    Option(name="phase", default="prefill", meaning="prefill (whole prompt) or decode (after a key-value cache)"),
)


def _row(description: str, builder: Builder, options: tuple[Option, ...]) -> Workload:
    return Workload(description=description, builder=builder, options=options)


WORKLOADS: Mapping[str, Workload] = {
    "bert-base": _row("BERT-Base encoder with pooler, 110 M", partial(bert.build, bert.BERT_BASE), TOKENS),
    "bert-large": _row("BERT-Large encoder with pooler, 335 M", partial(bert.build, bert.BERT_LARGE), TOKENS),
    "gpt2": _row("GPT-2 small, 124 M", partial(gpt2.build, gpt2.GPT2_SMALL), DECODER),
    "gpt2-medium": _row("GPT-2 medium, 355 M", partial(gpt2.build, gpt2.GPT2_MEDIUM), DECODER),
    "gpt2-large": _row("GPT-2 large, 774 M", partial(gpt2.build, gpt2.GPT2_LARGE), DECODER),
    "gpt2-xl": _row("GPT-2 XL, 1.56 G", partial(gpt2.build, gpt2.GPT2_XL), DECODER),
    "llama-2-7b": _row("LLaMA 2, 6.7 G", partial(llama.build, llama_sizes.LLAMA_2_7B), DECODER),
    "llama-2-13b": _row("LLaMA 2, 13 G", partial(llama.build, llama_sizes.LLAMA_2_13B), DECODER),
    "llama-2-70b": _row("LLaMA 2, 69 G, 8 heads share", partial(llama.build, llama_sizes.LLAMA_2_70B), DECODER),
    "llama-3-8b": _row(
        "LLaMA 3, 8.0 G, 4 heads share keys and values", partial(llama.build, llama_sizes.LLAMA_3_8B), DECODER
    ),
    "llama-3-70b": _row("LLaMA 3, 71 G, 8 heads share", partial(llama.build, llama_sizes.LLAMA_3_70B), DECODER),
    "tinyllama-1.1b": _row("TinyLlama, 1.1 G, 8 heads share", partial(llama.build, llama_sizes.TINYLLAMA_1B), DECODER),
    "qwen2.5-0.5b": _row("Qwen2.5, 494 M, 7 heads share", partial(llama.build, llama_sizes.QWEN2_5_0B5), DECODER),
    "qwen2.5-1.5b": _row("Qwen2.5, 1.5 G, 6 heads share", partial(llama.build, llama_sizes.QWEN2_5_1B5), DECODER),
    "qwen2.5-7b": _row("Qwen2.5, 7.6 G, 7 heads share", partial(llama.build, llama_sizes.QWEN2_5_7B), DECODER),
    "qwen2.5-72b": _row("Qwen2.5, 73 G, 8 heads share", partial(llama.build, llama_sizes.QWEN2_5_72B), DECODER),
    "vit-s16": _row("Vision Transformer S/16, 22 M", partial(vit.build, vit.VIT_S16), IMAGE),
    "vit-b16": _row("Vision Transformer B/16, 87 M", partial(vit.build, vit.VIT_B16), IMAGE),
    "vit-l16": _row("Vision Transformer L/16, 304 M", partial(vit.build, vit.VIT_L16), IMAGE),
    "conformer-s": _row(
        "Conformer-S encoder, CTC head, 8.7 M", partial(conformer.build, conformer.CONFORMER_S), FRAMES
    ),
    "conformer-m": _row("Conformer-M encoder, CTC head, 27 M", partial(conformer.build, conformer.CONFORMER_M), FRAMES),
    "conformer-l": _row(
        "Conformer-L encoder, CTC head, 115 M", partial(conformer.build, conformer.CONFORMER_L), FRAMES
    ),
    "squeezeformer-xs": _row(
        "Squeezeformer-XS, CTC, 9.0 M", partial(squeezeformer.build, squeezeformer.SQUEEZEFORMER_XS), FRAMES
    ),
    "squeezeformer-s": _row(
        "Squeezeformer-S, CTC, 19 M", partial(squeezeformer.build, squeezeformer.SQUEEZEFORMER_S), FRAMES
    ),
    "squeezeformer-sm": _row(
        "Squeezeformer-SM, CTC, 28 M", partial(squeezeformer.build, squeezeformer.SQUEEZEFORMER_SM), FRAMES
    ),
    "squeezeformer-m": _row(
        "Squeezeformer-M, CTC, 56 M", partial(squeezeformer.build, squeezeformer.SQUEEZEFORMER_M), FRAMES
    ),
    "squeezeformer-ml": _row(
        "Squeezeformer-ML, CTC, 125 M", partial(squeezeformer.build, squeezeformer.SQUEEZEFORMER_ML), FRAMES
    ),
    "squeezeformer-l": _row(
        "Squeezeformer-L, CTC, 236 M", partial(squeezeformer.build, squeezeformer.SQUEEZEFORMER_L), FRAMES
    ),
    "resnet18": _row("ResNet-18, 12 M", partial(resnet.build, resnet.RESNET_18), IMAGE),
    "resnet34": _row("ResNet-34, 22 M", partial(resnet.build, resnet.RESNET_34), IMAGE),
    "resnet50": _row("ResNet-50 v1.5, 26 M", partial(resnet.build, resnet.RESNET_50), IMAGE),
    "mobilenet-v2": _row("MobileNet-V2, 3.5 M", partial(mobilenet.build, mobilenet.MOBILENET_V2), IMAGE),
    "mnasnet-b1": _row("MnasNet-B1, 4.4 M", partial(mobilenet.build, mobilenet.MNASNET_B1), IMAGE),
    "digits-transformer": _row(
        "small Transformer for 8x8 digits, 18 k", partial(token_classifier.build, token_classifier.DIGITS), (BATCH,)
    ),
    "jet-transformer": _row(
        "small Transformer over a jet's constituents, 10 k",
        partial(token_classifier.build, token_classifier.JETS),
        (BATCH,),
    ),
    "digits-cnn": _row("small CNN for 8x8 digits, 3682", partial(digits_cnn.build, digits_cnn.DIGITS_CNN), (BATCH,)),
    "jet-tagger": _row("16-64-32-32-5 jet tagger, 4389", partial(jet_tagger.build, jet_tagger.JET_TAGGER), (BATCH,)),
}


def build(
    name: str,
    *,
    seq: int | None = None,
    batch: int = 1,
    context: int | None = None,
    image: int | None = None,
    phase: str | None = None,
) -> Graph:
    """The graph of workload `name`; an option left at None takes the workload's default (see `Option.meaning` for
    units).

    Raises InputError for an unknown name (with the closest ones), for an option that the workload does not take and for
    one out of range.
    """
    workload = _find(name)
    asked: dict[str, int | str | None] = {
        "seq": seq,
        "batch": batch,
        "context": context,
        "image": image,
        "phase": phase,
    }
    given = {option: value for option, value in asked.items() if value is not None}
    takes = tuple(option.name for option in workload.options)
    for option, value in given.items():
        if option not in takes:
            raise InputError(
                f"{name}: {option}", "this workload has no such option", value=value, limit=", ".join(takes)
            )
    return workload.builder(**given)


def _find(name: str) -> Workload:
    if name in WORKLOADS:
        return WORKLOADS[name]
    close = get_close_matches(name.lower(), WORKLOADS, n=3)
    known = f"did you mean {', '.join(close)}?" if close else f"known: {', '.join(WORKLOADS)}"
    raise InputError("workloads", f"unknown workload; {known}", value=repr(name))
