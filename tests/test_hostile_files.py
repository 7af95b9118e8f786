"""Broken and hostile files: each is an InputError that names the path, in bounded time and memory, and never another
exception."""

from __future__ import annotations

import os
import resource
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_mutants import BASES, FLOAT, model_of, one_node, small_cnn, value_info

from model_ir.errors import InputError, UnsupportedOperatorError
from model_ir.onnx_import import import_onnx
from model_ir.passes.pipeline import run_passes

GIB = 2**30


def write(folder: Path, model: onnx.ModelProto | bytes) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return path


def refuse(path: Path, match: str, kind: type[InputError] = InputError) -> None:
    """Import must raise one line that names the path, within seconds and without holding much memory."""
    tracemalloc.start()
    started = time.monotonic()
    try:
        with pytest.raises(kind, match=match) as caught:
            import_onnx(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert peak < 1 << 28
    assert time.monotonic() - started < 20


def test_base_models_import(tmp_path: Path) -> None:
    for base in BASES:
        graph = import_onnx(write(tmp_path, base()))
        assert run_passes(graph).outputs == ("y",)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is empty"),
        (b"hello, this is not a network\n", "not an ONNX"),
        (b'{"layers": []}', "not an ONNX"),
        (b"\0" * 4096, "not an ONNX"),
        (b"PK\3\4" + b"\0" * 100, "not an ONNX"),
        (small_cnn().SerializeToString()[:-40], "truncated"),
        (small_cnn().SerializeToString()[:100], "truncated"),
    ],
    ids=["empty", "text", "json", "zeros", "zip", "cut late", "cut early"],
)
def test_file_that_is_not_onnx(tmp_path: Path, content: bytes, match: str) -> None:
    refuse(write(tmp_path, content), match)


def test_path_that_is_no_file(tmp_path: Path) -> None:
    refuse(tmp_path / "absent.onnx", "no such file")
    refuse(tmp_path, "not a regular file")
    os.mkfifo(tmp_path / "pipe.onnx")
    refuse(tmp_path / "pipe.onnx", "not a regular file")
    loop = tmp_path / "loop.onnx"
    loop.symlink_to(loop)
    refuse(loop, "no such file|cannot be read")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_unreadable_file(tmp_path: Path) -> None:
    path = write(tmp_path, small_cnn())
    path.chmod(0)
    refuse(path, "cannot be read")


def external_model(location: str, **entries: str) -> onnx.ModelProto:
    model = small_cnn()
    tensor = next(item for item in model.graph.initializer if item.name == "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return model


WEIGHT_BYTES = 6 * 2 * 3 * 3 * 4


def test_external_data_inside_the_folder_is_read(tmp_path: Path) -> None:
    weight = numpy_helper.to_array(next(item for item in small_cnn().graph.initializer if item.name == "w"))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "w.bin").write_bytes(b"12345678" + weight.tobytes())
    model = external_model("weights/w.bin", offset="8", length=str(WEIGHT_BYTES))
    graph = import_onnx(write(tmp_path, model))
    np.testing.assert_array_equal(graph.constants["w"], weight)


@pytest.mark.parametrize(
    ("location", "match"),
    [
        ("/etc/passwd", "leaves the model's folder"),
        ("../outside.bin", "leaves the model's folder"),
        ("inner/../../outside.bin", "leaves the model's folder"),
        ("..\\outside.bin", "leaves the model's folder"),
        ("C:\\outside.bin", "leaves the model's folder"),
        ("\\\\server\\share", "leaves the model's folder"),
        ("link.bin", "leaves the model's folder through a link"),
        ("linked/outside.bin", "leaves the model's folder through a link"),
        ("missing.bin", "missing"),
        ("loop.bin", "missing"),
        ("", "names no file"),
        ("a\0b", "names no file"),
        (".", "not a regular file"),
        ("pipe.bin", "not a regular file"),
        ("short.bin", "ends beyond its file"),
        ("x" * 5000, "missing"),
    ],
)  # fmt: skip
def test_external_data_that_cannot_be_used(tmp_path: Path, location: str, match: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "outside.bin").write_bytes(b"\0" * WEIGHT_BYTES)
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    (folder / "linked").symlink_to(tmp_path)
    (folder / "loop.bin").symlink_to(folder / "loop.bin")
    (folder / "short.bin").write_bytes(b"\0" * (WEIGHT_BYTES - 1))
    os.mkfifo(folder / "pipe.bin")
    refuse(write(folder, external_model(location)), match)


@pytest.mark.parametrize(
    ("entries", "match"),
    [
        ({"offset": "-4"}, "offset is not a non-negative"),
        ({"offset": "1e3"}, "offset is not a non-negative"),
        ({"offset": "9" * 30}, "offset is not a non-negative"),
        ({"offset": "4"}, "ends beyond its file"),
        ({"length": "8"}, "wrong length"),
        ({"length": str(10 * GIB)}, "wrong length"),
    ],
)
def test_external_data_with_a_wrong_span(tmp_path: Path, entries: dict[str, str], match: str) -> None:
    (tmp_path / "w.bin").write_bytes(b"\0" * WEIGHT_BYTES)
    refuse(write(tmp_path, external_model("w.bin", **entries)), match)


def test_graph_with_a_cycle(tmp_path: Path) -> None:
    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    refuse(write(tmp_path, model_of(nodes, output="a")), "cycle")


def test_graph_out_of_order_is_sorted(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["a"], ["y"]), helper.make_node("Neg", ["x"], ["a"])]
    assert [op.outputs for op in import_onnx(write(tmp_path, model_of(nodes))).ops] == [("a",), ("y",)]


@pytest.mark.parametrize(
    ("nodes", "match"),
    [
        ([helper.make_node("Add", ["x", "weight"], ["y"])], "missing initialiser"),
        ([helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Neg", ["x"], ["y"])], "second time"),
        ([helper.make_node("Relu", ["x"], ["x"])], "also an input"),
        ([helper.make_node("Relu", ["x"], ["z"])], "never computed"),
        ([helper.make_node("Relu", [""], ["y"])], "input 0"),
        ([helper.make_node("Relu", ["x", "x"], ["y"])], "Relu"),
        ([helper.make_node("Relu", [], ["y"])], "Relu"),
        ([], "no graph with nodes"),
    ],
)
def test_graph_whose_names_do_not_fit(tmp_path: Path, nodes: list[onnx.NodeProto], match: str) -> None:
    refuse(write(tmp_path, model_of(nodes)), match)


def test_duplicate_initialiser_and_input(tmp_path: Path) -> None:
    model = small_cnn()
    model.graph.initializer.append(model.graph.initializer[0])
    refuse(write(tmp_path, model), "second time")
    model = small_cnn()
    model.graph.input.append(model.graph.input[0])
    refuse(write(tmp_path, model), "second time")


@pytest.mark.parametrize("shape", [(1, -4, 8, 8), (1, 4, 0, 8), (1, 4, 2**40, 8), (1,) * 70, (2**62, 2**62)])
def test_input_of_impossible_shape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], inputs=[value_info("x", *shape)])
    refuse(write(tmp_path, model), "axis|axes|too large")


def test_tensor_larger_than_its_data(tmp_path: Path) -> None:
    for dims in ([10 * GIB // 4], [1 << 40, 1 << 40], [-1], [3], [1] * 100):
        model = model_of([helper.make_node("Add", ["x", "w"], ["y"])])
        model.graph.initializer.append(TensorProto(name="w", data_type=FLOAT, dims=dims, raw_data=b"\0" * 8))
        refuse(write(tmp_path, model), "too large|negative|wrong amount|axes")


HUGE: dict[str, Any] = {
    "ConstantOfShape": lambda: model_of(
        [helper.make_node("ConstantOfShape", ["s"], ["c"]), helper.make_node("Add", ["x", "c"], ["y"])],
        {"s": np.array([1, 1, 50_000, 60_000])},
    ),
    "stripped weight": lambda: model_of(
        [helper.make_node("ConstantOfShape", ["w__SHAPE"], ["w"]), helper.make_node("MatMul", ["x", "w"], ["y"])],
        {"w__SHAPE": np.array([8, 1 << 40])},
    ),
    "Expand": lambda: one_node("Expand", np.array([1 << 24, 1, 1, 1])),
    "Expand overflow": lambda: one_node("Expand", np.array([1 << 62] * 8)),
    "Tile": lambda: one_node("Tile", np.array([1 << 16, 1 << 16, 1, 1])),
    "Pad": lambda: one_node("Pad", np.array([0, 0, 0, 0, 0, 0, 1 << 20, 1 << 20])),
    "Resize": lambda: one_node("Resize", np.float32([]), np.float32([1, 1, 1e5, 1e5])),
    "Upsample": lambda: one_node("Upsample", np.float32([1, 1, 1e5, 1e5]), opset=9),
    "Gather": lambda: one_node("Gather", np.zeros((3000, 3000), np.int64), shape=(1, 256, 8, 8), axis=0),
    "ConvTranspose": lambda: one_node("ConvTranspose", np.zeros((4, 4, 1, 1), np.float32), strides=[1 << 20, 1 << 20]),
    "Conv pads": lambda: one_node("Conv", np.zeros((4, 4, 1, 1), np.float32), pads=[1 << 20] * 4),
    "MaxPool pads": lambda: one_node("MaxPool", kernel_shape=[1, 1], pads=[1 << 20] * 4),
    "OneHot": lambda: model_of(
        [helper.make_node("OneHot", ["i", "d", "v"], ["y"])],
        {"i": np.zeros(4, np.int64), "d": np.array(1 << 40), "v": np.float32([0, 1])},
    ),
    "Range": lambda: model_of(
        [helper.make_node("Range", ["a", "b", "c"], ["r"]), helper.make_node("Identity", ["r"], ["y"])],
        {"a": np.int64(0), "b": np.int64(1 << 60), "c": np.int64(1)},
    ),
    "EyeLike": lambda: one_node("EyeLike", shape=(60_000, 30_000)),
    "Einsum": lambda: model_of(
        [helper.make_node("Einsum", ["x", "x"], ["y"], equation="a,b->ab")], inputs=[value_info("x", 1 << 20)]
    ),
    "outer product": lambda: model_of(
        [helper.make_node("Transpose", ["x"], ["t"]), helper.make_node("MatMul", ["t", "x"], ["y"])],
        inputs=[value_info("x", 1, 1 << 20)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(HUGE))
def test_small_file_that_asks_for_gigabytes(tmp_path: Path, name: str) -> None:
    limit = "too large|whole windows|too long|more than 256 classes|bounded size"
    refuse(write(tmp_path, HUGE[name]()), limit)


def test_many_large_constants_stay_within_a_budget(tmp_path: Path) -> None:
    """Three thousand folded tensors of half a megabyte each would be 1.5 GB; beyond the budget they stay operators."""
    nodes = [helper.make_node("Expand", ["c", "s"], [f"e{index}"]) for index in range(3000)]
    nodes.append(helper.make_node("Sum", ["x", *(f"e{index}" for index in range(3000))], ["y"]))
    model = model_of(nodes, {"c": np.float32([1]), "s": np.array([1 << 16])}, [value_info("x", 1 << 16)])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    import_onnx(write(tmp_path, model))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600 * 1024


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_attribute_that_is_no_number(tmp_path: Path, number: float) -> None:
    refuse(write(tmp_path, one_node("LeakyRelu", alpha=number)), "not a finite number")
    refuse(write(tmp_path, one_node("LRN", size=3, beta=number)), "not a finite number")


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (one_node("Clip", np.float32(np.nan)), "not a number"),
        (one_node("Conv", np.zeros((4, 4, 3, 3), np.float32), strides=[0, 1]), "strides"),
        (one_node("Conv", np.zeros((4, 4, 3, 3), np.float32), dilations=[-1, 1]), "dilations"),
        (one_node("Conv", np.zeros((4, 4, 3, 3), np.float32), group=0), "groups"),
        (one_node("Conv", np.zeros((4, 4, 3, 3), np.float32), group=-4), "groups"),
        (one_node("Conv", np.zeros((4, 4, 3, 3), np.float32), pads=[1] * 100_000), "pads"),
        (one_node("Conv", np.zeros((4, 3, 3, 3), np.float32)), "channels"),
        (one_node("Conv", np.zeros((4, 4, 3, 3), np.float32), auto_pad="SIDEWAYS"), "auto_pad"),
        (one_node("MaxPool", kernel_shape=[2**62, 2]), "window"),
        (one_node("MaxPool", kernel_shape=[0, 2]), "kernel_shape"),
        (one_node("Transpose", perm=[0, 1, 2, 2]), "permutation"),
        (one_node("Transpose", perm=[0, 1, 2, 1 << 40]), "permutation"),
        (one_node("Reshape", np.array([7, -1])), "does not fit"),
        (one_node("Reshape", np.array([-1, -1])), "not a shape"),
        (one_node("Reshape", np.array([-(2**63)])), "not a shape"),
        (one_node("Reshape", np.float32([1, 256])), "element type"),
        (one_node("Slice", np.array([0]), np.array([4]), np.array([9])), "axis does not exist"),
        (one_node("Slice", np.array([0]), np.array([4]), np.array([1]), np.array([0])), "do not fit"),
        (one_node("Slice", np.array([9]), np.array([9]), np.array([1])), "without elements"),
        (one_node("Split", np.array([3, 3]), axis=1), "split sizes"),
        (one_node("Concat", axis=9), "axis does not exist"),
        (one_node("Softmax", axis=-9), "axis does not exist"),
        (one_node("Gather", np.array([99]), axis=1), "outside the axis"),
        (one_node("Pad", np.array([0, 0, -9, 0, 0, 0, 0, 0])), "whole tensor"),
        (one_node("Pad", np.array([1, 1])), "pads do not fit"),
        (one_node("Pad", np.array([0, 0, 99, 0, 0, 0, 0, 0]), mode="reflect"), "longer"),
        (one_node("Expand", np.array([1, 3, 8, 8])), "broadcast"),
        (one_node("Resize", np.float32([]), np.float32([1, 1, np.nan, 1])), "positive number"),
        (one_node("Resize", np.float32([]), np.float32([1, 1, 0, 1])), "positive number"),
        (one_node("DepthToSpace", blocksize=0), "block"),
        (one_node("BatchNormalization", *(np.ones(3, np.float32),) * 4), "wrong shape"),
        (one_node("Gemm", np.ones((2, 2), np.float32)), "not a matrix"),
        (one_node("MatMul", np.ones((3, 3), np.float32)), "inner sizes"),
        (one_node("Einsum", equation="abcd->ef"), "output labels"),
        (one_node("Einsum", equation="((("), "Einsum"),
        (one_node("Cast", to=TensorProto.STRING), "element type"),
        (one_node("Cast", to=999), "element type"),
        (one_node("Unsqueeze", np.array([0] * 5)), "twice|axis"),
        (one_node("Unsqueeze", np.arange(20)), "too many axes|axis"),
        (one_node("Pow", np.array([-1]), shape=(1,)), "negative whole exponent"),
        (one_node("GroupNormalization", *(np.ones(2, np.float32),) * 2, num_groups=0, opset=18), "groups"),
    ],
)  # fmt: skip
def test_operator_that_cannot_be(tmp_path: Path, model: onnx.ModelProto, match: str) -> None:
    refuse(write(tmp_path, model), match)


def test_attribute_given_twice_or_of_the_wrong_type(tmp_path: Path) -> None:
    model = one_node("LeakyRelu", alpha=0.1)
    model.graph.node[0].attribute.append(model.graph.node[0].attribute[0])
    refuse(write(tmp_path, model), "twice")
    refuse(write(tmp_path, one_node("LeakyRelu", alpha=3)), "alpha")


def test_control_flow_is_unsupported(tmp_path: Path) -> None:
    branch = helper.make_graph([helper.make_node("Relu", ["x"], ["b"])], "then", [], [value_info("b", 1, 4, 8, 8)])
    for _ in range(20):
        inner = helper.make_node("If", ["flag"], ["b"], then_branch=branch, else_branch=branch)
        branch = helper.make_graph([inner], "nested", [], [value_info("b", 1, 4, 8, 8)]) if _ < 3 else branch
    node = helper.make_node("If", ["flag"], ["y"], then_branch=branch, else_branch=branch)
    model = model_of([node], {"flag": np.array(True)})
    refuse(write(tmp_path, model), "If node.*operator is not supported", UnsupportedOperatorError)


def test_nesting_beyond_what_protobuf_reads(tmp_path: Path) -> None:
    inner = b""
    for _ in range(300):
        node = b"\x2a" + varint(len(inner) + 1 + len(varint(len(inner)))) + b"\x32" + varint(len(inner)) + inner
        inner = b"\x0a" + varint(len(node)) + node
    refuse(write(tmp_path, b"\x3a" + varint(len(inner)) + inner), "not an ONNX")


def varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes([*encoded, number])


def test_functions_that_recurse_or_explode(tmp_path: Path) -> None:
    def with_functions(bodies: dict[str, list[str]], call: str) -> onnx.ModelProto:
        model = model_of([helper.make_node(call, ["x"], ["y"], domain="own")])
        imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
        model.opset_import.append(imports[1])
        for name, callees in bodies.items():
            nodes, last = [], "a"
            for position, callee in enumerate(callees):
                domain = "" if callee == "Relu" else "own"
                nodes.append(helper.make_node(callee, [last], [f"t{position}"], domain=domain))
                last = f"t{position}"
            model.functions.append(helper.make_function("own", name, ["a"], [last], nodes, imports))
        return model

    refuse(write(tmp_path, with_functions({"f": ["g"], "g": ["f"]}, "f")), "calls itself")
    towers = {f"f{level}": [f"f{level - 1}"] * 10 if level else ["Relu"] for level in range(12)}
    refuse(write(tmp_path, with_functions(towers, "f11")), "too many nodes")
    graph = import_onnx(write(tmp_path, with_functions({"f": ["g", "g"], "g": ["Relu", "Relu"]}, "f")))
    assert [op.kind for op in graph.ops] == ["Unary"] * 4


def test_operator_set_out_of_range(tmp_path: Path) -> None:
    refuse(write(tmp_path, one_node("Relu", opset=6)), "operator set version")
    refuse(write(tmp_path, one_node("Relu", opset=9999)), "operator set version")
    model = one_node("Relu")
    del model.opset_import[:]
    refuse(write(tmp_path, model), "operator set version")


def test_names_that_are_not_text(tmp_path: Path) -> None:
    for name in (b"conv", b"low"):
        content = small_cnn().SerializeToString().replace(name, b"\xff\xfe" + name[2:])
        refuse(write(tmp_path, content), "UTF-8")
