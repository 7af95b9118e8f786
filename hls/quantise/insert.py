"""Puts grids into a network as QONNX's Quants, reads them back, and takes them out.

Weights, biases and everything that layers and additions read go through a Quant; sums stay as they are, and so do the
outputs. A bias lies on the grid of its layer's sums (input scale times weight scale), wide enough for all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import ceil, log2

import numpy as np
import numpy.typing as npt

from hls.layers import weights_of
from hls.quantise.grid import MOST_BITS, Grid
from hls.quantise.places import Places, places_of
from model_ir.errors import InputError
from model_ir.graph import Graph, verify
from model_ir.op import Op
from model_ir.ops.contraction import Conv, MatMul
from model_ir.ops.elementwise import Binary
from model_ir.ops.quantisation import Quant
from model_ir.passes.rewriting import Parameter, rebuild, rename_inputs
from model_ir.tensor import Tensor


def quantised(graph: Graph, grids: Mapping[str, Grid]) -> Graph:
    """`graph` with a Quant behind every weight, bias and tensor that layers or additions read.

    `graph`: prepared (batch norm folded, logits out); `grids` as `calibrate.calibrated` gives them. Quants are named
    `<tensor>.quant`, their parameters `<tensor>.scale`, `.zero_point` and `.bits`. Where an addition's operands have
    two scales, the coarser one is brought to the finer (`<sum>.aligned`).

    Raises InputError for a grid that is missing or of no such tensor, names that are taken, biases that two layers with
    different scales share, and operators without an integer form (`places_of`).
    """
    places = places_of(graph)
    wanted = (*places.rounded, *weights_of(graph))
    for name in wanted:
        if name not in grids:
            raise InputError(f"tensor {name!r}", "is read by layers or additions and has no grid")
    for name in grids:
        if name not in wanted:
            raise InputError(f"grid of {name!r}", "no layer or addition reads it", limit=", ".join(wanted))
    insertion = _Insertion(graph, grids, places)
    for name in graph.inputs:
        insertion.behind(name)
    for op in graph.ops:
        insertion.copy(op)
    return verify(rebuild(graph, insertion.ops, insertion.parameters))


def grids_of(graph: Graph) -> dict[str, Grid]:
    """The grids of a graph's Quants by the tensor that they round, without those that follow from others: biases' and
    aligned operands'.

    Raises InputError for a Quant whose parameters are computed or are no grid.
    """
    biases = {op.inputs[2] for op in graph.ops if isinstance(op, MatMul | Conv) and len(op.inputs) > 2}
    made = {op.outputs[0] for op in graph.ops if isinstance(op, Quant)}
    return {
        op.inputs[0]: grid_of(graph, op)
        for op in graph.ops
        if isinstance(op, Quant) and op.outputs[0] not in biases and op.inputs[0] not in made
    }


def grid_of(graph: Graph, op: Quant) -> Grid:
    """The grid that one Quant rounds to. Raises InputError where its parameters are computed, vary along several axes
    or are no grid, or where it does not round half to even."""
    where, rank = f"Quant {op.name!r}", len(graph.tensors[op.inputs[0]].shape)
    if op.rounding_mode.upper() not in ("ROUND", "HALF_EVEN"):
        raise InputError(where, "does not round half to even", value=op.rounding_mode)
    vectors, axes = [], set()
    for name in op.inputs[1:]:
        if name not in graph.constants:
            raise InputError(where, f"{name!r} is computed, not a constant")
        value = graph.constants[name]
        axes |= {rank - value.ndim + axis for axis, size in enumerate(value.shape) if size > 1}
        vectors.append(value.ravel())
    scale, zero_point, bits = vectors
    if len(axes) > 1 or not all(bool(np.all(vector == np.round(vector))) for vector in (zero_point, bits)):
        raise InputError(where, "parameters are no grid: whole numbers, one scale or those along one axis")
    return Grid(
        bits=int(bits.max()),
        signed=op.signed,
        narrow=op.narrow,
        scale=tuple(float(np.float32(value)) for value in scale),
        zero_point=tuple(int(value) for value in zero_point),
        axis=axes.pop() if axes else None,
        channel_bits=tuple(int(value) for value in bits) if len(bits) > 1 else (),
    )


def without_quants(graph: Graph) -> Graph:
    """`graph` without its Quants: the float network that it was made of."""
    names: dict[str, str] = {}
    ops: list[Op] = []
    for op in graph.ops:
        changed = rename_inputs(op, names)
        if isinstance(op, Quant) and op.outputs[0] not in graph.outputs:
            names[op.outputs[0]] = changed.inputs[0]
        else:
            ops.append(changed)
    return verify(rebuild(graph, ops))


class _Insertion:
    """The operators and parameters of a graph that gets its Quants."""

    def __init__(self, graph: Graph, grids: Mapping[str, Grid], places: Places) -> None:
        self.graph, self.places = graph, places
        self.grids = dict(grids)
        self.ops: list[Op] = []
        self.parameters: list[Parameter] = []
        self.names: dict[str, str] = {}

    def copy(self, op: Op) -> None:
        """`op` on quantised operands, and what rounds its results."""
        if isinstance(op, MatMul | Conv):
            self._layer(op)
        renamed = rename_inputs(op, self.names)
        if isinstance(op, Binary):
            renamed = replace(renamed, inputs=self._aligned(op, renamed.inputs))
        self.ops.append(renamed)
        for name in op.outputs:
            self.behind(name)

    def behind(self, name: str) -> None:
        """The Quant of `name`, if it has a grid: all readers read its result."""
        if name in self.grids and name not in self.names:
            rank = len(self.graph.tensors[name].shape)
            self.names[name] = self._quant(name, f"{name}.quant", name, rank, self.grids[name])

    def _quant(self, source: str, output: str, name: str, rank: int, grid: Grid) -> str:
        """Append a Quant of `source` whose parameters are named after `name`; its output."""
        values = {"scale": grid.scales(rank), "zero_point": grid.zero_points(rank), "bits": grid.widths(rank)}
        inputs = [self._constant(f"{name}.{part}", value.astype(np.float32)) for part, value in values.items()]
        self._free(output)
        op = Quant(name=output, inputs=(source, *inputs), outputs=(output,), signed=grid.signed, narrow=grid.narrow)
        self.ops.append(op)
        return output

    def _layer(self, op: MatMul | Conv) -> None:
        self.behind(op.inputs[1])
        bias = (*op.inputs, "")[2]
        if not bias:
            return
        grid = self._bias_grid(op, bias)
        if self.grids.setdefault(bias, grid) != grid:
            raise InputError(f"bias {bias!r}", "layers with different scales share it", value=op.name)
        self.behind(bias)

    def _bias_grid(self, op: MatMul | Conv, bias: str) -> Grid:
        x, weight = self.grids[self.places.source(op.inputs[0])], self.grids[op.inputs[1]]
        scales = np.float32(x.scale[0]) * np.array(weight.scale, np.float32)
        value = self.graph.constants.get(bias)
        if value is None or not np.isfinite(value).all():
            raise InputError(f"bias {bias!r}", "has no finite value")
        if len(scales) > 1 and (1, *value.shape)[-1] != len(scales):
            raise InputError(f"bias {bias!r}", "is not one number a channel", value=value.shape, limit=len(scales))
        steps = float(np.max(np.abs(np.round(value / scales)), initial=0.0))
        bits = max(2, ceil(log2(steps + 1)) + 1)
        if bits > MOST_BITS:
            raise InputError(f"bias {bias!r}", "leaves 32 bits on the grid of its layer's sums", value=f"{bits} bits")
        axis = None if len(scales) == 1 else value.ndim - 1
        return Grid(bits=bits, signed=True, scale=tuple(map(float, scales)), axis=axis)

    def _aligned(self, op: Binary, operands: tuple[str, ...]) -> tuple[str, ...]:
        grids = [self.grids[self.places.source(name)] for name in op.inputs]
        finest = min(grid.scale[0] for grid in grids)
        result = []
        for name, operand, grid in zip(op.inputs, operands, grids, strict=True):
            if grid.scale[0] == finest:
                result.append(operand)
                continue
            aligned, rank = f"{op.outputs[0]}.aligned", len(self.graph.tensors[name].shape)
            result.append(self._quant(operand, aligned, aligned, rank, _finer(name, grid, finest)))
        return tuple(result)

    def _constant(self, name: str, value: npt.NDArray[np.float32]) -> str:
        self._free(name)
        self.parameters.append(Parameter(tensor=Tensor(name=name, shape=value.shape), value=value))
        return name

    def _free(self, name: str) -> None:
        if name in self.graph.tensors:
            raise InputError(f"tensor {name!r}", "its name is taken by the network; Quants need it")


def _finer(name: str, grid: Grid, scale: float) -> Grid:
    """A signed grid of `scale` that holds all numbers of `grid`."""
    low, high = grid.limits(0)
    most = max(abs(int(low) - grid.zero_point[0]), abs(int(high) - grid.zero_point[0]))
    bits = ceil(log2(most * grid.scale[0] / scale + 1.5)) + 1
    if bits >= MOST_BITS:
        raise InputError(f"addition of {name!r}", "scales too far apart", value=f"{bits} bits", limit=MOST_BITS - 1)
    return Grid(bits=bits, signed=True, scale=(scale,))
