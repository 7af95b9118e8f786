"""How often a network is right."""

from __future__ import annotations

from hls.firmware.equality import executed
from model_ir.graph import Graph
from reports.firmware import Score
from systolic.firmware.subject import Split


def score_of(graph: Graph, split: Split) -> Score:
    """Right answers of `graph` on `split`."""
    right = int((executed(graph, split.inputs).argmax(axis=1) == split.labels).sum())
    return Score(right=right, samples=len(split))
