"""The literal table of operators; a conformance test runs over it."""

from __future__ import annotations

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

OPERATORS: tuple[type[Op], ...] = (
    MatMul,
    Conv,
    ConvTranspose,
    Einsum,
    Unary,
    LeakyRelu,
    HardSigmoid,
    Elu,
    PRelu,
    Clip,
    Binary,
    Where,
    Cast,
    BatchNorm,
    LayerNorm,
    RmsNorm,
    InstanceNorm,
    GroupNorm,
    Softmax,
    LogSoftmax,
    Gelu,
    Lrn,
    LpNormalization,
    MaxPool,
    AveragePool,
    GlobalPool,
    Reduce,
    ArgReduce,
    Reshape,
    Transpose,
    Concat,
    Split,
    Slice,
    Pad,
    Expand,
    Tile,
    Gather,
    GatherElements,
    GatherNd,
    ScatterNd,
    Resize,
    DepthToSpace,
    SpaceToDepth,
    CumSum,
    Trilu,
    Quant,
    BipolarQuant,
    Trunc,
    QuantizeLinear,
    DequantizeLinear,
    Requantise,
    DyadicRequantise,
    IntegerAdd,
    ChannelMultiply,
    IntegerGelu,
    IntegerSoftmax,
    IntegerLayerNorm,
    IntegerTable,
    IntegerMean,
    HostOp,
)
