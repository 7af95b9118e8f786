"""The catalogue as a seam: every row builds with what it says it takes, and nothing a user can ask is ignored or half
right.
"""

import inspect
import time
import tracemalloc
from functools import partial
from typing import Any

import pytest

from model_ir.errors import InputError
from workloads.catalogue import WORKLOADS, build


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_row_builds_under_its_own_name(name: str) -> None:
    graph = build(name)
    assert graph.name == name
    assert graph.macs > 0
    assert WORKLOADS[name].description


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_options_listed_are_those_of_the_builder(name: str) -> None:
    workload = WORKLOADS[name]
    assert isinstance(workload.builder, partial)
    signature = inspect.signature(workload.builder)
    assert {option.name for option in workload.options} == set(signature.parameters)
    for option, parameter in signature.parameters.items():
        assert parameter.default in (workload.defaults[option], None)


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_defaults_listed_build_the_default_graph(name: str) -> None:
    defaults: dict[str, Any] = {k: v for k, v in WORKLOADS[name].defaults.items() if k != "context"}
    listed, default = build(name, **defaults), build(name)
    assert listed.tensors == default.tensors
    assert listed.ops == default.ops


def test_a_decoder_decodes_one_token_after_the_default_context() -> None:
    defaults = WORKLOADS["gpt2"].defaults
    graph = build("gpt2", phase="decode")
    assert graph.tensors["input_ids"].shape == (1, 1)
    assert graph.tensors["past_key.0"].shape[2] == defaults["context"]


@pytest.mark.parametrize(
    "name", ["bert-base", "gpt2", "llama-3-8b", "vit-b16", "resnet50", "mobilenet-v2", "jet-tagger"]
)
def test_work_grows_with_the_batch(name: str) -> None:
    assert build(name, batch=4).macs == 4 * build(name).macs
    assert build(name, batch=4).parameter_count == build(name).parameter_count


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("bert", "bert-base"), ("resnet-50", "resnet50"), ("LLaMA-3-8B", "llama-3-8b"), ("gpt-2", "gpt2")],
)
def test_an_unknown_name_lists_the_closest(typed: str, meant: str) -> None:
    with pytest.raises(InputError, match=meant) as caught:
        build(typed)
    assert typed in str(caught.value)


def test_a_name_like_no_other_lists_all() -> None:
    with pytest.raises(InputError) as caught:
        build("quicksort")
    assert all(name in str(caught.value) for name in WORKLOADS)


@pytest.mark.parametrize(
    ("name", "options", "wrong", "limit"),
    [
        ("bert-base", {"image": 224}, "image", "seq, batch"),
        ("bert-base", {"phase": "decode"}, "phase", "seq, batch"),
        ("resnet50", {"seq": 128}, "seq", "image, batch"),
        ("jet-tagger", {"context": 3}, "context", "batch"),
        ("bert-base", {"seq": 0}, "seq", "at least 1"),
        ("bert-base", {"seq": 513}, "seq", "at most 512"),
        ("bert-base", {"batch": 0}, "batch", "at least 1"),
        ("bert-base", {"batch": -1}, "batch", "at least 1"),
        ("bert-base", {"seq": 12.0}, "seq", None),
        ("bert-base", {"seq": True}, "seq", None),
        ("gpt2", {"seq": 1025}, "seq", "at most 1024"),
        ("gpt2", {"phase": "decode", "context": 1024}, "context", "at most 1023"),
        ("gpt2", {"phase": "decode", "context": 0}, "context", "at least 1"),
        ("gpt2", {"phase": "decode", "context": 1000, "seq": 25}, "seq", "at most 24"),
        ("gpt2", {"context": 100}, "context", None),
        ("gpt2", {"phase": "train"}, "phase", "prefill or decode"),
        ("llama-3-8b", {"seq": 8193}, "seq", "at most 8192"),
        ("vit-b16", {"image": 15}, "image", "at least 16"),
        ("vit-b16", {"image": 230}, "image", "a multiple of 16"),
        ("resnet18", {"image": 31}, "image", "at least 32"),
        ("mnasnet-b1", {"image": 0}, "image", "at least 32"),
        ("conformer-s", {"seq": 3}, "seq", "at least 4"),
        ("squeezeformer-xs", {"seq": 7}, "seq", "at least 8"),
        ("squeezeformer-xs", {"seq": 20004}, "seq", "at most 20003"),
    ],
)
def test_a_wrong_option_is_named_with_value_and_limit(
    name: str, options: dict[str, Any], wrong: str, limit: str | None
) -> None:
    with pytest.raises(InputError) as caught:
        build(name, **options)
    assert caught.value.path == f"{name}: {wrong}"
    assert str(options[wrong]) in str(caught.value.value)
    assert caught.value.limit == limit


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("bert-base", {"seq": 512}),
        ("gpt2", {"seq": 1024}),
        ("gpt2", {"phase": "decode", "context": 1023}),
        ("vit-s16", {"image": 16}),
        ("resnet18", {"image": 32}),
        ("mobilenet-v2", {"image": 32}),
        ("conformer-s", {"seq": 4}),
        ("squeezeformer-xs", {"seq": 8}),
        ("squeezeformer-xs", {"seq": 20003}),
    ],
)
def test_the_ends_of_the_ranges_build(name: str, options: dict[str, Any]) -> None:
    assert build(name, **options).macs > 0


@pytest.mark.parametrize("options", [{"seq": 8192}, {"phase": "decode", "context": 8191}], ids=["prefill", "decode"])
def test_eight_billion_parameters_cost_neither_memory_nor_time(options: dict[str, Any]) -> None:
    build("llama-3-8b", seq=1)
    started = time.process_time()
    build("llama-3-8b", **options)
    # Measured 0.1 s: this catches a weight that is materialised, not a slow machine.
    assert time.process_time() - started < 2
    tracemalloc.start()
    graph = build("llama-3-8b", **options)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert graph.parameter_count > 8e9
    assert peak_bytes < 200 << 20
