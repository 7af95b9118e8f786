"""Precision rules: what representation a result has, given those of the operands.

A tensor is "quantised" where its integers stand for other real numbers (a scale or zero point) or have a width that no
array type has. Moving such numbers keeps their grid; arithmetic leaves it, and its result is a real number (float32)
until the graph quantises it again. Plain integers of 8 to 64 bits compute in their own type.
"""

from __future__ import annotations

from math import isclose

from model_ir.precision import FLOAT32, Precision

ARRAY_BITS = (1, 8, 16, 32, 64)


def is_quantised(precision: Precision) -> bool:
    """Whether the stored integers are not simply the values."""
    plain = precision.scale == 1.0 and precision.zero_point == 0 and precision.bits in ARRAY_BITS
    return not precision.is_float and not plain


def selected(*precisions: Precision) -> Precision:
    """The precision of values picked from operands (concatenation, maximum, where).

    Equal precisions stay; floats win over integers and the wider float over the narrower; unequal quantised ones become
    float32; plain integers take the wider.
    """
    first, *others = precisions
    if all(other == first for other in others):
        return first
    floats = [precision for precision in precisions if precision.is_float]
    if floats:
        return max(floats, key=lambda precision: precision.bits)
    if any(map(is_quantised, precisions)):
        return FLOAT32
    return max(precisions, key=lambda precision: precision.bits)


def computed(*precisions: Precision) -> Precision:
    """The precision of values computed from operands: as `selected`, but arithmetic on quantised ones gives float32."""
    result = selected(*precisions)
    return FLOAT32 if is_quantised(result) else result


def accumulated(left: Precision, right: Precision, bias: Precision | None = None) -> Precision:
    """The precision of a sum of products [plus bias].

    Integers give at least 32 bits with the product of the scales and zero point 0 (Jacob et al., Quantization and
    Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, CVPR 2018, equation 4), unless a bias
    of another scale takes the sum off that grid; anything else is `computed`.
    """
    if left.is_float or right.is_float:
        return computed(left, right)
    scale = left.scale * right.scale
    if bias is not None and (bias.is_float or bias.zero_point or not isclose(bias.scale, scale)):
        return FLOAT32
    return Precision(bits=max(32, left.bits, right.bits), scale=scale)
