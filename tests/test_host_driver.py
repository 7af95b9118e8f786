"""The C library's calls: the commands they issue compute what numpy says, in the tiles the library chooses."""

from __future__ import annotations

import csv
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator_programs import ROOT

from model_ir.errors import InputError
from simulator.accelerator_file import load_accelerator
from simulator.functional import execute
from simulator.host_calls import ConvCall, MatmulCall, placed
from simulator.host_conv import conv_search, conv_stream, search_cycles
from simulator.host_instructions import MATMUL
from simulator.host_matmul import matmul_search, matmul_stream
from simulator.soc import run_matmul
from systolic.fidelity_soc import call_of

TRUTH = ROOT.parent / "shared" / "ground_truth"
BASE = 0x80000000


@cache
def soc():
    return load_accelerator("gemmini-soc")


def small_integers(rng, *shape, low=-3, high=4, dtype=np.int8):
    return rng.integers(low, high, shape).astype(dtype)


def run(stream, operands, result_bytes):
    """The bytes at the result's place once `stream` has run over `operands`, which lie before it."""
    sizes = [operand.nbytes for operand in operands]
    *at, result_at = placed((*sizes, result_bytes))
    image = np.zeros(result_at - BASE + result_bytes + 64, np.uint8)
    for operand, address in zip(operands, at, strict=True):
        image[address - BASE :][: operand.nbytes] = operand.reshape(-1).view(np.uint8)
    execute(stream.program, soc(), image, BASE)
    return image[result_at - BASE :][:result_bytes]


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    st.integers(1, 120), st.integers(1, 120), st.integers(1, 90), st.sampled_from(["ws", "os"]),
    st.sampled_from(["none", "row", "matrix"]), st.booleans(), st.booleans(), st.sampled_from(["", "a", "b"]),
    st.integers(0, 1 << 30),
)  # fmt: skip
def test_a_matmul_call_computes_what_numpy_does(rows, columns, depth, dataflow, bias, relu, wide, transposed, seed):
    transposed = transposed if dataflow == "ws" else ""
    rng = np.random.default_rng(seed)
    a, b = small_integers(rng, rows, depth), small_integers(rng, depth, columns)
    bias_rows = {"none": 0, "row": 1, "matrix": rows}[bias]
    d = small_integers(rng, bias_rows, columns, low=-50, high=50, dtype=np.int32)
    call = MatmulCall(
        rows=rows, columns=columns, depth=depth, dataflow=dataflow, bias=bias, relu=relu, full_width=wide,
        a_transposed=transposed == "a", b_transposed=transposed == "b",
    )  # fmt: skip
    operands = (
        np.ascontiguousarray(a.T if transposed == "a" else a),
        np.ascontiguousarray(b.T if transposed == "b" else b),
        d,
    )
    stream = matmul_stream(call, soc(), cycles_per_instruction=1.0)
    result = run(stream, operands, rows * columns * (4 if wide else 1))
    expected = a.astype(np.int64) @ b.astype(np.int64)
    if bias_rows:
        expected = expected + d
    if wide:
        np.testing.assert_array_equal(result.view(np.int32).reshape(rows, columns), expected)
    else:
        expected = np.maximum(expected, 0) if relu else expected
        np.testing.assert_array_equal(result.view(np.int8).reshape(rows, columns), np.clip(expected, -128, 127))


CONVS = st.builds(
    dict,
    images=st.integers(1, 2),
    in_rows=st.integers(5, 14),
    in_columns=st.integers(5, 14),
    in_channels=st.integers(1, 40),
    out_channels=st.integers(1, 40),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 2),
    padding=st.integers(0, 1),
    pool_size=st.sampled_from([0, 0, 2, 3]),
    bias=st.booleans(),
    relu=st.booleans(),
    seed=st.integers(0, 1 << 30),
)


def convolved(call, image, weights, bias):
    """Result of `call` by numpy, before saturation."""
    pad = call.padding
    padded = np.pad(image.astype(np.int64), ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    total = np.zeros((call.images, call.out_rows, call.out_columns, call.out_channels), np.int64)
    for row in range(call.kernel):
        for column in range(call.kernel):
            part = padded[:, row:, column:][:, :: call.stride, :: call.stride][:, : call.out_rows, : call.out_columns]
            total += part @ weights[row, column].astype(np.int64)
    return total + bias if call.bias else total


def pooled(call, total):
    """Max-pooling as the store path does it: places outside the image hold zero."""
    size, stride, pad = call.window
    padded = np.pad(total, ((0, 0), (pad, pad), (pad, pad), (0, 0)), constant_values=0)
    windows = [
        padded[:, row:, column:][:, ::stride, ::stride][:, : call.pooled_rows, : call.pooled_columns]
        for row in range(size)
        for column in range(size)
    ]
    return np.max(windows, axis=0)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(CONVS)
def test_a_convolution_call_computes_what_numpy_does(choice):
    seed, kernel = choice.pop("seed"), choice["kernel"]
    choice["padding"] = min(choice["padding"], kernel - 1)
    call = ConvCall(
        **choice, pool_stride=2 if choice["pool_size"] else 0, pool_padding=1 if choice["pool_size"] == 3 else 0
    )
    rng = np.random.default_rng(seed)
    image = small_integers(rng, call.images, call.in_rows, call.in_columns, call.in_channels)
    weights = small_integers(rng, kernel, kernel, call.in_channels, call.out_channels)
    bias = small_integers(rng, call.out_channels, low=-50, high=50, dtype=np.int32)
    stream = conv_stream(call, soc(), cycles_per_instruction=1.0)
    shape = (call.images, call.pooled_rows, call.pooled_columns, call.out_channels)
    result = run(stream, (image, weights, bias), int(np.prod(shape))).view(np.int8).reshape(shape)
    expected = convolved(call, image, weights, bias)
    expected = np.clip(np.maximum(expected, 0) if call.relu else expected, -128, 127)
    np.testing.assert_array_equal(result, pooled(call, expected))


def test_the_librarys_tile_of_a_large_matmul_is_the_documented_one():
    assert matmul_search(MatmulCall(rows=4096, columns=4096, depth=4096), soc()).sizes == (5, 5, 51)
    search = matmul_search(MatmulCall(rows=16, columns=16, depth=2000), soc())
    assert (search.sizes, search.rounds) == ((1, 1, 125), 125 - 51)


def test_host_cycles_are_the_instructions_times_what_one_costs():
    call = MatmulCall(rows=16, columns=16, depth=16)
    stream = matmul_stream(call, soc(), cycles_per_instruction=1.0)
    assert stream.host_cycles.sum() == MATMUL.search + sum(MATMUL.configure) + MATMUL.first_tile + sum(MATMUL.loop)
    double = matmul_stream(call, soc(), cycles_per_instruction=2.0)
    np.testing.assert_array_equal(double.host_cycles, 2 * stream.host_cycles)


def conv_rows():
    file = TRUTH / "soc_conv.csv"
    if not file.exists():
        pytest.skip("the SoC's measurements are not beside this clone (../shared/ground_truth)")
    with file.open() as lines:
        return [{name: int(value) for name, value in row.items()} for row in csv.DictReader(lines)]


def test_convolution_tiles_are_those_the_library_chose():
    names = (
        "batches",
        "pooled_rows",
        "pooled_columns",
        "pooled_output_channels",
        "kernel_rows",
        "kernel_columns",
        "kernel_channels",
    )
    for row in conv_rows():
        _, call = call_of("soc_conv", row)
        search = conv_search(call, soc())
        assert search.sizes == tuple(row[name] for name in names)
        assert search_cycles(call, soc(), cycles_per_try=290) == 290 * search.tried


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda: MatmulCall(rows=0, columns=1, depth=1), "matmul.rows"),
        (lambda: MatmulCall(rows=1, columns=1, depth=1, a_transposed=True, b_transposed=True), "matmul"),
        (lambda: MatmulCall(rows=1, columns=1, depth=1, dataflow="os", a_transposed=True), "matmul.dataflow"),
        (lambda: ConvCall(in_rows=4, in_columns=4, in_channels=1, out_channels=1, kernel=9), "conv.kernel"),
        (lambda: ConvCall(in_rows=4, in_columns=4, in_channels=1, out_channels=1, kernel=3, padding=3), "conv.padding"),
        (lambda: ConvCall(in_rows=4, in_columns=4, in_channels=1, out_channels=1, kernel=1, pool_size=2), "conv.pool"),
        (lambda: run_matmul(MatmulCall(rows=1, columns=1, depth=1), load_accelerator("gemmini")), "gemmini.driver"),
    ],
)  # fmt: skip
def test_what_the_library_cannot_do_is_refused_by_name(make, path):
    with pytest.raises(InputError, match=path):
        make()
