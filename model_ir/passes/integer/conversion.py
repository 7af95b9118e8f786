"""The state of a conversion and what all rules need: integers of a float tensor, quantised constants, new operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from model_ir.builder import GraphBuilder
from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.op import Op
from model_ir.ops.checks import refusal
from model_ir.ops.integer import Requantise
from model_ir.ops.integer_arithmetic import INT32_LIMIT, dyadic
from model_ir.ops.quantisation import QuantizeLinear
from model_ir.passes.integer.calibration import HIGHEST
from model_ir.passes.integer.masks import Mask
from model_ir.passes.integer.scales import Flow, ScalePlan
from model_ir.precision import INT8, INT32

Array = npt.NDArray[Any]
Rule = Callable[["Conversion", Op], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """The integers that stand for a float tensor: real = `scale` * integer."""

    tensor: str
    scale: float


class Conversion:
    """Builds the integer graph operator by operator; `values` maps float tensors to their integers so far."""

    def __init__(self, graph: Graph, plan: ScalePlan, masks: Mapping[str, Mask]) -> None:
        """Start with the inputs of the prepared float `graph`, floats quantised at once."""
        self.graph = graph
        self.plan = plan
        self.masks = masks
        self.flow = Flow(graph)
        self.builder = GraphBuilder(f"{graph.name}-integer", origin=graph.origin)
        self.values: dict[str, Value] = {}
        self.done: set[str] = set()
        self._narrow: dict[str, str] = {}
        for name in graph.inputs:
            tensor = graph.tensors[name]
            self.builder.input(name, tensor.shape, tensor.precision)
            if tensor.precision.is_float:
                self._quantise_input(name)

    def _quantise_input(self, name: str) -> None:
        scale = self.plan.scales[name]
        parameter = self.builder.parameter(f"{name}.scale", (), value=np.array(scale, np.float32))
        zero = self.builder.parameter(f"{name}.zero", (), INT8, np.array(0, np.int8))
        self.put(name, self.emit(QuantizeLinear, (name, parameter, zero), f"{name}.int8", scale))

    def put(self, name: str, value: Value) -> None:
        """`value` stands for the float tensor `name` from now on."""
        self.values[name] = value

    def is_host(self, name: str) -> bool:
        """Whether `name` is an integer already in the float graph (indices), and not a constant."""
        return not self.flow.is_parameter(name) and not self.graph.tensors[name].precision.is_float

    def of(self, op: Op, name: str) -> Value:
        """The integers of an activation, int8 or int32; an error that names `op` where it has none."""
        if name not in self.values:
            raise refusal(op, f"reads {name!r}, which has no integers")
        return self.values[name]

    def maker(self, value: Value) -> Op:
        """The operator of the integer graph that computes `value`."""
        return next(op for op in reversed(self.builder.ops) if value.tensor in op.outputs)

    def bits(self, value: Value) -> int:
        """8 or 32."""
        return self.builder.tensors[value.tensor].precision.bits

    def scale_of(self, name: str) -> float:
        """The planned 8-bit scale of a float tensor."""
        source, factor = self.flow.source(name)
        return self.plan.scales[source] * factor

    def int8(self, op: Op, name: str) -> Value:
        """The 8-bit integers of an activation, requantised from its sums on first use."""
        value = self.of(op, name)
        if self.bits(value) == 8:
            return value
        scale = self.scale_of(name)
        if value.tensor not in self._narrow:
            short = f"{value.tensor.removesuffix('.int32')}.int8"
            narrow = self.emit(Requantise, (value.tensor,), short, scale, factor=dyadic(value.scale / scale))
            self._narrow[value.tensor] = narrow.tensor
        return Value(tensor=self._narrow[value.tensor], scale=scale)

    def narrowed(self, name: str) -> Value:
        """The integers of `name` as most of its readers see them: 8 bits where there are such."""
        value = self.values[name]
        short = self._narrow.get(value.tensor)
        return value if short is None else Value(tensor=short, scale=self.scale_of(name))

    def operand(self, op: Op, name: str) -> Value:
        """An activation or a constant as int8; a constant on the grid of its own largest element."""
        if self.flow.is_parameter(name):
            largest = float(np.abs(self.constant(op, name)).max(initial=0.0))
            return self.quantised(op, name, (largest or 1.0) / HIGHEST)
        return self.int8(op, name)

    def constant(self, op: Op, name: str) -> Array:
        """The value of a constant; an error that names `op` where it is computed."""
        if name not in self.graph.constants:
            raise refusal(op, f"{name!r} must be a constant to become integers")
        return self.graph.constants[name].astype(np.float64)

    def quantised(self, op: Op, name: str, scale: float) -> Value:
        """A constant as int8 on the grid `scale`, rounded half to even and saturated to -127..127."""
        stored = np.clip(np.rint(self.constant(op, name) / scale), -HIGHEST, HIGHEST).astype(np.int8)
        return self.parameter(f"{name}.int8", stored, scale)

    def bias(self, op: Op, name: str, scale: float) -> Value:
        """A constant as int32 on the grid `scale`."""
        exact = np.rint(self.constant(op, name) / scale)
        if float(np.abs(exact).max(initial=0.0)) >= INT32_LIMIT:
            raise refusal(op, f"bias {name!r} leaves 32 bits", value=float(np.abs(exact).max()), limit=INT32_LIMIT - 1)
        return self.parameter(f"{name}.int32", exact.astype(np.int32), scale)

    def parameter(self, name: str, stored: Array, scale: float) -> Value:
        """A new constant of the integer graph (the same one where it is there already)."""
        fresh, count = name, 1
        while fresh in self.builder.tensors:
            if fresh in self.builder.constants and np.array_equal(self.builder.constants[fresh], stored):
                return Value(tensor=fresh, scale=scale)
            count += 1
            fresh = f"{name}_{count}"
        kind = INT8 if stored.dtype == np.int8 else INT32
        self.builder.parameter(fresh, stored.shape, replace(kind, scale=scale), stored)
        return Value(tensor=fresh, scale=scale)

    def emit(self, kind: type[Op], inputs: tuple[str, ...], output: str, scale: float, **attributes: Any) -> Value:
        """Append an operator whose result has `scale`."""
        self.builder.add(kind(name=output, inputs=inputs, outputs=(output,), **attributes))
        return self.rescaled(output, scale)

    def rescaled(self, tensor: str, scale: float) -> Value:
        """Record the scale of a tensor just made, which no shape rule can know after a multiplication by a number."""
        made = self.builder.tensors[tensor]
        # The rule of sums holds a bias at another scale than the product's for a real number.
        precision = INT32 if made.precision.is_float else made.precision
        self.builder.tensors[tensor] = replace(made, precision=replace(precision, scale=scale))
        return Value(tensor=tensor, scale=scale)

    def copied(self, op: Op) -> Op:
        """`op` as it is, its constants brought along: work on indices stays what it was."""
        for name in op.inputs:
            if name and self.flow.is_parameter(name) and name not in self.builder.tensors:
                tensor = self.graph.tensors[name]
                self.builder.parameter(name, tensor.shape, tensor.precision, self.graph.constants[name])
        return op


def no_integer_form(op: Op, known: str) -> InputError:
    """The error for an operator without a rule."""
    return refusal(op, "cannot be made integer; operators that can", limit=known)
