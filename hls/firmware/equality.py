"""The gate: firmware is what the network computes, on every input, or it is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hls.firmware.project import Project, emulate
from model_ir.errors import InputError
from model_ir.graph import Graph, execute
from model_ir.passes.batch_size import with_batch_size

_MOST_SAMPLES_AT_ONCE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """How many inputs were compared, how many gave any other output, and by how much the worst."""

    inputs: int
    mismatches: int
    worst: float

    @property
    def exact(self) -> bool:
        """Whether every output of every input is equal."""
        return self.mismatches == 0


def match(project: Project, graph: Graph, inputs: npt.NDArray[Any]) -> Match:
    """Emulate `project` on `inputs` (samples, ...) and execute `graph` on them; equal means equal bit for bit.

    Raises InputError where either cannot run.
    """
    found = emulate(project, inputs)
    wanted = executed(graph, inputs).reshape(found.shape)
    differ = np.any((found != wanted).reshape(len(found), -1), axis=1)
    return Match(inputs=len(found), mismatches=int(differ.sum()), worst=float(np.abs(found - wanted).max(initial=0.0)))


def executed(graph: Graph, inputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The output of `graph`, whatever its batch size, for `inputs` (samples, ...)."""
    if len(graph.inputs) != 1 or not len(inputs):
        raise InputError(graph.origin or graph.name, "needs one input and at least one sample", value=graph.inputs)
    parts = []
    for start in range(0, len(inputs), _MOST_SAMPLES_AT_ONCE):
        some = np.asarray(inputs[start : start + _MOST_SAMPLES_AT_ONCE], dtype=np.float32)
        resized = with_batch_size(graph, len(some))
        parts.append(np.asarray(execute(resized, {graph.inputs[0]: some})[graph.outputs[0]]))
    return np.concatenate(parts)
