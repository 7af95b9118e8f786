"""What everything of hls that is given data refuses, and what it takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hls.data import check_classification, check_inputs
from hls.training import Recipe, train
from model_ir.builder import GraphBuilder
from model_ir.errors import InputError
from workloads.layers import linear

GOOD = np.ones((8, 3), np.float32)
LABELS = np.arange(8) % 2


def classifier(batch: int = 4) -> Any:
    b = GraphBuilder("dense")
    return b.finish(linear(b, b.input("x", (batch, 3)), "one", 2))


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        (np.ones((8, 4), np.float32), LABELS, r"data 'x': wrong shape.*limit \(rows, 3\)"),
        (np.ones((8, 3, 1), np.float32), LABELS, "wrong shape"),
        (np.where(np.eye(8, 3) == 1, np.nan, GOOD), LABELS, "not finite.*first in row 0"),
        (np.full((8, 3), np.inf), LABELS, "not finite"),
        (np.full((8, 3), "one"), LABELS, "holds no numbers"),
        (GOOD[:0], LABELS[:0], "wrong number of rows"),
        (GOOD[:2], LABELS[:2], "fewer samples than one batch"),
        (GOOD, LABELS[:7], "one a sample"),
        (GOOD, LABELS[:, None], "one a sample"),
        (GOOD, LABELS + 1, r"out of range \(value 2, limit 0 to 1\)"),
        (GOOD, LABELS - 1, r"out of range \(value -1"),
        (GOOD, np.zeros(8, np.int64), "only one class"),
        (GOOD, LABELS.astype(np.float32), "whole numbers"),
    ],
)
def test_what_is_no_data_for_a_classifier_is_refused(inputs: Any, labels: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_classification(classifier(), inputs, labels)
    with pytest.raises(InputError, match=message):
        train(classifier(), inputs, labels, Recipe(epochs=1))


def test_data_that_fit_are_taken() -> None:
    check_classification(classifier(), GOOD, LABELS)
    assert check_inputs(classifier(), {"x": GOOD.astype(np.int64)}) == 8


def test_every_input_needs_as_many_rows() -> None:
    b = GraphBuilder("two")
    graph = b.finish(linear(b, b.input("x", (4, 3)), "one", 2), linear(b, b.input("y", (4, 5)), "two", 2))
    with pytest.raises(InputError, match=r"data 'y': wrong number of rows \(value 7, limit 8\)"):
        check_inputs(graph, {"x": GOOD, "y": np.ones((7, 5))})
    with pytest.raises(InputError, match="no values for input 'y'"):
        check_inputs(graph, {"x": GOOD})
    with pytest.raises(InputError, match="one input and one output"):
        check_classification(graph, GOOD, LABELS)
