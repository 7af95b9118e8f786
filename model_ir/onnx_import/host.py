"""Operators that the IR does not know, imported as host operations: shapes by onnx's shape inference or as the file
declares them."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnx import helper, numpy_helper, shape_inference

from model_ir.onnx_import.inputs import axis_size
from model_ir.onnx_import.node import Node
from model_ir.onnx_import.scope import Scope
from model_ir.onnx_import.tensor import PRECISIONS, data_type_of
from model_ir.ops.host import HostOp
from model_ir.precision import Precision
from model_ir.tensor import Shape

_Output = tuple[Shape, Precision]


def host_operation(scope: Scope, node: Node, dims: Mapping[str, int]) -> None:
    """Append a HostOp for `node`; UnsupportedOperatorError where the shape of an output is unknown."""
    names = tuple(str(name) for name in node.outputs)
    declared = {str(value.name): value for value in (*scope.file.graph.value_info, *scope.file.graph.output)}
    inferred = _inferred(scope, node)
    outputs: list[_Output] = []
    for name in names:
        found = None
        for value in (inferred.get(name), declared.get(name)):
            found = found or (None if value is None else _static(value, dims))
        if name and found is None:
            raise node.unsupported(f"a host operation whose output {name!r} has no known shape")
        outputs.append(found or ((1,), PRECISIONS[onnx.TensorProto.FLOAT]))
    scope.emit(
        node, HostOp, *node.inputs, outputs=tuple(name or scope.fresh(f"{node.label}/unused") for name in names),
        op_type=node.op_type, output_shapes=tuple(shape for shape, _ in outputs),
        output_precisions=tuple(precision for _, precision in outputs),
    )  # fmt: skip


def _inferred(scope: Scope, node: Node) -> dict[str, onnx.ValueInfoProto]:
    """onnx's shape inference of a model with this node alone; empty where onnx knows no rule."""
    inputs, constants = [], []
    for name in dict.fromkeys(name for name in node.inputs if name):
        tensor = scope.tensor(name)
        plain = Precision(
            bits=tensor.precision.bits, signed=tensor.precision.signed, is_float=tensor.precision.is_float
        )
        data_type = data_type_of(plain)
        inputs.append(helper.make_tensor_value_info(name, data_type, tensor.shape))
        value = scope.value(name)
        if value is not None:
            constants.append(numpy_helper.from_array(value, name))
    outputs = [onnx.ValueInfoProto(name=name) for name in node.outputs if name]
    graph = helper.make_graph([node.proto], "one", inputs, outputs, constants)
    imports = [helper.make_opsetid(domain, version) for domain, version in scope.file.opsets.items()]
    model = helper.make_model(graph, opset_imports=imports)
    try:
        result = shape_inference.infer_shapes(model, data_prop=True)
    except (shape_inference.InferenceError, RuntimeError, ValueError):
        return {}
    return {str(value.name): value for value in result.graph.output}


def _static(value: onnx.ValueInfoProto, dims: Mapping[str, int]) -> _Output | None:
    kind = value.type.tensor_type
    if kind.elem_type not in PRECISIONS or not kind.HasField("shape"):
        return None
    sizes = [axis_size(dim, dims) for dim in kind.shape.dim]
    shape = tuple(size for size in sizes if size is not None)
    return (shape, PRECISIONS[kind.elem_type]) if len(shape) == len(sizes) else None
