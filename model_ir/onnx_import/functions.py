"""Model-local functions (what onnxscript and some exporters write) are inlined by onnx, once their expansion is known
to be bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx
from onnx import inliner

from model_ir.errors import InputError

MAXIMUM_EXPANDED_NODES = 1_000_000

_Key = tuple[str, str, str]


def inline_functions(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    """The model with every call of its own functions replaced by the body.

    Raises InputError for functions that call themselves or that expand to more than MAXIMUM_EXPANDED_NODES nodes.
    """
    if not model.functions:
        return model
    functions = {(function.domain, function.name, function.overload): function for function in model.functions}
    if len(functions) != len(model.functions):
        raise InputError(where, "a function is defined twice", value=len(model.functions))
    sizes: dict[_Key, int] = {}
    for key in functions:
        _measure(key, functions, sizes, where)
    total = sum(sizes.get(_called(node), 1) for node in _nested(model.graph.node))
    if total > MAXIMUM_EXPANDED_NODES:
        raise InputError(where, "its functions expand to too many nodes", value=total, limit=MAXIMUM_EXPANDED_NODES)
    try:
        return inliner.inline_local_functions(model)
    except (RuntimeError, ValueError, onnx.checker.ValidationError) as error:
        raise InputError(where, f"its functions cannot be inlined: {str(error).splitlines()[0]}") from error


def _nested(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """The nodes and those of their subgraphs (protobuf limits the depth to 100)."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            yield from _nested(attribute.g.node)
            for graph in attribute.graphs:
                yield from _nested(graph.node)


def _called(node: onnx.NodeProto) -> _Key:
    return node.domain, node.op_type, node.overload


def _measure(start: _Key, functions: dict[_Key, onnx.FunctionProto], sizes: dict[_Key, int], where: str) -> None:
    """Fill `sizes` with the nodes that `start` and everything below it expands to; depth first without recursion."""
    path: list[_Key] = [start]
    while path:
        key = path[-1]
        callees = {_called(node) for node in _nested(functions[key].node)} & set(functions)
        unknown = [callee for callee in callees if callee not in sizes]
        if key in sizes or not unknown:
            sizes[key] = 1 + sum(sizes.get(_called(node), 1) for node in _nested(functions[key].node))
            path.pop()
        elif set(unknown) & set(path):
            raise InputError(where, "a function calls itself", value=min(set(unknown) & set(path)))
        else:
            path.append(unknown[0])
