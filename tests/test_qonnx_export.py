"""QONNX files of ours: onnx's checker, qonnx's executor bit for bit, and back through the importer unchanged."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quantised_nets import conv_net, dense_net, inputs_of, started

from hls.firmware.equality import executed
from hls.qonnx.execution import executed_by_qonnx
from hls.qonnx.export import export_qonnx, qonnx_model
from hls.qonnx.plain import plain
from model_ir.builder import GraphBuilder
from model_ir.errors import InputError, UnsupportedOperatorError
from model_ir.graph import Graph, execute
from model_ir.onnx_import import import_onnx
from model_ir.ops.contraction import MatMul
from model_ir.ops.elementwise import Binary, Clip, LeakyRelu, Unary
from model_ir.ops.movement import Concat, Reshape, Transpose
from model_ir.ops.normalisation import Gelu, LayerNorm, Softmax
from model_ir.ops.pooling import AveragePool, GlobalPool, Reduce
from model_ir.ops.quantisation import BipolarQuant


def assert_same(found: Graph, wanted: Graph) -> None:
    assert replace(found, constants={}, origin="") == replace(wanted, constants={}, origin="")
    assert set(found.constants) == set(wanted.constants)
    for name, value in wanted.constants.items():
        np.testing.assert_array_equal(found.constants[name], value, strict=True)


def round_trip(graph: Graph, folder: Path) -> Graph:
    path = folder / "net.onnx"
    export_qonnx(graph, path)
    return import_onnx(path)


LAYER = st.tuples(st.integers(1, 6), st.integers(2, 8))


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    layers=st.lists(LAYER, min_size=1, max_size=3),
    batch=st.integers(1, 3),
    fused=st.booleans(),
    seed=st.integers(0, 99),
)
def test_dense_net_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, layers: list[tuple[int, int]], batch: int, fused: bool, seed: int
) -> None:
    widths, bits = zip(*layers, strict=True)
    graph = dense_net((3, *widths), bits, batch=batch, seed=seed, fused=fused)
    back = round_trip(graph, tmp_path_factory.mktemp("net"))
    assert_same(back, plain(graph))
    if not fused:
        assert plain(graph) is graph
    inputs = inputs_of(graph, 2 * batch, seed)
    np.testing.assert_array_equal(executed(back, inputs), executed(graph, inputs))


@settings(derandomize=True, deadline=None, max_examples=15)
@given(bits=st.tuples(*[st.integers(2, 8)] * 3), channels=st.tuples(*[st.integers(1, 4)] * 2), seed=st.integers(0, 99))
def test_conv_net_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, bits: tuple[int, ...], channels: tuple[int, ...], seed: int
) -> None:
    graph = conv_net(bits, channels=channels, seed=seed)
    assert_same(round_trip(graph, tmp_path_factory.mktemp("net")), graph)


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_qonnx_computes_the_same_on_ten_thousand_inputs(tmp_path: Path, name: str) -> None:
    pytest.importorskip("qonnx", reason="qonnx is not installed")
    make = partial(dense_net, (16, 64, 32, 32, 5), (6, 5, 4, 7), fused=True) if name == "mlp" else conv_net
    export_qonnx(make(batch=1), tmp_path / "net.onnx")
    many = make(batch=10_000)
    inputs = inputs_of(many, 10_000)
    wanted = executed(many, inputs)
    assert len(np.unique(wanted)) > 1000
    np.testing.assert_array_equal(executed_by_qonnx(tmp_path / "net.onnx", inputs), wanted)


def test_nothing_is_left_to_defaults() -> None:
    """qonnx's conversion to channels-last reads pads, dilations and group without asking whether they are there."""
    for node in qonnx_model(conv_net()).graph.node:
        names = {attribute.name for attribute in node.attribute}
        assert names >= {"Conv": {"strides", "pads", "dilations", "group"}, "MaxPool": {"kernel_shape", "dilations"},
                         "Quant": {"signed", "narrow", "rounding_mode"}}.get(node.op_type, set())  # fmt: skip
        assert node.op_type != "Gemm"
    shapes = {tensor.name: tuple(tensor.dims) for tensor in qonnx_model(conv_net()).graph.initializer}
    assert {shapes[name] for name in shapes if name.endswith((".scale", ".zero_point", ".bits"))} == {()}


def test_transposed_weight_is_stored_transposed_under_its_name(tmp_path: Path) -> None:
    net, x = started((2, 4), 0)
    weight = net.weight("w", (3, 4), 5)
    graph = net.b.finish(net.b.apply(MatMul, x, weight, name="y", transpose_b=True))
    back = round_trip(graph, tmp_path)
    assert [op.kind for op in back.ops] == ["Quant", "Quant", "MatMul"]
    np.testing.assert_array_equal(back.constants["w"], graph.constants["w"].T)
    inputs = inputs_of(graph, 4)
    np.testing.assert_array_equal(executed(back, inputs), executed(graph, inputs))


def test_transposed_operands_that_cannot_be_stored_are_transposed_by_an_operator(tmp_path: Path) -> None:
    """The weight is read by two products, once transposed and once not; the scores of attention transpose keys."""
    net, x = started((4, 4), 0)
    weight = net.weight("w", (4, 4), 5)
    left = net.b.apply(MatMul, x, weight, name="left", transpose_b=True)
    right = net.b.apply(MatMul, x, weight, name="right")
    graph = net.b.finish(net.b.apply(MatMul, left, right, name="y", transpose_a=True))
    back = round_trip(graph, tmp_path)
    assert [op.kind for op in back.ops].count("Transpose") == 2
    inputs = inputs_of(graph, 4)
    np.testing.assert_array_equal(executed(back, inputs), executed(graph, inputs))


def every_operator() -> Graph:
    """One of each that QONNX has a node for and the networks above lack, in one row."""
    b = GraphBuilder("row")
    x = b.input("x", (1, 2, 4, 4))
    scale = b.parameter("scale", (), value=np.array(0.5, np.float32))
    x = b.apply(
        AveragePool, x, kernel=(2, 2), strides=(1, 1), pads=(0, 0, 1, 1), dilations=(1, 1), count_include_pad=True
    )
    x = b.apply(Transpose, b.apply(LeakyRelu, x, alpha=0.25), perm=(0, 2, 3, 1))
    x = b.apply(LayerNorm, x, b.parameter("s", (2,), value=np.ones(2, np.float32)), axis=3, epsilon=2.0**-10)
    x = b.apply(Gelu, b.apply(Concat, x, x, axis=3), approximate="none")
    x = b.apply(Clip, x, low=None, high=2.0)
    x = b.apply(Binary, x, b.apply(Unary, x, function="tanh"), function="mul")
    pooled = b.apply(Reshape, b.apply(GlobalPool, x, function="mean"), shape=(1, 4))
    reduced = b.apply(Reduce, x, function="mean", axes=(2, 3), keepdims=False)
    summed = b.apply(Reduce, x, function="sum", axes=(2, 3), keepdims=False)
    total = b.apply(Binary, b.apply(Binary, pooled, reduced, function="add"), summed, function="max")
    return b.finish(b.apply(Softmax, b.apply(BipolarQuant, total, scale), axis=1))


def test_every_operator_comes_back(tmp_path: Path) -> None:
    graph = every_operator()
    back = round_trip(graph, tmp_path)
    assert_same(back, graph)
    feeds: dict[str, Any] = {"x": np.random.default_rng(0).standard_normal((1, 2, 4, 4)).astype(np.float32)}
    found = execute(back, feeds)
    np.testing.assert_array_equal(found[graph.outputs[0]], execute(graph, feeds)[graph.outputs[0]])


def test_operator_without_a_node_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    b = GraphBuilder("odd")
    graph = b.finish(b.apply(Unary, b.input("x", (1, 4)), name="act", function="mish"))
    with pytest.raises(UnsupportedOperatorError, match=r"odd: Unary 'act' has no QONNX node"):
        export_qonnx(graph, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_parameter_without_value_is_refused(tmp_path: Path) -> None:
    b = GraphBuilder("stripped")
    graph = b.finish(b.apply(MatMul, b.input("x", (1, 4)), b.parameter("w", (4, 2)), name="y"))
    with pytest.raises(InputError, match=r"stripped: parameter 'w' has no value to write"):
        export_qonnx(graph, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_unwritable_path_is_refused_and_an_old_file_survives(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match=r"cannot write the QONNX file"):
        export_qonnx(dense_net((2, 2), (4,)), tmp_path / "file" / "net.onnx")
    (tmp_path / "net.onnx").mkdir()
    with pytest.raises(InputError, match=r"cannot write the QONNX file"):
        export_qonnx(dense_net((2, 2), (4,)), tmp_path / "net.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "net.onnx"]


def test_exporting_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        export_qonnx(dense_net((3, 4, 2), (4, 5)), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_quantised_network_inside_qonnx_goes_out_and_comes_back(tmp_path: Path) -> None:
    """Brevitas wrote it: scales per channel, weights behind Quant, a sub-pixel convolution at the end."""
    qonnx = pytest.importorskip("qonnx", reason="qonnx is not installed")
    path = Path(qonnx.__file__).parent / "data" / "onnx" / "bsd300x3-espcn" / "subpixel" / "quant_model.onnx"
    if not path.exists():
        pytest.skip("this qonnx package does not ship the network")
    graph = import_onnx(path)
    assert_same(round_trip(graph, tmp_path), graph)
