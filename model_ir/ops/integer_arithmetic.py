"""The integers of integer-only Transformers: I-BERT's functions and requantisation, bit by bit as Gemmini has them.

Kim et al., I-BERT (arXiv 2101.01321), sections 3.4 to 3.6, in the arithmetic of Gemmini's normaliser and accumulator
scaler (Normalizer.scala and AccumulatorScale.scala of ucb-bar/gemmini at 8c3f992, gemmini.h of gemmini-rocc-tests at
180c468). This is the definition that the graph executor runs (numpy and jax.numpy alike) and that the instruction
stream equals; `simulator.normaliser` is the same, element by element, as the machine's stages do it.

Everything is int32 that wraps, but for one step: a product with a `Dyadic` multiplier / 2^shift. In integers that is
    p = r(r(q) * multiplier), result = round(p / 2^shift), saturated to 8 bits,
where r keeps 24 significant bits and every rounding is to nearest, ties to even: what a binary32 multiplier does, and
how it is written below.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import frexp, isfinite, ldexp
from typing import Any, NamedTuple

import numpy as np

from model_ir.errors import InputError

INT32_LIMIT = 1 << 31
SOFTMAX_ONE = 127
"""What 1.0 becomes in an int8 softmax (Normalizer.scala: one_rec)."""
SIGNIFICANT_BITS = 24
"""Of binary32."""
EXP_SHIFT_LIMIT = 32
GELU_A, GELU_B = -0.2888, -1.769
"""I-BERT section 3.4: erf(x) = sgn(x) (a (min(|x|, -b) + b)^2 + 1)."""
EXP_A, EXP_B, EXP_C = 0.3585, 1.353, 0.344
"""I-BERT section 3.5: exp(p) = a (p + b)^2 + c on (-ln 2, 0], in the digits of gemmini.h (SOFTMAX)."""


class NormConstants(NamedTuple):
    """The constants of config_norm, int32 each; those a function does not use are 0."""

    qb: int
    qc: int
    qln2: int = 0
    qln2_inv: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dyadic:
    """The number multiplier / 2^shift; |multiplier| < 2^24, so that binary32 holds it exactly."""

    multiplier: int
    shift: int

    @property
    def value(self) -> float:
        """The number."""
        return ldexp(self.multiplier, -self.shift)

    def __str__(self) -> str:
        return f"{self.multiplier}/2^{self.shift}" if self.shift else str(self.multiplier)


ONE = Dyadic(multiplier=1, shift=0)


def dyadic(value: float) -> Dyadic:
    """The binary32 nearest to `value`; InputError where that is zero, subnormal or not finite."""
    single = float(np.float32(value))
    if not isfinite(single) or abs(single) < float(np.finfo(np.float32).tiny):
        raise InputError("requantisation factor", "binary32 does not hold it", value=value)
    mantissa, exponent = frexp(single)
    multiplier, shift = int(mantissa * (1 << SIGNIFICANT_BITS)), SIGNIFICANT_BITS - exponent
    while multiplier % 2 == 0:
        multiplier, shift = multiplier // 2, shift - 1
    return Dyadic(multiplier=multiplier, shift=shift)


def gelu_constants(scale: float) -> NormConstants:
    """Constants of i-GELU for inputs of `scale`, on x / sqrt 2 (gemmini.h, IGELU); `gelu_unit` is one of the result."""
    erf_scale = GELU_A * scale * scale / 2
    return NormConstants(int(GELU_B / (scale / 1.41421356237)), int(1.0 / erf_scale))


def gelu_unit(scale: float) -> float:
    """The real number that one unit of i-GELU's result stands for; negative."""
    return scale * GELU_A * scale * scale / 2 / 2


def softmax_constants(scale: float) -> NormConstants:
    """Constants of i-exp for inputs of `scale` (gemmini.h, SOFTMAX); one unit of the exponential is 0.3585 `scale`^2.

    Raises ZeroDivisionError where ln 2 is less than one unit.
    """
    qln2 = int(0.693147 / scale)
    return NormConstants(int(EXP_B / scale), int(EXP_C / (EXP_A * scale * scale)), qln2, 65536 // qln2)


def scaled_to_int8(xp: Any, values: Any, factor: Any) -> Any:
    """`values` int32 times a binary32 `factor` (a number, or an array that broadcasts), rounded half to even and
    saturated: int8 (AccumulatorScale.scala; the file's comment has it in integers)."""
    product = xp.round(values.astype(np.float32) * factor)
    return xp.clip(product, np.float32(-128), np.float32(127)).astype(np.int8)


def requantised(xp: Any, values: Any, factor: Dyadic) -> Any:
    """`values` times `factor` as int8."""
    return scaled_to_int8(xp, values, np.float32(factor.value))


def loaded(xp: Any, values: Any, factor: Dyadic) -> Any:
    """int8 `values` as a scaling load brings them into the accumulator: int32, rounded and saturated to 8 bits unless
    the factor is one."""
    scaled = values if factor == ONE else requantised(xp, values.astype(np.int32), factor)
    return scaled.astype(np.int32)


def i_gelu(xp: Any, q: Any, constants: NormConstants) -> Any:
    """I-BERT Algorithm 2 on int32: q (sgn(q) ((min(|q|, -qb) + qb)^2 + qc) + qc), wrapping."""
    sign = xp.where(q < 0, np.int32(-1), np.int32(1))
    shifted = xp.minimum(sign * q, np.int32(-constants.qb)) + np.int32(constants.qb)
    erf = sign * (shifted * shifted + np.int32(constants.qc))
    return q * (erf + np.int32(constants.qc))


def i_exp(xp: Any, q: Any, constants: NormConstants) -> Any:
    """I-BERT Algorithm 3 on int32 q <= 0: ((p + qb)^2 + qc) >> z with q = p - z qln2, wrapping.

    z = floor(-q / qln2) comes by a multiplication with qln2_inv = 2^16 / qln2, here in two halves so that 32 bits hold
    it; a z above 31 shifts everything out.
    """
    qb, qc, qln2, qln2_inv = constants
    magnitude = -q
    high = xp.where(q <= 0, (magnitude.astype(np.uint32) >> 16).astype(np.int32), magnitude >> 16)
    low = (magnitude & 0xFFFF).astype(np.uint32) * np.uint32(qln2_inv) >> 16
    z = high * np.int32(qln2_inv) + low.astype(np.int32)
    inside = (z >= 0) & (z < EXP_SHIFT_LIMIT)
    p = q + z * np.int32(qln2) + np.int32(qb)
    bits = (p * p + np.int32(qc)).astype(np.uint32)
    return xp.where(inside, (bits >> xp.where(inside, z, 0).astype(np.uint32)).astype(np.int32), np.int32(0))


def i_sqrt(xp: Any, n: Any) -> Any:
    """Floor of the square root of the 32 bits of `n`, read without sign: int32 (what I-BERT's Algorithm 4 converges
    to; Normalizer.scala, IntSqrt)."""
    rest = n.astype(np.uint32)
    root = xp.zeros_like(rest)
    for place in range(30, -1, -2):
        bit = np.uint32(1 << place)
        fits = rest >= root + bit
        rest = xp.where(fits, rest - (root + bit), rest)
        root = xp.where(fits, (root >> 1) + bit, root >> 1)
    return root.astype(np.int32)


def i_softmax(xp: Any, x: Any, constants: NormConstants, factor: Dyadic) -> Any:
    """Softmax over the last axis of int32 `x`: int8, where 127 is `factor`: exponentials of the distance to the row's
    maximum, times the binary32 (127 / their sum) * factor (I-BERT section 3.5, with the unit's division)."""
    exponentials = i_exp(xp, x - xp.max(x, axis=-1, keepdims=True), constants)
    total = xp.sum(exponentials, axis=-1, keepdims=True, dtype=np.int32)
    share = np.float32(SOFTMAX_ONE) / total.astype(np.float32) * np.float32(factor.value)
    return scaled_to_int8(xp, exponentials, share)


def i_layer_norm(xp: Any, x: Any, factor: Dyadic) -> Any:
    """(x - mean) / deviation over the last axis of int32 `x`, times `factor`: int8. Mean and variance are quotients
    towards zero, the deviation an integer square root, at least 1 (I-BERT section 3.6, with the unit's division)."""
    count = np.int32(x.shape[-1])
    error = x - _quotient(xp, xp.sum(x, axis=-1, keepdims=True, dtype=np.int32), count)
    variance = _quotient(xp, xp.sum(error * error, axis=-1, keepdims=True, dtype=np.int32), count)
    deviation = xp.maximum(i_sqrt(xp, variance), np.int32(1)).astype(np.float32)
    return scaled_to_int8(xp, error, np.float32(1) / deviation * np.float32(factor.value))


def _quotient(xp: Any, total: Any, count: Any) -> Any:
    """total / count towards zero (Arithmetic.scala, divider: round_minMag)."""
    return xp.where(total >= 0, total // count, -(-total // count))


def gelu_fits(constants: NormConstants) -> bool:
    """Whether i-GELU of every int8 stays within 32 bits."""
    worst = 128
    erf = max(abs(constants.qb) ** 2, abs(constants.qc))
    return 2 * erf < INT32_LIMIT and worst * 2 * abs(constants.qc) < INT32_LIMIT


def softmax_fits(constants: NormConstants, count: int) -> bool:
    """Whether the exponentials of a row of `count` elements sum within 32 bits, whatever they are."""
    return constants.qln2 > 0 and count * (constants.qb**2 + constants.qc) < INT32_LIMIT


def layer_norm_fits(magnitude: int, count: int) -> bool:
    """Whether sum and squared errors of `count` elements of at most `magnitude` stay within 32 bits, whatever they are
    (Popoviciu: their variance is at most magnitude^2; the integer mean is off by less than 1)."""
    return count * (magnitude * magnitude + 1) < INT32_LIMIT and count < 1 << 16
