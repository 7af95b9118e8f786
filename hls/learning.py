"""The loop in which values are learned: Adam on shuffled batches, the learning rate warming up and then falling.

Adam (Kingma and Ba, arXiv 1412.6980, Algorithm 1) with a linear warm-up and a cosine decay of the learning rate
(Loshchilov and Hutter, arXiv 1608.03983, equation 5, without restarts). What is learned, and what the loss is, the
caller says. A run that goes on from one of its own states makes, bit for bit, the values of one that never stopped:
the order of the samples follows from the seed and the epoch alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import cos, pi
from typing import Any

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError

Array = npt.NDArray[Any]
Values = Mapping[str, Array]
Loss = Callable[[Any, Any, Any], Any]
"""(values by name, inputs of a batch, labels of a batch) -> scalar, in jax.numpy."""

DECAY_MEAN, DECAY_SQUARE, TINY = 0.9, 0.999, 1e-8
"""Adam's beta 1, beta 2 and epsilon as its paper proposes them."""
WARM_UP = 0.1
"""Part of all steps in which the learning rate rises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A run after some epochs: the values, Adam's means of their gradients and of the squares, by name, and the mean
    loss of each epoch."""

    values: Values = field(repr=False)
    means: Values = field(repr=False)
    squares: Values = field(repr=False)
    losses: tuple[float, ...] = ()

    @property
    def epochs(self) -> int:
        """Epochs done."""
        return len(self.losses)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What a run does: `epochs` over the data in batches of `batch` samples, `rates` the peak learning rate of each
    value, `seed` the order of the samples. The rate of a value that `ends` names runs through its course in that part
    of all steps, and the value stays from then on."""

    epochs: int
    batch: int
    rates: Mapping[str, float]
    seed: int
    ends: Mapping[str, float] = field(default_factory=dict)

    def rate_of(self, name: str) -> tuple[float, float]:
        """A value's peak, and the part of all steps in which its rate runs through its course."""
        return self.rates[name], self.ends.get(name, 1.0)


def started(values: Values) -> State:
    """A run that has done nothing yet."""
    zeros = {name: np.zeros_like(value) for name, value in values.items()}
    return State(values=dict(values), means=zeros, squares=dict(zeros))


def learn(
    loss: Loss,
    state: State,
    inputs: Array,
    labels: Array,
    course: Course,
    *,
    each_epoch: Callable[[State], None] | None = None,
) -> State:
    """The run when all epochs of `course` are done, from `state` on.

    `inputs` (samples, ...) and `labels` (samples, ...), any order; a last incomplete batch of an epoch is left out.
    Raises InputError where the loss or a value stops being a finite number.
    """
    kinds = sorted({course.rate_of(name) for name in course.rates})
    step = _step(loss, {name: kinds.index(course.rate_of(name)) for name in course.rates})
    generator = np.random.default_rng(course.seed)
    batches = len(inputs) // course.batch
    orders = (generator.permutation(len(inputs)) for _ in range(course.epochs))
    values, means, squares, losses = state.values, state.means, state.squares, state.losses
    for epoch, order in enumerate(orders):
        if epoch < state.epochs:
            continue
        errors = []
        for place, chosen in enumerate(np.split(order[: batches * course.batch], batches)):
            done = epoch * batches + place
            part = done / (course.epochs * batches)
            rates = np.array([peak * rate_part(part / end) for peak, end in kinds], np.float32)
            values, means, squares, error = step(
                values, means, squares, inputs[chosen], labels[chosen], rates, float(done + 1)
            )
            errors.append(error)
        losses = (*losses, sum(float(error) for error in errors) / batches)
        state = State(values=_numpy(values), means=_numpy(means), squares=_numpy(squares), losses=losses)
        # A quantiser clips what overflows, so that the loss alone need not show it.
        if not (np.isfinite(losses[-1]) and all(np.isfinite(value).all() for value in state.values.values())):
            peak = max(rate for rate, _ in kinds)
            raise InputError("training", f"diverged in epoch {epoch + 1}; lower the learning rate", value=peak)
        if each_epoch is not None:
            each_epoch(state)
    return state


def rate_part(done: float) -> float:
    """The part of the peak learning rate when the part `done` of its course is; nothing after it."""
    if done < WARM_UP:
        return done / WARM_UP
    return 0.5 * (1 + cos(pi * (min(done, 1.0) - WARM_UP) / (1 - WARM_UP)))


def required_jax() -> Any:
    """The module jax. Raises InputError where it is missing."""
    try:
        import jax
    except ImportError as error:
        raise InputError("training", "needs jax, an extra of this distribution: pip install 'systolic[jax]'") from error
    return jax


def cross_entropy(logits: Any, labels: Any) -> Any:
    """Mean over all rows of -log softmax(logits)[label] in nats, on jax.numpy, classes on the last axis."""
    jax = required_jax()
    likelihood = jax.nn.log_softmax(logits, axis=-1)
    return -jax.numpy.mean(jax.numpy.take_along_axis(likelihood, labels[..., None], axis=-1))


def _step(loss: Loss, places: Mapping[str, int]) -> Any:
    """One step of Adam, compiled: (values, means, squares, inputs, labels, learning rates, steps so far with this
    one) -> values, means, squares, loss before the step. `places` says which of the rates is each value's."""
    jax = required_jax()
    jnp, tree = jax.numpy, jax.tree_util.tree_map

    @jax.jit  # type: ignore[untyped-decorator]
    def step(values: Any, means: Any, squares: Any, x: Any, y: Any, rates: Any, count: Any) -> Any:
        error, slopes = jax.value_and_grad(loss)(values, x, y)
        means = tree(lambda m, g: DECAY_MEAN * m + (1 - DECAY_MEAN) * g, means, slopes)
        squares = tree(lambda s, g: DECAY_SQUARE * s + (1 - DECAY_SQUARE) * g * g, squares, slopes)
        mean_unit, square_unit = 1 - DECAY_MEAN**count, 1 - DECAY_SQUARE**count
        values = tree(
            lambda v, m, s, place: v - rates[place] * (m / mean_unit) / (jnp.sqrt(s / square_unit) + TINY),
            values,
            means,
            squares,
            {name: places[name] for name in values},
        )
        return values, means, squares, error

    return step


def _numpy(values: Any) -> dict[str, Array]:
    return {name: np.asarray(value) for name, value in values.items()}
