import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator_programs import (
    BASE,
    gemmini,
    image_with,
    numpy_scaled,
    random_matrix,
    tiled_matmul,
)

from model_ir.errors import InputError
from simulator import isa
from simulator.functional import execute

ACC = isa.ACCUMULATOR_BIT
FULL = isa.FULL_WIDTH_BIT


def run(commands, image):
    execute(isa.program_of(commands), gemmini(), image, BASE)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(
    st.integers(1, 50), st.integers(1, 50), st.integers(1, 50), st.sampled_from([1, 0]),
    st.booleans(), st.booleans(), st.integers(0, 1 << 30),
)  # fmt: skip
def test_matmul_equals_numpy_in_both_dataflows(rows, columns, depth, dataflow, a_t, b_t, seed):
    if b_t and a_t == bool(dataflow):
        a_t = not a_t
    rng = np.random.default_rng(seed)
    a, b = random_matrix(rng, rows, depth), random_matrix(rng, depth, columns)
    image, (a_at, b_at, c_at) = image_with(a.T if a_t else a, b.T if b_t else b, rows * columns * 4)
    commands = tiled_matmul(
        (rows, columns, depth), (a_at, b_at, c_at), dataflow=dataflow, a_transposed=a_t, b_transposed=b_t
    )
    run(commands, image)
    result = image[c_at - BASE :][: rows * columns * 4].view(np.int32).reshape(rows, columns)
    if dataflow == isa.OUTPUT_STATIONARY:
        expected = a.astype(np.int64) @ b.astype(np.int64)
        np.testing.assert_array_equal(result, (expected + (1 << 19)) % (1 << 20) - (1 << 19))
    else:
        np.testing.assert_array_equal(result, a.astype(np.int32) @ b.astype(np.int32))


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.floats(-2, 2, width=32), st.booleans(), st.integers(0, 1 << 30))
def test_mvout_scales_rounds_to_even_saturates_and_rectifies(scale, relu, seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(-400, 400, (16, 16), dtype=np.int32)
    image = np.zeros(4096, np.uint8)
    image[:1024] = values.view(np.uint8).reshape(-1)
    run(
        [
            isa.config_ld(stride_bytes=64),
            isa.config_st(stride_bytes=16, activation=int(relu), scale=scale),
            isa.mvin(BASE, ACC, 16, 16),
            isa.mvout(BASE + 2048, ACC, 16, 16),
        ],
        image,
    )
    result = image[2048:2304].view(np.int8).reshape(16, 16)
    np.testing.assert_array_equal(result, numpy_scaled(np.maximum(values, 0) if relu else values, scale))


@settings(derandomize=True, deadline=None, max_examples=20)
@given(st.floats(-3, 3, width=32), st.integers(1, 16), st.integers(1, 64), st.integers(0, 1 << 30))
def test_mvin_scales_blocks_and_zeros(scale, rows, columns, seed):
    rng = np.random.default_rng(seed)
    values = random_matrix(rng, rows, columns)
    image = np.zeros(8192, np.uint8)
    image[: rows * columns] = values.view(np.uint8).reshape(-1)
    run(
        [
            isa.config_ld(stride_bytes=columns, scale=scale, block_stride=20, load_id=1),
            isa.config_ld(stride_bytes=0),
            isa.config_st(stride_bytes=16),
            isa.mvin(BASE, 100, columns, rows, load_id=1),
            isa.mvin(0, 100, min(columns, 16), 1),
            *[isa.mvout(BASE + 4096 + 256 * block, 100 + 20 * block, 16, 16) for block in range(4)],
        ],
        image,
    )
    expected = np.zeros((16, 64), np.int8)
    expected[:rows, :columns] = numpy_scaled(values, scale)
    expected[0, : min(columns, 16)] = 0
    result = image[4096:5120].view(np.int8).reshape(4, 16, 16).transpose(1, 0, 2).reshape(16, 64)
    np.testing.assert_array_equal(result, expected)


def test_residual_add_by_accumulating_shrunk_mvins_and_broadcast_row():
    rng = np.random.default_rng(5)
    x, y = random_matrix(rng, 16, 16), random_matrix(rng, 16, 16)
    image = np.zeros(4096, np.uint8)
    image[:256], image[256:512] = x.view(np.uint8).reshape(-1), y.view(np.uint8).reshape(-1)
    run(
        [
            isa.config_ld(stride_bytes=16, shrink=True, scale=2.0),
            isa.config_ld(stride_bytes=0, shrink=True, load_id=1),
            isa.config_st(stride_bytes=64),
            isa.mvin(BASE, ACC, 16, 16),
            isa.mvin(BASE + 256, ACC | isa.ACCUMULATE_BIT, 16, 16, load_id=1),
            isa.mvout(BASE + 1024, ACC | FULL, 16, 16),
        ],
        image,
    )
    result = image[1024:2048].view(np.int32).reshape(16, 16)
    np.testing.assert_array_equal(result, numpy_scaled(x, 2.0).astype(np.int32) + y[0].astype(np.int32))


def test_max_pool_takes_zeros_outside_the_image():
    rng = np.random.default_rng(6)
    pixels = rng.integers(-128, 128, (4, 4, 16), dtype=np.int32)
    image = np.zeros(4096, np.uint8)
    image[:1024] = pixels.view(np.uint8).reshape(-1)
    run(
        [
            isa.config_ld(stride_bytes=64),
            isa.config_st(stride_bytes=16, pool_size=3, pool_stride=2, pool_upper_pad=1, pool_left_pad=1,
                          pool_out_dim=2, pool_out_rows=2, pool_out_columns=2, out_rows=4, out_columns=4),
            isa.mvin(BASE, ACC, 16, 16),
            isa.mvout(BASE + 2048, ACC, 16, 16),
        ],
        image,
    )  # fmt: skip
    padded = np.zeros((6, 6, 16), np.int32)
    padded[1:5, 1:5] = pixels
    expected = [padded[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max((0, 1)) for i in range(2) for j in range(2)]
    np.testing.assert_array_equal(image[2048:2112].view(np.int8).reshape(4, 16), np.stack(expected))


def test_convolution_row_with_a_stride_equals_numpy():
    """One output row of a 3x3 stride-2 convolution: A rows are every second pixel of the input row."""
    rng = np.random.default_rng(7)
    pixels, weights = random_matrix(rng, 3 * 33, 16), random_matrix(rng, 9 * 16, 16)
    image, (x_at, w_at, y_at) = image_with(pixels, weights, 16 * 64)
    commands = [
        isa.config_ex(a_stride=2),
        isa.config_ld(stride_bytes=16),
        isa.config_st(stride_bytes=64),
        *[isa.mvin(x_at + 16 * first, first, 16, min(16, 99 - first)) for first in range(0, 99, 16)],
        *[isa.mvin(w_at + 256 * tap, 4096 + 16 * tap, 16, 16) for tap in range(9)],
    ]
    for tap in range(9):
        target = ACC | (isa.ACCUMULATE_BIT if tap else 0)
        commands.append(isa.preload(4096 + 16 * tap, target, stationary_columns=16, stationary_rows=16,
                                    result_columns=16, result_rows=16))  # fmt: skip
        commands.append(isa.compute_preloaded((tap // 3) * 33 + tap % 3, isa.GARBAGE, a_columns=16, a_rows=16,
                                              other_columns=16, other_rows=16))  # fmt: skip
    run([*commands, isa.mvout(y_at, ACC | FULL, 16, 16)], image)
    windows = pixels.reshape(3, 33, 16).astype(np.int32)
    expected = sum(
        windows[i, j : j + 31 : 2] @ weights[16 * (3 * i + j) :][:16].astype(np.int32)
        for i in range(3)
        for j in range(3)
    )
    result = image[y_at - BASE :][:1024].view(np.int32).reshape(16, 16)
    np.testing.assert_array_equal(result, expected)


def test_output_stationary_shift_rounds_half_to_even():
    a = np.zeros((16, 16), np.int8)
    a[:, 0] = np.arange(-8, 8)
    b = np.zeros((16, 16), np.int8)
    b[0, :] = 1
    image, (a_at, b_at, c_at) = image_with(a, b, 1024)
    span = {"a_columns": 16, "a_rows": 16, "other_columns": 16, "other_rows": 16}
    full = {"stationary_columns": 16, "stationary_rows": 16, "result_columns": 16, "result_rows": 16}
    run(
        [
            isa.config_ex(dataflow=isa.OUTPUT_STATIONARY, shift=2, activation=isa.RELU),
            isa.config_ld(stride_bytes=16),
            isa.config_st(stride_bytes=16),
            isa.mvin(a_at, 0, 16, 16),
            isa.mvin(b_at, 16, 16, 16),
            isa.preload(isa.GARBAGE, 32, **full),
            isa.compute_preloaded(0, 16, **span),
            isa.mvout(c_at, 32, 16, 16),
        ],
        image,
    )
    expected = np.maximum(np.rint(np.arange(-8, 8) / 4), 0).astype(np.int8)
    np.testing.assert_array_equal(image[c_at - BASE :][:256].view(np.int8).reshape(16, 16)[:, 3], expected)


@pytest.mark.parametrize(
    ("commands", "named"),
    [
        ([isa.mvin(BASE, 0, 16, 16)], r"command 0 \(mvin\) funct: mvin, or a loop of them, before"),
        ([isa.config_ld(stride_bytes=16), isa.mvin(BASE, 0, 16, 0)], r"command 1 \(mvin\) rows"),
        ([isa.config_ld(stride_bytes=16), isa.mvin(BASE, 16370, 16, 16)], "beyond the scratchpad"),
        ([isa.config_ld(stride_bytes=16), isa.mvin(BASE, ACC | 1010, 16, 16)], "beyond the accumulator"),
        ([isa.config_ld(stride_bytes=16), isa.mvin(BASE + 9999, 0, 16, 16)], "outside the image"),
        ([isa.config_st(stride_bytes=16), isa.mvout(BASE, FULL, 16, 16)], "full-width"),
        ([isa.config_ex(), isa.compute_preloaded(0, 0, a_columns=1, a_rows=1, other_columns=1, other_rows=1)],
         "compute without preload"),
        ([isa.config_ex(), isa.preload(0, ACC, stationary_columns=1, stationary_rows=1, result_columns=1,
                                       result_rows=1)], r"command 1 \(preload\) funct: preload without"),
        ([(30, 0, 0)], r"command 0 \(funct 30\) funct: unknown"),
        ([(8, 0, 0)], "before config_ex"),
        ([isa.config_ex(a_transposed=True, b_transposed=True)], "transposer"),
    ],
)  # fmt: skip
def test_illegal_commands_are_named(commands, named):
    with pytest.raises(InputError, match=named):
        run(commands, np.zeros(1024, np.uint8))


def test_a_machine_of_other_widths_is_refused():
    machine = msgspec.structs.replace(gemmini(), array=msgspec.structs.replace(gemmini().array, input_bits=16))
    with pytest.raises(InputError, match="int8"):
        execute(isa.program_of([]), machine, np.zeros(1, np.uint8), BASE)


def stored_pixels(spread):
    """16 accumulator rows of 4 columns, each row its own number, stored with config_st's `spread`."""
    image = np.full(8192, 99, np.uint8)
    image[:256] = np.repeat(np.arange(16, dtype=np.int32), 4).view(np.uint8)
    run(
        [
            isa.config_ld(stride_bytes=16),
            isa.config_st(stride_bytes=4, **spread),
            isa.mvin(BASE, ACC, 4, 16),
            isa.mvout(BASE + 4096, ACC, 4, 2),
        ],
        image,
    )
    return image[4096:].reshape(-1, 4)


def test_one_dimensional_mvout_spreads_pixels_over_rows_of_the_image():
    pixels = stored_pixels({"pool_size": 1, "pool_out_dim": 5, "out_rows": 3, "out_columns": 2})
    expected = np.full((15, 4), 99)
    for row in range(3):
        expected[5 * row : 5 * row + 2] = np.arange(2 * row, 2 * row + 2)[:, None]
    np.testing.assert_array_equal(pixels[:15], expected)
    plain = stored_pixels({})
    assert plain[:3, 0].tolist() == [0, 1, 99]


def test_pixels_repeat_up_the_scratchpad_and_to_the_right():
    image = np.zeros(4096, np.uint8)
    image[:12] = np.arange(1, 13)
    run(
        [
            isa.config_ld(stride_bytes=3, pixel_repeats=3),
            isa.config_st(stride_bytes=16),
            isa.mvin(BASE, 1, 3, 4),
            isa.mvout(BASE + 1024, 0, 16, 5),
        ],
        image,
    )
    rows = image[1024:1104].reshape(5, 16)
    pixel = image[:12].reshape(4, 3)
    for row in range(5):
        for copy in range(3):
            # Local row r is pixel r - 1; its copy c lies c rows above, c pixels to the right.
            source = row + copy - 1
            expected = pixel[source] if 0 <= source < 4 else np.zeros(3)
            np.testing.assert_array_equal(rows[row, 3 * copy : 3 * copy + 3], expected)


def test_operands_from_the_accumulator_come_scaled_and_rectified():
    rng = np.random.default_rng(9)
    values = rng.integers(-400, 400, (16, 16), dtype=np.int32)
    image, (a_at, b_at, c_at) = image_with(values, random_matrix(rng, 16, 16), 1024)
    full = {"stationary_columns": 16, "stationary_rows": 16, "result_columns": 16, "result_rows": 16}
    funct, rs1, rs2 = isa.config_ex(activation=isa.RELU)
    run(
        [
            (funct, rs1 & 0xFFFFFFFF | isa.float_bits(0.25) << 32, rs2),
            isa.config_ld(stride_bytes=64),
            isa.config_ld(stride_bytes=16, load_id=1),
            isa.config_st(stride_bytes=64),
            isa.mvin(a_at, ACC, 16, 16),
            isa.mvin(b_at, 0, 16, 16, load_id=1),
            isa.preload(0, ACC | 32, **full),
            isa.compute_preloaded(ACC, isa.GARBAGE, a_columns=16, a_rows=16, other_columns=16, other_rows=16),
            isa.mvout(c_at, ACC | 32 | FULL, 16, 16),
        ],
        image,
    )
    a = numpy_scaled(np.maximum(values, 0), 0.25).astype(np.int32)
    b = image[b_at - BASE :][:256].view(np.int8).reshape(16, 16).astype(np.int32)
    np.testing.assert_array_equal(image[c_at - BASE :][:1024].view(np.int32).reshape(16, 16), a @ b)


def test_partial_sums_wrap_at_the_meshs_output_bits():
    """33 x 128 x 128 is past 2^19 for a depth of 48; the sum of one block is not (PE.scala, MacUnit)."""
    depth = 48
    image, (a_at, b_at, c_at) = image_with(
        np.full((16, depth), -128, np.int8), np.full((depth, 16), -128, np.int8), 1024
    )
    commands = tiled_matmul((16, 16, depth), (a_at, b_at, c_at), dataflow=isa.OUTPUT_STATIONARY)
    run(commands, image)
    result = image[c_at - BASE :][:1024].view(np.int32)
    assert set(result.tolist()) == {depth * 128 * 128 - (1 << 20)}


@pytest.mark.parametrize(("scale", "expected"), [(float("nan"), 127), (float("inf"), 127), (float("-inf"), -128)])
def test_a_scale_that_is_no_number_converts_as_the_rtl_does(scale, expected):
    image = np.zeros(4096, np.uint8)
    image[:64] = np.full(16, 3, np.int32).view(np.uint8)
    load, store = isa.config_ld(stride_bytes=64), isa.config_st(stride_bytes=16, scale=scale)
    run([load, store, isa.mvin(BASE, ACC, 16, 1), isa.mvout(BASE + 1024, ACC, 16, 1)], image)
    assert image[1024:1040].view(np.int8).tolist() == [expected] * 16


def test_a_scale_of_all_ones_keeps_the_last():
    image = np.zeros(4096, np.uint8)
    image[:64] = np.full(16, 3, np.int32).view(np.uint8)
    keep = (isa.CONFIG, isa.CONFIG_ST, 0xFFFFFFFF << 32 | 16)
    load, store = isa.config_ld(stride_bytes=64), isa.config_st(stride_bytes=16, scale=4.0)
    run([load, store, keep, isa.mvin(BASE, ACC, 16, 1), isa.mvout(BASE + 1024, ACC, 16, 1)], image)
    assert image[1024:1040].view(np.int8).tolist() == [12] * 16


@pytest.mark.parametrize(
    ("commands", "named"),
    [
        ([isa.config_st(stride_bytes=16, pool_stride=1, out_rows=2, out_columns=2)], r"pool_size: .*value 0 rows"),
        ([isa.config_st(stride_bytes=16, pool_size=2, pool_stride=1, out_rows=2)], "out_rows: .*value 0 pixels"),
        ([isa.config_st(stride_bytes=16, activation=3)], "activation the machine does not have"),
        ([isa.config_ld(stride_bytes=16, pixel_repeats=4), isa.mvin(BASE, 0, 5, 1)], "repeated pixels .*20 columns"),
        ([isa.config_ld(stride_bytes=16, pixel_repeats=2), isa.mvin(BASE, ACC, 5, 1)], "repeated pixels"),
        ([isa.config_ld(stride_bytes=16, block_stride=8), isa.mvin(BASE, 0, 17, 9)], "overlap .*8 rows, limit 9 rows"),
        ([isa.config_ex(dataflow=0, c_stride=2), isa.preload(0, ACC, stationary_columns=1, stationary_rows=1,
                                                             result_columns=1, result_rows=2)], "c_stride: .*2 rows"),
    ],
)  # fmt: skip
def test_illegal_fields_are_named_with_value_and_unit(commands, named):
    with pytest.raises(InputError, match=named):
        run(commands, np.zeros(1024, np.uint8))


def test_one_block_needs_no_stride_between_blocks():
    run([isa.config_ld(stride_bytes=16, block_stride=1), isa.mvin(BASE, 0, 16, 16)], np.zeros(1024, np.uint8))
