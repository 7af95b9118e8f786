"""The integer form gives the integers of the Quants: bit for bit for powers of two, to the tie for others."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quantised_networks import all_bits, cnn, conv, data_for, dense, drawn, mlp, relu, residual, with_quants

from hls.allocation.network import quantisable
from hls.quantise.calibrate import calibrated
from hls.quantise.factors import dyadic_factors
from hls.quantise.insert import grids_of, quantised
from hls.quantise.integer_form import integer_form, run, run_stored, stored_inputs
from hls.quantise.scheme import Scheme
from hls.quantise.size import bits_of, weight_bits
from hls.quantise.sums import SumBound, check_float32, check_int32
from model_ir.builder import GraphBuilder
from model_ir.errors import InputError
from model_ir.graph import Graph, execute
from model_ir.ops.contraction import MatMul
from model_ir.ops.elementwise import Binary
from model_ir.ops.movement import Pad, Reshape
from model_ir.ops.quantisation import Quant
from model_ir.ops.requantisation import DyadicRequantise
from model_ir.passes.batch_size import with_batch_size

BUILDERS = (mlp, cnn, residual)
EXACT = st.builds(
    Scheme,
    clip=st.sampled_from(["max", "percentile", "error"]),
    affine_activations=st.booleans(),
    affine_weights=st.booleans(),
    per_channel=st.booleans(),
    narrow_weights=st.booleans(),
)
few = settings(max_examples=40, deadline=None, derandomize=True)


def executed(graph: Graph, x: Any, dtype: type) -> Any:
    """The Quant graph's own output in one float type."""
    sized = with_batch_size(graph, len(x))
    constants = {name: value.astype(dtype) for name, value in sized.constants.items()}
    return execute(replace(sized, constants=constants), {graph.inputs[0]: x.astype(dtype)})[graph.outputs[0]]


@st.composite
def allocations(draw: Any, graph: Graph, most: int = 8) -> dict[str, int]:
    return {name: draw(st.integers(1, most)) for name in quantisable(graph).variables}


@few
@given(st.data(), st.sampled_from(BUILDERS), st.integers(0, 9), EXACT)
def test_powers_of_two_are_bit_identical(data: Any, build: Any, seed: int, scheme: Scheme) -> None:
    """Executor in float32 and float64, and integers: random networks, bits of every tensor, kinds of grids."""
    graph = build(seed=seed)
    rounded = quantised(graph, calibrated(graph, data_for(graph), data.draw(allocations(graph)), scheme))
    form = integer_form(rounded)
    x = data_for(graph, 50, seed + 1) * np.float32(3)
    found = run(form, x)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found * form.output_scale, executed(rounded, x, np.float64))
    check_float32(form.sums)
    np.testing.assert_array_equal(found * form.output_scale, executed(rounded, x, np.float32))


@pytest.mark.parametrize("build", BUILDERS)
def test_sixteen_bits_are_bit_identical_in_float64(build: Any) -> None:
    """There float32 is not enough, and the bound says so; with weights of 16 bits too, 32-bit sums are not."""
    graph = build()
    bits = {name: 16 if name not in graph.parameters else 9 for name in quantisable(graph).variables}
    rounded = quantised(graph, calibrated(graph, data_for(graph), bits))
    form = integer_form(rounded)
    x = data_for(graph, 50, 3)
    np.testing.assert_array_equal(run(form, x) * form.output_scale, executed(rounded, x, np.float64))
    with pytest.raises(InputError, match=r"layer '(dense|conv)_.'.*2\^24.*limit 16777216"):
        check_float32(form.sums)
    with pytest.raises(InputError, match=r"layer '(dense|conv)_0'.*32-bit.*limit 2147483647"):
        integer_form(with_quants(graph, 16))


@few
@given(st.data(), st.sampled_from(BUILDERS), st.integers(0, 9), EXACT, st.sampled_from(["free", "dyadic"]))
def test_other_scales_are_exact_to_the_tie(data: Any, build: Any, seed: int, scheme: Scheme, scales: Any) -> None:
    """Every requantisation of the form, on its own sums: the integer nearest to the exact rational, unless that lies
    as near to a tie as the factor's 31 bits leave it."""
    graph = build(seed=seed)
    scheme = replace(scheme, scales=scales)
    rounded = quantised(graph, calibrated(graph, data_for(graph), data.draw(allocations(graph)), scheme))
    form = integer_form(rounded)
    watched: dict[str, Any] = {}
    x = data_for(graph, 4, seed + 1)
    sized = with_batch_size(form.graph, len(x))
    execute(sized, {form.graph.inputs[0]: stored_inputs(form, x).astype(np.int32)}, watch=watched.__setitem__)
    scale = scales_of(rounded)
    seen = checked = 0
    for op in form.graph.ops:
        if isinstance(op, DyadicRequantise) and op.limits != (-1, 1):
            sums = watched[op.inputs[0]]
            source, out = scale[op.inputs[0].split(".centred")[0]], scale[op.name][0]
            channel = np.broadcast_to(channels(rounded, op.inputs[0], len(source)), sums.shape)
            elements = zip(sums.ravel(), channel.ravel(), watched[op.name].ravel(), strict=True)
            for total, place, stored in islice(elements, 60):
                exact = int(total) * source[place] / out + op.precision.zero_point
                slack = abs(int(total)) * max(source) / out / 2**31
                low, high = op.limits
                around = [min(max(round(exact + shift), low), high) for shift in (-slack, slack)]
                assert around[0] <= stored <= around[1]
                seen, checked = seen + 1, checked + (around[0] == around[1])
    assert checked >= 0.9 * seen


def channels(graph: Graph, name: str, count: int) -> Any:
    """Which scale each element of a layer's result has."""
    if count == 1:
        return np.array(0)
    rank = len(graph.tensors[name.split(".centred")[0]].shape)
    return np.arange(count).reshape((count,) + (1,) * (rank - 2))


def scales_of(graph: Graph) -> dict[str, tuple[Fraction, ...]]:
    """The exact scales of every tensor of a Quant graph, followed through its operators."""
    scale: dict[str, tuple[Fraction, ...]] = {}
    for op in graph.ops:
        if isinstance(op, Quant):
            scale[op.name] = tuple(Fraction(float(one)) for one in graph.constants[op.inputs[1]].ravel())
        elif op.kind in ("MatMul", "Conv"):
            scale[op.name] = tuple(scale[op.inputs[0]][0] * one for one in scale[op.inputs[1]])
        else:
            scale[op.name] = scale[op.inputs[0]]
    return scale


@few
@given(st.lists(st.fractions(Fraction(1, 2**40), 2**20, max_denominator=2**40), min_size=1, max_size=4))
def test_factors_are_the_nearest(ratios: list[Fraction]) -> None:
    multipliers, shift = dyadic_factors(ratios)
    assert all(0 <= multiplier < 2**31 for multiplier in multipliers)
    for ratio, multiplier in zip(ratios, multipliers, strict=True):
        off = abs(Fraction(multiplier, 2**shift) - ratio)
        assert off <= Fraction(1, 2 ** (shift + 1))
        assert off <= max(ratios) / 2**31 or shift == 62
    powers = [Fraction(2) ** -place for place in (3, 30, 11)]
    assert dyadic_factors(powers) == ((2**27, 1, 2**19), 30)
    assert dyadic_factors([Fraction(2**33)]) == ((2**31 - 1,), 0)


def test_groups_of_channels_are_bit_identical() -> None:
    graph = cnn()
    bits = {name: width for name, width in all_bits(graph, 5).items() if name != "conv_1.w"}
    bits |= {"conv_1.w[0:2]": 1, "conv_1.w[2:4]": 7}
    rounded = quantised(graph, calibrated(graph, data_for(graph), bits))
    form = integer_form(rounded)
    x = data_for(graph, 30, 8)
    np.testing.assert_array_equal(run(form, x) * form.output_scale, executed(rounded, x, np.float32))
    assert bits_of(rounded) == bits
    elements = {name: graph.tensors[name].elements for name in ("conv_0.w", "conv_1.w", "logits.w")}
    assert weight_bits(rounded) == 5 * (elements["conv_0.w"] + elements["logits.w"]) + elements["conv_1.w"] * 4


@pytest.mark.parametrize("build", [mlp, cnn])
@pytest.mark.parametrize("bits", [2, 6])
def test_qonnx_executes_the_same_integers(build: Any, bits: int, tmp_path: Path) -> None:
    """qonnx's own executor on the exported file, times nothing: the same numbers."""
    pytest.importorskip("qonnx")
    from hls.qonnx.execution import executed_by_qonnx
    from hls.qonnx.export import export_qonnx

    rounded = with_quants(build(), bits)
    form = integer_form(rounded)
    export_qonnx(rounded, tmp_path / "net.onnx")
    x = data_for(build(), 300, 4)
    np.testing.assert_array_equal(
        run(form, x) * form.output_scale, executed_by_qonnx(tmp_path / "net.onnx", x).astype(np.float64)
    )


def test_everything_between_input_and_output_is_integers() -> None:
    form = integer_form(with_quants(residual(), 5, Scheme(affine_activations=True, per_channel=True)))
    watched: dict[str, Any] = {}
    x = stored_inputs(form, data_for(residual(), 2)).astype(np.int8)
    execute(form.graph, {form.graph.inputs[0]: x}, watch=watched.__setitem__)
    assert all(np.issubdtype(value.dtype, np.integer) for value in (*watched.values(), *form.graph.constants.values()))
    assert all(value.dtype == np.int32 for name, value in watched.items() if name in ("conv_0", "sum", "logits"))
    for name in ("conv_0.relu.quant", "conv_1.relu.quant"):
        assert watched[name].min() >= 0
        assert 8 <= watched[name].max() < 32


def test_bounds_hold_and_are_reached() -> None:
    """By the input that has every weight's sign; of the second layer no input exceeds them."""
    graph = mlp()
    rounded = with_quants(graph, 4)
    form = integer_form(rounded)
    first, *_ = form.sums
    weight, bias = (form.graph.constants[f"dense_0.{name}.quant"].astype(int) for name in "wb")
    worst = np.argmax(np.abs(weight).sum(axis=0) * 8 + np.abs(bias))
    assert first == SumBound(layer="dense_0", most=int(np.abs(weight).sum(axis=0)[worst] * 8 + abs(bias[worst])))
    watched: dict[str, Any] = {}
    sized = with_batch_size(form.graph, 4096)
    x = np.random.default_rng(0).choice([-8, 7], (4096, 6)).astype(np.int8)
    execute(sized, {"x.quant": x}, watch=watched.__setitem__)
    for bound in form.sums:
        reached = int(np.abs(watched[bound.layer]).max())
        assert reached <= bound.most
        assert reached > 0.1 * bound.most


def test_overflow_is_refused_with_layer_value_and_limit() -> None:
    b = GraphBuilder("wide")
    x = b.input("x", (1, 600))
    weight = b.parameter("w", (600, 2), value=np.full((600, 2), 0.99, np.float32))
    graph = b.finish(b.apply(MatMul, x, weight, name="heavy"))
    rounded = with_quants(graph, 16)
    with pytest.raises(InputError, match=r"layer 'heavy'.*32-bit.*limit 2147483647"):
        integer_form(rounded)
    check_int32([SumBound(layer="fits", most=2**31 - 1)])
    check_float32([SumBound(layer="fits", most=2**24)])
    with pytest.raises(InputError, match="over"):
        check_float32([SumBound(layer="fits", most=3), SumBound(layer="over", most=2**24 + 1)])


def without(graph: Graph, quant: str) -> Graph:
    """`graph` reading past one Quant."""
    source = next(op.inputs[0] for op in graph.ops if op.name == quant)
    ops = (
        replace(op, inputs=tuple(source if name == quant else name for name in op.inputs))
        for op in graph.ops
        if op.name != quant
    )
    return replace(graph, ops=tuple(ops))


@pytest.mark.parametrize(
    ("quant", "words"),
    [
        ("x.quant", "'x': is not behind a Quant"),
        ("dense_1.w.quant", r"weight 'dense_1.w': is not behind a Quant"),
        ("dense_1.b.quant", r"bias 'dense_1.b': is not behind a Quant"),
        ("dense_0.relu.quant", "reads sums that no Quant has rounded"),
    ],
)
def test_what_is_not_behind_a_quant_is_refused(quant: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        integer_form(without(with_quants(mlp(), 4), quant))


def test_biases_and_operands_on_other_grids_are_refused() -> None:
    rounded = with_quants(mlp(), 4)
    shifted = {**rounded.constants, "dense_1.b.scale": rounded.constants["dense_1.b.scale"] * np.float32(2)}
    with pytest.raises(InputError, match=r"dense_1\.b.*not on the grid"):
        integer_form(replace(rounded, constants=shifted))
    rounded = with_quants(residual(), 4)
    apart = {**rounded.constants, "other.scale": rounded.constants["other.scale"] * np.float32(2)}
    with pytest.raises(InputError, match=r"addition 'out'.*no common scale"):
        integer_form(replace(rounded, constants=apart))


def test_sums_with_a_scale_a_channel_are_not_moved_and_padding_is_centred() -> None:
    b = GraphBuilder("moved")
    x = b.input("image", (2, 2, 6, 6))
    x = b.apply(Pad, x, name="pad", pads=(0, 0, 1, 1, 0, 0, 1, 1))
    x = relu(b, conv(b, x, "conv_0", 3, 0, pad=0))
    flat = b.apply(Reshape, x, name="flat", shape=(2, 108))
    graph = b.finish(dense(b, flat, "out", 2, 5))
    rounded = with_quants(graph, 5, Scheme(affine_activations=True, per_channel=True))
    assert grids_of(rounded)["image"].zero_point != (0,)
    form = integer_form(rounded)
    x = data_for(graph, 20)
    np.testing.assert_array_equal(run(form, x) * form.output_scale, executed(rounded, x, np.float32))
    with pytest.raises(InputError, match=r"'flat'.*scale a channel"):
        integer_form(without(rounded, "conv_0.relu.quant"))


def test_inputs_that_do_not_fit_are_refused() -> None:
    form = integer_form(with_quants(mlp(), 4))
    x = data_for(mlp(), 8)
    for wrong, words in (
        (x[:, :5], "wrong shape"),
        (x[:0], "number of rows"),
        (np.where(x > 1, np.inf, x), "not finite"),
    ):
        with pytest.raises(InputError, match=words):
            run(form, wrong)
    with pytest.raises(InputError, match="outside of the grid"):
        run_stored(form, np.full((2, 6), 8))
    both = GraphBuilder("both")
    one, other = both.input("a", (1, 2)), both.input("b", (1, 2))
    with pytest.raises(InputError, match="one input"):
        integer_form(both.finish(both.apply(Binary, one, other, name="sum", function="add")))


def test_parts_of_many_samples_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    form = integer_form(with_quants(cnn(), 4))
    x = data_for(cnn(), 23) + drawn(0, 1)
    whole = run(form, x)
    monkeypatch.setattr("hls.quantise.integer_form.ELEMENTS_AT_ONCE", 1500)
    np.testing.assert_array_equal(run(form, x), whole)
