"""The layers of a graph, quantised or not, by the parameters that they multiply with and add."""

from __future__ import annotations

from dataclasses import dataclass

from hls.layers import output_axis
from model_ir.graph import Graph
from model_ir.op import Op
from model_ir.ops.contraction import Conv, ConvTranspose, MatMul
from model_ir.ops.elementwise import Binary
from model_ir.ops.quantisation import BipolarQuant, Quant


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightLayer:
    """A layer's operator with its `weight` and `bias` ("" without one), parameters whether a Quant stands behind them
    or not. `axis` of the weight counts output channels."""

    op: Op
    weight: str
    bias: str
    axis: int


def weight_layers(graph: Graph) -> tuple[WeightLayer, ...]:
    """The layers of `graph` that multiply with a parameter, in topological order."""
    added: dict[str, str] = {}
    for result, other in additions(graph):
        added.setdefault(result, parameter_behind(graph, other))
    layers = []
    for op in graph.ops:
        weight = parameter_behind(graph, op.inputs[1]) if isinstance(op, MatMul | Conv | ConvTranspose) else ""
        if weight:
            axis = output_axis(graph, op.inputs[1])
            layers.append(WeightLayer(op=op, weight=weight, bias=added.get(op.outputs[0], ""), axis=axis))
    return tuple(layers)


def additions(graph: Graph) -> list[tuple[str, str]]:
    """(output of a layer, what is added to it): its own third input, or the other operand of an addition behind it."""
    layers = {op.outputs[0]: op for op in graph.ops if isinstance(op, MatMul | Conv | ConvTranspose)}
    pairs = [(name, op.inputs[2]) for name, op in layers.items() if len(op.inputs) > 2 and op.inputs[2]]
    for op in graph.ops:
        if isinstance(op, Binary) and op.function == "add":
            one, other = op.inputs
            pairs.extend((a, b) for a, b in ((one, other), (other, one)) if a in layers)
    return pairs


def parameter_behind(graph: Graph, name: str) -> str:
    """The parameter that `name` is, or is rounded from; "" where it is computed from something else."""
    if name in graph.parameters:
        return name
    op = next((op for op in graph.ops if name in op.outputs), None)
    rounded = isinstance(op, Quant | BipolarQuant) and op.inputs[0] in graph.parameters
    return op.inputs[0] if op is not None and rounded else ""
