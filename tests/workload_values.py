"""Random inputs and parameters with which every workload can be executed, for the tests of the workloads."""

from typing import Any

import numpy as np
import numpy.typing as npt

from model_ir.graph import Graph, execute, random_parameters
from model_ir.ops.normalisation import BatchNorm

Values = dict[str, npt.NDArray[Any]]


def parameters(graph: Graph, seed: int = 0) -> Values:
    """Random parameters; running variances positive, as a variance is."""
    values = random_parameters(graph, seed)
    variances = {op.inputs[4] for op in graph.ops if isinstance(op, BatchNorm)}
    return {name: np.abs(value) + 0.5 if name in variances else value for name, value in values.items()}


def inputs(graph: Graph, rows: int, seed: int = 1) -> Values:
    """Integers below `rows` for integer inputs, standard normal numbers for the rest."""
    generator = np.random.default_rng(seed)
    feeds: Values = {}
    for name in graph.inputs:
        tensor = graph.tensors[name]
        if tensor.precision.is_float:
            feeds[name] = generator.standard_normal(tensor.shape).astype(np.float32)
        else:
            feeds[name] = generator.integers(0, rows, tensor.shape).astype(np.int32)
    return feeds


def outputs(graph: Graph, feeds: Values, xp: Any = np) -> list[npt.NDArray[Any]]:
    """The graph's outputs in order."""
    results = execute(graph, feeds, xp)
    return [np.asarray(results[name]) for name in graph.outputs]


def assert_close(actual: npt.NDArray[Any], expected: npt.NDArray[Any], relative: float = 1e-4) -> None:
    """Equal up to `relative` times the largest magnitude expected; and finite."""
    assert actual.shape == expected.shape
    assert np.isfinite(actual).all()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=relative * np.abs(expected).max())
