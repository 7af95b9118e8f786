"""Batch normalisation in training: the batch's own statistics while it learns, the data's afterwards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hls.batch_norm import learned_statistics, with_batch_statistics
from hls.training import Recipe, initial_values, train, with_values
from model_ir.builder import GraphBuilder
from model_ir.errors import InputError
from model_ir.graph import Graph, execute, verify
from model_ir.ops.normalisation import BatchNorm
from model_ir.passes.fold_batch_norm import fold_batch_norm
from workloads import digits_cnn
from workloads.digits_cnn import DIGITS_CNN
from workloads.jet_tagger import JET_TAGGER_LOGITS
from workloads.jet_tagger import build as build_tagger
from workloads.tasks import load_digit_images

EPSILON = 1e-3


def norms(batch: int = 6, shape: tuple[int, ...] = (3, 4, 5), count: int = 2) -> Graph:
    """`count` batch norms in a row over (batch, *shape)."""
    b = GraphBuilder("norms")
    x = b.input("x", (batch, *shape))
    for index in range(count):
        parts = [b.parameter(f"n{index}.{part}", shape[:1]) for part in ("scale", "bias", "mean", "variance")]
        x = b.apply(BatchNorm, x, *parts, name=f"n{index}", epsilon=EPSILON)
    return b.finish(x)


def drawn(graph: Graph, samples: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    generator = np.random.default_rng(1)
    learned = with_batch_statistics(graph).parameters
    values = {name: generator.uniform(0.5, 2, graph.tensors[name].shape).astype(np.float32) for name in sorted(learned)}
    inputs = generator.normal(3, 2, (samples, *graph.tensors["x"].shape[1:])).astype(np.float32)
    return values, inputs


def test_a_batch_is_standardised_by_itself() -> None:
    graph = norms(count=1)
    values, inputs = drawn(graph, 6)
    learning = verify(with_batch_statistics(graph))
    assert learning.parameters == {"n0.scale", "n0.bias"}
    found = execute(learning, {**values, "x": inputs})["n0"]
    axes = (0, 2, 3)
    standard = (inputs - inputs.mean(axis=axes, keepdims=True)) / np.sqrt(
        inputs.var(axis=axes, keepdims=True) + EPSILON
    )
    scale, bias = (values[f"n0.{part}"].reshape(1, 3, 1, 1) for part in ("scale", "bias"))
    assert np.allclose(found, standard * scale + bias, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 4, 5), (3,)])
def test_statistics_are_averages_over_batches_of_what_each_norm_reads(shape: tuple[int, ...]) -> None:
    graph = norms(shape=shape)
    values, inputs = drawn(graph, 21)
    found = learned_statistics(graph, values, inputs)
    axes = tuple(axis for axis in range(len(shape) + 1) if axis != 1)
    # Three whole batches; the second norm reads what the first makes of each of them.
    firsts, seconds = [], []
    for batch in (inputs[:6], inputs[6:12], inputs[12:18]):
        firsts.append((batch.mean(axis=axes), batch.var(axis=axes, ddof=1)))
        aligned = [1, -1, *[1] * (len(shape) - 1)]
        y = (batch - batch.mean(axis=axes).reshape(aligned)) / np.sqrt(batch.var(axis=axes).reshape(aligned) + EPSILON)
        y = y * values["n0.scale"].reshape(aligned) + values["n0.bias"].reshape(aligned)
        seconds.append((y.mean(axis=axes), y.var(axis=axes, ddof=1)))
    for name, rows in (("n0", firsts), ("n1", seconds)):
        mean, variance = np.mean(rows, axis=0)
        assert np.allclose(found[f"{name}.mean"], mean, rtol=1e-5)
        assert np.allclose(found[f"{name}.variance"], variance, rtol=1e-5)


def test_known_statistics_and_graphs_without_any_stay_as_they_are() -> None:
    tagger = build_tagger(JET_TAGGER_LOGITS, batch=4)
    assert with_batch_statistics(tagger) is tagger
    graph = norms(count=1)
    known = {"n0.mean": np.ones(3, np.float32), "n0.variance": np.ones(3, np.float32)}
    frozen = replace(graph, constants=known)
    assert with_batch_statistics(frozen) is frozen
    assert learned_statistics(frozen, *drawn(graph, 6)) == {}


def test_what_has_no_statistics_of_its_own_is_refused() -> None:
    with pytest.raises(InputError, match="more than one element"):
        with_batch_statistics(norms(batch=1, shape=(3,)))
    graph = norms(count=2)
    first, second = graph.ops
    shared = replace(graph, ops=(first, replace(second, inputs=(*second.inputs[:3], *first.inputs[3:]))))
    with pytest.raises(InputError, match="share"):
        learned_statistics(shared, *drawn(graph, 6))


def test_a_convolutional_network_learns_and_keeps_what_it_learned_when_folded() -> None:
    task = load_digit_images()
    config = replace(DIGITS_CNN, channels=(4, 8), hidden=16)
    graph = digits_cnn.build(config, batch=32)
    trained = train(graph, task.train_inputs, task.train_labels, Recipe(epochs=8, learning_rate=1e-2))
    assert set(trained.values) == graph.parameters
    assert all(np.all(trained.values[f"conv_{index}.norm.variance"] > 0) for index in (0, 1))
    tested = with_values(digits_cnn.build(config, batch=600), trained.values)
    logits = execute(tested, {"image": task.test_inputs})["logits"]
    assert np.mean(logits.argmax(axis=1) == task.test_labels) > 0.93
    folded = fold_batch_norm(tested)
    assert not any(isinstance(op, BatchNorm) for op in folded.ops)
    assert np.allclose(execute(folded, {"image": task.test_inputs})["logits"], logits, atol=1e-3)


def test_convolutions_start_with_the_variance_of_their_fan_in() -> None:
    values = initial_values(digits_cnn.build(replace(DIGITS_CNN, channels=(64, 64))), 0)
    assert np.std(values["conv_1.weight"]) == pytest.approx((64 * 9) ** -0.5, rel=0.05)
    assert np.all(values["conv_1.norm.variance"] == 1)
