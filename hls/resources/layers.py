"""The layers of a quantised graph as hardware sees them: integer weights and the bits of what they multiply.

A weight is a constant behind a Quant, what it multiplies came through a Quant; between that Quant and the layer values
may only move or be chosen among (reshaped, pooled by maximum), so that they stay on its grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from hls.resources.adders import Integers
from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.op import Op
from model_ir.ops.contraction import Conv, MatMul
from model_ir.ops.quantisation import Quant


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedLayer:
    """A layer of constant weights. `weights` (outputs, terms of a sum) are integers of at most `weight_bits`, of
    `stored_bits` together, whose parameter is `weight`; `activation` is the tensor that got `activation_bits`, as the
    bit allocation names it.

    `positions` counts how often a sample uses each weight; `stream_positions` the pixels of the padded input that a
    stream brings, and `stream_fill` those before the first sum can be formed.
    """

    name: str
    activation: str
    weight: str
    weights: Integers = field(repr=False)
    activation_bits: int
    weight_bits: int
    stored_bits: int
    positions: int = 1
    stream_positions: int = 1
    stream_fill: int = 1

    @property
    def outputs(self) -> int:
        """Sums at one position."""
        return int(self.weights.shape[0])

    @property
    def terms(self) -> int:
        """Products of one sum."""
        return int(self.weights.shape[1])


def fixed_layers(graph: Graph) -> tuple[FixedLayer, ...]:
    """The layers of `graph` in topological order.

    Raises InputError, naming the operator, for a product of two activations, for a layer that is neither a matrix
    product nor a convolution in one group, and where an operand did not come through a Quant with constant bits.
    """
    producers = {output: op for op in graph.ops for output in op.outputs}
    samples = max(1, (*graph.tensors[graph.inputs[0]].shape, 1)[0])
    found = []
    for op in graph.ops:
        if graph.nest_of(op).kind != "mac":
            continue
        if not isinstance(op, MatMul | Conv) or (isinstance(op, Conv) and op.group != 1):
            raise InputError(_where(op), "no layer of firmware: only matrix products and convolutions in one group")
        quant = producers.get(op.inputs[1])
        if isinstance(op, MatMul) and len(graph.tensors[op.inputs[1]].shape) != 2:
            raise InputError(_where(op), "its weights are no matrix", value=graph.tensors[op.inputs[1]].shape)
        if not isinstance(quant, Quant) or quant.inputs[0] not in graph.parameters:
            raise InputError(_where(op), "its second operand is no constant behind a Quant", value=op.inputs[1])
        weights, widths = _integers(graph, quant)
        activation = _quant_behind(graph, producers, op)
        matrix = output_rows(op, weights)
        positions, stream_positions, fill = _positions(graph, op, samples)
        found.append(
            FixedLayer(
                name=op.name,
                activation=activation.inputs[0],
                weight=quant.inputs[0],
                weights=matrix,
                activation_bits=_bits(graph, activation),
                weight_bits=int(widths.max()),
                stored_bits=int(np.broadcast_to(widths, weights.shape).sum()),
                positions=positions,
                stream_positions=stream_positions,
                stream_fill=fill,
            )
        )
    if not found:
        raise InputError(graph.name, "has no layer with weights")
    return tuple(found)


def output_rows(op: Op, weights: Any) -> Any:
    """A layer's weights as (outputs, terms)."""
    if isinstance(op, MatMul):
        return weights if op.transpose_b else weights.T
    return weights.reshape(weights.shape[0], -1)


def _positions(graph: Graph, op: Op, samples: int) -> tuple[int, int, int]:
    """(uses of each weight by a sample, padded input pixels, pixels before the first sum)."""
    shape = graph.tensors[op.outputs[0]].shape
    if not isinstance(op, Conv):
        rows = max(1, prod(shape[:-1]) // samples)
        return rows, rows, 1
    axes = len(shape) - 2
    begins, ends = op.pads[:axes], op.pads[axes:]
    source = graph.tensors[op.inputs[0]].shape[2:]
    padded = [size + low + high for size, low, high in zip(source, begins, ends, strict=True)]
    kernel = graph.tensors[op.inputs[1]].shape[2:]
    reach = [(size - 1) * step for size, step in zip(kernel, op.dilations, strict=True)]
    fill = 1 + sum(far * prod(padded[axis + 1 :]) for axis, far in enumerate(reach))
    return prod(shape[2:]), prod(padded), fill


def _quant_behind(graph: Graph, producers: Mapping[str, Op], op: Op) -> Quant:
    name = op.inputs[0]
    while name in producers:
        before = producers[name]
        if isinstance(before, Quant):
            return before
        sources = [source for source in before.inputs if source and source not in graph.parameters]
        kept = graph.nest_of(before).kind == "move" or before.kind == "MaxPool"
        if len(sources) != 1 or not kept:
            break
        name = sources[0]
    raise InputError(_where(op), "what it multiplies did not come through a Quant", value=op.inputs[0])


def _integers(graph: Graph, quant: Quant) -> tuple[Integers, Integers]:
    """A quantised constant as multiples of its scale, and the bits its elements are stored in, which broadcast to
    it."""
    if any(name not in graph.constants for name in quant.inputs):
        raise InputError(_where(quant), "its inputs are not all constants")
    values = [graph.constants[name] for name in quant.inputs]
    (real,) = quant.evaluate(np, *values)
    return np.rint(np.asarray(real, np.float64) / values[1]).astype(np.int64), np.asarray(values[3], np.int64)


def _bits(graph: Graph, quant: Quant) -> int:
    value = graph.constants.get(quant.inputs[3])
    if value is None or np.size(value) != 1:
        raise InputError(_where(quant), "its bit width is not one constant")
    return int(np.asarray(value).ravel()[0])


def _where(op: Op) -> str:
    return f"{op.kind} {op.name!r}"
