"""Quantised graphs as firmware networks: types wide enough for every value, one multiplication at a time; everything
that cannot be exact refused by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from firmware_oracle import executed_in_whole_numbers
from hypothesis import given, settings
from hypothesis import strategies as st
from quantised_nets import QuantisedNet, conv_net, dense_net, inputs_of, odd_net, started, two_readers_net

from hls.firmware.equality import executed
from hls.firmware.fixed_point import Fixed, Span, joined
from hls.firmware.lower import lower
from hls.firmware.network import Dense
from hls.firmware.project import write_project
from hls.firmware.settings import LayerSettings, Settings, check_settings
from hls.qonnx.export import export_qonnx
from model_ir.builder import GraphBuilder
from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.onnx_import import import_onnx
from model_ir.ops.contraction import Conv, Einsum, MatMul
from model_ir.ops.elementwise import Binary, Unary
from model_ir.ops.movement import Slice, Split, Transpose
from model_ir.ops.normalisation import Gelu, LayerNorm, Softmax
from model_ir.ops.pooling import AveragePool, GlobalPool, MaxPool, Reduce
from model_ir.passes.pipeline import run_passes


@given(low=st.integers(-300, 300), size=st.integers(0, 300), exponent=st.integers(-9, 4))
def test_the_type_of_a_span_is_the_narrowest_that_holds_it(low: int, size: int, exponent: int) -> None:
    span = Span(low=low, high=low + size, exponent=exponent)
    fixed = span.fixed
    assert fixed.exponent == exponent
    assert joined(fixed.span, span) == fixed.span
    if fixed.bits > 1:
        narrower = replace(fixed, bits=fixed.bits - 1, integer_bits=fixed.integer_bits - 1)
        assert joined(narrower.span, span) != narrower.span
    if not fixed.signed:
        assert low >= 0


def test_a_type_is_written_as_hls4ml_reads_it() -> None:
    assert str(Fixed(bits=8, integer_bits=3)) == "fixed<8,3>"
    assert str(Fixed(bits=5, integer_bits=-1, signed=False, rounding="RND_CONV", overflow="SAT")) == (
        "ufixed<5,-1,RND_CONV,SAT>"
    )


LAYER = st.tuples(st.integers(1, 5), st.integers(2, 7))


@settings(derandomize=True, deadline=None, max_examples=25)
@given(layers=st.lists(LAYER, min_size=1, max_size=3), fused=st.booleans(), seed=st.integers(0, 99))
def test_no_value_of_a_dense_net_wraps_or_loses_a_bit(layers: list[tuple[int, int]], fused: bool, seed: int) -> None:
    widths, bits = zip(*layers, strict=True)
    graph = dense_net((3, *widths), bits, seed=seed, fused=fused)
    inputs = inputs_of(graph, 8, seed)
    np.testing.assert_array_equal(executed_in_whole_numbers(lower(graph), inputs), executed(graph, inputs))


@settings(derandomize=True, deadline=None, max_examples=6)
@given(bits=st.tuples(*[st.integers(2, 6)] * 3), seed=st.integers(0, 99))
def test_no_value_of_a_conv_net_wraps_or_loses_a_bit(bits: tuple[int, ...], seed: int) -> None:
    for graph in (conv_net(bits, image=4, channels=(2, 3), seed=seed), odd_net(seed=seed)):
        inputs = inputs_of(graph, 3, seed)
        np.testing.assert_array_equal(executed_in_whole_numbers(lower(graph), inputs), executed(graph, inputs))


def test_an_image_that_leaves_the_network_comes_back_channels_first() -> None:
    net, x = started((1, 2, 4, 3), 5)
    graph = net.b.finish(net.conv(x, "conv", 3, 4))
    inputs = inputs_of(graph, 3)
    np.testing.assert_array_equal(executed_in_whole_numbers(lower(graph), inputs), executed(graph, inputs))
    net, x = started((1, 2, 4, 3), 5)
    graph = net.b.finish(net.flat(net.pool(x, "pool"), "flat"))
    np.testing.assert_array_equal(executed_in_whole_numbers(lower(graph), inputs), executed(graph, inputs))


def test_accumulators_are_no_wider_than_the_weights_can_fill() -> None:
    """Inputs -8..7 and weights 3, -2 at scale 1: sums from -38 to 37, partial sums too; 7 bits hold them."""
    b = GraphBuilder("tiny")
    net = QuantisedNet(b=b, random=np.random.default_rng(0))
    x = net.quant(b.input("x", (1, 2)), 4, 1.0)
    b.parameter("w", (2, 1), value=np.array([[3.0], [-2.0]], np.float32))
    weight = net.quant("w", 3, 1.0)
    layer = lower(b.finish(b.apply(MatMul, x, weight, name="y"))).by_name["y"]
    assert isinstance(layer, Dense)
    assert layer.exact == Span(low=-38, high=37, exponent=0)
    assert (str(layer.accumulator), str(layer.result)) == ("fixed<7,7>", "fixed<7,7>")


def test_accumulators_hold_products_before_the_bias_takes_them_back() -> None:
    """Inputs 0..15, weight 1, bias -8: sums from -8 to 7 fit 4 bits, the product alone does not."""
    net = QuantisedNet(b=GraphBuilder("tiny"), random=np.random.default_rng(0))
    x = net.quant(net.b.input("x", (1, 1)), 4, 1.0, signed=False)
    net.b.parameter("w", (1, 1), value=np.ones((1, 1), np.float32))
    net.b.parameter("b", (1,), value=np.array([-8], np.float32))
    weight, bias = net.quant("w", 2, 1.0), net.quant("b", 5, 1.0)
    graph = net.b.finish(net.b.apply(MatMul, x, weight, bias, name="y"))
    (layer,) = lower(graph).weighted
    assert (str(layer.result), str(layer.accumulator)) == ("fixed<4,4>", "fixed<5,5>")
    inputs = np.arange(16, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(executed_in_whole_numbers(lower(graph), inputs), executed(graph, inputs))


def test_quantisers_are_part_of_the_layer_before_where_nothing_else_reads_it() -> None:
    network = lower(dense_net((3, 4, 2), (4, 5)))
    assert [layer.kind for layer in network.layers] == ["Port", "Dense", "Relu", "Dense"]
    assert str(network.layers[0].result) == "fixed<8,4,RND_CONV,SAT>"
    assert str(network.layers[2].result) == "ufixed<5,2,RND_CONV,SAT>"


def test_a_layer_that_two_quantisers_read_under_several_names_takes_in_neither() -> None:
    graph = two_readers_net()
    inputs = inputs_of(graph, 20)
    network = lower(graph)
    assert [layer.kind for layer in network.layers].count("Requantise") == 4
    np.testing.assert_array_equal(executed_in_whole_numbers(network, inputs), executed(graph, inputs))


def test_a_quantiser_that_changes_nothing_is_no_layer_and_hides_no_reader() -> None:
    net, x = started((1, 4), 2)
    relu = net.b.apply(Unary, net.dense(x, "sums", 5, 5), name="relu", function="relu")
    wide = net.quant(relu, 20, 2.0**-8, signed=False)
    total = net.b.apply(Binary, net.quant(wide, 3, 2.0**-1), wide, name="total", function="add")
    graph = net.b.finish(total)
    inputs = inputs_of(graph, 20)
    network = lower(graph)
    assert [layer.kind for layer in network.layers] == ["Port", "Dense", "Relu", "Requantise", "Sum"]
    np.testing.assert_array_equal(executed_in_whole_numbers(network, inputs), executed(graph, inputs))


def test_a_classifier_imported_from_qonnx_goes_out_again(tmp_path: Path) -> None:
    """As the file has it, and after the passes, which fold weights and their quantisers into one constant."""
    graph = dense_net((4, 6, 3), (4, 3), fused=True)
    export_qonnx(graph, tmp_path / "net.onnx")
    inputs = inputs_of(graph, 6)
    for back in (import_onnx(tmp_path / "net.onnx"), run_passes(import_onnx(tmp_path / "net.onnx"))):
        np.testing.assert_array_equal(executed_in_whole_numbers(lower(back), inputs), executed(graph, inputs))


def test_a_weight_behind_its_quantiser_and_a_transpose_is_one_weight() -> None:
    """As Brevitas writes linear layers, (outputs, inputs)."""
    net, x = started((1, 4), 0)
    turned = net.b.apply(Transpose, net.weight("w", (3, 4), 5), name="turned", perm=(1, 0))
    graph = net.b.finish(net.b.apply(MatMul, x, turned, name="y"))
    inputs = inputs_of(graph, 5)
    np.testing.assert_array_equal(executed_in_whole_numbers(lower(graph), inputs), executed(graph, inputs))


Finish = Callable[[QuantisedNet, str], str]


def image_net(finish: Finish) -> Graph:
    net, x = started((1, 2, 4, 4), 0)
    return net.b.finish(finish(net, x))


def windows(net: QuantisedNet, x: str, op: Any, **words: Any) -> str:
    shared = {"kernel": (2, 2), "strides": (2, 2), "pads": (0,) * 4, "dilations": (1, 1)}
    return net.b.apply(op, x, name="bad", **{**shared, **words})


REFUSED: dict[str, tuple[Finish, str]] = {
    "gelu": (lambda n, x: n.b.apply(Gelu, x, name="bad"), r"Gelu 'bad': .*systolic integer"),
    "erf": (lambda n, x: n.b.apply(Unary, x, name="bad", function="erf"), r"Unary erf 'bad': .*use a ReLU"),
    "einsum": (lambda n, x: n.b.apply(Einsum, x, x, name="bad", equation="nchw,nchw->nc"), r"Einsum 'bad': .*integer"),
    "reduce": (
        lambda n, x: n.b.apply(Reduce, x, name="bad", function="mean", axes=(2, 3), keepdims=False),
        r"Reduce mean 'bad': .*systolic integer",
    ),
    "slice": (
        lambda n, x: n.b.apply(Slice, x, name="bad", starts=(0,), ends=(1,), axes=(1,), steps=(1,)), r"Slice 'bad'"
    ),
    "average": (lambda n, x: windows(n, x, AveragePool), r"AveragePool 'bad': .*strides or a MaxPool"),
    "global": (lambda n, x: n.b.apply(GlobalPool, x, name="bad", function="mean"), r"GlobalPool mean 'bad': .*values"),
    "softmax": (lambda n, x: n.b.apply(Softmax, x, name="bad", axis=1), r"Softmax 'bad': .*remove it"),
    "product": (lambda n, x: n.b.apply(MatMul, x, x, name="bad"), r"MatMul 'bad': its second operand is not a const"),
    "transpose": (lambda n, x: n.b.apply(Transpose, x, name="bad", perm=(0, 2, 3, 1)), r"Transpose 'bad'"),
    "multiply": (lambda n, x: n.b.apply(Binary, x, x, name="bad", function="mul"), r"Binary mul 'bad': only sums"),
    "twice": (lambda n, x: n.b.apply(Binary, x, x, name="bad", function="add"), r"Binary add 'bad': .*two layers"),
    "overlap": (lambda n, x: windows(n, x, MaxPool, strides=(1, 1)), r"MaxPool 'bad': overlapping"),
    "padded": (lambda n, x: windows(n, x, MaxPool, pads=(1, 1, 1, 1)), r"MaxPool 'bad': padding"),
    "unquantised": (
        lambda n, x: n.b.apply(
            Conv, x, n.b.parameter("w", (1, 2, 1, 1), value=np.ones((1, 2, 1, 1), np.float32)), name="bad",
            strides=(1, 1), pads=(0,) * 4, dilations=(1, 1),
        ),
        r"parameter 'w' is not quantised",
    ),
    "stripped": (lambda n, x: n.b.apply(MatMul, x, n.b.parameter("w", (4, 2)), name="bad"), r"'w' has no value"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_hls4ml_cannot_take_is_refused_before_anything_is_written(tmp_path: Path, case: str) -> None:
    finish, message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        write_project(image_net(finish), tmp_path / "project")
    assert not list(tmp_path.iterdir())


def test_layer_norm_and_split_are_refused_with_the_array_as_the_way_out() -> None:
    net, x = started((1, 4), 0)
    scale = net.b.parameter("s", (4,), value=np.ones(4, np.float32))
    with pytest.raises(InputError, match=r"LayerNorm 'bad': .*`systolic integer`"):
        lower(net.b.finish(net.b.apply(LayerNorm, x, scale, name="bad", axis=1, epsilon=1e-5)))
    net, x = started((1, 4), 0)
    net.b.add(Split(name="bad", inputs=(x,), outputs=("a", "b"), axis=1, sizes=(2, 2)))
    with pytest.raises(InputError, match=r"Split 'bad'"):
        lower(net.b.finish("a"))


GRIDS: dict[str, tuple[dict[str, Any], str]] = {
    "scale": ({"scale": 0.3}, r"quantiser 'x.quant' of 'x': the scale is not a power of two \(value 0.3"),
    "negative": ({"scale": -0.5}, r"the scale is not a power of two"),
    "wide": ({"bits": 40}, r"the bits are not a whole number from 1 on \(value 40.0, limit 32\)"),
    "fraction": ({"bits": 3.5}, r"the bits are not a whole number"),
    "bipolar": ({"bits": 1}, r"one signed bit means -1 and 1"),
    "narrow": ({"signed": False, "narrow": True}, r"unsigned and without its highest value"),
    "ceil": ({"rounding": "CEIL"}, r"rounds in a way that firmware has not \(value CEIL"),
}


@pytest.mark.parametrize("case", GRIDS)
def test_grids_that_are_no_fixed_point_types_are_refused(case: str) -> None:
    changes, message = GRIDS[case]
    net = QuantisedNet(b=GraphBuilder("net"), random=np.random.default_rng(0))
    words: dict[str, Any] = {"bits": 4, "scale": 0.5, **changes}
    x = net.quant(net.b.input("x", (1, 3)), **words)
    with pytest.raises(InputError, match=message):
        lower(net.b.finish(net.dense(x, "y", 2, 4)))


def changed(graph: Graph, name: str, value: Any) -> Graph:
    array = np.asarray(value, np.float32)
    tensors = {**graph.tensors, name: replace(graph.tensors[name], shape=array.shape)}
    return replace(graph, tensors=tensors, constants={**graph.constants, name: array})


def test_scales_per_channel_and_zero_points_are_refused() -> None:
    graph = dense_net((3, 2), (4,))
    with pytest.raises(InputError, match=r"of 'dense_0.weight': firmware takes one scale a tensor \(value 2 values\)"):
        lower(changed(graph, "dense_0.weight.scale", [0.5, 0.25]))
    with pytest.raises(InputError, match=r"of 'x': the zero point is not 0 \(value 3.0\)"):
        lower(changed(graph, "x.zero_point", 3))
    with pytest.raises(InputError, match=r"'dense_0.weight' is not finite"):
        lower(changed(graph, "dense_0.weight", np.full((3, 2), np.nan)))


def test_sums_that_float32_does_not_hold_are_refused_with_their_width() -> None:
    net, x = started((1, 40), 0)
    wide = net.quant(net.b.apply(Unary, x, function="relu"), 16, 2.0**-12, signed=False)
    graph = net.b.finish(net.dense(wide, "y", 2, 12))
    with pytest.raises(
        InputError, match=r"sums of 'y.product' exceed what float32 .*\(value 2[5-9] bits, limit 24 bits\)"
    ):
        lower(graph)
    graph = changed(dense_net((3, 2), (4,)), "dense_0.bias.scale", 2.0**-30)
    with pytest.raises(InputError, match=r"exceed what float32 holds exactly; use fewer bits or a coarser bias"):
        lower(changed(graph, "dense_0.bias.bits", 32))


def test_an_input_that_is_not_quantised_is_refused() -> None:
    b = GraphBuilder("raw")
    net = QuantisedNet(b=b, random=np.random.default_rng(0))
    weight = net.weight("w", (3, 2), 4)
    with pytest.raises(InputError, match=r"raw: tensor 'x' reaches a layer without a quantiser"):
        lower(b.finish(b.apply(MatMul, b.input("x", (1, 3)), weight, name="y")))


def test_settings_are_checked_with_what_could_be() -> None:
    network, conv = lower(dense_net((3, 4, 2), (4, 5))), lower(odd_net())
    for bad, message in (
        (Settings(backend="vivado"), r"no such back end \(value vivado, limit Vivado, Vitis"),
        (Settings(io="serial"), r"Vitis has no such way to pass data \(value serial"),  # type: ignore[arg-type]
        (Settings(clock_ns=0.0), r"clock period must be positive \(value 0.0 ns\)"),
        (Settings(board="pynq-z2"), r"Vitis takes no board \(value pynq-z2, limit VivadoAccelerator, Libero\)"),
        (
            Settings(layers={"dense_9": LayerSettings()}),
            r"this tensor \(value dense_9, limit dense_0, dense_1\)",
        ),
        (Settings(default=LayerSettings(reuse_factor=0)), r"every layer: the reuse factor must be at least 1"),
        (Settings(backend="Quartus", default=LayerSettings(strategy="latency")), r"Quartus has no such strategy"),
        (Settings(backend="Libero", io="io_stream"), r"Libero has no such way to pass data"),
    ):
        with pytest.raises(InputError, match=message):
            check_settings(network, bad)
    with pytest.raises(InputError, match=r"DepthwiseConvolution 'side': Quartus of hls4ml 1.3 leaves it out.* Vitis"):
        check_settings(conv, Settings(backend="Quartus"))
    with pytest.raises(InputError, match=r"'side': Catapult .*computes other values with io_parallel.*limit Vivado, "):
        check_settings(conv, Settings(backend="Catapult"))
    assert check_settings(conv, Settings(backend="Catapult", io="io_stream")).emulation == "g++"


def test_names_become_identifiers_that_differ() -> None:
    net = QuantisedNet(b=GraphBuilder("1 net/of: odd names"), random=np.random.default_rng(0))
    x = net.quant(net.b.input("in.put", (1, 3)), 4, 0.5)
    for name in ("/a.b/c", "/a_b/c", "9", "IN_put"):
        x = net.quant(net.dense(x, name, 3, 3), 4, 0.5)
    network = lower(net.b.finish(x))
    names = [layer.name for layer in network.layers]
    assert all(name.isidentifier() and name.isascii() for name in (*names, network.name))
    assert len({name.lower() for name in names}) == len(names)
    assert network.weighted[0].tensor == "/a.b/c"
