"""Files of made-up jets for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from workloads.jets.jets_file import CONSTITUENTS, FEATURES


def jet_arrays(jets: int = 50, **changes: Any) -> dict[str, Any]:
    """Arrays of a full file; an array that is None is left out."""
    generator = np.random.default_rng(3)
    there = np.arange(CONSTITUENTS) < generator.integers(1, CONSTITUENTS + 1, (jets, 1))
    shape = (jets, CONSTITUENTS)
    arrays = {
        "features": generator.standard_normal((jets, len(FEATURES))),
        "pt": np.where(there, -np.sort(-generator.exponential(20, shape) - 0.1, axis=1), 0),
        "deta": np.where(there, generator.uniform(-0.4, 0.4, shape), 0),
        "dphi": np.where(there, generator.uniform(-0.4, 0.4, shape), 0),
        "kind": np.where(there, generator.integers(1, 6, shape), 0).astype(np.uint8),
        "labels": (np.arange(jets) % 5).astype(np.uint8),
    } | changes
    return {name: value for name, value in arrays.items() if value is not None}


def write_jets(folder: Path, jets: int = 50, **changes: Any) -> Path:
    """A full file of made-up jets with these arrays changed."""
    path = folder / "jets.npz"
    np.savez(path, **jet_arrays(jets, **changes))
    return path
