"""`systolic integer`: a trained network made integer-only, measured against float on labelled data, and executed as
commands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError
from model_ir.graph import Graph, execute
from model_ir.passes.integer.calibration import DEFAULT_PERCENTILE, Method, calibrate
from model_ir.passes.integer.convert import IntegerNetwork, OperatorError, integer_only, operator_errors
from systolic.network import NetworkRequest, load_network
from systolic.pipeline import Progress
from workloads.labelled_data import read_arrays

if TYPE_CHECKING:
    from mapper.integer.execution import StepCheck
    from workloads.tasks import Task, TrainableWorkload

Array = npt.NDArray[Any]
Data = Mapping[str, Array]
"""Inputs by name, (samples, ...) each."""
LABELS = "labels"
"""The array of a data file that is no input: the right class of every sample."""
TEST_BATCH = 200
DEFAULT_CALIBRATED, DEFAULT_CHECKED = 400, 4
LOGITS_RANK = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegerRequest:
    """What `systolic integer` was asked: a file or a trainable name, data to calibrate and to test on (npz, or the
    task's own), how to clip, the machine whose commands are executed on `checked` inputs where `check_values`, and
    timed too where `cycles`."""

    network: NetworkRequest
    calibrate: Path | None = None
    data: Path | None = None
    jets: Path | None = None
    method: Method = "max"
    percentile: float = DEFAULT_PERCENTILE
    samples: int = DEFAULT_CALIBRATED
    seed: int = 0
    accelerator: str = "gemmini-ibert"
    check_values: bool = False
    cycles: bool = False
    checked: int = DEFAULT_CHECKED


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Right answers of both networks over `samples`, and how often both say the same class; `difference_sigma` is the
    standard error of integer minus float accuracy, from the samples on which only one of them is right (McNemar)."""

    samples: int
    float_right: int
    integer_right: int
    only_one_right: int
    agree: int

    @property
    def float_accuracy(self) -> float:
        """Right answers of the float network over all."""
        return self.float_right / self.samples

    @property
    def integer_accuracy(self) -> float:
        """Right answers of the integer network over all."""
        return self.integer_right / self.samples

    @property
    def agreement(self) -> float:
        """Equal answers over all."""
        return self.agree / self.samples

    @property
    def float_sigma(self) -> float:
        """Binomial standard error of the float accuracy."""
        return sqrt(self.float_accuracy * (1 - self.float_accuracy) / self.samples)

    @property
    def integer_sigma(self) -> float:
        """Binomial standard error of the integer accuracy."""
        return sqrt(self.integer_accuracy * (1 - self.integer_accuracy) / self.samples)

    @property
    def difference_sigma(self) -> float:
        """Standard error of the difference of the two, paired sample by sample."""
        difference = (self.integer_right - self.float_right) / self.samples
        return sqrt(max(0.0, self.only_one_right / self.samples - difference**2) / self.samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegerReport:
    """Everything the command shows. `accuracy` is None without labels, `checks` are empty unless asked for; `losses`
    are the training's mean cross-entropies, where the network was trained here."""

    name: str
    method: Method
    calibrated: int
    errors: tuple[OperatorError, ...]
    accuracy: Accuracy | None
    accelerator: str
    checks: tuple[StepCheck, ...] = ()
    checked_inputs: int = 0
    commands: int = 0
    cycles: tuple[int | None, ...] = ()
    """The engine's of each step's commands for one batch, where they were asked for; None for the host's steps."""
    losses: tuple[float, ...] = ()
    tested_apart: bool = True
    """Whether the accuracy is on other data than the calibration."""
    network: IntegerNetwork = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """The float network, at the batch it is tested at and at the one its commands are made for; data to calibrate on,
    and data to test on with their labels."""

    graph: Graph
    run_graph: Graph
    calibration: Data
    test: Data
    labels: Array | None
    tested_apart: bool = True
    losses: tuple[float, ...] = ()


def integer_job(request: IntegerRequest, progress: Progress) -> IntegerReport:
    """Load or train the network, calibrate, convert, measure, and with `check_values` execute its commands.

    Raises InputError for a network without weights, data that do not fit its inputs, an operator that cannot be made
    integer, or a machine without int8.
    """
    subject = _subject(request, progress)
    batches = list(_batches(subject.graph, subject.calibration, request.samples))
    try:
        calibration = calibrate(
            subject.graph,
            batches,
            method=request.method,
            percentile=request.percentile,
            progress=lambda done: progress("calibrate", done, len(batches)),
        )
    except IndexError as error:
        raise InputError("--calibrate", f"an index leaves its table: {error}") from error
    network = integer_only(subject.graph, calibration)
    tests = list(_batches(subject.graph, subject.test))
    report = IntegerReport(
        name=subject.graph.name,
        method=request.method,
        calibrated=calibration.samples,
        errors=operator_errors(network, tests[0]),
        accuracy=None if subject.labels is None else _accuracy(network, tests, subject.labels, progress),
        accelerator=request.accelerator,
        losses=subject.losses,
        tested_apart=subject.tested_apart,
        network=network,
    )
    if not (request.check_values or request.cycles):
        return report
    graph = subject.run_graph
    inputs = list(_batches(graph, subject.test, request.checked))
    return _executed(report, request, integer_only(graph, calibration).graph, inputs, progress)


def _executed(
    report: IntegerReport,
    request: IntegerRequest,
    graph: Graph,
    inputs: list[dict[str, Array]],
    progress: Progress,
) -> IntegerReport:
    from mapper.integer.execution import check_integers, compile_integers, engine_cycles
    from simulator.accelerator_file import load_accelerator

    program = compile_integers(graph, load_accelerator(report.accelerator), progress=progress)
    checks = check_integers(program, inputs, progress=progress)
    cycles = engine_cycles(program, progress=progress) if request.cycles else ()
    commands = sum(code.commands for code in program.codes if code is not None)
    checked = _batch_of(graph) * len(inputs)
    return replace(report, checks=checks, checked_inputs=checked, commands=commands, cycles=cycles)


def _subject(request: IntegerRequest, progress: Progress) -> _Subject:
    from workloads.tasks import TRAINABLE

    trainable = None if request.network.is_file else TRAINABLE.get(request.network.model)
    if trainable is not None:
        return _trained(trainable, request, progress)
    if not request.network.is_file:
        raise InputError(
            request.network.model,
            "has no trained weights; give an ONNX file of a trained network, or one that is trained here",
            limit=", ".join(TRAINABLE),
        )
    if request.calibrate is None:
        raise InputError("--calibrate", "a file's network needs data: an npz with an array (samples, ...) an input")
    graph = load_network(request.network)
    calibration, labels = _read(request.calibrate, graph)
    test = calibration
    if request.data is not None:
        test, labels = _read(request.data, graph)
    return _Subject(
        graph=graph,
        run_graph=graph,
        calibration=calibration,
        test=test,
        labels=labels,
        tested_apart=request.data is not None,
    )


def _trained(workload: TrainableWorkload, request: IntegerRequest, progress: Progress) -> _Subject:
    from hls.training import Recipe, train, with_values

    if request.calibrate is not None or request.data is not None:
        raise InputError("--calibrate", f"{request.network.model} comes with its own data")
    for option, given in request.network.options.items():
        if option != "batch":
            raise InputError(f"--{option}", f"{request.network.model} takes --batch only", value=given)
    task: Task = workload.load(request.jets)
    if len(task.test_labels) < TEST_BATCH:
        raise InputError("--jets", "too few jets to test on", value=len(task.test_labels), limit=TEST_BATCH)
    trained = train(
        workload.build(batch=workload.batch),
        task.train_inputs,
        task.train_labels,
        Recipe(epochs=workload.epochs, learning_rate=workload.learning_rate, seed=request.seed),
        progress=lambda done, total: progress("train", done, total),
    )
    graph, run_graph = (
        with_values(workload.build(batch=batch), trained.values) for batch in (TEST_BATCH, request.network.batch or 1)
    )
    name = graph.inputs[0]
    return _Subject(
        graph=graph,
        run_graph=run_graph,
        calibration={name: task.train_inputs},
        test={name: task.test_inputs},
        labels=task.test_labels,
        losses=trained.losses,
    )


def _batch_of(graph: Graph) -> int:
    return graph.tensors[graph.inputs[0]].shape[0]


def _read(path: Path, graph: Graph) -> tuple[Data, Array | None]:
    """The inputs of `graph` in an npz file, and its labels, if it has any."""
    arrays = read_arrays(path)
    labels = arrays.pop(LABELS, None)
    missing = [name for name in graph.inputs if name not in arrays]
    if missing:
        raise InputError(str(path), f"has no array {missing[0]!r}, which the network reads", value=", ".join(arrays))
    data = {}
    for name in graph.inputs:
        tensor, value = graph.tensors[name], arrays[name]
        if value.shape[1:] != tensor.shape[1:] or len(value) < tensor.shape[0]:
            raise InputError(
                str(path), f"{name!r} has the wrong shape", value=value.shape, limit=("samples", *tensor.shape[1:])
            )
        if tensor.precision.is_float:
            value = value.astype(np.float32)
        elif not (np.issubdtype(value.dtype, np.integer) or value.dtype == np.bool_):
            raise InputError(str(path), f"{name!r} must hold integers", value=value.dtype)
        data[name] = value
    lengths = {len(value) for value in (*data.values(), *(() if labels is None else (labels,)))}
    if len(lengths) != 1:
        raise InputError(str(path), "arrays have different numbers of samples", value=sorted(lengths))
    return data, labels


def _batches(graph: Graph, data: Data, most: int | None = None) -> Iterator[dict[str, Array]]:
    """Whole batches of the graph's own size, of the first `most` samples at least; a last incomplete one is left
    out."""
    batch = _batch_of(graph)
    samples = len(next(iter(data.values())))
    wanted = samples if most is None else min(samples, -(-most // batch) * batch)
    for start in range(0, wanted - batch + 1, batch):
        yield {name: value[start : start + batch] for name, value in data.items()}


def _logits(graph: Graph) -> str:
    """The first output of (batch, classes)."""
    for name in graph.outputs:
        if len(graph.tensors[name].shape) == LOGITS_RANK:
            return name
    raise InputError(LABELS, "the network has no output of (batch, classes) to compare them with", value=graph.outputs)


def _accuracy(network: IntegerNetwork, tests: list[dict[str, Array]], labels: Array, progress: Progress) -> Accuracy:
    name = _logits(network.graph)
    answers: list[tuple[Array, Array]] = []
    for done, feeds in enumerate(tests, 1):
        float_answer, integer_answer = (
            execute(graph, feeds)[name].argmax(axis=1) for graph in (network.float_graph, network.graph)
        )
        answers.append((float_answer, integer_answer))
        progress("test", done, len(tests))
    float_answers, integer_answers = (np.concatenate(part) for part in zip(*answers, strict=True))
    right = labels[: len(float_answers)]
    float_right, integer_right = float_answers == right, integer_answers == right
    return Accuracy(
        samples=len(right),
        float_right=int(float_right.sum()),
        integer_right=int(integer_right.sum()),
        only_one_right=int((float_right != integer_right).sum()),
        agree=int((float_answers == integer_answers).sum()),
    )
