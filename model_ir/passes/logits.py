"""A classifier that ends in logits: the softmax that makes probabilities of them changes no answer."""

from __future__ import annotations

from dataclasses import replace

from model_ir.errors import InputError
from model_ir.graph import Graph, verify
from model_ir.ops.normalisation import LogSoftmax, Softmax

LOGITS_RANK = 2


def to_logits(graph: Graph) -> Graph:
    """`graph` without a final (log-)softmax and without what no output needs.

    Raises InputError unless there is one input and one output of (batch, classes).
    """
    where = graph.origin or graph.name
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise InputError(where, "a classifier has one input and one output", value=(graph.inputs, graph.outputs))
    output = graph.outputs[0]
    producer = next((op for op in graph.ops if output in op.outputs), None)
    if isinstance(producer, Softmax | LogSoftmax) and producer.axis in (-1, len(graph.tensors[output].shape) - 1):
        output = producer.inputs[0]
    shape = graph.tensors[output].shape
    if len(shape) != LOGITS_RANK:
        raise InputError(where, "the output is not (batch, classes)", value=shape)
    return without_unread(replace(graph, outputs=(output,)))


def without_unread(graph: Graph) -> Graph:
    """`graph` without the operators, parameters and tensors that no output needs."""
    needed, kept = set(graph.outputs), []
    for op in reversed(graph.ops):
        if needed & set(op.outputs):
            kept.append(op)
            needed |= set(op.inputs)
    named = {*needed, *graph.inputs, *(name for op in kept for name in op.outputs)} - {""}
    return verify(
        replace(
            graph,
            ops=tuple(reversed(kept)),
            parameters=graph.parameters & needed,
            tensors={name: graph.tensors[name] for name in graph.tensors if name in named},
            constants={name: value for name, value in graph.constants.items() if name in needed},
        )
    )
