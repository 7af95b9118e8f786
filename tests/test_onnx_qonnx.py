"""Quantised networks: the models that ship inside qonnx against qonnx's own executor, and quantisers written here."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx_cases import Writer, assert_equal_to_runtime, save

from model_ir.errors import UnsupportedOperatorError
from model_ir.graph import execute
from model_ir.onnx_import import import_onnx
from model_ir.passes.pipeline import run_passes
from model_ir.precision import Precision

# Elements that differ by one quantisation step: onnxruntime and numpy round sums in different orders, and a quantiser
# turns the last bit into a step where a value lies on the edge between two. The share of such elements is bounded, all
# others must be equal.
EDGE_SHARE = 1e-3


def data_folder() -> Path:
    qonnx = pytest.importorskip("qonnx", reason="qonnx is not installed")
    return Path(qonnx.__file__).parent / "data" / "onnx"


def packaged(name: str) -> Path:
    path = data_folder() / name
    if not path.exists():
        pytest.skip(f"this qonnx package does not ship {name}")
    return path


def executed_by_qonnx(model: onnx.ModelProto, feeds: dict[str, Any]) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.core.onnx_exec import execute_onnx
        from qonnx.transformation.infer_shapes import InferShapes

        outputs = execute_onnx(ModelWrapper(model).transform(InferShapes()), feeds)
    return [outputs[item.name] for item in model.graph.output]


FLOAT_MODELS = (
    "bsd300x3-espcn/subpixel/float_model.onnx",
    "bsd300x3-espcn/nn_resize/float_model.onnx",
    "matmul_update/sdp.onnx",
    "mnist-conv/model.onnx",
    "residual_block_clean.onnx",
)
QUANTISED_MODELS = (
    "bsd300x3-espcn/subpixel/quant_model.onnx",
    "bsd300x3-espcn/nn_resize/quant_model.onnx",
    "eltwise_chanlast_testcase.onnx",
)


def random_feeds(path: Path, largest: int = 1) -> dict[str, Any]:
    """Uniform images; with 255 whole numbers, as the quantised models' input annotations want."""
    graph = import_onnx(path)
    rng = np.random.default_rng(2)
    images = {name: rng.random(graph.tensors[name].shape).astype(np.float32) for name in graph.inputs}
    return {name: np.round(image * 255) if largest == 255 else image for name, image in images.items()}


@pytest.mark.parametrize("name", FLOAT_MODELS)
def test_float_model_equals_onnxruntime(name: str) -> None:
    path = packaged(name)
    graph, feeds = import_onnx(path), random_feeds(path)
    assert_equal_to_runtime(graph, onnx.load(path), feeds)
    assert_equal_to_runtime(run_passes(graph), onnx.load(path), feeds)


@pytest.mark.parametrize("name", QUANTISED_MODELS)
def test_quantised_model_equals_qonnx(name: str) -> None:
    path = packaged(name)
    graph, feeds = import_onnx(path), random_feeds(path, 255 if "eltwise" in name else 1)
    (wanted,) = executed_by_qonnx(onnx.load(path), feeds)
    scale = np.abs(wanted).max()
    assert scale > 0
    for version in (graph, run_passes(graph)):
        found = execute(version, feeds)[version.outputs[0]]
        apart = np.abs(found - wanted) > 1e-4 * scale
        assert apart.mean() < EDGE_SHARE


def test_quantised_weights_are_folded_with_their_precision() -> None:
    passed = run_passes(import_onnx(packaged("bsd300x3-espcn/subpixel/quant_model.onnx")))
    weights = [passed.tensors[op.inputs[1]] for op in passed.ops if op.kind == "Conv"]
    assert weights
    assert all(weight.name in passed.constants and weight.precision.bits == 4 for weight in weights[1:-1])
    assert all(not weight.precision.is_float for weight in weights)


def test_trained_network_reads_its_own_digits() -> None:
    """The MNIST network with the image and the result stored beside it."""
    path = packaged("mnist-conv/model.onnx")
    folder = path.parent / "test_data_set_0"
    if not folder.exists():
        pytest.skip("this qonnx package does not ship the digits")
    image, wanted = (
        onnx.numpy_helper.to_array(TensorProto.FromString((folder / name).read_bytes()))
        for name in ("input_0.pb", "output_0.pb")
    )
    graph = run_passes(import_onnx(path))
    found = execute(graph, {graph.inputs[0]: image})[graph.outputs[0]]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4 * float(np.abs(wanted).max()))


def test_float_quantiser_is_unsupported_or_a_host_operation() -> None:
    path = packaged("floatquant_exec/qonnx_act_weight_fp8.onnx")
    with pytest.raises(UnsupportedOperatorError, match=r"FloatQuant node .*operator is not supported"):
        import_onnx(path)


def qonnx_model(nodes: int, rounding: str, signed: int, narrow: int, bits: float) -> onnx.ModelProto:
    w = Writer(13)
    domain = "qonnx.custom_op.general"
    x = w.input("x", [2, 6])
    operands = (w.stored(np.float32(0.125)), w.stored(np.float32(0)), w.stored(np.float32(bits)))
    for _ in range(nodes):
        x = w.op("Quant", x, *operands, domain=domain, signed=signed, narrow=narrow, rounding_mode=rounding)
    w.output(x)
    return w.model({domain: 1})


@pytest.mark.parametrize("rounding", ["ROUND", "CEIL", "FLOOR"])
@pytest.mark.parametrize(("signed", "narrow", "bits"), [(1, 0, 4), (1, 1, 3), (0, 0, 2), (0, 1, 5), (1, 0, 1)])
def test_quant_equals_qonnx(tmp_path: Path, rounding: str, signed: int, narrow: int, bits: int) -> None:
    pytest.importorskip("qonnx", reason="qonnx is not installed")
    model = qonnx_model(1, rounding, signed, narrow, bits)
    x = np.random.default_rng(0).standard_normal((2, 6)).astype(np.float32)
    graph = import_onnx(save(model, tmp_path))
    (wanted,) = executed_by_qonnx(model, {"x": x})
    np.testing.assert_array_equal(execute(graph, {"x": x})[graph.outputs[0]], wanted)
    precision = graph.tensors[graph.outputs[0]].precision
    assert (precision.bits, precision.signed, precision.scale) == (bits, bool(signed), 0.125)


def test_bipolar_quant_equals_qonnx(tmp_path: Path) -> None:
    pytest.importorskip("qonnx", reason="qonnx is not installed")
    w = Writer(13)
    domain = "qonnx.custom_op.general"
    w.output(w.op("BipolarQuant", w.input("x", [2, 6]), w.stored(np.float32(0.5)), domain=domain))
    model = w.model({domain: 1})
    x = np.random.default_rng(0).standard_normal((2, 6)).astype(np.float32)
    graph = import_onnx(save(model, tmp_path))
    np.testing.assert_array_equal(execute(graph, {"x": x})[graph.outputs[0]], executed_by_qonnx(model, {"x": x})[0])


def test_integer_network_of_onnx_equals_onnxruntime(tmp_path: Path) -> None:
    """QuantizeLinear and DequantizeLinear around a convolution with int8 weights per channel, and MatMulInteger."""
    w = Writer(13)
    x = w.input("x", [1, 3, 6, 6])
    scale, zero = w.stored(np.float32(0.05)), w.stored(np.uint8(120))
    quantised = w.op("QuantizeLinear", x, scale, zero)
    real = w.op("DequantizeLinear", quantised, scale, zero)
    kernel = w.stored(w.random.integers(-127, 127, (4, 3, 3, 3)).astype(np.int8))
    scales, zeros = w.stored(np.float32([0.1, 0.2, 0.3, 0.4])), w.stored(np.zeros(4, np.int8))
    product = w.op("Conv", real, w.op("DequantizeLinear", kernel, scales, zeros, axis=0), kernel_shape=[3, 3])
    w.output(product)
    matrix = w.stored(w.random.integers(-127, 127, (6, 5)).astype(np.int8))
    w.output(w.op("MatMulInteger", quantised, matrix, zero), TensorProto.INT32)
    feeds = {"x": np.random.default_rng(0).standard_normal((1, 3, 6, 6)).astype(np.float32)}
    graph = import_onnx(save(w.model(), tmp_path))
    assert_equal_to_runtime(graph, w.model(), feeds)
    passed = run_passes(graph)
    assert_equal_to_runtime(passed, w.model(), feeds)
    assert Counter(op.kind for op in passed.ops)["DequantizeLinear"] == 2
    assert passed.tensors[kernel].precision == Precision(bits=8)
