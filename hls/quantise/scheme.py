"""`Scheme`: which kinds of grids a network is quantised to, and how they are fitted to values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from model_ir.errors import InputError

Clip = Literal["max", "percentile", "error"]
Scales = Literal["power-of-two", "dyadic", "free"]
MOST_DYADIC_BITS = 24
"""A dyadic scale b / 2^c stands in a float32 constant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """How grids are chosen. As it stands: fixed-point numbers, what firmware computes with exactly.

    `clip`: the range is the whole one, the one that `percentile` per cent of the values lie in, or the one of least
    squared error. `scales`: 2^k, b / 2^c with b of `dyadic_bits` bits (HAWQ-V3, Yao et al., arXiv 2011.10680, section
    3.1), or any. `affine_*`: unsigned integers with a zero point where values have both signs; otherwise symmetric.
    `per_channel`: a weight's output channels have scales of their own. `narrow_weights`: symmetric weights leave out
    the lowest integer. Raises InputError for unknown words and numbers out of range.
    """

    clip: Clip = "error"
    percentile: float = 99.99
    scales: Scales = "power-of-two"
    dyadic_bits: int = 8
    affine_activations: bool = False
    affine_weights: bool = False
    per_channel: bool = False
    narrow_weights: bool = True

    def __post_init__(self) -> None:
        for what, value, words in (("clip", self.clip, get_args(Clip)), ("scales", self.scales, get_args(Scales))):
            if value not in words:
                raise InputError(what, "unknown", value=value, limit=", ".join(words))
        if not 0 < self.percentile <= 100:
            raise InputError("percentile", "out of range", value=self.percentile, limit="above 0, at most 100")
        if not 1 <= self.dyadic_bits <= MOST_DYADIC_BITS:
            raise InputError("dyadic bits", "out of range", value=self.dyadic_bits, limit=f"1 to {MOST_DYADIC_BITS}")


FIXED_POINT = Scheme()
"""Powers of two, one scale a tensor, no zero points: exact in QONNX, hls4ml and RTL."""
