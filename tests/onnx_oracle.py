"""One operator against onnxruntime: shape rule, numpy and jitted jax evaluation equal a one-node model's result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import onnxruntime
from onnx import TensorProto, helper

from model_ir.op import Op
from model_ir.precision import BOOL, FLOAT16, FLOAT32, FLOAT64, INT8, INT16, INT32, INT64, UINT8, Precision
from model_ir.tensor import Tensor

Array = npt.NDArray[Any]

PRECISIONS: dict[str, Precision] = {
    "float16": FLOAT16,
    "float32": FLOAT32,
    "float64": FLOAT64,
    "int8": INT8,
    "int16": INT16,
    "int32": INT32,
    "int64": INT64,
    "uint8": UINT8,
    "bool": BOOL,
}

RELATIVE = 1e-4
"""The required agreement with onnxruntime at float32; elements near zero by cancellation are held to it on the tensor's
scale."""

CANCELLATION = 1e-6


def build(op_class: type[Op], inputs: int, outputs: int = 1, **attributes: Any) -> Op:
    """An operator with inputs x0, x1, ... and outputs y0, y1, ..."""
    return op_class(
        name="node",
        inputs=tuple(f"x{i}" for i in range(inputs)),
        outputs=tuple(f"y{i}" for i in range(outputs)),
        **attributes,
    )


def describe(arrays: Sequence[Array | None]) -> tuple[Tensor | None, ...]:
    """The tensors x0, x1, ... of these arrays."""
    return tuple(
        None if array is None else Tensor(name=f"x{i}", shape=array.shape, precision=PRECISIONS[array.dtype.name])
        for i, array in enumerate(arrays)
    )


def onnxruntime_outputs(
    node_type: str, arrays: Sequence[Array | None], outputs: int, attributes: dict[str, Any], opset: int
) -> list[Array]:
    """What onnxruntime computes for a model of this one node, without graph optimisations."""
    names = ["" if array is None else f"x{i}" for i, array in enumerate(arrays)]
    results = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(node_type, names, results, **attributes)
    given = [(name, array) for name, array in zip(names, arrays, strict=True) if array is not None]
    graph = helper.make_graph(
        [node],
        "one_node",
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in given],
        [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in results],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    for info in model.graph.output:
        info.ClearField("type")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(results, dict(given)))


def assert_same(actual: Any, expected: Array, what: str) -> None:
    """Equal shape; floats to the required relative error, everything else exactly."""
    found = np.asarray(actual)
    assert found.shape == expected.shape, f"{what}: shape {found.shape}, expected {expected.shape}"
    if np.issubdtype(expected.dtype, np.floating):
        assert found.dtype == expected.dtype, f"{what}: {found.dtype}, expected {expected.dtype}"
        finite = np.abs(expected[np.isfinite(expected)])
        scale = float(finite.max()) if finite.size else 0.0
        np.testing.assert_allclose(found, expected, rtol=RELATIVE, atol=CANCELLATION * scale, err_msg=what)
    else:
        np.testing.assert_array_equal(found, expected, err_msg=what)


def evaluate_both(op: Op, arrays: Sequence[Array | None]) -> tuple[tuple[Array, ...], tuple[Any, ...]]:
    """The operator's results on numpy and, jitted, on jax.numpy; the inferred shapes agree with both."""
    tensors = describe(arrays)
    inferred = op.infer(tensors)
    assert tuple(tensor.name for tensor in inferred) == op.outputs
    on_numpy = op.evaluate(np, *arrays)
    present = [array for array in arrays if array is not None]

    def on_present(*values: Any) -> tuple[Any, ...]:
        queue = iter(values)
        return op.evaluate(jnp, *(None if array is None else next(queue) for array in arrays))

    on_jax = jax.jit(on_present)(*map(jnp.asarray, present))
    for tensor, left, right in zip(inferred, on_numpy, on_jax, strict=True):
        assert tensor.shape == left.shape == right.shape
        if tensor.precision == FLOAT32:
            assert left.dtype == np.float32, f"numpy result is {left.dtype}"
            assert right.dtype == np.float32, f"jax result is {right.dtype}"
    return on_numpy, on_jax


def check(
    op: Op,
    arrays: Sequence[Array | None],
    node_type: str,
    *,
    node_arrays: Sequence[Array | None] | None = None,
    opset: int = 18,
    **attributes: Any,
) -> None:
    """Assert that `op` on `arrays` equals the ONNX node `node_type` on `node_arrays` (default: the same) on both array
    modules."""
    given = arrays if node_arrays is None else node_arrays
    expected = onnxruntime_outputs(node_type, given, len(op.outputs), attributes, opset)
    on_numpy, on_jax = evaluate_both(op, arrays)
    for reference, left, right in zip(expected, on_numpy, on_jax, strict=True):
        assert_same(left, reference, f"{op} on numpy")
        assert_same(right, reference, f"{op} on jax")


def normal(shape: Sequence[int], seed: int = 0, scale: float = 1.0) -> Array:
    """Reproducible normal float32 values."""
    return np.asarray(np.random.default_rng(seed).standard_normal(tuple(shape)) * scale, dtype=np.float32)


def integers(shape: Sequence[int], low: int, high: int, seed: int = 0, dtype: Any = np.int64) -> Array:
    """Reproducible integers low..high-1."""
    return np.asarray(np.random.default_rng(seed).integers(low, high, tuple(shape)), dtype=dtype)
