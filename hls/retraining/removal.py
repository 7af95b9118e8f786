"""Removes pruned channels and neurons from the graph: a smaller network with the same function.

A channel whose weights and bias are zero computes 0; what only ReLUs, quantisers, poolings and flattening do to it
leaves 0; and the layer that multiplies it adds nothing to any sum.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from hls.retraining.layers import WeightLayer, weight_layers
from model_ir.graph import Graph, verify
from model_ir.op import Op
from model_ir.ops.contraction import Conv, ConvTranspose, MatMul
from model_ir.ops.elementwise import Unary
from model_ir.ops.movement import Reshape
from model_ir.ops.pooling import MaxPool
from model_ir.ops.quantisation import Quant

Array = npt.NDArray[Any]


@dataclass(slots=True, kw_only=True)
class _Path:
    """What lies between a layer and those that read its channels: these, each with how many of its inputs a channel
    is, and the reshapes on the way."""

    readers: list[tuple[WeightLayer, int]] = field(default_factory=list)
    reshapes: list[Reshape] = field(default_factory=list)


def without_dead_channels(graph: Graph) -> Graph:
    """`graph`, pruned and with values, without the output channels that are zero throughout.

    The same names, parameters and the Quants' grids; every output as it was, up to the order in which floats are added.
    Layers keep their channels where anything but ReLUs, quantisers that keep 0, max-poolings and a flattening lies
    between them and the next layers, where a parameter is read twice, or where no channel would be left.
    """
    for layer in weight_layers(graph):
        kept, path = _kept(graph, layer), _path(graph, layer)
        if path is not None and kept.any() and not kept.all():
            graph = _cut(graph, layer, path, kept)
    return graph


def _kept(graph: Graph, layer: WeightLayer) -> Array:
    """Which output channels are not zero throughout; all where they cannot be told apart."""
    weight = graph.constants[layer.weight]
    others = tuple(axis for axis in range(weight.ndim) if axis != layer.axis)
    kept: Array = (weight != 0).any(axis=others)
    if layer.bias:
        bias = graph.constants[layer.bias]
        kept = kept | (bias.ravel() != 0) if bias.size == kept.size else np.ones_like(kept)
    return kept


def _path(graph: Graph, layer: WeightLayer) -> _Path | None:
    """The way from a layer to the next ones; None where a channel's 0 could become something else."""
    readers = [name for op in graph.ops for name in op.inputs]
    layers = {other.op.name: other for other in weight_layers(graph)}
    grouped = isinstance(layer.op, ConvTranspose) or (isinstance(layer.op, Conv) and layer.op.group != 1)
    tokens = isinstance(layer.op, MatMul) and len(graph.tensors[layer.op.outputs[0]].shape) != 2
    own = [name for name in (layer.weight, layer.bias) if name]
    if grouped or tokens or any(readers.count(name) != 1 or not _plain(graph, name) for name in own):
        return None
    path, waiting = _Path(), [(layer.op.outputs[0], 1)]
    while waiting:
        name, repeats = waiting.pop()
        if name in graph.outputs:
            return None
        for op in (op for op in graph.ops if name in op.inputs):
            reader = layers.get(op.name)
            if reader is not None and op.inputs[0] == name and _takes(graph, op, reader, readers):
                path.readers.append((reader, repeats))
            elif isinstance(op, Reshape) and _flattens(graph, op):
                path.reshapes.append(op)
                waiting.append((op.outputs[0], prod(graph.tensors[name].shape[2:])))
            elif _keeps_zero(graph, op, name):
                waiting.append((op.outputs[0], repeats))
            else:
                return None
    return path


def _takes(graph: Graph, op: Op, reader: WeightLayer, readers: list[str]) -> bool:
    """Whether the layer multiplies channels of its input's second axis, with a weight of its own."""
    dense = isinstance(op, MatMul) and not op.transpose_a and len(graph.tensors[op.inputs[0]].shape) == 2
    plain = dense or (isinstance(op, Conv) and op.group == 1)
    return plain and readers.count(reader.weight) == 1 and len(graph.tensors[reader.weight].shape) > 1


def _flattens(graph: Graph, op: Reshape) -> bool:
    before, after = graph.tensors[op.inputs[0]].shape, graph.tensors[op.outputs[0]].shape
    return len(before) > 2 and after == (before[0], prod(before[1:])) and op.shape == after


def _keeps_zero(graph: Graph, op: Op, name: str) -> bool:
    """Whether the operator makes 0 of 0, channel by channel of the second axis."""
    if isinstance(op, Quant) and op.inputs[0] == name and all(part in graph.constants for part in op.inputs[1:]):
        values = [graph.constants[part] for part in op.inputs[1:]]
        return all(value.ndim == 0 for value in values) and float(op.evaluate(np, np.float32(0), *values)[0]) == 0
    return (isinstance(op, Unary) and op.function == "relu") or isinstance(op, MaxPool)


def _plain(graph: Graph, name: str) -> bool:
    """Whether no quantiser of the parameter has a vector for a scale."""
    quants = [op for op in graph.ops if isinstance(op, Quant) and op.inputs[0] == name]
    return all(graph.tensors[part].shape == () for op in quants for part in op.inputs[1:])


def _cut(graph: Graph, layer: WeightLayer, path: _Path, kept: Array) -> Graph:
    constants = dict(graph.constants)
    constants[layer.weight] = np.compress(kept, constants[layer.weight], axis=layer.axis)
    if layer.bias:
        bias = constants[layer.bias]
        constants[layer.bias] = np.compress(kept, bias, axis=int(np.argmax(bias.shape)))
    for reader, repeats in path.readers:
        # Of a matrix the axis that is not the outputs', of a convolution (O, C, ...) the second.
        axis = 1 if isinstance(reader.op, Conv) else 1 - reader.axis
        constants[reader.weight] = np.compress(np.repeat(kept, repeats), constants[reader.weight], axis=axis)
    tensors = {
        name: replace(tensor, shape=constants[name].shape) if name in constants else tensor
        for name, tensor in graph.tensors.items()
    }
    ops: list[Op] = []
    for op in graph.ops:
        if op in path.reshapes:
            op = replace(op, shape=(op.shape[0], int(kept.sum()) * prod(tensors[op.inputs[0]].shape[2:])))
        tensors |= {t.name: t for t in op.infer(tuple(tensors[name] if name else None for name in op.inputs))}
        ops.append(op)
    return verify(replace(graph, ops=tuple(ops), tensors=tensors, constants=constants))
