"""Runs everything that was measured and writes the page that says how near the simulator came."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from model_ir.errors import InputError
from reports.fidelity import FidelityRow
from reports.fidelity_page import fidelity_page
from reports.fidelity_plot import scatter_svg
from simulator.accelerator_file import load_accelerator
from systolic.fidelity_chip import CHIP, chip_rows
from systolic.fidelity_soc import SOC, soc_rows
from systolic.pipeline import Progress
from systolic.replay_compare import compared
from systolic.replay_job import ReplayRequest, replay_file
from systolic.replay_run import replay_rows
from systolic.text_file import write_text

STREAMS = "command_streams.jsonl.gz"


def measured_rows(
    folder: Path, *, workers: int | None = None, values: bool = True, progress: Progress | None = None
) -> Iterator[FidelityRow]:
    """Every measured row of `folder` (see ../shared/ground_truth/README.md beside a clone), simulated and compared.

    Raises InputError where the folder has no command streams, or holds a row that cannot run.
    """
    if not (folder / STREAMS).exists():
        raise InputError(str(folder), f"holds no {STREAMS}")
    workers = workers or os.cpu_count() or 1
    request = ReplayRequest(
        streams=folder / STREAMS, accelerator=load_accelerator("gemmini"), values=values, workers=workers
    )
    yield from (compared(one) for one in replay_file(request, progress))
    chip = load_accelerator(CHIP)
    yield from (compared(one) for one in replay_rows(chip_rows(folder), chip, values=False, workers=workers))
    yield from soc_rows(folder, load_accelerator(SOC))


def write_fidelity(
    folder: Path, out: Path, *, workers: int | None = None, progress: Progress | None = None
) -> tuple[FidelityRow, ...]:
    """Compare everything measured in `folder`, and write the page to `out` and its plot beside it; returns the rows."""
    rows = tuple(measured_rows(folder, workers=workers, progress=progress))
    picture = out.with_suffix(".svg")
    command = "systolic fidelity ../shared/ground_truth --out docs/fidelity.md"
    write_text(picture, scatter_svg(rows), problem="cannot be written")
    write_text(out, fidelity_page(rows, command=command, picture=picture.name), problem="cannot be written")
    return rows
