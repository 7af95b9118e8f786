"""What each `model_type` of a config.json means in sizes. Field names and defaults are those of the configuration
classes of the transformers library (huggingface/transformers, src/transformers/models/*/configuration_*.py); which
projections have a bias and where norms stand is read from the modeling_*.py beside them. One more type is one function
and one line of MODEL_TYPES.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from model_ir.errors import InputError
from model_ir.language_model import ATTENTION, AudioEncoder, Projection
from workloads.hugging_face.fields import Fields
from workloads.language_models import ALL_BIASES, QKV, WHISPER_BIASES

Sizes = dict[str, Any]
GATED: tuple[Projection, ...] = ("gate", "up", "down")
LAYER_NORMED: Sizes = {"gated": False, "norm": "layer", "rotary": False, "projections_with_bias": ALL_BIASES}


def _base(fields: Fields, *, tied: bool, grouped: bool = True) -> Sizes:
    """Fields that carry the same names in most types."""
    heads = fields.size("num_attention_heads")
    return {
        "layers": fields.size("num_hidden_layers"),
        "features": fields.size("hidden_size"),
        "heads": heads,
        "key_heads": fields.size("num_key_value_heads", heads) if grouped else heads,
        "head_features": fields.divided("hidden_size", "num_attention_heads", "head_dim"),
        "hidden": fields.size("intermediate_size"),
        "vocabulary": fields.size("vocab_size"),
        "positions": fields.size("max_position_embeddings"),
        "tied": fields.flag("tie_word_embeddings", tied),
    }


def _named(
    fields: Fields, *, layers: str, features: str, heads: str, positions: str, key_heads: str | None = None
) -> Sizes:
    """The sizes of types that have names of their own for them."""
    count = fields.size(heads)
    return {
        "layers": fields.size(layers),
        "features": fields.size(features),
        "heads": count,
        "key_heads": fields.size(key_heads, count) if key_heads else count,
        "head_features": fields.divided(features, heads, "head_dim"),
        "vocabulary": fields.size("vocab_size"),
        "positions": fields.size(positions),
    }


def _biases(fields: Fields, *, attention: str = "attention_bias", hidden: str | None = None) -> Sizes:
    biased: tuple[Projection, ...] = ATTENTION if fields.flag(attention, False) else ()
    biased += GATED if hidden and fields.flag(hidden, False) else ()
    return {"projections_with_bias": biased}


def _window(fields: Fields, layers: int, *, absent: int | None = None) -> Sizes:
    window = fields.optional_size("sliding_window", absent=absent)
    return {"window": window, "window_layers": 0 if window is None else layers}


def _llama(fields: Fields) -> Sizes:
    return _base(fields, tied=False) | _biases(fields, hidden="mlp_bias")


def _mistral(fields: Fields) -> Sizes:
    sizes = _base(fields, tied=False)
    return sizes | _window(fields, sizes["layers"], absent=4096)


def _mixtral(fields: Fields) -> Sizes:
    sizes = _base(fields, tied=False)
    experts = {"experts": fields.size("num_local_experts"), "experts_per_token": fields.size("num_experts_per_tok")}
    return sizes | experts | _window(fields, sizes["layers"])


def _qwen_window(fields: Fields, layers: int) -> Sizes:
    # Layers from max_window_layers on slide, and only if use_sliding_window says so.
    fields.taken |= {"sliding_window", "max_window_layers"}
    if not fields.flag("use_sliding_window", False):
        return {}
    first = fields.size("max_window_layers", least=0)
    return {"window": fields.size("sliding_window"), "window_layers": max(0, layers - first)}


def _qwen2(fields: Fields) -> Sizes:
    sizes = _base(fields, tied=False)
    return sizes | {"projections_with_bias": QKV} | _qwen_window(fields, sizes["layers"])


def _qwen3(fields: Fields) -> Sizes:
    sizes = _base(fields, tied=False) | _biases(fields) | {"query_key_norm": True}
    return sizes | _qwen_window(fields, sizes["layers"])


def _qwen3_moe(fields: Fields) -> Sizes:
    fields.must_be("decoder_sparse_step", 1, "some layers would have no experts")
    fields.must_be("mlp_only_layers", [], "some layers would have no experts")
    experts = {"experts": fields.size("num_experts"), "experts_per_token": fields.size("num_experts_per_tok")}
    return _qwen3(fields) | experts | {"hidden": fields.size("moe_intermediate_size")}


def _gemma(fields: Fields) -> Sizes:
    fields.size("head_dim")
    return _base(fields, tied=True) | _biases(fields)


def _gemma2(fields: Fields) -> Sizes:
    # Every other layer slides, beginning with the first; norms before and after each of the two parts.
    sizes = _gemma(fields) | {"norms_in_layer": 4}
    return sizes | {"window": fields.size("sliding_window"), "window_layers": -(-sizes["layers"] // 2)}


def _gemma3(fields: Fields) -> Sizes:
    # Five layers slide, the sixth does not.
    sizes = _gemma2(fields) | {"query_key_norm": True}
    period = fields.size("sliding_window_pattern", 6)
    return sizes | {"window_layers": sizes["layers"] - sizes["layers"] // period}


def _phi(fields: Fields) -> Sizes:
    fields.must_be("qk_layernorm", False, "it adds norms to queries and keys")
    sizes = _base(fields, tied=False)
    biased = (*ALL_BIASES, "logits")
    return sizes | {"gated": False, "norm": "layer", "norms_in_layer": 1, "projections_with_bias": biased}


def _phi3(fields: Fields) -> Sizes:
    sizes = _base(fields, tied=False)
    return sizes | _window(fields, sizes["layers"])


def _gpt2(fields: Fields) -> Sizes:
    fields.must_be("add_cross_attention", False, "it adds a cross-attention to each layer")
    sizes = _named(fields, layers="n_layer", features="n_embd", heads="n_head", positions="n_positions")
    return sizes | {
        "hidden": fields.size("n_inner", 4 * sizes["features"]),
        "position_rows": sizes["positions"],
        "tied": fields.flag("tie_word_embeddings", True),
        **LAYER_NORMED,
    }


def _opt(fields: Fields) -> Sizes:
    features = fields.size("hidden_size")
    fields.must_be("word_embed_proj_dim", features, "the embedding would be projected")
    fields.must_be("do_layer_norm_before", True, "norms would stand after the sum")
    fields.must_be("_remove_final_layer_norm", False, "the last norm would be missing")
    fields.must_be("enable_bias", True, "projections would have no bias")
    sizes = _named(
        fields,
        layers="num_hidden_layers",
        features="hidden_size",
        heads="num_attention_heads",
        positions="max_position_embeddings",
    )
    return sizes | {
        "hidden": fields.size("ffn_dim"),
        # modeling_opt.py: the table has two rows more than positions.
        "position_rows": sizes["positions"] + 2,
        "tied": fields.flag("tie_word_embeddings", True),
        **LAYER_NORMED,
    }


def _gpt_neox(fields: Fields) -> Sizes:
    fields.must_be("attention_bias", True, "projections would have no bias")
    fields.taken.add("use_parallel_residual")
    sizes = _base(fields, tied=False, grouped=False)
    return sizes | {"gated": False, "norm": "layer", "projections_with_bias": ALL_BIASES}


def _bert(fields: Fields) -> Sizes:
    fields.must_be("is_decoder", False, "it would be causal")
    fields.must_be("add_cross_attention", False, "it adds a cross-attention to each layer")
    sizes = _base(fields, tied=True, grouped=False)
    return sizes | {
        "gated": False,
        "norm": "layer",
        "embedding_norm": True,
        "final_norm": False,
        "projections_with_bias": ALL_BIASES,
        "logits": False,
        "pooler": True,
        "causal": False,
        "rotary": False,
        "position_rows": sizes["positions"],
        "segment_rows": fields.size("type_vocab_size"),
    }


def _whisper(fields: Fields) -> Sizes:
    fields.taken.add("num_hidden_layers")
    sizes = _named(
        fields,
        layers="decoder_layers",
        features="d_model",
        heads="decoder_attention_heads",
        positions="max_target_positions",
    )
    heard = fields.size("max_source_positions")
    return sizes | {
        "hidden": fields.size("decoder_ffn_dim"),
        "position_rows": sizes["positions"],
        "tied": fields.flag("tie_word_embeddings", True),
        **LAYER_NORMED,
        "projections_with_bias": WHISPER_BIASES,
        "encoder": AudioEncoder(
            layers=fields.size("encoder_layers"),
            features=sizes["features"],
            heads=fields.size("encoder_attention_heads"),
            hidden=fields.size("encoder_ffn_dim"),
            positions=heard,
            position_rows=heard,
            bins=fields.size("num_mel_bins"),
        ),
    }


def _llada(fields: Fields) -> Sizes:
    # configuration_llada.py on the model card (GSAI-ML/LLaDA-8B-Base), whose names are OLMo's.
    fields.must_be("block_type", "llama", "another block has other matrices")
    fields.must_be("include_bias", False, "projections would have a bias")
    fields.must_be("include_qkv_bias", False, "projections would have a bias")
    fields.must_be("attention_layer_norm", False, "it adds norms to queries and keys")
    fields.must_be("rope", True, "positions would be learned or added")
    fields.must_be("layer_norm_type", "rms", "another norm has other parameters")
    sizes = _named(
        fields,
        layers="n_layers",
        features="d_model",
        heads="n_heads",
        key_heads="n_kv_heads",
        positions="max_sequence_length",
    )
    return sizes | {
        "hidden": fields.size("mlp_hidden_size"),
        "vocabulary": fields.size("embedding_size", sizes["vocabulary"]),
        "tied": fields.flag("weight_tying", False),
        "causal": False,
    }


MODEL_TYPES: Mapping[str, Callable[[Fields], Sizes]] = {
    "bert": _bert,
    "gemma": _gemma,
    "gemma2": _gemma2,
    "gemma3_text": _gemma3,
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "llada": _llada,
    "llama": _llama,
    "mistral": _mistral,
    "mixtral": _mixtral,
    "opt": _opt,
    "phi": _phi,
    "phi3": _phi3,
    "qwen2": _qwen2,
    "qwen3": _qwen3,
    "qwen3_moe": _qwen3_moe,
    "whisper": _whisper,
}


def sizes_of(fields: Fields) -> Sizes:
    """The sizes in `fields`, by the model type they state. Raises InputError for a type not known here."""
    kind = fields.table.get("model_type")
    if kind is None:
        raise InputError(f"{fields.path}: model_type", "is absent")
    if not isinstance(kind, str) or kind not in MODEL_TYPES:
        raise InputError(
            f"{fields.path}: model_type", "unknown type", value=repr(kind)[:80], limit=", ".join(MODEL_TYPES)
        )
    return _by_layer(fields, MODEL_TYPES[kind](fields))


def _by_layer(fields: Fields, sizes: Sizes) -> Sizes:
    """`sizes`, with the layers that have a window as `layer_types` lists them one by one, where the file does."""
    listed = fields.table.get("layer_types")
    fields.taken.add("layer_types")
    if listed is None:
        return sizes
    path, layers = f"{fields.path}: layer_types", sizes["layers"]
    if not isinstance(listed, list) or len(listed) != layers:
        raise InputError(path, "must list every layer", value=repr(listed)[:60], limit=f"{layers} layers")
    known = ("full_attention", "sliding_attention")
    for kind in listed:
        if kind not in known:
            raise InputError(path, "unknown kind of layer", value=repr(kind)[:60], limit=", ".join(known))
    sliding = listed.count("sliding_attention")
    window = fields.size("sliding_window") if sliding else sizes.get("window")
    return sizes | {"window": window, "window_layers": sliding}
