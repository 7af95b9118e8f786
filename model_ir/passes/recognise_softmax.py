"""Recognises softmax written as exponentials divided by their sum."""

from __future__ import annotations

from model_ir.graph import Graph
from model_ir.op import Op
from model_ir.ops.elementwise import Binary, Unary
from model_ir.ops.movement import Reshape
from model_ir.ops.normalisation import Softmax
from model_ir.ops.pooling import Reduce
from model_ir.passes.rewriting import Replacement, View, rewrite


def recognise_softmax(graph: Graph) -> Graph:
    """exp(x) / sum(exp(x)) along one axis becomes Softmax, with or without the maximum subtracted first (softmax does
    not change when x is shifted)."""
    return rewrite(graph, _softmax)


def _softmax(view: View, op: Op) -> Replacement | None:
    if not isinstance(op, Binary):
        return None
    for exponentials, other in (op.inputs, op.inputs[::-1]):
        total = _divisor(view, op, exponentials, other)
        exponential = view.maker(exponentials, Unary)
        if total is None or exponential is None or exponential.function != "exp":
            continue
        axes = reduced_axes(view, total, "sum", exponentials)
        if axes is None or len(axes) != 1:
            continue
        if view.shape(exponentials) != view.shape(op.outputs[0]):
            continue
        x = _unshifted(view, exponential.inputs[0], axes)
        return Replacement(ops=(Softmax(name=op.name, inputs=(x,), outputs=op.outputs, axis=axes[0]),))
    return None


def _divisor(view: View, op: Binary, dividend: str, other: str) -> str | None:
    """The tensor that `op` divides `dividend` by, as a division or as a product with a reciprocal."""
    if op.function == "div":
        return other if dividend == op.inputs[0] else None
    inverse = view.maker(other, Unary) if op.function == "mul" else None
    return inverse.inputs[0] if inverse is not None and inverse.function == "reciprocal" else None


def _unshifted(view: View, name: str, axes: tuple[int, ...]) -> str:
    operands = view.binary(name, "sub")
    if operands is not None and reduced_axes(view, operands[1], "max", operands[0]) == axes:
        return operands[0]
    return name


def reduced_axes(view: View, name: str, function: str, source: str) -> tuple[int, ...] | None:
    """The axes over which `name` is the reduction of `source`, kept as size 1 (by the reduction or by a reshape after
    it)."""
    rank = len(view.shape(source))
    reduce = view.maker(name, Reduce)
    reshape = view.maker(name, Reshape)
    if reduce is None and reshape is not None:
        reduce = view.maker(reshape.inputs[0], Reduce)
    if reduce is None or reduce.function != function or reduce.inputs[0] != source:
        return None
    axes = tuple(sorted(axis % rank for axis in (reduce.axes if reduce.axes is not None else range(rank))))
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(view.shape(source)))
    return axes if view.shape(name) == kept else None
