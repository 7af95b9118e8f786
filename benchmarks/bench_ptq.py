"""Post-training quantisation of the jet tagger: `python -m benchmarks.bench_ptq [--seeds N]`.

Float, uniform widths, and bits allocated by squared error and by Hessian trace (HAWQ's Omega) under the same size of
weights, activations at 8 bits; accuracy of the integer form on the 10 000 jets of the test with its binomial standard
deviation, and the paired difference of the two allocations with its own (of the jets on which just one is right).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hls.allocation.allocate import allocate
from hls.allocation.costs import model_size, table
from hls.allocation.network import choices_for, quantisable
from hls.allocation.problem import Budget, Problem
from hls.data import Data
from hls.parts import whole
from hls.quantise.calibrate import calibrated
from hls.quantise.error import Costs, omega, rounding_errors
from hls.quantise.insert import quantised
from hls.quantise.integer_form import integer_form, run
from hls.quantise.scheme import FIXED_POINT, Scheme
from hls.sensitivity.graph_loss import graph_surface
from hls.sensitivity.measures import Question, traces_of
from hls.training import Recipe, train, with_values
from model_ir.graph import Graph, execute
from model_ir.passes.batch_size import with_batch_size
from workloads.tasks import TRAINABLE, Task

BITS = (2, 3, 4, 5, 6, 7, 8)
AVERAGES = (2.5, 3.5, 4.5)
ROWS = 4000
"""Of the training data, for traces and calibration."""
SCHEMES = {
    "fixed point: least error, powers of two, one scale a tensor": FIXED_POINT,
    "least error, any scale, one a channel": Scheme(scales="free", per_channel=True, narrow_weights=False),
    "whole range, any scale, one a tensor": Scheme(clip="max", scales="free"),
}
Right = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A trained network, its task, and the mean Hessian traces of its weights."""

    graph: Graph
    task: Task
    traces: dict[str, float]


def main() -> None:
    """Train once a seed and print a table a scheme."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    settings = [trained(seed) for seed in range(options.seeds)]
    print(f"float: {shown([float_right(setting) for setting in settings])}")
    for title, scheme in SCHEMES.items():
        print(f"\n{title}\nbits  uniform        squared error  Hessian-aware  Hessian - squared error")
        errors = [rounding_errors(one.graph, one.task.train_inputs[:ROWS], BITS, scheme) for one in settings]
        for average in sorted({*map(float, BITS[:-1]), *AVERAGES}):
            print(row(settings, errors, scheme, average))


def row(settings: list[Setting], errors: list[Costs], scheme: Scheme, average: float) -> str:
    """One line of the table: the same average number of bits by each way to choose."""
    uniform = "-"
    if average in BITS:
        same = [dict.fromkeys(one.traces, int(average)) for one in settings]
        uniform = shown([right(one, bits, scheme) for one, bits in zip(settings, same, strict=True)])
    plain, aware = [], []
    for one, error in zip(settings, errors, strict=True):
        weights = {name: error[name] for name in one.traces}
        plain.append(right(one, chosen(one.graph, weights, average), scheme))
        aware.append(right(one, chosen(one.graph, omega(weights, one.traces), average), scheme))
    difference = np.concatenate(aware).astype(float) - np.concatenate(plain)
    spread = np.sqrt(np.sum(difference**2)) / len(difference)
    gain = f"{100 * difference.mean():+.2f} +- {100 * spread:.2f}"
    return f"{average:4.1f}  {uniform:13s}  {shown(plain):13s}  {shown(aware):13s}  {gain}"


def trained(seed: int) -> Setting:
    """The jet tagger after training, and the traces of its weights on part of the training data."""
    workload = TRAINABLE["jet-tagger"]
    task, graph = workload.load(None), workload.build(batch=workload.batch)
    recipe = Recipe(epochs=workload.epochs, learning_rate=workload.learning_rate, seed=seed)
    graph = with_values(graph, train(graph, task.train_inputs, task.train_labels, recipe).values)
    graph = with_batch_size(graph, ROWS)
    data = Data(inputs={graph.inputs[0]: task.train_inputs[:ROWS]}, labels=task.train_labels[:ROWS])
    names = [part.tensor for part in quantisable(graph).weights]
    parts = tuple(whole(name, graph.tensors[name].shape) for name in names)
    surface = graph_surface(graph, graph.constants, data)
    traces = traces_of(Question(surface=surface, parts=parts, bits=BITS))
    means = {name: traces.estimates[name].mean for name in names}
    return Setting(graph=graph, task=task, traces=means)


def chosen(graph: Graph, costs: Costs, average: float) -> dict[str, int]:
    """The bits of least cost whose average over all weights is at most `average`."""
    choices = choices_for(tuple(costs), BITS)
    size = model_size(quantisable(graph).elements, choices)
    elements = sum(quantisable(graph).elements.values())
    cost = table("cost", "", costs)
    problem = Problem(choices=choices, objective=cost, budgets=(Budget(amount=size, limit=elements * average / 8),))
    return dict(allocate(problem).bits)


def right(setting: Setting, bits: dict[str, int], scheme: Scheme) -> Right:
    """Which jets of the test the integer network tells, weights at `bits`, activations at 8."""
    graph, task = setting.graph, setting.task
    every = dict.fromkeys(quantisable(graph).activations, 8) | bits
    form = integer_form(quantised(graph, calibrated(graph, task.train_inputs[:ROWS], every, scheme)))
    answers = (run(form, task.test_inputs) * form.output_scale).argmax(axis=1)
    return np.equal(answers, task.test_labels)


def float_right(setting: Setting) -> Right:
    """Which jets of the test the float network tells."""
    task = setting.task
    graph = with_batch_size(setting.graph, len(task.test_inputs))
    logits = execute(graph, {graph.inputs[0]: task.test_inputs})[graph.outputs[0]]
    return np.equal(logits.argmax(axis=1), task.test_labels)


def shown(found: list[Right]) -> str:
    """Accuracy in per cent over all seeds, and the standard deviation of one test's."""
    accuracy = float(np.mean(np.concatenate(found)))
    return f"{100 * accuracy:.2f} +- {100 * np.sqrt(accuracy * (1 - accuracy) / len(found[0])):.2f}"


if __name__ == "__main__":
    main()
