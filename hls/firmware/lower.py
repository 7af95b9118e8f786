"""`lower`: a quantised Graph as a firmware `Network`, every type exactly wide enough; whatever cannot be exact is
refused here, before anything is written.

Types come from interval arithmetic on whole numbers: a layer's sums are bounded with its own weights, so its
accumulator holds every partial sum and its result every value, and nothing wraps or loses a bit.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from hls.firmware.fixed_point import Fixed, Span, joined
from hls.firmware.grids import fixed_of, stored
from hls.firmware.network import (
    Convolution,
    Dense,
    Flatten,
    Layer,
    MaxPooling,
    Network,
    Port,
    Relu,
    Requantise,
    Stored,
    Sum,
    Weighted,
    Window,
)
from hls.firmware.refusals import ARRAY, refused
from hls.firmware.sums import with_sums
from hls.qonnx.plain import plain
from hls.quantise.sums import FLOAT32_MOST
from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.op import Op
from model_ir.ops.contraction import Conv, MatMul
from model_ir.ops.elementwise import Binary, Unary
from model_ir.ops.movement import Reshape
from model_ir.ops.pooling import MaxPool
from model_ir.ops.quantisation import Quant
from model_ir.passes.absorb import absorb_transposes

_CODE = re.compile(r"\W+", re.ASCII)


def lower(graph: Graph) -> Network:
    """The firmware network of a quantised graph with one input and one output.

    Raises InputError naming the operator or tensor for what hls4ml cannot take or not compute exactly, for quantisers
    and constants that are not fixed-point, and for sums that float32 does not hold exactly.
    """
    graph = plain(absorb_transposes(graph))  # weights that exporters store transposed
    where = graph.origin or graph.name
    for what, names in (("input", graph.inputs), ("output", graph.outputs)):
        if len(names) != 1:
            raise InputError(where, f"firmware has one {what}", value=", ".join(names) or "none")
    lowering = _Lowering(graph)
    for op in graph.ops:
        lowering.add(op)
    output = lowering.layer_of(graph.outputs[0])
    if isinstance(output, Port):
        raise InputError(where, "no layer computes the output", value=graph.outputs[0])
    return Network(
        name=_identifier(graph.name, set(), "network"),
        input_tensor=graph.inputs[0],
        output_tensor=graph.outputs[0],
        layers=tuple(lowering.layers.values()),
        output=output.name,
    )


class _Lowering:
    """The layers so far, and which of them computes each tensor."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.layers: dict[str, Layer] = {}
        self._makers: dict[str, str] = {}
        self._readers = Counter(name for op in graph.ops for name in op.inputs)
        self._readers.update(graph.outputs)

    def layer_of(self, tensor: str) -> Layer:
        """The layer that computes `tensor`; InputError for a tensor that no quantiser or layer made."""
        if tensor not in self._makers:
            problem = "reaches a layer without a quantiser" if tensor in self.graph.inputs else "is a constant"
            raise InputError(self.graph.origin or self.graph.name, f"tensor {tensor!r} {problem}")
        return self.layers[self._makers[tensor]]

    def add(self, op: Op) -> None:
        """Make a layer of `op`, or make it part of one."""
        if not any(name in self.graph.inputs or name in self._makers for name in op.inputs):
            return  # of constants only: read where it is needed
        handler = _HANDLERS.get(type(op))
        if handler is None:
            raise refused(self.graph, op)
        handler(self, op)

    def put(self, layer: Layer) -> None:
        """Append a layer or replace the one of its name."""
        self.layers[layer.name] = layer
        self._makers[layer.tensor] = layer.name

    def alias(self, tensor: str, layer: Layer) -> None:
        """`tensor` is what `layer` gives."""
        self._makers[tensor] = layer.name

    def fresh(self, tensor: str) -> str:
        """A C identifier for the layer that computes `tensor`."""
        return _identifier(tensor, {name.lower() for name in self.layers}, "layer")

    def owns(self, layer: Layer, tensor: str) -> bool:
        """Whether whoever reads `tensor` is the only one to read `layer`: no other name, no other reader."""
        return layer.tensor == tensor and self._readers[tensor] == 1

    def read_once(self, tensor: str) -> bool:
        """Whether one operator, or the caller, reads `tensor`."""
        return self._readers[tensor] == 1


def _identifier(text: str, taken: set[str], otherwise: str) -> str:
    stem = _CODE.sub("_", text).strip("_")[:48] or otherwise
    stem = stem if stem[0].isalpha() else f"{otherwise}_{stem}"
    name, count = stem, 1
    while name.lower() in taken:
        count += 1
        name = f"{stem}_{count}"
    return name


def _quant(lowering: _Lowering, op: Quant) -> None:
    source, grid = op.inputs[0], fixed_of(lowering.graph, op)
    if source in lowering.graph.inputs:
        _port(lowering, op, grid)
        return
    before = lowering.layer_of(source)
    span, whole_range = before.result.span, grid.span
    if span.exponent >= grid.exponent and joined(span, whole_range) == whole_range:
        lowering.alias(op.outputs[0], before)  # every value is on the grid already
    elif isinstance(before, Dense | Convolution | Relu) and not before.rounds and lowering.owns(before, source):
        lowering.put(replace(before, result=grid))
        lowering.alias(op.outputs[0], before)
    else:
        lowering.put(
            Requantise(
                name=lowering.fresh(op.outputs[0]), tensor=op.outputs[0], reads=(before.name,), shape=before.shape,
                exact=before.result.span, result=grid, order=before.order,
            )
        )  # fmt: skip


def _port(lowering: _Lowering, op: Quant, grid: Fixed) -> None:
    """The input arrives on the grid of its only reader: the sender rounds, as the emulation's conversion does."""
    graph, (name,) = lowering.graph, op.inputs[:1]
    if not lowering.read_once(name):
        raise InputError(graph.origin or graph.name, f"input {name!r} is read by more than its quantiser")
    shape = graph.tensors[name].shape
    if len(shape) not in (2, 4):
        problem = f"input {name!r} is neither (samples, features) nor (samples, channels, rows, columns)"
        raise InputError(graph.origin or graph.name, problem, value=shape)
    lowering.put(
        Port(
            name=lowering.fresh(name), tensor=op.outputs[0], reads=(), shape=_channels_last(shape[1:]),
            exact=grid.span, result=grid,
        )
    )  # fmt: skip


def _channels_last(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape[1:], shape[0]) if len(shape) == 3 else shape


def _matmul(lowering: _Lowering, op: MatMul) -> None:
    graph = lowering.graph
    weight = stored(graph, op.inputs[1], needs_grid=True)
    if weight is None:
        raise refused(graph, op, "its second operand is not a constant weight", ARRAY)
    before = lowering.layer_of(op.inputs[0])
    if len(before.shape) != 1 or weight.values.ndim != 2:
        raise refused(graph, op, f"more than one row a sample {before.shape}", ARRAY)
    if before.order is not None:
        weight = replace(weight, values=weight.values[before.order])
    _weighted(
        lowering, op, before, weight, None,
        lambda shared: Dense(**shared, shape=(weight.values.shape[1],)),
    )  # fmt: skip


def _conv(lowering: _Lowering, op: Conv) -> None:
    graph, before = lowering.graph, lowering.layer_of(op.inputs[0])
    weight = stored(graph, op.inputs[1], needs_grid=True)
    if weight is None:
        raise refused(graph, op, "its weight is not a constant", ARRAY)
    if len(op.strides) != 2:
        raise refused(graph, op, "one or three spatial axes", "make it two")
    if any(step != 1 for step in op.dilations):
        raise refused(graph, op, "dilated windows have not been found equal", "use dilations of 1")
    channels, depthwise = before.shape[-1], op.group > 1
    if depthwise and (op.group != channels or weight.values.shape[0] != channels):
        raise refused(graph, op, "groups that are neither one nor one a channel", "use group 1 or depthwise")
    last = replace(weight, values=np.ascontiguousarray(np.moveaxis(weight.values, 1, -1)))
    kernel = cast("tuple[int, int]", last.values.shape[1:3])
    window = Window(kernel=kernel, strides=cast(Any, op.strides), pads=cast(Any, op.pads))
    shape = _channels_last(graph.tensors[op.outputs[0]].shape[1:])
    bias = stored(graph, op.inputs[2], needs_grid=False) if len(op.inputs) > 2 and op.inputs[2] else None
    if bias is None and len(op.inputs) > 2 and op.inputs[2]:
        raise refused(graph, op, "its bias is not a constant", ARRAY)
    _weighted(
        lowering, op, before, last, bias,
        lambda shared: Convolution(**shared, shape=shape, window=window, depthwise=depthwise),
    )  # fmt: skip


def _weighted(
    lowering: _Lowering,
    op: MatMul | Conv,
    before: Layer,
    weight: Stored,
    bias: Stored | None,
    make: Callable[[dict[str, Any]], Weighted],
) -> None:
    """Append the layer with the types that its sums need."""
    shared = {
        "name": lowering.fresh(op.outputs[0]), "tensor": op.outputs[0], "reads": (before.name,), "weight": weight,
        "weight_tensor": _parameter_behind(lowering.graph, op.inputs[1]), "bias": None,
        "accumulator": before.result, "exact": before.exact, "result": before.result,
    }  # fmt: skip
    lowering.put(with_sums(make(shared), before.result.span, bias, lowering.graph.origin or lowering.graph.name))


def _parameter_behind(graph: Graph, name: str) -> str:
    return next((op.inputs[0] for op in graph.ops if isinstance(op, Quant) and name in op.outputs), name)


def _binary(lowering: _Lowering, op: Binary) -> None:
    graph = lowering.graph
    if op.function != "add":
        raise refused(graph, op, "only sums have been found equal", "use add")
    first, second = (lowering._makers.get(name) for name in op.inputs)
    if first and second:
        _sum(lowering, op)
        return
    computed, constant = op.inputs if first else op.inputs[::-1]
    before, bias = lowering.layer_of(computed), stored(graph, constant, needs_grid=False)
    fits = isinstance(before, Dense | Convolution) and before.bias is None and not before.rounds
    if bias is None or not fits or not lowering.owns(before, computed):
        raise refused(
            graph, op, "a constant is added elsewhere than right behind a dense layer or convolution", "move it"
        )
    values = _per_channel(bias.values, graph.tensors[computed].shape, before.shape[-1])
    if values is None:
        raise refused(graph, op, "the constant is not one value a channel", "use a vector of the outputs")
    assert isinstance(before, Weighted)
    reads = lowering.layers[before.reads[0]].result.span
    layer = with_sums(before, reads, replace(bias, values=values), graph.origin or graph.name)
    del lowering.layers[before.name]
    lowering.put(replace(layer, name=lowering.fresh(op.outputs[0]), tensor=op.outputs[0]))


def _per_channel(values: npt.NDArray[Any], shape: tuple[int, ...], channels: int) -> npt.NDArray[Any] | None:
    """A constant added to a tensor of `shape` as one value a channel, if it is that."""
    full = np.broadcast_to(values, (1, *shape[1:]))
    each = full.reshape(channels, -1) if len(shape) == 4 else full.reshape(channels, 1)
    return each[:, 0].copy() if np.all(each == each[:, :1]) else None


def _sum(lowering: _Lowering, op: Binary) -> None:
    first, second = (lowering.layer_of(name) for name in op.inputs)
    same = first.order is second.order or (
        first.order is not None and second.order is not None and np.array_equal(first.order, second.order)
    )
    if first.shape != second.shape or not same or first.name == second.name:
        raise refused(lowering.graph, op, "its operands are not two layers of one shape", "bring them to one shape")
    exponent = min(first.result.exponent, second.result.exponent)
    a, b = (layer.result.span.at(exponent) for layer in (first, second))
    exact = Span(low=a.low + b.low, high=a.high + b.high, exponent=exponent)
    if exact.largest > FLOAT32_MOST:
        raise InputError(
            lowering.graph.origin or lowering.graph.name,
            f"sums of {op.outputs[0]!r} exceed what float32 holds exactly; quantise its operands",
            value=f"{exact.largest.bit_length()} bits", limit="24 bits",
        )  # fmt: skip
    lowering.put(
        Sum(
            name=lowering.fresh(op.outputs[0]), tensor=op.outputs[0], reads=(first.name, second.name),
            shape=first.shape, exact=exact, result=exact.fixed, order=first.order,
        )
    )  # fmt: skip


def _unary(lowering: _Lowering, op: Unary) -> None:
    if op.function != "relu":
        raise refused(lowering.graph, op, "hls4ml looks it up in rounded tables, or has none", "use a ReLU")
    before = lowering.layer_of(op.inputs[0])
    exact = Span(low=0, high=max(0, before.result.span.high), exponent=before.result.exponent)
    lowering.put(
        Relu(
            name=lowering.fresh(op.outputs[0]), tensor=op.outputs[0], reads=(before.name,), shape=before.shape,
            exact=exact, result=exact.fixed, order=before.order,
        )
    )  # fmt: skip


def _max_pool(lowering: _Lowering, op: MaxPool) -> None:
    graph, before = lowering.graph, lowering.layer_of(op.inputs[0])
    if len(op.kernel) != 2:
        raise refused(graph, op, "one or three spatial axes", "make it two")
    if any(op.pads) or op.ceil_mode or any(step != 1 for step in op.dilations):
        raise refused(graph, op, "padding, dilations and rounding up have not been found equal", "use whole windows")
    if op.strides != op.kernel:
        raise refused(graph, op, "overlapping or sparse windows have not been found equal", "use strides as the kernel")
    window = Window(kernel=cast(Any, op.kernel), strides=cast(Any, op.strides), pads=(0, 0, 0, 0))
    shape = _channels_last(graph.tensors[op.outputs[0]].shape[1:])
    lowering.put(
        MaxPooling(
            name=lowering.fresh(op.outputs[0]), tensor=op.outputs[0], reads=(before.name,), shape=shape,
            exact=before.result.span, result=replace(before.result, rounding="TRN", overflow="WRAP"), window=window,
        )
    )  # fmt: skip


def _reshape(lowering: _Lowering, op: Reshape) -> None:
    before = lowering.layer_of(op.inputs[0])
    shape = lowering.graph.tensors[op.outputs[0]].shape
    if shape == lowering.graph.tensors[op.inputs[0]].shape:
        lowering.alias(op.outputs[0], before)
        return
    if len(shape) != 2 or len(before.shape) != 3:
        raise refused(lowering.graph, op, "only flattening an image to one row has been found equal", "flatten")
    rows, columns, channels = before.shape
    ours = np.arange(channels * rows * columns).reshape(channels, rows, columns)
    lowering.put(
        Flatten(
            name=lowering.fresh(op.outputs[0]), tensor=op.outputs[0], reads=(before.name,), shape=shape[1:],
            exact=before.result.span, result=before.result,
            order=np.moveaxis(ours, 0, -1).reshape(-1),
        )
    )  # fmt: skip


_HANDLERS: dict[type[Op], Callable[[_Lowering, Any], None]] = {
    Binary: _binary,
    Conv: _conv,
    MatMul: _matmul,
    MaxPool: _max_pool,
    Quant: _quant,
    Reshape: _reshape,
    Unary: _unary,
}
