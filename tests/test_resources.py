"""Estimated resources of firmware: structure against plain counting, the fit against its rows, the bit allocation."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import ceil, exp, inf, log, log2

import numpy as np
import pytest
from fixed_networks import cnn, mlp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hls.allocation.allocate import allocate, minima
from hls.allocation.costs import table
from hls.allocation.network import choices_for, quantisable
from hls.allocation.problem import Budget, Problem
from hls.quantise.calibrate import calibrated
from hls.quantise.insert import quantised
from hls.resources import calibration
from hls.resources.adders import reused, signed_digits, significant_bits, sum_width, unrolled
from hls.resources.calibration import LUTS_PER_DSP, assumed_weights, fitted, published_rows, vivado
from hls.resources.distributed import NO_DSP, distributed_arithmetic, yosys_factors
from hls.resources.estimate import estimate
from hls.resources.layers import fixed_layers
from hls.resources.table import lut_table, rounded
from model_ir.builder import GraphBuilder
from model_ir.errors import InputError
from model_ir.graph import Graph
from model_ir.ops.contraction import MatMul
from model_ir.ops.elementwise import Unary

INTEGERS = arrays(np.int64, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=st.integers(-127, 127))


def plain_digits(value: int) -> int:
    """Non-zero digits of the canonical signed form, digit by digit."""
    count = 0
    while value:
        if value % 2:
            digit = 2 - value % 4
            value -= digit
            count += 1
        value //= 2
    return count


def plain_adders(weights: np.ndarray, activation_bits: int, weight_bits: int) -> int:
    """One-bit adders, adder by adder: shifted copies of an input, then pairs of sums until one is left."""
    limit = activation_bits + weight_bits + ceil(log2(weights.shape[1] + 1))
    total = 0
    for row in weights.tolist():
        sums = [activation_bits + weight_bits]  # the bias
        for weight in row:
            if weight:
                odd = abs(weight)
                while odd % 2 == 0:
                    odd //= 2
                total += (plain_digits(weight) - 1) * (activation_bits + odd.bit_length() + 1)
                sums.append(activation_bits + weight_bits)
        width = sums[0]
        while len(sums) > 1:
            width = min(width + 1, limit)
            pairs = len(sums) // 2
            total += pairs * width
            sums = sums[pairs:]
    return total


@given(st.integers(-(2**20), 2**20))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_signed_digits_are_those_of_the_canonical_form(value: int) -> None:
    assert signed_digits(np.array([value]))[0] == plain_digits(value)


@given(INTEGERS, st.integers(2, 8))
@settings(derandomize=True, deadline=None, max_examples=60)
def test_adders_are_those_of_laying_them_out_one_by_one(weights: np.ndarray, activation_bits: int) -> None:
    path = unrolled(weights, activation_bits=activation_bits, weight_bits=8, dsp_bits=99)
    assert path.adder_bits == plain_adders(weights, activation_bits, 8)
    assert path.nonzero == np.count_nonzero(weights)


def test_zeros_and_powers_of_two_take_no_product() -> None:
    free = np.array([[0, 1, -2, 64, 0, -128]])
    path = unrolled(free, activation_bits=6, weight_bits=8, dsp_bits=99)
    assert path.adder_bits == path.sum_bits
    assert path.nonzero == 4
    assert significant_bits(free).tolist() == [[0, 2, 2, 2, 0, 2]]
    nothing = unrolled(np.zeros((3, 5), np.int64), activation_bits=6, weight_bits=8, dsp_bits=99)
    assert nothing.adder_bits == 0


def test_only_wide_operands_take_dsps() -> None:
    wide = np.array([[511, 1, 256, 255]])  # 10, 2, 2 and 9 significant bits
    assert unrolled(wide, activation_bits=16, weight_bits=16, dsp_bits=9).dsps == 2
    assert unrolled(wide, activation_bits=8, weight_bits=16, dsp_bits=9).dsps == 0
    assert unrolled(wide, activation_bits=25, weight_bits=19, dsp_bits=9).dsps == 4  # two each, above 18 x 25
    shared = {"activation_bits": 16, "nonzero": 20, "outputs": 4, "terms": 5}
    assert reused(**shared, weight_bits=16, reuse=5).dsps == 4
    assert reused(**shared, weight_bits=8, reuse=5).dsps == 0


def test_the_fit_says_its_error_and_holds_the_published_rows() -> None:
    model = vivado()
    rows = {row.name: row for row in model.rows}
    assert len(rows) == 6
    assert all(row.source and row.assumed for row in rows.values())
    for row in rows.values():
        area = model.area.factor * calibration.adder_bits(row, model.dsp_bits)
        assert area / model.area.reach < (row.lut or 0) + LUTS_PER_DSP * (row.dsp or 0) < area * model.area.reach
    assert 1.3 < model.area.reach < 2.0
    for error in (*model.area.held_out, *model.dsps.held_out):
        assert abs(log(error.estimated / error.reported)) < log(2.1), error
    assert all(abs(one.estimated - one.reported) <= model.cycle_reach for one in model.cycles)


@pytest.mark.parametrize("name", [row.name for row in published_rows() if "ff" in row.fits])
def test_a_held_out_row_is_what_the_model_fitted_to_the_others_says(name: str) -> None:
    model = vivado()
    others = [row for row in model.rows if row.name != name and "ff" in row.fits]
    (row,) = (row for row in model.rows if row.name == name)

    def ratio(one: calibration.PublishedRow) -> float:
        return log(float(one.ff or 0) / calibration.register_bits(one, model.dsp_bits, model.level_ns))

    expected = exp(np.mean([ratio(one) for one in others])) * exp(log(float(row.ff or 0)) - ratio(row))
    (held,) = (one for one in model.registers.held_out if one.row == name)
    assert held.estimated == pytest.approx(expected)
    assert held.reported == row.ff


def test_rows_that_agree_less_make_wider_intervals() -> None:
    rows = published_rows()
    worse = tuple(replace(row, lut=row.lut * 3) if row.name == "Q6" and row.lut else row for row in rows)
    assert fitted(worse, "worse").area.reach > fitted(rows, "same").area.reach


def test_published_bit_operations_of_the_jet_tagger() -> None:
    # arXiv 2304.06745: 16-bit inputs, then activations of 3 bits more than the weights; no weight is zero here.
    widths = (16, 64, 32, 32, 5)
    ones = {f"dense_{i}.weight": np.full(shape, 0.25) for i, shape in enumerate(pairwise(widths))}
    for bits, expected in ((6, 366_144), (8, 523_776)):
        activation_bits = (16, *[bits + 3] * 3)
        found = estimate(mlp(widths, weight_bits=bits, activation_bits=activation_bits, weights=ones))
        assert found.bops == expected
        assert found.weight_bytes == 4256 * bits / 8


def test_a_six_bit_jet_tagger_is_estimated_around_the_published_ones() -> None:
    found = estimate(mlp((16, 64, 32, 32, 5), weight_bits=6, activation_bits=6, spread=0.25))
    assert found.lut.low < 39_782 < 63_251 < found.lut.high
    assert found.dsp.value == 0
    assert found.dsp.high >= 124
    assert found.latency_cycles.low <= 9 <= 11 <= found.latency_cycles.high
    assert found.interval_cycles == 1
    assert found.lut.value == pytest.approx(sum(layer.lut for layer in found.layers))
    assert found.calibration == vivado().name


@pytest.mark.parametrize("what", ["weight_bits", "activation_bits"])
def test_more_bits_never_take_less(what: str) -> None:
    found = [estimate(mlp(**{what: bits})) for bits in (3, 4, 6, 8, 12)]
    for less, more in pairwise(found):
        assert less.lut.value + LUTS_PER_DSP * less.dsp.value < more.lut.value + LUTS_PER_DSP * more.dsp.value
        assert less.bops < more.bops


def test_reuse_takes_cycles_and_gives_multipliers() -> None:
    graph = mlp((16, 32, 8), weight_bits=12, activation_bits=12)
    plain = estimate(graph, strategy="resource")
    reused_twice = estimate(graph, reuse={"dense_0": 16, "dense_1": 4}, strategy="resource")
    assert plain.dsp.value == 16 * 32 + 32 * 8
    assert reused_twice.dsp.value == 32 + 64
    assert [layer.interval_cycles for layer in reused_twice.layers] == [16, 4]
    one, other = estimate(graph), estimate(graph, reuse=8)
    assert other.interval_cycles == 8
    assert other.latency_cycles.value - sum(layer.latency_cycles - 7 for layer in other.layers) == 2 * 7
    assert one.interval_cycles == 1
    assert any("reuse" in note for note in other.notes)


def test_a_slower_clock_takes_fewer_cycles() -> None:
    fast, slow = (estimate(mlp(), clock_ns=clock) for clock in (2.0, 20.0))
    assert slow.latency_cycles.value == len(slow.layers)
    assert fast.latency_cycles.value > slow.latency_cycles.value
    assert slow.latency_ns == slow.latency_cycles.value * 20


def test_a_convolution_takes_a_step_a_position_or_a_pixel_of_its_padded_input() -> None:
    graph = cnn(size=6, channels=3)
    conv, dense = fixed_layers(graph)
    assert (conv.outputs, conv.terms, conv.positions, conv.stream_positions) == (3, 9, 36, 64)
    assert conv.stream_fill == 2 * 8 + 2 + 1
    assert (conv.activation, conv.weight, dense.activation) == ("image", "conv.weight", "conv.relu")
    parallel, stream = estimate(graph), estimate(graph, io="io_stream")
    depth = parallel.layers[0].latency_cycles - 35
    assert parallel.layers[0].interval_cycles == 36
    assert parallel.interval_cycles == 35 + depth
    assert stream.interval_cycles == 64
    first, second = stream.layers
    assert stream.latency_cycles.value == (first.latency_cycles - 63 + 18) + second.latency_cycles + 63
    assert parallel.lut == stream.lut  # one position's hardware, used at each


def float_mlp(widths: tuple[int, ...], batch: int = 4) -> Graph:
    """The float network that `mlp` quantises."""
    b = GraphBuilder("mlp")
    x = b.input("features", (batch, widths[0]))
    graph = mlp(widths)
    for place, (inputs, outputs) in enumerate(pairwise(widths)):
        name = f"dense_{place}.weight"
        b.parameter(name, (inputs, outputs), value=graph.constants[name])
        x = b.apply(MatMul, x, name, name=f"dense_{place}")
        if place < len(widths) - 2:
            x = b.apply(Unary, x, name=f"dense_{place}.relu", function="relu")
    return b.finish(x)


def test_the_table_is_the_estimate_at_every_choice_of_bits() -> None:
    widths = (6, 7, 5)
    graph = float_mlp(widths)
    names = quantisable(graph).variables
    amount = lut_table(graph, choices_for(names, (3, 5, 9)))
    assert (amount.name, amount.unit) == ("luts", "LUT")
    for activation_bits, weight_bits in (((3, 9), (5, 3)), ((5, 5), (9, 9)), ((9, 9), (9, 9))):
        steps = {}
        for place, bits in enumerate(weight_bits):
            values = graph.constants[f"dense_{place}.weight"]
            largest = float(abs(values).max())
            fraction = bits - 1  # mlp's grid: the same integers there
            steps[f"dense_{place}.weight"] = rounded(values, largest, bits) * 2.0**-fraction
        fixed = mlp(widths, weight_bits=weight_bits, activation_bits=activation_bits, weights=steps)
        bits_of = dict(zip(names, (*activation_bits, *weight_bits), strict=True))
        assert amount.of(bits_of) == pytest.approx(estimate(fixed).lut.value)


def test_groups_of_channels_share_the_whole() -> None:
    graph = float_mlp((6, 8, 4))
    whole = lut_table(graph, choices_for(quantisable(graph).variables, (4,)))
    parts = quantisable(graph, groups=2).variables
    halves = lut_table(graph, choices_for(parts, (4,)), groups=2)
    assert len(parts) == 6
    assert halves.of(dict.fromkeys(parts, 4)) == pytest.approx(whole.of(dict.fromkeys(quantisable(graph).variables, 4)))


def test_bits_are_allocated_under_a_budget_of_luts() -> None:
    graph = float_mlp((6, 8, 4))
    choices = choices_for(quantisable(graph).variables, (2, 4, 8))
    amount = lut_table(graph, choices)
    damage = table("damage", "loss", {name: {bits: 4.0**-bits for bits in choices[name]} for name in choices})
    least = minima(Problem(choices=choices, objective=damage, budgets=(Budget(amount=amount, limit=inf),)))["luts"]
    most = amount.of(dict.fromkeys(choices, 8))
    found = allocate(
        Problem(choices=choices, objective=damage, budgets=(Budget(amount=amount, limit=(least + most) / 2),))
    )
    assert found.status == "optimal"
    assert least <= found.amounts["luts"] <= (least + most) / 2
    assert found.objective > damage.of(dict.fromkeys(choices, 8))


def test_what_cannot_be_estimated_is_named() -> None:
    graph = mlp()
    with pytest.raises(InputError, match=r"reuse factor: of no layer.*'dense_9'"):
        estimate(graph, reuse={"dense_9": 2})
    with pytest.raises(InputError, match="reuse factor of 'dense_0'"):
        estimate(graph, reuse=0)
    with pytest.raises(InputError, match="clock"):
        estimate(graph, clock_ns=0)
    with pytest.raises(InputError, match=r"MatMul 'dense_0': its second operand is no constant behind a Quant"):
        estimate(float_mlp((4, 3)))
    empty = replace(float_mlp((4, 3)), constants={})
    with pytest.raises(InputError, match=r"weight 'dense_0.weight': has no value"):
        lut_table(empty, choices_for(quantisable(empty).variables, (4,)))


def test_a_product_of_two_activations_is_no_layer_of_firmware() -> None:
    b = GraphBuilder("scores")
    x, y = b.input("x", (4, 4)), b.input("y", (4, 4))
    graph = b.finish(b.apply(MatMul, x, y, name="scores"))
    with pytest.raises(InputError, match="product of 'x' and 'y': firmware has no such layer"):
        lut_table(graph, choices_for(quantisable(graph).variables, (4,)))
    with pytest.raises(InputError, match="MatMul 'scores'"):
        estimate(graph)


def test_an_activation_between_quant_and_layer_must_stay_on_its_grid() -> None:
    graph = mlp((4, 3))
    (op,) = (op for op in graph.ops if op.name == "dense_0")
    bent = Unary(name="bent", inputs=(op.inputs[0],), outputs=("bent",), function="tanh")
    ops = [bent if one is op else one for one in graph.ops] + [replace(op, inputs=("bent", *op.inputs[1:]))]
    tensors = {**graph.tensors, "bent": replace(graph.tensors["features.quant"], name="bent")}
    with pytest.raises(InputError, match=r"MatMul 'dense_0': what it multiplies did not come through a Quant"):
        fixed_layers(replace(graph, ops=tuple(ops), tensors=tensors))


def test_channels_with_bits_of_their_own() -> None:
    graph = float_mlp((6, 8, 4))
    bits = dict.fromkeys(quantisable(graph).activations, 6) | {"dense_0.weight[0:5]": 3, "dense_0.weight[5:8]": 7}
    inputs = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    mixed = quantised(graph, calibrated(graph, inputs, bits | {"dense_1.weight": 5}))
    first, second = fixed_layers(mixed)
    assert (first.weight_bits, first.stored_bits) == (7, 6 * (5 * 3 + 3 * 7))
    assert estimate(mixed).weight_bytes == (first.stored_bits + 8 * 4 * 5) / 8
    assert abs(first.weights[:5]).max() <= 3 < abs(first.weights[5:]).max()
    assert second.activation == "dense_0.relu"


def test_sums_never_overflow_their_width() -> None:
    assert sum_width(4, 4, 1) == 8
    assert sum_width(4, 4, 5) == 11


@pytest.mark.parametrize("row", published_rows("synthesised.csv"), ids=lambda row: row.name)
def test_distributed_arithmetic_is_estimated_around_what_yosys_counted(row: calibration.PublishedRow) -> None:
    layers = list(enumerate(pairwise(row.widths)))
    weights = {
        f"dense_{place}.weight": assumed_weights(outputs, inputs, row.bits, row.fraction_bits).T
        / 2.0**row.fraction_bits
        for place, (inputs, outputs) in layers
    }
    found = distributed_arithmetic(mlp(row.widths, weight_bits=row.bits, activation_bits=row.bits, weights=weights))
    assert found.lut.low < (row.lut or 0) < found.lut.high
    assert found.ff.low < (row.ff or 0) < found.ff.high
    factor, _ = yosys_factors()
    assert found.lut.value == pytest.approx(factor.factor * calibration.adder_bits(row, NO_DSP))
    (held,) = (one for one in factor.held_out if one.row == row.name)
    assert abs(log(held.estimated / held.reported)) < log(factor.reach)
    assert "not Vivado" in found.tool
