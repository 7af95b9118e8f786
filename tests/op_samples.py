"""One or more small instances of every operator with arrays to run them on, for tests that run over the whole table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx_oracle import build, integers, normal

from model_ir.op import Op
from model_ir.ops.contraction import Conv, ConvTranspose, Einsum, MatMul
from model_ir.ops.elementwise import Binary, Cast, Clip, Elu, HardSigmoid, LeakyRelu, PRelu, Unary, Where
from model_ir.ops.gathering import Gather, GatherElements, GatherNd, ScatterNd
from model_ir.ops.host import HostOp
from model_ir.ops.integer import (
    ChannelMultiply,
    IntegerAdd,
    IntegerGelu,
    IntegerLayerNorm,
    IntegerMean,
    IntegerSoftmax,
    IntegerTable,
    Requantise,
)
from model_ir.ops.integer_arithmetic import Dyadic, gelu_constants, softmax_constants
from model_ir.ops.movement import Concat, Expand, Pad, Reshape, Slice, Split, Tile, Transpose
from model_ir.ops.normalisation import (
    BatchNorm,
    Gelu,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LogSoftmax,
    LpNormalization,
    Lrn,
    RmsNorm,
    Softmax,
)
from model_ir.ops.pooling import ArgReduce, AveragePool, GlobalPool, MaxPool, Reduce
from model_ir.ops.quantisation import BipolarQuant, DequantizeLinear, Quant, QuantizeLinear, Trunc
from model_ir.ops.requantisation import DyadicRequantise
from model_ir.ops.resampling import CumSum, DepthToSpace, Resize, SpaceToDepth, Trilu
from model_ir.precision import FLOAT16, FLOAT32, Precision

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Sample:
    """An operator and arrays for its inputs; `differentiable` says that the first one has a useful gradient."""

    op: Op
    arrays: tuple[Array, ...]
    differentiable: bool = True

    def __str__(self) -> str:
        return f"{self.op.kind}{[array.shape for array in self.arrays]}"


def sample(
    op_class: type[Op], *arrays: Array, outputs: int = 1, differentiable: bool = True, **attributes: Any
) -> Sample:
    """A Sample of `op_class` with these attributes."""
    return Sample(build(op_class, len(arrays), outputs, **attributes), arrays, differentiable)


def _vectors(size: int) -> tuple[Array, ...]:
    return tuple(normal((size,), seed) for seed in (1, 2, 3, 4))


def _scalar(value: float) -> Array:
    return np.array(value, np.float32)


X = normal((2, 6, 5, 4))
MATRIX = normal((4, 5))
WINDOW = {"kernel": (3, 2), "strides": (2, 1), "pads": (1, 0, 1, 1), "dilations": (1, 2)}
CONV = {"strides": (2, 1), "pads": (1, 0, 2, 1), "dilations": (1, 2)}
PLAIN = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}

CONTRACTIONS: tuple[Sample, ...] = (
    sample(MatMul, normal((3, 4)), normal((4, 5), 1)),
    sample(MatMul, normal((2, 1, 3, 4)), normal((3, 4, 2), 1), normal((3, 1, 2), 2)),
    sample(MatMul, normal((2, 4, 3)), normal((2, 5, 4), 1), normal((5,), 2), transpose_a=True, transpose_b=True),
    sample(MatMul, normal((4,)), normal((2, 4, 3), 1)),
    sample(MatMul, normal((2, 3, 4)), normal((4,), 1)),
    sample(MatMul, normal((4,)), normal((4,), 1)),
    sample(Conv, normal((2, 3, 5, 6)), normal((4, 3, 3, 2), 1), normal((4,), 2), **CONV),
    sample(Conv, normal((1, 4, 5, 6)), normal((6, 2, 3, 2), 1), normal((6,), 2), group=2, **CONV),
    sample(Conv, normal((1, 3, 5, 6)), normal((3, 1, 3, 3), 1), group=3, **PLAIN),
    sample(Conv, normal((2, 3, 7)), normal((4, 3, 3), 1), strides=(2,), pads=(1, 1), dilations=(2,)),
    sample(
        Conv, normal((1, 2, 3, 4, 3)), normal((2, 2, 2, 2, 2), 1), strides=(1, 2, 1), pads=(1,) * 6, dilations=(1, 1, 2)
    ),
    sample(ConvTranspose, normal((2, 3, 3, 4)), normal((3, 2, 3, 2), 1), output_padding=(1, 0), **CONV),
    sample(
        ConvTranspose,
        normal((1, 4, 3, 4)),
        normal((4, 2, 1, 2), 1),
        _vectors(4)[0],
        output_padding=(1, 0),
        group=2,
        strides=(3, 2),
        pads=(0, 1, 0, 0),
        dilations=(1, 1),
    ),
    sample(Einsum, normal((2, 3, 2, 4)), normal((2, 5, 2, 4), 1), equation="bqhd,bkhd->bhqk"),
    sample(Einsum, normal((2, 3, 4, 5)), normal((3, 2, 5), 1), equation="bhwc,hkc->bhwk"),
    sample(Einsum, normal((3,)), normal((4,), 1), equation="i,j->ij"),
    sample(Einsum, normal((2, 1, 3)), normal((2, 3, 1), 1), equation="...ij,...jk->...ik"),
)

AFFINE_MOVES: tuple[Sample, ...] = (
    sample(Reshape, X, shape=(3, -1, 8)),
    sample(Transpose, X, perm=(2, 0, -1, 1)),
    sample(Transpose, normal((1, 3, 1)), perm=(1, 2, 0)),
    sample(Concat, normal((2, 3)), normal((2, 1), 1), normal((2, 4), 2), axis=-1),
    sample(Slice, X, starts=(4, 1), ends=(-9, 4), axes=(-2, 1), steps=(-2, 3)),
    sample(Pad, MATRIX, pads=(1, 0, 2, 3)),
    sample(Pad, MATRIX, pads=(-1, 0, 2, -3)),
    sample(Expand, normal((3, 1)), shape=(2, 3, 4)),
    sample(Tile, normal((2, 3)), repeats=(2, 3)),
    sample(DepthToSpace, normal((1, 8, 2, 3)), block=2),
    sample(DepthToSpace, normal((1, 8, 2, 3)), block=2, mode="CRD"),
    sample(SpaceToDepth, normal((1, 2, 4, 6)), block=2),
)

FACTOR = Dyadic(multiplier=5, shift=6)
BYTES = integers((4, 5), -128, 128, dtype=np.int8)

OTHERS: tuple[Sample, ...] = (
    sample(Einsum, normal((3, 3)), equation="ii->i"),
    sample(Einsum, normal((2, 3)), normal((3, 4), 1), normal((4, 2), 2), equation="ab,bc,cd->ad"),
    sample(Unary, X, function="sigmoid"),
    sample(LeakyRelu, X, alpha=0.1),
    sample(HardSigmoid, X, alpha=0.2, beta=0.5),
    sample(Elu, X, alpha=1.0),
    sample(PRelu, X, normal((6, 1, 1), 1)),
    sample(Clip, X, low=-1.0, high=1.0),
    sample(Binary, X, normal((5, 1), 1), function="mul"),
    sample(Where, X > 0, X, _scalar(1), differentiable=False),
    sample(Cast, X, to=FLOAT16, differentiable=False),
    sample(BatchNorm, X, *_vectors(6)[:3], np.abs(_vectors(6)[3]), epsilon=1e-3),
    sample(LayerNorm, X, *_vectors(4)[:2], axis=-1),
    sample(RmsNorm, X, normal((5, 4), 1), axis=2),
    sample(InstanceNorm, X, *_vectors(6)[:2]),
    sample(GroupNorm, X, *_vectors(6)[:2], groups=3),
    sample(Softmax, X, axis=1),
    sample(LogSoftmax, X, axis=-1),
    sample(Gelu, X),
    sample(Gelu, X, approximate="tanh"),
    sample(Lrn, X, size=3),
    sample(LpNormalization, X, axis=1),
    sample(MaxPool, X, **WINDOW),
    sample(AveragePool, X, ceil_mode=True, **WINDOW),
    sample(GlobalPool, X),
    sample(Reduce, X, function="l2", axes=(-1, 1), keepdims=False),
    sample(Reduce, X, function="mean", axes=None),
    sample(ArgReduce, X, function="argmax", axis=-2, differentiable=False),
    sample(Split, X, outputs=2, axis=1, sizes=(2, 4)),
    sample(Pad, MATRIX, pads=(1, 2, 0, 1), mode="reflect"),
    sample(Gather, MATRIX, integers((2, 3), -4, 4), axis=0),
    sample(GatherElements, MATRIX, integers((2, 5), -4, 4), axis=0),
    sample(GatherNd, MATRIX, integers((3, 2), -4, 4)),
    sample(ScatterNd, MATRIX, np.array([[2], [0]]), normal((2, 5), 1)),
    sample(Resize, X, sizes=(2, 6, 7, 9), mode="cubic"),
    sample(Resize, X, sizes=(2, 6, 10, 8)),
    sample(CumSum, MATRIX, axis=-1, reverse=True, exclusive=True),
    sample(Trilu, MATRIX, k=1),
    sample(Quant, MATRIX, _scalar(0.25), _scalar(0), _scalar(4), differentiable=False),
    sample(BipolarQuant, MATRIX, _scalar(0.5), differentiable=False),
    sample(Trunc, MATRIX, _scalar(0.25), _scalar(0), _scalar(8), _scalar(4), differentiable=False),
    sample(QuantizeLinear, MATRIX, np.abs(normal((5,), 1)), np.zeros(5, np.int8), axis=-1, differentiable=False),
    sample(DequantizeLinear, integers((4, 5), -9, 9, dtype=np.int8), _scalar(0.5), differentiable=False),
    sample(Requantise, integers((4, 5), -9999, 9999, dtype=np.int32), factor=FACTOR, relu=True, differentiable=False),
    sample(
        DyadicRequantise,
        integers((4, 5), -9999, 9999, dtype=np.int32),
        integers((5,), 1 << 20, 1 << 30, dtype=np.int32),
        shift=40,
        precision=Precision(bits=6, signed=False, zero_point=31),
        differentiable=False,
    ),
    sample(IntegerAdd, BYTES, BYTES[:, :1], a_factor=FACTOR, factor=FACTOR, differentiable=False),
    sample(IntegerAdd, BYTES, BYTES[::-1], b_factor=FACTOR, differentiable=False),
    sample(ChannelMultiply, BYTES, BYTES[0], integers((5,), -999, 999, dtype=np.int32), differentiable=False),
    sample(
        IntegerGelu,
        BYTES,
        constants=gelu_constants(0.05),
        factor=Dyadic(multiplier=-3, shift=20),
        differentiable=False,
    ),
    sample(
        IntegerSoftmax,
        integers((4, 5), -9999, 9999, dtype=np.int32),
        constants=softmax_constants(0.001),
        factor=Dyadic(multiplier=3, shift=1),
        differentiable=False,
    ),
    sample(IntegerLayerNorm, BYTES, gain=3, factor=Dyadic(multiplier=40, shift=0), differentiable=False),
    sample(IntegerTable, BYTES, integers((256,), -128, 128, dtype=np.int8), differentiable=False),
    sample(IntegerMean, BYTES, axes=(-1,), keepdims=False, factor=FACTOR, differentiable=False),
    sample(HostOp, X, op_type="LSTM", output_shapes=((3, 4),), output_precisions=(FLOAT32,), differentiable=False),
)

SAMPLES: tuple[Sample, ...] = CONTRACTIONS + AFFINE_MOVES + OTHERS
