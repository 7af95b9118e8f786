"""Running a QONNX file with qonnx's own executor: the second opinion on what an exported network computes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hls.extras import needs
from model_ir.errors import InputError

Array = npt.NDArray[Any]


def executed_by_qonnx(path: str | Path, inputs: Array) -> Array:
    """The first output of the QONNX file at `path`, cleaned up by qonnx, for `inputs` (samples, ...) of its only input.

    qonnx runs one onnxruntime session a node: all samples go through as one batch. Raises InputError where qonnx or
    onnxruntime is missing, and where the file has other than one input.
    """
    needs("firmware", "qonnx", "onnxruntime")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # qonnx warns of numpy's own deprecations
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.core.onnx_exec import execute_onnx
        from qonnx.transformation.change_batchsize import ChangeBatchSize
        from qonnx.transformation.infer_shapes import InferShapes
        from qonnx.util.cleanup import cleanup_model

        model = cleanup_model(ModelWrapper(str(path)))
        if len(model.graph.input) != 1:
            raise InputError(str(path), "runs in qonnx with one input only", value=len(model.graph.input))
        model = model.transform(ChangeBatchSize(len(inputs))).transform(InferShapes())
        feeds = {model.graph.input[0].name: np.asarray(inputs, dtype=np.float32)}
        return np.asarray(execute_onnx(model, feeds)[model.graph.output[0].name])
