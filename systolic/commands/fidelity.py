"""`systolic fidelity`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from systolic.options import WorkersOption


def fidelity(
    ground_truth: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder of measured rows, such as ../shared/ground_truth.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The page to write; its plot goes beside it.")] = Path(
        "runs/fidelity.md"
    ),
    workers: WorkersOption = None,
) -> None:
    """Simulate everything that was measured of the RTL and write a page with the errors."""
    from systolic.fidelity import write_fidelity
    from systolic.replay_show import print_families
    from systolic.terminal import stage_progress

    with stage_progress() as progress:
        rows = write_fidelity(ground_truth, out, workers=workers, progress=progress)
    print_families(rows)
