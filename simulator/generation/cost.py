"""What a machine makes of a step: every operator by the roofline, one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from model_ir.language_model import LanguageModel, parameters
from simulator.generation.operators import step_operators
from simulator.generation.parts import KINDS, Kind, StepOperator
from simulator.generation.precision import Precision, computed_in
from simulator.generation.step import Cache, Step, cache_bytes
from simulator.rooflines.attainable import attained
from simulator.rooflines.formats import Number
from simulator.rooflines.machine import Machine, ridge_point
from simulator.rooflines.work import ratio


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepCost:
    """A step's time and what it moves, numbers or arrays over all points. `compute_seconds` and `memory_seconds` are
    those of its operators' operations alone and of their bytes from the outermost memory alone: which of them is larger
    says on which side of the ridge the step lies. `seconds_by_kind` has every kind that the model has."""

    seconds: Number
    compute_seconds: Number
    memory_seconds: Number
    flops: Number
    dram_bytes: Number
    weight_bytes: Number
    cache_read_bytes: Number
    cache_write_bytes: Number
    seconds_by_kind: dict[Kind, Number]

    @property
    def intensity(self) -> Number:
        """FLOPs per byte from the outermost memory."""
        return ratio(self.flops, self.dram_bytes)

    @property
    def compute_bound(self) -> Number:
        """Whether operations take longer than bytes (bool, or an array of them)."""
        bound: Number = np.asarray(self.compute_seconds >= self.memory_seconds)
        return bound


def step_cost(
    model: LanguageModel,
    machine: Machine,
    step: Step,
    cache: Cache,
    precision: Precision,
    *,
    encodes: bool = False,
) -> StepCost:
    """`step` on `machine`, operators one after another, each as long as its slowest part (`rooflines.attainable`).

    Raises InputError where the machine has no number format wide enough.
    """
    operators = step_operators(model, step, cache, precision, encodes=encodes, counting=machine.counting)
    return cost_of(operators, machine, computed_in(precision, machine))


def cost_of(operators: Sequence[StepOperator], machine: Machine, number_format: str) -> StepCost:
    """The sums over `operators`."""
    totals: dict[str, Number] = dict.fromkeys(
        ("seconds", "compute", "memory", "flops", "bytes", "weights", "read", "written"), 0.0
    )
    by_kind: dict[Kind, Number] = {}
    for operator in operators:
        found, count = attained(operator.work, machine, number_format), operator.count
        by_kind[operator.kind] = by_kind.get(operator.kind, 0.0) + count * found.seconds
        for name, value in (
            ("seconds", found.seconds),
            ("compute", found.compute_seconds),
            ("memory", found.boundary_seconds[0]),
            ("flops", found.flops),
            ("bytes", found.traffic[0].bytes),
            ("weights", operator.weight_bytes),
            ("read", operator.cache_read_bytes),
            ("written", operator.cache_write_bytes),
        ):
            totals[name] = totals[name] + count * value
    return StepCost(
        seconds=totals["seconds"],
        compute_seconds=totals["compute"],
        memory_seconds=totals["memory"],
        flops=totals["flops"],
        dram_bytes=totals["bytes"],
        weight_bytes=totals["weights"],
        cache_read_bytes=totals["read"],
        cache_write_bytes=totals["written"],
        seconds_by_kind={kind: by_kind[kind] for kind in KINDS if kind in by_kind},
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Footprint:
    """Bytes that have to be in the outermost memory at once; `extra_bytes` are what the way of decoding needs besides
    (a draft's model and cache; negative: it needs less); `capacity_bytes` is what the memory holds (inf: not
    stated)."""

    weight_bytes: float
    cache_bytes: Number
    activation_bytes: Number
    capacity_bytes: float
    extra_bytes: Number = 0.0

    @property
    def total_bytes(self) -> Number:
        """All of it."""
        return self.weight_bytes + self.cache_bytes + self.activation_bytes + self.extra_bytes

    @property
    def excess_bytes(self) -> Number:
        """By how much it does not fit; 0 where it does."""
        if self.capacity_bytes == inf:
            return np.zeros(np.shape(self.total_bytes))
        excess: Number = np.maximum(self.total_bytes - self.capacity_bytes, 0.0)
        return excess

    @property
    def fits(self) -> Number:
        """Whether it does (bool, or an array of them)."""
        fitting: Number = np.asarray(self.excess_bytes == 0)
        return fitting


def footprint(
    model: LanguageModel, machine: Machine, precision: Precision, cache: Cache, *, context: Number, batch: Number
) -> Footprint:
    """Memory for `batch` sequences of `context` tokens: all weights, the cache, and the activations of whichever needs
    more, a prefill of one whole prompt (sequences after one another) or a decoding pass of the batch."""
    prefill = activation_bytes(model, precision, rows=context, logits_rows=1)
    decode = activation_bytes(model, precision, rows=batch, logits_rows=batch)
    return Footprint(
        weight_bytes=stored_weight_bytes(model, precision),
        cache_bytes=cache_bytes(model, cache, precision, tokens=context, batch=batch),
        activation_bytes=np.maximum(prefill, decode),
        capacity_bytes=machine.levels[0].capacity_bytes,
    )


def activation_bytes(model: LanguageModel, precision: Precision, *, rows: Number, logits_rows: Number) -> Number:
    """The most that is alive at once between two operators: the residual stream beside input and result of the widest
    product, or the logits. Scores stay on chip."""
    wide = (2 if model.gated else 1) * model.hidden * model.experts_per_token
    widest = 2 * model.features + max(wide, model.query_features + 2 * model.key_features)
    logits = logits_rows * model.vocabulary if model.logits else 0
    alive: Number = np.maximum(rows * widest, logits) * precision.activation_bits / 8
    return alive


def stored_weight_bytes(model: LanguageModel, precision: Precision) -> float:
    """Bytes of all parameters: matrices at their precision with scales and outliers, embedding, output projection and
    small vectors at that of the activations."""
    counted = parameters(model)
    matrices = counted.attention + counted.feed_forward + counted.encoder
    rest = counted.total - matrices
    return (matrices * precision.mean_weight_bits + rest * precision.table_bits) / 8


def ridge(machine: Machine, precision: Precision) -> float:
    """FLOPs per byte of the outermost memory at which compute and memory take equally long."""
    return ridge_point(machine, computed_in(precision, machine), machine.boundaries[0])
