"""`Node`: one ONNX node with typed attributes, as the converters see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import onnx
from onnx import AttributeProto

from model_ir.errors import InputError, UnsupportedOperatorError
from model_ir.onnx_import.file import describe
from model_ir.onnx_import.tensor import Array, tensor_value


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """`opset` is the version of the node's own domain; `where` is the file, for messages."""

    proto: onnx.NodeProto
    opset: int
    where: str

    @property
    def op_type(self) -> str:
        """The operator's ONNX name."""
        return str(self.proto.op_type)

    @property
    def label(self) -> str:
        """The node's name, or its first output's where it has none."""
        return str(self.proto.name or next(iter(self.proto.output), self.proto.op_type))

    @property
    def inputs(self) -> tuple[str, ...]:
        """Input names without trailing absent ones; "" is an absent optional input."""
        names = [str(name) for name in self.proto.input]
        while names and not names[-1]:
            names.pop()
        return tuple(names)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Output names without trailing absent ones."""
        names = [str(name) for name in self.proto.output]
        while names and not names[-1]:
            names.pop()
        return tuple(names)

    def input(self, position: int) -> str:
        """The input at `position`, "" where it is absent."""
        return self.inputs[position] if position < len(self.inputs) else ""

    def required(self, position: int) -> str:
        """The input at `position`; InputError where it is absent."""
        name = self.input(position)
        if not name:
            raise self.error(f"input {position} is missing")
        return name

    def has(self, name: str) -> bool:
        """Whether the attribute is written out."""
        return any(attribute.name == name for attribute in self.proto.attribute)

    def integer(self, name: str, default: int | None = None) -> int:
        """An integer attribute; InputError where it is absent without a default or of another type."""
        return int(self._value(name, AttributeProto.INT, "i", default))

    def flag(self, name: str, default: bool = False) -> bool:
        """An integer attribute that means yes or no."""
        value = self.integer(name, int(default))
        if value not in (0, 1):
            raise self.error(f"attribute {name!r} must be 0 or 1", value=value)
        return bool(value)

    def integers(self, name: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """An integer-list attribute."""
        return tuple(int(item) for item in self._value(name, AttributeProto.INTS, "ints", default))

    def real(self, name: str, default: float | None = None) -> float:
        """A float attribute."""
        return float(self._value(name, AttributeProto.FLOAT, "f", default))

    def reals(self, name: str, default: tuple[float, ...] | None = None) -> tuple[float, ...]:
        """A float-list attribute."""
        return tuple(float(item) for item in self._value(name, AttributeProto.FLOATS, "floats", default))

    def text(self, name: str, default: str | None = None) -> str:
        """A string attribute."""
        value = self._value(name, AttributeProto.STRING, "s", default)
        if isinstance(value, bytes):
            if not value.isascii():
                raise self.error(f"attribute {name!r} is not plain text", value=repr(value[:60]))
            return value.decode("ascii")
        return str(value)

    def tensor(self, name: str) -> Array:
        """A tensor attribute's values; external data is not allowed here."""
        return tensor_value(self._value(name, AttributeProto.TENSOR, "t", None), self.where, None)

    def axis(self, name: str, rank: int, default: int | None = None) -> int:
        """An integer attribute that names one of `rank` axes, made non-negative."""
        return self.normal_axis(self.integer(name, default), rank)

    def normal_axis(self, axis: int, rank: int) -> int:
        """`axis` made non-negative; InputError where it names none of the `rank` axes."""
        if not -rank <= axis < rank:
            raise self.error("an axis does not exist", value=axis, limit=f"{-rank} to {rank - 1}")
        return axis % rank

    def error(self, problem: str, *, value: object = None, limit: object = None) -> InputError:
        """An InputError that names this node and its file."""
        return InputError(self.where, f"{describe(self.proto)}: {problem}", value=value, limit=limit)

    def unsupported(self, problem: str, *, value: object = None) -> UnsupportedOperatorError:
        """The error for a variant of a known operator that the IR does not represent."""
        return UnsupportedOperatorError(self.where, f"{describe(self.proto)}: {problem} is not supported", value=value)

    def _value(self, name: str, kind: int, field: str, default: Any) -> Any:
        for attribute in self.proto.attribute:
            if attribute.name == name:
                if attribute.type != kind:
                    expected = AttributeProto.AttributeType.Name(kind)
                    raise self.error(f"attribute {name!r} has the wrong type", value=attribute.type, limit=expected)
                return getattr(attribute, field)
        if default is None:
            raise self.error(f"attribute {name!r} is missing")
        return default
