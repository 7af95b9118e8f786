"""What a network says about many samples, and how often that is right."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from model_ir.graph import Graph, execute
from model_ir.passes.batch_size import with_batch_size
from reports.firmware import Score
from systolic.firmware.subject import Split

ROWS_AT_ONCE = 1000


def logits_of(graph: Graph, inputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The one output (samples, classes) of `graph` on `inputs` (samples, ...), executed in numpy."""
    (feed,), (output,) = graph.inputs, graph.outputs
    found, sized = [], with_batch_size(graph, min(ROWS_AT_ONCE, len(inputs)))
    for start in range(0, len(inputs), ROWS_AT_ONCE):
        rows = inputs[start : start + ROWS_AT_ONCE]
        sized = with_batch_size(sized, len(rows))
        found.append(execute(sized, {feed: rows})[output])
    return np.concatenate(found)


def score_of(graph: Graph, split: Split) -> Score:
    """Right answers of `graph` on `split`."""
    right = int((logits_of(graph, split.inputs).argmax(axis=1) == split.labels).sum())
    return Score(right=right, samples=len(split))
