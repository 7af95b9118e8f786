"""Surfaces whose Hessians are known or small enough to write out: quadratics, small networks, the jet tagger."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from hls.data import Data
from hls.parts import Part
from hls.sensitivity.graph_loss import graph_surface
from hls.sensitivity.surface import Surface
from model_ir.builder import GraphBuilder
from model_ir.graph import Graph, random_parameters
from model_ir.ops.normalisation import Softmax
from workloads.catalogue import build
from workloads.layers import linear, unary

Floats = npt.NDArray[np.float64]

SHAPES = {"a": (3, 2), "b": (4,)}
SIZE = 10


def symmetric(seed: int, size: int = SIZE) -> Floats:
    matrix = np.random.default_rng(seed).standard_normal((size, size))
    return (matrix + matrix.T) / 2


def flat(vector: Mapping[str, Any]) -> Any:
    return jnp.concatenate([vector[name].ravel() for name in SHAPES])


def quadratic(*matrices: Floats) -> Surface:
    """Mean over the batches of (start + shift) . A (start + shift) / 2, A the batch's matrix."""
    start = np.random.default_rng(7).standard_normal(SIZE)

    def function(shift: Mapping[str, Any], batch: Any) -> Any:
        point = flat(shift) + jnp.asarray(start, jnp.float32)
        return point @ batch @ point / 2

    split = {"a": start[:6].reshape(3, 2), "b": start[6:]}
    return Surface(
        shapes=SHAPES,
        batches=[jnp.asarray(matrix, jnp.float32) for matrix in matrices],
        function=function,
        values=lambda name, _: split[name],
    )


def exact_block(surface: Surface, parts: list[Part]) -> Floats:
    """The block, a column at a time."""
    size, apply = surface.operator(parts)
    return np.stack([apply(column) for column in np.eye(size)], axis=1)


def small_dense(batch: int) -> Graph:
    b = GraphBuilder("dense")
    x = unary(b, linear(b, b.input("x", (batch, 3)), "one", 4), "bend", "tanh")
    return b.finish(b.apply(Softmax, linear(b, x, "two", 3), name="chances", axis=-1))


def small_data(graph: Graph, rows: int, classes: int, seed: int = 0) -> Data:
    generator = np.random.default_rng(seed)
    inputs = {
        name: generator.standard_normal((rows, *graph.tensors[name].shape[1:])).astype(np.float32)
        for name in graph.inputs
    }
    return Data(inputs=inputs, labels=np.arange(rows) % classes)


JETS = Path(__file__).parent.parent.parent / "shared" / "jets" / "jets_r04_hlf.npz"


def jet_surface(rows: int = 2000, batch: int = 100) -> Surface:
    """The jet tagger with random weights on real jets where they are, else on noise."""
    graph = build("jet-tagger", batch=batch)
    generator = np.random.default_rng(0)
    features, labels = generator.standard_normal((rows, 16)), np.arange(rows) % 5
    if JETS.exists():
        data = np.load(JETS)
        features, labels = data["X"][:rows], data["y"][:rows].astype(np.int64)
        features = (features - features.mean(axis=0)) / features.std(axis=0)
    return graph_surface(
        graph, random_parameters(graph), Data(inputs={"features": features.astype(np.float32)}, labels=labels)
    )
