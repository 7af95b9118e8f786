"""Hessian-vector products of graphs against full Hessians and central differences in float64; unusable data and graphs
are refused."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import pytest
from sensitivity_cases import SHAPES, exact_block, quadratic, small_data, small_dense, symmetric

from hls.data import Data
from hls.layers import activations_of, weights_of
from hls.parts import Part, group_parts, whole
from hls.sensitivity.graph_loss import graph_surface
from model_ir.builder import GraphBuilder
from model_ir.errors import InputError
from model_ir.graph import Graph, execute, random_parameters
from model_ir.ops.movement import Reshape
from model_ir.ops.pooling import GlobalPool
from model_ir.ops.quantisation import Quant
from workloads import bert, gpt2
from workloads.layers import conv, linear, unary

Floats = npt.NDArray[np.float64]

# --- products -------------------------------------------------------------------------------------------------------


def test_products_of_a_quadratic_are_its_matrix() -> None:
    first, second = symmetric(0), symmetric(1)
    surface = quadratic(first, second)
    mean = (first + second) / 2
    both = [whole(name, shape) for name, shape in SHAPES.items()]
    np.testing.assert_allclose(exact_block(surface, both), mean, atol=1e-6)
    np.testing.assert_allclose(exact_block(surface, both[1:]), mean[6:, 6:], atol=1e-6)
    np.testing.assert_allclose(exact_block(surface.on([1]), both[:1]), second[:6, :6], atol=1e-6)
    column = Part(tensor="a", shape=(3, 2), axis=1, start=1, stop=2)
    np.testing.assert_allclose(exact_block(surface, [column]), mean[1:6:2, 1:6:2], atol=1e-6)


def test_the_full_hessian_of_a_small_network() -> None:
    """Against jax.hessian of the network written down a second time, activations included."""
    graph = small_dense(4)
    parameters, data = random_parameters(graph, 3), small_data(graph, 4, 3)
    names = ("one.weight", "two.weight", "x", "bend")
    surface = graph_surface(graph, parameters, data, tensors=names)
    sizes = np.cumsum([0, *(int(np.prod(surface.shapes[name])) for name in names)])

    def loss(shift: Any) -> Any:
        parts = zip(names, sizes, sizes[1:], strict=False)
        s = {name: shift[i:j].reshape(surface.shapes[name]) for name, i, j in parts}
        hidden = (data.inputs["x"] + s["x"]) @ (parameters["one.weight"] + s["one.weight"]) + parameters["one.bias"]
        logits = (jnp.tanh(hidden) + s["bend"]) @ (parameters["two.weight"] + s["two.weight"]) + parameters["two.bias"]
        chances = jnp.exp(logits) / jnp.exp(logits).sum(axis=1, keepdims=True)
        return -jnp.log(chances[jnp.arange(4), data.labels]).mean()

    expected = jax.jit(jax.hessian(loss))(jnp.zeros(sizes[-1]))
    found = exact_block(surface, [whole(name, surface.shapes[name]) for name in names])
    np.testing.assert_allclose(found, expected, atol=2e-6)
    np.testing.assert_allclose(surface.loss(), jax.jit(loss)(jnp.zeros(sizes[-1])), rtol=1e-6)


def small_convolutions(batch: int) -> Graph:
    b = GraphBuilder("convolutions")
    x = b.input("image", (batch, 2, 6, 6))
    x = unary(b, conv(b, x, "one", 4, (3, 3), stride=2), "one.bend", "gelu_sigmoid")
    x = unary(b, conv(b, x, "two", 4, (3, 3), groups=2), "two.bend", "tanh")
    pooled = b.apply(Reshape, b.apply(GlobalPool, x, name="pool", function="mean"), name="flat", shape=(batch, 4))
    return b.finish(linear(b, pooled, "head", 3))


SMALL_GPT2 = replace(gpt2.GPT2_SMALL, layers=1, features=8, heads=2, hidden=12, vocabulary=20, positions=8)
SMALL_BERT = replace(bert.BERT_BASE, layers=1, features=8, heads=2, hidden=12, vocabulary=20, positions=8)


def token_graph() -> tuple[Graph, Data]:
    graph = bert.build(SMALL_BERT, seq=4, batch=2)
    generator = np.random.default_rng(5)
    inputs = {
        name: generator.integers(0, 2, (4, *graph.tensors[name].shape[1:]))
        if not graph.tensors[name].precision.is_float
        else np.zeros((4, *graph.tensors[name].shape[1:]), np.float32)
        for name in graph.inputs
    }
    return graph, Data(inputs=inputs, labels=np.zeros(4))


def run_with_shift(graph: Graph, feeds: Mapping[str, Any], shift: Mapping[str, Floats]) -> Any:
    """The first output on numpy, `shift` added to each tensor as soon as there is a value for it."""
    values = {name: value + shift.get(name, 0) for name, value in feeds.items()}
    for op in graph.ops:
        results = op.evaluate(np, *(values[name] if name else None for name in op.inputs))
        values |= {
            name: value + shift[name] if name in shift else value
            for name, value in zip(op.outputs, results, strict=True)
        }
    return values[graph.outputs[0]]


def curvature_by_differences(
    graph: Graph, parameters: Mapping[str, Any], data: Data, direction: Mapping[str, Floats], loss: Any
) -> float:
    """Second derivative of the mean loss along `direction`, central differences in float64."""
    size = graph.tensors[graph.inputs[0]].shape[0]
    constants = {**parameters, **graph.constants}
    floats = {n: v.astype(np.float64) if np.issubdtype(v.dtype, np.floating) else v for n, v in constants.items()}
    step, total = 1e-4, 0.0
    for start in range(0, data.rows, size):
        rows = slice(start, start + size)
        inputs = {n: v[rows].astype(np.float64) if v.dtype == np.float32 else v[rows] for n, v in data.inputs.items()}
        above, at, below = (
            loss(
                run_with_shift(graph, {**floats, **inputs}, {n: v * s for n, v in direction.items()}), data.labels[rows]
            )
            for s in (step, 0.0, -step)
        )
        total += (above - 2 * at + below) / step**2
    return total / (data.rows // size)


def plain_cross_entropy(logits: Floats, labels: Any) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return float((np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]).mean())


@pytest.mark.parametrize("which", ["convolutions", "transformer"])
def test_curvature_of_every_tensor_by_central_differences(which: str) -> None:
    """Products are exact for convolutions (strided, grouped), attention, LayerNorm, GELU and a scalar of the user's."""
    if which == "convolutions":
        graph = small_convolutions(2)
        data, plain, loss = small_data(graph, 6, 3), plain_cross_entropy, None
    else:
        graph, data = token_graph()

        def plain(output: Floats, _: Any) -> float:
            return float(np.mean(np.sin(output)))

        def loss(outputs: Mapping[str, Any], _: Any) -> Any:
            return jnp.mean(jnp.sin(outputs[graph.outputs[0]]))

    parameters = random_parameters(graph, 1)
    surface = graph_surface(graph, parameters, data, loss=loss)
    assert set(surface.shapes) == {*weights_of(graph), *activations_of(graph)}
    generator = np.random.default_rng(2)
    directions = [{name: generator.standard_normal(shape)} for name, shape in surface.shapes.items()]
    directions.append({name: generator.standard_normal(shape) for name, shape in surface.shapes.items()})
    for direction in directions:
        found = surface.product(direction)
        along = sum(float((direction[name] * found[name]).sum()) for name in direction)
        expected = curvature_by_differences(graph, parameters, data, direction, plain)
        assert along == pytest.approx(expected, rel=2e-3, abs=2e-5), list(direction)


def test_labels_of_every_token() -> None:
    """A language model's cross-entropy is the mean over rows and tokens; its other outputs do not count."""
    graph = gpt2.build(SMALL_GPT2, seq=3, batch=2)
    generator = np.random.default_rng(4)
    tokens = generator.integers(0, 20, (4, 4))
    parameters = random_parameters(graph)
    data = Data(inputs={"input_ids": tokens[:, :-1]}, labels=tokens[:, 1:])
    surface = graph_surface(graph, parameters, data, tensors=weights_of(graph)[:1])
    losses = []
    for rows in (slice(0, 2), slice(2, 4)):
        logits = execute(graph, parameters | {"input_ids": tokens[rows, :-1]})[graph.outputs[0]]
        losses.append(plain_cross_entropy(logits.reshape(6, 20), tokens[rows, 1:].ravel()))
    assert surface.loss() == pytest.approx(np.mean(losses), rel=1e-5)
    with pytest.raises(InputError, match="do not fit the output"):
        graph_surface(graph, parameters, Data(inputs=data.inputs, labels=tokens[:, 0]))


def test_what_an_activation_is_and_who_sees_its_shift() -> None:
    """A shift of a tensor that is read twice reaches both readers, and one of the graph's output the loss."""
    b = GraphBuilder("twice")
    x = b.input("x", (2, 3))
    y = unary(b, x, "y", "tanh")
    graph = b.finish(linear(b, y, "left", 2, bias=False), y)
    weight = np.ones((3, 2), np.float32)
    data = Data(inputs={"x": np.full((2, 3), 0.5, np.float32)}, labels=np.zeros(2))
    surface = graph_surface(
        graph,
        {"left.weight": weight},
        data,
        tensors=["y"],
        loss=lambda outputs, _: sum(jnp.sum(value) for value in outputs.values()),
    )
    assert surface.loss([{"y": np.ones((2, 3))}]) - surface.loss() == pytest.approx(6 * (2 + 1), rel=1e-5)
    np.testing.assert_allclose(surface.values("y", 0), np.tanh(data.inputs["x"]), rtol=1e-6)


# --- unusable input -------------------------------------------------------------------------------------------------


def refused(message: str, **change: Any) -> None:
    graph = small_dense(4)
    good = small_data(graph, 8, 3)
    asked = {"inputs": good.inputs, "labels": good.labels} | change
    with pytest.raises(InputError, match=message):
        graph_surface(graph, random_parameters(graph), Data(**asked))


def test_unusable_data() -> None:
    good = small_data(small_dense(4), 8, 3).inputs["x"]
    holed = good.copy()
    holed[5, 1] = np.nan
    refused("wrong shape.*limit \\(rows, 3\\)", inputs={"x": np.zeros((8, 4), np.float32)})
    refused("not finite.*row 5", inputs={"x": holed})
    refused("no values for input 'x'", inputs={"y": good})
    refused("another number of rows", inputs={"x": good[:4]})
    refused("rows do not make whole batches.*value 6", inputs={"x": good[:6]}, labels=np.arange(6) % 3)
    refused("only one class", labels=np.ones(8, np.int64))
    refused("out of range.*value 3, limit 0 to 2", labels=np.arange(8) % 4)
    refused("out of range.*value -1", labels=np.arange(8) % 3 - 1)
    refused("whole numbers", labels=np.linspace(0, 2, 8))
    refused("do not fit the output", labels=np.zeros((8, 2), np.int64))
    refused("there are none|do not make", inputs={"x": good[:0]}, labels=np.zeros(0, np.int64))


def test_unusable_graphs_and_tensors() -> None:
    graph = small_dense(4)
    data = small_data(graph, 4, 3)
    with pytest.raises(InputError, match="no tensor 'three'"):
        graph_surface(graph, random_parameters(graph), data, tensors=["three"])
    with pytest.raises(InputError, match=r"no value given for 'one\.bias'"):
        graph_surface(graph, {n: v for n, v in random_parameters(graph).items() if n != "one.bias"}, data)
    b = GraphBuilder("rounded")
    x = b.input("x", (4, 3))
    settings_ = [b.parameter(f"p{i}", (), value=np.array(v, np.float32)) for i, v in enumerate((0.1, 0.0, 4.0))]
    quantised = b.finish(linear(b, b.apply(Quant, x, *settings_, name="q"), "one", 3))
    with pytest.raises(InputError, match="Quant 'q': rounds"):
        graph_surface(quantised, random_parameters(quantised), data)
    tokens, token_data = token_graph()
    with pytest.raises(InputError, match="not of floats"):
        graph_surface(tokens, random_parameters(tokens), token_data, tensors=[tokens.inputs[0]])


def test_groups_of_channels_are_along_the_output() -> None:
    graph = small_convolutions(1)
    assert [part.name for part in group_parts(graph, "one.weight", 2)] == ["one.weight[0:2]", "one.weight[2:4]"]
    assert [part.axis for part in group_parts(graph, "head.weight", 3)] == [1, 1, 1]
