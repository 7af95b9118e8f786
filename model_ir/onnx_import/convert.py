"""From an ONNX or QONNX file to a `Graph`: dynamic axes bound, static operands resolved, every operator through a
literal table.

Shapes come from the operators' own rules as the graph is built (they are exact once the inputs are static), small
constants are folded on the way, and weights that are not in the file stay without value. onnx itself parses, checks
nodes against their schemas, inlines functions, and infers the shapes of operators that only pass through as host
operations.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx

from model_ir.errors import UnsupportedOperatorError
from model_ir.graph import Graph
from model_ir.onnx_import import (
    contraction,
    elementwise,
    movement,
    normalisation,
    pooling,
    quantisation,
    resize,
    static,
)
from model_ir.onnx_import.file import STANDARD_DOMAINS, OnnxFile, describe, read_onnx_file
from model_ir.onnx_import.host import host_operation
from model_ir.onnx_import.inputs import declare_inputs
from model_ir.onnx_import.node import Node
from model_ir.onnx_import.scope import Converter, Scope
from model_ir.onnx_import.types import check_constant_types

CONVERTERS: dict[str, Converter] = {
    **contraction.CONVERTERS,
    **elementwise.CONVERTERS,
    **movement.CONVERTERS,
    **normalisation.CONVERTERS,
    **pooling.CONVERTERS,
    **quantisation.CONVERTERS,
    **resize.CONVERTERS,
    **static.CONVERTERS,
}
CONTRIB_CONVERTERS: dict[str, Converter] = {
    **contraction.CONTRIB_CONVERTERS,
    **elementwise.CONTRIB_CONVERTERS,
    **normalisation.CONTRIB_CONVERTERS,
}
QONNX_CONVERTERS: dict[str, Converter] = quantisation.QONNX_CONVERTERS

CONVERTERS_BY_DOMAIN: dict[str, dict[str, Converter]] = {
    "": CONVERTERS,
    "com.microsoft": CONTRIB_CONVERTERS,
    "qonnx.custom_op.general": QONNX_CONVERTERS,
    "onnx.brevitas": QONNX_CONVERTERS,
    "finn.custom_op.general": QONNX_CONVERTERS,
}


def import_onnx(path: str | Path, *, dims: Mapping[str, int] | None = None, skip_unsupported: bool = False) -> Graph:
    """Import an ONNX (operator set 7 to the newest) or QONNX file as a verified Graph.

    `dims` binds dynamic axes by their name in the file or by `input:axis`. Raises InputError for a file that cannot be
    used or an axis that is not bound, UnsupportedOperatorError naming the operators that the IR does not know; with
    `skip_unsupported` those become host operations.
    """
    file = read_onnx_file(path)
    if not skip_unsupported:
        _refuse_unknown(file)
    scope = Scope(file)
    declare_inputs(scope, dims or {})
    for proto in file.nodes:
        _convert(scope, proto, dims or {}, skip_unsupported)
    return scope.finish(tuple(str(value.name) for value in file.graph.output))


def _convert(scope: Scope, proto: onnx.NodeProto, dims: Mapping[str, int], skip_unsupported: bool) -> None:
    domain = "" if proto.domain in STANDARD_DOMAINS else str(proto.domain)
    node = Node(proto=proto, opset=scope.file.opsets.get(domain, 1), where=scope.file.path)
    converter = _converter(proto)
    if not node.outputs:
        raise node.error("has no output")
    if converter is None:
        host_operation(scope, node, dims)
        return
    check_constant_types(scope, node, domain)
    try:
        converter(scope, node)
    except UnsupportedOperatorError:
        if not skip_unsupported:
            raise
        host_operation(scope, node, dims)


def _converter(proto: onnx.NodeProto) -> Converter | None:
    domain = "" if proto.domain in STANDARD_DOMAINS else str(proto.domain)
    return CONVERTERS_BY_DOMAIN.get(domain, {}).get(str(proto.op_type))


def _refuse_unknown(file: OnnxFile) -> None:
    unknown = [node for node in file.nodes if _converter(node) is None]
    if not unknown:
        return
    kinds = sorted({f"{node.domain}.{node.op_type}" if node.domain else str(node.op_type) for node in unknown})
    raise UnsupportedOperatorError(
        file.path,
        f"{describe(unknown[0])}: operator is not supported (in all: {', '.join(kinds)}); "
        "--skip-unsupported imports such operators as host operations",
        value=f"{len(unknown)} of {len(file.nodes)} nodes",
    )
