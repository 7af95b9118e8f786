"""Random parameters let every network run: reproducible, float32, scaled by fan-in, variances positive."""

import numpy as np

from model_ir.builder import GraphBuilder
from model_ir.graph import Graph, execute, random_parameters
from model_ir.ops.contraction import Conv
from model_ir.ops.normalisation import BatchNorm


def network() -> Graph:
    builder = GraphBuilder("norms")
    hidden = builder.input("x", (1, 32, 6, 6))
    for layer in range(12):
        weight = builder.parameter(f"weight_{layer}", (32, 32, 3, 3))
        window = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1)}
        hidden = builder.apply(Conv, hidden, weight, **window)
        vectors = [builder.parameter(f"{what}_{layer}", (32,)) for what in ("scale", "bias", "mean", "var")]
        hidden = builder.apply(BatchNorm, hidden, *vectors)
    return builder.finish(hidden)


def test_a_deep_normalised_network_stays_finite() -> None:
    graph = network()
    values = random_parameters(graph)
    assert all(value.dtype == np.float32 for value in values.values())
    assert all(np.min(value) >= 0.5 for name, value in values.items() if name.startswith("var"))
    assert abs(float(np.std(values["weight_0"])) * (32 * 9) ** 0.5 - 1) < 0.05
    (result,) = execute(graph, values | {"x": np.ones((1, 32, 6, 6), np.float32)}).values()
    assert np.all(np.isfinite(result))
    assert np.std(result) > 1e-3


def test_the_seed_decides() -> None:
    first, again, other = (random_parameters(network(), seed)["weight_3"] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
