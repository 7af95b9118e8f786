"""What `systolic generate` found, as its pages and tables read it; rows of plain numbers for JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, isnan
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.generation.sweep import Generated

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GenerationStudy:
    """One model on one machine in one precision. `plain` is the same decoded one by one, where `found` is not;
    `ridge_batches` (a context each) and `ridge_prompts` (a batch each) are where the ridge is
    crossed, nan where it is not; `request_seconds` (contexts, batches) a whole request of `output_tokens`, where asked
    for."""

    found: Generated
    plain: Generated | None
    ridge_batches: FloatArray
    ridge_prompts: FloatArray
    output_tokens: int | None = None
    request_seconds: FloatArray | None = None

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.found.setting.model.name

    @property
    def machine(self) -> str:
        """Name of the machine."""
        return self.found.setting.machine.name

    @property
    def precision(self) -> str:
        """The precision as it was written."""
        return self.found.setting.precision.text

    @property
    def way(self) -> str:
        """How it decodes."""
        return self.found.way

    @property
    def gain(self) -> FloatArray:
        """How many times as fast as one by one, at every point; 1 where there is nothing to set it against."""
        if self.plain is None:
            return np.ones(self.found.shape)
        return self.plain.token_seconds / self.found.token_seconds

    @property
    def fits(self) -> npt.NDArray[np.bool_]:
        """Whether it fits in memory, at every point."""
        return self.found.table(self.found.memory.fits).astype(bool)


def differing(studies: Sequence[GenerationStudy]) -> list[str]:
    """A name for every study: what of model, machine and precision differs between them (the model where nothing
    does)."""
    parts = [(study.model, study.machine, study.precision) for study in studies]
    varying = [place for place in range(3) if len({part[place] for part in parts}) > 1] or [0]
    return [", ".join(part[place] for place in varying) for part in parts]


def point_rows(study: GenerationStudy) -> Iterator[dict[str, Any]]:
    """A row of plain numbers for every context and batch; bytes, seconds, and nothing rounded. What has no number (a
    capacity that is not stated, a ridge that is not crossed) is None."""
    found = study.found
    memory, step = found.memory, found.decoded.step
    columns: dict[str, FloatArray] = {
        "first_token_seconds": found.first_token_seconds,
        "token_seconds": found.token_seconds,
        "tokens_per_second": found.tokens_per_second,
        "times_one_by_one": study.gain,
        "weight_bytes": found.table(memory.weight_bytes),
        "cache_bytes": found.table(memory.cache_bytes),
        "activation_bytes": found.table(memory.activation_bytes),
        "extra_bytes": found.table(memory.extra_bytes),
        "memory_bytes": found.table(memory.total_bytes),
        "excess_bytes": found.table(memory.excess_bytes),
        "step_flops": found.table(step.flops),
        "step_dram_bytes": found.table(step.dram_bytes),
        "flops_per_byte": found.table(step.intensity),
    }
    if study.request_seconds is not None:
        columns["request_seconds"] = study.request_seconds
    bound, prefill_bound = (found.table(cost.compute_bound) for cost in (step, found.prefill))
    capacity = memory.capacity_bytes if memory.capacity_bytes != inf else None
    for row, context in enumerate(found.contexts.tolist()):
        for column, batch in enumerate(found.batches.tolist()):
            values = {name: float(table[row, column]) for name, table in columns.items()}
            yield {
                "model": study.model,
                "machine": study.machine,
                "precision": study.precision,
                "way": study.way,
                "context": int(context),
                "batch": int(batch),
                **{name: None if isnan(value) else value for name, value in values.items()},
                "capacity_bytes": capacity,
                "fits": bool(study.fits[row, column]),
                "decode_bound_by": "compute" if bound[row, column] else "memory",
                "prefill_bound_by": "compute" if prefill_bound[row, column] else "memory",
            }


def study_as_json(study: GenerationStudy) -> dict[str, Any]:
    """The study as one JSON value: its points, where the ridge lies, what to know."""
    found = study.found
    return {
        "model": study.model,
        "source": found.setting.model.source,
        "machine": study.machine,
        "precision": study.precision,
        "way": study.way,
        "ridge_flops_per_byte": found.ridge_flops_per_byte,
        "compute_bound_from_batch": _by(found.contexts, study.ridge_batches, "context"),
        "compute_bound_from_prompt": _by(found.batches, study.ridge_prompts, "batch"),
        "notes": list(found.notes),
        "points": list(point_rows(study)),
    }


def studies_as_csv(studies: Sequence[GenerationStudy]) -> str:
    """Every point of all studies, a line each, with a head."""
    rows = [row for study in studies for row in point_rows(study)]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _by(axis: FloatArray, values: FloatArray, name: str) -> list[dict[str, int | None]]:
    return [
        {name: int(where), "from": None if isnan(value) else int(value)}
        for where, value in zip(axis.tolist(), values.tolist(), strict=True)
    ]
