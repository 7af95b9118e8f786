"""Where the ridge is crossed: the batch from which decoding is bound by compute, the prompt from which a prefill is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np

from simulator.generation.cost import StepCost
from simulator.generation.decoding import Setting, Way, prefill_step
from simulator.generation.sweep import FloatArray
from simulator.rooflines.machine import Machine

MAX_PROMPT = 1 << 20
TRIES = 8
RIDGE_MAX_BATCH = 1 << 16


def ridge_batch(setting: Setting, contexts: FloatArray, way: Way) -> FloatArray:
    """The least batch at which the operations of a decoding pass take as long as its bytes, at every context (n,);
    nan where no batch up to RIDGE_MAX_BATCH does, as where attention, which no batch helps, is most of the bytes."""
    rows, outer = np.asarray(contexts, float)[:, None], replace(setting, machine=outermost(setting.machine))
    return least_bound(lambda batches: way.one_pass(outer, rows, batches), len(rows), RIDGE_MAX_BATCH)


def ridge_prompt(setting: Setting, batches: FloatArray) -> FloatArray:
    """The shortest prompt whose prefill is bound by compute, at every batch (n,); nan above MAX_PROMPT."""
    rows, outer = np.asarray(batches, float)[:, None], replace(setting, machine=outermost(setting.machine))
    return least_bound(lambda prompts: prefill_step(outer, prompts, rows), len(rows), MAX_PROMPT)


def outermost(machine: Machine) -> Machine:
    """The machine with the outermost boundary of its memory alone: the one whose bytes the ridge is about."""
    return msgspec.structs.replace(machine, levels=machine.levels[:2])


def least_bound(cost: Callable[[FloatArray], StepCost], points: int, most: int) -> FloatArray:
    """The least whole number from 1 to `most` at which `cost`, given (points, n) numbers, is bound by compute: more
    work shares the same weights, so once bound it stays so. TRIES numbers between the last that is not and the first
    that is, each as many times the one before, are looked at together, again and again."""
    low, high = np.zeros(points), np.full(points, float(most))
    never = np.zeros(points, bool)
    first = True
    while first or np.any(high - low > 1):
        tried = np.clip(np.ceil(np.geomspace(np.maximum(low, 0.5), high, TRIES, axis=1)), 1, high[:, None])
        bound = np.broadcast_to(cost(tried).compute_bound, tried.shape)
        if first:
            never, first = ~bound[:, -1], False
        high = np.where(bound, tried, high[:, None]).min(axis=1)
        low = np.where(~bound & (tried < high[:, None]), tried, low[:, None]).max(axis=1)
    return np.where(never, np.nan, high)
