"""How each operator becomes integers: one rule a kind, listed in RULES."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

import numpy as np

from model_ir.op import Op
from model_ir.ops.checks import axes_of, refusal
from model_ir.ops.contraction import Conv, MatMul
from model_ir.ops.elementwise import Binary, Cast, Clip, Elu, HardSigmoid, LeakyRelu, Unary, Where
from model_ir.ops.gathering import Gather
from model_ir.ops.integer import (
    TABLE_ROWS,
    ChannelMultiply,
    IntegerAdd,
    IntegerGelu,
    IntegerLayerNorm,
    IntegerMean,
    IntegerSoftmax,
    IntegerTable,
    Requantise,
)
from model_ir.ops.integer_arithmetic import (
    INT32_LIMIT,
    ONE,
    SOFTMAX_ONE,
    Dyadic,
    dyadic,
    gelu_constants,
    gelu_fits,
    gelu_unit,
    layer_norm_fits,
    softmax_fits,
)
from model_ir.ops.movement import Concat, Pad
from model_ir.ops.normalisation import Gelu, LayerNorm, Softmax
from model_ir.ops.pooling import GlobalPool, Reduce
from model_ir.passes.integer.calibration import HIGHEST
from model_ir.passes.integer.conversion import Conversion, Rule, Value
from model_ir.passes.integer.masks import MOST, Mask, mask_table
from model_ir.passes.integer.scales import MOVES, is_move, softmax_constants_of
from model_ir.precision import BOOL, INT8

HIGHEST_GAIN = 16
"""Times that LayerNorm loads its operand onto itself, at most: every doubling halves the error of its integer root, and
costs a load."""
GELU_FINEST_CONSTANT = 64
"""Least |qc| of i-GELU's integer polynomial; below it the rounding of the constants shows, and a table takes over."""


def _sum_of_products(c: Conversion, op: Op) -> None:
    """MatMul and Conv: int8 operands, int32 bias and sums."""
    left, right = (c.operand(op, name) for name in op.inputs[:2])
    scale = left.scale * right.scale
    inputs = [left.tensor, right.tensor]
    has_bias = len(op.inputs) > 2 and op.inputs[2]
    if has_bias:
        inputs.append(c.bias(op, op.inputs[2], scale).tensor)
    elif op.name in c.masks:
        inputs.append(_mask(c, c.masks[op.name], scale))
    _check_sums(c, op, inputs)
    made = f"{op.outputs[0]}.int32"
    c.builder.add(replace(op, name=made, inputs=tuple(inputs), outputs=(made,)))
    c.put(op.outputs[0], c.rescaled(made, scale))
    if op.name in c.masks:
        added = c.masks[op.name].added
        c.put(added.outputs[0], Value(tensor=made, scale=scale * c.masks[op.name].factor))
        c.done.add(added.name)


def _mask(c: Conversion, mask: Mask, scale: float) -> str:
    """The mask as an int32 tensor at `scale`, looked up by its flags, which are cut off at 8 bits."""
    flags = f"{mask.added.name}.flags"
    if flags not in c.builder.tensors:
        source = mask.flags
        if c.graph.tensors[source].precision != BOOL:
            source = c.emit(Clip, (source,), f"{flags}.clipped", 1.0, low=-128.0, high=127.0).tensor
        c.emit(Cast, (source,), flags, 1.0, to=INT8)
    table = c.parameter(f"{flags}.table", mask_table(c.graph, c.flow, mask, scale * mask.factor), scale)
    return c.emit(IntegerTable, (flags, table.tensor), f"{mask.added.name}.mask", scale).tensor


def _where(c: Conversion, op: Op) -> None:
    """A softmax guarded against rows that are not numbers, which integers never are."""
    guard = c.flow.maker(op.inputs[0])
    if not (isinstance(guard, Unary) and guard.function == "isnan" and guard.inputs[0] == op.inputs[2]):
        raise refusal(op, "cannot be made integer: it chooses between computed numbers")
    c.put(op.outputs[0], c.of(op, op.inputs[2]))


def _check_sums(c: Conversion, op: Op, inputs: list[str]) -> None:
    """Refuse sums that could leave 32 bits whatever the data."""
    nest = c.graph.nest_of(op)
    terms = nest.points // max(1, prod(c.graph.tensors[op.outputs[0]].shape))
    constant = c.builder.constants.get(inputs[1])
    largest = int(np.abs(constant.astype(np.int64)).max(initial=0)) if constant is not None else HIGHEST + 1
    added = c.builder.constants.get(inputs[2]) if len(inputs) > 2 else None
    bias = MOST if len(inputs) > 2 and added is None else 0
    bias += int(np.abs(added.astype(np.int64)).max()) if added is not None else 0
    worst = terms * (HIGHEST + 1) * largest + bias
    if worst >= INT32_LIMIT:
        raise refusal(op, "its sums could leave 32 bits", value=worst, limit=INT32_LIMIT - 1)


def _binary(c: Conversion, op: Op) -> None:
    """Additions and subtractions on one grid; multiplication by a number or by one constant per channel."""
    assert isinstance(op, Binary)
    scaled = c.flow.number(op)
    if scaled is not None:
        value = c.of(op, scaled[0])
        c.put(op.outputs[0], Value(tensor=value.tensor, scale=value.scale * scaled[1]))
    elif op.function in ("add", "sub"):
        _add(c, op)
    elif op.function == "mul":
        _channel_multiply(c, op)
    else:
        raise refusal(op, "cannot be made integer; functions that can", value=op.function, limit="add, sub, mul")


def _add(c: Conversion, op: Binary) -> None:
    grid = c.plan.grids[op.name]
    operands, factors = [], []
    for place, name in enumerate(op.inputs):
        value = c.quantised(op, name, grid) if c.flow.is_parameter(name) else c.int8(op, name)
        sign = -1.0 if op.function == "sub" and place else 1.0
        operands.append(value.tensor)
        factors.append(_ratio(sign * value.scale, grid))
    attributes = {"a_factor": factors[0], "b_factor": factors[1]}
    result, inputs = op.outputs[0], (operands[0], operands[1])
    if isinstance(c.flow.only_reader(result), LayerNorm):
        c.put(result, c.emit(IntegerAdd, inputs, f"{result}.int32", grid, **attributes))
        return
    scale = c.scale_of(result)
    c.put(result, c.emit(IntegerAdd, inputs, f"{result}.int8", scale, factor=_ratio(grid, scale), **attributes))


def _ratio(numerator: float, denominator: float) -> Dyadic:
    """numerator / denominator, exactly one where they are the same number but for rounding."""
    ratio = numerator / denominator
    return ONE if abs(ratio - 1) < 1e-7 else dyadic(ratio)


def _channel_multiply(c: Conversion, op: Binary) -> None:
    """x g, and + b where an addition of a constant per channel follows."""
    x, g = op.inputs if c.flow.is_parameter(op.inputs[1]) else op.inputs[::-1]
    shape = c.graph.tensors[op.outputs[0]].shape
    if not c.flow.is_parameter(g) or not _per_channel(c, g, shape):
        raise refusal(op, "cannot be made integer: a product of two activations, or by no constant per channel")
    value, factors = c.int8(op, x), c.constant(op, g).reshape(-1)
    weight_scale = (float(np.abs(factors).max()) or 1.0) / HIGHEST
    weight = c.parameter(f"{g}.int8", np.rint(factors / weight_scale).astype(np.int8), weight_scale)
    scale, result = value.scale * weight_scale, op.outputs[0]
    follower, offsets = c.flow.only_reader(result), np.zeros(shape[-1])
    if isinstance(follower, Binary) and follower.function == "add":
        other = follower.inputs[1] if follower.inputs[0] == result else follower.inputs[0]
        if other in c.graph.constants and _per_channel(c, other, shape):
            offsets, result = c.constant(follower, other).reshape(-1), follower.outputs[0]
            c.done.add(follower.name)
    bias = c.parameter(f"{result}.bias", np.rint(offsets / scale).astype(np.int32), scale)
    c.put(result, c.emit(ChannelMultiply, (value.tensor, weight.tensor, bias.tensor), f"{result}.int32", scale))


def _per_channel(c: Conversion, name: str, shape: tuple[int, ...]) -> bool:
    """Whether a constant has one element for each of the last axis of `shape`."""
    own = c.graph.tensors[name].shape
    return len(shape) > 1 and bool(own) and own[-1] == shape[-1] and prod(own) == shape[-1]


def _softmax(c: Conversion, op: Op) -> None:
    assert isinstance(op, Softmax)
    shape = c.graph.tensors[op.inputs[0]].shape
    if op.axis % len(shape) != len(shape) - 1:
        raise refusal(op, "cannot be made integer along another axis than the last", value=op.axis)
    value = c.of(op, op.inputs[0]) if op.name in c.plan.wide else c.int8(op, op.inputs[0])
    constants = softmax_constants_of(op, value.scale)
    if not softmax_fits(constants, shape[-1]):
        raise refusal(op, "its exponentials could leave 32 bits", value=value.scale, limit="a coarser scale")
    scale = c.scale_of(op.outputs[0])
    made = c.emit(
        IntegerSoftmax,
        (value.tensor,),
        f"{op.outputs[0]}.int8",
        scale,
        constants=constants,
        factor=dyadic(1 / (SOFTMAX_ONE * scale)),
    )
    c.put(op.outputs[0], made)


def _layer_norm(c: Conversion, op: Op) -> None:
    assert isinstance(op, LayerNorm)
    shape = c.graph.tensors[op.inputs[0]].shape
    if op.axis % len(shape) != len(shape) - 1:
        raise refusal(op, "cannot be made integer over more than the last axis", value=op.axis)
    summed = isinstance(c.maker(c.of(op, op.inputs[0])), IntegerAdd) and c.bits(c.of(op, op.inputs[0])) == 32
    value, magnitude = (
        (c.of(op, op.inputs[0]), 2 * (HIGHEST + 1))
        if summed
        else (
            c.int8(op, op.inputs[0]),
            HIGHEST + 1,
        )
    )
    gains = [gain for gain in range(1, HIGHEST_GAIN + 1) if layer_norm_fits(gain * magnitude, shape[-1])]
    if not gains:
        raise refusal(op, "rows are too long for 32-bit squares", value=shape[-1])
    scale = c.scale_of(op.outputs[0])
    attributes = {"factor": dyadic(1 / scale), "gain": gains[-1]}
    c.put(op.outputs[0], c.emit(IntegerLayerNorm, (value.tensor,), f"{op.outputs[0]}.int8", scale, **attributes))


def _gelu(c: Conversion, op: Op) -> None:
    value = c.int8(op, op.inputs[0])
    constants = gelu_constants(value.scale)
    if not gelu_fits(constants) or abs(constants.qc) < GELU_FINEST_CONSTANT:
        _table(c, op)
        return
    scale = c.scale_of(op.outputs[0])
    factor = dyadic(gelu_unit(value.scale) / scale)
    made = c.emit(IntegerGelu, (value.tensor,), f"{op.outputs[0]}.int8", scale, constants=constants, factor=factor)
    c.put(op.outputs[0], made)


def _elementwise(c: Conversion, op: Op) -> None:
    """A ReLU of sums as they are stored; any other function of one number as a table."""
    relu = (isinstance(op, Unary) and op.function == "relu") or (isinstance(op, Clip) and op.low == 0.0)
    value = c.of(op, op.inputs[0])
    if not relu or c.bits(value) == 8 or c.flow.only_reader(op.inputs[0]) is not op:
        _table(c, op)
        return
    scale = c.scale_of(op.outputs[0])
    factor = dyadic(value.scale / scale)
    c.put(op.outputs[0], c.emit(Requantise, (value.tensor,), f"{op.outputs[0]}.int8", scale, factor=factor, relu=True))


def _table(c: Conversion, op: Op) -> None:
    """The function at each of the 256 numbers its operand can be."""
    value, scale = c.int8(op, op.inputs[0]), c.scale_of(op.outputs[0])
    numbers = np.arange(-TABLE_ROWS // 2, TABLE_ROWS // 2, dtype=np.float32) * np.float32(value.scale)
    (results,) = op.evaluate(np, numbers)
    if not np.all(np.isfinite(results)):
        raise refusal(op, "cannot be made integer: not finite somewhere in the range of its operand")
    stored = np.clip(np.rint(results / scale), -HIGHEST - 1, HIGHEST).astype(np.int8)
    table = c.parameter(f"{op.outputs[0]}.table", stored, scale)
    c.put(op.outputs[0], c.emit(IntegerTable, (value.tensor, table.tensor), f"{op.outputs[0]}.int8", scale))


def _mean(c: Conversion, op: Op) -> None:
    """Means; maxima and minima pick among integers."""
    assert isinstance(op, Reduce | GlobalPool)
    shape = c.graph.tensors[op.inputs[0]].shape
    if op.function in ("max", "min"):
        _move(c, op)
        return
    if op.function != "mean":
        raise refusal(op, "cannot be made integer; functions that can", value=op.function, limit="mean, max, min")
    pooled = tuple(range(2, len(shape)))
    axes = pooled if isinstance(op, GlobalPool) else axes_of(op, op.axes or tuple(range(len(shape))), len(shape))
    value, scale = c.int8(op, op.inputs[0]), c.scale_of(op.outputs[0])
    count = prod(shape[axis] for axis in axes)
    keepdims = True if isinstance(op, GlobalPool) else op.keepdims
    attributes = {"axes": axes, "keepdims": keepdims, "factor": dyadic(value.scale / scale / count)}
    c.put(op.outputs[0], c.emit(IntegerMean, (value.tensor,), f"{op.outputs[0]}.int8", scale, **attributes))


def _gather(c: Conversion, op: Op) -> None:
    """Rows of a table of constants, or of an activation, by indices."""
    if is_move(op, c.flow):
        _move(c, op)
        return
    scale, result = c.scale_of(op.outputs[0]), f"{op.outputs[0]}.int8"
    table = c.quantised(op, op.inputs[0], scale)
    copied = c.copied(replace(op, inputs=(op.inputs[1],)))
    c.builder.add(replace(op, name=result, inputs=(table.tensor, *copied.inputs), outputs=(result,)))
    c.put(op.outputs[0], c.rescaled(result, scale))


def _concat(c: Conversion, op: Op) -> None:
    """Every operand on one grid, side by side."""
    scale, tensors = c.scale_of(op.outputs[0]), []
    for place, name in enumerate(op.inputs):
        if c.flow.is_parameter(name):
            tensors.append(c.quantised(op, name, scale).tensor)
            continue
        value = c.int8(op, name)
        factor = _ratio(value.scale, scale)
        if factor != ONE:
            value = c.emit(Requantise, (value.tensor,), f"{op.outputs[0]}.part{place}", scale, factor=factor)
        tensors.append(value.tensor)
    result = f"{op.outputs[0]}.int8"
    c.builder.add(replace(op, name=result, inputs=tuple(tensors), outputs=(result,)))
    c.put(op.outputs[0], c.rescaled(result, scale))


def _move(c: Conversion, op: Op) -> None:
    """The same move of integers: of sums where only a softmax or the caller reads them, else of 8-bit ones."""
    value = c.of(op, op.inputs[0])
    wide = c.bits(value) == 32 and all(c.flow.leads_only_to(name, c.plan.wide) for name in op.outputs)
    value = value if wide else c.int8(op, op.inputs[0])
    outputs = tuple(f"{name}.int{c.bits(value)}" for name in op.outputs)
    indices = c.copied(replace(op, inputs=op.inputs[1:])).inputs
    c.builder.add(replace(op, name=outputs[0], inputs=(value.tensor, *indices), outputs=outputs))
    for name, made in zip(op.outputs, outputs, strict=True):
        c.put(name, c.rescaled(made, value.scale))


def _pad(c: Conversion, op: Op) -> None:
    assert isinstance(op, Pad)
    if op.value:
        raise refusal(op, "cannot be made integer with another fill than zero", value=op.value)
    _move(c, op)


RULES: Mapping[type[Op], Rule] = {
    MatMul: _sum_of_products,
    Conv: _sum_of_products,
    Binary: _binary,
    Softmax: _softmax,
    LayerNorm: _layer_norm,
    Gelu: _gelu,
    Unary: _elementwise,
    Clip: _elementwise,
    LeakyRelu: _elementwise,
    Elu: _elementwise,
    HardSigmoid: _elementwise,
    Reduce: _mean,
    GlobalPool: _mean,
    Gather: _gather,
    Concat: _concat,
    Pad: _pad,
    Where: _where,
    **dict.fromkeys(MOVES, _move),
}
"""Every float operator that has an integer form."""
