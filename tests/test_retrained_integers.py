"""Networks quantised, retrained and turned into integers: the whole of them stays exact."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from quantised_cases import digits

from hls.allocation.network import quantisable
from hls.quantise.calibrate import calibrated
from hls.quantise.insert import quantised
from hls.quantise.integer_form import integer_form, run
from hls.retraining.alignment import aligned, without_alignments
from hls.retraining.network import Network
from hls.retraining.quantisers import learnable
from hls.retraining.retrain import RetrainingRecipe, retrain
from hls.training import Recipe, train, with_values
from model_ir.builder import GraphBuilder
from model_ir.errors import InputError
from model_ir.graph import Graph, execute
from model_ir.ops.movement import Reshape
from model_ir.ops.pooling import MaxPool
from model_ir.ops.quantisation import Quant
from workloads.layers import add, conv, linear, unary

BATCH = 57


def residual() -> Graph:
    b = GraphBuilder("residual")
    x = unary(b, linear(b, b.input("x", (BATCH, 64)), "first", 16), "bend", "relu")
    x = unary(b, add(b, linear(b, x, "second", 16), x, "sum"), "after", "relu")
    return b.finish(linear(b, x, "last", 10))


@pytest.fixture(scope="module")
def rounded() -> Graph:
    graph, data = residual(), digits()
    graph = with_values(graph, train(graph, data["x"], data["y"], Recipe(epochs=12, learning_rate=1e-2)).values)
    what = quantisable(graph)
    bits = dict.fromkeys(what.activations, 4) | dict.fromkeys(what.elements, 3)
    # Far apart on purpose: retraining starts with the product as the coarser operand.
    return quantised(graph, calibrated(graph, data["x"], bits | {"x": 8, "second": 3}))


def alignments(graph: Graph) -> list[str]:
    return [op.inputs[0] for op in graph.ops if isinstance(op, Quant) and op.name.endswith(".aligned")]


def exact(graph: Graph, inputs: Any) -> None:
    form = integer_form(graph)
    assert np.array_equal(
        run(form, inputs) * form.output_scale, execute(graph, {graph.inputs[0]: inputs})[graph.outputs[0]]
    )


def test_sums_of_two_activations_stay_on_one_grid(rounded: Graph) -> None:
    assert alignments(rounded) == ["second.quant"]
    plain = without_alignments(rounded)
    assert alignments(plain) == []
    x = digits()["test_x"][:BATCH]
    assert np.array_equal(execute(plain, {"x": x})["last"], execute(rounded, {"x": x})["last"])
    assert without_alignments(plain) is plain

    network = Network(graph=plain, what=learnable(plain), masks={})
    finer = aligned(network.learned({**network.start(scales=True), "second.scale": np.array(-9, np.float32)}))
    assert alignments(finer) == ["bend.quant"]
    exact(finer, x)

    done = retrain(rounded, digits()["x"], digits()["y"], RetrainingRecipe(epochs=3))
    assert done.losses[-1] < 0.8 * done.losses[0]
    scales = done.graph.constants["second.scale"], done.graph.constants["bend.scale"]
    assert len(alignments(done.graph)) == int(scales[0] != scales[1])
    exact(done.graph, x)


def test_convolutions_stay_exact() -> None:
    b = GraphBuilder("image")
    x = unary(b, conv(b, b.input("x", (BATCH, 1, 8, 8)), "conv", 4, (3, 3), bias=True), "bend", "relu")
    x = b.apply(MaxPool, x, name="pool", kernel=(2, 2), strides=(2, 2), pads=(0, 0, 0, 0), dilations=(1, 1))
    graph = b.finish(linear(b, b.apply(Reshape, x, name="flat", shape=(BATCH, 64)), "last", 10))
    images, labels = digits()["x"].reshape(-1, 1, 8, 8), digits()["y"]
    graph = with_values(graph, train(graph, images, labels, Recipe(epochs=4, learning_rate=1e-2)).values)
    what = quantisable(graph)
    bits = dict.fromkeys(what.activations, 4) | dict.fromkeys(what.elements, 2)
    before = quantised(graph, calibrated(graph, images, bits))
    done = retrain(before, images, labels, RetrainingRecipe(epochs=3))
    assert done.losses[-1] < done.losses[0]
    assert any(np.any(done.graph.constants[name] != before.constants[name]) for name in learnable(before).scales)
    exact(done.graph, images[:BATCH])


def test_alignments_that_could_not_come_back_are_refused(rounded: Graph) -> None:
    missing = replace(rounded, constants={**rounded.constants, "last.bias": np.full(10, np.nan, np.float32)})
    with pytest.raises(InputError, match=r"'last\.bias'"):
        retrain(missing, digits()["x"], digits()["y"], RetrainingRecipe(epochs=1))
