"""Removes operators that change nothing, and joins reshapes and transposes that follow one another."""

from __future__ import annotations

from dataclasses import replace

from model_ir.graph import Graph
from model_ir.op import Op
from model_ir.ops.elementwise import Binary, Cast
from model_ir.ops.movement import Concat, Expand, Pad, Reshape, Slice, Split, Tile, Transpose
from model_ir.passes.rewriting import Replacement, View, rebuild, rename_inputs, rewrite_until_stable

# Right operand that leaves the left one as it is; for the commutative functions the left operand may be the neutral one
# too.
_NEUTRAL = {"add": 0.0, "sub": 0.0, "mul": 1.0, "div": 1.0, "pow": 1.0}
_COMMUTATIVE = ("add", "mul")
# Operators that are the identity exactly when the shape stays.
_IDENTITY_IF_SAME_SHAPE: tuple[type[Op], ...] = (Reshape, Expand, Tile, Split, Concat)


def remove_identities(graph: Graph) -> Graph:
    """Drop reshapes to the same shape, transposes that keep the order, casts to the same type, neutral arithmetic, and
    the like."""
    graph = rewrite_until_stable(graph, _join_movements)
    view = View(graph)
    names: dict[str, str] = {}
    kept: list[Op] = []
    for original in graph.ops:
        op = rename_inputs(original, names)
        source = _unchanged_input(view, original)
        if source is None or original.outputs[0] in graph.outputs:
            kept.append(op)
        else:
            names[original.outputs[0]] = names.get(source, source)
    if names:
        graph = rebuild(graph, kept)
    return _free_outputs(graph)


def _unchanged_input(view: View, op: Op) -> str | None:
    """The input whose value (and precision) the only output of `op` has, or None."""
    if len(op.outputs) != 1 or not op.inputs:
        return None
    source = op.inputs[0]
    if isinstance(op, Binary) and op.function in _NEUTRAL:
        neutral = _NEUTRAL[op.function]
        if view.scalar(op.inputs[1]) != neutral:
            if op.function not in _COMMUTATIVE or view.scalar(source) != neutral:
                return None
            source = op.inputs[1]
    elif isinstance(op, Transpose):
        if list(op.perm) != sorted(op.perm):
            return None
    elif isinstance(op, Slice):
        if any(step != 1 for step in op.steps):
            return None
    elif isinstance(op, Pad):
        if any(op.pads):
            return None
    elif not isinstance(op, (*_IDENTITY_IF_SAME_SHAPE, Cast)):
        return None
    before, after = view.graph.tensors[source], view.graph.tensors[op.outputs[0]]
    return source if (before.shape, before.precision) == (after.shape, after.precision) else None


def _join_movements(view: View, op: Op) -> Replacement | None:
    """A reshape of a reshape is one reshape, a transpose of a transpose one transpose."""
    if isinstance(op, Reshape):
        first = view.maker(op.inputs[0], Reshape)
        return None if first is None else Replacement(ops=(replace(op, inputs=first.inputs),))
    if isinstance(op, Transpose):
        inner = view.maker(op.inputs[0], Transpose)
        if inner is not None:
            perm = tuple(inner.perm[axis] for axis in op.perm)
            return Replacement(ops=(replace(op, inputs=inner.inputs, perm=perm),))
    return None


def _free_outputs(graph: Graph) -> Graph:
    """An identity that only gives an output its name goes too, if what it reads can take the name."""
    view = View(graph)
    made = {name for op in graph.ops for name in op.outputs}
    renames: dict[str, str] = {}
    for op in graph.ops:
        source = _unchanged_input(view, op) if op.outputs[0] in graph.outputs else None
        if source in made and source not in graph.outputs and source not in renames:
            renames[str(source)] = op.outputs[0]
    if not renames:
        return graph
    ops = []
    for op in graph.ops:
        if any(name in renames.values() for name in op.outputs):
            continue
        outputs = tuple(renames.get(name, name) for name in op.outputs)
        ops.append(replace(rename_inputs(op, renames), outputs=outputs))
    return rebuild(graph, ops)
