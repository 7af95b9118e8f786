"""Scores that say without a single flip which bits matter: from derivatives of the loss, or from the bit's place.

The change of the loss when a weight moves by delta is, to second order, g delta + h delta^2 / 2, g the gradient and h
the diagonal of the Hessian (FKeras ranks bits by a Hessian: Weng et al., FKeras: A Sensitivity Analysis Tool for Edge
Neural Networks, ACM J. Auton. Transport. Syst. 2024, doi 10.1145/3665334). Derivatives are taken of the network without
the rounding of its activations, at the stored weights: a rounding's own derivative is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from hls.data import check_classification
from hls.faults.sites import Sites, Stored, as_stored
from hls.learning import cross_entropy
from hls.quantise.insert import without_quants
from model_ir.graph import Graph, execute
from model_ir.passes.batch_size import with_batch_size

Array = npt.NDArray[Any]
MOST_CLASSES = 16
"""Above, the curvature's sum over classes is one class drawn for each sample."""
MOST_NUMBERS = 1 << 24
"""Derivatives of single samples held at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivatives:
    """Of the mean loss by every stored constant's elements, float64 in its shape: `gradient`, and `curvature`, the
    diagonal of the Gauss-Newton matrix; by tensor that layers read."""

    gradient: Mapping[str, Array] = field(repr=False)
    curvature: Mapping[str, Array] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """What scores see: by site the move `delta`, the number of steps it is of its grid, the width of the stored number,
    the derivatives at its element and the mean curvature of its tensor."""

    delta: Array
    bit: Array
    width: Array
    gradient: Array
    curvature: Array
    mean_curvature: Array


Score = Callable[[Moves], Array]

SCORES: Mapping[str, Score] = {
    "bit place": lambda moves: (moves.bit - moves.width).astype(np.float64),
    "size of the move": lambda moves: np.abs(moves.delta),
    "gradient": lambda moves: moves.gradient * moves.delta,
    "gradient, absolute": lambda moves: np.abs(moves.gradient * moves.delta),
    "Hessian trace": lambda moves: moves.mean_curvature * moves.delta**2 / 2,
    "Hessian": lambda moves: moves.curvature * moves.delta**2 / 2,
    "gradient + Hessian": lambda moves: moves.gradient * moves.delta + moves.curvature * moves.delta**2 / 2,
}
"""How bad each site's flip is expected to be, by the score's name: highest first. "bit place" is the baseline: from the
sign bit down, whatever the weight."""


def derivatives_of(
    graph: Graph, constants: Sequence[Stored], inputs: Array, labels: Array, *, seed: int = 0
) -> Derivatives:
    """Derivatives of the cross-entropy of `graph` by its stored constants, over all samples.

    The Gauss-Newton diagonal is the mean over samples and over the classes that the network expects of the squared
    derivative of -log p(class) (Martens, New Insights and Perspectives on the Natural Gradient Method, JMLR 21, 2020,
    section 9). Of a network of matrix products, convolutions and ReLUs it is the Hessian's own diagonal: by a single
    weight, logits are linear but for kinks. With more than `MOST_CLASSES` classes, one is drawn for each sample.
    Raises InputError for data that do not fit.
    """
    plain = without_quants(as_stored(graph, constants))
    names = tuple(stored.tensor for stored in constants)
    values = {name: jnp.asarray(plain.constants[name]) for name in names}
    one = with_batch_size(replace(plain, constants={k: v for k, v in plain.constants.items() if k not in values}), 1)
    check_classification(one, inputs, labels)
    classes = plain.tensors[plain.outputs[0]].shape[-1]
    per_row = sum(value.size for value in values.values()) * min(classes, MOST_CLASSES)
    rows = max(1, min(len(labels), 256, MOST_NUMBERS // per_row))
    summed = jax.jit(_summed(one, classes))
    gradient = {name: np.zeros(value.shape) for name, value in values.items()}
    curvature = {name: np.zeros(value.shape) for name, value in values.items()}
    for start in range(0, len(labels), rows):
        there = min(rows, len(labels) - start)
        chosen = start + np.arange(rows) % there
        counted = (np.arange(rows) < there).astype(np.float32)
        key = jax.random.fold_in(jax.random.key(seed), start)
        x, y = inputs[chosen].astype(np.float32), labels[chosen].astype(np.int32)
        slopes, squares = summed(values, x, y, counted, key)
        for name in names:
            gradient[name] += np.asarray(slopes[name], np.float64) / len(labels)
            curvature[name] += np.asarray(squares[name], np.float64) / len(labels)
    return Derivatives(gradient=gradient, curvature=curvature)


def moves_of(constants: Sequence[Stored], sites: Sites, derivatives: Derivatives) -> Moves:
    """What the scores see of `sites`."""
    gradient, curvature, mean = (np.zeros(len(sites)) for _ in range(3))
    width = np.zeros(len(sites), np.int64)
    for place, stored in enumerate(constants):
        mine = np.flatnonzero(sites.constant == place)
        element = sites.element[mine]
        width[mine] = stored.widths.ravel()[element]
        gradient[mine] = derivatives.gradient[stored.tensor].ravel()[element]
        curvature[mine] = derivatives.curvature[stored.tensor].ravel()[element]
        mean[mine] = derivatives.curvature[stored.tensor].mean()
    return Moves(
        delta=sites.delta,
        bit=sites.bit,
        width=width,
        gradient=gradient,
        curvature=curvature,
        mean_curvature=mean,
    )


def _summed(one: Graph, classes: int) -> Callable[..., tuple[Any, Any]]:
    """(values, x, labels, which samples count, key) -> sums over samples of gradients and of expected squared ones."""
    source, output = one.inputs[0], one.outputs[0]

    def logits_of(values: Mapping[str, Any], x: Any) -> Any:
        return execute(one, {**values, source: x[None]}, jnp)[output][0]

    def loss(values: Mapping[str, Any], x: Any, label: Any) -> Any:
        return cross_entropy(logits_of(values, x)[None], label[None])

    slope = jax.grad(loss)

    def of_sample(values: Mapping[str, Any], x: Any, label: Any, counts: Any, key: Any) -> tuple[Any, Any]:
        scores = jax.nn.log_softmax(logits_of(values, x))
        if classes <= MOST_CLASSES:
            every = jax.vmap(lambda kind: slope(values, x, kind))(jnp.arange(classes))
            squares = {name: jnp.tensordot(jnp.exp(scores), each**2, 1) for name, each in every.items()}
        else:
            squares = {name: each**2 for name, each in slope(values, x, jax.random.categorical(key, scores)).items()}
        slopes = slope(values, x, label)
        return {name: counts * slopes[name] for name in values}, {name: counts * squares[name] for name in values}

    def summed(values: Mapping[str, Any], x: Any, labels: Any, counts: Any, key: Any) -> tuple[Any, Any]:
        keys = jax.random.split(key, x.shape[0])
        slopes, squares = jax.vmap(of_sample, in_axes=(None, 0, 0, 0, 0))(dict(values), x, labels, counts, keys)
        total = partial(jax.tree_util.tree_map, lambda each: jnp.sum(each, axis=0))
        return total(slopes), total(squares)

    return summed
