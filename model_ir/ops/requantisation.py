"""Requantisation to any width: int32 sums times multiplier / 2^shift, in integers alone.

Every product has all its 62 bits, held in two 32-bit words so that jax.numpy (which has no 64-bit types by default)
computes the same as numpy. `Requantise` is Gemmini's: binary32 factors, 8 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from model_ir.loop_nest import LoopNest
from model_ir.op import Op
from model_ir.ops.arrays import cast
from model_ir.ops.checks import broadcasts_to, output, refusal, required
from model_ir.ops.nests import pointwise
from model_ir.precision import Precision
from model_ir.tensor import Tensor

MOST_SHIFT = 62
WORD = 32
HALF_WORD = 0xFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class DyadicRequantise(Op):
    """saturate(round(x * multiplier / 2^shift + zero point)), halves to even, as integers of `precision`.

    Inputs x (int32, above -2^31), multiplier (int32, not negative, broadcasts to x: one, or one a channel). `narrow`
    drops the lowest integer (signed) or the highest (unsigned); one signed bit means -1 and 1, by the sign of the sum.
    What a fixed-point network computes between two layers (Jacob et al., arXiv 1712.05877, section 2.2; HAWQ-V3, Yao et
    al., arXiv 2011.10680, section 3.1), with QONNX's rounding and saturation.
    """

    shift: int
    precision: Precision
    narrow: bool = False

    def infer(self, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """The shape of x with `precision`; InputError for operands that are no integers, a shift out of range."""
        x, multiplier = required(self, inputs, 2)
        for tensor in (x, multiplier):
            if tensor.precision.is_float or tensor.precision.bits > WORD:
                raise refusal(self, f"{tensor.name!r} is not of integers", value=tensor.precision, limit="int32")
        if not broadcasts_to(multiplier.shape, x.shape):
            raise refusal(self, "multiplier does not broadcast to the input", value=multiplier.shape, limit=x.shape)
        if not 0 <= self.shift <= MOST_SHIFT:
            raise refusal(self, "shift out of range", value=self.shift, limit=f"0 to {MOST_SHIFT}")
        if self.precision.is_float or not 1 <= self.precision.bits < WORD:
            raise refusal(self, "result is not of integers below 32 bits", value=self.precision)
        return output(self, x.shape, self.precision)

    @property
    def limits(self) -> tuple[int, int]:
        """The lowest and the highest integer of the result."""
        half = 1 << (self.precision.bits - 1)
        if self.precision.signed:
            return (-1, 1) if self.precision.bits == 1 else (self.narrow - half, half - 1)
        return 0, 2 * half - 1 - self.narrow

    def evaluate(self, xp: Any, *inputs: Any) -> tuple[Any, ...]:
        """clip(scaled(x) + zero point, lowest, highest)."""
        x, multiplier = (value.astype(np.int32) for value in inputs)
        zero, (low, high) = self.precision.zero_point, self.limits
        if self.precision.signed and self.precision.bits == 1:
            stored = xp.where(x >= 0, np.int32(1), np.int32(-1))
        else:
            # Clipping first keeps the sum with the zero point within 32 bits; both limits are integers.
            scaled = scaled_sums(xp, x, multiplier, self.shift, odd=zero % 2)
            stored = xp.clip(scaled, np.int32(low - zero), np.int32(high - zero)) + np.int32(zero)
        return (cast(xp, stored, self.precision),)

    def loop_nest(
        self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], constants: frozenset[str]
    ) -> LoopNest:
        """5 operations per element: multiply, round, add, two comparisons."""
        return pointwise(self, "quantise", inputs, outputs[0], constants, flops=5)


def scaled_sums(xp: Any, x: Any, multiplier: Any, shift: int, *, odd: int = 0) -> Any:
    """round(x * multiplier / 2^shift) as int32, saturated; halves go to the even result, with `odd` to the odd one
    (what is added next is odd, and the sum is to be even)."""
    negative = x < 0
    high, low = _product(xp.where(negative, -x, x).astype(np.uint32), multiplier.astype(np.uint32))
    whole, rest, half = _split(xp, high, low, shift)
    up = (rest > half) | ((rest == half) & (half > 0) & ((whole & 1) != odd))
    magnitude = xp.minimum(whole + up.astype(np.uint32), np.uint32((1 << 31) - 1)).astype(np.int32)
    return xp.where(negative, -magnitude, magnitude)


def _product(a: Any, b: Any) -> tuple[Any, Any]:
    """The high and low word of a product of words below 2^31."""
    a_high, a_low, b_high, b_low = a >> 16, a & HALF_WORD, b >> 16, b & HALF_WORD
    low, one, other = a_low * b_low, a_high * b_low, a_low * b_high
    middle = (low >> 16) + (one & HALF_WORD) + (other & HALF_WORD)
    return a_high * b_high + (one >> 16) + (other >> 16) + (middle >> 16), (middle << 16) | (low & HALF_WORD)


def _split(xp: Any, high: Any, low: Any, shift: int) -> tuple[Any, Any, Any]:
    """The product over 2^shift, saturated below 2^31; what is left of it, and half of 2^shift, both in the same unit,
    odd left-overs below the last bit kept as one more."""
    most = np.uint32((1 << 31) - 1)
    if shift == 0:
        return xp.where((high > 0) | (low > most), most, low), xp.zeros_like(low), np.uint32(0)
    if shift < WORD:
        whole = (low >> np.uint32(shift)) | (high << np.uint32(WORD - shift))
        overflow = ((high >> np.uint32(shift)) > 0) | (whole > most)
        rest = low & np.uint32((1 << shift) - 1)
        return xp.where(overflow, most, whole), rest, np.uint32(1 << (shift - 1))
    # 2^31 and more: the low word decides only between a half and more than a half.
    sticky = (low != 0).astype(np.uint32)
    if shift == WORD:
        half_bit = low >> np.uint32(31)
        below = ((low << np.uint32(1)) != 0).astype(np.uint32)
        return high, half_bit * np.uint32(2) | below, np.uint32(2)
    rest = high & np.uint32((1 << (shift - WORD)) - 1)
    return high >> np.uint32(shift - WORD), rest * np.uint32(2) | sticky, np.uint32(1 << (shift - WORD))
