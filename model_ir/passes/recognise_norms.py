"""Recognises layer normalisation and RMS normalisation written in primitives, as PyTorch's, TensorFlow's and Hugging
Face's exporters write them.

The core, d / sqrt(mean(d^2) + epsilon), is found first and becomes a norm with unit scale; a constant factor and shift
after it become its scale and bias. TensorFlow's form, x g + (shift - mean g) with g = scale / sqrt(...), is found as a
whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from model_ir.graph import Graph
from model_ir.op import Op
from model_ir.ops.arrays import storage_dtype
from model_ir.ops.elementwise import Binary, Unary
from model_ir.ops.movement import Reshape
from model_ir.ops.normalisation import LayerNorm, RmsNorm
from model_ir.ops.pooling import Reduce
from model_ir.passes.recognise_softmax import reduced_axes
from model_ir.passes.rewriting import Parameter, Replacement, View, rewrite
from model_ir.tensor import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class _Core:
    """1 / sqrt(mean(`deviation`^2) + `epsilon`) over the axes from `axis` on."""

    deviation: str
    axis: int
    epsilon: float


def recognise_norms(graph: Graph) -> Graph:
    """Replace decomposed LayerNorm and RmsNorm by the operator; the axes must be trailing ones."""
    for rule in (_whole, _core, _absorb_scale, _absorb_shift):
        graph = rewrite(graph, rule)
    return graph


def _core(view: View, op: Op) -> Replacement | None:
    if not isinstance(op, Binary) or op.function not in ("mul", "div"):
        return None
    for deviation, other in (op.inputs, op.inputs[::-1]):
        if op.function == "div" and deviation != op.inputs[0]:
            continue
        core = _deviation_of(view, other) if op.function == "div" else _inverse_deviation_of(view, other)
        if core is None or core.deviation != deviation:
            continue
        ones = _unit_scale(view, op, core)
        centred = _centred(view, deviation, core.axis)
        kind = RmsNorm if centred is None else LayerNorm
        norm = kind(
            name=op.name,
            inputs=(centred or deviation, ones.tensor.name),
            outputs=op.outputs,
            axis=core.axis,
            epsilon=core.epsilon,
        )
        return Replacement(ops=(norm,), parameters=(ones,))
    return None


def _unit_scale(view: View, op: Op, core: _Core) -> Parameter:
    source = view.graph.tensors[core.deviation]
    shape = source.shape[core.axis :]
    tensor = Tensor(name=view.fresh(f"{op.outputs[0]}/scale"), shape=shape, precision=source.precision)
    return Parameter(tensor=tensor, value=np.ones(shape, storage_dtype(source.precision)))


def _deviation_of(view: View, name: str) -> _Core | None:
    """sqrt(mean(d^2) + epsilon), or that to the power of one half."""
    root = view.maker(name, Unary)
    if root is not None and root.function == "sqrt":
        return _variance_of(view, root.inputs[0])
    power = view.binary(name, "pow")
    return _variance_of(view, power[0]) if power is not None and view.scalar(power[1]) == 0.5 else None


def _inverse_deviation_of(view: View, name: str) -> _Core | None:
    """1 / sqrt(mean(d^2) + epsilon) as a reciprocal, a division of one, or a power."""
    inverse = view.maker(name, Unary)
    if inverse is not None and inverse.function == "reciprocal":
        return _deviation_of(view, inverse.inputs[0])
    quotient = view.binary(name, "div")
    if quotient is not None and view.scalar(quotient[0]) == 1.0:
        return _deviation_of(view, quotient[1])
    power = view.binary(name, "pow")
    return _variance_of(view, power[0]) if power is not None and view.scalar(power[1]) == -0.5 else None


def _variance_of(view: View, name: str) -> _Core | None:
    """mean(d^2) + epsilon over trailing axes."""
    for mean, constant in _both_ways(view.binary(name, "add")):
        epsilon = view.scalar(constant)
        if epsilon is None or epsilon < 0:
            continue
        square = _reduced_square(view, mean)
        if square is not None:
            deviation, axis = square
            return _Core(deviation=deviation, axis=axis, epsilon=epsilon)
    return None


def _reduced_square(view: View, name: str) -> tuple[str, int] | None:
    source = _reduction_input(view, name)
    if source is None:
        return None
    product, power = view.binary(source, "mul"), view.binary(source, "pow")
    deviation = None
    if product is not None and product[0] == product[1]:
        deviation = product[0]
    elif power is not None and view.scalar(power[1]) == 2.0:
        deviation = power[0]
    axis = _trailing_mean(view, name, source)
    return None if deviation is None or axis is None else (deviation, axis)


def _reduction_input(view: View, name: str) -> str | None:
    reshape = view.maker(name, Reshape)
    reduce = view.maker(reshape.inputs[0] if reshape is not None else name, Reduce)
    return None if reduce is None else reduce.inputs[0]


def _trailing_mean(view: View, name: str, source: str) -> int | None:
    """The first axis, if `name` is the mean of `source` over all axes from it on."""
    axes = reduced_axes(view, name, "mean", source)
    rank = len(view.shape(source))
    return axes[0] if axes and axes == tuple(range(rank - len(axes), rank)) else None


def _centred(view: View, name: str, axis: int) -> str | None:
    """x, if `name` is x minus its mean over the axes from `axis` on."""
    operands = view.binary(name, "sub")
    return operands[0] if operands and _trailing_mean(view, operands[1], operands[0]) == axis else None


def _absorb_scale(view: View, op: Op) -> Replacement | None:
    if not isinstance(op, Binary) or op.function != "mul":
        return None
    for source, scale in _both_ways((op.inputs[0], op.inputs[1])):
        norm = view.maker(source, LayerNorm) or view.maker(source, RmsNorm)
        if norm is None or len(norm.inputs) > 2 or not _is_unit(view, norm.inputs[1]):
            continue
        if view.shape(op.outputs[0]) != view.shape(source):
            continue
        added = _trailing_parameter(view, scale, norm.outputs[0], norm.axis, f"{op.outputs[0]}/scale")
        if added is not None:
            inputs = (norm.inputs[0], added.tensor.name)
            return Replacement(ops=(replace(norm, inputs=inputs, outputs=op.outputs),), parameters=(added,))
    return None


def _absorb_shift(view: View, op: Op) -> Replacement | None:
    if not isinstance(op, Binary) or op.function != "add":
        return None
    for source, shift in _both_ways((op.inputs[0], op.inputs[1])):
        norm = view.maker(source, LayerNorm)
        if norm is None or len(norm.inputs) > 2 or view.shape(op.outputs[0]) != view.shape(source):
            continue
        added = _trailing_parameter(view, shift, source, norm.axis, f"{op.outputs[0]}/shift")
        if added is not None:
            inputs = (*norm.inputs, added.tensor.name)
            return Replacement(ops=(replace(norm, inputs=inputs, outputs=op.outputs),), parameters=(added,))
    return None


def _whole(view: View, op: Op) -> Replacement | None:
    """x g + (shift - mean g) with g = scale / sqrt(mean((x - mean)^2) + epsilon)."""
    if not isinstance(op, Binary) or op.function != "add":
        return None
    for scaled, rest in _both_ways((op.inputs[0], op.inputs[1])):
        difference = view.binary(rest, "sub")
        if difference is None:
            continue
        shift, scaled_mean = difference
        for x, gain in _both_ways(view.binary(scaled, "mul")):
            for mean, same_gain in _both_ways(view.binary(scaled_mean, "mul")):
                found = _tensorflow_norm(view, op, x, gain, mean, shift) if gain == same_gain else None
                if found is not None:
                    return found
    return None


def _tensorflow_norm(view: View, op: Op, x: str, gain: str, mean: str, shift: str) -> Replacement | None:
    for inverse, scale in _both_ways(view.binary(gain, "mul")):
        core = _inverse_deviation_of(view, inverse)
        if (
            core is None
            or view.binary(core.deviation, "sub") != (x, mean)
            or _centred(view, core.deviation, core.axis) != x
        ):
            continue
        new_scale = _trailing_parameter(view, scale, x, core.axis, f"{op.outputs[0]}/scale")
        new_shift = _trailing_parameter(view, shift, x, core.axis, f"{op.outputs[0]}/shift")
        if new_scale is not None and new_shift is not None:
            inputs = (x, new_scale.tensor.name, new_shift.tensor.name)
            norm = LayerNorm(name=op.name, inputs=inputs, outputs=op.outputs, axis=core.axis, epsilon=core.epsilon)
            return Replacement(ops=(norm,), parameters=(new_scale, new_shift))
    return None


def _trailing_parameter(view: View, name: str, normalised: str, axis: int, hint: str) -> Parameter | None:
    """The parameter `name` as a scale or bias over the axes from `axis` on: leading axes of size 1 dropped; None where
    it is none."""
    if not view.is_parameter(name):
        return None
    tensor, shape = view.graph.tensors[name], view.shape(normalised)
    trailing = shape[axis:]
    own = tensor.shape
    while len(own) > len(trailing) and own[0] == 1:
        own = own[1:]
    aligned = (1,) * (len(trailing) - len(own)) + own
    if len(own) > len(trailing) or any(a not in (1, b) for a, b in zip(aligned, trailing, strict=True)):
        return None
    if own == tensor.shape:
        return Parameter(tensor=tensor, value=view.value(name))
    value = view.value(name)
    reshaped = replace(tensor, name=view.fresh(hint), shape=own)
    return Parameter(tensor=reshaped, value=None if value is None else value.reshape(own))


def _is_unit(view: View, name: str) -> bool:
    value = view.value(name)
    return value is not None and bool(np.all(value == 1))


def _both_ways(operands: tuple[str, str] | None) -> tuple[tuple[str, str], ...]:
    return () if operands is None else (operands, operands[::-1])
