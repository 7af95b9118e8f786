"""Element types of constant operands against the operator's schema, so that evaluating constants never meets a type it
has no meaning for."""

from __future__ import annotations

from functools import cache

from onnx import defs

from model_ir.onnx_import.node import Node
from model_ir.onnx_import.scope import Scope
from model_ir.onnx_import.tensor import data_type_of, type_name


def check_constant_types(scope: Scope, node: Node, domain: str) -> None:
    """Raise InputError where a constant input's element type is not one of the operator's, or two inputs that must
    agree do not."""
    if not defs.has(node.op_type, node.opset, domain):
        return
    bound: dict[str, str] = {}
    for position, name in enumerate(node.inputs):
        if not name or scope.value(name) is None:
            continue
        variable, allowed = _formal(node.op_type, node.opset, domain, position)
        found = f"tensor({type_name(data_type_of(scope.tensor(name).precision)).lower()})"
        if allowed and found not in allowed:
            raise node.error(
                f"input {name!r} has the wrong element type", value=found, limit=", ".join(sorted(allowed))
            )
        if variable and bound.setdefault(variable, found) != found:
            raise node.error(
                f"input {name!r} has another element type than its fellows", value=found, limit=bound[variable]
            )


@cache
def _formal(op_type: str, opset: int, domain: str, position: int) -> tuple[str, frozenset[str]]:
    """Type variable ("" where inputs need not agree) and allowed types of an operator's input."""
    schema = defs.get_schema(op_type, opset, domain)
    if not schema.inputs:
        return "", frozenset()
    formal = schema.inputs[min(position, len(schema.inputs) - 1)]
    return (formal.type_str if formal.is_homogeneous else ""), frozenset(formal.types)
