"""config.json of published checkpoints, cut to what states a size, with the parameters on their model cards."""

from typing import Any

Config = dict[str, Any]


def _llama_like(
    kind: str, layers: int, features: int, heads: int, keys: int, hidden: int, words: int, **more: Any
) -> Config:
    return {
        "model_type": kind,
        "num_hidden_layers": layers,
        "hidden_size": features,
        "num_attention_heads": heads,
        "num_key_value_heads": keys,
        "intermediate_size": hidden,
        "vocab_size": words,
        "max_position_embeddings": 4096,
        "torch_dtype": "bfloat16",
        "tie_word_embeddings": False,
    } | more


def _whisper(layers: int, features: int, heads: int, *, bins: int = 80, words: int = 51865) -> Config:
    sizes: Config = {"model_type": "whisper", "d_model": features, "vocab_size": words, "num_mel_bins": bins}
    for part in ("encoder", "decoder"):
        sizes |= {f"{part}_layers": layers, f"{part}_attention_heads": heads, f"{part}_ffn_dim": 4 * features}
    return sizes | {"max_source_positions": 1500, "max_target_positions": 448, "torch_dtype": "float32"}


# Checkpoint: (config, parameters as the model card's file sizes say).
PUBLISHED: dict[str, tuple[Config, int]] = {
    "meta-llama/Llama-2-7b-hf": (_llama_like("llama", 32, 4096, 32, 32, 11008, 32000), 6_738_415_616),
    "meta-llama/Meta-Llama-3-8B": (_llama_like("llama", 32, 4096, 32, 8, 14336, 128256), 8_030_261_248),
    "mistralai/Mistral-7B-v0.1": (
        _llama_like("mistral", 32, 4096, 32, 8, 14336, 32000, sliding_window=4096),
        7_241_732_096,
    ),
    "mistralai/Mixtral-8x7B-v0.1": (
        _llama_like(
            "mixtral", 32, 4096, 32, 8, 14336, 32000, num_local_experts=8, num_experts_per_tok=2, sliding_window=None
        ),
        46_702_792_704,
    ),
    "Qwen/Qwen2.5-0.5B": (
        _llama_like(
            "qwen2", 24, 896, 14, 2, 4864, 151936, tie_word_embeddings=True, use_sliding_window=False, sliding_window=1
        ),
        494_032_768,
    ),
    "Qwen/Qwen2.5-7B": (_llama_like("qwen2", 28, 3584, 28, 4, 18944, 152064), 7_615_616_512),
    "Qwen/Qwen3-8B": (_llama_like("qwen3", 36, 4096, 32, 8, 12288, 151936, head_dim=128), 8_190_735_360),
    "Qwen/Qwen3-30B-A3B": (
        _llama_like(
            "qwen3_moe",
            48,
            2048,
            32,
            4,
            6144,
            151936,
            head_dim=128,
            num_experts=128,
            num_experts_per_tok=8,
            moe_intermediate_size=768,
            decoder_sparse_step=1,
            mlp_only_layers=[],
        ),
        30_532_122_624,
    ),
    "google/gemma-2b": (
        _llama_like("gemma", 18, 2048, 8, 1, 16384, 256000, head_dim=256, tie_word_embeddings=True),
        2_506_172_416,
    ),
    "google/gemma-2-9b": (
        _llama_like(
            "gemma2", 42, 3584, 16, 8, 14336, 256000, head_dim=256, sliding_window=4096, tie_word_embeddings=True
        ),
        9_241_705_984,
    ),
    "google/gemma-3-1b-pt": (
        _llama_like(
            "gemma3_text",
            26,
            1152,
            4,
            1,
            6912,
            262144,
            head_dim=256,
            sliding_window=512,
            sliding_window_pattern=6,
            tie_word_embeddings=True,
        ),
        999_885_952,
    ),
    "microsoft/phi-2": (_llama_like("phi", 32, 2560, 32, 32, 10240, 51200), 2_779_683_840),
    "microsoft/Phi-3-mini-4k-instruct": (
        _llama_like("phi3", 32, 3072, 32, 32, 8192, 32064, sliding_window=2047),
        3_821_079_552,
    ),
    "openai-community/gpt2": (
        {"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "vocab_size": 50257},
        124_439_808,
    ),
    "facebook/opt-125m": (
        {
            "model_type": "opt",
            "num_hidden_layers": 12,
            "hidden_size": 768,
            "word_embed_proj_dim": 768,
            "num_attention_heads": 12,
            "ffn_dim": 3072,
            "vocab_size": 50272,
            "max_position_embeddings": 2048,
            "do_layer_norm_before": True,
        },
        125_239_296,
    ),
    "EleutherAI/pythia-6.9b": (_llama_like("gpt_neox", 32, 4096, 32, 32, 16384, 50432), 6_857_302_016),
    "google-bert/bert-base-uncased": (_llama_like("bert", 12, 768, 12, 12, 3072, 30522), 109_482_240),
    "openai/whisper-base": (_whisper(6, 512, 8), 72_593_920),
    "openai/whisper-large-v3": (_whisper(32, 1280, 20, bins=128, words=51866), 1_543_490_560),
    "GSAI-ML/LLaDA-8B-Base": (
        {
            "model_type": "llada",
            "n_layers": 32,
            "d_model": 4096,
            "n_heads": 32,
            "n_kv_heads": 32,
            "mlp_hidden_size": 12288,
            "vocab_size": 126464,
            "embedding_size": 126464,
            "max_sequence_length": 4096,
            "weight_tying": False,
            "block_type": "llama",
        },
        8_015_581_184,
    ),
}
PUBLISHED["google-bert/bert-base-uncased"][0].update(
    max_position_embeddings=512, type_vocab_size=2, tie_word_embeddings=True
)
