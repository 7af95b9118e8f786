"""Where the ridge is crossed: the batch from which decoding is bound by compute, the prompt from which a prefill is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simulator.generation.cost import StepCost
from simulator.generation.decoding import Setting, Way, prefill_step
from simulator.generation.sweep import MAX_BATCH, FloatArray
from simulator.rooflines.formats import Number

MAX_PROMPT = 1 << 20


def ridge_batch(setting: Setting, contexts: FloatArray, way: Way) -> FloatArray:
    """The least batch at which the operations of a decoding pass take as long as its bytes, at every context (n,);
    nan where no batch up to MAX_BATCH does, as where attention, which no batch helps, is most of the bytes."""
    contexts = np.asarray(contexts, float)
    return _least(lambda batch: way.decoded(setting, contexts, batch).step, len(contexts), MAX_BATCH)


def ridge_prompt(setting: Setting, batches: FloatArray) -> FloatArray:
    """The shortest prompt whose prefill is bound by compute, at every batch (n,); nan above MAX_PROMPT."""
    batches = np.asarray(batches, float)
    return _least(lambda prompt: prefill_step(setting, prompt, batches), len(batches), MAX_PROMPT)


def _least(cost: Callable[[FloatArray], StepCost], points: int, most: int) -> FloatArray:
    """The least whole number from 1 to `most` at which `cost` is bound by compute, by bisection: more work shares the
    same weights, so once bound it stays so."""

    def bound(value: FloatArray) -> Number:
        return np.broadcast_to(cost(value).compute_bound, points)

    low, high = np.zeros(points), np.full(points, float(most))
    never = ~np.asarray(bound(high))
    while np.any(high - low > 1):
        middle = np.floor((low + high) / 2)
        there = np.asarray(bound(np.maximum(middle, 1)))
        high, low = np.where(there, middle, high), np.where(there, low, middle)
    return np.where(never, np.nan, high)
