"""`Jets`, a labelled set of jets by features and by constituents, and its npz files: full ones, and packed ones as
ship.

Full: `features` float32 (jets, 16), `pt`, `deta`, `dphi` float32 (jets, 32), `kind`, `labels` uint8. Packed: features
of 11 significant bits without the one that repeats another, and a byte for each number of a constituent (`packed`
states the errors).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError
from workloads.labelled_data import check_finite, check_labels, check_shape, read_arrays

Array = npt.NDArray[Any]
FEATURES = (
    "zlogz",
    "c1_b0_mmdt",
    "c1_b1_mmdt",
    "c1_b2_mmdt",
    "c2_b1_mmdt",
    "c2_b2_mmdt",
    "d2_b1_mmdt",
    "d2_b2_mmdt",
    "d2_a1_b1_mmdt",
    "d2_a1_b2_mmdt",
    "m2_b1_mmdt",
    "m2_b2_mmdt",
    "n2_b1_mmdt",
    "n2_b2_mmdt",
    "mass_mmdt",
    "multiplicity",
)
"""Names and order of the public data set (Pierini, Duarte, Tran and Freytsis, hls4ml LHC jet dataset, Zenodo 2020, doi
10.5281/zenodo.3601436)."""
CLASSES = ("gluon", "quark", "top", "W", "Z")
CONSTITUENTS = 32
KINDS = ("padding", "charged hadron", "neutral hadron", "photon", "electron", "muon")
SHIPPED = Path(str(files("workloads"))) / "data" / "jets.npz"
FULL = ("features", "pt", "deta", "dphi", "kind", "labels")
PACKED = ("features", "log_pt", "root_deta", "root_dphi", "kind", "labels")
"""Arrays of both forms."""
REPEATED, REPEATS = FEATURES.index("d2_a1_b1_mmdt"), FEATURES.index("d2_b1_mmdt")
"""D2 with both exponents equal is D2: the packed file holds it once."""

PT_STEPS, PT_OFFSET = 16, 6
"""Packed pT: steps an octave, and the octaves below 1 GeV at which the codes begin."""
FARTHEST, ANGLE_STEPS = 0.5, 127
"""Packed distances: the largest, and steps to it in the square root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jets:
    """`features` float32 (jets, 16) in the order of FEATURES, mass in GeV; the leading constituents by falling
    transverse momentum, (jets, 32) each: `pt` in GeV, `deta` and `dphi` from the jet's axis, `kind` of KINDS, all 0 in
    the padding; `labels` uint8 (jets,) of CLASSES."""

    features: Array = field(repr=False)
    pt: Array = field(repr=False)
    deta: Array = field(repr=False)
    dphi: Array = field(repr=False)
    kind: Array = field(repr=False)
    labels: Array = field(repr=False)


def read_jets(path: Path = SHIPPED) -> Jets:
    """The jets of a file of either form. Raises InputError for a missing array, another shape, numbers that are not
    finite, labels or kinds out of range and a single class."""
    stored = read_arrays(path)
    jets = _unpacked(path, stored) if "log_pt" in stored else _full(path, stored)
    where, count = str(path), len(jets.labels)
    check_labels(where, jets.labels, len(CLASSES))
    check_shape(f"{where}: features", jets.features, (count, len(FEATURES)))
    check_finite(f"{where}: features", jets.features)
    for name in ("pt", "deta", "dphi", "kind"):
        check_shape(f"{where}: {name}", getattr(jets, name), (count, CONSTITUENTS))
        check_finite(f"{where}: {name}", getattr(jets, name))
    if jets.pt.min() < 0 or np.any(jets.pt[:, 0] <= 0):
        raise InputError(f"{where}: pt", "a jet without momentum, or a negative one", value=jets.pt[:, 0].min())
    if not np.isin(jets.kind, range(len(KINDS))).all():
        raise InputError(f"{where}: kind", "out of range", value=jets.kind.max(), limit=f"0 to {len(KINDS) - 1}")
    return jets


def write_jets(file: IO[bytes], jets: Jets) -> None:
    """The full file of `jets`."""
    arrays = {name: getattr(jets, name) for name in FULL}
    np.savez_compressed(file, **arrays)


def packed(jets: Jets) -> dict[str, Array]:
    """The arrays of the packed file.

    Features lose at most 2^-11 of themselves, and below 6.1e-5 at most 3e-8; pT between 16 MeV and 981 GeV at most
    2.2 %, and is clipped there; distances, clipped to 0.5, at most 0.4 % of 0.5 plus 2.3 times the root of their size
    times that.
    """
    there = jets.kind > 0
    log_pt = np.rint(PT_STEPS * (np.log2(np.maximum(jets.pt, 1e-3)) + PT_OFFSET))
    angles = {
        name: np.rint(np.sign(value) * np.sqrt(np.minimum(np.abs(value) / FARTHEST, 1)) * ANGLE_STEPS)
        for name, value in (("root_deta", jets.deta), ("root_dphi", jets.dphi))
    }
    return {
        "features": np.delete(jets.features, REPEATED, axis=1).astype(np.float16),
        "log_pt": np.where(there, np.clip(log_pt, 0, 255), 0).astype(np.uint8),
        **{name: np.where(there, value, 0).astype(np.int8) for name, value in angles.items()},
        "kind": jets.kind.astype(np.uint8),
        "labels": jets.labels.astype(np.uint8),
    }


def _unpacked(path: Path, stored: Mapping[str, Array]) -> Jets:
    features, log_pt, *angles, kind, labels = _named(path, stored, PACKED)
    check_shape(f"{path}: features", features, (len(labels), len(FEATURES) - 1))
    distinct = features.astype(np.float32)
    deta, dphi = (
        np.sign(angle) * (angle.astype(np.float32) / np.float32(ANGLE_STEPS)) ** 2 * np.float32(FARTHEST)
        for angle in angles
    )
    return Jets(
        features=np.insert(distinct, REPEATED, distinct[:, REPEATS], axis=1),
        pt=np.where(kind > 0, np.exp2(log_pt.astype(np.float32) / PT_STEPS - PT_OFFSET), np.float32(0)),
        deta=deta,
        dphi=dphi,
        kind=kind,
        labels=labels,
    )


def _full(path: Path, stored: Mapping[str, Array]) -> Jets:
    features, pt, deta, dphi, kind, labels = _named(path, stored, FULL)
    numbers = (np.asarray(value, np.float32) for value in (features, pt, deta, dphi))
    features, pt, deta, dphi = numbers
    return Jets(features=features, pt=pt, deta=deta, dphi=dphi, kind=kind, labels=labels)


def _named(path: Path, stored: Mapping[str, Array], names: tuple[str, ...]) -> list[Array]:
    for name in names:
        if name not in stored:
            raise InputError(str(path), f"has no array {name!r}", limit=", ".join(names))
        if stored[name].ndim == 0:
            raise InputError(f"{path}: {name}", "wrong shape", value=())
        if not np.issubdtype(stored[name].dtype, np.number):
            raise InputError(f"{path}: {name}", "must be numbers", value=stored[name].dtype)
    return [stored[name] for name in names]
