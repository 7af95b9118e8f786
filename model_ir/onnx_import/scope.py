"""`Scope`: what is known while a file is converted; the one place where converters write.

Constants are kept aside until an operator that runs reads them, and operators whose inputs are all small known
constants are evaluated at once by their own reference definition: the Shape-Gather-Concat-Reshape chains that exporters
write leave no trace.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx

from model_ir.builder import GraphBuilder
from model_ir.errors import InputError
from model_ir.folding import FOLDABLE, evaluate_constant
from model_ir.graph import Graph, verify
from model_ir.onnx_import.file import OnnxFile
from model_ir.onnx_import.node import Node
from model_ir.onnx_import.tensor import Array, check_shape, check_tensor, tensor_value
from model_ir.op import Op
from model_ir.ops.arrays import storage_dtype
from model_ir.precision import BOOL, Precision
from model_ir.tensor import Shape, Tensor

# One evaluated constant is at most this large, all of one file together at most FOLD_BUDGET_BYTES: a small file stays
# small.
FOLD_LIMIT_ELEMENTS = 1 << 16
FOLD_BUDGET_BYTES = 1 << 28


class Scope:
    """Conversion state of one file: the graph so far, constants not yet used, and values known so far."""

    def __init__(self, file: OnnxFile) -> None:
        """Start with the file's initialisers known and nothing converted."""
        self.file = file
        self.builder = GraphBuilder(file.graph.name or "onnx", origin=file.path)
        self._initialisers: dict[str, onnx.TensorProto] = {tensor.name: tensor for tensor in file.graph.initializer}
        self._constants: dict[str, Array] = {}
        self._valueless: dict[str, Tensor] = {}
        self._names = {name for node in file.nodes for name in (*node.input, *node.output)}
        self._names.update(value.name for value in (*file.graph.input, *file.graph.initializer))
        self._op_names: set[str] = set()
        self._folded_bytes = 0

    @property
    def initialisers(self) -> frozenset[str]:
        """Names of the stored tensors."""
        return frozenset(self._initialisers)

    def tensor(self, name: str) -> Tensor:
        """Shape and precision of a tensor of the file, converted or constant."""
        if name in self.builder.tensors:
            return self.builder.tensors[name]
        if name in self._valueless:
            return self._valueless[name]
        if name in self._constants:
            value = self._constants[name]
            return Tensor(name=name, shape=value.shape, precision=_precision_of(value))
        if name in self._initialisers:
            proto = self._initialisers[name]
            precision = check_tensor(proto, self.file.path, self.file.folder)
            return Tensor(name=name, shape=tuple(proto.dims), precision=precision)
        raise InputError(self.file.path, f"tensor {name!r} is read before anything defines it", value=name)

    def shape(self, name: str) -> Shape:
        """Shape of a tensor of the file."""
        return self.tensor(name).shape

    def value(self, name: str) -> Array | None:
        """The value of a small constant, None for anything else."""
        if name in self._constants:
            return self._constants[name]
        if name in self._initialisers and self.tensor(name).elements <= FOLD_LIMIT_ELEMENTS:
            return tensor_value(self._initialisers[name], self.file.path, self.file.folder)
        return None

    def static(self, node: Node, name: str, what: str) -> Array:
        """The value of an operand that must be known at import; InputError naming it where it is computed at run
        time."""
        value = self.value(name)
        if value is None:
            raise node.error(f"{what} ({name!r}) is computed at run time; only static ones can be imported")
        return value

    def static_integers(self, node: Node, name: str, what: str) -> tuple[int, ...]:
        """A static operand as a tuple of whole numbers (a scalar gives one)."""
        value = self.static(node, name, what)
        if value.ndim > 1 or value.dtype.kind not in "iub":
            raise node.error(
                f"{what} ({name!r}) is not a list of whole numbers", value=f"{value.dtype}{list(value.shape)}"
            )
        return tuple(int(item) for item in value.reshape(-1))

    def static_scalar(self, node: Node, name: str, what: str) -> float:
        """A static operand of one element."""
        value = self.static(node, name, what)
        if value.size != 1:
            raise node.error(f"{what} ({name!r}) is not one number", value=list(value.shape))
        return float(value.reshape(()))

    def fresh(self, hint: str) -> str:
        """A tensor name that nothing in the file uses."""
        name, count = hint, 1
        while name in self._names:
            count += 1
            name = f"{hint}_{count}"
        self._names.add(name)
        return name

    def constant(self, value: Array, name: str) -> str:
        """Make `value` known under `name`; it becomes a parameter only if an operator that runs reads it."""
        check_shape(value.shape, 8 * value.itemsize, self.file.path, f"constant {name!r}")
        self._constants[name] = value
        return name

    def valueless(self, name: str, shape: Shape, precision: Precision) -> str:
        """Declare a parameter whose value is not in the file (a stripped weight)."""
        self._check_size(Tensor(name=name, shape=shape, precision=precision))
        self._valueless[name] = Tensor(name=name, shape=shape, precision=precision)
        return name

    def emit(
        self, node: Node, op_type: type[Op], /, *inputs: str, outputs: tuple[str, ...] = (), **attributes: Any
    ) -> str:
        """Append an operator of `node` (or evaluate it now, where all it reads is known) and return its first output.

        `outputs` defaults to the node's first. InputErrors of the shape rule are passed on with node and file.
        """
        op = op_type(name=self._op_name(node.label), inputs=inputs, outputs=outputs or node.outputs[:1], **attributes)
        tensors = tuple(self.tensor(name) if name else None for name in inputs)
        try:
            inferred = op.infer(tensors)
        except InputError as error:
            raise node.error(str(error)) from error
        for tensor in inferred:
            check_shape(
                tensor.shape, tensor.precision.bits, self.file.path, f"output {tensor.name!r} of {node.label!r}"
            )
        if not self._fold(op, inferred):
            for tensor in (*filter(None, tensors), *inferred):
                self._check_size(tensor)
            for name in inputs:
                self._materialise(name)
            self.builder.add(op)
        return op.outputs[0]

    def step(self, node: Node, op_type: type[Op], /, *inputs: str, **attributes: Any) -> str:
        """Append an intermediate operator with a fresh output name and return that name."""
        return self.emit(
            node, op_type, *inputs, outputs=(self.fresh(f"{node.label}/{op_type.__name__}"),), **attributes
        )

    def scalar(self, node: Node, number: float, like: str) -> str:
        """A constant scalar of the float type of tensor `like` (float32 beside integers and quantised values)."""
        precision = self.tensor(like).precision
        value = np.asarray(number, dtype=storage_dtype(precision) if precision.is_float else np.float32)
        return self.constant(value, self.fresh(f"{node.label}/scalar"))

    def finish(self, outputs: tuple[str, ...]) -> Graph:
        """The verified graph without the operators that no output needs."""
        for name in outputs:
            self._materialise(name)
        return verify(self.builder.finish(*outputs))

    def _op_name(self, label: str) -> str:
        name, count = label, 1
        while name in self._op_names:
            count += 1
            name = f"{label}/{count}"
        self._op_names.add(name)
        return name

    def _check_size(self, tensor: Tensor) -> None:
        if 0 in tensor.shape:
            raise InputError(self.file.path, f"tensor {tensor.name!r} has an axis of size zero", value=tensor.shape)

    def _fold(self, op: Op, inferred: tuple[Tensor, ...]) -> bool:
        if not isinstance(op, FOLDABLE) or any(tensor.elements > FOLD_LIMIT_ELEMENTS for tensor in inferred):
            return False
        values = [self.value(name) if name else None for name in op.inputs]
        if any(value is None for name, value in zip(op.inputs, values, strict=True) if name):
            return False
        size_bytes = sum(tensor.elements * storage_dtype(tensor.precision).itemsize for tensor in inferred)
        if self._folded_bytes + size_bytes > FOLD_BUDGET_BYTES:
            return False
        self._folded_bytes += size_bytes
        self._constants.update(evaluate_constant(op, inferred, values))
        return True

    def _materialise(self, name: str) -> None:
        if not name or name in self.builder.tensors:
            return
        tensor = self.tensor(name)
        if name in self._valueless:
            self.builder.parameter(name, tensor.shape, tensor.precision)
        elif name in self._constants:
            self.builder.parameter(name, tensor.shape, tensor.precision, self._constants[name])
        else:
            value = tensor_value(self._initialisers[name], self.file.path, self.file.folder)
            self.builder.parameter(name, tensor.shape, tensor.precision, value)


Converter = Callable[[Scope, Node], None]


def _precision_of(value: Array) -> Precision:
    if value.dtype.kind == "b":
        return BOOL
    return Precision(bits=8 * value.itemsize, signed=value.dtype.kind != "u", is_float=value.dtype.kind == "f")
