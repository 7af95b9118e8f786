"""Reads an ONNX file without trusting it: every way in which it can be broken becomes an InputError with path and
value.

What is checked here holds for the rest of the importer: one definition per name, every name defined, no cycle, text is
text, every stored tensor as large as it says, every operator's attributes as its schema says. Operators are not
interpreted here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, checker, defs

from model_ir.errors import InputError
from model_ir.onnx_import.functions import inline_functions
from model_ir.onnx_import.tensor import check_tensor

# Before 7 operators broadcast by attributes; 7 and 8 differ from 9 only where the converters look.
OLDEST_OPSET = 7
MAXIMUM_FILE_BYTES = 2**31 - 1
STANDARD_DOMAINS = ("", "ai.onnx")
# Infinity is meaningful here: an open bound, the padding of a max-pool, a mask.
_INFINITY_ALLOWED = frozenset({"Clip", "Pad", "Constant", "ConstantOfShape"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxFile:
    """A file that passed the checks: `nodes` in topological order, functions inlined, `opsets` by domain ("" is ONNX's
    own)."""

    path: str
    folder: Path
    graph: onnx.GraphProto
    nodes: tuple[onnx.NodeProto, ...]
    opsets: Mapping[str, int]

    @property
    def opset(self) -> int:
        """Version of ONNX's own operator set."""
        return self.opsets[""]


def read_onnx_file(path: str | Path) -> OnnxFile:
    """Read and check an ONNX or QONNX file; external data stays on disk. Raises InputError naming the path and what is
    wrong."""
    where = str(path)
    model = _parse(_read_bytes(Path(path), where), where)
    opsets = _opsets(model, where)
    for text in _texts(model):
        if not isinstance(text, str):
            raise InputError(where, "a name is not valid UTF-8 text", value=repr(text[:60]))
    model = inline_functions(model, where)
    graph = model.graph
    folder = Path(path).resolve().parent
    _check_tensors(graph, where, folder)
    _check_names(graph, where)
    for node in graph.node:
        _check_node(node, opsets, where)
    return OnnxFile(path=where, folder=folder, graph=graph, nodes=_in_order(graph, where), opsets=opsets)


def _read_bytes(path: Path, where: str) -> bytes:
    try:
        if not path.exists():
            raise InputError(where, "no such file")
        if not path.is_file():
            raise InputError(where, "is not a regular file")
        size = path.stat().st_size
        if size > MAXIMUM_FILE_BYTES:
            raise InputError(
                where,
                "is larger than a protobuf message may be",
                value=f"{size} bytes",
                limit=f"{MAXIMUM_FILE_BYTES} bytes",
            )
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(where, f"cannot be read: {error}") from error
    if not data:
        raise InputError(where, "is empty", value="0 bytes")
    return data


def _parse(data: bytes, where: str) -> onnx.ModelProto:
    try:
        model = onnx.ModelProto.FromString(data)
    except DecodeError as error:
        raise InputError(
            where, "is not an ONNX file, or is truncated or damaged", value=f"{len(data)} bytes"
        ) from error
    if not model.HasField("graph") or not model.graph.node:
        raise InputError(where, "is not an ONNX model: it holds no graph with nodes", value=f"{len(data)} bytes")
    return model


def _opsets(model: onnx.ModelProto, where: str) -> Mapping[str, int]:
    opsets: dict[str, int] = {}
    for entry in model.opset_import:
        domain = "" if entry.domain in STANDARD_DOMAINS else entry.domain
        if opsets.setdefault(domain, entry.version) != entry.version:
            raise InputError(where, f"imports domain {domain!r} in two versions", value=(opsets[domain], entry.version))
    newest = defs.onnx_opset_version()
    if "" not in opsets or not OLDEST_OPSET <= opsets[""] <= newest:
        found = opsets.get("", "none")
        raise InputError(
            where, "operator set version is not supported", value=found, limit=f"{OLDEST_OPSET} to {newest}"
        )
    return opsets


def _texts(model: onnx.ModelProto) -> Iterator[str | bytes]:
    """Every name; protobuf hands out bytes for a string field that is not UTF-8."""
    yield from (entry.domain for entry in model.opset_import)
    for function in model.functions:
        yield from (function.name, function.domain, *function.input, *function.output, *function.attribute)
        yield from _node_texts(function.node)
    graph = model.graph
    yield graph.name
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield value.name
        yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)
    for tensor in graph.initializer:
        yield tensor.name
        yield from (text for entry in tensor.external_data for text in (entry.key, entry.value))
    yield from _node_texts(graph.node)


def _node_texts(nodes: Iterable[onnx.NodeProto]) -> Iterator[str | bytes]:
    for node in nodes:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        for attribute in node.attribute:
            yield attribute.name
            for graph in (attribute.g, *attribute.graphs) if attribute.type in _GRAPH_TYPES else ():
                yield from _node_texts(graph.node)


_GRAPH_TYPES = (AttributeProto.GRAPH, AttributeProto.GRAPHS)


def _check_tensors(graph: onnx.GraphProto, where: str, folder: Path) -> None:
    if graph.sparse_initializer:
        raise InputError(where, "sparse initialisers are not supported", value=len(graph.sparse_initializer))
    for tensor in graph.initializer:
        check_tensor(tensor, where, folder)


def _check_names(graph: onnx.GraphProto, where: str) -> None:
    initialisers = [tensor.name for tensor in graph.initializer]
    inputs = [value.name for value in graph.input]
    produced = [name for node in graph.node for name in node.output if name]
    for kind, names in (("initialiser", initialisers), ("graph input", inputs), ("node output", produced)):
        seen: set[str] = set()
        for name in names:
            if name in seen or not name:
                problem = f"{kind} {name!r} is defined a second time" if name else f"a {kind} has no name"
                raise InputError(where, problem, value=name)
            seen.add(name)
    clash = set(produced) & (set(initialisers) | set(inputs))
    if clash:
        raise InputError(where, f"node output {min(clash)!r} is also an input or initialiser", value=min(clash))
    known = {*initialisers, *inputs, *produced, ""}
    for node in graph.node:
        for name in node.input:
            if name not in known:
                raise InputError(
                    where, f"{describe(node)} reads {name!r}, which nothing defines (missing initialiser?)", value=name
                )
    if not graph.output:
        raise InputError(where, "the graph has no output")
    for value in graph.output:
        if not value.name or value.name not in known:
            raise InputError(where, f"output {value.name!r} is never computed", value=value.name)


def _check_node(node: onnx.NodeProto, opsets: Mapping[str, int], where: str) -> None:
    """Attribute names unique and finite; attributes and arity as the schema says, where onnx has a schema for the
    operator."""
    domain = "" if node.domain in STANDARD_DOMAINS else node.domain
    names = [attribute.name for attribute in node.attribute]
    if len(set(names)) != len(names):
        raise InputError(where, f"{describe(node)} has an attribute twice", value=names)
    for attribute in node.attribute:
        _check_finite(attribute, node, where)
    if _has_schema(node, domain, opsets):
        context = checker.C.CheckerContext()
        context.ir_version = onnx.IR_VERSION
        context.opset_imports = dict(opsets)
        try:
            checker.check_node(node, context)
        except checker.ValidationError as error:
            raise InputError(where, f"{describe(node)}: {str(error).splitlines()[0]}") from error


def _has_schema(node: onnx.NodeProto, domain: str, opsets: Mapping[str, int]) -> bool:
    """Whether onnx can check the node: not the deprecated operators that files still use, nor subgraphs, which see
    outer names."""
    if domain not in opsets or not defs.has(node.op_type, opsets[domain], domain):
        return False
    subgraphs = any(attribute.type in _GRAPH_TYPES for attribute in node.attribute)
    return not subgraphs and not defs.get_schema(node.op_type, opsets[domain], domain).deprecated


def _check_finite(attribute: onnx.AttributeProto, node: onnx.NodeProto, where: str) -> None:
    for number in (attribute.f, *attribute.floats):
        infinity = number in (float("inf"), float("-inf")) and node.op_type in _INFINITY_ALLOWED
        if not isfinite(number) and not infinity:
            raise InputError(
                where, f"{describe(node)}: attribute {attribute.name!r} is not a finite number", value=number
            )


def _in_order(graph: onnx.GraphProto, where: str) -> tuple[onnx.NodeProto, ...]:
    """The nodes in topological order: as they stand where that is one (as the format demands), else sorted; a cycle is
    an error."""
    produced = {name for node in graph.node for name in node.output if name}
    available: set[str] = set()
    ordered: list[onnx.NodeProto] = []
    waiting: dict[str, list[onnx.NodeProto]] = {}
    for first in graph.node:
        ready = [first]
        while ready:
            node = ready.pop()
            missing = next((name for name in _reads(node) if name in produced and name not in available), None)
            if missing is not None:
                waiting.setdefault(missing, []).append(node)
                continue
            ordered.append(node)
            for name in node.output:
                available.add(name)
                ready.extend(waiting.pop(name, ()))
    if waiting:
        name, nodes = next(iter(waiting.items()))
        raise InputError(where, f"the graph has a cycle through {describe(nodes[0])}, which reads {name!r}", value=name)
    return tuple(ordered)


def _reads(node: onnx.NodeProto) -> tuple[str, ...]:
    return tuple(name for name in node.input if name)


def describe(node: onnx.NodeProto) -> str:
    """A node in messages: operator and name, or its first output where it has no name."""
    label = node.name or next(iter(node.output), "")
    return f"{node.op_type} node {label!r}"
