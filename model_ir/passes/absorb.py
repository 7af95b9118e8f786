"""Gives contractions what follows or precedes them for free: a bias added afterwards, a transposed operand."""

from __future__ import annotations

from dataclasses import replace

from model_ir.graph import Graph
from model_ir.op import Op
from model_ir.ops.contraction import MatMul
from model_ir.ops.elementwise import Binary
from model_ir.ops.movement import Transpose
from model_ir.passes.rewriting import Replacement, View, rewrite


def absorb_bias(graph: Graph) -> Graph:
    """Make the addition of a constant vector after a MatMul its bias. (Convolutions get theirs from
    `fold_batch_norm`.)"""
    return rewrite(graph, _absorb_bias)


def _absorb_bias(view: View, op: Op) -> Replacement | None:
    if not isinstance(op, Binary) or op.function != "add":
        return None
    for product, bias in (op.inputs, op.inputs[::-1]):
        matmul = view.maker(product, MatMul)
        if matmul is None or len(matmul.inputs) > 2 or not view.is_parameter(bias) or not view.read_once(product):
            continue
        columns = (1, *view.shape(product))[-1]
        shape = view.shape(bias)
        if (
            shape[-1:] == (columns,)
            and view.graph.tensors[bias].elements == columns
            and len(shape) <= len(view.shape(product))
        ):
            return Replacement(ops=(replace(matmul, inputs=(*matmul.inputs, bias), outputs=op.outputs),))
    return None


def absorb_transposes(graph: Graph) -> Graph:
    """Make a transpose of an operand's last two axes the MatMul's own flag."""
    return rewrite(graph, _absorb_transposes)


def _absorb_transposes(view: View, op: Op) -> Replacement | None:
    if not isinstance(op, MatMul):
        return None
    left, right = (_untransposed(view, name) for name in op.inputs[:2])
    if left is None and right is None:
        return None
    absorbed = replace(
        op,
        inputs=(left or op.inputs[0], right or op.inputs[1], *op.inputs[2:]),
        transpose_a=op.transpose_a != (left is not None),
        transpose_b=op.transpose_b != (right is not None),
    )
    return Replacement(ops=(absorbed,))


def _untransposed(view: View, name: str) -> str | None:
    transpose = view.maker(name, Transpose)
    if transpose is None:
        return None
    rank = len(transpose.perm)
    swap = rank >= 2 and tuple(transpose.perm) == (*range(rank - 2), rank - 1, rank - 2)
    return transpose.inputs[0] if swap else None
