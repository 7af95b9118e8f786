"""Distilled data match what batch norms remember, and calibrate a trained network as its own data do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from quantised_networks import mlp

from hls.allocation.network import quantisable
from hls.quantise.calibrate import calibrated
from hls.quantise.insert import quantised
from hls.quantise.integer_form import integer_form, run
from hls.quantise.zero_shot import distilled, statistics_distance
from hls.training import Recipe, train, with_values
from model_ir.builder import GraphBuilder
from model_ir.errors import InputError
from model_ir.graph import Graph, execute
from model_ir.ops.normalisation import BatchNorm
from model_ir.passes.pipeline import run_passes
from workloads.layers import constant
from workloads.tasks import TRAINABLE, Task

SAMPLES = 96


@pytest.fixture(scope="module")
def task() -> Task:
    return TRAINABLE["digits-cnn"].load(None)


@pytest.fixture(scope="module")
def network(task: Task) -> Graph:
    graph = TRAINABLE["digits-cnn"].build(batch=64)
    recipe = Recipe(epochs=8, learning_rate=1e-2)
    return with_values(graph, train(graph, task.train_inputs, task.train_labels, recipe).values)


def test_distilled_data_calibrate_as_real_ones_do(network: Graph, task: Task) -> None:
    done: list[tuple[int, int]] = []
    data = distilled(network, SAMPLES, seed=3, limits=(0.0, 1.0), steps=200, progress=lambda *step: done.append(step))
    assert done == [(step, 200) for step in range(1, 201)]
    assert data.shape == (SAMPLES, 1, 8, 8)
    assert data.min() >= 0
    assert data.max() <= 1
    noise = np.random.default_rng(0).standard_normal(data.shape).astype(np.float32)
    distance = statistics_distance(network, SAMPLES)
    far, near, real = (float(distance(jnp.asarray(x))) for x in (noise, data, task.train_inputs[:SAMPLES]))
    assert near < 0.01 * far
    assert near < 5 * real
    accuracy, scales = {}, {}
    folded = run_passes(network)
    for kind, inputs in (("real", task.train_inputs), ("distilled", data), ("noise", noise)):
        grids = calibrated(folded, inputs, dict.fromkeys(quantisable(folded).variables, 4))
        found = run(integer_form(quantised(folded, grids)), task.test_inputs).argmax(axis=1)
        accuracy[kind] = np.mean(found == task.test_labels)
        scales[kind] = np.array([np.log2(grid.scale[0]) for name, grid in grids.items() if ".relu" in name])
    assert np.abs(scales["distilled"] - scales["real"]).max() <= 1
    assert accuracy["distilled"] > accuracy["real"] - 0.03
    assert accuracy["noise"] < accuracy["distilled"] - 0.03


def test_the_distance_is_the_published_one(network: Graph) -> None:
    """By numpy, from what enters the batch norms."""
    x = np.random.default_rng(1).uniform(size=(16, 1, 8, 8)).astype(np.float32)
    watched: dict[str, Any] = {}
    small = TRAINABLE["digits-cnn"].build(batch=16)
    execute(with_values(small, network.constants), {"image": x}, watch=watched.__setitem__)
    expected = 0.0
    for op in network.ops:
        if isinstance(op, BatchNorm):
            value = watched[op.inputs[0]].astype(np.float64)
            mean, variance = (network.constants[name].astype(np.float64) for name in op.inputs[3:])
            expected += np.sum((value.mean(axis=(0, 2, 3)) - mean) ** 2)
            expected += np.sum((value.std(axis=(0, 2, 3)) - np.sqrt(variance)) ** 2)
    assert float(statistics_distance(network, 16)(jnp.asarray(x))) == pytest.approx(expected, rel=1e-3)


def test_a_known_answer_is_found_and_the_same_again() -> None:
    b = GraphBuilder("norm")
    x = b.input("x", (1, 3))
    mean, deviation = np.array([1.0, -2.0, 0.5]), np.array([0.5, 2.0, 1.0])
    vectors = (
        constant(b, f"v{place}", value) for place, value in enumerate((np.ones(3), np.zeros(3), mean, deviation**2))
    )
    graph = b.finish(b.apply(BatchNorm, x, *vectors, name="norm"))
    found, again, other = (distilled(graph, 200, seed, steps=300) for seed in (0, 0, 1))
    np.testing.assert_allclose(found.mean(axis=0), mean, atol=0.02)
    np.testing.assert_allclose(found.std(axis=0), deviation, atol=0.02)
    np.testing.assert_array_equal(found, again)
    assert np.any(found != other)


def test_networks_that_remember_nothing_are_refused(network: Graph) -> None:
    with pytest.raises(InputError, match="no batch norm"):
        distilled(mlp(), 4)
    with pytest.raises(InputError, match="no batch norm"):
        distilled(run_passes(network), 4)
    with pytest.raises(InputError, match="no batch norm"):
        distilled(TRAINABLE["digits-cnn"].build(), 4)
    weightless = {name: value for name, value in network.constants.items() if name != "conv_1.weight"}
    with pytest.raises(InputError, match=r"conv_1\.weight"):
        distilled(replace(network, constants=weightless), 4)
