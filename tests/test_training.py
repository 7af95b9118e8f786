"""Training a graph through its own definition: it learns, it is seeded, and what it cannot train it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hls.training import Recipe, initial_values, train, with_values
from model_ir.errors import InputError
from model_ir.graph import execute
from workloads import bert, token_classifier
from workloads.tasks import TRAINABLE, load_digits
from workloads.token_classifier import DIGITS

SMALL = replace(DIGITS, layers=1, features=16, heads=2, hidden=16)


def test_digits_are_learned_in_seconds_and_the_same_again() -> None:
    task = load_digits()
    assert [len(part) for part in (task.train_labels, task.validation_labels, task.test_labels)] == [997, 200, 600]
    graph = token_classifier.build(SMALL, batch=47)
    done: list[tuple[int, int]] = []
    trained, again = (
        train(
            graph,
            task.train_inputs,
            task.train_labels,
            Recipe(epochs=12, learning_rate=1e-2),
            progress=lambda *step: done.append(step),
        )
        for _ in range(2)
    )
    assert done == [(epoch, 12) for epoch in range(1, 13)] * 2
    assert trained.losses == again.losses
    assert trained.losses[-1] < 0.4 < trained.losses[0]
    tested = with_values(token_classifier.build(SMALL, batch=600), trained.values)
    found = execute(tested, {"tokens": task.test_inputs})["logits"].argmax(axis=1)
    assert np.mean(found == task.test_labels) > 0.85


def test_values_start_as_their_operators_want_them() -> None:
    graph = token_classifier.build(SMALL)
    values = initial_values(graph, 0)
    assert set(values) == graph.parameters - set(graph.constants)
    assert np.all(values["embedding.norm.scale"] == 1)
    assert np.all(values["logits.bias"] == 0)
    assert np.std(values["layers.0.feed_forward.in.weight"]) == pytest.approx(16**-0.5, rel=0.2)
    other = initial_values(graph, 1)
    assert np.any(values["logits.weight"] != other["logits.weight"])


def test_what_cannot_be_trained_is_refused() -> None:
    task = load_digits()
    graph = token_classifier.build(SMALL, batch=64)
    with pytest.raises(InputError, match="fewer samples"):
        train(graph, task.train_inputs[:10], task.train_labels[:10], Recipe(epochs=1))
    with pytest.raises(InputError, match="one input"):
        train(bert.build(bert.BERT_BASE, seq=8), task.train_inputs, task.train_labels, Recipe(epochs=1))
    assert all(workload.epochs > 0 for workload in TRAINABLE.values())
