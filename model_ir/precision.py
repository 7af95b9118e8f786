"""`Precision`: how the numbers of a tensor are represented. Nothing here knows an operator or a machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Rounding = Literal["half_even", "half_up", "floor", "ceil", "toward_zero"]
Overflow = Literal["saturate", "wrap"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """`real = scale * (stored - zero_point)` for integers; a plain IEEE float where `is_float`."""

    bits: int
    signed: bool = True
    is_float: bool = False
    scale: float = 1.0
    zero_point: int = 0
    rounding: Rounding = "half_even"
    overflow: Overflow = "saturate"

    def __str__(self) -> str:
        return f"{'float' if self.is_float else 'int' if self.signed else 'uint'}{self.bits}"


FLOAT64 = Precision(bits=64, is_float=True)
FLOAT32 = Precision(bits=32, is_float=True)
FLOAT16 = Precision(bits=16, is_float=True)
INT64 = Precision(bits=64)
INT32 = Precision(bits=32)
INT16 = Precision(bits=16)
INT8 = Precision(bits=8)
UINT8 = Precision(bits=8, signed=False)
BOOL = Precision(bits=1, signed=False)
