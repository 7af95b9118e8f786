"""Retraining a quantised network: better than rounding alone, on its grids, resumable bit for bit; what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from quantised_cases import digit_values, digits, float_dense, measured, quant, quantised_digits

from hls.retraining.checkpoint import CHECKPOINT, RECIPE
from hls.retraining.network import Network
from hls.retraining.quantisers import digits_of, learnable
from hls.retraining.retrain import Retrained, RetrainingRecipe, retrain
from hls.retraining.straight_through import straight_through
from hls.training import with_values
from model_ir.builder import GraphBuilder
from model_ir.errors import InputError
from model_ir.graph import Graph, execute
from model_ir.ops.contraction import Conv, MatMul
from model_ir.ops.elementwise import Binary
from model_ir.ops.movement import Reshape
from model_ir.ops.normalisation import Softmax
from model_ir.ops.quantisation import BipolarQuant, Quant, Trunc
from workloads.layers import unary

RECIPE_OF_FIVE = RetrainingRecipe(epochs=5, learning_rate=3e-3)
SHORT = RetrainingRecipe(epochs=3)
DRAW = np.random.default_rng(0)


def on_digits(graph: Graph, recipe: RetrainingRecipe, **options: Any) -> Retrained:
    data = digits()
    return retrain(graph, data["x"], data["y"], recipe, **options)


@cache
def of_three_bits() -> Retrained:
    data = digits()
    return on_digits(quantised_digits(3), SHORT, validation=(data["test_x"][:200], data["test_y"][:200]))


def same(one: Graph, other: Graph) -> bool:
    assert set(one.constants) == set(other.constants)
    return all(np.array_equal(value, other.constants[name]) for name, value in one.constants.items())


@pytest.mark.parametrize("bits", [2, 3])
def test_a_rounded_network_gets_better(bits: int) -> None:
    before = quantised_digits(bits)
    done = on_digits(before, RECIPE_OF_FIVE)
    (old_loss, old_share), (loss, share) = measured(before), measured(done.graph)
    assert loss < 0.8 * old_loss
    assert share > old_share + 0.02
    assert len(done.losses) == 5
    assert done.epoch == 5
    assert done.losses[-1] < done.losses[0]


def test_the_result_is_quantised_as_the_graph_was() -> None:
    before, after = quantised_digits(3), of_three_bits().graph
    assert after.ops == before.ops
    moved = 0
    for op in (op for op in after.ops if isinstance(op, Quant)):
        name, scale, zero_point, bits = op.inputs
        assert digits_of(after.constants[scale]) == 1
        assert after.constants[zero_point] == 0
        moved += int(after.constants[scale] != before.constants[scale])
        if name in after.parameters:
            (again,) = op.evaluate(np, *(after.constants[part] for part in op.inputs))
            assert np.array_equal(again, after.constants[name])
            assert not np.array_equal(again, before.constants[name])
        if not name.endswith(".bias"):
            assert after.constants[bits] == before.constants[bits]
    assert moved > 2
    inputs = {0: "x.scale", 1: "relu0.scale"}
    for index, source in inputs.items():
        product = after.constants[source] * after.constants[f"dense{index}.weight.scale"]
        assert after.constants[f"dense{index}.bias.scale"] == product


def test_training_computes_what_the_result_does() -> None:
    """Sums of fixed-point numbers are exact, so that jax and numpy agree bit for bit."""
    graph = quantised_digits(3)
    network = Network(graph=graph, what=learnable(graph), masks={})
    values = network.start(scales=True)
    values = {
        name: value + np.float32(0.3) * DRAW.normal(size=value.shape).astype("f4") for name, value in values.items()
    }
    values["relu0.scale"] = np.array(-1.2, np.float32)
    x = digits()["x"][:57]
    traced = execute(straight_through(graph), {**network.feeds(values), "x": x}, jnp)
    plain = execute(network.learned(values), {"x": x})
    assert np.array_equal(traced[graph.outputs[0]], plain[graph.outputs[0]])


def test_biases_get_the_bits_that_finer_sums_need() -> None:
    graph = quantised_digits(3)
    network = Network(graph=graph, what=learnable(graph), masks={})
    start = network.start(scales=True)
    assert network.learned(start).constants["dense0.bias.bits"] == 16
    fine = network.learned({**start, "dense0.weight.scale": np.array(-20, np.float32)})
    bias, scale = fine.constants["dense0.bias"], fine.constants["dense0.bias.scale"]
    assert scale == graph.constants["dense0.bias.scale"] * 2.0**-20
    steps = abs(bias / scale).max()
    assert 2.0 ** (fine.constants["dense0.bias.bits"] - 2) <= steps < 2.0 ** (fine.constants["dense0.bias.bits"] - 1)
    np.testing.assert_allclose(bias, graph.constants["dense0.bias"], atol=float(scale))


def test_scales_stay_where_they_are_not_learned() -> None:
    before = quantised_digits(3)
    after = on_digits(before, replace(SHORT, scale_reach=0.0)).graph
    for name in before.constants:
        kept = np.array_equal(after.constants[name], before.constants[name])
        assert kept == (name not in learnable(before).parameters)


def test_the_best_is_the_least_loss_on_the_validation_the_start_among_them() -> None:
    data, graph = digits(), quantised_digits(3)
    validation = data["test_x"][:200], data["test_y"][:200]
    kept = on_digits(graph, replace(SHORT, keep="best"), validation=validation)
    losses = [loss for loss, _ in kept.scores]
    assert kept.epoch == np.argmin(losses) > 0
    assert kept.scores == of_three_bits().scores
    spoiled = on_digits(graph, replace(SHORT, keep="best", learning_rate=10.0), validation=validation)
    assert spoiled.epoch == 0
    assert same(spoiled.graph, Network(graph=graph, what=learnable(graph), masks={}).learned(spoiled_start(graph)))
    whole = len(validation[1]) // 57 * 57
    logits = [execute(graph, {"x": part})[graph.outputs[0]] for part in validation[0][:whole].reshape(-1, 57, 64)]
    # The first batches' samples count once each, and so do those of the last, incomplete one.
    rest = execute(graph, {"x": validation[0][-57:]})[graph.outputs[0]][57 + whole - 200 :]
    found = np.concatenate([*logits, rest]).argmax(axis=1)
    assert kept.scores[0][1] == np.mean(found == validation[1])


def spoiled_start(graph: Graph) -> dict[str, Any]:
    return Network(graph=graph, what=learnable(graph), masks={}).start(scales=True)


class KilledError(Exception):
    """What a killed run is to the test."""


def stopping_after(epochs: int) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        assert total == SHORT.epochs
        if done == epochs:
            raise KilledError

    return progress


def test_an_interrupted_run_ends_as_one_that_was_not(tmp_path: Path) -> None:
    data, graph, recipe = digits(), quantised_digits(3), replace(SHORT, keep="best")
    validation = data["test_x"][:200], data["test_y"][:200]
    whole = on_digits(graph, recipe, validation=validation)
    folder, seen = tmp_path / "deep" / "folder", []
    for stop in (1, 2):
        with pytest.raises(KilledError):
            on_digits(graph, recipe, validation=validation, resume=folder, progress=stopping_after(stop))
        assert {path.name for path in folder.iterdir()} == {RECIPE, CHECKPOINT}
    resumed = on_digits(
        graph, recipe, validation=validation, resume=folder, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(3, 3)]
    again = on_digits(graph, recipe, validation=validation, resume=folder)
    for result in (resumed, again):
        assert (result.losses, result.scores, result.epoch) == (whole.losses, whole.scores, whole.epoch)
        assert same(result.graph, whole.graph)


def test_checkpoints_of_another_run_are_refused(tmp_path: Path) -> None:
    data, graph = digits(), quantised_digits(3)
    on_digits(graph, replace(SHORT, epochs=1), resume=tmp_path)
    mask = {"dense0.weight": np.arange(64 * 16).reshape(64, 16) % 2 == 0}
    others: list[tuple[str, Callable[[], Retrained]]] = [
        ("recipe", lambda: on_digits(graph, SHORT, resume=tmp_path)),
        ("graph", lambda: on_digits(quantised_digits(2), replace(SHORT, epochs=1), resume=tmp_path)),
        ("data", lambda: retrain(graph, data["x"] / 2, data["y"], replace(SHORT, epochs=1), resume=tmp_path)),
        ("masks", lambda: on_digits(graph, replace(SHORT, epochs=1), masks=mask, resume=tmp_path)),
        (
            "validation",
            lambda: on_digits(
                graph, replace(SHORT, epochs=1), validation=(data["test_x"], data["test_y"]), resume=tmp_path
            ),
        ),
    ]
    before = (tmp_path / CHECKPOINT).read_bytes()
    for what, run in others:
        with pytest.raises(InputError, match=f"another retraining: its {what} differs"):
            run()
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_folders_that_hold_no_good_checkpoint_are_refused(tmp_path: Path) -> None:
    graph, recipe = quantised_digits(3), replace(SHORT, epochs=1)

    def refused(folder: Path, message: str) -> None:
        with pytest.raises(InputError, match=message):
            on_digits(graph, recipe, resume=folder)

    (tmp_path / "file").write_text("")
    refused(tmp_path / "file", "cannot keep checkpoints here")
    folder = tmp_path / "folder"
    on_digits(graph, recipe, resume=folder)
    whole = (folder / CHECKPOINT).read_bytes()
    (folder / CHECKPOINT).write_bytes(whole[: len(whole) // 2])
    refused(folder, "damaged checkpoint")
    (folder / CHECKPOINT).write_bytes(b"")
    refused(folder, "damaged checkpoint")
    (folder / RECIPE).write_text("[]")
    refused(folder, "damaged checkpoint")
    (folder / RECIPE).unlink()
    refused(folder, "no recipe.json")
    other = tmp_path / "other"
    on_digits(graph, replace(recipe, seed=1), resume=other)
    (other / CHECKPOINT).write_bytes(whole)
    with pytest.raises(InputError, match="is not of the run"):
        on_digits(graph, replace(recipe, seed=1), resume=other)


def parameter(b: GraphBuilder, name: str, value: Any) -> str:
    array = np.asarray(value, np.float32)
    return b.parameter(name, array.shape, value=array)


def per_channel(bits: int, *, affine: bool) -> tuple[Graph, dict[str, Any]]:
    """A convolution and a dense layer, scales per channel and free, the last bias added behind its layer."""
    draw = np.random.default_rng(3)
    b = GraphBuilder("channels")
    x = quant(b, b.input("x", (20, 1, 8, 8)), 0.013, 8, zero_point=3 if affine else 0, signed=not affine)
    kernel, dense = draw.normal(size=(4, 1, 3, 3)) / 3, draw.normal(size=(144, 10)) / 12
    one = np.float32(abs(kernel).max(axis=(1, 2, 3), keepdims=True) / (2 ** (bits - 1) - 1))
    other = np.float32(abs(dense).max(axis=0) / (2 ** (bits - 1) - 1))
    weight = quant(b, parameter(b, "k", kernel), one, bits)
    bias = quant(b, parameter(b, "k.b", [0.1] * 4), np.float32(0.013) * one.ravel(), 16)
    x = b.apply(Conv, x, weight, bias, name="conv", strides=(1, 1), pads=(0,) * 4, dilations=(1, 1))
    x = quant(b, unary(b, x, "relu", "relu"), 0.07, bits, signed=False)
    x = b.apply(Reshape, x, name="flat", shape=(20, 144))
    x = b.apply(MatMul, x, quant(b, parameter(b, "d", dense), other, bits), name="dense")
    bias = quant(b, parameter(b, "d.b", [[0.1] * 10]), (np.float32(0.07) * other)[None], 20)
    graph = b.finish(b.apply(Binary, x, bias, name="sum", function="add"))
    inputs = digits()["x"].reshape(-1, 1, 8, 8) - np.float32(0.2 * affine)
    return graph, {"inputs": inputs, "labels": digits()["y"]}


@pytest.mark.parametrize("affine", [False, True])
def test_scales_of_channels_and_zero_points_are_learned_too(affine: bool) -> None:
    graph, data = per_channel(4, affine=affine)
    what = learnable(graph)
    assert {bias.parameter: bias.factors for bias in what.biases} == {
        "k.b": ("x.scale", "k.scale"),
        "d.b": ("relu.scale", "d.scale"),
    }
    done = retrain(graph, **data, recipe=RECIPE_OF_FIVE)
    assert done.losses[-1] < 0.7 * done.losses[0]
    after = done.graph.constants
    assert np.all(after["k.scale"] != graph.constants["k.scale"])
    assert np.array_equal(after["k.b.scale"], (after["x.scale"] * after["k.scale"]).ravel())
    assert np.array_equal(after["d.b.scale"], (after["relu.scale"] * after["d.scale"])[None])
    assert after["x.zero_point"] == graph.constants["x.zero_point"]
    for op in done.graph.ops:
        if isinstance(op, Quant) and op.inputs[0] in done.graph.parameters:
            (again,) = op.evaluate(np, *(after[name] for name in op.inputs))
            np.testing.assert_allclose(again, after[op.inputs[0]], rtol=1e-6)


def test_one_bit_weights_learn() -> None:
    b = GraphBuilder("binary")
    x = quant(b, b.input("x", (57, 64)), 2.0**-7, 8)
    weight = b.parameter("w", (64, 32), value=DRAW.normal(0, 0.05, (64, 32)).astype("f4"))
    scale = b.parameter("w.scale", (), value=np.array(0.0625, "f4"))
    x = b.apply(MatMul, x, b.apply(BipolarQuant, weight, scale, name="w.quant"), name="one")
    x = quant(b, unary(b, x, "relu", "relu"), 2.0**-2, 4, signed=False)
    weight = b.parameter("v", (32, 10), value=DRAW.normal(0, 0.1, (32, 10)).astype("f4"))
    graph = b.finish(b.apply(MatMul, x, quant(b, weight, 0.25, 1), name="two"))
    done = on_digits(graph, replace(RECIPE_OF_FIVE, learning_rate=3e-2))
    assert done.losses[-1] < 0.6 * done.losses[0]
    for name in ("w", "v"):
        assert set(np.unique(abs(done.graph.constants[name]))) == {float(done.graph.constants[f"{name}.scale"])}


def small(**replaced: Any) -> Graph:
    """A rounded layer, with parts of it replaced."""
    b = GraphBuilder("small")
    x = quant(b, b.input("x", (4, 3)), replaced.get("scale", 0.5), replaced.get("bits", 4))
    value = None if "empty" in replaced else np.eye(3, 2, dtype=np.float32)
    x = b.apply(MatMul, x, quant(b, b.parameter("w", (3, 2), value=value), 0.5, 4), name="layer")
    return b.finish(replaced["end"](b, x) if "end" in replaced else x)


def truncated(b: GraphBuilder, x: str) -> str:
    values = (0.5, 0.0, 8.0, 4.0)
    return b.apply(Trunc, x, *(b.parameter(f"t{v}", (), value=np.array(v, "f4")) for v in values), name="cut")


def without(name: str) -> Graph:
    graph = small()
    return replace(graph, constants={key: value for key, value in graph.constants.items() if key != name})


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (with_values(float_dense(4, (3, 2)), {}), "has no Quant operators"),
        (small(end=lambda b, x: b.apply(Softmax, x, name="p", axis=-1)), "Softmax 'p': retraining takes logits"),
        (small(end=truncated), "Trunc 'cut': rounds"),
        (small(end=lambda b, x: unary(b, x, "step", "floor")), "Unary 'step': rounds"),
        (small(scale=-1.0), "Quant 'x.quant': scales are positive numbers"),
        (small(scale=np.nan), "scales are positive numbers"),
        (small(bits=3.5), "bit widths are whole numbers"),
        (without("x.scale"), "'x.scale' is not a constant"),
        (small(empty=True), "no value for 'w'"),
    ],
)
def test_graphs_that_cannot_be_retrained_are_refused(graph: Graph, message: str) -> None:
    with pytest.raises(InputError, match=message):
        retrain(graph, np.ones((8, 3), np.float32), np.arange(8) % 2, SHORT)


def test_bad_data_recipes_and_runs_are_refused() -> None:
    x, y = np.ones((8, 3), np.float32), np.arange(8) % 2
    for inputs, labels, message in (
        (x[:, :2], y, "wrong shape"),
        (x * np.nan, y, "not finite"),
        (x, y + 1, "out of range"),
        (x, y * 0, "only one class"),
    ):
        with pytest.raises(InputError, match=message):
            retrain(small(), inputs, labels, SHORT)
        with pytest.raises(InputError, match=message):
            retrain(small(), x, y, SHORT, validation=(inputs, labels))
    with pytest.raises(InputError, match="known with validation data only"):
        retrain(small(), x, y, replace(SHORT, keep="best"))
    for wrong in ({"epochs": 0}, {"learning_rate": 0.0}, {"scale_reach": -1.0}, {"keep": "none"}):
        with pytest.raises(InputError, match=next(iter(wrong)).split("_")[-1]):
            replace(SHORT, **wrong)
    with pytest.raises(InputError, match="diverged in epoch"):
        on_digits(quantised_digits(3), replace(SHORT, learning_rate=1e38))


def test_the_float_weights_are_where_it_starts() -> None:
    graph = quantised_digits(3)
    start = Network(graph=graph, what=learnable(graph), masks={}).start(scales=False)
    assert set(start) == set(digit_values())
    assert all(np.array_equal(start[name], value) for name, value in digit_values().items())
