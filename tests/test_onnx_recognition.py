"""Recognition of decomposed operators in every spelling that exporters use, and of what only looks like one."""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt
from pathlib import Path

import numpy as np
import pytest
from onnx_cases import Writer, checked_passes, kinds

GELU_FORMS: dict[str, Callable[[Writer, str], str]] = {
    "old torch": lambda w, x: w.op(
        "Mul", w.op("Mul", x, w.op("Add", w.op("Erf", w.op("Div", x, w.real(sqrt(2)))), w.real(1))), w.real(0.5)
    ),
    "tensorflow": lambda w, x: w.op("Mul", x, w.op("Mul", w.real(0.5), w.op("Add", w.real(1), w.op("Tanh", w.op(
        "Mul", w.real(sqrt(2 / pi)), w.op("Add", x, w.op("Mul", w.real(0.044715), w.op("Pow", x, w.real(3))))))))),
    "half first": lambda w, x: w.op(
        "Mul", w.op("Mul", w.real(0.5), x), w.op("Add", w.real(1), w.op("Erf", w.op("Mul", x, w.real(sqrt(0.5)))))
    ),
    "half last": lambda w, x: w.op(
        "Div", w.op("Mul", w.op("Add", w.op("Erf", w.op("Div", x, w.real(1.4142135))), w.real(1)), x), w.real(2)
    ),
    "distributed": lambda w, x: w.op(
        "Add", w.op("Mul", x, w.real(0.5)),
        w.op("Mul", w.op("Mul", x, w.op("Erf", w.op("Mul", x, w.real(sqrt(0.5))))), w.real(0.5)),
    ),
    "cube by products": lambda w, x: w.op(
        "Mul", w.op("Mul", x, w.real(0.5)),
        w.op("Add", w.op("Tanh", w.op("Mul", w.op("Add", w.op(
            "Mul", w.op("Mul", w.op("Mul", x, x), x), w.real(0.044715)), x), w.real(0.7978846))), w.real(1)),
    ),
    "fast": lambda w, x: w.op(
        "Mul", w.op("Mul", w.real(0.5), x),
        w.op("Add", w.real(1), w.op("Tanh", w.op("Mul", w.op("Mul", x, w.real(0.7978845608)), w.op(
            "Add", w.real(1), w.op("Mul", w.op("Mul", w.real(0.044715), x), x))))),
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", sorted(GELU_FORMS))
def test_gelu_in_every_spelling(tmp_path: Path, form: str) -> None:
    w = Writer(17)
    # A sum as argument, so that x itself is arithmetic.
    x = w.op("Add", w.input("x", [3, 40]), w.weight(40))
    w.output(GELU_FORMS[form](w, x))
    passed = checked_passes(
        w.model(), tmp_path, {"x": np.random.default_rng(0).standard_normal((3, 40)).astype(np.float32) * 3}
    )
    assert kinds(passed) == {"Binary": 1, "Gelu": 1}


ALMOST_GELU: dict[str, Callable[[Writer, str, str], str]] = {
    "another slope": lambda w, x, _: w.op(
        "Mul", w.op("Mul", w.real(0.5), x), w.op("Add", w.real(1), w.op("Erf", w.op("Mul", x, w.real(0.7))))
    ),
    "another gate": lambda w, x, y: w.op(
        "Mul", w.op("Mul", w.real(0.5), x), w.op("Add", w.real(1), w.op("Erf", w.op("Mul", y, w.real(sqrt(0.5)))))
    ),
    "no half": lambda w, x, _: w.op("Mul", x, w.op("Add", w.real(1), w.op("Erf", w.op("Mul", x, w.real(sqrt(0.5)))))),
    "swish of another": lambda w, x, y: w.op("Mul", x, w.op("Sigmoid", y)),
    "swish of another slope": lambda w, x, _: w.op("Mul", x, w.op("Sigmoid", w.op("Mul", x, w.real(1.5)))),
}


@pytest.mark.parametrize("form", sorted(ALMOST_GELU))
def test_what_only_looks_like_an_activation_stays(tmp_path: Path, form: str) -> None:
    w = Writer(17)
    x, y = w.input("x", [3, 40]), w.input("y", [3, 40])
    w.output(ALMOST_GELU[form](w, x, y))
    w.output(w.op("Neg", y))
    rng = np.random.default_rng(0)
    feeds = {name: rng.standard_normal((3, 40)).astype(np.float32) for name in ("x", "y")}
    passed = checked_passes(w.model(), tmp_path, feeds)
    assert kinds(passed)["Gelu"] == 0
    assert kinds(passed)["Binary"] >= 1
    assert not {"silu", "gelu_sigmoid"} & {getattr(op, "function", "") for op in passed.ops}


def norm_over(w: Writer, x: str, axes: list[int], centre: str = "") -> str:
    deviation = w.op("Sub", x, w.op("ReduceMean", centre or x, axes=axes))
    variance = w.op("ReduceMean", w.op("Pow", deviation, w.real(2.0)), axes=axes)
    return w.op("Div", deviation, w.op("Sqrt", w.op("Add", variance, w.real(1e-5))))


def test_norm_over_other_than_trailing_axes_stays(tmp_path: Path) -> None:
    w = Writer(13)
    x = w.input("x", [2, 3, 4])
    w.output(norm_over(w, x, [1]))
    w.output(norm_over(w, x, [1, 2]))
    feeds = {"x": np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)}
    passed = checked_passes(w.model(), tmp_path, feeds)
    assert kinds(passed)["LayerNorm"] == 1
    assert kinds(passed)["Reduce"] == 2


def test_intermediate_read_elsewhere_survives_recognition(tmp_path: Path) -> None:
    w = Writer(13)
    x = w.input("x", [2, 6])
    exponentials = w.op("Exp", x)
    total = w.op("ReduceSum", exponentials, w.stored(np.array([1])))
    w.output(w.op("Div", exponentials, total))
    w.output(w.op("Log", total))
    passed = checked_passes(
        w.model(), tmp_path, {"x": np.random.default_rng(0).standard_normal((2, 6)).astype(np.float32)}
    )
    assert kinds(passed) == {"Unary": 2, "Reduce": 1, "Softmax": 1}
