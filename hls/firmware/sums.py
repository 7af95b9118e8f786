"""How large the sums of a layer get: bounds from its own weights and the span of what it reads, in whole numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from hls.firmware.fixed_point import Span, joined
from hls.firmware.grids import whole
from hls.firmware.network import Convolution, Stored, Weighted
from hls.quantise.sums import FLOAT32_MOST
from model_ir.errors import InputError

WeightedType = TypeVar("WeightedType", bound=Weighted)


def with_sums(layer: WeightedType, reads: Span, bias: Stored | None, where: str) -> WeightedType:
    """`layer` with `bias`, an accumulator that holds every partial sum of products in any order, started from zero or
    from the bias, and a result that holds every sum.

    Raises InputError where float32 does not hold every partial sum exactly.
    """
    integers = whole(layer.weight, layer.weight.fixed.exponent)
    rows = integers.reshape(len(integers), -1) if isinstance(layer, Convolution) else integers.T
    low, high = _products(rows, reads)
    exponent = layer.weight.fixed.exponent + reads.exponent
    finest = exponent if bias is None else min(exponent, bias.fixed.exponent)
    low, high = low << exponent - finest, high << exponent - finest
    start = np.zeros(1, np.int64) if bias is None else whole(bias, finest)
    ends = low.sum(axis=1) + start, high.sum(axis=1) + start
    parts = np.minimum(low, 0).sum(axis=1), np.maximum(high, 0).sum(axis=1)
    largest = int(np.max(np.maximum(parts[1], -parts[0]) + np.abs(start)))
    if largest > FLOAT32_MOST:
        problem = f"sums of {layer.tensor!r} exceed what float32 holds exactly; use fewer bits or a coarser bias"
        raise InputError(where, problem, value=f"{largest.bit_length()} bits", limit="24 bits")
    exact = _span(*ends, finest)
    held = joined(_span(*parts, finest), _span(parts[0] + start, parts[1] + start, finest))
    return replace(layer, bias=bias, exact=exact, result=exact.fixed, accumulator=held.fixed)


def _products(rows: npt.NDArray[np.int64], reads: Span) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The least and greatest of every product of a weight with what may meet it; padding is in every type's span."""
    ends = np.stack([rows * reads.low, rows * reads.high])
    return ends.min(axis=0), ends.max(axis=0)


def _span(low: npt.NDArray[np.int64], high: npt.NDArray[np.int64], exponent: int) -> Span:
    return Span(low=int(low.min()), high=int(high.max()), exponent=exponent)
