"""The cycle engine against Gemmini's RTL, where what was measured of it is at hand."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from simulator.accelerator_file import load_accelerator
from systolic.fidelity import STREAMS
from systolic.replay_compare import compared
from systolic.replay_job import ReplayRequest, replay_file
from systolic.reproduce.published import Missing, Ours, PublishedTable


def rtl(_: PublishedTable, *, ground_truth: Path) -> Ours:
    """Mean absolute error of the cycles of every measured command stream; missing where `ground_truth` holds none."""
    cell = ("command streams of Gemmini's RTL", "error, %")
    if not (ground_truth / STREAMS).exists():
        return {cell: Missing(f"{ground_truth / STREAMS} is not there (--ground-truth says where)")}
    request = ReplayRequest(
        streams=ground_truth / STREAMS,
        accelerator=load_accelerator("gemmini"),
        values=False,
        workers=os.cpu_count() or 1,
    )
    errors = [abs(row.error) for row in map(compared, replay_file(request)) if row.error is not None]
    return {cell: 100 * float(np.mean(errors))}
