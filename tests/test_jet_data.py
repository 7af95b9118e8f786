"""Jets that ship and jets of one's own: what the packed file keeps, how tasks split and scale, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from jet_cases import jet_arrays, write_jets

from model_ir.errors import InputError
from workloads.jets.jets_file import CLASSES, FEATURES, Jets, packed, read_jets
from workloads.labelled_data import split
from workloads.tasks import TRAINABLE, Task, load_digit_images, load_digits, load_jet_features, load_jets

ORIGINAL = Path(__file__).parents[2] / "shared" / "jets"
Array = npt.NDArray[Any]


def within_packing(found: Jets, original: Jets) -> None:
    """Raise where a packed jet differs by more than `packed` states."""
    assert np.array_equal(found.labels, original.labels)
    assert np.array_equal(found.kind, original.kind)
    size = np.abs(original.features)
    assert np.all(np.abs(found.features - original.features) <= np.maximum(1.0001 * size * 2**-11, 3e-8))
    there = original.kind > 0
    for name in ("pt", "deta", "dphi"):
        assert not getattr(found, name)[~there].any()
    clipped = np.clip(original.pt[there], 2**-6, 981)
    assert np.all(np.abs(found.pt[there] / clipped - 1) < 0.022)
    for name in ("deta", "dphi"):
        exact = np.clip(getattr(original, name)[there], -0.5, 0.5)
        error = np.abs(getattr(found, name)[there] - exact)
        # Half a step of the root: (r + h)^2 - r^2 with h = 1/254 of the root's range.
        assert np.all(error <= 1.001 * 0.5 * (2 * np.sqrt(np.abs(exact) / 0.5) / 254 + 1 / 254**2))


@pytest.mark.skipif(not ORIGINAL.exists(), reason="the unpacked jets lie outside the repository")
def test_jets_that_ship_are_the_generated_ones() -> None:
    with np.load(ORIGINAL / "jets_r04_hlf.npz") as stored:
        features, labels, names = stored["X"], stored["y"], tuple(stored["names"])
    with np.load(ORIGINAL / "jets_r04_const32.npz") as stored:
        numbers = {name: stored[name].astype(np.float32) for name in ("pt", "deta", "dphi")}
        kind = stored["kind"]
    assert names == FEATURES
    within_packing(read_jets(), Jets(features=features, labels=labels, kind=kind, **numbers))


def test_a_packed_file_reads_as_the_full_one(tmp_path: Path) -> None:
    arrays = jet_arrays()
    arrays["features"][:, FEATURES.index("d2_a1_b1_mmdt")] = arrays["features"][:, FEATURES.index("d2_b1_mmdt")]
    full = read_jets(write_jets(tmp_path, features=arrays["features"]))
    assert np.array_equal(full.features, arrays["features"].astype(np.float32))
    np.savez_compressed(tmp_path / "packed.npz", **packed(full))
    within_packing(read_jets(tmp_path / "packed.npz"), full)


def test_the_jets_that_ship_are_balanced_and_whole() -> None:
    jets = read_jets()
    assert np.array_equal(np.bincount(jets.labels), [10_000] * len(CLASSES))
    assert np.array_equal(jets.features[:, FEATURES.index("multiplicity")] >= 32, jets.kind[:, 31] > 0)
    assert np.all(np.diff(jets.pt, axis=1) <= 0)


def test_features_are_standardised_over_the_training_part_only() -> None:
    task = load_jet_features()
    assert task.train_inputs.shape == (35_000, 16)
    assert np.abs(task.train_inputs.mean(axis=0, dtype=np.float64)).max() < 1e-5
    assert np.abs(task.train_inputs.std(axis=0, dtype=np.float64) - 1).max() < 1e-5
    assert np.abs(task.test_inputs.mean(axis=0, dtype=np.float64)).max() > 1e-4


@pytest.mark.parametrize("samples", [10, 99, 1797, 50_000])
def test_parts_share_no_sample_and_leave_none_out(samples: int) -> None:
    parts = split(samples, 600, 200)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(samples))
    assert len(parts[0]) > len(parts[2]) > len(parts[1]) > 0 or samples == 1797
    assert all(np.array_equal(one, other) for one, other in zip(parts, split(samples, 600, 200), strict=True))


def test_tasks_of_the_same_data_hold_back_the_same_samples() -> None:
    pieces, images = load_digits(), load_digit_images()
    constituents, features = load_jets(), load_jet_features()
    for one, other in ((pieces, images), (constituents, features)):
        for part in ("train_labels", "validation_labels", "test_labels"):
            assert np.array_equal(getattr(one, part), getattr(other, part))
    assert np.allclose(pieces.test_inputs.sum(axis=(1, 2)), images.test_inputs.sum(axis=(1, 2, 3)))


@pytest.mark.parametrize("name", TRAINABLE)
def test_every_task_fits_its_network(name: str) -> None:
    workload = TRAINABLE[name]
    task: Task = workload.load(None)
    graph = workload.build(batch=workload.batch)
    (given,), (logits,) = graph.inputs, graph.outputs
    for part in (task.train_inputs, task.validation_inputs, task.test_inputs):
        assert part.dtype == np.float32
        assert part.shape[1:] == graph.tensors[given].shape[1:]
    assert graph.tensors[logits].shape == (workload.batch, len(task.classes))


def change(name: str, place: Any, value: float, **options: Any) -> dict[str, Any]:
    array = jet_arrays(**options)[name]
    array[place] = value
    return {name: array}


BAD: list[tuple[dict[str, Any], str]] = [
    ({"pt": None}, "has no array 'pt'"),
    ({"features": np.zeros((50, 15))}, r"features: wrong shape.*\(50, 15\).*\(50, 16\)"),
    ({"pt": np.zeros((50, 30))}, r"pt: wrong shape"),
    ({"deta": np.zeros((49, 32))}, r"deta: wrong shape"),
    (change("features", (7, 3), np.nan), "features: has numbers that are not finite.*first in row 7"),
    (change("dphi", (9, 0), np.inf), "dphi: has numbers that are not finite.*first in row 9"),
    (change("labels", 4, 5), r"labels: out of range.*5.*0 to 4"),
    ({"labels": np.full(50, 2)}, "labels: only one class in the data.*2"),
    ({"labels": np.zeros(50)}, "labels: must be whole numbers"),
    ({"labels": np.zeros(0, int)}, "labels: there are none"),
    (change("kind", (0, 0), 6), "kind: out of range"),
    (change("pt", (3, 0), 0.0), "pt: a jet without momentum"),
    (change("pt", (3, 31), -1.0), "pt: a jet without momentum, or a negative"),
    ({"features": np.full((50, 16), "x")}, "features: must be numbers"),
    ({"labels": np.int64(3)}, "labels: wrong shape"),
]


@pytest.mark.parametrize(("changes", "match"), BAD, ids=[match for _, match in BAD])
def test_bad_jets_are_refused_by_name(tmp_path: Path, changes: dict[str, Any], match: str) -> None:
    path = write_jets(tmp_path, **changes)
    with pytest.raises(InputError, match=match):
        load_jets(path)


def test_bad_files_and_too_few_jets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no readable npz"):
        load_jets(tmp_path / "missing.npz")
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(InputError, match="npz file is wanted"):
        load_jets(tmp_path / "one.npy")
    with pytest.raises(InputError, match="too few samples"):
        load_jets(write_jets(tmp_path, jets=8))
    features = jet_arrays()["features"]
    features[:, 5] = 3
    with pytest.raises(InputError, match="the same for all"):
        load_jet_features(write_jets(tmp_path, features=features))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"images": None}, "has no array 'images'"),
        ({"images": np.zeros((20, 8, 7))}, "wrong shape"),
        ({"images": np.full((20, 8, 8), np.nan)}, "not finite"),
        ({"labels": np.full(20, 10)}, "out of range"),
        ({"labels": np.ones(20, int)}, "only one class"),
    ],
)
def test_bad_digits_are_refused(tmp_path: Path, changes: dict[str, Any], match: str) -> None:
    arrays = {"images": np.zeros((20, 8, 8)), "labels": np.arange(20) % 10} | changes
    np.savez(tmp_path / "digits.npz", **{name: value for name, value in arrays.items() if value is not None})
    with pytest.raises(InputError, match=match):
        load_digits(tmp_path / "digits.npz")
