"""Many points at once: models x machines x precisions, and for each of these all contexts and batches as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError
from model_ir.language_model import LanguageModel
from simulator.generation.cost import Footprint, StepCost, footprint, ridge
from simulator.generation.decoding import Decoded, OneByOne, Setting, Way, first_token_seconds, prefill_step
from simulator.generation.precision import Precision
from simulator.generation.step import Cache, check_cache
from simulator.rooflines.formats import Number
from simulator.rooflines.machine import Machine

if TYPE_CHECKING:
    from simulator.generation.one_pass import SpeechSetting

FloatArray = npt.NDArray[np.float64]
MAX_POINTS = 10_000_000
MAX_TOKENS = 1 << 30
MAX_BATCH = 1 << 24


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Generated:
    """One model on one machine in one precision by one way of decoding, at every context (axis 0) and batch (axis 1).

    `first_token_seconds` is the prefill of a prompt of `contexts` tokens, `token_seconds` the time between two output
    tokens of a sequence that holds `contexts` tokens, `ridge_flops_per_byte` where the machine's roof bends.
    """

    setting: Setting | SpeechSetting
    way: str
    contexts: FloatArray
    batches: FloatArray
    prefill: StepCost
    decoded: Decoded
    memory: Footprint
    ridge_flops_per_byte: float
    notes: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Contexts and batches."""
        return len(self.contexts), len(self.batches)

    def table(self, values: Number) -> FloatArray:
        """`values` at every point: (contexts, batches)."""
        return np.broadcast_to(np.asarray(values, float), self.shape)

    @property
    def first_token_seconds(self) -> FloatArray:
        """Time to the first token, seconds."""
        return self.table(first_token_seconds(self.prefill, self.decoded))

    @property
    def token_seconds(self) -> FloatArray:
        """Time of an output token, seconds."""
        return self.table(self.decoded.seconds)

    @property
    def tokens_per_second(self) -> FloatArray:
        """Output tokens of all sequences a second."""
        return self.batches[None, :] / self.token_seconds


def generate(setting: Setting, contexts: Sequence[int], batches: Sequence[int], *, way: Way | None = None) -> Generated:
    """Prefill, decode and memory at every context and batch.

    Raises InputError for a context or batch out of range, for a model that writes nothing, for what the cache or the
    way cannot do with it and for a precision that the machine does not compute in. A point that does not fit in memory
    is a result: `memory.excess_bytes` says by how much.
    """
    check_axis("context", contexts, MAX_TOKENS, "tokens")
    check_axis("batch", batches, MAX_BATCH, "sequences")
    if not setting.model.logits:
        raise InputError(setting.model.name, "is an encoder: it has no output projection and generates nothing")
    way = way or OneByOne()
    rows, columns = np.asarray(contexts, float)[:, None], np.asarray(batches, float)[None, :]
    prefill, decoded = prefill_step(setting, rows, columns), way.decoded(setting, rows, columns)
    memory = footprint(setting.model, setting.machine, setting.precision, setting.cache, context=rows, batch=columns)
    memory = replace(memory, extra_bytes=decoded.extra_bytes)
    return Generated(
        setting=setting,
        way=way.name,
        contexts=rows[:, 0],
        batches=columns[0],
        prefill=prefill,
        decoded=decoded,
        memory=memory,
        ridge_flops_per_byte=ridge(setting.machine, setting.precision),
        notes=(*setting.model.notes, *check_cache(setting.model, setting.cache), *_beyond(setting.model, contexts)),
    )


def sweep(
    models: Sequence[LanguageModel],
    machines: Sequence[Machine],
    precisions: Sequence[Precision],
    contexts: Sequence[int],
    batches: Sequence[int],
    *,
    cache: Cache | None = None,
    fused_attention: bool = True,
    way: Way | None = None,
) -> tuple[Generated, ...]:
    """`generate` for every model on every machine in every precision. Raises InputError as it does, and for more than
    MAX_POINTS points in all."""
    points = len(models) * len(machines) * len(precisions) * len(contexts) * len(batches)
    if points > MAX_POINTS:
        raise InputError("sweep", "too many points", value=points, limit=MAX_POINTS)
    return tuple(
        generate(
            Setting(
                model=model,
                machine=machine,
                precision=precision,
                cache=cache or Cache(),
                fused_attention=fused_attention,
            ),
            contexts,
            batches,
            way=way,
        )
        for model in models
        for machine in machines
        for precision in precisions
    )


def check_axis(name: str, values: Sequence[int], most: int, unit: str, *, least: int = 1) -> None:
    """Raise InputError for an axis without values and for a value that is not from `least` to `most`."""
    if not values:
        raise InputError(name, "no value given")
    for value in values:
        if not least <= value <= most:
            raise InputError(name, "out of range", value=value, limit=f"{least} to {most} {unit}")


def _beyond(model: LanguageModel, contexts: Sequence[int]) -> tuple[str, ...]:
    if max(contexts) <= model.positions:
        return ()
    return (f"{model.name}: contexts above {model.positions} tokens are longer than the checkpoint was made for",)
