"""Small sizes of every family execute on numpy and on jax.numpy alike, and their building blocks equal independent
definitions.
"""

from dataclasses import replace

import numpy as np
import pytest
from plain_layers import Plain
from workload_values import assert_close, inputs, outputs, parameters

from model_ir.builder import GraphBuilder
from model_ir.graph import Graph, execute
from model_ir.ops.normalisation import Softmax
from workloads import bert, conformer, gpt2, jet_tagger, llama, llama_sizes, mobilenet, resnet, squeezeformer, vit
from workloads.relative_attention import relative_positions, relative_self_attention

BERT = replace(bert.BERT_BASE, layers=2, features=16, heads=4, hidden=24, vocabulary=50, positions=20)
GPT2 = replace(gpt2.GPT2_SMALL, layers=2, features=12, heads=3, hidden=20, vocabulary=50, positions=20)
LLAMA = replace(
    llama_sizes.LLAMA_3_8B, layers=2, features=24, heads=6, key_heads=2, hidden=20, vocabulary=50, positions=20
)
QWEN = replace(
    llama_sizes.QWEN2_5_0B5, layers=1, features=24, heads=6, key_heads=2, hidden=20, vocabulary=50, positions=20
)
VIT = replace(vit.VIT_B16, layers=2, features=16, heads=4, hidden=24, patch=4, classes=7)
CONFORMER = replace(conformer.CONFORMER_S, layers=2, features=8, heads=2, kernel=4, vocabulary=11)
SQUEEZEFORMER = replace(
    squeezeformer.SQUEEZEFORMER_XS,
    layers=4,
    features=8,
    heads=2,
    kernel=5,
    vocabulary=11,
    reduce_before=1,
    recover_before=3,
)
RESNET = replace(resnet.RESNET_50, blocks=(2, 1, 1, 1), widths=(4, 4, 8, 8), stem=4, classes=7)
BASIC_RESNET = replace(resnet.RESNET_18, blocks=(1, 2, 1, 1), widths=(4, 8, 8, 16), stem=4, classes=7)
MOBILENET = replace(mobilenet.MOBILENET_V2, stages=mobilenet.MOBILENET_V2.stages[:3], stem=8, last=20, classes=7)
MNASNET = replace(mobilenet.MNASNET_B1, stages=mobilenet.MNASNET_B1.stages[:4], stem=8, last=20, classes=7)

SMALL = {
    "bert": bert.build(BERT, seq=7, batch=2),
    "gpt2-prefill": gpt2.build(GPT2, seq=7, batch=2),
    "gpt2-decode": gpt2.build(GPT2, context=6, batch=2, phase="decode"),
    "llama-prefill": llama.build(LLAMA, seq=7, batch=2),
    "llama-decode": llama.build(LLAMA, context=6, batch=2, phase="decode"),
    "qwen-prefill": llama.build(QWEN, seq=7),
    "vit": vit.build(VIT, image=12, batch=2),
    "conformer": conformer.build(CONFORMER, seq=41, batch=2),
    "squeezeformer-even": squeezeformer.build(SQUEEZEFORMER, seq=40, batch=2),
    "squeezeformer-odd": squeezeformer.build(SQUEEZEFORMER, seq=45, batch=2),
    "squeezeformer-least": squeezeformer.build(SQUEEZEFORMER, seq=8),
    "resnet-bottleneck": resnet.build(RESNET, image=48, batch=2),
    "resnet-basic": resnet.build(BASIC_RESNET, image=32),
    "mobilenet": mobilenet.build(MOBILENET, image=33, batch=2),
    "mnasnet": mobilenet.build(MNASNET, image=32),
    "jet-tagger": jet_tagger.build(jet_tagger.JET_TAGGER, batch=3),
}


@pytest.mark.parametrize("name", SMALL)
def test_numpy_and_jax_agree(name: str) -> None:
    jax = pytest.importorskip("jax")
    graph = SMALL[name]
    feeds = inputs(graph, rows=2) | parameters(graph)
    reference = outputs(graph, feeds)
    # Traced as one program: compiling every operator by itself takes five times as long.
    results = jax.jit(lambda values: execute(graph, values, jax.numpy))(feeds)
    for key, expected in zip(graph.outputs, reference, strict=True):
        assert_close(np.asarray(results[key]), expected)
    assert all(np.ptp(result) > 0 for result in reference)


@pytest.mark.parametrize(
    "name", [name for name, graph in SMALL.items() if graph.tensors[graph.inputs[0]].shape[0] == 2]
)
def test_the_inputs_of_a_batch_do_not_touch_each_other(name: str) -> None:
    graph = SMALL[name]
    feeds = inputs(graph, rows=2) | parameters(graph)
    swapped = feeds | {key: feeds[key][::-1] for key in graph.inputs}
    for result, expected in zip(outputs(graph, swapped), outputs(graph, feeds), strict=True):
        assert_close(result[::-1], expected, relative=1e-5)


def test_jet_tagger_gives_probabilities() -> None:
    graph = SMALL["jet-tagger"]
    (result,) = outputs(graph, inputs(graph, rows=1) | parameters(graph))
    np.testing.assert_allclose(result.sum(axis=-1), 1, rtol=1e-6)


def relative_graph(steps: int, features: int, heads: int) -> Graph:
    b = GraphBuilder("relative")
    x = b.input("x", (2, steps, features))
    return b.finish(
        relative_self_attention(b, x, relative_positions(b, "positions", steps, features), "attention", heads)
    )


@pytest.mark.parametrize(("steps", "heads"), [(1, 1), (2, 2), (5, 2), (6, 4)])
def test_relative_attention_scores_the_distance_of_query_and_key(steps: int, heads: int) -> None:
    graph = relative_graph(steps, 8, heads)
    feeds, values = inputs(graph, rows=1), parameters(graph)
    plain = Plain(values, epsilon=0.0)
    expected = np.stack([plain.relative_attention(x, "attention", heads) for x in feeds["x"]])
    assert_close(outputs(graph, feeds | values)[0], expected)


@pytest.mark.parametrize("name", ["bert", "vit", "conformer", "llama-prefill"])
def test_softmax_is_over_keys(name: str) -> None:
    graph = SMALL[name]
    softmaxes = [op for op in graph.ops if isinstance(op, Softmax)]
    assert len(softmaxes) == 2
    for op in softmaxes:
        shape = graph.tensors[op.outputs[0]].shape
        assert shape[-1] == shape[-2]
        assert op.axis in (-1, len(shape) - 1)
