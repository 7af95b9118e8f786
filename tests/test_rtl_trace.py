"""Logic traced from quantised networks: the same values as the graph's own execution, or a refusal that says why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rtl_networks import cnn, execute_rows, mlp, quantise, random_inputs, weight

from hls.allocation.network import quantisable
from hls.quantise.calibrate import calibrated
from hls.quantise.insert import quantised
from hls.rtl.trace import predict, trace
from hls.rtl.write import write_rtl
from model_ir.builder import GraphBuilder
from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.ops.contraction import Conv, MatMul
from model_ir.ops.elementwise import Binary, Unary
from model_ir.ops.movement import Concat, Reshape, Transpose
from model_ir.ops.pooling import MaxPool
from model_ir.ops.quantisation import Quant

pytest.importorskip("da4ml", reason="the extra rtl is not installed")
BITS = st.integers(2, 7)


def assert_exact(graph: Graph, samples: int = 200, seed: int = 0) -> dict[str, Any]:
    inputs = random_inputs(graph, samples, seed=seed)
    wanted, got = execute_rows(graph, inputs), predict(trace(graph), inputs)
    for name in graph.outputs:
        np.testing.assert_array_equal(got[name], wanted[name])
    return got


@settings(derandomize=True, deadline=None, max_examples=15)
@given(st.lists(st.integers(1, 6), min_size=2, max_size=4), st.data())
def test_mixed_precision_mlps_are_exact(widths: list[int], data: st.DataObject) -> None:
    count = len(widths) - 1
    bits = [data.draw(st.lists(BITS, min_size=count, max_size=count)) for _ in range(2)]
    seed = data.draw(st.integers(0, 9))
    assert_exact(mlp(widths, seed=seed, batch=20, weight_bits=bits[0], activation_bits=bits[1], spread=2.0))


@pytest.mark.parametrize("bits", [2, 4])
def test_a_cnn_is_exact(bits: int) -> None:
    got = assert_exact(cnn(size=6, batch=10, bits=bits))
    assert got["dense"].std() > 0


@pytest.mark.parametrize("rounding", ["ROUND", "half_even", "FLOOR"])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize(
    ("bits", "scale", "narrow"), [(3, 0.25, False), (3, 1.0, True), (5, 0.0625, False), (8, 2.0, False)]
)
def test_a_quant_behind_a_quant_is_exact_for_every_value(
    rounding: str, signed: bool, bits: int, scale: float, narrow: bool
) -> None:
    builder = GraphBuilder("quants")
    x = quantise(builder, builder.input("x", (256, 1)), scale=0.0625, bits=8)
    y = quantise(builder, x, scale=scale, bits=bits, signed=signed, narrow=narrow, rounding_mode=rounding)
    graph = builder.finish(y)
    every = {"x": (np.arange(-128, 128)[:, None] / 16).astype(np.float32)}
    np.testing.assert_array_equal(predict(trace(graph), every)[y], execute_rows(graph, every)[y])


def test_one_signed_bit_is_the_sign() -> None:
    builder = GraphBuilder("signs")
    x = quantise(builder, builder.input("x", (16, 1)), scale=0.5, bits=4)
    graph = builder.finish(quantise(builder, x, scale=0.25, bits=1))
    every = {"x": (np.arange(-8, 8)[:, None] / 2).astype(np.float32)}
    got = predict(trace(graph), every)[graph.outputs[0]]
    np.testing.assert_array_equal(got, execute_rows(graph, every)[graph.outputs[0]])
    assert set(got.ravel()) == {-0.25, 0.25}


def test_dead_channels_cost_nothing_and_stay_exact() -> None:
    builder = GraphBuilder("dead")
    x = quantise(builder, builder.input("x", (10, 3)), scale=0.5, bits=4)
    first = np.array([[0.5, 0, 0.25], [0, 0, -0.5], [1, 0, 0]])
    x = builder.apply(MatMul, x, weight(builder, "w", first, scale=0.25, bits=4))
    x = builder.apply(
        Binary, x, weight(builder, "b", np.array([0.125, 0.5, -64.0]), scale=0.125, bits=12), function="add"
    )
    x = quantise(builder, builder.apply(Unary, x, function="relu"), scale=0.5, bits=4, signed=False)
    second = np.array([[0.25, 0.0], [0.5, -0.5], [0.75, 0.0]])
    graph = builder.finish(builder.apply(MatMul, x, weight(builder, "v", second, scale=0.25, bits=4)))
    got = assert_exact(graph)
    assert got[graph.outputs[0]][:, 1].std() == 0


@pytest.mark.parametrize(
    ("strides", "pads", "dilations", "group"), [((2, 1), (1, 0, 2, 1), (1, 2), 1), ((1, 2), (0,) * 4, (1, 1), 2)]
)
def test_convolutions_of_all_forms_are_exact(strides: Any, pads: Any, dilations: Any, group: int) -> None:
    builder = GraphBuilder("convolution")
    generator = np.random.default_rng(0)
    x = quantise(builder, builder.input("x", (10, 2, 5, 6)), scale=0.5, bits=3)
    kernel = weight(builder, "k", generator.normal(size=(4, 2 // group, 2, 3)), scale=0.5, bits=3)
    x = builder.apply(Conv, x, kernel, strides=strides, pads=pads, dilations=dilations, group=group)
    x = builder.apply(MaxPool, x, kernel=(2, 2), strides=(2, 1), pads=(1, 0, 0, 1), dilations=(1, 1), ceil_mode=True)
    assert_exact(builder.finish(x), samples=50)


def test_two_inputs_joined_moved_and_added_are_exact() -> None:
    builder = GraphBuilder("joined")
    a = quantise(builder, builder.input("a", (5, 2, 3)), scale=0.5, bits=4)
    b = quantise(builder, builder.input("b", (5, 3, 2)), scale=np.array([[[0.25, 1.0]]]), bits=3, signed=False)
    turned = builder.apply(Transpose, a, perm=(0, 2, 1))
    total = builder.apply(Binary, turned, b, function="add")
    best = builder.apply(Binary, turned, b, function="max")
    both = builder.apply(Concat, total, best, axis=-1)
    flat = builder.apply(Reshape, both, shape=(5, 12))
    least = builder.apply(Binary, builder.apply(Binary, flat, flat, function="min"), flat, function="sub")
    assert_exact(builder.finish(flat, both, least), samples=100)


def test_what_the_quantiser_makes_of_a_float_network_is_taken_as_it_is() -> None:
    builder = GraphBuilder("float")
    generator = np.random.default_rng(0)
    x = builder.input("x", (50, 5))
    for layer, (rows, columns) in enumerate(((5, 6), (6, 3))):
        matrix = builder.parameter(f"w{layer}", (rows, columns), value=drawn(generator, rows, columns))
        bias = builder.parameter(f"b{layer}", (columns,), value=drawn(generator, columns))
        x = builder.apply(MatMul, x, matrix, bias, name=f"dense{layer}")
        x = builder.apply(Unary, x, function="relu", name=f"relu{layer}") if layer == 0 else x
    graph = builder.finish(x)
    bits = dict(zip(quantisable(graph).variables, (5, 4, 3, 6), strict=True))
    assert_exact(quantised(graph, calibrated(graph, drawn(generator, 200, 5), bits)))


def drawn(generator: np.random.Generator, *shape: int) -> Any:
    return generator.normal(size=shape).astype(np.float32)


def changed(graph: Graph, name: str, value: Any) -> Graph:
    return replace(graph, constants={**graph.constants, name: np.asarray(value, np.float32)})


def layer(*, builder: GraphBuilder | None = None, matrix: Any = None, **quant: Any) -> GraphBuilder:
    builder = builder or GraphBuilder("net")
    x = quantise(builder, builder.input("x", (1, 2)), **{"scale": 0.5, "bits": 4, **quant})
    kernel = np.eye(2) / 2 if matrix is None else matrix
    builder.apply(MatMul, x, weight(builder, "w", kernel, scale=0.25, bits=4), name="dense")
    return builder


def product_of_activations() -> Graph:
    builder = GraphBuilder("square")
    x = quantise(builder, builder.input("x", (1, 2, 2)), scale=0.5, bits=4)
    return builder.finish(builder.apply(MatMul, x, x, name="square"))


def float_input() -> Graph:
    builder = GraphBuilder("float")
    return builder.finish(builder.apply(Unary, builder.input("x", (1, 2)), name="relu", function="relu"))


def float_weight() -> Graph:
    builder = GraphBuilder("float")
    x = quantise(builder, builder.input("x", (1, 2)), scale=0.5, bits=4)
    builder.parameter("w", (2, 2), value=np.random.default_rng(0).normal(size=(2, 2)).astype(np.float32))
    return builder.finish(builder.apply(MatMul, x, "w", name="dense"))


def with_softmax() -> Graph:
    builder = layer()
    return builder.finish(builder.apply(Unary, "dense", name="squash", function="tanh"))


def flattened_batch() -> Graph:
    builder = GraphBuilder("mixed")
    x = quantise(builder, builder.input("x", (4, 2)), scale=0.5, bits=4)
    return builder.finish(builder.apply(Reshape, x, name="mix", shape=(8,)))


def wide() -> Graph:
    builder = GraphBuilder("wide")
    x = quantise(builder, builder.input("x", (1, 4)), scale=0.5, bits=16)
    return builder.finish(builder.apply(MatMul, x, weight(builder, "w", np.full((4, 1), 0.99), scale=2.0**-9, bits=10)))


REFUSED = {
    "must be a power of two in RTL": lambda: changed(mlp((2, 2)), "w0.scale", 0.3),
    "must be 0 in RTL": lambda: changed(mlp((2, 2)), "x.zero_point", 3),
    "bit width 'w0.bits' does not fit": lambda: changed(mlp((2, 2)), "w0.bits", 2.5),
    "rounds in a way that RTL does not have": lambda: layer(rounding_mode="CEIL").finish("dense"),
    "must be read by one Quant only": float_input,
    "constant 'w' is on no grid": float_weight,
    "multiplies activations": product_of_activations,
    "no such function": with_softmax,
    "first axis of all inputs and outputs": flattened_batch,
    "too wide to be exact in float32": wide,
    "too many multiplications": lambda: mlp((600, 600)),
    "parameter 'w0' has no value": lambda: replace(
        mlp((2, 2)), constants={name: value for name, value in mlp((2, 2)).constants.items() if name != "w0"}
    ),
}


@pytest.mark.parametrize("problem", REFUSED)
def test_what_does_not_fit_is_refused_by_name(problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        trace(REFUSED[problem]())


def test_an_unknown_operator_is_refused_before_anything_is_traced() -> None:
    builder = layer()
    x = builder.apply(Unary, "dense", name="relu", function="relu")
    size = builder.parameter("size", (1,), value=np.ones(1, np.float32))
    graph = builder.finish(builder.apply(Quant, x, size, size, size))
    assert graph.ops[-1].kind == "Quant"
    unknown = replace(graph.ops[-2], name="odd")
    odd = replace(
        graph, ops=(*graph.ops[:-2], _Odd(name="odd", inputs=unknown.inputs, outputs=unknown.outputs), graph.ops[-1])
    )
    steps: list[str] = []
    with pytest.raises(InputError, match="_Odd 'odd': the RTL has no such operator"):
        trace(odd, progress=lambda what, _done, _total: steps.append(what))
    assert steps == []


class _Odd(Unary):
    def __init__(self, **attributes: Any) -> None:
        super().__init__(function="relu", **attributes)


def test_rtl_replaces_rtl_and_nothing_else(tmp_path: Any) -> None:
    traced = trace(mlp((2, 3, 2)))
    folder = tmp_path / "deep" / "rtl"
    first = write_rtl(traced, folder, adders_a_stage=1)
    second = write_rtl(traced, folder, adders_a_stage=100)
    assert first.stages > second.stages == 1
    assert {path.name for path in second.sources} >= {"network.v", "network_stage0.v", "shift_adder.v"}
    assert all(path.is_file() for path in second.sources)
    assert not (folder / "src" / "network_stage1.v").exists()
    assert "LESSER GENERAL PUBLIC LICENSE" in (folder / "LICENSE.da4ml").read_text()
    assert [path.name for path in folder.parent.iterdir()] == ["rtl"]


def test_other_files_are_left_alone(tmp_path: Any) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    traced = trace(mlp((2, 2)))
    with pytest.raises(InputError, match="holds other files"):
        write_rtl(traced, tmp_path)
    with pytest.raises(InputError, match=r"mine\.txt: is not a folder"):
        write_rtl(traced, tmp_path / "mine.txt")
    with pytest.raises(InputError, match="cannot write the RTL"):
        write_rtl(traced, tmp_path / "mine.txt" / "rtl")
    with pytest.raises(InputError, match="room for an adder"):
        write_rtl(traced, tmp_path / "rtl", adders_a_stage=0.5)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
