"""Language models as sizes: parameter counts as published, from the catalogue and from a config.json; what a bad file
says."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_ir.errors import InputError
from model_ir.language_model import LanguageModel, checked, parameters
from tests.hugging_face_configs import PUBLISHED
from workloads import llama_sizes
from workloads.catalogue import WORKLOADS, build
from workloads.hugging_face.file import read_config
from workloads.hugging_face.model_types import MODEL_TYPES
from workloads.language_models import LANGUAGE_MODELS, language_model
from workloads.layers import learned_parameters

# Billions, as papers and model cards print them: arXiv 2310.06825, 2401.04088, 2307.09288, 2407.21783, 2412.15115,
# 2212.04356, 2502.09992.
BILLIONS = {
    "gpt2": "0.124",
    "llama-2-7b": "6.74",
    "llama-2-13b": "13.0",
    "llama-2-70b": "69",
    "llama-3-8b": "8.03",
    "llama-3-70b": "70.6",
    "mistral-7b": "7.24",
    "mixtral-8x7b": "46.7",
    "qwen2.5-0.5b": "0.49",
    "qwen2.5-1.5b": "1.54",
    "qwen2.5-72b": "72.7",
    "llada-8b": "8.02",
    "whisper-large-v3": "1.54",
}
SAME = {
    "meta-llama/Llama-2-7b-hf": "llama-2-7b",
    "meta-llama/Meta-Llama-3-8B": "llama-3-8b",
    "mistralai/Mistral-7B-v0.1": "mistral-7b",
    "mistralai/Mixtral-8x7B-v0.1": "mixtral-8x7b",
    "Qwen/Qwen2.5-7B": "qwen2.5-7b",
    "openai-community/gpt2": "gpt2",
    "google-bert/bert-base-uncased": "bert-base",
    "openai/whisper-large-v3": "whisper-large-v3",
    "GSAI-ML/LLaDA-8B-Base": "llada-8b",
}
LLAMA = PUBLISHED["meta-llama/Llama-2-7b-hf"][0]


def written(folder: Path, config: Any) -> Path:
    file = folder / "model.json"
    file.write_text(json.dumps(config))
    return file


def model_or_fault(file: Path) -> LanguageModel | str:
    try:
        return read_config(file)
    except InputError as error:
        return str(error)


@pytest.mark.parametrize(("name", "printed"), BILLIONS.items())
def test_parameters_are_those_published(name: str, printed: str) -> None:
    decimals = len(printed.partition(".")[2])
    assert f"{parameters(LANGUAGE_MODELS[name]).total / 1e9:.{decimals}f}" == printed


def test_mixtral_makes_use_of_12_9_billion() -> None:
    counted = parameters(LANGUAGE_MODELS["mixtral-8x7b"])
    assert round(counted.active / 1e9, 1) == 12.9
    assert round(counted.total / 1e9, 1) == 46.7


@pytest.mark.parametrize("name", [name for name in LANGUAGE_MODELS if name in WORKLOADS])
def test_sizes_count_the_parameters_of_the_graph(name: str) -> None:
    assert parameters(LANGUAGE_MODELS[name]).total == learned_parameters(build(name, seq=4))


def test_every_llama_like_of_the_catalogue_is_a_language_model() -> None:
    assert {config.name for config in llama_sizes.CONFIGS} <= set(LANGUAGE_MODELS) & set(WORKLOADS)


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_every_row_of_the_catalogue_is_possible(name: str) -> None:
    assert checked(language_model(name)).source


@pytest.mark.parametrize("checkpoint", PUBLISHED)
def test_a_config_json_counts_what_the_model_card_says(checkpoint: str, tmp_path: Path) -> None:
    config, count = PUBLISHED[checkpoint]
    assert parameters(read_config(written(tmp_path, config))).total == count


def test_every_model_type_is_covered_by_a_published_checkpoint() -> None:
    assert {config["model_type"] for config, _ in PUBLISHED.values()} == set(MODEL_TYPES)


@pytest.mark.parametrize(("checkpoint", "name"), SAME.items())
def test_catalogue_and_config_json_agree(checkpoint: str, name: str, tmp_path: Path) -> None:
    read, row = read_config(written(tmp_path, PUBLISHED[checkpoint][0])), LANGUAGE_MODELS[name]
    skipped = {"name", "source", "notes", "positions"}
    for field in row.__dataclass_fields__:
        if field not in skipped:
            assert getattr(read, field) == getattr(row, field), field


def test_a_folder_with_a_config_json_is_named_after_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA))
    assert read_config(folder).name == read_config(folder / "config.json").name == "my-model"


@pytest.mark.parametrize("checkpoint", PUBLISHED)
def test_every_field_is_read_or_its_absence_is_an_error_or_a_note(checkpoint: str, tmp_path: Path) -> None:
    config = PUBLISHED[checkpoint][0]
    whole = read_config(written(tmp_path, config))
    for field in config:
        rest = {name: value for name, value in config.items() if name != field}
        read = model_or_fault(written(tmp_path, rest))
        if isinstance(read, str):
            assert field in read
            continue
        noted = [note for note in read.notes if field in note]
        same = all(
            getattr(read, name) == getattr(whole, name) for name in whole.__dataclass_fields__ if name != "notes"
        )
        assert noted or same, f"{field} changed the model without a note"


def test_layers_listed_one_by_one_say_which_have_a_window(tmp_path: Path) -> None:
    config = PUBLISHED["google/gemma-3-1b-pt"][0]
    implied = read_config(written(tmp_path, config))
    kinds = ["full_attention" if (layer + 1) % 6 == 0 else "sliding_attention" for layer in range(26)]
    listed = read_config(written(tmp_path, config | {"layer_types": kinds}))
    assert (listed.window, listed.window_layers) == (implied.window, implied.window_layers) == (512, 22)
    full = read_config(written(tmp_path, config | {"layer_types": ["full_attention"] * 26}))
    assert full.window_layers == 0
    for bad in (kinds[1:], [*kinds[1:], "chunked_attention"], "full_attention"):
        with pytest.raises(InputError, match="layer_types"):
            read_config(written(tmp_path, config | {"layer_types": bad}))


def test_a_configuration_as_the_hub_has_it_leaves_nothing_unread(tmp_path: Path) -> None:
    """Qwen/Qwen2-7B-Instruct, whole."""
    config = {
        "architectures": ["Qwen2ForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": 151643,
        "eos_token_id": 151645,
        "hidden_act": "silu",
        "hidden_size": 3584,
        "initializer_range": 0.02,
        "intermediate_size": 18944,
        "max_position_embeddings": 32768,
        "max_window_layers": 28,
        "model_type": "qwen2",
        "num_attention_heads": 28,
        "num_hidden_layers": 28,
        "num_key_value_heads": 4,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "sliding_window": 131072,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.41.2",
        "use_cache": True,
        "use_sliding_window": False,
        "vocab_size": 152064,
    }
    read = read_config(written(tmp_path, config))
    assert read.notes == ("head_dim is absent: 128 assumed, as the model type's default",)
    assert (read.window_layers, parameters(read).total) == (0, 7_615_616_512)


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    read = read_config(written(tmp_path, LLAMA | {"multi_token_heads": 3, "rope_theta": 1e6}))
    assert [note for note in read.notes if "multi_token_heads" in note]
    assert not [note for note in read.notes if "rope_theta" in note]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "mamba"}, "model_type: unknown type"),
        ({"model_type": None}, "model_type: is absent"),
        ({"model_type": ["llama"]}, "model_type: unknown type"),
        ({"hidden_size": 0}, "hidden_size: out of range"),
        ({"hidden_size": 1 << 40}, "hidden_size: out of range"),
        ({"hidden_size": "4096"}, "hidden_size: must be a whole number"),
        ({"hidden_size": True}, "hidden_size: must be a whole number"),
        ({"hidden_size": 4097}, "num_attention_heads: must divide hidden_size"),
        ({"num_hidden_layers": None}, "num_hidden_layers: is null"),
        ({"num_key_value_heads": 5}, "key_heads: must divide the heads"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings: must be true or false"),
        ({"torch_dtype": "int3"}, "torch_dtype: unknown type"),
        ({"model_type": "mixtral", "num_local_experts": 2, "num_experts_per_tok": 3}, "experts_per_token"),
        ({"model_type": "qwen3_moe", "decoder_sparse_step": 2}, "decoder_sparse_step: is not supported"),
        ({"model_type": "phi", "qk_layernorm": True}, "qk_layernorm: is not supported"),
    ],
)
def test_a_bad_field_is_named(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        read_config(written(tmp_path, LLAMA | change))


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff", b"null", b'"llama"', b"[" * 100_000])
def test_a_file_that_is_no_json_object_is_an_input_error(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"config\.json"):
        read_config(file)


def test_a_missing_file_and_an_unknown_name_are_input_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_config(tmp_path / "config.json")
    with pytest.raises(InputError, match="did you mean llama-2-7b"):
        language_model("LLaMA-2-7B")


@settings(derandomize=True, deadline=None, max_examples=150)
@given(
    kind=st.sampled_from(sorted(MODEL_TYPES)),
    field=st.sampled_from(sorted({field for config, _ in PUBLISHED.values() for field in config})),
    value=st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([1]), st.just({})
    ),
)
def test_no_value_of_a_field_raises_anything_else(kind: str, field: str, value: Any, tmp_path_factory: Any) -> None:
    config = next(config for config, _ in PUBLISHED.values() if config["model_type"] == kind)
    file = written(tmp_path_factory.getbasetemp(), config | {field: value})
    read = model_or_fault(file)
    assert read.startswith((str(file), "model")) if isinstance(read, str) else parameters(read).total > 0
