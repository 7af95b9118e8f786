"""Trains any Graph as a classifier: its own reference definitions run on jax.numpy, and jax differentiates them.

Adam (Kingma and Ba, arXiv 1412.6980, Algorithm 1) with a linear warm-up and a cosine decay of the learning rate
(Loshchilov and Hutter, arXiv 1608.03983, equation 5, without restarts). Everything random comes from one seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import cos, pi
from typing import Any

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError
from model_ir.graph import Graph, execute
from model_ir.op import Op
from model_ir.ops.normalisation import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, RmsNorm

Array = npt.NDArray[Any]
Values = Mapping[str, Array]
DECAY_MEAN, DECAY_SQUARE, TINY = 0.9, 0.999, 1e-8
"""Adam's beta 1, beta 2 and epsilon as its paper proposes them."""
WARM_UP = 0.1
"""Part of all steps in which the learning rate rises."""


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
    a normalised tensor, 0 for other vectors (biases), normal 0.02 for tables that are added."""
    ones = {op.inputs[1] for op in graph.ops if isinstance(op, _NORMS) and len(op.inputs) > 1}
    matrices = {name for op in graph.ops for name in _weights(op)}
    generator = np.random.default_rng(seed)
    values: dict[str, Array] = {}
    for name in sorted(graph.parameters - set(graph.constants)):
        shape = graph.tensors[name].shape
        drawn = generator.standard_normal(shape, dtype=np.float32)
        if name in ones:
            values[name] = np.ones(shape, np.float32)
        elif name in matrices:
            values[name] = drawn * np.float32(shape[0] ** -0.5)
        else:
            values[name] = np.zeros(shape, np.float32) if len(shape) < 2 else drawn * np.float32(0.02)
    return values


_NORMS = (BatchNorm, LayerNorm, RmsNorm, InstanceNorm, GroupNorm)


def _weights(op: Op) -> tuple[str, ...]:
    return op.inputs[1:2] if op.kind in ("MatMul", "Conv") else ()


def train(
    graph: Graph,
    inputs: Array,
    labels: Array,
    recipe: Recipe,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Trained:
    """Learn the parameters of `graph` (one input, one output of logits (batch, classes)) that have no values yet.

    `inputs` (samples, ...) and `labels` (samples,); a last incomplete batch of an epoch is left out. `progress` gets
    epochs done and in all. Raises InputError where jax is missing, the graph has another form, the data are fewer than
    a batch, or training diverges.
    """
    jax = _jax()
    batch = _batch(graph, len(inputs))
    name, logits = graph.inputs[0], graph.outputs[0]
    jnp = jax.numpy

    def loss(values: Any, x: Any, y: Any) -> Any:
        predicted = jax.nn.log_softmax(execute(graph, {**values, name: x}, jnp)[logits])
        return -jnp.mean(jnp.take_along_axis(predicted, y[:, None], axis=1))

    @jax.jit  # type: ignore[untyped-decorator]
    def step(values: Any, means: Any, squares: Any, x: Any, y: Any, rate: Any, count: Any) -> Any:
        error, slopes = jax.value_and_grad(loss)(values, x, y)
        tree = jax.tree_util.tree_map
        means = tree(lambda m, g: DECAY_MEAN * m + (1 - DECAY_MEAN) * g, means, slopes)
        squares = tree(lambda s, g: DECAY_SQUARE * s + (1 - DECAY_SQUARE) * g * g, squares, slopes)
        mean_unit, square_unit = 1 - DECAY_MEAN**count, 1 - DECAY_SQUARE**count
        values = tree(
            lambda v, m, s: v - rate * (m / mean_unit) / (jnp.sqrt(s / square_unit) + TINY), values, means, squares
        )
        return values, means, squares, error

    values: Any = initial_values(graph, recipe.seed)
    means = {key: np.zeros_like(value) for key, value in values.items()}
    squares = dict(means)
    generator, losses, count = np.random.default_rng(recipe.seed), [], 0
    steps = recipe.epochs * (len(inputs) // batch)
    for epoch in range(recipe.epochs):
        order, total = generator.permutation(len(inputs)), 0.0
        for start in range(0, len(inputs) - batch + 1, batch):
            chosen = order[start : start + batch]
            rate = recipe.learning_rate * _schedule(count / steps)
            count += 1
            values, means, squares, error = step(
                values, means, squares, inputs[chosen], labels[chosen].astype(np.int32), rate, float(count)
            )
            total += float(error)
        losses.append(total / (len(inputs) // batch))
        if not np.isfinite(losses[-1]):
            raise InputError("training", "diverged; lower the learning rate", value=recipe.learning_rate)
        if progress is not None:
            progress(epoch + 1, recipe.epochs)
    return Trained(values={key: np.asarray(value) for key, value in values.items()}, losses=tuple(losses))


def with_values(graph: Graph, values: Values) -> Graph:
    """`graph` with these parameter values, those that it has."""
    return replace(graph, constants={**graph.constants, **{k: v for k, v in values.items() if k in graph.parameters}})


def _schedule(done: float) -> float:
    """The part of the peak learning rate when `done` of all steps are."""
    return done / WARM_UP if done < WARM_UP else 0.5 * (1 + cos(pi * (done - WARM_UP) / (1 - WARM_UP)))


def _batch(graph: Graph, samples: int) -> int:
    where = graph.origin or graph.name
    if len(graph.inputs) != 1 or len(graph.outputs) != 1 or len(graph.tensors[graph.outputs[0]].shape) != 2:
        raise InputError(where, "training takes one input and one output of logits (batch, classes)")
    batch = graph.tensors[graph.inputs[0]].shape[0]
    if samples < batch:
        raise InputError(where, "fewer samples than one batch", value=samples, limit=batch)
    return batch


def _jax() -> Any:
    try:
        import jax
    except ImportError as error:
        raise InputError("training", "needs jax, an extra of this distribution: pip install 'systolic[jax]'") from error
    return jax
