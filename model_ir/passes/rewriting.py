"""What every pass is made of: a `View` of a graph to match patterns in, and `rewrite`, which replaces operators one by
one.

A rule replaces an operator by others that compute the same output under the same name from tensors further up. Whatever
of the pattern nobody reads any more disappears, whatever somebody still reads stays: a rule cannot break the rest of
the graph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy.typing as npt

from model_ir.graph import Graph
from model_ir.op import Op
from model_ir.ops.elementwise import Binary
from model_ir.tensor import Shape, Tensor

Array = npt.NDArray[Any]
OpType = TypeVar("OpType", bound=Op)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter that a rule adds; `value` is None where it follows from weights without values."""

    tensor: Tensor
    value: Array | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """The operators that take the place of one, in topological order, and the parameters they need."""

    ops: tuple[Op, ...]
    parameters: tuple[Parameter, ...] = ()


class View:
    """Who makes and who reads each tensor of a graph, and what its constants are."""

    def __init__(self, graph: Graph) -> None:
        """Index `graph`, which is not changed."""
        self.graph = graph
        self._makers = {name: op for op in graph.ops for name in op.outputs}
        self._readers = Counter(name for op in graph.ops for name in op.inputs)
        self._readers.update(graph.outputs)

    def maker(self, name: str, op_type: type[OpType]) -> OpType | None:
        """The operator that computes `name`, if it is of this kind."""
        op = self._makers.get(name)
        return op if isinstance(op, op_type) else None

    def binary(self, name: str, function: str) -> tuple[str, str] | None:
        """The operands of the two-operand `function` that computes `name`."""
        op = self.maker(name, Binary)
        return (op.inputs[0], op.inputs[1]) if op is not None and op.function == function else None

    def read_once(self, name: str) -> bool:
        """Whether exactly one operator (or the caller, for an output) reads `name`."""
        return self._readers[name] == 1

    def shape(self, name: str) -> Shape:
        """Shape of a tensor."""
        return self.graph.tensors[name].shape

    def is_parameter(self, name: str) -> bool:
        """Whether `name` is a weight or another constant."""
        return name in self.graph.parameters

    def value(self, name: str) -> Array | None:
        """The value of a constant, where it is known."""
        return self.graph.constants.get(name)

    def scalar(self, name: str) -> float | None:
        """The value of a known constant of one element."""
        value = self.value(name)
        return float(value.reshape(())) if value is not None and value.size == 1 else None

    def fresh(self, hint: str) -> str:
        """A tensor name that the graph does not use."""
        name, count = hint, 1
        while name in self.graph.tensors:
            count += 1
            name = f"{hint}_{count}"
        return name


Rule = Callable[[View, Op], Replacement | None]


def rewrite(graph: Graph, rule: Rule) -> Graph:
    """Apply `rule` to every operator once; the same graph object comes back where it applies nowhere."""
    view = View(graph)
    ops: list[Op] = []
    added: list[Parameter] = []
    changed = False
    for op in graph.ops:
        replacement = rule(view, op)
        changed = changed or replacement is not None
        ops.extend((op,) if replacement is None else replacement.ops)
        added.extend(() if replacement is None else replacement.parameters)
    return rebuild(graph, ops, added) if changed else graph


def rewrite_until_stable(graph: Graph, rule: Rule) -> Graph:
    """Apply `rule` until it applies nowhere; every application must remove an operator, or this does not end."""
    while True:
        rewritten = rewrite(graph, rule)
        if rewritten is graph:
            return graph
        graph = rewritten


def rebuild(graph: Graph, ops: Iterable[Op], added: Iterable[Parameter] = ()) -> Graph:
    """`graph` with these operators: dead ones and unread parameters left out, tensors of new operators inferred."""
    parameters = {name: (graph.tensors[name], graph.constants.get(name)) for name in graph.parameters}
    parameters.update({item.tensor.name: (item.tensor, item.value) for item in added})
    live_ops = _live(tuple(ops), graph.outputs)
    read = {name for op in live_ops for name in op.inputs} | set(graph.outputs)
    tensors = {name: graph.tensors[name] for name in graph.inputs}
    tensors.update({name: tensor for name, (tensor, _) in parameters.items() if name in read})
    unchanged = {id(op) for op in graph.ops}
    for op in live_ops:
        if id(op) in unchanged:
            tensors.update({name: graph.tensors[name] for name in op.outputs})
            continue
        for tensor in op.infer(tuple(tensors[name] if name else None for name in op.inputs)):
            tensors[tensor.name] = tensor
    kept = frozenset(name for name in parameters if name in read)
    constants = {name: value for name in kept if (value := parameters[name][1]) is not None}
    return replace(graph, ops=live_ops, tensors=tensors, parameters=kept, constants=constants)


def rename_inputs(op: Op, names: Mapping[str, str]) -> Op:
    """`op` reading `names[x]` wherever it reads x; the same object where it reads none of them."""
    if not any(name in names for name in op.inputs):
        return op
    return replace(op, inputs=tuple(names.get(name, name) for name in op.inputs))


def _live(ops: tuple[Op, ...], outputs: tuple[str, ...]) -> tuple[Op, ...]:
    needed = set(outputs)
    kept: list[Op] = []
    for op in reversed(ops):
        if needed.intersection(op.outputs):
            kept.append(op)
            needed.update(op.inputs)
    return tuple(reversed(kept))
