"""`GraphBuilder`: the one mutable thing of this package; importers, workloads and passes build graphs through it."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy.typing as npt

from model_ir.errors import InputError
from model_ir.graph import Graph, verify
from model_ir.op import Op
from model_ir.precision import FLOAT32, Precision
from model_ir.tensor import Shape, Tensor

OpType = TypeVar("OpType", bound=Op)


class GraphBuilder:
    """Collects tensors and operators in topological order; `finish` verifies."""

    def __init__(self, name: str, origin: str = "") -> None:
        """Start an empty graph called `name`; `origin` (file or builder) appears in messages."""
        self.name = name
        self.origin = origin
        self.tensors: dict[str, Tensor] = {}
        self.ops: list[Op] = []
        self.inputs: list[str] = []
        self.parameters: set[str] = set()
        self.constants: dict[str, npt.NDArray[Any]] = {}

    def input(self, name: str, shape: Shape, precision: Precision = FLOAT32) -> str:
        """Declare a graph input and return its name."""
        self.inputs.append(self._declare(Tensor(name=name, shape=shape, precision=precision)))
        return name

    def parameter(
        self, name: str, shape: Shape, precision: Precision = FLOAT32, value: npt.NDArray[Any] | None = None
    ) -> str:
        """Declare a weight, with its value if it is known, and return its name."""
        self._declare(Tensor(name=name, shape=shape, precision=precision))
        self.parameters.add(name)
        if value is not None:
            self.constants[name] = value
        return name

    def add(self, op: Op) -> tuple[str, ...]:
        """Append `op`, infer its outputs and return their names."""
        for name in op.inputs:
            if name and name not in self.tensors:
                raise InputError(self.origin or self.name, f"{op.kind} {op.name!r} reads undefined tensor {name!r}")
        inferred = op.infer(tuple(self.tensors[name] if name else None for name in op.inputs))
        for tensor in inferred:
            self._declare(tensor)
        self.ops.append(op)
        return op.outputs

    def apply(self, op_type: type[OpType], *inputs: str, name: str = "", **attributes: Any) -> str:
        """Append an operator with one output named after it and return that output (default name: kind_position)."""
        label = name or f"{op_type.__name__.lower()}_{len(self.ops)}"
        return self.add(op_type(name=label, inputs=inputs, outputs=(label,), **attributes))[0]

    def shape(self, name: str) -> Shape:
        """Shape of a tensor declared so far."""
        return self.tensors[name].shape

    def finish(self, *outputs: str) -> Graph:
        """Return the verified graph with these outputs."""
        return verify(
            Graph(
                name=self.name,
                inputs=tuple(self.inputs),
                outputs=outputs,
                ops=tuple(self.ops),
                tensors=dict(self.tensors),
                parameters=frozenset(self.parameters),
                constants=dict(self.constants),
                origin=self.origin,
            )
        )

    def _declare(self, tensor: Tensor) -> str:
        if tensor.name in self.tensors:
            raise InputError(self.origin or self.name, f"tensor {tensor.name!r} is defined a second time")
        self.tensors[tensor.name] = tensor
        return tensor.name
