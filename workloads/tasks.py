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
from workloads import token_classifier
from workloads.token_classifier import DIGITS, JETS

SPLIT_SEED = 0
KINDS = 6
"""Kinds of a jet's constituents: padding, charged hadron, neutral hadron, photon, electron, muon."""
DIGITS_TEST = 600
JETS_TEST = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """`inputs` float32 (samples, ...) and `labels` (samples,) for training and, never seen there, for the test;
    `classes` in words."""

    name: str
    train_inputs: npt.NDArray[Any] = field(repr=False)
    train_labels: npt.NDArray[Any] = field(repr=False)
    test_inputs: npt.NDArray[Any] = field(repr=False)
    test_labels: npt.NDArray[Any] = field(repr=False)
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainableWorkload:
    """A network with a task: `build(batch=...)` its graph, `load(path)` the data (path: where a data set that does not
    ship lies), and what training takes."""

    build: Callable[..., Graph]
    load: Callable[[Path | None], Task]
    epochs: int
    learning_rate: float = 3e-3


def load_digits(path: Path | None = None) -> Task:
    """The 1797 digits of `workloads/data`, 600 of them for the test: (16, 4) pieces of 2x2 pixels from 0 to 1."""
    source = path if path is not None else Path(str(files("workloads"))) / "data" / "digits.npz"
    images, labels = _arrays(source, "images", "labels")
    pieces = images.reshape(-1, 4, 2, 4, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 16, 4)
    return _split("digits", (pieces / 16).astype(np.float32), labels, DIGITS_TEST, tuple("0123456789"))


def load_jets(path: Path | None = None) -> Task:
    """50 000 jets by their 32 leading constituents, 10 000 for the test: (32, 10) of the logarithm of the share of the
    momentum, both distances to the axis and the logarithm of the whole one, and which of six kinds.

    `path`: an npz file of `pt`, `deta`, `dphi` (jets, 32), `kind` (jets, 32, 0 for padding), `y` (jets). Raises
    InputError without one.
    """
    if path is None:
        raise InputError("jets", "do not ship: give the file of their constituents")
    pt, deta, dphi, kind, labels = _arrays(path, "pt", "deta", "dphi", "kind", "y")
    there = kind > 0
    share = pt.astype(np.float32) / pt.astype(np.float32).sum(axis=1, keepdims=True)
    # Shares run from 1 to about e^-8, distances from 0.4, the jet's radius, to about e^-8.
    logarithm = np.where(there, 2 + np.log(np.maximum(share, 1e-6)) / 2, 0)
    angles = [np.where(there, angle.astype(np.float32) * 5, 0) for angle in (deta, dphi)]
    angles.append(np.where(there, 2 + np.log(np.hypot(angles[0], angles[1]) / 5 + 1e-4) / 2, 0))
    one_hot = [kind == which for which in range(KINDS)]
    inputs = np.stack([logarithm, *angles, *one_hot], axis=-1).astype(np.float32)
    return _split("jets", inputs, labels, JETS_TEST, ("gluon", "quark", "top", "W", "Z"))


TRAINABLE: Mapping[str, TrainableWorkload] = {
    DIGITS.name: TrainableWorkload(build=partial(token_classifier.build, DIGITS), load=load_digits, epochs=60),
    JETS.name: TrainableWorkload(
        build=partial(token_classifier.build, JETS), load=load_jets, epochs=6, learning_rate=8e-3
    ),
}
"""Networks of the catalogue that come with a task."""


def _arrays(path: Path, *names: str) -> list[npt.NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            missing = [name for name in names if name not in stored]
            if missing:
                raise InputError(str(path), f"has no array {missing[0]!r}", limit=", ".join(names))
            return [stored[name] for name in names]
    except (OSError, ValueError) as error:
        raise InputError(str(path), f"is no readable npz file: {error}") from error


def _split(name: str, inputs: npt.NDArray[Any], labels: npt.NDArray[Any], test: int, classes: tuple[str, ...]) -> Task:
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    held, kept = order[:test], order[test:]
    return Task(
        name=name,
        train_inputs=inputs[kept],
        train_labels=labels[kept].astype(np.int32),
        test_inputs=inputs[held],
        test_labels=labels[held].astype(np.int32),
        classes=classes,
    )
