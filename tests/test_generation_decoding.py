"""Ways to decode: expectations against drawing and counting, times against sums done by hand, the ridge against a scan,
and sweeps against single answers."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_ir.errors import InputError
from simulator.generation.crossing import ridge_batch, ridge_prompt
from simulator.generation.decoding import (
    Diffusion,
    OneByOne,
    Pipelined,
    Setting,
    Speculative,
    decode_step,
    prefill_step,
    request_seconds,
)
from simulator.generation.precision import parse_precision
from simulator.generation.speculation import (
    Draft,
    Pipeline,
    draft_lengths,
    expected_round,
    expected_tokens,
    pipeline_parts_per_token,
)
from simulator.generation.step import Cache
from simulator.generation.sweep import generate, sweep
from simulator.rooflines.formats import FORMAT_BITS
from simulator.rooflines.machine_file import load_machine
from simulator.rooflines.machines import all_machine_names, find_machine
from workloads.language_models import LANGUAGE_MODELS

A100 = load_machine("a100")
FP16, W4 = parse_precision("w16a16"), parse_precision("w4a16kv8")
LARGE = Setting(model=LANGUAGE_MODELS["llama-2-13b"], machine=A100, precision=FP16)
SMALL = LANGUAGE_MODELS["tinyllama-1.1b"]


@pytest.mark.parametrize("length", [1, 2, 4, 7])
@pytest.mark.parametrize("acceptance", [0.0, 0.3, 0.8, 1.0])
def test_expected_tokens_are_those_of_every_outcome(length: int, acceptance: float) -> None:
    expected = 0.0
    for accepted in itertools.product((True, False), repeat=length):
        chance = np.prod([acceptance if each else 1 - acceptance for each in accepted])
        first_refused = next((place for place, each in enumerate(accepted) if not each), length)
        expected += chance * (first_refused + 1)
    assert expected_tokens(length, acceptance) == pytest.approx(expected, rel=1e-12)
    if acceptance < 1:
        closed = (1 - acceptance ** (length + 1)) / (1 - acceptance)
        assert expected_tokens(length, acceptance) == pytest.approx(closed, rel=1e-12)


@pytest.mark.parametrize("draft", [Draft(length=5, acceptance=0.8, fallback=0.25), Draft(length=3, acceptance=0.5)])
def test_a_round_is_that_of_playing_it(draft: Draft) -> None:
    draw = np.random.default_rng(1)
    tokens = runs = 0
    rounds = 40_000
    for _ in range(rounds):
        drafted = 0
        while drafted < draft.length:
            runs += 1
            if draw.random() < draft.fallback:
                break
            drafted += 1
        taken = 0
        while taken < drafted and draw.random() < draft.acceptance:
            taken += 1
        tokens += taken + 1
    expected, expected_runs = expected_round(draft)
    assert expected == pytest.approx(tokens / rounds, rel=0.02)
    assert expected_runs == pytest.approx(runs / rounds, rel=0.02)
    assert sum(draft_lengths(draft)) == pytest.approx(1)


@pytest.mark.parametrize("pipeline", [Pipeline(stages=4, acceptance=0.7), Pipeline(stages=6, acceptance=0.0)])
def test_parts_between_tokens_are_those_of_playing_the_pipeline(pipeline: Pipeline) -> None:
    """A token started at part s is finished at s + stages; the next starts at s + 1 if its prediction was right, else
    when this one is finished."""
    draw, start, count = np.random.default_rng(2), 0, 50_000
    for right in draw.random(count) < pipeline.acceptance:
        start += 1 if right else pipeline.stages
    assert pipeline_parts_per_token(pipeline) == pytest.approx(start / count, rel=0.02)


@pytest.mark.parametrize("fallback", [0.0, 0.2])
def test_a_drafted_token_takes_the_rounds_time_over_its_tokens(fallback: float) -> None:
    way = Speculative(small=SMALL, precision=W4, draft=Draft(length=4, acceptance=0.8, fallback=fallback))
    small = replace(LARGE, model=SMALL, precision=W4)
    seconds, tokens = 0.0, 0.0
    for count, chance in enumerate(draft_lengths(way.draft)):
        runs = min(4, count + 1)
        drafting = sum(float(decode_step(small, 1000 + place, 1).seconds) for place in range(runs))
        seconds += chance * (drafting + float(decode_step(LARGE, 1000, 1, tokens=count + 1).seconds))
        tokens += chance * expected_tokens(count, 0.8)
    assert float(way.decoded(LARGE, 1000, 1).seconds) == pytest.approx(seconds / tokens)


def test_a_good_small_draft_gains_and_a_useless_one_loses() -> None:
    plain = float(OneByOne().decoded(LARGE, 1000, 1).seconds)

    def drafted(acceptance: float) -> float:
        way = Speculative(small=SMALL, precision=FP16, draft=Draft(length=4, acceptance=acceptance))
        return float(way.decoded(LARGE, 1000, 1).seconds)

    assert drafted(0.9) < plain / 2
    assert drafted(0.0) > plain
    assert drafted(0.9) < drafted(0.8) < drafted(0.1)


def test_a_draft_of_nothing_but_fallback_is_one_by_one_and_a_run_of_the_small_model() -> None:
    way = Speculative(small=SMALL, precision=FP16, draft=Draft(length=4, acceptance=0.9, fallback=1.0))
    little = float(decode_step(replace(LARGE, model=SMALL), 500, 2).seconds)
    assert float(way.decoded(LARGE, 500, 2).seconds) == pytest.approx(
        float(decode_step(LARGE, 500, 2).seconds) + little
    )


def test_a_pipeline_of_one_part_is_one_by_one() -> None:
    for shared in (True, False):
        way = Pipelined(pipeline=Pipeline(stages=1, acceptance=0.5, shared=shared))
        one = float(OneByOne().decoded(LARGE, 700, 3).seconds)
        assert float(way.decoded(LARGE, 700, 3).seconds) == pytest.approx(one)


def test_sharing_parameters_is_what_gains_in_a_pipeline() -> None:
    one = float(OneByOne().decoded(LARGE, 700, 1).seconds)
    shared, apart = (
        float(Pipelined(pipeline=Pipeline(stages=4, acceptance=1.0, shared=each)).decoded(LARGE, 700, 1).seconds)
        for each in (True, False)
    )
    assert shared < one / 3
    assert apart == pytest.approx(one, rel=0.01)


def test_a_part_of_a_pipeline_reads_the_output_projection_once_for_two_rows() -> None:
    """At a batch bound by compute, where rows cost: a quarter of the layers for four tokens, the projection for two."""
    batch, stages = 256, 4
    way = Pipelined(pipeline=Pipeline(stages=stages, acceptance=0.75))
    whole, twice, wide = (decode_step(LARGE, 64, rows).seconds_by_kind for rows in (batch, 2 * batch, stages * batch))
    layers = sum(float(seconds) for kind, seconds in wide.items() if kind != "logits") / stages
    assert float(twice["logits"]) > 1.5 * float(whole["logits"])
    expected = (layers + float(twice["logits"])) * (0.75 + 0.25 * stages)
    assert float(way.decoded(LARGE, 64, batch).seconds) == pytest.approx(expected)


@pytest.mark.parametrize("name", all_machine_names())
def test_every_machine_generates_in_its_narrowest_format(name: str) -> None:
    machine = find_machine(name)
    bits = min(max(FORMAT_BITS[each], 4) for each in machine.formats)
    setting = Setting(model=LANGUAGE_MODELS["gpt2"], machine=machine, precision=parse_precision(f"w{bits}a{bits}"))
    found = generate(setting, [128, 512], [1, 16])
    assert np.isfinite(found.token_seconds).all()
    assert (found.token_seconds > 0).all()
    assert (np.diff(found.token_seconds, axis=0) > 0).all()
    assert (np.diff(found.token_seconds, axis=1) >= 0).all()
    assert (found.tokens_per_second[:, 1] >= found.tokens_per_second[:, 0]).all()


def test_diffusion_of_one_token_in_one_step_is_one_by_one() -> None:
    one = float(OneByOne().decoded(LARGE, 700, 3).seconds)
    assert float(Diffusion(block=1, steps=1).decoded(LARGE, 700, 3).seconds) == pytest.approx(one)


def test_diffusion_gains_by_tokens_a_step_and_pays_for_no_cache() -> None:
    one = float(OneByOne().decoded(LARGE, 700, 1).seconds)
    cached, fewer, bare = (
        float(way.decoded(LARGE, 700, 1).seconds)
        for way in (
            Diffusion(block=32, steps=16),
            Diffusion(block=32, steps=8),
            Diffusion(block=32, steps=16, cached=False),
        )
    )
    assert one / 2 < cached < one
    assert fewer == pytest.approx(cached / 2)
    assert bare > 3 * cached


def test_without_a_cache_the_whole_sequence_is_computed() -> None:
    model = LANGUAGE_MODELS["llada-8b"]
    setting = replace(LARGE, model=model)
    bare = Diffusion(block=16, steps=16, cached=False).decoded(setting, 100, 1)
    whole = decode_step(setting, 0, 1, tokens=116, logits_tokens=16)
    assert bare.step.flops == whole.flops


def test_a_masked_model_writes_by_diffusion_only() -> None:
    setting = replace(LARGE, model=LANGUAGE_MODELS["llada-8b"])
    with pytest.raises(InputError, match="not causal"):
        generate(setting, [512], [1])
    assert generate(setting, [512], [1], way=Diffusion(block=32, steps=32)).token_seconds.shape == (1, 1)


@settings(derandomize=True, deadline=None, max_examples=12)
@given(
    context=st.integers(1, 4000),
    name=st.sampled_from(["llama-2-7b", "llama-3-8b", "mixtral-8x7b", "gpt2", "whisper-small"]),
    keeps=st.sampled_from(["kv", "x"]),
)
def test_the_ridge_is_where_a_scan_finds_it(context: int, name: str, keeps: str) -> None:
    model = LANGUAGE_MODELS[name]
    cache = Cache(keeps="kv" if model.encoder else keeps)  # type: ignore[arg-type]
    setting = Setting(model=model, machine=A100, precision=W4, cache=cache)
    found = ridge_batch(setting, np.array([context]), OneByOne())[0]
    scanned = np.arange(1, 600)
    bound = np.asarray(decode_step(setting, context, scanned).compute_bound)
    if bound.any():
        assert found == scanned[np.argmax(bound)]
    else:
        assert np.isnan(found) or found >= 600


def test_a_prompt_crosses_the_ridge_where_a_scan_finds_it() -> None:
    setting = replace(LARGE, precision=FP16)
    found = ridge_prompt(setting, np.array([1, 4]))
    for batch, prompt in zip((1, 4), found, strict=True):
        bound = np.asarray(prefill_step(setting, np.arange(1, 600), batch).compute_bound)
        assert prompt == 1 + np.argmax(bound)


def test_long_contexts_keep_decoding_bound_by_memory_at_any_batch() -> None:
    setting = Setting(model=LANGUAGE_MODELS["llama-2-7b"], machine=A100, precision=FP16)
    short, long = ridge_batch(setting, np.array([16, 32768]), OneByOne())
    assert 100 < short < 1000
    assert np.isnan(long)


def test_a_request_is_its_prefill_and_its_tokens_one_by_one() -> None:
    expected = float(prefill_step(LARGE, 300, 2).seconds) + sum(
        float(decode_step(LARGE, context, 2).seconds) for context in range(300, 310)
    )
    assert request_seconds(LARGE, OneByOne(), 300, 2, 11) == pytest.approx(expected)
    assert request_seconds(LARGE, OneByOne(), 300, 2, 1) == float(prefill_step(LARGE, 300, 2).seconds)


def test_a_sweep_is_its_single_answers() -> None:
    models = [LANGUAGE_MODELS["llama-3-8b"], LANGUAGE_MODELS["mixtral-8x7b"]]
    found = sweep(models, [A100], [FP16, W4], [128, 5000], [1, 9])
    assert [(each.setting.model.name, each.setting.precision.text) for each in found] == [
        (model.name, precision.text) for model in models for precision in (FP16, W4)
    ]
    for each in found:
        for row, context in enumerate((128, 5000)):
            for column, batch in enumerate((1, 9)):
                alone = generate(each.setting, [context], [batch])
                assert each.token_seconds[row, column] == pytest.approx(alone.token_seconds[0, 0])
                assert each.first_token_seconds[row, column] == pytest.approx(alone.first_token_seconds[0, 0])
                total = each.table(each.memory.total_bytes)[row, column]
                assert total == pytest.approx(alone.table(alone.memory.total_bytes)[0, 0])


def test_ten_thousand_points_are_all_answered() -> None:
    models = [
        LANGUAGE_MODELS[name] for name in ("llama-2-7b", "llama-3-8b", "mistral-7b", "mixtral-8x7b", "qwen2.5-7b")
    ]
    machines = [find_machine(name) for name in ("a100", "h100", "t4", "tpu-v4", "jetson-orin")]
    found = sweep(models, machines, [FP16, W4], range(512, 10752, 512), range(1, 161, 16))
    assert sum(each.token_seconds.size for each in found) == 10_000
    assert all((each.token_seconds > 0).all() for each in found)


def test_tokens_a_second_are_the_batch_over_the_time_of_a_token() -> None:
    found = generate(LARGE, [256], [1, 8])
    assert found.tokens_per_second[0] == pytest.approx([1, 8] / found.token_seconds[0])
    # Weights of 26 GB at A100's bandwidth bound the first token from below.
    assert found.token_seconds[0, 0] >= 26.0e9 * 0.98 / A100.boundaries[0].bandwidth_bytes_per_second  # type: ignore[operator]


@pytest.mark.parametrize(
    ("contexts", "batches", "change", "said"),
    [
        ([], [1], {}, "context: no value"),
        ([0], [1], {}, "context: out of range"),
        ([1], [0], {}, "batch: out of range"),
        ([1], [1], {"model": LANGUAGE_MODELS["bert-base"]}, "generates nothing"),
        ([1], [1], {"cache": Cache(kept_tokens=0)}, "kept tokens: too few"),
        ([1], [1], {"machine": load_machine("survey")}, "no format of this machine"),
        ([1], [1], {"model": LANGUAGE_MODELS["whisper-base"], "cache": Cache(keeps="x")}, "cross-attention"),
    ],
)
def test_what_cannot_be_generated_says_why(contexts: list[int], batches: list[int], change: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        generate(replace(LARGE, **change), contexts, batches)


@pytest.mark.parametrize(
    ("way", "said"),
    [
        (Speculative(small=SMALL, precision=FP16, draft=Draft(length=0, acceptance=0.5)), "length: out of range"),
        (Speculative(small=SMALL, precision=FP16, draft=Draft(length=4, acceptance=1.5)), "is no probability"),
        (Speculative(small=SMALL, precision=FP16, draft=Draft(length=4, acceptance=0.5, fallback=-1)), "fallback"),
        (
            Speculative(small=LANGUAGE_MODELS["gpt2"], precision=FP16, draft=Draft(length=4, acceptance=0.5)),
            "vocabulary",
        ),
        (Pipelined(pipeline=Pipeline(stages=7, acceptance=0.5)), "must divide the layers"),
        (Diffusion(block=0, steps=3), "block: too small"),
        (Diffusion(block=3, steps=0), "steps: too small"),
    ],
)
def test_a_way_that_cannot_be_says_why(way: Speculative | Pipelined | Diffusion, said: str) -> None:
    with pytest.raises(InputError, match=said):
        generate(LARGE, [100], [1], way=way)


def test_contexts_longer_than_the_checkpoint_are_noted() -> None:
    assert any("longer than the checkpoint" in note for note in generate(LARGE, [100, 5000], [1]).notes)
    assert generate(LARGE, [100, 4096], [1]).notes == ()
