"""Float networks made integer: what calibration chooses, what conversion keeps and refuses, what every operator costs
in accuracy, and that the result holds integers only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_cases import runtime_outputs, save
from test_onnx_transformers import tf_layer, torch_dynamo_layer, torch_old_bert

from model_ir.builder import GraphBuilder
from model_ir.errors import InputError
from model_ir.graph import Graph, execute, random_parameters
from model_ir.onnx_import import import_onnx
from model_ir.ops.contraction import Conv, MatMul
from model_ir.ops.elementwise import Binary, Unary
from model_ir.ops.integer import ChannelMultiply, IntegerAdd, IntegerLayerNorm, IntegerSoftmax, IntegerTable, Requantise
from model_ir.ops.integer_arithmetic import ONE, layer_norm_fits, softmax_fits
from model_ir.ops.normalisation import Gelu, LayerNorm, LogSoftmax, Softmax
from model_ir.ops.pooling import GlobalPool, Reduce
from model_ir.ops.quantisation import DequantizeLinear, QuantizeLinear
from model_ir.passes.integer.calibration import METHODS, calibrate
from model_ir.passes.integer.convert import IntegerNetwork, integer_only, operator_errors
from model_ir.passes.integer.prepare import prepared
from model_ir.passes.integer.scales import least_score_scale
from workloads import bert, vit
from workloads.bert import BertConfig
from workloads.vit import VitConfig

SMALL_BERT = BertConfig(name="small-bert", layers=2, features=32, heads=4, hidden=64, vocabulary=50, positions=16)
SMALL_VIT = VitConfig(name="small-vit", layers=1, features=32, heads=4, hidden=64, patch=4, classes=7)


def valued(graph: Graph, seed: int = 0) -> Graph:
    """`graph` with drawn weights; normalisation scales and biases are not 1 and 0."""
    return replace(graph, constants={**graph.constants, **random_parameters(graph, seed)})


def feeds_of(graph: Graph, seed: int) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    return {
        name: generator.standard_normal(graph.tensors[name].shape).astype(np.float32)
        if graph.tensors[name].precision.is_float
        else generator.integers(0, 2, graph.tensors[name].shape)
        for name in graph.inputs
    }


def converted(graph: Graph, **options: Any) -> IntegerNetwork:
    return integer_only(graph, calibrate(graph, [feeds_of(graph, seed) for seed in range(4)], **options))


def correlation(network: IntegerNetwork, seed: int = 99) -> float:
    """Of the first outputs of both networks on inputs that neither calibration saw."""
    feeds = feeds_of(network.float_graph, seed)
    name = network.float_graph.outputs[0]
    pair = [execute(graph, feeds)[name].reshape(-1) for graph in (network.float_graph, network.graph)]
    return float(np.corrcoef(*pair)[0, 1])


def assert_integers_only(graph: Graph) -> None:
    """Every operator but the quantisation at the start and the dequantisation at the end makes integers, and really
    does when executed."""
    seen: dict[str, Any] = {}
    execute(graph, feeds_of(graph, 7), watch=lambda name, value: seen.setdefault(name, value.dtype))
    for op in graph.ops:
        border = isinstance(op, DequantizeLinear) and op.outputs[0] in graph.outputs
        reads_float = any(name in graph.inputs and graph.tensors[name].precision.is_float for name in op.inputs)
        assert reads_float == isinstance(op, QuantizeLinear)
        for name in op.outputs:
            assert border or np.issubdtype(seen[name], np.integer), f"{op.kind} {name}"
            assert border or not graph.tensors[name].precision.is_float


def test_a_bert_becomes_integers() -> None:
    graph = valued(bert.build(SMALL_BERT, seq=12, batch=2))
    network = converted(graph)
    assert_integers_only(network.graph)
    assert correlation(network) > 0.97
    kinds = {type(op) for op in network.graph.ops}
    assert {IntegerSoftmax, IntegerLayerNorm, IntegerAdd, IntegerTable, ChannelMultiply, Requantise} <= kinds
    assert not kinds & {Softmax, LayerNorm, Gelu, Unary, Binary}


def test_a_vision_transformer_becomes_integers() -> None:
    network = converted(valued(vit.build(SMALL_VIT, image=16, batch=2)))
    assert_integers_only(network.graph)
    assert correlation(network) > 0.97


def test_an_imported_transformer_becomes_integers(tmp_path: Path) -> None:
    model = tf_layer("MatMul", "Div")
    network = converted(import_onnx(save(model, tmp_path), dims={"unk__1": 3}))
    feeds = feeds_of(network.float_graph, 5)
    (runtime,) = runtime_outputs(model, feeds)
    (prepared_output,) = execute(network.float_graph, feeds).values()
    np.testing.assert_allclose(prepared_output, runtime, rtol=1e-3, atol=1e-4)
    assert_integers_only(network.graph)
    assert correlation(network) > 0.97


def masked_feeds(graph: Graph, seed: int, keys: int) -> dict[str, Any]:
    """Drawn inputs; flags let every row see its first `keys` keys."""
    feeds = feeds_of(graph, seed)
    name = next(name for name in graph.inputs if "mask" in name)
    shape = graph.tensors[name].shape
    flags = np.broadcast_to(np.arange(shape[-1]) < keys, shape)
    return feeds | {name: flags.astype(bool if graph.tensors[name].precision.bits == 1 else np.int64)}


def masked_graph(folder: Path, exporter: str) -> Graph:
    """As torch's exporters write masks: -10000 (1 - flag), or minus infinity where the flag is not set."""
    model = torch_old_bert(13) if exporter == "old" else torch_dynamo_layer(20, "none")
    dims = {"batch": 2, "sequence": 6} if exporter == "old" else {"s77": 2, "s44": 6}
    return import_onnx(save(model, folder), dims=dims)


@pytest.mark.parametrize("exporter", ["old", "dynamo"])
def test_attention_masks_hide_the_same_keys(tmp_path: Path, exporter: str) -> None:
    graph = masked_graph(tmp_path, exporter)
    network = integer_only(graph, calibrate(graph, [masked_feeds(graph, seed, 4) for seed in range(6)]))
    weights = [op.outputs[0] for op in network.graph.ops if isinstance(op, IntegerSoftmax)]
    for keys in (1, 3, 6):
        seen: dict[str, Any] = {}
        feeds = masked_feeds(graph, 9, keys)
        results = execute(network.graph, feeds, watch=seen.__setitem__)
        assert all(np.all(seen[name][..., keys:] == 0) for name in weights)
        assert all(np.all(seen[name][..., :keys].max(axis=-1) > 0) for name in weights)
        exact = execute(network.float_graph, feeds)
        for name, value in exact.items():
            assert np.corrcoef(results[name].reshape(-1), value.reshape(-1))[0, 1] > 0.97


def test_a_convolutional_network_with_a_residual_becomes_integers() -> None:
    b = GraphBuilder("cnn")
    image = b.input("image", (2, 3, 8, 8))
    conv = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1)}
    w, v = b.parameter("w", (8, 3, 3, 3)), b.parameter("v", (8, 8, 3, 3))
    first = b.apply(Unary, b.apply(Conv, image, w, b.parameter("wb", (8,)), **conv), function="relu")
    both = b.apply(Binary, first, b.apply(Conv, first, v, **conv), function="add")
    pooled = b.apply(GlobalPool, b.apply(Unary, both, function="relu"))
    network = converted(valued(b.finish(pooled)))
    assert_integers_only(network.graph)
    assert correlation(network) > 0.99
    relu = [op for op in network.graph.ops if isinstance(op, Requantise) and op.relu]
    assert len(relu) == 1


def test_preparing_keeps_every_value() -> None:
    graph = valued(bert.build(SMALL_BERT, seq=8))
    feeds = feeds_of(graph, 3)
    before, after = execute(graph, feeds), execute(prepared(graph), feeds)
    for name, value in before.items():
        np.testing.assert_allclose(after[name], value, rtol=1e-4, atol=1e-5)


def test_no_layer_norm_keeps_a_scale_that_a_product_can_take_in() -> None:
    graph = prepared(valued(vit.build(SMALL_VIT, image=16)))
    assert all(np.all(graph.constants[op.inputs[1]] == 1) for op in graph.ops if isinstance(op, LayerNorm))
    vectors = [
        op.name for op in graph.ops if isinstance(op, Binary) and op.function == "mul" and not _is_number(graph, op)
    ]
    assert vectors == ["norm.scaled"]
    """Between the last normalisation and the classifier the first token is cut out."""


def _is_number(graph: Graph, op: Binary) -> bool:
    return any(name in graph.parameters and graph.tensors[name].elements == 1 for name in op.inputs)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_of_calibration_converts(method: Any) -> None:
    network = converted(valued(bert.build(SMALL_BERT, seq=8)), method=method)
    assert correlation(network) > 0.95
    assert network.calibration.method == method


def one_layer(limit: float = 0.0) -> tuple[Graph, dict[str, Any]]:
    b = GraphBuilder("one")
    x = b.input("x", (4, 500))
    y = b.apply(MatMul, x, b.parameter("w", (500, 3), value=np.full((500, 3), 0.01, np.float32)), name="y")
    values = np.random.default_rng(0).uniform(-1, 1, (4, 500)).astype(np.float32)
    values[0, 0] = limit or values[0, 0]
    return b.finish(y), {"x": values}


def test_calibration_clips_an_outlier_only_where_asked() -> None:
    graph, feeds = one_layer(limit=50.0)
    assert calibrate(graph, [feeds]).limit("x") == 50.0
    assert calibrate(graph, [feeds], method="percentile", percentile=99.9).limit("x") < 1.1
    squared = calibrate(graph, [feeds], method="mse").limit("x")
    steps = np.array([calibrate(graph, [feeds], method="mse").limit("x"), 50.0]) / 127
    error = [float(np.sum((np.clip(np.rint(feeds["x"] / s), -127, 127) * s - feeds["x"]) ** 2)) for s in steps]
    assert error[0] <= error[1]
    assert squared <= 50.0


def test_calibration_does_not_depend_on_how_the_data_come_in_batches() -> None:
    graph, feeds = one_layer()
    larger = {"x": 3 * feeds["x"]}
    one, other = (calibrate(graph, batches).limits for batches in ([feeds, larger], [larger, feeds]))
    assert one == other


def test_percentile_counts_what_lies_below() -> None:
    graph, feeds = one_layer()
    for percentile in (50.0, 90.0, 99.0):
        clip = calibrate(graph, [feeds], method="percentile", percentile=percentile).limit("x")
        assert np.mean(np.abs(feeds["x"]) <= clip) == pytest.approx(percentile / 100, abs=0.01)


def test_scores_are_widened_until_their_exponentials_cannot_wrap() -> None:
    graph = valued(bert.build(replace(SMALL_BERT, layers=1), seq=16))
    network = converted(graph)
    for op in network.graph.ops:
        shape = network.graph.tensors[op.inputs[0]].shape
        if isinstance(op, IntegerSoftmax):
            assert softmax_fits(op.constants, shape[-1])
            assert network.graph.tensors[op.inputs[0]].precision.bits == 32
        if isinstance(op, IntegerLayerNorm):
            assert layer_norm_fits(op.gain * 256, shape[-1])
    for count in (1, 16, 128, 4096):
        assert least_score_scale(count) >= 0.99 * np.sqrt(count / (0.3585 * 2**31))


def test_branches_made_for_an_addition_are_made_on_its_grid() -> None:
    network = converted(valued(bert.build(SMALL_BERT, seq=8)))
    adds = [op for op in network.graph.ops if isinstance(op, IntegerAdd) and op.factor is None]
    assert adds
    assert all(op.b_factor == ONE for op in adds)


def test_errors_are_reported_per_operator_and_grow_from_the_input() -> None:
    network = converted(valued(bert.build(SMALL_BERT, seq=8)))
    rows = operator_errors(network, feeds_of(network.float_graph, 5))
    assert {row.integer_kind for row in rows} >= {"IntegerGelu", "IntegerSoftmax", "IntegerLayerNorm"}
    assert all(row.rms <= row.largest for row in rows)
    assert min(row.signal_to_noise_db for row in rows) > 8
    assert len({row.tensor for row in rows if row.bits == 8}) > 10


def refused(op: Any, match: str, shape: tuple[int, ...] = (2, 4)) -> None:
    b = GraphBuilder("refused")
    x = b.input("x", shape)
    kind, attributes = op
    graph = b.finish(b.apply(kind, x, name="culprit", **attributes))
    with pytest.raises(InputError, match=match):
        converted(graph)


def test_what_has_no_integer_form_is_named() -> None:
    refused((LogSoftmax, {}), "LogSoftmax 'culprit'.*cannot be made integer")
    refused((Softmax, {"axis": 0}), "Softmax 'culprit'.*last")
    refused((Reduce, {"function": "sum", "axes": (1,)}), "Reduce 'culprit'.*cannot be made integer")
    b = GraphBuilder("gate")
    x, y = b.input("x", (2, 4)), b.input("y", (2, 4))
    graph = b.finish(b.apply(Binary, x, y, name="gate", function="mul"))
    with pytest.raises(InputError, match=r"Binary 'gate'.*two activations"):
        converted(graph)


def test_networks_without_weights_or_data_are_refused() -> None:
    with pytest.raises(InputError, match="weights without values"):
        calibrate(bert.build(SMALL_BERT, seq=8), [])
    graph, feeds = one_layer()
    with pytest.raises(InputError, match="at least one batch"):
        calibrate(graph, [])
    with pytest.raises(InputError, match=r"'x'.*not finite"):
        integer_only(graph, calibrate(graph, [feeds, one_layer(limit=np.inf)[1], feeds]))
    with pytest.raises(InputError, match="unknown"):
        calibrate(graph, [feeds], method="median")  # type: ignore[arg-type]
    other = calibrate(graph, [feeds])
    with pytest.raises(InputError, match="another network"):
        integer_only(valued(bert.build(SMALL_BERT, seq=8)), other)
