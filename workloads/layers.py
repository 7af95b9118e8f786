"""The layers that several networks share, written onto a `GraphBuilder`.

Each function appends operators whose names start with `name`, declares the parameters they need (without values) and
returns the name of the output tensor. Shapes: sequences are (batch, tokens, features), images (batch, channels, height,
width).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from model_ir.builder import GraphBuilder
from model_ir.graph import Graph
from model_ir.ops.contraction import Conv, MatMul
from model_ir.ops.elementwise import Binary, Unary
from model_ir.ops.gathering import Gather
from model_ir.ops.movement import Slice
from model_ir.ops.normalisation import BatchNorm, LayerNorm, RmsNorm


def constant(b: GraphBuilder, name: str, value: npt.ArrayLike) -> str:
    """A float32 constant with its value: part of the definition of the network, not learned."""
    array = np.asarray(value, dtype=np.float32)
    return b.parameter(name, array.shape, value=array)


def linear(b: GraphBuilder, x: str, name: str, features: int, *, bias: bool = True) -> str:
    """`x W + bias` over the last axis of `x`, W of shape (features in, `features`)."""
    weight = b.parameter(f"{name}.weight", (b.shape(x)[-1], features))
    terms = (x, weight, b.parameter(f"{name}.bias", (features,))) if bias else (x, weight)
    return b.apply(MatMul, *terms, name=name)


def embedding(b: GraphBuilder, ids: str, name: str, rows: int, features: int) -> str:
    """Rows of a learned (rows, features) table chosen by the integers `ids`: shape of `ids` + (features,)."""
    return b.apply(Gather, b.parameter(f"{name}.weight", (rows, features)), ids, name=name, axis=0)


def table_rows(b: GraphBuilder, name: str, rows: int, features: int, *, start: int, count: int) -> str:
    """Rows `start` to `start + count` of a learned (rows, features) table, as position embeddings take them: (count,
    features).
    """
    table = b.parameter(f"{name}.weight", (rows, features))
    return b.apply(Slice, table, name=name, starts=(start,), ends=(start + count,), axes=(0,), steps=(1,))


def layer_norm(b: GraphBuilder, x: str, name: str, epsilon: float) -> str:
    """Layer normalisation over the last axis with learned scale and bias (Ba et al., arXiv 1607.06450)."""
    features = b.shape(x)[-1]
    scale, bias = b.parameter(f"{name}.scale", (features,)), b.parameter(f"{name}.bias", (features,))
    return b.apply(LayerNorm, x, scale, bias, name=name, axis=-1, epsilon=epsilon)


def rms_norm(b: GraphBuilder, x: str, name: str, epsilon: float) -> str:
    """Root-mean-square normalisation over the last axis with a learned scale (Zhang and Sennrich, arXiv 1910.07467)."""
    return b.apply(RmsNorm, x, b.parameter(f"{name}.scale", (b.shape(x)[-1],)), name=name, axis=-1, epsilon=epsilon)


def batch_norm(b: GraphBuilder, x: str, name: str, epsilon: float) -> str:
    """Batch normalisation over axis 1 with learned scale and bias and running mean and variance (Ioffe and Szegedy,
    arXiv 1502.03167).
    """
    channels = (b.shape(x)[1],)
    statistics = (b.parameter(f"{name}.{part}", channels) for part in ("scale", "bias", "mean", "variance"))
    return b.apply(BatchNorm, x, *statistics, name=name, epsilon=epsilon)


def conv(
    b: GraphBuilder,
    x: str,
    name: str,
    channels: int,
    kernel: tuple[int, ...],
    *,
    stride: int = 1,
    pads: tuple[int, ...] | None = None,
    groups: int = 1,
    bias: bool = False,
) -> str:
    """Convolution of (batch, channels, *space) with square stride; `pads` (begins..., ends...) default to half the
    kernel on both sides.
    """
    weight = b.parameter(f"{name}.weight", (channels, b.shape(x)[1] // groups, *kernel))
    terms = (x, weight, b.parameter(f"{name}.bias", (channels,))) if bias else (x, weight)
    return b.apply(
        Conv,
        *terms,
        name=name,
        strides=(stride,) * len(kernel),
        pads=tuple(size // 2 for size in kernel) * 2 if pads is None else pads,
        dilations=(1,) * len(kernel),
        group=groups,
    )


def unary(b: GraphBuilder, x: str, name: str, function: str) -> str:
    """An elementwise function of one tensor."""
    return b.apply(Unary, x, name=name, function=function)


def add(b: GraphBuilder, x: str, y: str, name: str) -> str:
    """`x + y` with numpy broadcasting."""
    return b.apply(Binary, x, y, name=name, function="add")


def multiply(b: GraphBuilder, x: str, y: str, name: str) -> str:
    """`x * y` with numpy broadcasting."""
    return b.apply(Binary, x, y, name=name, function="mul")


def scale(b: GraphBuilder, x: str, name: str, factor: float) -> str:
    """`x * factor` for a fixed number."""
    return multiply(b, x, constant(b, f"{name}.factor", factor), name)


def learned_parameters(graph: Graph) -> int:
    """Number of learned parameters, as papers and model cards count them.

    Leaves out constants of the network's definition (those with a value: scales, rotary and sinusoid tables) and the
    running mean and variance of batch normalisation, which the published counts treat as state and not as parameters.
    """
    running = {name for op in graph.ops if isinstance(op, BatchNorm) for name in op.inputs[3:5]}
    learned = graph.parameters - running - set(graph.constants)
    return sum(graph.tensors[name].elements for name in learned)
