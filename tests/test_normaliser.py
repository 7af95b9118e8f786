"""The normaliser's integer functions: against formulas written down independently, and against floating point."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator_programs import BASE, gemmini

from model_ir.errors import InputError
from model_ir.ops.integer_arithmetic import NormConstants, gelu_constants, softmax_constants
from simulator import isa
from simulator.accelerator_file import load_accelerator
from simulator.functional import execute
from simulator.isa_normaliser import config_norm, normalised
from simulator.normaliser import (
    IGELU,
    INV_STDDEV,
    INV_SUM_EXP,
    LAYERNORM,
    MAX,
    MEAN,
    RESET,
    SOFTMAX,
    SUM,
    SUM_EXP,
    VARIANCE,
    i_exp,
    i_gelu,
    i_sqrt,
)

ACC = isa.ACCUMULATOR_BIT
OUTPUT = 1 << 17
PASSES = {LAYERNORM: ((SUM, MEAN), (VARIANCE, INV_STDDEV), (RESET, RESET)),
          SOFTMAX: ((MAX, MAX), (SUM_EXP, INV_SUM_EXP), (RESET, RESET))}  # fmt: skip
PUBLISHED_GELU_ERROR = 0.01815
PUBLISHED_EXP_ERROR = 1.91e-3


def signed(value):
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


def plain_gelu(q, qb, qc):
    """I-BERT Algorithm 2, in Python's own integers."""
    sign = -1 if q < 0 else 1
    return q * (sign * ((min(abs(q), -qb) + qb) ** 2 + qc) + qc)


def plain_exp(q, qln2, qln2_inv, qb, qc):
    """I-BERT Algorithm 3, in Python's own integers."""
    z = (-q * qln2_inv) >> 16
    return ((q + z * qln2 + qb) ** 2 + qc) >> z


def gelu(x):
    return x * 0.5 * (1 + math.erf(x / math.sqrt(2)))


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.integers(1 - (1 << 31), (1 << 31) - 1), st.floats(0.001, 0.5))
def test_gelu_is_the_formula_in_32_bits(q, scale):
    qb, qc, _, _ = gelu_constants(scale)
    assert i_gelu(q, qb, qc) == signed(plain_gelu(q, qb, qc))


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.integers(-(1 << 24), 0), st.floats(0.0005, 0.3))
def test_exp_is_the_formula(q, scale):
    qb, qc, qln2, qln2_inv = softmax_constants(scale)
    assert i_exp(q, qln2, qln2_inv, qb, qc) == plain_exp(q, qln2, qln2_inv, qb, qc)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.integers(0, (1 << 32) - 1))
def test_square_root_is_the_floor(n):
    assert i_sqrt(n) == math.isqrt(n)
    assert i_sqrt(signed(n)) == math.isqrt(n)


def test_gelu_errors_are_the_published_ones():
    fine = 1e-5
    qb, qc, _, _ = gelu_constants(fine)
    unit = fine * -0.2888 * fine * fine / 2 / 2
    points = [int(q) for q in np.linspace(-4 / fine, 4 / fine, 4001)]
    worst = max(abs(plain_gelu(q, qb, qc) * unit - gelu(q * fine)) for q in points)
    assert worst == pytest.approx(PUBLISHED_GELU_ERROR, rel=1e-3)


@pytest.mark.parametrize("scale", [0.03, 0.04, 0.05, 0.08])
def test_gelu_in_32_bits_adds_only_the_rounding_of_its_constants(scale):
    qb, qc, _, _ = gelu_constants(scale)
    unit = scale * -0.2888 * scale * scale / 2 / 2
    worst = max(abs(i_gelu(q, qb, qc) * unit - gelu(q * scale)) for q in range(-int(4 / scale), int(4 / scale) + 1))
    assert worst <= PUBLISHED_GELU_ERROR + 0.05 * scale


def worst_exp_error(function, factor, scale, constants):
    qb, qc, qln2, qln2_inv = constants
    points = range(0, qln2, max(1, qln2 // 7000))
    unit = factor * scale * scale
    return max(abs(function(-q, qln2, qln2_inv, qb, qc) * unit - math.exp(-q * scale)) for q in points)


def ibert_exp_constants(scale):
    """0.35815147 p^2 + 0.96963238 p + 1, completed to a square."""
    a, b = 0.35815147, 0.96963238
    qln2 = int(math.log(2) / scale)
    return NormConstants(int(b / a / 2 / scale), int((1 - b * b / a / 4) / (a * scale * scale)), qln2, 65536 // qln2)


def test_exp_errors_are_the_published_ones():
    assert worst_exp_error(plain_exp, 0.35815147, 1e-6, ibert_exp_constants(1e-6)) == pytest.approx(
        PUBLISHED_EXP_ERROR, rel=2e-3
    )
    # 32 bits hold no finer unit than this; gemmini.h rounds the coefficients to four digits.
    assert worst_exp_error(i_exp, 0.35815147, 1e-4, ibert_exp_constants(1e-4)) <= 1.03 * PUBLISHED_EXP_ERROR
    assert worst_exp_error(i_exp, 0.3585, 1e-4, softmax_constants(1e-4)) <= 2.13e-3


def norm_stores(activation, rows, columns):
    """The C library's order (gemmini.h, sp_tiled_norm): two rows side by side, every pass over the whole row, blocks
    of at most 64 columns a command; the rows lie in the accumulator as blocks of 16."""
    blocks = -(-columns // 16)
    for first in range(0, rows, 2):
        for gathering, finishing in PASSES[activation]:
            for row in range(first, min(first + 2, rows)):
                yield config_norm(statistics_set=row - first)
                for column in range(0, columns, 64):
                    width = min(64, columns - column)
                    command = finishing if column + width == columns else gathering
                    local = (row // 16) * blocks * 16 + column + row % 16
                    to = BASE + OUTPUT + row * columns + column
                    yield isa.mvout(to, normalised(local, command), width, 1)


def run_rows(values, activation, constants, scale, stores):
    """int32 (rows, columns) into the accumulator, then `stores`; the int8 matrix they leave."""
    rows, columns = values.shape
    image = np.zeros(OUTPUT + (1 << 16), np.uint8)
    image[: values.nbytes] = values.view(np.uint8).reshape(-1)
    blocks = -(-columns // 16)
    commands = [
        isa.config_ld(stride_bytes=4 * columns),
        isa.config_st(stride_bytes=columns, activation=activation & 3, scale=scale),
        config_norm(constants, activation_msb=activation >> 2),
        config_norm(constants, activation_msb=activation >> 2, inverse=True),
    ]
    for row in range(0, rows, 16):
        for column in range(0, columns, 16):
            local = ACC | (row // 16) * blocks * 16 + column
            at = BASE + 4 * (row * columns + column)
            commands.append(isa.mvin(at, local, min(16, columns - column), min(16, rows - row)))
    execute(isa.program_of([*commands, *stores]), load_accelerator("gemmini-ibert"), image, BASE)
    return image[OUTPUT:][: rows * columns].view(np.int8).reshape(rows, columns)


def saturated(products):
    return np.clip(np.rint(products), -128, 127).astype(np.int8)


def plain_layer_norm(row, scale):
    """Integer mean, integer deviation, one fp32 factor (I-BERT section 3.6 as the unit divides)."""
    total = sum(row)
    mean = total // len(row) if total >= 0 else -(-total // len(row))
    deviation = max(math.isqrt(sum((x - mean) ** 2 for x in row) // len(row)), 1)
    factor = np.float32(1) / np.float32(deviation) * np.float32(scale)
    return saturated(np.array([x - mean for x in row], np.float32) * factor)


def plain_softmax(row, constants, scale):
    """Maximum, exponentials, their sum, one fp32 factor (I-BERT section 3.5 as the unit divides)."""
    qb, qc, qln2, qln2_inv = constants
    exponentials = [plain_exp(x - max(row), qln2, qln2_inv, qb, qc) for x in row]
    factor = np.float32(127) / np.float32(sum(exponentials)) * np.float32(scale)
    return saturated(np.array(exponentials, np.float32) * factor)


SHAPES = st.tuples(st.integers(1, 20), st.sampled_from([1, 7, 16, 33, 64, 100, 128]), st.integers(0, 1 << 30))


@settings(derandomize=True, deadline=None, max_examples=30)
@given(SHAPES, st.sampled_from([20.0, 32.0, 0.5]))
def test_layer_norm_rows(shape, scale):
    rows, columns, seed = shape
    values = np.random.default_rng(seed).integers(-2000, 2000, (rows, columns), dtype=np.int32)
    result = run_rows(values, LAYERNORM, NormConstants(0, 0), scale, norm_stores(LAYERNORM, rows, columns))
    np.testing.assert_array_equal(result, [plain_layer_norm(row, scale) for row in values.tolist()])


def test_layer_norm_is_near_the_real_one():
    values = np.random.default_rng(1).normal(50, 900, (16, 128)).astype(np.int32)
    result = run_rows(values, LAYERNORM, NormConstants(0, 0), 32.0, norm_stores(LAYERNORM, 16, 128)) / 32.0
    real = (values - values.mean(1, keepdims=True)) / values.std(1, keepdims=True)
    # Half a unit of 1/32 for rounding, and the integer mean and deviation: 1 in 900 each.
    assert np.abs(result - real).max() <= 0.5 / 32 + 4 / 900


@settings(derandomize=True, deadline=None, max_examples=30)
@given(SHAPES, st.floats(0.01, 0.2))
def test_softmax_rows(shape, unit):
    rows, columns, seed = shape
    values = np.random.default_rng(seed).integers(-300, 300, (rows, columns), dtype=np.int32)
    constants = softmax_constants(unit)
    result = run_rows(values, SOFTMAX, constants, 1.0, norm_stores(SOFTMAX, rows, columns))
    np.testing.assert_array_equal(result, [plain_softmax(row, constants, 1.0) for row in values.tolist()])


def test_softmax_is_near_the_real_one():
    unit = 0.005
    values = np.random.default_rng(2).normal(0, 2 / unit, (16, 64)).astype(np.int32)
    result = run_rows(values, SOFTMAX, softmax_constants(unit), 1.0, norm_stores(SOFTMAX, 16, 64)) / 127.0
    real = np.exp((values - values.max(1, keepdims=True)) * unit)
    real /= real.sum(1, keepdims=True)
    # Half a unit of 1/127 for rounding; i-exp's published error on either side of the quotient.
    assert np.abs(result - real).max() <= 0.5 / 127 + 2 * 2.2e-3


@settings(derandomize=True, deadline=None, max_examples=20)
@given(st.integers(1, 16), st.integers(1, 16), st.floats(0.03, 0.1), st.integers(0, 1 << 30))
def test_gelu_rows(rows, columns, unit, seed):
    values = np.random.default_rng(seed).integers(-200, 200, (rows, columns), dtype=np.int32)
    constants = gelu_constants(unit)
    scale = np.float32(unit * -0.2888 * unit * unit / 2 / 2 * 20)
    stores = [isa.mvout(BASE + OUTPUT, ACC, columns, rows)]
    result = run_rows(values, IGELU, constants, float(scale), stores)
    exact = np.array([[signed(plain_gelu(q, *constants[:2])) for q in row] for row in values.tolist()])
    np.testing.assert_array_equal(result, saturated(exact.astype(np.float32) * scale))


def test_a_row_stored_between_restarts_the_sum():
    """Whatever leaves through RESET zeroes the sum that is running (Normalizer.scala, reset_running_state)."""
    values = np.repeat(np.array([[10], [30]], np.int32), 16, axis=1)
    leave = isa.mvout(BASE + OUTPUT, normalised(0, RESET), 16, 1)
    gathered = isa.mvout(BASE, normalised(0, SUM), 16, 1)
    mean = isa.mvout(BASE, normalised(1, MEAN), 16, 1)
    deviation = isa.mvout(BASE, normalised(1, INV_STDDEV), 16, 1)
    for stores, expected in (
        ([gathered, mean, deviation, leave], (10 - 20) // 10),
        ([gathered, leave, mean, deviation, leave], 10 - 30),
    ):
        result = run_rows(values, LAYERNORM, NormConstants(0, 0), 1.0, stores)
        assert result[0].tolist() == [expected] * 16


def test_machines_without_the_unit_refuse_its_commands():
    norm = config_norm(NormConstants(0, 0))
    row = isa.mvout(BASE, normalised(0, SUM), 16, 1)
    for commands, named in (
        ([norm], r"command 0 \(config\) rs1\[1:0\]: normaliser configuration"),
        ([isa.config_st(stride_bytes=16), row], r"command 1 \(mvout\) address\[28:26\]: normaliser command"),
        ([isa.config_st(stride_bytes=16, activation=LAYERNORM)], "activation the machine does not have"),
    ):
        with pytest.raises(InputError, match=named):
            execute(isa.program_of(commands), gemmini(), np.zeros(64, np.uint8), BASE)


def test_words_that_do_not_fit_are_named():
    with pytest.raises(InputError, match="qb"):
        config_norm(NormConstants(1 << 31, 0))
    with pytest.raises(InputError, match="stats_id"):
        config_norm(statistics_set=2)
    beyond = (isa.CONFIG, isa.CONFIG_NORM | 5 << 8, 0)
    with pytest.raises(InputError, match="stats_id"):
        execute(isa.program_of([beyond]), load_accelerator("gemmini-ibert"), np.zeros(64, np.uint8), BASE)
