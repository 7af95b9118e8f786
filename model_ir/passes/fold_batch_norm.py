"""Folds batch normalisation, and any per-channel scale or shift, into the convolution or normalisation before it, or
into the matrix product of a dense layer.

With s = scale / sqrt(variance + epsilon): W' = W s and b' = (b - mean) s + shift per output channel (Jacob et al.,
Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, CVPR 2018, section 3.2).
Computed in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from model_ir.graph import Graph
from model_ir.op import Op
from model_ir.ops.contraction import Conv, MatMul
from model_ir.ops.elementwise import Binary
from model_ir.ops.normalisation import BatchNorm
from model_ir.passes.rewriting import Array, Parameter, Replacement, View, rewrite_until_stable
from model_ir.tensor import Tensor

# A per-channel vector: its float64 values, or None where they follow from weights without values.
_Vector = Array | None


def fold_batch_norm(graph: Graph) -> Graph:
    """Fold BatchNorm into the Conv that feeds it, and constant per-channel Mul, Div, Add, Sub into the Conv or
    BatchNorm before them.

    Only convolutions with float weights that nobody else reads are touched. Weights without values give weights without
    values.
    """
    return rewrite_until_stable(graph, _fold)


def fold_dense_batch_norm(graph: Graph) -> Graph:
    """Fold BatchNorm into the MatMul of a dense layer, (rows, features) times a weight matrix [plus bias], that feeds
    it and nobody else."""
    return rewrite_until_stable(graph, _fold_dense)


def _fold_dense(view: View, op: Op) -> Replacement | None:
    if not isinstance(op, BatchNorm) or not all(view.is_parameter(name) for name in op.inputs[1:]):
        return None
    product = view.maker(op.inputs[0], MatMul)
    if product is None or not view.read_once(op.inputs[0]) or len(view.shape(op.inputs[0])) != 2:
        return None
    weight, bias = (*(view.graph.tensors[name] for name in product.inputs[1:]), None)[:2]
    if weight is None or not all(view.is_parameter(name) for name in product.inputs[1:]) or len(weight.shape) != 2:
        return None
    columns = view.shape(op.inputs[0])[1]
    if bias is not None and (bias.shape[-1:] != (columns,) or bias.elements != columns):
        return None
    if not weight.precision.is_float:
        return None
    factor, offset = _affine(view, op)
    aligned = (columns, 1) if product.transpose_b else (1, columns)
    scaled = _combine(lambda w, f: w * f.reshape(aligned), _vector(view, weight.name), factor)
    old = np.zeros(columns) if bias is None else _vector(view, bias.name)
    shifted = _combine(lambda b, f, o: b.reshape(-1) * f + o, old, factor, offset)
    new_weight = _parameter(view, f"{op.outputs[0]}/weight", weight, scaled)
    new_bias = _parameter(view, f"{op.outputs[0]}/bias", replace(weight, shape=(columns,)), shifted)
    if not all(item.value is None or bool(np.all(np.isfinite(item.value))) for item in (new_weight, new_bias)):
        return None
    inputs = (product.inputs[0], new_weight.tensor.name, new_bias.tensor.name)
    return Replacement(ops=(replace(product, inputs=inputs, outputs=op.outputs),), parameters=(new_weight, new_bias))


def _fold(view: View, op: Op) -> Replacement | None:
    found = None
    if isinstance(op, BatchNorm):
        found = _fold_norm(view, op)
    elif isinstance(op, Binary):
        found = _fold_arithmetic(view, op)
    # A negative variance or a division by zero is left where it shows.
    values = () if found is None else tuple(item.value for item in found.parameters)
    return found if all(value is None or bool(np.all(np.isfinite(value))) for value in values) else None


def _fold_norm(view: View, op: BatchNorm) -> Replacement | None:
    conv = _foldable_conv(view, op.inputs[0])
    if conv is None or not all(view.is_parameter(name) for name in op.inputs[1:]):
        return None
    return _affine_conv(view, conv, op.outputs, *_affine(view, op))


def _affine(view: View, op: BatchNorm) -> tuple[_Vector, _Vector]:
    """The factor and the offset of each channel."""
    scale, shift, mean, variance = (_vector(view, name) for name in op.inputs[1:])
    factor = _combine(lambda a, b: a / np.sqrt(b + op.epsilon), scale, variance)
    return factor, _combine(lambda a, b, c: a - b * c, shift, mean, factor)


def _fold_arithmetic(view: View, op: Binary) -> Replacement | None:
    for source, constant in (op.inputs, op.inputs[::-1]):
        conv, norm = _foldable_conv(view, source), _foldable_norm(view, source)
        if (conv is None and norm is None) or not view.is_parameter(constant):
            continue
        if op.function in ("div", "sub") and source != op.inputs[0]:
            continue
        channels = view.shape(source)[1]
        if not _per_channel(view, constant, channels, len(view.shape(source))):
            continue
        value = view.value(constant)
        vector = None if value is None else np.broadcast_to(value.reshape(-1).astype(np.float64), (channels,))
        ones, zeros = np.ones(channels), np.zeros(channels)
        if op.function in ("mul", "div"):
            factor = vector if op.function == "mul" else _combine(lambda a: 1 / a, vector)
            offset: _Vector = zeros
        elif op.function in ("add", "sub"):
            factor, offset = ones, vector if op.function == "add" else _combine(lambda a: -a, vector)
        else:
            continue
        if conv is not None:
            return _affine_conv(view, conv, op.outputs, factor, offset)
        if norm is not None:
            return _affine_norm(view, norm, op.outputs, factor, offset)
    return None


def _foldable_conv(view: View, name: str) -> Conv | None:
    conv = view.maker(name, Conv)
    if conv is None or not view.read_once(name) or not all(view.is_parameter(weight) for weight in conv.inputs[1:]):
        return None
    return conv if all(view.graph.tensors[weight].precision.is_float for weight in conv.inputs[1:] if weight) else None


def _foldable_norm(view: View, name: str) -> BatchNorm | None:
    norm = view.maker(name, BatchNorm)
    if norm is None or not view.read_once(name):
        return None
    tensors = [view.graph.tensors[vector] for vector in norm.inputs[1:]]
    constant = all(view.is_parameter(tensor.name) and tensor.precision.is_float for tensor in tensors)
    return norm if constant else None


def _per_channel(view: View, name: str, channels: int, rank: int) -> bool:
    """Whether a constant is one number, or one number per channel in the place of axis 1 of `rank` axes."""
    shape = view.shape(name)
    if len(shape) > rank:
        return False
    aligned = (1,) * (rank - len(shape)) + shape
    return all(size == 1 or (axis == 1 and size == channels) for axis, size in enumerate(aligned))


def _vector(view: View, name: str) -> _Vector:
    value = view.value(name)
    # A NaN in a damaged file may be one that signals.
    with np.errstate(invalid="ignore"):
        return None if value is None else value.astype(np.float64)


def _combine(function: Callable[..., Array], *vectors: _Vector) -> _Vector:
    if any(vector is None for vector in vectors):
        return None
    with np.errstate(all="ignore"):
        return function(*vectors)


def _affine_conv(
    view: View, conv: Conv, outputs: tuple[str, ...], factor: _Vector, offset: _Vector
) -> Replacement | None:
    """`factor * conv + offset` per output channel as one convolution."""
    weight = view.graph.tensors[conv.inputs[1]]
    channels = weight.shape[0]
    spread = (channels,) + (1,) * (len(weight.shape) - 1)
    scaled = _combine(lambda w, f: w * f.reshape(spread), _vector(view, weight.name), factor)
    bias: _Vector = np.zeros(channels) if len(conv.inputs) < 3 else _vector(view, conv.inputs[2])
    shifted = _combine(lambda b, f, o: b * f + o, bias, factor, offset)
    plain = factor is not None and bool(np.all(factor == 1))
    new_weight = None if plain else _parameter(view, f"{outputs[0]}/weight", weight, scaled)
    new_bias = _parameter(view, f"{outputs[0]}/bias", replace(weight, shape=(channels,)), shifted)
    names = (conv.inputs[0], weight.name if new_weight is None else new_weight.tensor.name, new_bias.tensor.name)
    added = (new_bias,) if new_weight is None else (new_weight, new_bias)
    return Replacement(ops=(replace(conv, inputs=names, outputs=outputs),), parameters=added)


def _affine_norm(
    view: View, norm: BatchNorm, outputs: tuple[str, ...], factor: _Vector, offset: _Vector
) -> Replacement:
    """`factor * norm + offset` per channel as one normalisation."""
    x, scale, shift, mean, variance = norm.inputs
    template = view.graph.tensors[scale]
    new_scale = _combine(lambda a, f: a * f, _vector(view, scale), factor)
    new_shift = _combine(lambda b, f, o: b * f + o, _vector(view, shift), factor, offset)
    added = (
        _parameter(view, f"{outputs[0]}/scale", template, new_scale),
        _parameter(view, f"{outputs[0]}/shift", template, new_shift),
    )
    names = (x, added[0].tensor.name, added[1].tensor.name, mean, variance)
    return Replacement(ops=(replace(norm, inputs=names, outputs=outputs),), parameters=added)


def _parameter(view: View, hint: str, template: Tensor, value: _Vector) -> Parameter:
    tensor = replace(template, name=view.fresh(hint))
    if value is None:
        return Parameter(tensor=tensor, value=None)
    with np.errstate(over="ignore"):
        return Parameter(tensor=tensor, value=value.reshape(tensor.shape).astype(f"float{template.precision.bits}"))
