"""Operators of a step against the graph of the same execution, sets of visible tokens, and sizes counted by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_ir.errors import InputError
from model_ir.language_model import LanguageModel, parameters
from simulator.generation.cost import footprint, step_cost, stored_weight_bytes
from simulator.generation.experts import touched_experts
from simulator.generation.operators import step_operators
from simulator.generation.precision import Precision, computed_in, parse_precision
from simulator.generation.step import Cache, Step, cache_bytes, cached_tokens, check_cache, visible_pairs
from simulator.rooflines.machine_file import load_machine
from workloads import gpt2, llama, llama_sizes
from workloads.catalogue import build
from workloads.language_models import LANGUAGE_MODELS, of_gpt2, of_llama

KV, X, LATENT = Cache(), Cache(keeps="x"), Cache(keeps="x-latent")
INT8 = parse_precision("w8a8")
W4 = parse_precision("w4a16kv8")
LLAMA = LANGUAGE_MODELS["llama-2-7b"]
GROUPED = LANGUAGE_MODELS["llama-3-8b"]
MISTRAL = LANGUAGE_MODELS["mistral-7b"]
MIXTRAL = LANGUAGE_MODELS["mixtral-8x7b"]
DECODE = Step(batch=1, tokens=1, context=1000)


def macs(model: LanguageModel, step: Step, cache: Cache = KV, precision: Precision = INT8) -> float:
    operators = step_operators(model, step, cache, precision)
    return sum(float(each.count * each.work.flops) / 2 for each in operators if each.work.is_matmul)


def total(model: LanguageModel, step: Step, what: str, cache: Cache = KV, precision: Precision = INT8) -> float:
    return sum(float(each.count * getattr(each, what)) for each in step_operators(model, step, cache, precision))


@pytest.mark.parametrize("name", ["gpt2", "gpt2-xl", "llama-2-7b", "llama-3-8b", "tinyllama-1.1b", "qwen2.5-0.5b"])
@pytest.mark.parametrize(("phase", "tokens", "context", "batch"), [("prefill", 37, 0, 2), ("decode", 1, 130, 3)])
def test_a_step_computes_and_moves_what_its_graph_does(
    name: str, phase: str, tokens: int, context: int, batch: int
) -> None:
    graph = build(name, seq=tokens, batch=batch, context=context or None, phase=phase)
    model = LANGUAGE_MODELS[name]
    step = Step(batch=batch, tokens=tokens, context=context, whole_scores=True)
    nests = [graph.nest_of(op) for op in graph.ops]
    assert macs(model, step) == sum(nest.macs for nest in nests if nest.kind == "mac")
    matrices = {
        access.tensor
        for nest in nests
        if nest.kind == "mac"
        for access in nest.reads
        if access.tensor in graph.parameters
    }
    products = [each for each in step_operators(model, step, KV, INT8) if each.work.is_matmul]
    assert sum(each.count * each.weight_bytes for each in products) == sum(
        graph.tensors[tensor].elements for tensor in matrices
    )
    cache = [tensor for tensor in graph.outputs if tensor.startswith(("present_", "layers."))]
    kept = sum(graph.tensors[tensor].elements for tensor in cache)
    assert total(model, step, "cache_read_bytes") == kept
    assert cache_bytes(model, KV, INT8, tokens=context + tokens, batch=batch) == kept
    assert total(model, step, "cache_write_bytes") == kept * tokens / (context + tokens)


@pytest.mark.parametrize("config", [gpt2.GPT2_SMALL, llama_sizes.LLAMA_3_8B], ids=lambda config: config.name)
def test_norms_and_sums_are_the_graphs(config: gpt2.Gpt2Config | llama_sizes.LlamaConfig) -> None:
    if isinstance(config, gpt2.Gpt2Config):
        graph, model = gpt2.build(config, seq=8), of_gpt2(config)
    else:
        graph, model = llama.build(config, seq=8), of_llama(config)
    step = Step(batch=1, tokens=8, context=0, whole_scores=True)
    operators = step_operators(model, step, KV, INT8)
    for function in ("layer_norm", "rms_norm", "softmax", "gelu"):
        expected = sum(nest.points for nest in map(graph.nest_of, graph.ops) if nest.function == function)
        found = sum(each.count * float(each.work.elements) for each in operators if each.work.function == function)
        assert found == expected, function


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    context=st.integers(0, 40),
    tokens=st.integers(1, 20),
    window=st.none() | st.integers(1, 30),
    causal=st.booleans(),
)
def test_visible_pairs_are_those_counted_one_by_one(
    context: int, tokens: int, window: int | None, causal: bool
) -> None:
    window = window if causal else None
    pairs = sum(
        key <= query and (window is None or key > query - window) if causal else True
        for query in range(context, context + tokens)
        for key in range(context + tokens)
    )
    assert visible_pairs(Step(batch=1, tokens=tokens, context=context), KV, causal=causal, window=window) == pairs


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    contexts=st.lists(st.integers(0, 9000), min_size=1, max_size=3),
    batches=st.lists(st.integers(1, 300), min_size=1, max_size=3),
    tokens=st.integers(1, 9),
    name=st.sampled_from(["mistral-7b", "mixtral-8x7b", "llama-3-8b", "whisper-base", "llada-8b"]),
    keeps=st.sampled_from(["kv", "x", "x-latent"]),
    kept=st.none() | st.integers(1, 5000),
)
def test_arrays_are_the_points_one_by_one(
    contexts: list[int], batches: list[int], tokens: int, name: str, keeps: str, kept: int | None
) -> None:
    model, machine = LANGUAGE_MODELS[name], load_machine("a100")
    cache = Cache(keeps="kv" if model.encoder else keeps, kept_tokens=kept)  # type: ignore[arg-type]
    at_once = Step(batch=np.array(batches)[None, :], tokens=tokens, context=np.array(contexts)[:, None])
    found = step_cost(model, machine, at_once, cache, W4)
    for row, context in enumerate(contexts):
        for column, batch in enumerate(batches):
            one = step_cost(model, machine, Step(batch=batch, tokens=tokens, context=context), cache, W4)
            for field in ("seconds", "flops", "dram_bytes", "cache_read_bytes", "weight_bytes"):
                shape = np.broadcast_to(getattr(found, field), (len(contexts), len(batches)))
                assert shape[row, column] == pytest.approx(float(getattr(one, field)), rel=1e-12), field


def test_grouped_queries_read_keys_and_values_once() -> None:
    one_head_each = replace(GROUPED, key_heads=GROUPED.heads)
    assert 4 * total(GROUPED, DECODE, "cache_read_bytes") == total(one_head_each, DECODE, "cache_read_bytes")
    shared = [each for each in step_operators(GROUPED, DECODE, KV, INT8) if each.kind == "attention"]
    apart = [each for each in step_operators(one_head_each, DECODE, KV, INT8) if each.kind == "attention"]
    assert sum(each.count * each.work.flops for each in shared) == sum(each.count * each.work.flops for each in apart)


def test_a_window_bounds_the_cache_and_what_is_read_of_it() -> None:
    near, far = (Step(batch=1, tokens=1, context=context) for context in (5000, 50000))
    assert total(MISTRAL, near, "cache_read_bytes") == total(MISTRAL, far, "cache_read_bytes")
    assert total(MISTRAL, near, "cache_read_bytes") == 32 * 2 * 1024 * 4096
    assert cache_bytes(MISTRAL, KV, INT8, tokens=50000, batch=1) == 32 * 2 * 1024 * 4096
    free = replace(MISTRAL, window=None, window_layers=0)
    assert total(free, far, "cache_read_bytes") == 32 * 2 * 1024 * 50001


def test_a_budget_bounds_every_layer() -> None:
    kept = Cache(kept_tokens=256)
    assert cached_tokens(1000, kept) == 256
    assert total(LLAMA, DECODE, "cache_read_bytes", kept) == 32 * 2 * 4096 * 257
    assert cache_bytes(LLAMA, kept, INT8, tokens=1001, batch=2) == 2 * 32 * 2 * 4096 * 256


def test_keeping_inputs_halves_the_cache_of_multi_head_attention_and_computes_more() -> None:
    assert 2 * cache_bytes(LLAMA, X, INT8, tokens=900, batch=1) == cache_bytes(LLAMA, KV, INT8, tokens=900, batch=1)
    # Keys and values of 1000 earlier tokens again: 2 x 4096 x 4096 products each.
    assert macs(LLAMA, DECODE, X) - macs(LLAMA, DECODE) == 32 * 1000 * 2 * 4096 * 4096
    assert total(LLAMA, DECODE, "weight_bytes", X) == total(LLAMA, DECODE, "weight_bytes")
    assert total(LLAMA, DECODE, "cache_read_bytes", X) == 32 * 4096 * 1001


def test_keeping_inputs_of_grouped_attention_costs_memory_and_latents_do_not() -> None:
    kv, x, latent = (cache_bytes(GROUPED, cache, INT8, tokens=900, batch=1) for cache in (KV, X, LATENT))
    assert x == 2 * kv == 2 * latent
    assert any("2 times its keys and values" in note for note in check_cache(GROUPED, X))
    assert check_cache(LLAMA, X) == check_cache(GROUPED, LATENT) == check_cache(GROUPED, KV) == ()
    assert check_cache(LLAMA, LATENT)
    # Latents of the new token, then both square matrices for every token.
    extra = 32 * (1001 * 2 * 1024 * 1024)
    assert macs(GROUPED, DECODE, LATENT) - macs(GROUPED, DECODE) == extra


def test_experts_touched_are_those_of_drawing_them() -> None:
    draw = np.random.default_rng(0)
    for experts, per_token, tokens in ((8, 2, 1), (8, 2, 5), (60, 4, 30), (16, 16, 3)):
        sets = draw.random((20000, tokens, experts)).argsort(axis=-1)[..., :per_token].reshape(20000, -1)
        drawn = np.mean([len(set(each)) for each in sets[:4000].tolist()])
        assert touched_experts(experts, per_token, tokens) == pytest.approx(drawn, rel=0.01)


def test_a_mixture_reads_two_experts_for_one_token_and_nearly_all_for_many() -> None:
    expert = 3 * 4096 * 14336
    for batch, touched in ((1, 2.0), (64, 8.0)):
        step = Step(batch=batch, tokens=1, context=10)
        operators = step_operators(MIXTRAL, step, KV, INT8)
        read = sum(float(each.weight_bytes) for each in operators if each.name in ("gate and up", "down"))
        assert read / expert == pytest.approx(touched, rel=1e-6)
        work = sum(float(each.work.flops) for each in operators if each.name in ("gate and up", "down"))
        assert work == pytest.approx(2 * batch * 2 * expert)


def test_active_parameters_are_what_one_token_multiplies_with() -> None:
    counted = parameters(MIXTRAL)
    step = Step(batch=1, tokens=1, context=0)
    products = macs(MIXTRAL, step) - 32 * 2 * 4096  # less scores and weighted sum of the token with itself
    assert products == counted.active - counted.embedding - counted.norms


@pytest.mark.parametrize(
    ("text", "weight", "cache"),
    [
        ("w16a16", 16, 16),
        ("w4g128a16kv8", 4 + 20 / 128, 8),
        ("w8a8kv4g64", 8, 4 + 20 / 64),
        ("w3s0.0045a16", 3 + 0.0045 * 48, 16),
    ],
)
def test_bits_in_memory(text: str, weight: float, cache: float) -> None:
    precision = parse_precision(text)
    assert precision.mean_weight_bits == pytest.approx(weight)
    assert precision.stored_cache_bits == cache


@pytest.mark.parametrize(
    "text", ["", "w4", "a16", "w0a16", "w4a15", "w65a16", "w4a16kv0", "w4g0a16", "w4s1.5a16", "W4A16"]
)
def test_a_precision_that_is_none_is_an_input_error(text: str) -> None:
    with pytest.raises(InputError, match="precision"):
        parse_precision(text)


def test_weights_in_memory_follow_the_precision() -> None:
    assert stored_weight_bytes(LLAMA, parse_precision("w16a16")) == 2 * 6_738_415_616
    tables = 2 * (2 * 32000 * 4096 + 65 * 4096)
    assert stored_weight_bytes(LLAMA, parse_precision("w4a16")) == (6_738_415_616 - tables / 2) / 2 + tables
    dense, sparse = (stored_weight_bytes(LLAMA, parse_precision(text)) for text in ("w4a16", "w4s0.01a16"))
    assert sparse - dense == pytest.approx((6_738_415_616 - tables / 2) * 0.01 * 6)


def test_weight_bytes_of_a_step_are_the_parameters_in_memory() -> None:
    """One decode step reads everything but the embedding: its weights less that are all of the model's."""
    for name, text in (("llama-2-7b", "w4g128s0.01a16"), ("gpt2", "w16a16"), ("qwen2.5-7b", "w8a8")):
        model, precision = LANGUAGE_MODELS[name], parse_precision(text)
        read = total(model, DECODE, "weight_bytes", KV, precision)
        embedding = (parameters(model).embedding - (model.vocabulary * model.features if model.tied else 0)) * 2
        embedding = embedding if precision.activation_bits == 16 else embedding / 2
        # Small vectors of the projections count as matrices in memory: a few parts in a million.
        assert read == pytest.approx(stored_weight_bytes(model, precision) - embedding, rel=3e-4)


def test_a_machine_computes_in_a_format_as_wide_as_needed() -> None:
    machine = load_machine("a100")
    assert computed_in(parse_precision("w4a16"), machine) in ("bf16", "fp16")
    assert computed_in(parse_precision("w8a8"), machine) == "int8"
    assert computed_in(parse_precision("w16a8"), machine) in ("bf16", "fp16")
    with pytest.raises(InputError, match="no format of this machine is wide enough"):
        computed_in(parse_precision("w16a16"), load_machine("survey"))


def test_what_does_not_fit_says_by_how_much() -> None:
    machine, model = load_machine("a100"), LANGUAGE_MODELS["llama-2-70b"]
    needs = footprint(model, machine, parse_precision("w16a16"), KV, context=4096, batch=1)
    assert not needs.fits
    assert needs.excess_bytes == needs.total_bytes - machine.levels[0].capacity_bytes
    assert needs.weight_bytes == 2 * parameters(model).total
    assert footprint(model, machine, parse_precision("w4a16"), KV, context=4096, batch=1).fits


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    name=st.sampled_from(sorted(LANGUAGE_MODELS)),
    context=st.integers(0, 3000),
    batch=st.integers(1, 64),
    tokens=st.integers(1, 8),
)
def test_more_of_anything_never_takes_less_time(name: str, context: int, batch: int, tokens: int) -> None:
    model, machine = LANGUAGE_MODELS[name], load_machine("a100")

    def seconds(step: Step, precision: Precision = W4) -> float:
        return float(step_cost(model, machine, step, KV, precision).seconds)

    base = Step(batch=batch, tokens=tokens, context=context)
    here = seconds(base)
    assert seconds(replace(base, context=context + 64)) >= here
    assert seconds(replace(base, batch=batch + 1)) >= here
    assert seconds(replace(base, fused_attention=False)) >= here
    assert seconds(replace(base, whole_scores=True)) >= here
    assert seconds(base, parse_precision("w8a16kv8")) >= here
    assert seconds(base, parse_precision("w4a16kv16")) >= here


@pytest.mark.parametrize("name", sorted(LANGUAGE_MODELS))
def test_time_is_at_least_each_part_alone_and_kinds_add_up(name: str) -> None:
    step = Step(batch=4, tokens=1, context=400)
    cost = step_cost(LANGUAGE_MODELS[name], load_machine("a100"), step, KV, W4)
    assert cost.seconds >= max(cost.compute_seconds, cost.memory_seconds)
    assert sum(cost.seconds_by_kind.values()) == pytest.approx(float(cost.seconds))
    assert not bool(cost.compute_bound)
