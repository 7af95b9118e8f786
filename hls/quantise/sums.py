"""How large the sums of a layer can get, whatever its inputs: what accumulators and floats must hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from model_ir.errors import InputError

INT32_MOST = (1 << 31) - 1
FLOAT32_MOST = 1 << 24
"""Up to here float32 holds every integer, so that sums of integers below it are exact in any order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SumBound:
    """`most`: the largest magnitude that a sum, or a part of it, of `layer` can have, in units of its grid: for a layer
    sum |weight| * max |input| + |bias| of its worst channel, for an addition the sum of both operands'."""

    layer: str
    most: int


def check_int32(bounds: Iterable[SumBound]) -> None:
    """Raise InputError naming the first layer whose sums could leave 32 bits."""
    _check(bounds, INT32_MOST, "sums could overflow 32-bit accumulators")


def check_float32(bounds: Iterable[SumBound]) -> None:
    """Raise InputError naming the first layer whose sums float32 might not hold exactly."""
    _check(bounds, FLOAT32_MOST, "sums could leave what float32 holds exactly (2^24)")


def _check(bounds: Iterable[SumBound], limit: int, problem: str) -> None:
    for bound in bounds:
        if bound.most > limit:
            raise InputError(f"layer {bound.layer!r}", problem, value=bound.most, limit=limit)
