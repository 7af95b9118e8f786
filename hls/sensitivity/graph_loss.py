"""The loss of a graph as a `Surface`: any imported or built graph, through its own execution on jax.numpy.

Weights are perturbed where they stand; an activation by a sum put right behind its producer, so that everything that
reads the tensor sees the perturbation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from hls.data import Data, batches_of, check_classes
from hls.layers import activations_of, weights_of
from hls.learning import cross_entropy
from hls.sensitivity.surface import Surface
from model_ir.errors import InputError
from model_ir.graph import Graph, execute, verify
from model_ir.op import Op
from model_ir.ops.elementwise import Binary, Unary
from model_ir.ops.normalisation import Softmax
from model_ir.ops.quantisation import BipolarQuant, Quant, QuantizeLinear, Trunc
from model_ir.passes.logits import without_unread

Loss = Callable[[Mapping[str, Any], Any], Any]
"""(graph outputs by name, labels) -> scalar, in jax.numpy."""

_STEPS = ("floor", "ceil", "round", "sign")


def graph_surface(
    graph: Graph,
    parameters: Mapping[str, npt.NDArray[Any]],
    data: Data,
    *,
    tensors: Iterable[str] | None = None,
    loss: Loss | None = None,
) -> Surface:
    """The mean loss of `graph` over `data` as a function of `tensors` (default: all weights and all activations that
    layers read).

    `parameters` has the values that the graph's constants lack. `loss` is the cross-entropy of the first output with
    the labels unless given: a final softmax is taken for what makes logits probabilities, any other output for logits.
    Raises InputError for unusable data, for a tensor that is not a float, and for a graph with rounding in it, whose
    derivatives are zero.
    """
    names = tuple(dict.fromkeys((*weights_of(graph), *activations_of(graph)) if tensors is None else tensors))
    _check_tensors(graph, names)
    batches = batches_of(graph, data)
    if loss is None:
        graph, loss = _with_cross_entropy(graph, data)
    weights = tuple(name for name in names if name in graph.parameters)
    activations = tuple(name for name in names if name not in graph.parameters)
    shifted = _perturbable(graph, activations)
    fixed = {
        name: jnp.asarray(parameters[name] if name in parameters else _constant(graph, name))
        for name in graph.parameters
    }

    def function(perturbations: Mapping[str, Any], batch: Any) -> Any:
        known, inputs, labels = batch
        feeds = known | {name: known[name] + perturbations[name] for name in weights if name in perturbations}
        for name in activations:
            zero = jnp.zeros(graph.tensors[name].shape, jnp.float32)
            feeds[_shift_of(name)] = perturbations.get(name, zero)
        results = execute(shifted, feeds | inputs, jnp)
        return loss(dict(zip(graph.outputs, (results[name] for name in shifted.outputs), strict=True)), labels)

    moved = [(fixed, {n: jnp.asarray(v) for n, v in one.inputs.items()}, jnp.asarray(one.labels)) for one in batches]
    inside = jax.jit(lambda known, inputs: execute(replace(graph, outputs=activations), known | inputs, jnp))

    def values(name: str, place: int) -> npt.NDArray[Any]:
        known, inputs, _ = moved[place]
        return np.asarray(known[name] if name in weights else inside(known, inputs)[name])

    return Surface(
        shapes={name: graph.tensors[name].shape for name in names},
        batches=moved,
        function=function,
        values=values,
        varying=frozenset(activations),
    )


def _with_cross_entropy(graph: Graph, data: Data) -> tuple[Graph, Loss]:
    """The graph that ends in logits, and the loss of them."""
    output = graph.outputs[0]
    producer = next((op for op in graph.ops if output in op.outputs), None)
    if isinstance(producer, Softmax) and producer.axis in (-1, len(graph.tensors[output].shape) - 1):
        output = producer.inputs[0]
    shape = graph.tensors[output].shape
    if len(shape) < 2 or data.labels.shape[1:] != shape[1:-1]:
        raise InputError("labels", "do not fit the output", value=data.labels.shape, limit=("rows", *shape[1:-1]))
    check_classes(data.labels, shape[-1])
    cut = without_unread(replace(graph, outputs=(output,)))
    return cut, lambda outputs, labels: cross_entropy(next(iter(outputs.values())), labels)


def _check_tensors(graph: Graph, names: tuple[str, ...]) -> None:
    for name in names:
        if name not in graph.tensors:
            raise InputError(graph.name, f"has no tensor {name!r}")
        if not graph.tensors[name].precision.is_float:
            raise InputError(f"tensor {name!r}", "is not of floats", value=graph.tensors[name].precision)
    for op in graph.ops:
        if isinstance(op, Quant | BipolarQuant | Trunc | QuantizeLinear) or _is_step(op):
            raise InputError(
                f"{op.kind} {op.name!r}", "rounds, and the derivative of rounding is zero: give the float network"
            )


def _is_step(op: Op) -> bool:
    return isinstance(op, Unary) and op.function in _STEPS


def _constant(graph: Graph, name: str) -> npt.NDArray[Any]:
    if name not in graph.constants:
        raise InputError(graph.origin or graph.name, f"no value given for {name!r}")
    return graph.constants[name]


def _perturbable(graph: Graph, activations: tuple[str, ...]) -> Graph:
    """`graph` with a parameter added to each of `activations`, read by everything that read the activation."""
    renamed = {name: f"{name}.perturbed" for name in activations}
    tensors = dict(graph.tensors)
    for name in activations:
        tensors |= {new: replace(tensors[name], name=new) for new in (renamed[name], _shift_of(name))}
    ops: list[Op] = [_sum(name, renamed[name]) for name in activations if name in graph.inputs]
    for op in graph.ops:
        ops.append(replace(op, inputs=tuple(renamed.get(name, name) for name in op.inputs)))
        ops.extend(_sum(name, renamed[name]) for name in op.outputs if name in renamed)
    return verify(
        replace(
            graph,
            ops=tuple(ops),
            tensors=tensors,
            outputs=tuple(renamed.get(name, name) for name in graph.outputs),
            parameters=graph.parameters | {_shift_of(name) for name in activations},
        )
    )


def _sum(name: str, result: str) -> Op:
    return Binary(name=result, inputs=(name, _shift_of(name)), outputs=(result,), function="add")


def _shift_of(name: str) -> str:
    return f"{name}.perturbation"
