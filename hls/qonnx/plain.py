"""`plain`: the graph that a QONNX file can say, with the same values.

qonnx and hls4ml know MatMul, not Gemm: a product with a bias or with transposed operands becomes operators, and stored
constants, of their own.
"""

from __future__ import annotations

from dataclasses import replace

from model_ir.graph import Graph, verify
from model_ir.op import Op
from model_ir.ops.contraction import MatMul
from model_ir.ops.elementwise import Binary
from model_ir.ops.movement import Transpose
from model_ir.ops.quantisation import Quant
from model_ir.passes.rewriting import Parameter, View, rebuild


def plain(graph: Graph) -> Graph:
    """`graph` with every MatMul of two operands as they stand: the bias added behind it, nothing transposed.

    A constant matrix, bare or behind its own per-tensor Quant, is transposed where it is stored and keeps its name;
    any other transposed operand gets a Transpose. The same graph object comes back where nothing is to be done.
    """
    view = View(graph)
    stored = {name for op in graph.ops for name in _matrices_to_turn(view, op)}
    ops: list[Op] = []
    for op in graph.ops:
        if isinstance(op, MatMul):
            ops.extend(_apart(view, op, stored))
        else:
            ops.append(op)
    if len(ops) == len(graph.ops) and all(new is old for new, old in zip(ops, graph.ops, strict=True)):
        return graph
    inferred_again = [replace(op) for op in ops]
    return verify(rebuild(graph, inferred_again, [_turned(graph, name) for name in sorted(stored)]))


def _matrices_to_turn(view: View, op: Op) -> tuple[str, ...]:
    """Constants that can be stored transposed because `op`, a MatMul that transposes them, is all that reads them."""
    if not isinstance(op, MatMul):
        return ()
    flags = (op.transpose_a, op.transpose_b)
    sources = (_matrix_behind(view, name) for name, flag in zip(op.inputs, flags, strict=False) if flag)
    return tuple(name for name in sources if name)


def _matrix_behind(view: View, name: str) -> str:
    """The constant matrix that is `name` or that a Quant of one scale makes it of, read once; "" where there is
    none."""
    quant = view.maker(name, Quant)
    if not view.read_once(name) or (quant and any(view.shape(item) != () for item in quant.inputs[1:])):
        return ""
    source = quant.inputs[0] if quant else name
    known = view.value(source) is not None and len(view.shape(source)) == 2
    return source if known and view.read_once(source) else ""


def _apart(view: View, op: MatMul, stored: set[str]) -> list[Op]:
    if len(op.inputs) == 2 and not op.transpose_a and not op.transpose_b:
        return [op]
    ops: list[Op] = []
    operands = list(op.inputs[:2])
    for place, flag in enumerate((op.transpose_a, op.transpose_b)):
        if flag and _matrix_behind(view, operands[place]) not in stored:
            name = view.fresh(f"{op.outputs[0]}.operand_{place}")
            axes = tuple(range(len(view.shape(operands[place]))))
            ops.append(
                Transpose(name=name, inputs=(operands[place],), outputs=(name,), perm=(*axes[:-2], axes[-1], axes[-2]))
            )
            operands[place] = name
    if len(op.inputs) == 2:
        return [*ops, MatMul(name=op.name, inputs=tuple(operands), outputs=op.outputs)]
    product = view.fresh(f"{op.outputs[0]}.product")
    return [
        *ops,
        MatMul(name=product, inputs=tuple(operands), outputs=(product,)),
        Binary(name=op.name, inputs=(product, op.inputs[2]), outputs=op.outputs, function="add"),
    ]


def _turned(graph: Graph, name: str) -> Parameter:
    tensor = graph.tensors[name]
    return Parameter(tensor=replace(tensor, shape=tensor.shape[::-1]), value=graph.constants[name].T.copy())
