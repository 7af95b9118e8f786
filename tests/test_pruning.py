"""Masks: what goes is the least, it stays zero through retraining, and costs see it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quantised_cases import WIDTHS, digit_values, digits, float_dense, measured, quant, quantised_digits

from hls.allocation.network import quantisable
from hls.quantise.calibrate import calibrated
from hls.quantise.insert import quantised
from hls.retraining.pruning import channel_masks, magnitude_masks, nonzero_shares
from hls.retraining.removal import without_dead_channels
from hls.retraining.retrain import RetrainingRecipe, retrain
from hls.training import with_values
from model_ir.builder import GraphBuilder
from model_ir.errors import InputError
from model_ir.graph import Graph, execute
from model_ir.ops.contraction import Conv, MatMul
from model_ir.ops.movement import Reshape
from model_ir.ops.pooling import MaxPool
from workloads.layers import conv, linear, unary


def dense(seed: int = 0) -> Graph:
    graph = float_dense(4, (5, 4, 3))
    draw = np.random.default_rng(seed)
    return with_values(
        graph, {name: draw.normal(size=graph.tensors[name].shape).astype("f4") for name in graph.parameters}
    )


@settings(derandomize=True, deadline=None, max_examples=40)
@given(seed=st.integers(0, 999), share=st.floats(0, 0.999))
def test_what_goes_is_no_larger_than_what_stays(seed: int, share: float) -> None:
    graph = dense(seed)
    weights = {name: graph.constants[name] for name in ("dense0.weight", "dense1.weight")}
    masks = magnitude_masks(graph, share)
    assert set(masks) == set(weights)
    for name, mask in masks.items():
        assert np.sum(~mask) == int(share * mask.size)
        assert abs(weights[name][~mask]).max(initial=0) <= abs(weights[name][mask]).min()
    together = magnitude_masks(graph, share, scope="network")
    gone = np.concatenate([abs(weights[name][~mask]) for name, mask in together.items()])
    kept = np.concatenate([abs(weights[name][mask]) for name, mask in together.items()])
    assert len(gone) == int(share * (20 + 12))
    assert gone.max(initial=0) <= kept.min()
    assert {name: mask.shape for name, mask in together.items()} == {"dense0.weight": (5, 4), "dense1.weight": (4, 3)}


def test_neurons_go_whole_and_with_their_bias_but_not_outputs() -> None:
    graph = dense()
    masks = channel_masks(graph, 0.5)
    assert set(masks) == {"dense0.weight", "dense0.bias"}
    norms = abs(graph.constants["dense0.weight"]).sum(axis=0)
    least = np.isin(np.arange(4), np.argsort(norms)[:2])
    assert np.array_equal(masks["dense0.bias"], ~least)
    assert np.array_equal(masks["dense0.weight"], np.tile(~least, (5, 1)))
    pruned = {name: np.where(masks.get(name, True), value, 0) for name, value in graph.constants.items()}
    hidden: dict[str, Any] = {}
    execute(with_values(graph, pruned), {"x": np.ones((4, 5), "f4")}, watch=hidden.__setitem__)
    assert not hidden["relu0"][:, least].any()


def test_filters_of_convolutions_are_channels() -> None:
    b = GraphBuilder("image")
    draw = np.random.default_rng(0)
    weight = b.parameter(
        "k", (3, 2, 3, 3), value=draw.normal(size=(3, 2, 3, 3)).astype("f4") * np.arange(1, 4)[:, None, None, None]
    )
    bias = b.parameter("k.b", (3,), value=np.ones(3, "f4"))
    x = quant(b, b.input("x", (1, 2, 4, 4)), 0.5, 8)
    terms = quant(b, weight, 0.25, 8), quant(b, bias, 0.125, 8)
    x = unary(b, b.apply(Conv, x, *terms, name="c", strides=(1, 1), pads=(0,) * 4, dilations=(1, 1)), "r", "relu")
    last = b.parameter("l", (1, 3, 1, 1), value=np.ones((1, 3, 1, 1), "f4"))
    graph = b.finish(b.apply(Conv, x, last, name="d", strides=(1, 1), pads=(0,) * 4, dilations=(1, 1)))
    masks = channel_masks(graph, {"k": 0.4})
    assert np.array_equal(masks["k.b"], [False, True, True])
    assert not masks["k"][0].any()
    assert masks["k"][1:].all()
    assert np.array_equal(magnitude_masks(graph, {"k": 0.0})["k"], np.ones((3, 2, 3, 3), bool))


@pytest.mark.parametrize("masked", [magnitude_masks, channel_masks])
def test_masks_hold_through_retraining_and_reach_the_bops(masked: Any) -> None:
    graph, data = quantised_digits(3), digits()
    masks = masked(graph, 0.5)
    zeroed = with_values(graph, {name: np.where(mask, graph.constants[name], 0) for name, mask in masks.items()})
    done = retrain(graph, data["x"], data["y"], RetrainingRecipe(epochs=4, learning_rate=5e-3), masks=masks)
    for name, mask in masks.items():
        assert not done.graph.constants[name][~mask].any()
        assert done.graph.constants[name][mask].any()
    assert measured(done.graph)[0] < 0.8 * measured(zeroed)[0]
    shares = nonzero_shares(done.graph)
    assert set(shares) == {"dense0.weight", "dense1.weight"}
    for name, share in shares.items():
        assert share == np.count_nonzero(done.graph.constants[name]) / done.graph.constants[name].size
        assert share <= (masks[name].mean() if name in masks else 1)
    float_graph = with_values(float_dense(57), digit_values())
    products = {product.weight: product.nonzero for product in quantisable(float_graph, nonzero=shares).products}
    assert products == shares


def test_weights_that_round_to_zero_are_not_counted() -> None:
    graph = quantised_digits(2)
    (value,) = (op for op in graph.ops if op.name == "dense0.weight.quant")
    rounded = value.evaluate(np, *(graph.constants[name] for name in value.inputs))[0]
    assert nonzero_shares(graph)["dense0.weight"] == np.count_nonzero(rounded) / rounded.size < 0.9
    assert nonzero_shares(with_values(float_dense(57), digit_values()))["dense0.weight"] > 0.99


def test_masks_that_do_not_fit_are_refused() -> None:
    graph, data = quantised_digits(3), digits()

    def refused(message: str, masks: Any, network: Graph = graph) -> None:
        with pytest.raises(InputError, match=message):
            retrain(network, data["x"], data["y"], RetrainingRecipe(epochs=1), masks=masks)

    shape = WIDTHS[0], WIDTHS[1]
    refused("nothing of this name can be pruned", {"relu0": np.ones(shape, bool)})
    refused("no bool array of its shape", {"dense0.weight": np.ones(shape)})
    refused("no bool array of its shape", {"dense0.weight": np.ones(shape[::-1], bool)})
    refused("leaves nothing", {"dense0.weight": np.zeros(shape, bool)})
    b = GraphBuilder("binary")
    weight = b.parameter("w", (64, 10), value=np.ones((64, 10), "f4"))
    x = quant(b, b.input("x", (57, 64)), 0.25, 8)
    binary = b.finish(b.apply(MatMul, x, quant(b, weight, 0.5, 1), name="one"))
    refused("grid of Quant 'w.quant' has no zero", {"w": np.eye(64, 10) == 0}, binary)
    for share in (-0.1, 1.0):
        for masked in (magnitude_masks, channel_masks):
            with pytest.raises(InputError, match="out of range"):
                masked(graph, share)
    with pytest.raises(InputError, match="nothing of this name"):
        magnitude_masks(graph, {"dense9.weight": 0.5})
    with pytest.raises(InputError, match="nothing of this name"):
        channel_masks(graph, {"dense1.weight": 0.5})
    b = GraphBuilder("empty")
    with pytest.raises(InputError, match=r"no value for 'one\.weight'"):
        magnitude_masks(b.finish(linear(b, b.input("x", (4, 3)), "one", 2)), 0.5)


def quantised_image(bits: int = 4) -> Graph:
    """A convolution, a max-pooling and two dense layers, rounded, a share of their channels zero."""
    b = GraphBuilder("image")
    x = unary(b, conv(b, b.input("x", (6, 1, 8, 8)), "conv", 4, (3, 3), bias=True), "bend", "relu")
    x = b.apply(MaxPool, x, name="pool", kernel=(2, 2), strides=(2, 2), pads=(0, 0, 0, 0), dilations=(1, 1))
    x = linear(b, b.apply(Reshape, x, name="flat", shape=(6, 64)), "dense", 8)
    graph = b.finish(linear(b, unary(b, x, "second", "relu"), "last", 10))
    draw = np.random.default_rng(1)
    graph = with_values(graph, {n: draw.normal(size=graph.tensors[n].shape).astype("f4") for n in graph.parameters})
    masks = channel_masks(graph, 0.5)
    graph = with_values(graph, {name: np.where(mask, graph.constants[name], 0) for name, mask in masks.items()})
    what = quantisable(graph)
    widths = dict.fromkeys(what.activations, bits) | dict.fromkeys(what.elements, bits)
    return quantised(graph, calibrated(graph, digits()["x"].reshape(-1, 1, 8, 8)[:60], widths))


def test_dead_channels_leave_and_the_function_stays() -> None:
    graph = quantised_image()
    smaller = without_dead_channels(graph)
    shapes = {name: smaller.tensors[name].shape for name in ("conv.weight", "conv.bias", "dense.weight", "last.weight")}
    assert shapes == {"conv.weight": (2, 1, 3, 3), "conv.bias": (2,), "dense.weight": (32, 4), "last.weight": (4, 10)}
    x = digits()["x"].reshape(-1, 1, 8, 8)[:6]
    assert np.array_equal(execute(smaller, {"x": x})["last"], execute(graph, {"x": x})["last"])
    assert without_dead_channels(smaller) is smaller


def test_channels_that_are_needed_stay() -> None:
    graph = quantised_image()
    alive = graph.constants["conv.bias"] + np.float32(1)
    kept = without_dead_channels(replace(graph, constants={**graph.constants, "conv.bias": alive}))
    assert kept.tensors["conv.weight"].shape == (4, 1, 3, 3)
    assert kept.tensors["dense.weight"].shape == (64, 4)
    b = GraphBuilder("skip")
    x = unary(b, linear(b, b.input("x", (2, 4)), "one", 4), "bend", "relu")
    graph = b.finish(linear(b, unary(b, x, "softly", "exp"), "two", 3))
    graph = with_values(graph, {name: np.zeros(graph.tensors[name].shape, "f4") for name in graph.parameters})
    some = np.zeros((4, 4), "f4")
    some[:, 0] = 1
    graph = replace(graph, constants={**graph.constants, "one.weight": some})
    assert without_dead_channels(graph) is graph
    b = GraphBuilder("tokens")
    x = unary(b, linear(b, b.input("x", (2, 4, 4)), "one", 4), "bend", "relu")
    graph = b.finish(linear(b, b.apply(Reshape, x, name="flat", shape=(2, 16)), "two", 3))
    values = {name: np.ones(graph.tensors[name].shape, "f4") for name in graph.parameters}
    graph = with_values(graph, values | {"one.weight": some, "one.bias": np.zeros(4, "f4")})
    assert without_dead_channels(graph) is graph
