"""Quants stand where the allocation names its variables, and the graph computes what the grids say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from quantised_networks import all_bits, cnn, conv, data_for, dense, drawn, mlp, relu, residual, with_quants

from hls.allocation.network import quantisable
from hls.layers import activations_of, weights_of
from hls.quantise.calibrate import activation_samples, calibrated, weight_grid
from hls.quantise.grid import Grid
from hls.quantise.insert import grids_of, quantised, without_quants
from hls.quantise.places import places_of
from hls.quantise.scheme import Scheme
from model_ir.builder import GraphBuilder
from model_ir.errors import InputError
from model_ir.graph import Graph, execute
from model_ir.ops.contraction import Conv, MatMul
from model_ir.ops.elementwise import Binary, Unary
from model_ir.ops.movement import Reshape
from model_ir.ops.normalisation import Softmax
from model_ir.ops.pooling import AveragePool, MaxPool
from model_ir.ops.quantisation import Quant

NETWORKS = [mlp(), cnn(), cnn(group=2), residual()]
SCHEMES = [
    Scheme(),
    Scheme(clip="max", scales="free", per_channel=True),
    Scheme(clip="percentile", scales="dyadic", affine_activations=True),
    Scheme(scales="free", affine_activations=True, affine_weights=True, per_channel=True),
]


def by_hand(graph: Graph, grids: dict[str, Grid], x: Any) -> Any:
    """The quantised network without Quants: every operator in float64, every tensor that has a grid rounded to it."""
    values: dict[str, Any] = {graph.inputs[0]: x.astype(np.float64)}
    scale: dict[str, Any] = {}

    def put(name: str, value: Any) -> None:
        values[name] = grids[name].nearest(value) if name in grids else value
        if name in grids:
            scale[name] = grids[name].scale[0]

    put(graph.inputs[0], values[graph.inputs[0]])
    for op in graph.ops:
        a, *_ = operands = [values.get(name, graph.constants.get(name)) for name in op.inputs]
        if isinstance(op, MatMul | Conv):
            grid = grids[op.inputs[1]]
            sums = np.float32(scale[op.inputs[0]]) * np.array(grid.scale, np.float32)
            bias = np.round(operands[2] / sums) * sums
            put(op.outputs[0], op.evaluate(np, a, grid.nearest(operands[1].astype(np.float64)), bias)[0])
        elif isinstance(op, Binary):
            finest = min(scale[name] for name in op.inputs)
            put(op.outputs[0], sum(np.round(value / finest) * finest for value in operands))
        else:
            put(op.outputs[0], op.evaluate(np, *operands)[0])
            if not isinstance(op, Unary):
                scale[op.outputs[0]] = scale[op.inputs[0]]
    return values[graph.outputs[0]]


@pytest.mark.parametrize("graph", NETWORKS, ids=lambda graph: graph.name)
@pytest.mark.parametrize("scheme", SCHEMES, ids=range(len(SCHEMES)))
@pytest.mark.parametrize("bits", [2, 5, 8])
def test_the_graph_computes_what_the_grids_say(graph: Graph, scheme: Scheme, bits: int) -> None:
    """On numpy and jax; exactly for powers of two, else but for a step where a sum fell next to a tie."""
    grids = calibrated(graph, data_for(graph), all_bits(graph, bits), scheme)
    rounded = quantised(graph, grids)
    x = data_for(graph, graph.tensors[graph.inputs[0]].shape[0], seed=9)
    expected = by_hand(graph, grids, x)
    on_numpy = execute(rounded, {graph.inputs[0]: x})[graph.outputs[0]]
    on_jax = np.asarray(execute(rounded, {graph.inputs[0]: x}, jnp)[graph.outputs[0]])
    assert on_numpy.dtype == on_jax.dtype == np.float32
    if scheme.scales == "power-of-two":
        np.testing.assert_array_equal(on_numpy, expected)
        np.testing.assert_array_equal(on_jax, expected)
    else:
        close = np.isclose(on_numpy, expected, rtol=1e-4, atol=1e-5) & np.isclose(
            on_jax, on_numpy, rtol=1e-4, atol=1e-5
        )
        assert close.mean() > 0.6


@pytest.mark.parametrize("graph", NETWORKS, ids=lambda graph: graph.name)
def test_many_bits_are_nearly_the_float_network(graph: Graph) -> None:
    x = data_for(graph, graph.tensors[graph.inputs[0]].shape[0])
    exact, rounded = (execute(net, {graph.inputs[0]: x})[graph.outputs[0]] for net in (graph, with_quants(graph, 12)))
    np.testing.assert_allclose(rounded, exact, atol=5e-3)
    coarse = execute(with_quants(graph, 2), {graph.inputs[0]: x})[graph.outputs[0]]
    assert np.abs(coarse - exact).max() > 0.05


@pytest.mark.parametrize("graph", NETWORKS, ids=lambda graph: graph.name)
def test_quants_stand_where_the_variables_are(graph: Graph) -> None:
    rounded = with_quants(graph, 6)
    quants = {op.inputs[0]: op for op in rounded.ops if isinstance(op, Quant)}
    for variable in quantisable(graph).variables:
        assert quants[variable].outputs == (f"{variable}.quant",)
        assert quants[variable].inputs[1:] == tuple(f"{variable}.{part}" for part in ("scale", "zero_point", "bits"))
        readers = [op for op in rounded.ops if variable in op.inputs]
        assert readers == [quants[variable]]
        assert rounded.constants[f"{variable}.bits"].shape == ()
    assert without_quants(rounded).ops == graph.ops
    again = quantised(without_quants(rounded), grids_of(rounded))
    assert again.ops == rounded.ops
    assert all(np.array_equal(again.constants[name], value) for name, value in rounded.constants.items())


def test_relu_is_unsigned_pooling_keeps_the_grid_and_sums_share_a_scale() -> None:
    grids = grids_of(with_quants(cnn(), 5))
    assert set(grids) == {"image", "conv_0.relu", "conv_1.relu", "conv_0.w", "conv_1.w", "logits.w"}
    assert [name for name, grid in grids.items() if not grid.signed] == ["conv_0.relu", "conv_1.relu"]
    graph = residual()
    rounded = with_quants(graph, 5)
    for op in rounded.ops:
        if isinstance(op, Binary):
            scales = {float(rounded.constants[f"{name.removesuffix('.quant')}.scale"]) for name in op.inputs}
            assert len(scales) == 1
    grids = grids_of(rounded)
    coarser = replace(grids["conv_1.relu"], scale=(grids["conv_1.relu"].scale[0] * 8,))
    apart = quantised(graph, {**grids, "conv_1.relu": coarser})
    (aligned,) = [op for op in apart.ops if op.name.endswith(".aligned")]
    x = data_for(graph, 2)
    np.testing.assert_array_equal(
        execute(apart, {"image": x})["out"], by_hand(graph, {**grids, "conv_1.relu": coarser}, x)
    )
    assert aligned.inputs[0] == "conv_1.relu.quant"


def test_groups_of_channels_have_bits_and_scales_of_their_own() -> None:
    graph = cnn()
    bits = {**all_bits(graph, 6), "logits.w": 7} | {"conv_1.w[0:1]": 2, "conv_1.w[1:4]": 5}
    del bits["conv_1.w"]
    grids = calibrated(graph, data_for(graph), bits)
    grid = grids["conv_1.w"]
    assert (grid.axis, grid.bits, grid.channel_bits) == (0, 5, (2, 5, 5, 5))
    assert len(set(grid.scale[1:])) == 1
    weight = graph.constants["conv_1.w"]
    rounded = quantised(graph, grids)
    watched: dict[str, Any] = {}
    x = data_for(graph, 2)
    found = execute(rounded, {"image": x}, watch=watched.__setitem__)["logits"]
    for start, stop, width in ((0, 1, 2), (1, 4, 5)):
        alone = weight_grid(
            replace(graph, constants={**graph.constants, "conv_1.w": np.tile(weight[start:stop], (4, 1, 1, 1))[:4]}),
            "conv_1.w", {"conv_1.w": width}, Scheme(),
        )  # fmt: skip
        assert start or alone.scale[0] == grid.scale[0]
        steps = watched["conv_1.w.quant"][start:stop] / grid.scale[start]
        assert np.abs(steps).max() <= 2 ** (width - 1) - 1
        np.testing.assert_array_equal(steps, np.round(steps))
    np.testing.assert_array_equal(found, by_hand(graph, grids, x))
    assert grids_of(rounded)["conv_1.w"] == grid
    for broken in ({"conv_1.w[0:2]": 2}, {"conv_1.w[0:2]": 2, "conv_1.w[3:4]": 2}, {"conv_1.w[0:5]": 2}):
        rest = {name: width for name, width in bits.items() if not name.startswith("conv_1.w")}
        with pytest.raises(InputError, match=r"conv_1\.w"):
            calibrated(graph, data_for(graph), rest | broken)


def test_calibration_sees_all_rows_in_any_batch() -> None:
    """The extreme of a tensor counts wherever it is, and the graph's own batch does not matter."""
    graph = mlp(batch=4)
    data = data_for(graph, 2311)
    data[-1, 3] = 77.0
    samples = activation_samples(graph, data, activations_of(graph))
    assert samples["x"].max() == 77.0
    bits, scheme = all_bits(graph, 8), Scheme(clip="max", scales="free")
    assert calibrated(graph, data, bits, scheme) == calibrated(mlp(batch=1), data, bits, scheme)


def test_what_does_not_fit_is_refused() -> None:
    graph = mlp()
    bits, data = all_bits(graph, 4), data_for(graph)
    for changed, words in (
        ({**bits, "nobody": 4}, "nobody"),
        ({**bits, "x": 17}, "out of range"),
        ({**bits, "x": 0}, "out of range"),
        ({name: 4 for name in bits if name != "dense_1.w"}, r"dense_1\.w"),
    ):
        with pytest.raises(InputError, match=words):
            calibrated(graph, data, changed)
    for wrong in (data[:, :5], data[:0], np.where(data > 2.5, np.nan, data), data[0]):
        with pytest.raises(InputError, match="data 'x'"):
            calibrated(graph, wrong, bits)
    unknown = replace(graph, constants={k: v for k, v in graph.constants.items() if k != "dense_1.w"})
    with pytest.raises(InputError, match=r"dense_1\.w.*no value"):
        calibrated(unknown, data, bits)
    grids = calibrated(graph, data, bits)
    with pytest.raises(InputError, match="no grid"):
        quantised(graph, {name: grid for name, grid in grids.items() if name != "x"})
    with pytest.raises(InputError, match=r"dense_0\.b"):
        quantised(graph, {**grids, "dense_0.b": grids["x"]})
    with pytest.raises(InputError, match=r"x\.quant.*cannot be quantised"):
        quantised(quantised(graph, grids), grids)
    b = GraphBuilder("taken")
    taken = b.finish(dense(b, relu(b, dense(b, b.input("x", (2, 4)), "x.scale", 4, 0)), "out", 2, 0))
    with pytest.raises(InputError, match=r"x\.scale.*taken"):
        with_quants(taken, 4)


def _ending(kind: type, **attributes: Any) -> Graph:
    b = GraphBuilder("ending")
    x = relu(b, conv(b, b.input("image", (2, 2, 6, 6)), "conv_0", 4, 0))
    return b.finish(b.apply(kind, x, name="end", **attributes))


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (_ending(Softmax, axis=-1), "systolic integer"),
        (_ending(Unary, function="tanh"), "tanh"),
        (
            _ending(
                AveragePool, kernel=(2, 2), strides=(1, 1), pads=(0,) * 4, dilations=(1, 1), count_include_pad=False
            ),
            "AveragePool",
        ),
    ],
)
def test_what_is_not_exact_is_refused_by_name(graph: Graph, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        places_of(graph)
    assert "'end'" in str(caught.value)


def test_products_of_activations_and_sums_with_constants_are_refused() -> None:
    b = GraphBuilder("products")
    x = b.input("x", (2, 2))
    square = b.apply(MatMul, x, x, name="square")
    with pytest.raises(InputError, match="square"):
        places_of(b.finish(square))
    b = GraphBuilder("sums")
    shifted = b.apply(
        Binary, b.input("x", (2, 2)), b.parameter("c", (2,), value=drawn(0, 2)), name="shift", function="add"
    )
    with pytest.raises(InputError, match="shift"):
        places_of(b.finish(shifted))


def test_a_bias_shared_by_two_scales_is_refused() -> None:
    b = GraphBuilder("shared")
    x = b.input("x", (2, 4))
    first = relu(b, dense(b, x, "first", 4, 0))
    second = b.apply(MatMul, first, b.parameter("w", (4, 4), value=drawn(3, 4, 4, scale=9.0)), "first.b", name="second")
    with pytest.raises(InputError, match=r"first\.b.*share"):
        with_quants(b.finish(second), 4)


def test_weights_read_twice_get_one_quant() -> None:
    b = GraphBuilder("tied")
    x = relu(b, dense(b, b.input("x", (2, 4)), "first", 4, 0))
    second = b.apply(MatMul, x, "first.w", name="second")
    graph = b.finish(second)
    rounded = with_quants(graph, 4)
    assert weights_of(graph) == ("first.w",)
    assert sum(isinstance(op, Quant) and op.inputs[0] == "first.w" for op in rounded.ops) == 1


def test_names_follow_pooling_and_reshape_back_to_the_producer() -> None:
    b = GraphBuilder("names")
    x = relu(b, conv(b, b.input("image", (1, 2, 6, 6)), "conv_0", 4, 0))
    pooled = b.apply(MaxPool, x, kernel=(2, 2), strides=(2, 2), pads=(0,) * 4, dilations=(1, 1))
    flat = b.apply(Reshape, pooled, shape=(1, 36))
    assert activations_of(b.finish(dense(b, flat, "out", 2, 0))) == ("image", "conv_0.relu")
