"""Retraining of a quantised graph: its own Quant operators in the loop, straight-through gradients, learned clips.

A quantiser's clip is its scale times its highest integer; bits stay, so learning scales learns clips. What comes out is
a graph of the same operators with other constants: weights and biases on their grids, nothing of jax in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hls.data import batch_of, check_classification
from hls.learning import Course, State, Values, cross_entropy, learn, required_jax, started
from hls.retraining.alignment import aligned, without_alignments
from hls.retraining.checkpoint import Checkpoints, Saved, Score, array_digest, graph_digest
from hls.retraining.network import Network
from hls.retraining.pruning import check_masks
from hls.retraining.quantisers import learnable
from model_ir.errors import InputError
from model_ir.graph import Graph, execute
from model_ir.ops.normalisation import LogSoftmax, Softmax

Array = npt.NDArray[Any]
Predict = Callable[[Any, Any], Any]
SCALES_SETTLE = 0.5
"""Part of all steps after which scales stay: a power of two that changes late leaves the weights no time to follow
(TQT, Jain et al., arXiv 1903.08066, freezes thresholds for that)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainingRecipe:
    """Epochs over the data, and how fast what is learned moves: `learning_rate` is the peak for weights and biases,
    `scale_reach` how far a scale gets, in powers of two, if all steps go one way (0: scales stay). `keep`: the values
    after the last epoch, or those of the least cross-entropy on the validation data, the start among them. `seed`
    orders the samples. The batch is the graph's own.

    Raises InputError for numbers out of range.
    """

    epochs: int
    learning_rate: float = 2e-3
    scale_reach: float = 2.0
    seed: int = 0
    keep: Literal["last", "best"] = "last"

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise InputError("epochs", "at least one", value=self.epochs, limit=1)
        if not 0 < self.learning_rate < np.inf:
            raise InputError("learning rate", "must be a positive number", value=self.learning_rate)
        if not 0 <= self.scale_reach < np.inf:
            raise InputError("scale reach", "must be a number of powers of two from 0", value=self.scale_reach)
        if self.keep not in ("last", "best"):
            raise InputError("keep", "unknown", value=self.keep, limit="last, best")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrained:
    """The retrained `graph`; the mean training cross-entropy (nats) of each epoch, weights changing within it; the
    validation's (cross-entropy, accuracy) at the start and after each epoch, if there is one; and after which epoch
    the values were taken."""

    graph: Graph = field(repr=False)
    losses: tuple[float, ...]
    scores: tuple[Score, ...]
    epoch: int


def retrain(
    graph: Graph,
    inputs: Array,
    labels: Array,
    recipe: RetrainingRecipe,
    *,
    masks: Mapping[str, Array] | None = None,
    validation: tuple[Array, Array] | None = None,
    resume: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Retrained:
    """Learn weights, biases and scales of `graph`, whose Quant operators stay, from the values that it has.

    `graph` has one input and one output of logits (batch, classes). `inputs` (samples, ...) and `labels` (samples,);
    a last incomplete batch of an epoch is left out. `masks` by parameter (`hls.retraining.pruning`): what is False is
    zero from the start on. `validation`: inputs and labels that are measured after each epoch, and never learned.
    `resume`: a folder for checkpoints, one an epoch; what is found there of the same run is gone on from, with the
    same result, bit for bit, as if it had never stopped. `progress` gets epochs done and in all.

    Scales keep their number of binary digits (powers of two stay powers of two) and biases follow the scales of their
    layers, their bit widths growing where they must; Quants that align operands of additions are put in anew.

    Raises InputError where jax is missing; for data that do not fit (`hls.data.check_classification`); for a graph
    without quantisers, with others than Quant, without values, or ending in a softmax; for a checkpoint of another run;
    and where training diverges.
    """
    check_classification(graph, inputs, labels)
    _check_logits(graph)
    if validation is not None:
        check_classification(graph, *validation)
    elif recipe.keep == "best":
        raise InputError("keep", "the best is known with validation data only", value=recipe.keep)
    plain = without_alignments(graph)
    what = learnable(plain)
    network = Network(graph=plain, what=what, masks=check_masks(plain, what.parameters, masks or {}))
    predict = _predictor(network)
    diary = _opened(network, (inputs, labels), validation, recipe, resume, predict, progress)
    learn(
        lambda values, x, y: cross_entropy(predict(values, x), y),
        diary.saved.state,
        _float32(inputs),
        labels.astype(np.int32),
        _course(network, recipe, len(inputs)),
        each_epoch=diary.write,
    )
    result = diary.result(network)
    return result if plain is graph else replace(result, graph=aligned(result.graph))


def _course(network: Network, recipe: RetrainingRecipe, samples: int) -> Course:
    batch = batch_of(network.graph)
    # Adam's step is the rate or less, and the rate is half of its peak on average.
    rate = recipe.scale_reach / (0.5 * SCALES_SETTLE * recipe.epochs * (samples // batch))
    scales = network.what.scales if recipe.scale_reach > 0 else ()
    return Course(
        epochs=recipe.epochs,
        batch=batch,
        rates=dict.fromkeys(network.what.parameters, recipe.learning_rate) | dict.fromkeys(scales, rate),
        ends=dict.fromkeys(scales, SCALES_SETTLE),
        seed=recipe.seed,
    )


@dataclass(slots=True, kw_only=True)
class _Diary:
    """What is known of a run after every epoch, kept in a folder where there is one."""

    recipe: RetrainingRecipe
    saved: Saved
    checkpoints: Checkpoints | None
    score: Callable[[Values], tuple[Score, ...]]
    progress: Callable[[int, int], None] | None

    def write(self, state: State) -> None:
        """Measure the values of `state` and keep them."""
        scores = (*self.saved.scores, *self.score(state.values))
        best = state.values if _best(scores) == state.epochs else self.saved.best
        self.saved = Saved(state=state, scores=scores, best=best if self.recipe.keep == "best" else {})
        if self.checkpoints is not None:
            self.checkpoints.save(self.saved)
        if self.progress is not None:
            self.progress(state.epochs, self.recipe.epochs)

    def result(self, network: Network) -> Retrained:
        """The run's result, all epochs done."""
        state, scores, best = self.saved.state, self.saved.scores, self.recipe.keep == "best"
        return Retrained(
            graph=network.learned(self.saved.best if best else state.values),
            losses=state.losses,
            scores=scores,
            epoch=_best(scores) if best else state.epochs,
        )


def _opened(
    network: Network,
    data: tuple[Array, Array],
    validation: tuple[Array, Array] | None,
    recipe: RetrainingRecipe,
    folder: Path | None,
    predict: Predict,
    progress: Callable[[int, int], None] | None,
) -> _Diary:
    """The diary of a run: at its start, or where its checkpoint in `folder` stopped."""
    checkpoints = None
    if folder is not None:
        identity = {
            "recipe": asdict(recipe),
            "graph": graph_digest(network.graph),
            "data": array_digest("", _numbered(*data)),
            "validation": array_digest("", _numbered(*validation or ())),
            "masks": array_digest("", sorted(network.masks.items())),
        }
        checkpoints = Checkpoints(folder=folder, identity=identity)
    score = _scorer(network.graph, predict, validation)
    saved = None if checkpoints is None else checkpoints.last()
    if saved is None:
        start = network.start(scales=recipe.scale_reach > 0)
        saved = Saved(state=started(start), scores=score(start), best=start if recipe.keep == "best" else {})
    return _Diary(recipe=recipe, saved=saved, checkpoints=checkpoints, score=score, progress=progress)


def _predictor(network: Network) -> Predict:
    """(values, inputs of a batch) -> logits, on jax.numpy."""
    jnp = required_jax().numpy
    from hls.retraining.straight_through import straight_through

    traced = straight_through(network.graph)
    name, logits = traced.inputs[0], traced.outputs[0]
    return lambda values, x: execute(traced, {**network.feeds(values), name: x}, jnp)[logits]


def _scorer(
    graph: Graph, predict: Predict, validation: tuple[Array, Array] | None
) -> Callable[[Values], tuple[Score, ...]]:
    """What measures values on the validation data; nothing without."""
    inputs, labels = validation or (np.zeros(0, np.float32), np.zeros(0, np.int64))
    inputs, compiled = _float32(inputs), required_jax().jit(predict)
    batch, rows = batch_of(graph), len(labels)
    # The last batch is filled up with samples that are left out of the figures again.
    whole = np.arange(-(-rows // batch) * batch).reshape(-1, batch) % max(1, rows)

    def score(values: Values) -> tuple[Score, ...]:
        if rows == 0:
            return ()
        logits = np.concatenate([np.asarray(compiled(values, inputs[chosen])) for chosen in whole])[:rows]
        shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
        likelihood = shifted[np.arange(rows), labels] - np.log(np.exp(shifted).sum(axis=1))
        return ((-float(likelihood.mean()), float(np.mean(logits.argmax(axis=1) == labels))),)

    return score


def _best(scores: tuple[Score, ...]) -> int:
    """The epoch of the least cross-entropy, the first of equals; 0 is the start."""
    return min(range(len(scores)), key=lambda epoch: scores[epoch][0], default=0)


def _check_logits(graph: Graph) -> None:
    last = next((op for op in graph.ops if graph.outputs[0] in op.outputs), None)
    if isinstance(last, Softmax | LogSoftmax):
        raise InputError(f"{last.kind} {last.name!r}", "retraining takes logits: cut it off (model_ir.passes.logits)")


def _float32(inputs: Array) -> Array:
    return inputs.astype(np.float32) if np.issubdtype(inputs.dtype, np.floating) else inputs


def _numbered(*arrays: Array) -> list[tuple[str, Array]]:
    return [(str(place), array) for place, array in enumerate(arrays)]
