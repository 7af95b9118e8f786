"""The conversion of a graph with Quants to integers, operator by operator: what `integer_form` is made with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from hls.layers import output_axis
from hls.quantise.factors import dyadic_factors
from hls.quantise.grid import Grid
from hls.quantise.insert import grid_of
from hls.quantise.places import check_operator
from hls.quantise.sums import SumBound
from model_ir.builder import GraphBuilder
from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.op import Op
from model_ir.ops.arrays import along, storage_dtype
from model_ir.ops.contraction import Conv, MatMul
from model_ir.ops.elementwise import Binary, Cast, Unary
from model_ir.ops.movement import Pad
from model_ir.ops.pooling import MaxPool
from model_ir.ops.quantisation import Quant
from model_ir.ops.requantisation import DyadicRequantise
from model_ir.precision import INT32, Precision

Array = npt.NDArray[Any]
SAME_SCALE = 2.0**-22
"""How far two scales that float32 constants give for one may be apart: the rounding of a product and of its factors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """Integers of a float tensor: real = scale * (integer - zero), `scale` one number or those along `axis`; `most`
    bounds |integer - zero|. `narrow` where a layer can multiply them."""

    tensor: str
    scale: tuple[Fraction, ...]
    zero: int = 0
    axis: int | None = None
    most: int
    narrow: bool = True


class Conversion:
    """Builds the integer graph operator by operator."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.builder = GraphBuilder(f"{graph.name}-integer", origin=graph.origin)
        self.values: dict[str, Value] = {}
        self.parameters: dict[str, tuple[Grid, str]] = {}
        self.input_grid: Grid | None = None
        self.sums: list[SumBound] = []

    def convert(self, op: Op) -> None:
        """Append the integers of what `op` computes."""
        if isinstance(op, Quant):
            self._quant(op)
            return
        check_operator(replace(self.graph, parameters=self.graph.parameters | set(self.parameters)), op)
        match op:
            case MatMul() | Conv():
                self._layer(op)
            case Binary():
                self._addition(op)
            case _:
                self._kept(op)

    def value(self, name: str, reader: str) -> Value:
        """The integers of a computed tensor."""
        if name not in self.values:
            raise InputError(f"tensor {name!r}", f"is not behind a Quant where {reader} reads it")
        return self.values[name]

    def centred(self, value: Value) -> Value:
        """`value` without a zero point."""
        if not value.zero:
            return value
        name = f"{value.tensor}.centred"
        if name not in self.builder.tensors:
            zero = self.builder.parameter(f"{name}.zero", (), INT32, np.array(value.zero, np.int32))
            self._add(Binary(name=name, inputs=(value.tensor, zero), outputs=(name,), function="sub"), INT32)
        return replace(value, tensor=name, zero=0)

    def _quant(self, op: Quant) -> None:
        (source, *_), (name,) = op.inputs, op.outputs
        grid = grid_of(self.graph, op)
        if source in self.graph.parameters:
            self.parameters[name] = (grid, source)
            return
        if len(grid.scale) > 1 or len(grid.zero_point) > 1 or grid.channel_bits:
            raise InputError(f"tensor {source!r}", "activations take one scale, zero point and width", value=grid.scale)
        precision = _precision(grid)
        if source in self.graph.inputs:
            if self.input_grid is not None:
                raise InputError(f"input {source!r}", "goes through two Quants")
            self.input_grid = grid
            self.builder.input(name, self.graph.tensors[source].shape, precision)
        else:
            self._requantise(name, self.centred(self.value(source, f"Quant {op.name!r}")), grid, precision)
        most = max(abs(int(limit) - grid.zero_point[0]) for limit in grid.limits(0))
        scale = (Fraction(grid.scale[0]),)
        self.values[name] = Value(tensor=name, scale=scale, zero=grid.zero_point[0], most=most)

    def _requantise(self, name: str, value: Value, grid: Grid, precision: Precision) -> None:
        multipliers, shift = dyadic_factors([scale / Fraction(grid.scale[0]) for scale in value.scale])
        rank = len(self.graph.tensors[name].shape)
        shape = () if value.axis is None else along((len(multipliers),), value.axis, rank)
        stored = np.array(multipliers, np.int32).reshape(shape)
        multiplier = self.builder.parameter(f"{name}.multiplier", shape, INT32, stored)
        op = DyadicRequantise(
            name=name,
            inputs=(value.tensor, multiplier),
            outputs=(name,),
            shift=shift,
            precision=precision,
            narrow=grid.narrow,
        )
        self._add(op, precision)

    def _layer(self, op: MatMul | Conv) -> None:
        x = self.centred(self.value(op.inputs[0], f"{op.kind} {op.name!r}"))
        if not x.narrow or len(x.scale) > 1:
            raise InputError(f"{op.kind} {op.name!r}", "reads sums that no Quant has rounded", value=op.inputs[0])
        grid, weight = self._weight(op)
        scale = tuple(x.scale[0] * Fraction(factor) for factor in grid.scale)
        stored = self.builder.constants[op.inputs[1]].astype(np.int64)
        axis = output_axis(self.graph, op.inputs[1]) if stored.ndim else 0
        rest = tuple(place for place in range(stored.ndim) if place != axis)
        most = np.abs(stored).sum(axis=rest) * x.most
        names = [x.tensor, weight]
        if (*op.inputs, "")[2]:
            names.append(self._bias(op, scale))
            most = most + np.abs(self.builder.constants[names[2]].astype(np.int64)).reshape(-1)
        bound = SumBound(layer=op.name, most=int(most.max()))
        self.sums.append(bound)
        self._add(replace(op, inputs=tuple(names)), INT32)
        rank = len(self.graph.tensors[op.outputs[0]].shape)
        along_axis = None if len(scale) == 1 else 1 if isinstance(op, Conv) else rank - 1
        self.values[op.outputs[0]] = Value(
            tensor=op.outputs[0], scale=scale, axis=along_axis, most=bound.most, narrow=False
        )

    def _weight(self, op: MatMul | Conv) -> tuple[Grid, str]:
        name = op.inputs[1]
        if name not in self.parameters:
            raise InputError(f"weight {name!r}", f"is not behind a Quant where {op.kind} {op.name!r} reads it")
        grid, source = self.parameters[name]
        if grid.axis is not None and grid.axis != output_axis(self.graph, name):
            raise InputError(f"weight {source!r}", "has scales along another axis than its outputs", value=grid.axis)
        if name not in self.builder.tensors:
            value = self.graph.constants[source]
            stored = grid.stored(value) - grid.zero_points(value.ndim)
            # Without its zero point a number may take one bit more, and so does the 1 of -1 and 1.
            bits = grid.bits + (any(grid.zero_point) or not grid.signed or grid.bits == 1)
            precision = _precision(replace(grid, bits=bits, signed=True, zero_point=(0,), channel_bits=()))
            self.builder.parameter(name, stored.shape, precision, stored.astype(storage_dtype(precision)))
        return grid, name

    def _bias(self, op: MatMul | Conv, scale: tuple[Fraction, ...]) -> str:
        name = op.inputs[2]
        if name not in self.parameters:
            raise InputError(f"bias {name!r}", f"is not behind a Quant where {op.kind} {op.name!r} reads it")
        grid, source = self.parameters[name]
        wanted = np.array([float(one) for one in scale])
        if any(grid.zero_point) or not np.allclose(np.array(grid.scale), wanted, rtol=SAME_SCALE, atol=0):
            raise InputError(
                f"bias {source!r}", "is not on the grid of its layer's sums", value=grid.scale, limit=wanted
            )
        if name not in self.builder.tensors:
            stored = grid.stored(self.graph.constants[source]).astype(np.int32)
            self.builder.parameter(name, stored.shape, replace(INT32, scale=max(grid.scale)), stored)
        return name

    def _addition(self, op: Binary) -> None:
        one, other = (self.centred(self.value(name, f"addition {op.name!r}")) for name in op.inputs)
        apart = abs(one.scale[0] / other.scale[0] - 1) if len(one.scale) == len(other.scale) == 1 else 1
        if apart > SAME_SCALE:
            raise InputError(f"addition {op.name!r}", "operands have no common scale", value=op.inputs)
        bound = SumBound(layer=op.name, most=one.most + other.most)
        self.sums.append(bound)
        self._add(replace(op, inputs=(self._wide(one), self._wide(other))), INT32)
        self.values[op.outputs[0]] = replace(one, tensor=op.outputs[0], most=bound.most, narrow=False)

    def _wide(self, value: Value) -> str:
        """`value` as int32, which a sum of two narrow numbers may need."""
        if self.builder.tensors[value.tensor].precision.bits >= INT32.bits:
            return value.tensor
        name = f"{value.tensor}.wide"
        if name not in self.builder.tensors:
            self._add(Cast(name=name, inputs=(value.tensor,), outputs=(name,), to=INT32), INT32)
        return name

    def _kept(self, op: Op) -> None:
        """ReLU, and what moves or selects numbers."""
        x = self.value(op.inputs[0], f"{op.kind} {op.name!r}")
        if isinstance(op, Unary | Pad):
            x = self.centred(x)
        if x.axis is not None and not isinstance(op, Unary | MaxPool):
            raise InputError(f"{op.kind} {op.name!r}", "moves sums that have a scale a channel; round them first")
        self._add(replace(op, inputs=(x.tensor,)), self.builder.tensors[x.tensor].precision)
        self.values |= {name: replace(x, tensor=name) for name in op.outputs}

    def _add(self, op: Op, precision: Precision) -> None:
        """Append `op`, whose results are `precision`: shape rules do not know what a sum of scaled integers is."""
        for name in self.builder.add(op):
            self.builder.tensors[name] = replace(self.builder.tensors[name], precision=precision)


def _precision(grid: Grid) -> Precision:
    return Precision(bits=grid.bits, signed=grid.signed, scale=max(grid.scale), zero_point=grid.zero_point[0])
