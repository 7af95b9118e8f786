"""Real data sets as tasks: what a network gets, what it should say, what it trains on and what it is tested on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError
from model_ir.graph import Graph
from workloads import digits_cnn, jet_tagger, token_classifier
from workloads.jets.jets_file import CLASSES, KINDS, SHIPPED, read_jets
from workloads.labelled_data import check_finite, check_labels, check_shape, read_arrays, split

Array = npt.NDArray[Any]
DIGITS_HELD = (600, 200)
JETS_HELD = (10_000, 5_000)
"""Samples for the test and for validation."""
DIGITS = tuple("0123456789")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """`inputs` float32 (samples, ...) and `labels` int32 (samples,), in three parts that share no sample: to train on,
    to choose by (`validation`), and to report on (`test`); `classes` in words."""

    name: str
    train_inputs: Array = field(repr=False)
    train_labels: Array = field(repr=False)
    validation_inputs: Array = field(repr=False)
    validation_labels: Array = field(repr=False)
    test_inputs: Array = field(repr=False)
    test_labels: Array = field(repr=False)
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainableWorkload:
    """A network with a task: `build(batch=...)` its graph from inputs to logits, `load(path)` the data (None: those
    that ship), and what training takes."""

    build: Callable[..., Graph]
    load: Callable[[Path | None], Task]
    epochs: int
    learning_rate: float = 3e-3
    batch: int = 64


def load_digits(path: Path | None = None) -> Task:
    """The 1797 digits of `workloads/data`, 600 of them for the test and 200 to choose by: (16, 4) pieces of 2x2 pixels
    from 0 to 1."""
    images, labels = _digits(path)
    pieces = images.reshape(-1, 4, 2, 4, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 16, 4)
    return _split("digits", pieces, labels, DIGITS, DIGITS_HELD)


def load_digit_images(path: Path | None = None) -> Task:
    """The same digits in the same parts as images (1, 8, 8) from 0 to 1."""
    images, labels = _digits(path)
    return _split("digits", images[:, None], labels, DIGITS, DIGITS_HELD)


def load_jets(path: Path | None = None) -> Task:
    """50 000 jets by their 32 leading constituents, 10 000 for the test and 5 000 to choose by: (32, 10) of the
    logarithm of the momentum, both distances to the axis and the logarithm of the whole one, and which of six kinds."""
    jets = read_jets(path or SHIPPED)
    there = jets.kind > 0
    # Momenta run from 1 TeV down by about e^-8, distances from 0.4, the jet's radius, by as much. Momenta, not shares
    # of the jet's: what tells W from Z is the mass.
    logarithm = np.where(there, 2 + np.log(np.maximum(jets.pt / 1000, 1e-6)) / 2, 0)
    angles = [np.where(there, angle * 5, 0) for angle in (jets.deta, jets.dphi)]
    angles.append(np.where(there, 2 + np.log(np.hypot(angles[0], angles[1]) / 5 + 1e-4) / 2, 0))
    one_hot = [jets.kind == which for which in range(len(KINDS))]
    return _split("jets", np.stack([logarithm, *angles, *one_hot], axis=-1), jets.labels, CLASSES, JETS_HELD)


def load_jet_features(path: Path | None = None) -> Task:
    """The same jets in the same parts by their 16 features, each with mean 0 and variance 1 over the training part."""
    jets = read_jets(path or SHIPPED)
    train, _, _ = split(len(jets.labels), *JETS_HELD)
    learned = jets.features[train].astype(np.float64)
    deviation = learned.std(axis=0)
    if not deviation.all():
        raise InputError(f"{path or SHIPPED}: features", "one is the same for all jets", value=int(deviation.argmin()))
    return _split("jets", (jets.features - learned.mean(axis=0)) / deviation, jets.labels, CLASSES, JETS_HELD)


TRAINABLE: Mapping[str, TrainableWorkload] = {
    token_classifier.DIGITS.name: TrainableWorkload(
        build=partial(token_classifier.build, token_classifier.DIGITS), load=load_digits, epochs=100, batch=32
    ),
    token_classifier.JETS.name: TrainableWorkload(
        build=partial(token_classifier.build, token_classifier.JETS),
        load=load_jets,
        epochs=8,
        learning_rate=5e-3,
        batch=128,
    ),
    jet_tagger.JET_TAGGER.name: TrainableWorkload(
        build=partial(jet_tagger.build, jet_tagger.JET_TAGGER_LOGITS),
        load=load_jet_features,
        epochs=20,
        batch=256,
    ),
    digits_cnn.DIGITS_CNN.name: TrainableWorkload(
        build=partial(digits_cnn.build, digits_cnn.DIGITS_CNN),
        load=load_digit_images,
        epochs=30,
        learning_rate=1e-2,
        batch=32,
    ),
}
"""Networks of the catalogue that come with a task."""


def _digits(path: Path | None) -> tuple[Array, Array]:
    """Images (samples, 8, 8) from 0 to 1 and their labels."""
    source = path if path is not None else Path(str(files("workloads"))) / "data" / "digits.npz"
    stored = read_arrays(source)
    for name in ("images", "labels"):
        if name not in stored:
            raise InputError(str(source), f"has no array {name!r}", limit="images, labels")
    images, labels = stored["images"], stored["labels"]
    check_labels(str(source), labels, 10)
    check_shape(f"{source}: images", images, (len(labels), 8, 8))
    check_finite(f"{source}: images", images)
    return images / np.float32(16), labels


def _split(name: str, inputs: Array, labels: Array, classes: tuple[str, ...], held: tuple[int, int]) -> Task:
    numbers, right = inputs.astype(np.float32), labels.astype(np.int32)
    train, validation, test = split(len(labels), *held)
    return Task(
        name=name,
        train_inputs=numbers[train],
        train_labels=right[train],
        validation_inputs=numbers[validation],
        validation_labels=right[validation],
        test_inputs=numbers[test],
        test_labels=right[test],
        classes=classes,
    )
