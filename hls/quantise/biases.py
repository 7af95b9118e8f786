"""Quantised biases as their layers' own, where a file adds them afterwards: QONNX's products take none."""

from __future__ import annotations

from dataclasses import replace

from model_ir.graph import Graph
from model_ir.op import Op
from model_ir.ops.contraction import MatMul
from model_ir.ops.elementwise import Binary
from model_ir.ops.quantisation import Quant
from model_ir.passes.rewriting import Replacement, View, rewrite


def joined_biases(graph: Graph) -> Graph:
    """`graph` with every vector that goes through a Quant and is added to a product, read by nothing else, as the
    product's bias; the same values."""
    return rewrite(graph, _joined)


def _joined(view: View, op: Op) -> Replacement | None:
    if not isinstance(op, Binary) or op.function != "add":
        return None
    for product, bias in (op.inputs, op.inputs[::-1]):
        matmul, quant = view.maker(product, MatMul), view.maker(bias, Quant)
        if matmul is None or quant is None or len(matmul.inputs) > 2 or not view.read_once(product):
            continue
        columns = view.shape(product)[-1]
        if view.is_parameter(quant.inputs[0]) and view.shape(bias) == (columns,):
            return Replacement(ops=(replace(matmul, inputs=(*matmul.inputs, bias), outputs=op.outputs),))
    return None
