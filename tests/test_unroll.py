"""Loops, unrolled and run command by command, against integer numpy and against the RTL's memory contents."""

import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from loop_programs import (
    A_AT,
    B_AT,
    C_AT,
    D_AT,
    Conv,
    Matmul,
    conv_image,
    conv_loops,
    conv_oracle,
    conv_program,
    conv_result,
    empty_image,
    matmul_program,
    place,
)
from simulator_programs import BASE, gemmini, numpy_scaled, random_matrix

from model_ir.errors import InputError
from simulator import isa
from simulator.functional import execute
from simulator.isa_loops import LoopMatmul, loop_conv_ws, loop_ws
from simulator.raw_commands import program_from_words
from simulator.unroll import expand, expand_with_origin

GROUND_TRUTH = Path(__file__).resolve().parents[2] / "shared" / "ground_truth" / "command_streams.jsonl.gz"
SIZES = st.integers(1, 70)


def run(commands, image):
    execute(isa.program_of(commands), gemmini(), image, BASE)


def check_matmul(case, seed):
    rng = np.random.default_rng(seed)
    a, b = random_matrix(rng, case.rows, case.depth), random_matrix(rng, case.depth, case.columns)
    if case.bias_bits == 8:
        bias = random_matrix(rng, case.rows, case.columns)
    else:
        bias = rng.integers(-(1 << 17), 1 << 17, (case.rows, case.columns), dtype=np.int32)
    image = empty_image()
    place(image, A_AT, a.T if case.a_transpose else a)
    place(image, B_AT, b.T if case.b_transpose else b)
    place(image, D_AT, bias)
    run(matmul_program(case), image)
    total = a.astype(np.int64) @ b.astype(np.int64) + (bias if case.bias_bits else 0)
    raw = image[C_AT - BASE :][: total.size * (4 if case.full_c else 1)]
    if case.full_c:
        np.testing.assert_array_equal(raw.view(np.int32).reshape(total.shape), total)
    else:
        expected = numpy_scaled(np.maximum(total, 0) if case.activation else total, 1.0)
        np.testing.assert_array_equal(raw.view(np.int8).reshape(total.shape), expected)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    SIZES, SIZES, SIZES, st.tuples(*[st.integers(1, 4)] * 3), st.sampled_from(["ijk", "jik"]),
    st.sampled_from([0, 8, 32]), st.booleans(), st.sampled_from(["none", "full", "a", "b"]), st.integers(0, 1 << 30),
)  # fmt: skip
def test_tiled_loop_ws_equals_numpy(rows, columns, depth, tile, order, bias_bits, relu, special, seed):
    case = Matmul(
        rows, columns, depth, tile, order, bias_bits, int(relu),
        full_c=special == "full", a_transpose=special == "a", b_transpose=special == "b",
    )  # fmt: skip
    check_matmul(case, seed)


@settings(derandomize=True, deadline=None, max_examples=20)
@given(SIZES, SIZES, st.booleans(), st.integers(0, 1 << 30))
def test_residual_add_loop_equals_numpy(rows, columns, relu, seed):
    rng = np.random.default_rng(seed)
    a, b = random_matrix(rng, rows, columns), random_matrix(rng, rows, columns)
    image = empty_image()
    place(image, A_AT, a)
    place(image, B_AT, b)
    commands = [isa.config_st(stride_bytes=columns, activation=int(relu)), isa.config_ex()]
    commands += [isa.config_ld(stride_bytes=columns, shrink=True, load_id=name) for name in (0, 1)]
    loop = LoopMatmul(
        max_i=-(-rows // 16), max_j=-(-columns // 16), max_k=0, pad_i=-rows % 16, pad_j=-columns % 16,
        a_dram_addr=A_AT, b_dram_addr=B_AT, c_dram_addr=C_AT,
        a_dram_stride=columns, b_dram_stride=columns, c_dram_stride=columns, is_resadd=True,
    )  # fmt: skip
    run(commands + loop_ws(loop), image)
    total = a.astype(np.int64) + b
    expected = numpy_scaled(np.maximum(total, 0) if relu else total, 1.0)
    stored = image[C_AT - BASE :][: rows * columns].view(np.int8).reshape(rows, columns)
    np.testing.assert_array_equal(stored, expected)


def check_conv(case, seed):
    tiles = conv_loops(case)
    assume(all(loop.batches * loop.orows * loop.ocols * -(-loop.pochs // 16) <= 512 for loop in tiles))
    rng = np.random.default_rng(seed)
    x = rng.integers(-8, 8, (case.batch, case.in_rows, case.in_columns, case.in_channels), dtype=np.int8)
    w = rng.integers(-8, 8, (case.kernel, case.kernel, case.in_channels, case.out_channels), dtype=np.int8)
    bias = rng.integers(-64, 64, case.out_channels, dtype=np.int32)
    image = conv_image(case, x, w, bias)
    run(conv_program(case), image)
    np.testing.assert_array_equal(conv_result(case, image), conv_oracle(case, x, w, bias))


PARTS = st.tuples(*[st.sampled_from([1, 1, 1, 2, 3])] * 7)
CONVS = st.builds(
    Conv, batch=st.integers(1, 3), in_rows=st.integers(3, 7), in_columns=st.integers(3, 19),
    in_channels=st.integers(1, 40), out_channels=st.integers(1, 40), kernel=st.integers(1, 3),
    activation=st.integers(0, 1), scale=st.sampled_from([1.0, 0.37]), bias=st.booleans(), parts=PARTS,
)  # fmt: skip


def changed(case, **fields):
    return Conv(**{**{name: getattr(case, name) for name in Conv.__dataclass_fields__}, **fields})


@settings(derandomize=True, deadline=None, max_examples=40)
@given(CONVS, st.integers(1, 3), st.integers(0, 2), st.integers(1, 2), st.booleans(), st.integers(0, 1 << 30))
def test_tiled_loop_conv_ws_equals_numpy(case, stride, padding, kernel_dilation, wrot180, seed):
    case = changed(case, stride=stride, padding=padding, kernel_dilation=kernel_dilation, wrot180=wrot180)
    assume(padding < case.kernel and case.out(case.in_rows) > 0 and case.out(case.in_columns) > 0)
    check_conv(case, seed)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(CONVS, st.integers(1, 3), st.integers(1, 3), st.integers(0, 1), st.integers(0, 1), st.integers(0, 1 << 30))
def test_pooling_in_the_store_equals_numpy(case, pool_size, pool_stride, pool_padding, padding, seed):
    case = changed(
        case, padding=padding, pool_size=pool_size, pool_stride=pool_stride, pool_padding=pool_padding,
        parts=(*case.parts[:4], 1, 1, 1),
    )  # fmt: skip
    assume(padding < case.kernel and pool_padding < pool_size)
    assume(min(case.out(case.in_rows), case.out(case.in_columns)) >= pool_size)
    check_conv(case, seed)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    CONVS, st.sampled_from(["output_1203", "weight_1203", "weight_0132", "input_3120"]), st.integers(0, 1),
    st.integers(0, 1 << 30),
)  # fmt: skip
def test_transposed_tensors_equal_numpy(case, which, padding, seed):
    case = changed(case, padding=padding, **{f"trans_{which}": True})
    assume(padding < case.kernel and case.out(case.in_rows) > 0 and case.out(case.in_columns) > 0)
    if case.trans_input_3120:  # the RTL takes the tile's batches for the distance of two channels
        case = changed(case, parts=(1, *case.parts[1:]))
    check_conv(case, seed)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(CONVS, st.integers(0, 2), st.booleans(), st.integers(0, 1 << 30))
def test_dilated_input_equals_numpy(case, padding, wrot180, seed):
    # One kernel tap alone may find nothing but holes in its tile, which the RTL's sizes cannot express.
    case = changed(
        case, padding=padding, input_dilated=True, wrot180=wrot180, kernel=max(case.kernel, 2),
        parts=(*case.parts[:4], 1, 1, case.parts[6]),
    )  # fmt: skip
    assume(padding < case.kernel and case.out(case.in_rows) > 0 and case.out(case.in_columns) > 0)
    check_conv(case, seed)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(CONVS, st.integers(1, 8), st.integers(2, 3), st.integers(0, 2), st.integers(1, 2), st.integers(0, 1 << 30))
def test_kernel_columns_sharing_a_row_of_the_array_equal_numpy(case, channels, kernel, padding, stride, seed):
    """The first layer's shape: few channels, so that several kernel columns fit the array's rows at once."""
    case = changed(
        case, in_channels=channels, kernel=kernel, padding=min(padding, kernel - 1), stride=stride,
        pixels=min(16 // channels, kernel), parts=(*case.parts[:5], 1, 1),
    )  # fmt: skip
    assume(case.out(case.in_rows) > 0 and case.out(case.in_columns) > 0)
    check_conv(case, seed)


@settings(derandomize=True, deadline=None, max_examples=20)
@given(CONVS, st.integers(2, 4), st.integers(2, 12), st.integers(0, 1 << 30))
def test_downsampling_load_equals_numpy(case, half_rows, half_columns, seed):
    case = changed(
        case, in_rows=2 * half_rows, in_columns=2 * half_columns, kernel=1, stride=2, downsample=True,
    )  # fmt: skip
    check_conv(case, seed)


def test_depthwise_loop_reads_one_channel_of_weights():
    """dw: kernel positions lie one element apart, so each channel is a loop of its own."""
    rng = np.random.default_rng(3)
    x, w = rng.integers(-8, 8, (1, 6, 7, 1), dtype=np.int8), rng.integers(-8, 8, (3, 3, 1, 1), dtype=np.int8)
    case = Conv(in_rows=6, in_columns=7, in_channels=1, out_channels=1, kernel=3, padding=1, bias=False)
    image = conv_image(case, x, w, np.zeros(1, np.int32))
    commands = conv_program(case)
    funct, rs1, rs2 = commands[-1]
    run([*commands[:-1], (funct, rs1 | 1 << 6, rs2)], image)
    np.testing.assert_array_equal(conv_result(case, image), conv_oracle(case, x, w, np.zeros(1, np.int32)))


def test_a_loop_without_weights_uses_those_an_earlier_one_left():
    rng = np.random.default_rng(4)
    case = Conv(batch=2, in_channels=20, out_channels=20, kernel=3, padding=1, parts=(2, 1, 1, 1, 1, 1, 1))
    x = rng.integers(-8, 8, (2, 5, 5, 20), dtype=np.int8)
    w = rng.integers(-8, 8, (3, 3, 20, 20), dtype=np.int8)
    bias = rng.integers(-64, 64, 20, dtype=np.int32)
    image = conv_image(case, x, w, bias)
    first, second = conv_loops(case)
    fields = {name: getattr(second, name) for name in type(second).__dataclass_fields__}
    named = type(second)(**{**fields, "weights": 0, "b_spad_id": 1})
    commands = [*conv_program(case)[:2], *loop_conv_ws(first), *loop_conv_ws(named)]
    run(commands, image)
    np.testing.assert_array_equal(conv_result(case, image), conv_oracle(case, x, w, bias))


def test_origin_names_the_loop_of_every_command():
    commands = matmul_program(Matmul(40, 40, 40, (2, 2, 2)))
    program = isa.program_of(commands)
    unrolled, origin = expand_with_origin(program, gemmini())
    assert len(unrolled) == origin.size
    assert set(origin[5:].tolist()) == {index for index, command in enumerate(commands) if command[0] == isa.LOOP_WS}
    plain = isa.program_of(commands[:5])
    assert expand(plain, gemmini()) is plain


def test_faults_name_the_loop():
    loop = LoopMatmul(max_i=1, max_j=1, max_k=1, a_dram_addr=A_AT, b_dram_addr=B_AT, a_dram_stride=16, b_dram_stride=16)
    commands = loop_ws(loop)
    ready = [
        isa.config_ex(),
        isa.config_ld(stride_bytes=16),
        isa.config_ld(stride_bytes=16, load_id=1),
        isa.config_st(stride_bytes=16),
    ]
    with pytest.raises(InputError, match=r"command 4 \(loop_ws\) funct: loop_ws before its bounds"):
        run(ready + commands[-1:], empty_image())
    with pytest.raises(InputError, match=r"command 5 \(loop_ws\) funct: .*before config_ex"):
        run(commands, empty_image())
    bounded = [commands[0], *commands[2:]]
    with pytest.raises(InputError, match=r"command 8 \(loop_ws\).*before its configuration.*loop_ws_addresses_ab"):
        run(ready + bounded, empty_image())
    tall = LoopMatmul(max_i=900, max_j=1, max_k=1, a_dram_addr=A_AT, b_dram_addr=0, a_dram_stride=0, b_dram_stride=0)
    with pytest.raises(InputError, match=r"command 4 \(loop_ws_bounds\) bounds: more than its half"):
        run(ready + loop_ws(tall), empty_image())
    empty = LoopMatmul(max_i=1, max_j=1, max_k=0, a_dram_addr=0, b_dram_addr=0, a_dram_stride=0, b_dram_stride=0)
    with pytest.raises(InputError, match=r"command 9 \(loop_ws\) bounds: .*one block"):
        run(ready + loop_ws(empty), empty_image())


@pytest.mark.skipif(not GROUND_TRUTH.exists(), reason=f"{GROUND_TRUTH} is absent")
def test_every_measured_loop_program_leaves_the_bytes_the_rtl_left():
    index = np.arange(64 << 20, dtype=np.uint64)
    initial = (((index * np.uint64(2654435761)) >> np.uint64(13)) & np.uint64(3)).astype(np.uint8)
    checked = 0
    with gzip.open(GROUND_TRUTH) as lines:
        for line in lines:
            row = json.loads(line)
            if "output_sha256" not in row:
                continue
            image = initial.copy()
            execute(program_from_words(row["commands"]), gemmini(), image, BASE)
            stored = image[0x1000000:][: row["I"] * row["J"]].tobytes()
            assert hashlib.sha256(stored).hexdigest() == row["output_sha256"], row["name"]
            checked += 1
    assert checked >= 150
