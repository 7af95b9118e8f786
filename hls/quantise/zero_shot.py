"""Calibration data where there are none: inputs whose statistics are those that batch norms remember.

ZeroQ (Cai et al., arXiv 2001.00281, section 3.1 and Algorithm 1): from noise, minimise over the input
    sum over batch norms of |mean - learned mean|^2 + |deviation - learned deviation|^2,
mean and deviation of what enters the batch norm, channel by channel, over the distilled samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hls.learning import Course, learn, required_jax, started
from model_ir.errors import InputError
from model_ir.graph import Graph, execute
from model_ir.ops.normalisation import BatchNorm
from model_ir.passes.batch_size import with_batch_size
from model_ir.passes.logits import without_unread

Array = npt.NDArray[Any]
STEPS = 500
LEARNING_RATE = 0.1
"""Peak of Adam's; ZeroQ's code takes 0.5 and halves it on plateaus."""
TINY = 1e-6
"""Under the root of a variance, whose slope at 0 is infinite."""


def distilled(
    graph: Graph,
    samples: int,
    seed: int = 0,
    *,
    limits: tuple[float, float] | None = None,
    steps: int = STEPS,
    progress: Callable[[int, int], None] | None = None,
) -> npt.NDArray[np.float32]:
    """`samples` inputs, float32 (samples, ...), for a `graph` of one input that still has its batch norms.

    `limits`: what inputs can be at least and at most, where that is known (pixels). `progress` gets steps done and in
    all. Raises InputError where jax is missing, or the graph has no batch norm with known statistics, weights without
    values, several inputs, or samples that it does not keep apart.
    """
    loss = statistics_distance(graph, samples)
    jnp = required_jax().numpy
    start = np.random.default_rng(seed).standard_normal(
        (samples, *graph.tensors[graph.inputs[0]].shape[1:]), dtype=np.float32
    )
    state = learn(
        lambda values, x, y: loss(_within(values["input"], limits, jnp)),  # noqa: ARG005
        started({"input": start}),
        np.zeros((1, 1), np.float32),
        np.zeros((1, 1), np.float32),
        Course(epochs=steps, batch=1, rates={"input": LEARNING_RATE}, seed=seed),
        each_epoch=None if progress is None else lambda state: progress(state.epochs, steps),
    )
    return np.asarray(_within(state.values["input"], limits, np), np.float32)


def statistics_distance(graph: Graph, samples: int) -> Callable[[Any], Any]:
    """The function of (samples, ...) inputs on jax.numpy that `distilled` minimises. Raises InputError as it does."""
    jnp = required_jax().numpy
    where = graph.origin or graph.name
    norms = [op for op in graph.ops if isinstance(op, BatchNorm)]
    if len(graph.inputs) != 1:
        raise InputError(where, "distillation takes a network of one input", value=graph.inputs)
    if not norms or any(name not in graph.constants for op in norms for name in op.inputs[3:]):
        raise InputError(where, "has no batch norm with known statistics: nothing to distil calibration data from")
    missing = sorted(graph.parameters - set(graph.constants))
    if missing:
        raise InputError(where, f"no value given for {missing[0]!r}", value=f"{len(missing)} such")
    wanted = tuple(dict.fromkeys(op.inputs[0] for op in norms))
    cut = without_unread(with_batch_size(replace(graph, outputs=wanted), samples))

    def distance(x: Any) -> Any:
        found = execute(cut, {cut.inputs[0]: x}, jnp)
        total = 0.0
        for op in norms:
            value = found[op.inputs[0]]
            others = tuple(axis for axis in range(value.ndim) if axis != 1)
            mean, variance = (jnp.asarray(graph.constants[name]) for name in op.inputs[3:])
            deviation = jnp.sqrt(jnp.var(value, axis=others) + TINY)
            total += jnp.sum((jnp.mean(value, axis=others) - mean) ** 2)
            total += jnp.sum((deviation - jnp.sqrt(variance + TINY)) ** 2)
        return total

    return distance


def _within(values: Any, limits: tuple[float, float] | None, xp: Any) -> Any:
    """Any numbers as numbers between the limits."""
    if limits is None:
        return values
    low, high = limits
    return low + (high - low) * (xp.tanh(values) + 1) / 2
