"""Quantised networks written by hand on a `GraphBuilder`: every weight, bias and activation behind a Quant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from hls.training import Recipe, train
from model_ir.builder import GraphBuilder
from model_ir.graph import Graph, execute
from model_ir.ops.contraction import MatMul
from model_ir.ops.quantisation import Quant
from workloads.layers import linear, unary
from workloads.tasks import load_digit_images

Array = npt.NDArray[Any]
WIDTHS = (64, 16, 10)


def quant(b: GraphBuilder, x: str, scale: Any, bits: Any, *, name: str = "", zero_point: Any = 0, **kind: Any) -> str:
    """A Quant behind `x`, whose constants are named after it."""
    label = name or x
    constants = {"scale": scale, "zero_point": zero_point, "bits": bits}
    inputs = [
        b.parameter(f"{label}.{part}", np.shape(value), value=np.asarray(value, np.float32))
        for part, value in constants.items()
    ]
    return b.apply(Quant, x, *inputs, name=f"{label}.quant", **kind)


def power_of_two(largest: float, high: int) -> float:
    """The least power of two whose `high` multiple reaches `largest`."""
    return float(2.0 ** np.ceil(np.log2(largest / high)))


def float_dense(batch: int, widths: Sequence[int] = WIDTHS) -> Graph:
    """A dense ReLU classifier without values."""
    b = GraphBuilder("dense")
    x = b.input("x", (batch, widths[0]))
    for index, width in enumerate(widths[1:-1]):
        x = unary(b, linear(b, x, f"dense{index}", width), f"relu{index}", "relu")
    return b.finish(linear(b, x, f"dense{len(widths) - 2}", widths[-1]))


def quantised_dense(values: Mapping[str, Array], inputs: Array, bits: int, batch: int) -> Graph:
    """The same with the values `values`, rounded to `bits` bits by the ranges that it has on `inputs`; its input to 8
    bits, biases to their sums' grid."""
    widths = (*(values[f"dense{index}.weight"].shape[0] for index in range(len(values) // 2)), 0)
    b = GraphBuilder("dense")
    x, seen = b.input("x", (batch, widths[0])), inputs
    scale = power_of_two(float(abs(inputs).max()), 127)
    x = quant(b, x, scale, 8)
    for index in range(len(widths) - 1):
        name = f"dense{index}"
        weight, bias = values[f"{name}.weight"], values[f"{name}.bias"]
        weight_scale = power_of_two(float(abs(weight).max()), 2 ** (bits - 1) - 1)
        terms = (
            quant(b, b.parameter(f"{name}.weight", weight.shape, value=weight), weight_scale, bits, narrow=True),
            quant(b, b.parameter(f"{name}.bias", bias.shape, value=bias), scale * weight_scale, 16),
        )
        x, seen = b.apply(MatMul, x, *terms, name=name), seen @ weight + bias
        if index < len(widths) - 2:
            seen = np.maximum(seen, 0)
            scale = power_of_two(float(seen.max()), 2**bits - 1)
            x = quant(b, unary(b, x, f"relu{index}", "relu"), scale, bits, signed=False)
    return b.finish(x)


@cache
def digits() -> dict[str, Array]:
    """Handwritten digits (samples, 64) from 0 to 1: what to learn from, and what to measure with."""
    task = load_digit_images()
    return {
        "x": task.train_inputs.reshape(-1, 64),
        "y": task.train_labels,
        "test_x": task.test_inputs.reshape(-1, 64),
        "test_y": task.test_labels,
    }


@cache
def digit_values() -> dict[str, Array]:
    """A small dense network trained on them."""
    data = digits()
    graph = float_dense(57)
    return dict(train(graph, data["x"], data["y"], Recipe(epochs=30, learning_rate=1e-2)).values)


def quantised_digits(bits: int, batch: int = 57) -> Graph:
    """That network, rounded."""
    return quantised_dense(digit_values(), digits()["x"], bits, batch)


def measured(graph: Graph) -> tuple[float, float]:
    """Cross-entropy and accuracy of a network for digits on the test samples, in numpy."""
    data, batch = digits(), graph.tensors["x"].shape[0]
    rows = len(data["test_y"]) // batch * batch
    found = [execute(graph, {"x": part})[graph.outputs[0]] for part in data["test_x"][:rows].reshape(-1, batch, 64)]
    logits = np.concatenate(found).astype(np.float64)
    labels = data["test_y"][:rows]
    likelihood = logits[np.arange(rows), labels] - np.log(np.exp(logits).sum(axis=1))
    return -float(likelihood.mean()), float(np.mean(logits.argmax(axis=1) == labels))
