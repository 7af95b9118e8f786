"""Retraining after quantisation: the jet tagger's accuracy as trained, rounded, and retrained, at uniform bits.

    python -m benchmarks.bench_qat [NETWORK] [--bits 2 3 4 5 6] [--epochs N] [--input-bits N] [--seed N]

Weights and activations between layers at so many bits, the input at 8; power-of-two scales. Errors are binomial, one
sigma, of the test samples; CPU seconds are this process's, all threads. The test samples are looked at only here.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from hls.allocation.network import quantisable
from hls.quantise.calibrate import calibrated
from hls.quantise.insert import quantised
from hls.retraining.retrain import RetrainingRecipe, retrain
from hls.training import Recipe, train, with_values
from model_ir.graph import Graph, execute
from model_ir.passes.batch_size import with_batch_size
from workloads.tasks import TRAINABLE, Task


def main() -> None:
    """Train once, then one line a bit width."""
    parser = argparse.ArgumentParser()
    parser.add_argument("network", nargs="?", default="jet-tagger", choices=["jet-tagger", "digits-cnn"])
    parser.add_argument("--bits", type=int, nargs="+", default=[2, 3, 4, 5, 6])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--input-bits", type=int, default=8)
    parser.add_argument("--weights-only", action="store_true", help="activations at 8 bits")
    parser.add_argument("--learning-rate", type=float, default=RetrainingRecipe(epochs=1).learning_rate)
    parser.add_argument("--scale-reach", type=float, default=RetrainingRecipe(epochs=1).scale_reach)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    workload = TRAINABLE[options.network]
    task = workload.load(None)
    start = time.process_time()
    graph = workload.build(batch=workload.batch)
    recipe = Recipe(epochs=workload.epochs, learning_rate=workload.learning_rate, seed=options.seed)
    graph = with_values(graph, train(graph, task.train_inputs, task.train_labels, recipe).values)
    print(f"float: {shown(graph, task)} %, {time.process_time() - start:.1f} CPU s")
    retraining = RetrainingRecipe(
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        scale_reach=options.scale_reach,
        seed=options.seed,
    )
    for width in options.bits:
        what = quantisable(graph)
        bits = dict.fromkeys(what.activations, 8 if options.weights_only else width)
        bits |= {graph.inputs[0]: options.input_bits} | dict.fromkeys(what.elements, width)
        rounded = quantised(graph, calibrated(graph, task.train_inputs[:4096], bits))
        start = time.process_time()
        done = retrain(
            rounded,
            task.train_inputs,
            task.train_labels,
            retraining,
            validation=(task.validation_inputs, task.validation_labels),
        )
        seconds = time.process_time() - start
        print(f"{width} bits: rounded {shown(rounded, task)} %, retrained {shown(done.graph, task)} %", end=", ")
        print(f"{seconds:.1f} CPU s; validation cross-entropy", *(f"{loss:.4f}" for loss, _ in done.scores))


def shown(graph: Graph, task: Task) -> str:
    """Accuracy on the test samples in per cent, and its standard deviation."""
    whole = with_batch_size(graph, len(task.test_labels))
    logits = execute(whole, {graph.inputs[0]: task.test_inputs})[graph.outputs[0]]
    share = float(np.mean(logits.argmax(axis=1) == task.test_labels))
    return f"{100 * share:.2f} +- {100 * np.sqrt(share * (1 - share) / len(task.test_labels)):.2f}"


if __name__ == "__main__":
    main()
