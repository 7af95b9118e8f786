"""Writes ONNX models as exporters do, and runs them in onnxruntime: the oracle of the import tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from model_ir.graph import Graph, execute
from model_ir.onnx_import import import_onnx
from model_ir.passes.pipeline import run_passes

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


class Writer:
    """Collects nodes and weights; `op` returns the name of the first output."""

    def __init__(self, opset: int, seed: int = 0) -> None:
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.random = np.random.default_rng(seed)

    def input(self, name: str, shape: Sequence[int | str], kind: int = FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def op(self, op_type: str, *inputs: str, count: int = 1, domain: str = "", **attributes: Any) -> str:
        names = [f"{op_type}_{len(self.nodes)}" + (f"_{index}" if index else "") for index in range(count)]
        node = helper.make_node(op_type, list(inputs), names, name=f"/{names[0]}", domain=domain, **attributes)
        self.nodes.append(node)
        return names[0]

    def constant(self, value: Any) -> str:
        """A Constant node, as PyTorch's exporters write small values."""
        return self.op("Constant", value=numpy_helper.from_array(np.asarray(value)))

    def real(self, value: float) -> str:
        return self.constant(np.float32(value))

    def stored(self, value: Any) -> str:
        """An initialiser."""
        name = f"stored_{len(self.initialisers)}"
        self.initialisers.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def weight(self, *shape: int, mean: float = 0.0) -> str:
        fan_in = max(1, int(np.prod(shape[:-1])))
        return self.stored((mean + self.random.standard_normal(shape) / np.sqrt(fan_in)).astype(np.float32))

    def output(self, name: str, kind: int = FLOAT) -> None:
        self.outputs.append(helper.make_tensor_value_info(name, kind, None))

    def model(self, domains: Mapping[str, int] | None = None) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, "network", self.inputs, self.outputs, self.initialisers)
        versions = {"": self.opset, **(domains or {})}
        imports = [helper.make_opsetid(domain, version) for domain, version in versions.items()]
        return helper.make_model(graph, opset_imports=imports, ir_version=10)


def save(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def runtime_outputs(model: onnx.ModelProto, feeds: Mapping[str, Any]) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, dict(feeds)))


def assert_equal_to_runtime(
    graph: Graph, model: onnx.ModelProto, feeds: Mapping[str, Any], tolerance: float = 1e-4
) -> None:
    """Every output: same shape, largest difference below `tolerance` times the largest magnitude."""
    wanted = runtime_outputs(model, feeds)
    found = execute(graph, feeds)
    assert list(found) == [item.name for item in model.graph.output]
    for name, value in zip(found, wanted, strict=True):
        assert found[name].shape == value.shape, name
        scale = max(1e-30, float(np.abs(value.astype(np.float64)).max()))
        error = float(np.abs(found[name].astype(np.float64) - value.astype(np.float64)).max()) / scale
        assert error < tolerance, (name, error)


def kinds(graph: Graph) -> Counter[str]:
    return Counter(op.kind for op in graph.ops)


def checked_passes(
    model: onnx.ModelProto, folder: Path, feeds: dict[str, Any], dims: dict[str, int] | None = None
) -> Graph:
    """Import, compare with onnxruntime before and after the passes, and return the graph after them."""
    graph = import_onnx(save(model, folder), dims=dims)
    assert_equal_to_runtime(graph, model, feeds)
    passed = run_passes(graph)
    assert passed.macs == graph.macs
    assert_equal_to_runtime(passed, model, feeds)
    return passed
