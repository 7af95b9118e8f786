"""`systolic jets`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def jets(
    out: Annotated[Path, typer.Argument(metavar="FILE.npz", help="Where the jets go.", show_default=False)],
    count: Annotated[int, typer.Option("--count", min=10, help="Jets in all, a fifth of each class.")] = 5000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Other jets for every seed.")] = 0,
) -> None:
    """Simulate jets as those that ship: gluon, quark, top, W and Z, by 16 features and 32 leading constituents.

    Runs Pythia 8 (the extra `jets`), about 200 jets a second of one core. FILE goes to --jets of other commands.
    """
    from systolic.jets_job import jets_job
    from systolic.jets_show import print_jets
    from systolic.terminal import stage_progress

    with stage_progress() as progress:
        made = jets_job(out, count, seed, progress)
    print_jets(out, made)
