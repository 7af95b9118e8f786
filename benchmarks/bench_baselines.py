"""Float accuracy of every network that comes with a task, on the data that ship: trained here, tested once.

    python -m benchmarks.bench_baselines [NAME ...] [--seeds N]

Accuracy in per cent on the test part, the mean of the seeds, with the binomial standard error of one test; of the jet
networks also the area under the ROC curve of each class against the rest, with Hanley and McNeil's standard error
(Radiology 143, 1982, page 29). CPU seconds are of one training, all threads together.
"""

from __future__ import annotations

import argparse
import time
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from hls.training import Recipe, train, with_values
from model_ir.graph import execute
from workloads.tasks import TRAINABLE, Task, TrainableWorkload

Array = npt.NDArray[Any]
AT_ONCE = 200


def trained_logits(workload: TrainableWorkload, task: Task, seed: int) -> tuple[Array, float]:
    """Logits (samples, classes) of the test part after training, and the CPU seconds that training took."""
    started = time.process_time()
    learned = train(
        workload.build(batch=workload.batch),
        task.train_inputs,
        task.train_labels,
        Recipe(epochs=workload.epochs, learning_rate=workload.learning_rate, seed=seed),
    )
    seconds = time.process_time() - started
    graph = with_values(workload.build(batch=AT_ONCE), learned.values)
    batches = np.split(task.test_inputs, len(task.test_inputs) // AT_ONCE)
    (given,), (output,) = graph.inputs, graph.outputs
    return np.concatenate([execute(graph, {given: batch})[output] for batch in batches]), seconds


def area(scores: Array, positive: Array) -> tuple[float, float]:
    """The chance that a positive sample scores above a negative one, and its standard error."""
    yes, no = int(positive.sum()), int((~positive).sum())
    found = (rankdata(scores)[positive].sum() - yes * (yes + 1) / 2) / (yes * no)
    both_yes, both_no = found / (2 - found), 2 * found**2 / (1 + found)
    variance = found * (1 - found) + (yes - 1) * (both_yes - found**2) + (no - 1) * (both_no - found**2)
    return found, sqrt(variance / (yes * no))


def probabilities(logits: Array) -> Array:
    """Softmax over the last axis."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def measure(name: str, seeds: int) -> None:
    """Print the accuracy of one network, and its areas where the classes are jets."""
    workload = TRAINABLE[name]
    task = workload.load(None)
    runs = [trained_logits(workload, task, seed) for seed in range(seeds)]
    right = [float(np.mean(logits.argmax(axis=1) == task.test_labels)) for logits, _ in runs]
    mean = float(np.mean(right))
    error = sqrt(mean * (1 - mean) / len(task.test_labels))
    each = ", ".join(f"{100 * share:.2f}" for share in right)
    seconds = float(np.mean([seconds for _, seconds in runs]))
    count = len(task.test_labels)
    print(f"{name}: {100 * mean:.2f} ± {100 * error:.2f} % of {count} (seeds: {each}), {seconds:.0f} CPU s")
    if task.name == "jets":
        shares = probabilities(runs[0][0])
        areas = (area(shares[:, label], task.test_labels == label) for label in range(len(task.classes)))
        shown = (f"{word} {found:.3f} ± {wide:.3f}" for word, (found, wide) in zip(task.classes, areas, strict=True))
        print(f"  AUC, seed 0: {', '.join(shown)}")


def main() -> None:
    """Measure the networks asked for, or all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(TRAINABLE))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    for name in options.names:
        measure(name, options.seeds)


if __name__ == "__main__":
    main()
