"""The networks whose topology ships with the onnx package: imported, executed and compared with onnxruntime on the same
random weights.

What is compared is the tensor before the final softmax (a softmax of random logits is nearly one-hot and would hide
errors): the largest absolute difference over the largest absolute value.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from model_ir.errors import InputError
from model_ir.graph import Graph, execute, random_parameters
from model_ir.onnx_import import import_onnx
from model_ir.ops.normalisation import BatchNorm, Softmax
from model_ir.passes.pipeline import run_passes
from model_ir.passes.precision import assign_precision
from model_ir.precision import INT8, INT32

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
TOLERANCE = 1e-4

# Multiply-accumulates in millions and parameters of weights and biases as published (He et al. 2016: ResNet-50 has 4.1
# G and 25.6 M; Simonyan and Zisserman 2015: VGG-19 has 19.6 G and 143.7 M; Iandola et al. 2016: SqueezeNet 1.24 M;
# Huang et al. 2017: DenseNet-121 8.0 M).
MEGA_MACS = {
    "bvlc_alexnet": 655,
    "densenet121": 2834,
    "inception_v1": 1432,
    "inception_v2": 2019,
    "resnet50": 4089,
    "shufflenet": 125,
    "squeezenet": 349,
    "vgg19": 19632,
    "zfnet512": 1482,
}
MEGA_PARAMETERS = {"bvlc_alexnet": 60.97, "densenet121": 8.0, "resnet50": 25.5, "squeezenet": 1.235, "vgg19": 143.67}


def path_of(name: str) -> Path:
    path = LIGHT / f"light_{name}.onnx"
    if not path.exists():
        pytest.skip(f"this onnx package does not ship {path.name}")
    return path


@cache
def imported(name: str) -> Graph:
    return import_onnx(path_of(name))


def weights_of(graph: Graph) -> dict[str, Any]:
    """Random weights under which the signal neither dies nor explodes (He et al. 2015: variance 2 / fan-in), shifts
    small, scales and variances near 1. The few batch-norm statistics that the files keep belong to other weights and
    are replaced too."""
    generator = np.random.default_rng(4)
    weights = {name: value * np.float32(np.sqrt(2)) for name, value in random_parameters(graph, seed=3).items()}
    normalised = {name for op in graph.ops if isinstance(op, BatchNorm) for name in op.inputs[1:]}
    variances = {op.inputs[4] for op in graph.ops if isinstance(op, BatchNorm)}
    scales = variances | {op.inputs[1] for op in graph.ops if isinstance(op, BatchNorm)}
    for name in sorted(normalised | {name for name in weights if len(graph.tensors[name].shape) == 1}):
        noise = generator.standard_normal(graph.tensors[name].shape).astype(np.float32) / 8
        near_one = name in scales or name.endswith("_w_0")
        weights[name] = 1 + np.abs(noise) if near_one else noise
    return weights


def before_softmax(graph: Graph) -> Graph:
    softmax = [op for op in graph.ops if isinstance(op, Softmax)]
    return replace(graph, outputs=softmax[-1].inputs[:1]) if softmax else graph


def runtime_output(name: str, weights: dict[str, Any], output: str, image: Any) -> Any:
    """onnxruntime on the file with `weights` as initialisers in place of the ConstantOfShape nodes."""
    model = onnx.load(path_of(name))
    kept = [node for node in model.graph.node if node.output[0] not in weights]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    initialisers = [item for item in model.graph.initializer if item.name not in weights]
    del model.graph.initializer[:]
    model.graph.initializer.extend(initialisers)
    model.graph.initializer.extend(numpy_helper.from_array(value, key) for key, value in weights.items())
    del model.graph.output[:]
    model.graph.output.append(onnx.ValueInfoProto(name=output))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    fed = {"data_0", "gpu_0/data_0"} & {item.name for item in session.get_inputs()}
    return session.run(None, {next(iter(fed)): image})[0]


def relative_error(found: Any, wanted: Any) -> float:
    assert found.shape == wanted.shape
    scale = np.abs(wanted).max()
    assert np.isfinite(scale)
    assert wanted.std() > 1e-3 * scale, "the reference is too uniform to show an error"
    return float(np.abs(np.asarray(found) - wanted).max() / scale)


@lru_cache(maxsize=1)
def reference(name: str) -> tuple[dict[str, Any], Any, Any]:
    """Random weights, a random image, and what onnxruntime computes before the final softmax."""
    graph = imported(name)
    weights = weights_of(graph)
    image = np.random.default_rng(5).standard_normal(graph.tensors[graph.inputs[0]].shape).astype(np.float32)
    return weights, image, runtime_output(name, weights, before_softmax(graph).outputs[0], image)


def run_numpy(graph: Graph, feeds: dict[str, Any]) -> Any:
    return execute(graph, feeds)[graph.outputs[0]]


def run_jax(graph: Graph, feeds: dict[str, Any]) -> Any:
    import jax
    import jax.numpy as jnp

    return jax.jit(lambda values: execute(graph, values, jnp)[graph.outputs[0]])(feeds)


@pytest.mark.parametrize("route", ["as imported", "after passes", "on jax"])
@pytest.mark.parametrize("name", sorted(MEGA_MACS))
def test_network_equals_onnxruntime(name: str, route: str) -> None:
    graph = imported(name)
    weights, image, wanted = reference(name)
    feeds = {graph.inputs[0]: image, **weights}
    if route == "after passes":
        graph = run_passes(replace(graph, constants={**graph.constants, **weights}))
        feeds = {graph.inputs[0]: image}
    run = run_jax if route == "on jax" else run_numpy
    cut = before_softmax(graph)
    assert relative_error(run(cut, feeds), wanted) < TOLERANCE
    if route == "after passes":
        darker = run(cut, {**feeds, graph.inputs[0]: image / 2})
        assert relative_error(darker, wanted) > 1e-2, "the output hardly depends on the input"


@pytest.mark.parametrize("name", sorted(MEGA_MACS))
def test_stripped_network_keeps_published_counts_through_passes(name: str) -> None:
    graph = imported(name)
    assert sum(value.nbytes for value in graph.constants.values()) < 1 << 20, (
        "stripped weights must not be materialised"
    )
    passed = run_passes(graph)
    assert round(graph.macs / 1e6) == MEGA_MACS[name]
    assert passed.macs == graph.macs
    if name in MEGA_PARAMETERS:
        assert passed.parameter_count / 1e6 == pytest.approx(MEGA_PARAMETERS[name], rel=0.01)
    kinds = Counter(op.kind for op in passed.ops)
    assert passed.outputs == graph.outputs
    assert len(passed.ops) < len(graph.ops) or name == "zfnet512"
    # Only densenet normalises where no convolution comes directly before.
    assert (kinds["BatchNorm"] > 0) == (name == "densenet121")


def test_assigned_precision_reaches_every_float_tensor() -> None:
    passed = run_passes(imported("resnet50"))
    costed = assign_precision(passed, INT8)
    assert {str(tensor.precision) for tensor in costed.tensors.values()} == {"int8", "int32"}
    nests = {op.name: costed.nest_of(op) for op in costed.ops if op.kind == "Conv"}
    for nest in nests.values():
        assert [access.precision for access in nest.reads] == [INT8, INT8, INT32]
    assert costed.macs == passed.macs


def test_directory_of_networks_is_not_a_network() -> None:
    with pytest.raises(InputError, match="regular file"):
        import_onnx(LIGHT)
