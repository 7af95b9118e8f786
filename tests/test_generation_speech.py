"""Speech encoders of one pass against their graphs; Whisper's encoder and cross-attention against counts by hand."""

from __future__ import annotations

import numpy as np
import pytest

from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.speech_model import speech_parameters
from simulator.generation.one_pass import SpeechSetting, pass_cost, pass_ridges, transcribe
from simulator.generation.operators import step_operators
from simulator.generation.parts import StepOperator
from simulator.generation.precision import parse_precision
from simulator.generation.speech import speech_operators
from simulator.generation.step import Cache, Step, cache_bytes
from simulator.rooflines.machine_file import load_machine
from systolic.generate_job import GenerateRequest, generate_job
from workloads.catalogue import build
from workloads.language_models import LANGUAGE_MODELS
from workloads.layers import learned_parameters
from workloads.speech_models import SPEECH_MODELS

INT8, FP16 = parse_precision("w8a8"), parse_precision("w16a16")
A100 = load_machine("a100")


def macs(operators: tuple[StepOperator, ...]) -> float:
    return sum(float(each.count * each.work.flops) / 2 for each in operators if each.work.is_matmul)


def matrices(graph: Graph) -> int:
    nests = [graph.nest_of(op) for op in graph.ops]
    read = {access.tensor for nest in nests if nest.kind == "mac" for access in nest.reads}
    return sum(graph.tensors[name].elements for name in (read & graph.parameters) - set(graph.constants))


@pytest.mark.parametrize("name", SPEECH_MODELS)
def test_sizes_count_the_parameters_of_the_graph(name: str) -> None:
    assert speech_parameters(SPEECH_MODELS[name]) == learned_parameters(build(name, seq=16))


@pytest.mark.parametrize("name", ["conformer-s", "conformer-l", "squeezeformer-xs", "squeezeformer-ml"])
@pytest.mark.parametrize(("frames", "batch"), [(16, 1), (203, 3), (350, 2)])
def test_a_pass_computes_and_reads_what_its_graph_does(name: str, frames: int, batch: int) -> None:
    graph = build(name, seq=frames, batch=batch)
    nests = [graph.nest_of(op) for op in graph.ops]
    operators = speech_operators(SPEECH_MODELS[name], frames, batch, INT8)
    assert macs(operators) == sum(nest.macs for nest in nests if nest.kind == "mac")
    read = sum(float(each.count * each.weight_bytes) for each in operators if each.work.is_matmul)
    assert read == matrices(graph)
    for function in ("layer_norm", "softmax", "silu", "relu"):
        expected = sum(nest.points for nest in nests if nest.function == function)
        found = sum(each.count * float(each.work.elements) for each in operators if each.work.function == function)
        assert found == expected, function


@pytest.mark.parametrize("name", ["conformer-m", "squeezeformer-s"])
def test_arrays_are_the_points_one_by_one(name: str) -> None:
    setting = SpeechSetting(model=SPEECH_MODELS[name], machine=A100, precision=FP16)
    found = transcribe(setting, [17, 1000, 3001], [1, 5])
    for row, frames in enumerate((17, 1000, 3001)):
        for column, batch in enumerate((1, 5)):
            one = pass_cost(setting, frames, batch)
            assert found.first_token_seconds[row, column] == pytest.approx(float(one.seconds), rel=1e-12)
            assert found.tokens_per_second[row, column] == pytest.approx(batch * (frames // 4) / float(one.seconds))


def test_a_pass_crosses_the_ridge_where_a_scan_finds_it() -> None:
    setting = SpeechSetting(model=SPEECH_MODELS["conformer-l"], machine=A100, precision=FP16)
    by_length, by_batch = pass_ridges(setting, np.array([400.0]), np.array([4.0]))
    batches, lengths = np.arange(1, 200), np.arange(8, 2500)
    bound = np.broadcast_to(pass_cost(setting, 400, batches).compute_bound, batches.shape)
    assert by_length[0] == batches[np.argmax(bound)]
    bound = np.broadcast_to(pass_cost(setting, lengths, 4).compute_bound, lengths.shape)
    assert by_batch[0] == lengths[np.argmax(bound)]


def test_frames_out_of_range_are_input_errors() -> None:
    setting = SpeechSetting(model=SPEECH_MODELS["squeezeformer-s"], machine=A100, precision=FP16)
    for frames in (7, 20_004):
        with pytest.raises(InputError, match=r"context: out of range .*8 to 20003 frames"):
            transcribe(setting, [frames], [1])
    for change in ({"diffuse": "block=4,steps=2"}, {"output_tokens": 4}, {"speculate": "stages=2,acceptance=1"}):
        with pytest.raises(InputError, match="in one pass"):
            generate_job(GenerateRequest(models=("conformer-s",), **change))
    with pytest.raises(InputError, match="drafts nothing"):
        generate_job(GenerateRequest(models=("gpt2",), speculate="draft=conformer-s,length=2,acceptance=0.5"))


def test_whisper_encodes_once_and_keeps_keys_and_values_of_the_audio() -> None:
    model = LANGUAGE_MODELS["whisper-base"]
    width, layers, positions, batch = 512, 6, 1500, 2
    step = Step(batch=batch, tokens=1, context=10)
    decoding = macs(step_operators(model, step, Cache(), INT8))
    # One token: self-attention to 11 tokens, cross-attention with two projections, feed-forward, logits.
    layer = 4 * width**2 + 2 * 11 * width + 2 * width**2 + 2 * positions * width + 8 * width**2
    assert decoding == batch * (layers * layer + width * model.vocabulary)
    encoded = macs(step_operators(model, step, Cache(), INT8, encodes=True)) - decoding
    stem = 2 * positions * 3 * 80 * width + positions * 3 * width * width
    block = positions * (4 * width**2 + 8 * width**2) + 2 * positions**2 * width
    assert encoded == batch * (stem + layers * block + layers * positions * 2 * width**2)
    assert cache_bytes(model, Cache(), INT8, tokens=10, batch=batch) == batch * layers * 2 * width * (positions + 10)
