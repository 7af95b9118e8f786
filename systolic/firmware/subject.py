"""What becomes firmware: a float classifier and labelled data in three parts.

A network of `workloads.tasks` comes with its data and is trained here; an ONNX file comes with its own weights and
needs a file of data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hls.data import check_classification
from hls.quantise.biases import joined_biases
from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.ops.quantisation import BipolarQuant, Quant, Trunc
from model_ir.passes.batch_size import with_batch_size
from model_ir.passes.logits import to_logits
from model_ir.passes.pipeline import DEFAULT_PASSES, run_passes
from model_ir.passes.remove_identities import remove_identities
from systolic.firmware.request import FirmwareRequest
from systolic.labelled_data import labels_of, only_input, standardised
from systolic.network import load_network
from workloads.labelled_data import read_arrays

if TYPE_CHECKING:
    from workloads.tasks import TrainableWorkload

Array = npt.NDArray[Any]
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1
LEAST_SAMPLES = 100
TRAINING_BATCH = 64
"""Samples a step of retraining a file's network."""
SHORT_NAMES: Mapping[str, str] = {"jets": "jet-tagger", "digits": "digits-cnn"}
"""What a task is called for short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Inputs float32 (samples, ...) and labels int32 (samples,)."""

    inputs: Array = field(repr=False)
    labels: Array = field(repr=False)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The network, logits out, over `batch` samples; data to train on, to choose by, and to report on.

    `task` is what trains it, None where its weights are there. `quantised`: it has quantisers of its own.
    """

    name: str
    origin: str
    graph: Graph = field(repr=False)
    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    batch: int
    task: TrainableWorkload | None = None
    quantised: bool = False

    @property
    def data(self) -> str:
        """The data in words."""
        parts = f"{len(self.train):,} samples to train on, {len(self.validation):,} to choose by"
        return f"{parts}, {len(self.test):,} to report on."


def subject_of(request: FirmwareRequest) -> Subject:
    """The task of that name, or the file's network with the request's data. Raises InputError for whatever does not
    fit: names, options, files, shapes, labels, numbers that are not finite."""
    from workloads.tasks import TRAINABLE

    network = request.network
    name = SHORT_NAMES.get(network.model, network.model)
    if name in TRAINABLE and not (network.is_file and Path(network.model).exists()):
        for option, given in network.options.items():
            raise InputError(f"--{option}", f"{network.model} takes none", value=given)
        return _task(name, TRAINABLE[name], request)
    if not network.is_file:
        known = ", ".join((*SHORT_NAMES, *TRAINABLE))
        raise InputError(network.model, "comes with no data; give an ONNX file and --data, or one of", limit=known)
    return _file(request)


def _task(name: str, task: TrainableWorkload, request: FirmwareRequest) -> Subject:
    if request.standardise:
        raise InputError("--standardise", f"{name} comes with data that are")
    loaded = task.load(request.data)
    subject = Subject(
        name=name,
        origin=f"workload {name}",
        graph=task.build(batch=task.batch),
        train=_split(loaded.train_inputs, loaded.train_labels),
        validation=_split(loaded.validation_inputs, loaded.validation_labels),
        test=_split(loaded.test_inputs, loaded.test_labels),
        classes=loaded.classes,
        batch=task.batch,
        task=task,
    )
    for split in (subject.train, subject.validation, subject.test):
        check_classification(with_batch_size(subject.graph, 1), split.inputs, split.labels)
    return subject


def _file(request: FirmwareRequest) -> Subject:
    network = request.network
    if request.data is None:
        raise InputError("--data", "a file's network needs labelled data: an npz with X (samples, ...) and y (samples)")
    graph = load_network(network)
    # Folding constants would take quantisers of weights for constants.
    quantised = any(isinstance(op, Quant | BipolarQuant | Trunc) for op in graph.ops)
    passes = (remove_identities, joined_biases) if quantised else DEFAULT_PASSES
    graph = with_batch_size(to_logits(run_passes(graph, passes)), 1)
    missing = sorted(graph.parameters - set(graph.constants))
    if missing:
        raise InputError(network.model, "has parameters without values", value=missing[0])
    arrays = read_arrays(request.data)
    inputs = only_input(request.data, arrays, graph.inputs[0])
    labels = labels_of(request.data, arrays)
    check_classification(graph, inputs, labels)
    if len(labels) < LEAST_SAMPLES:
        raise InputError(str(request.data), "too few samples for three parts", value=len(labels), limit=LEAST_SAMPLES)
    inputs = standardised(inputs) if request.standardise else inputs.astype(np.float32)
    order = np.random.default_rng(request.seed).permutation(len(labels))
    test, validation = (round(share * len(labels)) for share in (TEST_SHARE, VALIDATION_SHARE))
    parts = np.split(order, [test, test + validation])
    held, chosen_by, learned = (_split(inputs[part], labels[part]) for part in parts)
    for split in (held, chosen_by, learned):
        check_classification(graph, split.inputs, split.labels)
    classes = graph.tensors[graph.outputs[0]].shape[1]
    batch = min(TRAINING_BATCH, len(chosen_by))
    return Subject(
        name=Path(network.model).stem,
        origin=network.model,
        graph=with_batch_size(graph, batch),
        train=learned,
        validation=chosen_by,
        test=held,
        classes=tuple(map(str, range(classes))),
        batch=batch,
        quantised=quantised,
    )


def _split(inputs: Array, labels: Array) -> Split:
    return Split(inputs=np.ascontiguousarray(inputs, np.float32), labels=labels.astype(np.int32))
