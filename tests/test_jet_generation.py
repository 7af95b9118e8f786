"""Jets of one's own: Pythia's are those that ship, FastJet finds the same ones, and the file is whole or not there."""

from __future__ import annotations

import math
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import CliRunner

import workloads.jets.simulated as simulated
from model_ir.errors import InputError
from systolic.cli import app
from systolic.jets_job import jets_job
from workloads.jets.jets_file import CLASSES, FEATURES, KINDS, Jets, read_jets
from workloads.jets.settings import LARGEST_ETA, PT_GEV, RADIUS
from workloads.tasks import load_jet_features, load_jets

Array = npt.NDArray[Any]
needs_pythia = pytest.mark.skipif(
    find_spec("pythia8mc") is None, reason="pythia8mc, of the extra jets, is not installed"
)
needs_fastjet = pytest.mark.skipif(find_spec("fastjet") is None, reason="fastjet, of the extra jets, is not installed")
COUNT = 151


def silent(*_step: object) -> None:
    return


def summaries(jets: Jets) -> Array:
    """Numbers of each jet that a wrong radius, window, decay, shower, particle or axis would move."""
    there = jets.kind > 0
    features = [
        jets.features[:, FEATURES.index(name)] for name in ("zlogz", "c1_b1_mmdt", "n2_b1_mmdt", "multiplicity")
    ]
    mass = jets.features[:, FEATURES.index("mass_mmdt")]
    kinds = [np.mean(jets.kind == KINDS.index(kind), axis=1) for kind in ("charged hadron", "neutral hadron", "photon")]
    spread = np.sum(jets.pt * np.hypot(jets.deta, jets.dphi), axis=1) / jets.pt.sum(axis=1)
    tilt = [np.sum(jets.pt * angle, axis=1) / jets.pt.sum(axis=1) for angle in (jets.deta, jets.dphi)]
    # In azimuth: the pseudorapidity of slow hadrons is not the rapidity that clustering goes by.
    outside = np.any(np.abs(jets.dphi) > 0.41, axis=1)
    heavy = [mass, mass > 60, mass > 120]
    return np.stack([*features, *heavy, *kinds, spread, outside, *tilt, jets.pt.sum(axis=1), there.sum(axis=1)], axis=1)


@needs_pythia
def test_generated_jets_are_those_that_ship(tmp_path: Path) -> None:
    path, steps = tmp_path / "new" / "jets.npz", []
    made = jets_job(path, COUNT, 2, lambda *step: steps.append(step))
    assert [step[1:] for step in steps] == [(done, COUNT) for done in range(1, COUNT + 1)]
    assert [each.name for each in path.parent.iterdir()] == ["jets.npz"]
    read = read_jets(path)
    assert np.array_equal(read.features, made.features)
    assert np.array_equal(np.bincount(read.labels), [31, 30, 30, 30, 30])
    assert np.any(np.diff(read.labels.astype(int)) < 0)
    shipped = read_jets()
    for label in range(len(CLASSES)):
        ours, theirs = (summaries(each)[each.labels == label] for each in (read, shipped))
        error = theirs.std(axis=0) / math.sqrt(len(ours))
        # Of 80 differences one in 16 000 exceeds four standard errors by chance, and the seed is fixed.
        assert np.all(np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) <= 4 * error + 1e-9)
    assert load_jets(path).train_inputs.shape[1:] == (32, 10)
    assert load_jet_features(path).train_inputs.shape[1:] == (16,)


@needs_pythia
@needs_fastjet
def test_fastjet_makes_the_same_jets_of_their_particles() -> None:
    import awkward
    import fastjet

    jets = simulated.simulate_class("W", 12, 7, silent)
    again = simulated.simulate_class("W", 12, 7, silent)
    assert all(
        np.array_equal(getattr(jets, name), getattr(again, name)) for name in ("constituents", "offsets", "axes")
    )
    assert len(jets.offsets) == 13
    for jet, (start, end) in enumerate(pairwise(jets.offsets)):
        pt, eta, azimuth, mass = jets.constituents[start:end].astype(np.float64).T
        parts = {"px": pt * np.cos(azimuth), "py": pt * np.sin(azimuth), "pz": pt * np.sinh(eta)}
        energy = np.sqrt((pt * np.cosh(eta)) ** 2 + mass**2)
        definition = fastjet.JetDefinition(fastjet.antikt_algorithm, RADIUS)
        found = fastjet.ClusterSequence(awkward.Array({**parts, "E": energy}), definition).inclusive_jets()
        assert len(found) == 1
        px, py, pz = (float(found[name][0]) for name in ("px", "py", "pz"))
        assert PT_GEV[0] < math.hypot(px, py) < PT_GEV[1]
        assert math.asinh(pz / math.hypot(px, py)) == pytest.approx(jets.axes[jet, 0], abs=1e-4)
        assert math.atan2(py, px) == pytest.approx(jets.axes[jet, 1], abs=1e-4)
        assert abs(jets.axes[jet, 0]) <= LARGEST_ETA


def test_without_pythia_the_extra_is_named_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated, "find_spec", lambda _name: None)
    (tmp_path / "jets.npz").write_text("kept")
    with pytest.raises(InputError, match=r"pythia8mc.*systolic\[jets\]"):
        jets_job(tmp_path / "jets.npz", 10, 0, silent)
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("jets.npz", "kept")]


def test_a_place_that_cannot_be_written_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulated, "find_spec", lambda _name: pytest.fail("simulates"))
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "jets.npz", tmp_path):
        with pytest.raises(InputError, match="cannot write the jets"):
            jets_job(path, 10, 0, silent)


@needs_pythia
def test_the_command_shows_each_class(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["jets", str(tmp_path / "j.npz"), "--count", "10"], catch_exceptions=False)
    assert all(f"│ {name}" in shown.stdout for name in CLASSES)
    assert str(tmp_path / "j.npz") in shown.stdout
    refused = CliRunner().invoke(app, ["jets", str(tmp_path / "k.npz"), "--count", "9"])
    assert refused.exit_code == 2
    assert not (tmp_path / "k.npz").exists()
