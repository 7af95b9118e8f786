"""The same network over another number of samples: the first axis of everything that is computed."""

from __future__ import annotations

from dataclasses import replace

from model_ir.errors import InputError
from model_ir.graph import Graph, verify
from model_ir.op import Op
from model_ir.ops.movement import Reshape
from model_ir.tensor import Tensor


def with_batch_size(graph: Graph, samples: int) -> Graph:
    """`graph` with `samples` in the place of the first axis of its inputs, in every tensor computed from them.

    Raises InputError where the inputs do not share a first axis, where an operator mixes it with other axes (a reshape
    that folds it, a transpose that moves it), or where a parameter has its size.
    """
    where = graph.origin or graph.name
    sizes = {(*graph.tensors[name].shape, 0)[0] for name in graph.inputs}
    if len(sizes) != 1 or samples < 1:
        raise InputError(where, "inputs have no common batch axis", value=sorted(sizes))
    (before,) = sizes
    if before == samples:
        return graph
    tensors = dict(graph.tensors)
    for name in graph.inputs:
        tensors[name] = _resized(tensors[name], samples)
    computed, ops = set(graph.inputs), []
    for op in graph.ops:
        changed = _with_shape(op, tensors, samples, before) if computed & set(op.inputs) else op
        for result in changed.infer(tuple(tensors[name] if name else None for name in op.inputs)):
            expected = tensors[result.name]
            if computed & set(op.inputs):
                if expected.shape[:1] != (before,) or result.shape != (samples, *expected.shape[1:]):
                    raise InputError(where, f"{op.kind} {op.name!r} mixes the batch axis with others", value=before)
                computed.add(result.name)
                tensors[result.name] = _resized(expected, samples)
        ops.append(changed)
    return verify(replace(graph, ops=tuple(ops), tensors=tensors))


def _with_shape(op: Op, tensors: dict[str, Tensor], samples: int, before: int) -> Op:
    if isinstance(op, Reshape) and op.shape[:1] == (before,) and tensors[op.inputs[0]].shape[0] == samples:
        return replace(op, shape=(samples, *op.shape[1:]))
    return op


def _resized(tensor: Tensor, samples: int) -> Tensor:
    return replace(tensor, shape=(samples, *tensor.shape[1:]))
