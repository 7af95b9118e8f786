"""What `systolic jets` prints: how many jets there are of each class, with means by which to know them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from workloads.jets.jets_file import CLASSES, FEATURES, Jets

SHOWN = {"mass_mmdt": ("groomed mass, GeV", 1), "multiplicity": ("constituents", 1), "c1_b1_mmdt": ("C1, b = 1", 4)}
"""Features with their titles and decimals."""


def print_jets(path: Path, jets: Jets) -> None:
    """A table of the classes, each mean with its standard error, and the file."""
    table = Table("class", "jets", *(title for title, _ in SHOWN.values()))
    for label, name in enumerate(CLASSES):
        rows = jets.features[jets.labels == label]
        cells = (_mean(rows[:, FEATURES.index(feature)], decimals) for feature, (_, decimals) in SHOWN.items())
        table.add_row(name, str(len(rows)), *cells)
    console = Console()
    console.print(table)
    console.print(f"jets: {path}", markup=False, soft_wrap=True)


def _mean(values: npt.NDArray[Any], decimals: int) -> str:
    return f"{values.mean():.{decimals}f} ± {values.std(ddof=1) / len(values) ** 0.5:.{decimals}f}"
