"""Fixed-point types, and the spans of whole numbers from which exactly wide enough ones follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Rounding = Literal["TRN", "RND_CONV"]
Overflow = Literal["WRAP", "SAT", "SAT_SYM"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """A type fixed<bits, integer_bits>: the lowest bit is worth 2^(integer_bits - bits); as in Vivado HLS' ap_fixed and
    Siemens' ac_fixed, `integer_bits` counts the sign and may be negative or more than `bits`.

    `rounding` (TRN down, RND_CONV to the nearest, ties to even) and `overflow` say what an assignment to it does.
    """

    bits: int
    integer_bits: int
    signed: bool = True
    rounding: Rounding = "TRN"
    overflow: Overflow = "WRAP"

    @property
    def exponent(self) -> int:
        """The lowest bit is worth 2^exponent."""
        return self.integer_bits - self.bits

    @property
    def span(self) -> Span:
        """All values that it holds."""
        half = 1 << (self.bits - 1)
        if not self.signed:
            return Span(low=0, high=2 * half - 1, exponent=self.exponent)
        return Span(low=-half + (self.overflow == "SAT_SYM"), high=half - 1, exponent=self.exponent)

    def __str__(self) -> str:
        name = f"{'' if self.signed else 'u'}fixed<{self.bits},{self.integer_bits}"
        plain = self.rounding == "TRN" and self.overflow == "WRAP"
        return f"{name}>" if plain else f"{name},{self.rounding},{self.overflow}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The values n * 2^exponent for whole n from `low` to `high`."""

    low: int
    high: int
    exponent: int

    @property
    def fixed(self) -> Fixed:
        """The narrowest type that holds every value and nothing below 2^exponent."""
        signed = self.low < 0
        magnitude = max(max(0, self.high).bit_length(), (-self.low - 1).bit_length() if signed else 0)
        bits = max(1, magnitude + signed)
        return Fixed(bits=bits, integer_bits=bits + self.exponent, signed=signed)

    @property
    def largest(self) -> int:
        """The largest magnitude, in units of 2^exponent."""
        return max(abs(self.low), abs(self.high))

    def at(self, exponent: int) -> Span:
        """The same values counted in units of 2^exponent, which is no larger than this one's."""
        return Span(
            low=self.low << self.exponent - exponent, high=self.high << self.exponent - exponent, exponent=exponent
        )


def joined(*spans: Span) -> Span:
    """The smallest span that holds all of them, on the finest of their grids."""
    exponent = min(span.exponent for span in spans)
    moved = [span.at(exponent) for span in spans]
    return Span(low=min(span.low for span in moved), high=max(span.high for span in moved), exponent=exponent)
