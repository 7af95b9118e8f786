"""Gives a float network the integer precision that a machine computes in, for costing; values do not change."""

from __future__ import annotations

from dataclasses import replace

from model_ir.graph import Graph
from model_ir.ops.contraction import Conv, ConvTranspose, MatMul
from model_ir.precision import INT32, Precision


def assign_precision(graph: Graph, precision: Precision, bias_precision: Precision = INT32) -> Graph:
    """Every float activation and parameter gets `precision`, biases of contractions `bias_precision` (that of the
    accumulator).

    Tensors that are integers already (indices, quantised values) keep what they have.
    """
    biases = {
        op.inputs[2] for op in graph.ops if isinstance(op, MatMul | Conv | ConvTranspose) and len(op.inputs) > 2
    } & graph.parameters
    tensors = {
        name: replace(tensor, precision=bias_precision if name in biases else precision)
        if tensor.precision.is_float
        else tensor
        for name, tensor in graph.tensors.items()
    }
    return replace(graph, tensors=tensors)
