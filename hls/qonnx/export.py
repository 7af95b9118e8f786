"""`export_qonnx`: a quantised Graph as a QONNX file, and `qonnx_model`, the same as an ONNX message.

Beside `model_ir.onnx_import`, which reads, this is the only file that writes ONNX; onnx is imported inside, so that the
command line starts without it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hls.qonnx.nodes import BASE_OPSET, QONNX_DOMAIN, NodeForm, node_form
from hls.qonnx.plain import plain
from model_ir.errors import InputError, UnsupportedOperatorError
from model_ir.graph import Graph
from model_ir.op import Op
from model_ir.tensor import Tensor

if TYPE_CHECKING:
    import onnx

# onnxruntime 1.22 to 1.31 read it, and qonnx's and hls4ml's own models are older still.
IR_VERSION = 10
# Where a node's axes came as an attribute up to one operator set and as an input from the next on (ONNX change log).
_REDUCTION_AXES_INPUT_SINCE = 18


def export_qonnx(graph: Graph, path: str | Path) -> None:
    """Write `graph` as the QONNX file `path`, whole or not at all.

    Quant operators become qonnx.custom_op.general's Quant nodes (version 1), products with a bias MatMul and Add;
    every tensor keeps its name and shape, so that `import_onnx` gives back `plain(graph)`. Raises
    UnsupportedOperatorError naming an operator that QONNX has no node for, InputError for a parameter without a value
    and for a path that cannot be written.
    """
    message = qonnx_bytes(graph)
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _replace(target, message)
    except OSError as error:
        raise InputError(str(target), f"cannot write the QONNX file: {error.strerror or error}") from error


def qonnx_bytes(graph: Graph) -> bytes:
    """The content of the file: the same bytes for the same graph; raises as `export_qonnx` does."""
    content: bytes = qonnx_model(graph).SerializeToString(deterministic=True)
    return content


def qonnx_model(graph: Graph) -> onnx.ModelProto:
    """`graph` as a QONNX model that passes onnx's checker; raises as `export_qonnx` does."""
    from onnx import checker, helper, numpy_helper

    graph = plain(graph)
    forms = [_form(graph, op) for op in graph.ops]
    opset = max((form.opset for form in forms), default=BASE_OPSET)
    taken = {*graph.tensors}
    nodes, added = [], {}
    for op, form in zip(graph.ops, forms, strict=True):
        form = _at_opset(form, opset)
        names, values = _added_constants(op, form, taken)
        added.update(values)
        inputs = _without_trailing((*op.inputs, *names))
        nodes.append(helper.make_node(form.op_type, inputs, op.outputs, name=op.name, domain=form.domain))
        nodes[-1].attribute.extend(helper.make_attribute(name, value) for name, value in form.attributes.items())
    made = {name for op in graph.ops for name in op.outputs} - set(graph.outputs)
    message = helper.make_graph(
        nodes,
        graph.name,
        _values(graph.tensors[name] for name in graph.inputs),
        _values(graph.tensors[name] for name in graph.outputs),
        [numpy_helper.from_array(value, name) for name, value in {**_constants(graph), **added}.items()],
        value_info=_values(graph.tensors[name] for name in sorted(made)),
    )
    domains = [helper.make_opsetid("", opset), helper.make_opsetid(QONNX_DOMAIN, 1)]
    model = helper.make_model(message, opset_imports=domains, ir_version=IR_VERSION, producer_name="systolic")
    checker.check_model(model)
    return model


def _form(graph: Graph, op: Op) -> NodeForm:
    form = node_form(op)
    if form is None:
        raise UnsupportedOperatorError(
            graph.origin or graph.name, f"{op.kind} {op.name!r} has no QONNX node that it could be written as"
        )
    return form


def _at_opset(form: NodeForm, opset: int) -> NodeForm:
    """The same node where a later operator set reads the axes of reductions as an input."""
    if opset < _REDUCTION_AXES_INPUT_SINCE or "axes" not in form.attributes:
        return form
    rest = {name: value for name, value in form.attributes.items() if name != "axes"}
    axes = np.array(form.attributes["axes"], np.int64)
    return NodeForm(op_type=form.op_type, attributes=rest, added={"axes": axes}, opset=form.opset)


def _added_constants(op: Op, form: NodeForm, taken: set[str]) -> tuple[list[str], dict[str, Any]]:
    """Names of the constants that a node reads beside its operator's inputs ("" for an absent one), and values."""
    names, values = [], {}
    for suffix, value in form.added.items():
        name = "" if value is None else _fresh(f"{op.name}.{suffix}", taken)
        names.append(name)
        if value is not None:
            values[name] = np.asarray(value)
    return names, values


def _fresh(hint: str, taken: set[str]) -> str:
    name, count = hint, 1
    while name in taken:
        count += 1
        name = f"{hint}_{count}"
    taken.add(name)
    return name


def _without_trailing(names: Iterable[str]) -> list[str]:
    kept = list(names)
    while kept and not kept[-1]:
        kept.pop()
    return kept


def _constants(graph: Graph) -> Mapping[str, Any]:
    missing = sorted(graph.parameters - set(graph.constants))
    if missing:
        raise InputError(
            graph.origin or graph.name, f"parameter {missing[0]!r} has no value to write", value=len(missing)
        )
    return {name: np.asarray(graph.constants[name]) for name in sorted(graph.constants)}


def _values(tensors: Iterable[Tensor]) -> list[onnx.ValueInfoProto]:
    """Every tensor of a quantised network is a float in QONNX, whatever grid its values lie on."""
    from onnx import TensorProto, helper

    return [helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, tensor.shape) for tensor in tensors]


def _replace(target: Path, content: bytes) -> None:
    """Write beside `target` and rename, so that a reader, or the next run, never sees half a file."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(name, 0o644)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
