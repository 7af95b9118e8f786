"""Speech encoders with a CTC head at every length and batch: all tokens come out of one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from model_ir.errors import InputError
from model_ir.speech_model import SpeechModel, speech_parameters
from simulator.generation.cost import Footprint, StepCost, cost_of, ridge
from simulator.generation.crossing import RIDGE_MAX_BATCH, least_bound, outermost
from simulator.generation.decoding import Decoded
from simulator.generation.precision import Precision, computed_in
from simulator.generation.speech import speech_operators, steps_of
from simulator.generation.sweep import MAX_BATCH, FloatArray, Generated, check_axis
from simulator.rooflines.formats import Number
from simulator.rooflines.machine import Machine

ONE_PASS = "one pass"
MIN_FRAMES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechSetting:
    """What listens on what: everything but the point (frames, batch)."""

    model: SpeechModel
    machine: Machine
    precision: Precision
    fused_attention: bool = True


def transcribe(setting: SpeechSetting, frames: Sequence[int], batches: Sequence[int]) -> Generated:
    """Time, tokens a second (a token is a step of 40 ms) and memory for utterances of `frames` frames of 10 ms.

    Raises InputError for frames or a batch out of range and for a precision that the machine does not compute in.
    """
    model = setting.model
    check_axis("context", frames, model.frames, f"frames ({model.name})", least=MIN_FRAMES)
    check_axis("batch", batches, MAX_BATCH, "utterances")
    rows, columns = np.asarray(frames, float)[:, None], np.asarray(batches, float)[None, :]
    cost = pass_cost(setting, rows, columns)
    return Generated(
        setting=setting,
        way=ONE_PASS,
        contexts=rows[:, 0],
        batches=columns[0],
        prefill=cost,
        decoded=Decoded(seconds=cost.seconds / steps_of(rows), step=cost),
        memory=_footprint(setting, rows, columns),
        ridge_flops_per_byte=ridge(setting.machine, setting.precision),
        notes=(
            *model.notes,
            f"{model.name}: context counts frames of 10 ms, a token is a step of 40 ms: 25 tokens/s are real time",
        ),
    )


def pass_cost(setting: SpeechSetting, frames: Number, batch: Number) -> StepCost:
    """One pass on the machine."""
    operators = speech_operators(
        setting.model,
        frames,
        batch,
        setting.precision,
        fused_attention=setting.fused_attention,
        counting=setting.machine.counting,
    )
    return cost_of(operators, setting.machine, computed_in(setting.precision, setting.machine))


def pass_ridges(setting: SpeechSetting, frames: FloatArray, batches: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The least batch at every length, and the least length at every batch, at which a pass is bound by compute; nan
    where none is."""
    setting = replace(setting, machine=outermost(setting.machine))
    by_length = least_bound(lambda tried: pass_cost(setting, frames[:, None], tried), len(frames), RIDGE_MAX_BATCH)
    by_batch = least_bound(
        lambda tried: pass_cost(setting, np.maximum(tried, MIN_FRAMES), batches[:, None]),
        len(batches),
        setting.model.frames,
    )
    return by_length, np.where(np.isnan(by_batch), np.nan, np.maximum(by_batch, MIN_FRAMES))


def _footprint(setting: SpeechSetting, frames: Number, batch: Number) -> Footprint:
    """All weights, and the most that is alive between two operators: in the stem the image at half the rate beside that
    at a quarter, in a block the residual stream beside the widest result."""
    model, precision = setting.model, setting.precision
    stem = batch * (np.asarray(frames) // 2 * 2 + steps_of(frames)) * model.bands * model.features
    block = batch * steps_of(frames) * (2 + 4) * model.features
    head = model.features * model.vocabulary
    matrices = speech_parameters(model) - head
    return Footprint(
        weight_bytes=(matrices * precision.mean_weight_bits + head * precision.table_bits) / 8,
        cache_bytes=np.zeros(np.broadcast_shapes(np.shape(frames), np.shape(batch))),
        activation_bytes=np.maximum(stem, block) * precision.activation_bits / 8,
        capacity_bytes=setting.machine.levels[0].capacity_bytes,
    )


def check_one_pass(model: SpeechModel, options: Sequence[str]) -> None:
    """Raise InputError for an option that only means something where tokens are written one after another."""
    if options:
        raise InputError(f"{model.name}: {options[0]}", "this model writes all its tokens in one pass")
