"""Every spelling of every operator that the importer reads, alone, against onnxruntime; and what it does with the
rest."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, defs, helper, numpy_helper
from onnx_cases import FLOAT, INT64, Writer, assert_equal_to_runtime, save

from model_ir.errors import InputError, UnsupportedOperatorError
from model_ir.graph import execute
from model_ir.onnx_import import convert, import_onnx
from model_ir.onnx_import.elementwise import UNARY_FUNCTIONS
from model_ir.ops.host import HostOp
from model_ir.passes.pipeline import run_passes

f32, i64 = np.float32, np.int64

# (operator, operator set, shape of x, further inputs as initialisers (None: absent), attributes, number of outputs)
Case = tuple[str, int, tuple[int, ...], tuple[Any, ...], dict[str, Any], int]

RNG = np.random.default_rng(11)


def real(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(f32)


def ints(*values: int) -> Any:
    return np.array(values, i64)


IMAGE = (2, 4, 7, 6)
# "Not" and "IsNaN" give booleans and are met in the Transformer tests.
UNARY = sorted({*UNARY_FUNCTIONS, "Identity"} - {"Not", "IsNaN"})
WITHIN_ZERO_AND_ONE = ("Acos", "Asin", "Log", "ReduceLogSum", "Sqrt")

CASES: tuple[Case, ...] = (
    *((name, 18, (3, 5), (), {}, 1) for name in UNARY),
    *((name, 13, (3, 5), (real(5),), {}, 1) for name in ("Add", "Sub", "Mul", "Div")),
    ("Pow", 13, (3, 5), (f32(2),), {}, 1),
    ("Pow", 13, (3, 5), (ints(3),), {}, 1),
    ("Mod", 13, (3, 5), (f32(0.7),), {"fmod": 1}, 1),
    *((name, 13, (3, 5), (real(5), real(3, 1)), {}, 1) for name in ("Max", "Min", "Sum", "Mean")),
    ("Sum", 13, (3, 5), (), {}, 1),
    ("PRelu", 16, (3, 5), (real(5),), {}, 1),
    ("LeakyRelu", 16, (3, 5), (), {"alpha": 0.2}, 1),
    ("LeakyRelu", 16, (3, 5), (), {}, 1),
    ("Elu", 13, (3, 5), (), {"alpha": 0.7}, 1),
    ("Celu", 12, (3, 5), (), {}, 1),
    ("Selu", 13, (3, 5), (), {}, 1),
    ("HardSigmoid", 13, (3, 5), (), {}, 1),
    ("Gelu", 20, (3, 5), (), {}, 1),
    ("Gelu", 20, (3, 5), (), {"approximate": "tanh"}, 1),
    ("Clip", 9, (3, 5), (), {"min": -0.5, "max": 0.5}, 1),
    ("Clip", 9, (3, 5), (), {}, 1),
    ("Clip", 13, (3, 5), (f32(-0.5), f32(0.5)), {}, 1),
    ("Clip", 13, (3, 5), (None, f32(0.5)), {}, 1),
    ("Cast", 13, (3, 5), (), {"to": TensorProto.FLOAT16}, 1),
    ("MatMul", 13, (2, 3, 5), (real(5, 4),), {}, 1),
    ("Gemm", 9, (3, 5), (real(4, 5), real(4)), {"transB": 1, "alpha": 0.5, "beta": 2.0}, 1),
    ("Gemm", 13, (5, 3), (real(5, 4), real(3, 1)), {"transA": 1}, 1),
    ("Gemm", 13, (3, 5), (real(5, 4),), {"alpha": 3.0}, 1),
    ("Conv", 11, IMAGE, (real(6, 2, 3, 3), real(6)), {"group": 2, "strides": [2, 1], "pads": [1, 0, 2, 1]}, 1),
    ("Conv", 11, IMAGE, (real(6, 4, 3, 2),), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, 1),
    ("Conv", 11, IMAGE, (real(6, 4, 3, 2),), {"auto_pad": "SAME_LOWER", "strides": [2, 3]}, 1),
    ("Conv", 11, IMAGE, (real(6, 4, 3, 3),), {"auto_pad": "VALID", "dilations": [2, 1]}, 1),
    ("Conv", 11, (1, 2, 9), (real(3, 2, 3),), {}, 1),
    ("Conv", 11, (1, 2, 4, 5, 6), (real(3, 2, 2, 2, 2),), {"pads": [1] * 6}, 1),
    ("ConvTranspose", 11, IMAGE, (real(4, 3, 3, 3), real(3)), {"strides": [2, 2], "pads": [1, 1, 0, 1]}, 1),
    ("ConvTranspose", 11, IMAGE, (real(4, 2, 3, 3),), {"group": 2, "strides": [2, 2], "output_padding": [1, 0]}, 1),
    ("ConvTranspose", 11, IMAGE, (real(4, 3, 3, 3),), {"strides": [2, 2], "output_shape": [14, 12]}, 1),
    ("ConvTranspose", 11, IMAGE, (real(4, 3, 3, 3),), {"strides": [2, 2], "auto_pad": "SAME_UPPER"}, 1),
    ("ConvTranspose", 11, IMAGE, (real(4, 3, 3, 3),), {"strides": [2, 2], "auto_pad": "SAME_LOWER"}, 1),
    ("Einsum", 12, (2, 3, 5), (real(5, 4),), {"equation": "b i k, k j -> b i j"}, 1),
    ("MaxPool", 9, IMAGE, (), {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]}, 1),
    ("MaxPool", 12, IMAGE, (), {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1, "dilations": [2, 1]}, 1),
    ("AveragePool", 11, IMAGE, (), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, 1),
    ("AveragePool", 11, IMAGE, (), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}, 1),
    ("AveragePool", 11, IMAGE, (), {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER", "strides": [2, 2]}, 1),
    ("GlobalAveragePool", 9, IMAGE, (), {}, 1),
    ("GlobalMaxPool", 9, IMAGE, (), {}, 1),
    ("BatchNormalization", 9, IMAGE, (real(4), real(4), real(4), abs(real(4))), {"epsilon": 1e-3}, 1),
    ("BatchNormalization", 15, IMAGE, (real(4), real(4), real(4), abs(real(4))), {}, 1),
    ("InstanceNormalization", 9, IMAGE, (real(4), real(4)), {}, 1),
    ("GroupNormalization", 21, IMAGE, (real(4), real(4)), {"num_groups": 2}, 1),
    ("LayerNormalization", 17, (2, 3, 5), (real(5), real(5)), {}, 1),
    ("LayerNormalization", 17, (2, 3, 5), (real(3, 5),), {"axis": 1, "epsilon": 0.01}, 1),
    ("RMSNormalization", 23, (2, 3, 5), (real(5),), {}, 1),
    ("LRN", 9, IMAGE, (), {"size": 3, "alpha": 0.1}, 1),
    ("LpNormalization", 9, (3, 5), (), {"p": 1, "axis": 0}, 1),
    ("Softmax", 9, (2, 3, 5), (), {}, 1),
    ("Softmax", 11, (2, 3, 5), (), {"axis": 0}, 1),
    ("Softmax", 11, (2, 3, 5), (), {"axis": -1}, 1),
    ("Softmax", 13, (2, 3, 5), (), {}, 1),
    ("Softmax", 13, (2, 3, 5), (), {"axis": 1}, 1),
    ("LogSoftmax", 11, (2, 3, 5), (), {}, 1),
    ("LogSoftmax", 13, (2, 3, 5), (), {"axis": 0}, 1),
    *((name, 11, (2, 3, 5), (), {"axes": [0, -1], "keepdims": 0}, 1) for name in (
        "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
        "ReduceSumSquare")),
    ("ReduceMean", 18, (2, 3, 5), (ints(1),), {}, 1),
    ("ReduceMean", 18, (2, 3, 5), (), {}, 1),
    ("ReduceMean", 18, (2, 3, 5), (), {"noop_with_empty_axes": 1}, 1),
    ("ReduceSum", 13, (2, 3, 5), (ints(0, 2),), {"keepdims": 0}, 1),
    ("ReduceLogSum", 13, (1, 1, 1), (), {"axes": [1]}, 1),
    ("ArgMax", 13, (2, 3, 5), (), {"axis": 1, "keepdims": 0}, 1),
    ("ArgMin", 13, (2, 3, 5), (), {"axis": -1}, 1),
    ("Reshape", 13, (2, 3, 5), (ints(0, -1),), {}, 1),
    ("Reshape", 14, (2, 3, 5), (ints(5, 3, 2),), {"allowzero": 1}, 1),
    ("Flatten", 9, (2, 3, 5), (), {"axis": 0}, 1),
    ("Flatten", 13, (2, 3, 5), (), {"axis": -1}, 1),
    ("Flatten", 13, (2, 3, 5), (), {}, 1),
    ("Squeeze", 11, (2, 1, 5), (), {"axes": [1]}, 1),
    ("Squeeze", 13, (2, 1, 5), (ints(-2),), {}, 1),
    ("Squeeze", 13, (1, 2, 1), (), {}, 1),
    ("Unsqueeze", 11, (2, 3), (), {"axes": [0, 3]}, 1),
    ("Unsqueeze", 13, (2, 3), (ints(-1, 0),), {}, 1),
    ("Transpose", 13, (2, 3, 5), (), {}, 1),
    ("Transpose", 13, (2, 3, 5), (), {"perm": [1, 0, 2]}, 1),
    ("Concat", 13, (2, 3), (real(2, 4),), {"axis": -1}, 1),
    ("Split", 11, (2, 7), (), {"axis": 1, "split": [3, 4]}, 2),
    ("Split", 11, (2, 6), (), {"axis": -1}, 3),
    ("Split", 13, (2, 7), (ints(1, 2, 4),), {"axis": 1}, 3),
    ("Split", 18, (2, 7), (), {"axis": 1, "num_outputs": 3}, 3),
    ("Slice", 9, (4, 6), (), {"starts": [1, -3], "ends": [3, 100]}, 1),
    ("Slice", 9, (4, 6), (), {"starts": [-2], "ends": [-1], "axes": [1]}, 1),
    ("Slice", 13, (4, 6), (ints(-1), ints(-(2**63)), ints(1), ints(-2)), {}, 1),
    ("Slice", 13, (4, 6), (ints(0, 1), ints(2**63 - 1, 5), ints(0, -1), ints(3, 2)), {}, 1),
    ("Gather", 13, (4, 6), (np.array([[0, -1], [2, 1]], i64),), {"axis": 1}, 1),
    ("GatherElements", 13, (4, 6), (np.array([[0, 3], [-2, 1]], i64),), {"axis": 0}, 1),
    ("GatherND", 13, (4, 6), (np.array([[0, 3], [2, 1]], i64),), {}, 1),
    ("ScatterND", 16, (4, 6), (np.array([[0], [2]], i64), real(2, 6)), {}, 1),
    ("Pad", 9, (2, 3), (), {"pads": [1, 0, 0, 2], "value": 0.5}, 1),
    ("Pad", 13, (4, 5), (ints(1, 2, 0, 1), f32(0.5)), {}, 1),
    ("Pad", 13, (4, 5), (ints(1, 2, 0, 1),), {"mode": "reflect"}, 1),
    ("Pad", 13, (4, 5), (ints(1, 2, 0, 1),), {"mode": "edge"}, 1),
    ("Pad", 13, (4, 5), (ints(-1, 2, 0, -1),), {}, 1),
    ("Pad", 18, (4, 5), (ints(2, 1), None, ints(-1)), {}, 1),
    ("Expand", 13, (3, 1), (ints(2, 1, 4),), {}, 1),
    ("Tile", 13, (2, 3), (ints(2, 3),), {}, 1),
    ("DepthToSpace", 13, (1, 8, 2, 3), (), {"blocksize": 2}, 1),
    ("DepthToSpace", 13, (1, 8, 2, 3), (), {"blocksize": 2, "mode": "CRD"}, 1),
    ("SpaceToDepth", 13, (1, 2, 4, 6), (), {"blocksize": 2}, 1),
    ("CumSum", 14, (3, 5), (np.int64(1),), {"reverse": 1}, 1),
    ("Trilu", 14, (4, 5), (np.int64(1),), {"upper": 0}, 1),
    ("Trilu", 14, (4, 5), (), {}, 1),
    ("Upsample", 9, (1, 2, 3, 4), (f32([1, 1, 2, 3]),), {"mode": "nearest"}, 1),
    ("Upsample", 9, (1, 2, 3, 4), (f32([1, 1, 2, 2]),), {"mode": "linear"}, 1),
    ("Resize", 10, (1, 2, 4, 4), (f32([1, 1, 2, 2]),), {"mode": "nearest"}, 1),
    ("Resize", 10, (1, 2, 4, 6), (f32([1, 1, 0.5, 0.5]),), {"mode": "nearest"}, 1),
    ("Resize", 13, (1, 2, 4, 5), (f32([]), f32([1, 1, 1.5, 2.5])), {"mode": "linear"}, 1),
    ("Resize", 13, (1, 2, 4, 5), (None, None, ints(1, 2, 7, 3)), {"mode": "cubic"}, 1),
    ("Resize", 13, (1, 2, 4, 5), (None, None, ints(1, 2, 7, 3)),
     {"mode": "linear", "coordinate_transformation_mode": "align_corners"}, 1),
    ("Resize", 13, (1, 2, 4, 4), (f32([]), f32([1, 1, 2, 2])),
     {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}, 1),
    ("Resize", 18, (1, 2, 4, 5), (None, None, ints(8, 10)), {"mode": "linear", "axes": [2, 3]}, 1),
    ("Dropout", 9, (3, 5), (), {}, 1),
    ("Dropout", 13, (3, 5), (f32(0.5),), {}, 2),
)  # fmt: skip


def model_of(case: Case) -> onnx.ModelProto:
    op_type, opset, shape, operands, attributes, outputs = case
    w = Writer(opset)
    names = ["" if value is None else w.stored(value) for value in operands]
    first = w.op(op_type, w.input("x", shape), *names, count=outputs, **attributes)
    for index in range(outputs):
        w.output(first + (f"_{index}" if index else ""), onnx.TensorProto.UNDEFINED)
    model = w.model()
    for value in model.graph.output:
        value.ClearField("type")
    return model


@pytest.mark.parametrize("case", CASES, ids=[f"{index}-{case[0]}-{case[1]}" for index, case in enumerate(CASES)])
def test_operator_equals_onnxruntime(tmp_path: Path, case: Case) -> None:
    model = model_of(case)
    x = np.random.default_rng(1).standard_normal(case[2]).astype(f32)
    x = np.tanh(np.abs(x)) if case[0] in WITHIN_ZERO_AND_ONE else x
    graph = import_onnx(save(model, tmp_path))
    assert_equal_to_runtime(graph, model, {"x": x})
    assert_equal_to_runtime(run_passes(graph), model, {"x": x})


def test_constant_operands_give_the_same_as_computed_ones(tmp_path: Path) -> None:
    """The same subgraph folded at import equals onnxruntime's execution of it."""
    w = Writer(13)
    x = w.input("x", [3, 4, 5])
    sizes = w.op("Shape", x)
    last = w.op("Slice", sizes, w.stored(ints(1)), w.stored(ints(3)))
    product = w.op("ReduceProd", last, keepdims=0)
    half = w.op("Div", product, w.constant(i64(2)))
    pair = w.op("Concat", w.op("Unsqueeze", half, w.stored(ints(0))), w.stored(ints(-1)), axis=0)
    w.output(w.op("Reshape", x, pair))
    w.output(w.op("Range", w.constant(i64(0)), half, w.constant(i64(3))), INT64)
    w.output(w.op("Size", x), INT64)
    w.output(w.op("Where", w.op("Equal", sizes, w.stored(ints(3, 0, 5))), sizes, w.stored(ints(7))), INT64)
    w.output(w.op("Cast", w.op("Sqrt", w.op("Cast", half, to=FLOAT)), to=INT64), INT64)
    w.output(w.op("NonZero", w.stored(ints(0, 5, 0, 6))), INT64)
    w.output(w.op("Expand", w.op("ConstantOfShape", w.stored(ints(2))), w.stored(ints(3, 2))))
    w.output(w.op("Gather", sizes, w.stored(ints(-1)), axis=0), INT64)
    model = w.model()
    graph = import_onnx(save(model, tmp_path))
    assert [op.kind for op in graph.ops] == ["Reshape"]
    assert_equal_to_runtime(graph, model, {"x": real(3, 4, 5)})


def test_constant_in_every_spelling(tmp_path: Path) -> None:
    w = Writer(13)
    x = w.input("x", [2, 3])
    for attributes in (
        {"value": numpy_helper.from_array(real(2, 3))},
        {"value_float": 0.5},
        {"value_floats": [1.0, 2.0, 3.0]},
    ):
        x = w.op("Add", x, w.op("Constant", **attributes))
    for attributes in ({"value_int": 6}, {"value_ints": [6]}):
        constant = w.op("Constant", **attributes)
        if "value_int" in attributes:
            constant = w.op("Unsqueeze", constant, w.stored(ints(0)))
        x = w.op("Reshape", x, constant)
    w.output(w.op("OneHot", w.op("Cast", x, to=INT64), w.stored(i64(3)), w.stored(f32([-1, 2]))))
    model = w.model()
    feeds = {"x": np.zeros((2, 3), f32)}
    for tensor in model.graph.node[0].attribute:
        tensor.t.CopyFrom(numpy_helper.from_array(np.full((2, 3), -1.0, f32)))
    model.graph.node[4].attribute[0].floats[:] = [0.6, 1.6, 2.6]
    assert_equal_to_runtime(import_onnx(save(model, tmp_path)), model, feeds)


def test_large_fill_stays_symbolic(tmp_path: Path) -> None:
    w = Writer(13)
    x = w.input("x", [1, 1000])
    fill = w.op("ConstantOfShape", w.stored(ints(1000, 1000)), value=numpy_helper.from_array(f32([0.25])))
    w.output(w.op("Add", x, fill))
    graph = import_onnx(save(w.model(), tmp_path))
    assert graph.parameter_count == 1
    feeds = {"x": real(1, 1000)}
    np.testing.assert_allclose(
        execute(graph, feeds)[graph.outputs[0]], np.broadcast_to(feeds["x"] + 0.25, (1000, 1000))
    )


UNSUPPORTED = (
    (("LSTM", 13, (2, 3, 5), (real(1, 8, 5), real(1, 8, 2)), {"hidden_size": 2}, 1), "LSTM"),
    (("Det", 13, (3, 3), (), {}, 1), "Det"),
    (("MaxPool", 12, IMAGE, (), {"kernel_shape": [2, 2]}, 2), "Indices"),
    (("Resize", 18, (1, 2, 4, 5), (None, None, ints(1, 2, 2, 3)), {"mode": "linear", "antialias": 1}, 1), "antialias"),
    (("Celu", 12, (3, 5), (), {"alpha": 0.5}, 1), "alpha"),
)


@pytest.mark.parametrize(("case", "word"), UNSUPPORTED, ids=[word for _, word in UNSUPPORTED])
def test_unsupported_operator_is_named_or_becomes_a_host_operation(tmp_path: Path, case: Case, word: str) -> None:
    path = save(model_of(case), tmp_path)
    with pytest.raises(
        UnsupportedOperatorError, match=rf"{case[0]} node '/{case[0]}_0'.*{word}|{word}.*supported"
    ) as error:
        import_onnx(path)
    assert str(path) in str(error.value)
    assert word in str(error.value)
    graph = import_onnx(path, skip_unsupported=True)
    (op,) = graph.ops
    assert isinstance(op, HostOp)
    assert op.op_type == case[0]
    assert graph.nest_of(op).function == "host"
    with pytest.raises(UnsupportedOperatorError):
        execute(graph, {"x": real(*case[2])})


def test_all_unsupported_operators_are_listed_once(tmp_path: Path) -> None:
    w = Writer(13)
    x = w.op("Det", w.op("Det", w.input("x", [2, 2, 3, 3])))
    w.output(w.op("Telepathy", w.op("Hardmax", x), domain="own.domain"))
    path = save(w.model({"own.domain": 1}), tmp_path)
    with pytest.raises(UnsupportedOperatorError, match=r"in all: Det, Hardmax, own.domain.Telepathy\)") as error:
        import_onnx(path)
    assert error.value.value == "4 of 4 nodes"


def test_host_operation_of_unknown_shape_is_refused_unless_declared(tmp_path: Path) -> None:
    w = Writer(13)
    w.output(w.op("Telepathy", w.input("x", ["n", 3]), domain="own.domain"))
    model = w.model({"own.domain": 1})
    model.graph.output[0].ClearField("type")
    with pytest.raises(UnsupportedOperatorError, match="no known shape"):
        import_onnx(save(model, tmp_path), dims={"n": 2}, skip_unsupported=True)
    declared = helper.make_tensor_value_info(model.graph.output[0].name, FLOAT, ["n", 7])
    model.graph.output[0].CopyFrom(declared)
    graph = import_onnx(save(model, tmp_path), dims={"n": 2}, skip_unsupported=True)
    assert graph.tensors[graph.outputs[0]].shape == (2, 7)


def test_operand_computed_at_run_time_is_named(tmp_path: Path) -> None:
    w = Writer(13)
    x, shape = w.input("x", [2, 6]), w.input("shape", [2], INT64)
    w.output(w.op("Reshape", x, shape))
    with pytest.raises(InputError, match=r"Reshape node .*the new shape \('shape'\) is computed at run time"):
        import_onnx(save(w.model(), tmp_path))


def test_every_converter_is_documented_and_named_after_an_operator() -> None:
    for domain, table in convert.CONVERTERS_BY_DOMAIN.items():
        for op_type, converter in table.items():
            assert inspect.getdoc(converter), op_type
            known = domain != "" or op_type == "SimplifiedLayerNormalization"
            assert known or defs.has(op_type) or defs.has(op_type, 9), op_type
