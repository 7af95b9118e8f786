"""The catalogue of language models as sizes: what generation is costed from. Those that have a builder are read from
its sizes; the others stand here, each with its source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches

from model_ir.errors import InputError
from model_ir.language_model import AudioEncoder, LanguageModel, Projection
from workloads import bert, gpt2, llama_sizes

ALL_BIASES: tuple[Projection, ...] = ("query", "key", "value", "output", "up", "down")
QKV: tuple[Projection, ...] = ("query", "key", "value")
WHISPER_BIASES: tuple[Projection, ...] = ("query", "value", "output", "up", "down")


def of_llama(config: llama_sizes.LlamaConfig) -> LanguageModel:
    """The sizes that `workloads.llama.build` builds from."""
    return LanguageModel(
        name=config.name,
        source="workloads.llama",
        layers=config.layers,
        features=config.features,
        heads=config.heads,
        key_heads=config.key_heads,
        head_features=config.features // config.heads,
        hidden=config.hidden,
        vocabulary=config.vocabulary,
        positions=config.positions,
        projections_with_bias=QKV if config.qkv_bias else (),
        tied=config.tied,
    )


def of_gpt2(config: gpt2.Gpt2Config) -> LanguageModel:
    """The sizes that `workloads.gpt2.build` builds from."""
    return replace(_layer_normed(config), source="workloads.gpt2")


def of_bert(config: bert.BertConfig) -> LanguageModel:
    """The sizes that `workloads.bert.build` builds from: an encoder, which generates nothing by itself."""
    return replace(
        _layer_normed(config),
        source="workloads.bert",
        embedding_norm=True,
        final_norm=False,
        logits=False,
        pooler=config.pooler,
        causal=False,
        segment_rows=config.segments,
    )


def _layer_normed(config: gpt2.Gpt2Config | bert.BertConfig) -> LanguageModel:
    """What GPT-2 and BERT share: LayerNorm, biases, learned positions, no gate, every head with keys of its own."""
    return LanguageModel(
        name=config.name,
        source="",
        layers=config.layers,
        features=config.features,
        heads=config.heads,
        key_heads=config.heads,
        head_features=config.features // config.heads,
        hidden=config.hidden,
        vocabulary=config.vocabulary,
        positions=config.positions,
        gated=False,
        norm="layer",
        projections_with_bias=ALL_BIASES,
        tied=True,
        rotary=False,
        position_rows=config.positions,
    )


def _whisper(size: str, layers: int, features: int, heads: int, *, bins: int = 80, words: int = 51865) -> LanguageModel:
    # arXiv 2212.04356, table 1: layers, width and heads of encoder and decoder alike; hidden = 4 width (openai/whisper,
    # model.py); 1500 positions of audio, 448 of text; vocabulary 51865 (multilingual), large-v3 51866 and 128 bins:
    # config.json on the model cards (openai/whisper-*).
    return LanguageModel(
        name=f"whisper-{size}",
        source="arXiv 2212.04356, table 1; model cards openai/whisper-*",
        layers=layers,
        features=features,
        heads=heads,
        key_heads=heads,
        head_features=features // heads,
        hidden=4 * features,
        vocabulary=words,
        positions=448,
        gated=False,
        norm="layer",
        projections_with_bias=WHISPER_BIASES,
        tied=True,
        rotary=False,
        position_rows=448,
        encoder=AudioEncoder(
            layers=layers,
            features=features,
            heads=heads,
            hidden=4 * features,
            positions=1500,
            position_rows=1500,
            bins=bins,
        ),
    )


# arXiv 2310.06825, table 1.
MISTRAL_7B = LanguageModel(
    name="mistral-7b",
    source="arXiv 2310.06825, table 1",
    layers=32,
    features=4096,
    heads=32,
    key_heads=8,
    head_features=128,
    hidden=14336,
    vocabulary=32000,
    positions=32768,
    window=4096,
    window_layers=32,
)
# arXiv 2401.04088, table 1: as Mistral 7B, full attention, 8 experts.
MIXTRAL_8X7B = replace(
    MISTRAL_7B,
    name="mixtral-8x7b",
    source="arXiv 2401.04088, table 1",
    window=None,
    window_layers=0,
    experts=8,
    experts_per_token=2,
)
# arXiv 2502.09992, section 2 and appendix B.2 (a LLaMA-3-like Transformer without the causal mask, all heads with keys
# of their own); sizes: config.json on the model card (GSAI-ML/LLaDA-8B-Instruct).
LLADA_8B = LanguageModel(
    name="llada-8b",
    source="arXiv 2502.09992; model card GSAI-ML/LLaDA-8B-Instruct",
    layers=32,
    features=4096,
    heads=32,
    key_heads=32,
    head_features=128,
    hidden=12288,
    vocabulary=126464,
    positions=4096,
    causal=False,
)

_ROWS = (
    *(of_gpt2(config) for config in (gpt2.GPT2_SMALL, gpt2.GPT2_MEDIUM, gpt2.GPT2_LARGE, gpt2.GPT2_XL)),
    *(of_llama(config) for config in llama_sizes.CONFIGS),
    MISTRAL_7B,
    MIXTRAL_8X7B,
    LLADA_8B,
    _whisper("tiny", 4, 384, 6),
    _whisper("base", 6, 512, 8),
    _whisper("small", 12, 768, 12),
    _whisper("medium", 24, 1024, 16),
    _whisper("large-v3", 32, 1280, 20, bins=128, words=51866),
    of_bert(bert.BERT_BASE),
    of_bert(bert.BERT_LARGE),
)
LANGUAGE_MODELS: Mapping[str, LanguageModel] = {model.name: model for model in _ROWS}


def language_model(name: str) -> LanguageModel:
    """The model of that name; InputError for another name, with the closest ones."""
    if name in LANGUAGE_MODELS:
        return LANGUAGE_MODELS[name]
    close = get_close_matches(name.lower(), LANGUAGE_MODELS, n=3)
    known = f"did you mean {', '.join(close)}?" if close else f"known: {', '.join(LANGUAGE_MODELS)}"
    raise InputError("language models", f"unknown model; {known}; or give a config.json", value=repr(name))
