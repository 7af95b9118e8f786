"""Trains any Graph as a classifier: its own reference definitions run on jax.numpy, and jax differentiates them.

The loop is `hls.learning`'s. Everything random comes from one seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from hls.batch_norm import learned_statistics, with_batch_statistics
from hls.data import batch_of, check_classification
from hls.learning import Course, cross_entropy, learn, required_jax, started
from model_ir.graph import Graph, execute
from model_ir.op import Op
from model_ir.ops.normalisation import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, RmsNorm

Array = npt.NDArray[Any]
Values = Mapping[str, Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Epochs over the data, and the peak of the learning rate. The batch is the graph's own."""

    epochs: int
    learning_rate: float = 3e-3
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """Learned values by parameter, and the mean cross-entropy (nats) of each epoch."""

    values: Values = field(repr=False)
    losses: tuple[float, ...]


def initial_values(graph: Graph, seed: int) -> dict[str, Array]:
    """Starting values of the parameters that have none: normal with variance 1 / fan-in for matrices, 1 for what scales
    a normalised tensor and for variances, 0 for other vectors (biases), normal 0.02 for tables that are added."""
    ones = {op.inputs[1] for op in graph.ops if isinstance(op, _NORMS) and len(op.inputs) > 1}
    ones |= {op.inputs[place] for op in graph.ops for place in op.positive_inputs}
    fan_in = {name: _fan_in(op, graph.tensors[name].shape) for op in graph.ops for name in _weights(op)}
    generator = np.random.default_rng(seed)
    values: dict[str, Array] = {}
    for name in sorted(graph.parameters - set(graph.constants)):
        shape = graph.tensors[name].shape
        drawn = generator.standard_normal(shape, dtype=np.float32)
        if name in ones:
            values[name] = np.ones(shape, np.float32)
        elif name in fan_in:
            values[name] = drawn * np.float32(fan_in[name] ** -0.5)
        else:
            values[name] = np.zeros(shape, np.float32) if len(shape) < 2 else drawn * np.float32(0.02)
    return values


_NORMS = (BatchNorm, LayerNorm, RmsNorm, InstanceNorm, GroupNorm)


def _weights(op: Op) -> tuple[str, ...]:
    return op.inputs[1:2] if op.kind in ("MatMul", "Conv") else ()


def _fan_in(op: Op, shape: tuple[int, ...]) -> int:
    """Inputs of one sum: all axes of a convolution's weight but the first, the first of a matrix."""
    return prod(shape[1:]) if op.kind == "Conv" else shape[0]


def train(
    graph: Graph,
    inputs: Array,
    labels: Array,
    recipe: Recipe,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Trained:
    """Learn the parameters of `graph` (one input, one output of logits (batch, classes)) that have no values yet.

    `inputs` (samples, ...) and `labels` (samples,); a last incomplete batch of an epoch is left out. Batch norms learn
    with the statistics of each batch and end with those of the data (`hls.batch_norm`). `progress` gets epochs done and
    in all. Raises InputError where jax is missing, the graph has another form, the data do not fit it
    (`hls.data.check_classification`), or training diverges.
    """
    check_classification(graph, inputs, labels)
    jnp = required_jax().numpy
    name, logits = graph.inputs[0], graph.outputs[0]
    learning = with_batch_statistics(graph)
    values = initial_values(learning, recipe.seed)
    state = learn(
        lambda values, x, y: cross_entropy(execute(learning, {**values, name: x}, jnp)[logits], y),
        started(values),
        inputs,
        labels.astype(np.int32),
        Course(
            epochs=recipe.epochs,
            batch=batch_of(graph),
            rates=dict.fromkeys(values, recipe.learning_rate),
            seed=recipe.seed,
        ),
        each_epoch=None if progress is None else lambda state: progress(state.epochs, recipe.epochs),
    )
    values = {**state.values, **learned_statistics(graph, state.values, inputs)}
    return Trained(values=values, losses=state.losses)


def with_values(graph: Graph, values: Values) -> Graph:
    """`graph` with these parameter values, those that it has."""
    return replace(graph, constants={**graph.constants, **{k: v for k, v in values.items() if k in graph.parameters}})
