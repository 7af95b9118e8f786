"""QONNX's quantisers equal qonnx's own functions; ONNX's linear ones equal onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_oracle import build, check, describe, evaluate_both, integers, normal

from model_ir.errors import InputError, UnsupportedOperatorError
from model_ir.ops.host import HostOp
from model_ir.ops.quantisation import ROUNDINGS, BipolarQuant, DequantizeLinear, Quant, QuantizeLinear, Trunc
from model_ir.precision import FLOAT32, INT8, UINT8, Precision

few = settings(max_examples=15, deadline=None, derandomize=True)


def scalar(value: float) -> Any:
    return np.array(value, np.float32)


def assert_equal(op: Any, arrays: list[Any], expected: Any) -> None:
    for result in evaluate_both(op, arrays):
        np.testing.assert_array_equal(np.asarray(result[0]), expected.astype(np.float32), err_msg=str(op))


@pytest.mark.parametrize("rounding_mode", ROUNDINGS)
@few
@given(st.booleans(), st.booleans(), st.integers(1, 8), st.sampled_from([0.125, 0.5, 2.0]), st.integers(-3, 3))
def test_quant(rounding_mode: str, signed: bool, narrow: bool, bits: int, scale: float, zero_point: int) -> None:
    """Power-of-two scales and quarter steps make every rounding tie exact, so equality is exact."""
    oracle = pytest.importorskip("qonnx.custom_op.general.quant").quant
    x = integers((5, 40), -80, 80).astype(np.float32) * np.float32(scale / 4)
    parameters = [scalar(scale), scalar(zero_point), scalar(bits)]
    op = build(Quant, 4, signed=signed, narrow=narrow, rounding_mode=rounding_mode)
    assert_equal(op, [x, *parameters], oracle(x, *parameters, signed, narrow, rounding_mode))


def test_quant_per_channel() -> None:
    oracle = pytest.importorskip("qonnx.custom_op.general.quant").quant
    x, scale = normal((2, 3, 4, 4), scale=4.0), np.array([0.25, 0.5, 1.0], np.float32).reshape(1, 3, 1, 1)
    arrays = [x, scale, scalar(0), scalar(4)]
    assert_equal(build(Quant, 4), arrays, oracle(*arrays, True, False, "ROUND"))


def test_quant_takes_the_precision_its_creator_knows() -> None:
    arrays = [normal((3, 4)), scalar(0.5), scalar(0), scalar(4)]
    known = Precision(bits=4, scale=0.5)
    assert build(Quant, 4, precision=known).infer(describe(arrays))[0].precision == known
    assert build(Quant, 4).infer(describe(arrays))[0].precision == FLOAT32


def test_bipolar_quant() -> None:
    oracle = pytest.importorskip("qonnx.custom_op.general.bipolar_quant").binary_quant
    arrays = [np.array([[-2.0, -0.0, 0.0, 1e-9, 3.0]], np.float32), scalar(0.75)]
    assert_equal(build(BipolarQuant, 2), arrays, oracle(*arrays))


@pytest.mark.parametrize("rounding_mode", ["FLOOR", "CEIL", "ROUND"])
@pytest.mark.parametrize(("bits_in", "bits_out"), [(8, 4), (10, 8), (6, 6)])
def test_trunc(rounding_mode: str, bits_in: int, bits_out: int) -> None:
    oracle = pytest.importorskip("qonnx.custom_op.general.trunc").trunc_v1
    x = integers((5, 40), -128, 128).astype(np.float32) * np.float32(0.25)
    arrays = [x, scalar(0.25), scalar(0), scalar(bits_in), scalar(bits_out)]
    assert_equal(build(Trunc, 5, rounding_mode=rounding_mode), arrays, oracle(*arrays, rounding_mode))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("per_axis", [False, True])
@pytest.mark.parametrize("axis", [1, -2])
def test_quantize_linear(dtype: Any, per_axis: bool, axis: int) -> None:
    shape = (4, 3, 5)
    length = (shape[axis],) if per_axis else ()
    x = integers(shape, -400, 400).astype(np.float32) / 8
    scale = np.asarray(2.0 ** integers(length, -3, 2, 1), dtype=np.float32)
    zero_point = integers(length, 0, 9, 2, dtype)
    check(build(QuantizeLinear, 3, axis=axis), [x, scale, zero_point], "QuantizeLinear", axis=axis)
    assert build(QuantizeLinear, 3, axis=axis).infer(describe([x, scale, zero_point]))[0].precision == (
        INT8 if dtype is np.int8 else UINT8
    )
    quantised = integers(shape, 0, 120, dtype=dtype)
    check(build(DequantizeLinear, 3, axis=axis), [quantised, scale, zero_point], "DequantizeLinear", axis=axis)


def test_linear_quantisers_without_zero_point() -> None:
    x, scale = integers((4, 3), -400, 400).astype(np.float32), np.array([2.0], np.float32)
    check(build(QuantizeLinear, 2), [x, scale.reshape(())], "QuantizeLinear")
    check(build(DequantizeLinear, 2), [integers((4, 3), 0, 99, dtype=np.uint8), scale.reshape(())], "DequantizeLinear")


def test_host_op_declares_its_outputs_and_refuses_to_run() -> None:
    op = build(HostOp, 1, outputs=2, op_type="LSTM", output_shapes=((2, 3), (4,)), output_precisions=(FLOAT32, INT8))
    assert [(t.shape, t.precision) for t in op.infer(describe([normal((3,))]))] == [((2, 3), FLOAT32), ((4,), INT8)]
    with pytest.raises(UnsupportedOperatorError, match=r"node.*LSTM"):
        op.evaluate(np, normal((3,)))


@pytest.mark.parametrize(
    ("op", "shapes", "words"),
    [
        (build(Quant, 4, rounding_mode="AWAY"), [(3,), (), (), ()], ["rounding_mode", "AWAY"]),
        (build(Quant, 4), [(3,), (4,), (), ()], ["'x1'", "(4,)", "(3,)"]),
        (build(Quant, 3), [(3,), (), ()], ["number of inputs", "limit 4"]),
        (build(BipolarQuant, 2), [(3,), (2, 3)], ["(2, 3)"]),
        (build(QuantizeLinear, 2), [(2, 3), (2,)], ["per-axis", "limit (3,)"]),
        (build(DequantizeLinear, 2, axis=2), [(2, 3), (2,)], ["axis"]),
        (build(HostOp, 1, op_type="LSTM", output_shapes=((1,), (2,)), output_precisions=(FLOAT32,)), [(3,)], ["LSTM"]),
    ],
)
def test_misfits_are_refused(op: Any, shapes: list[tuple[int, ...]], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        op.infer(describe([np.zeros(shape, np.float32) for shape in shapes]))
    for word in [op.kind, "'node'", *words]:
        assert word in str(caught.value)
