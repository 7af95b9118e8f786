"""What numpy and jax.numpy call differently, in one place: data types of precisions, erf, the stable logistic function,
padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from model_ir.precision import BOOL, Precision


def storage_dtype(precision: Precision) -> np.dtype[Any]:
    """The smallest numpy type that holds `precision` (int4 is held in int8, `BOOL` in bool)."""
    if precision == BOOL:
        return np.dtype(np.bool_)
    if precision.is_float:
        return np.dtype(f"float{max(16, precision.bits)}")
    width = next((width for width in (8, 16, 32) if precision.bits <= width), 64)
    return np.dtype(f"{'int' if precision.signed else 'uint'}{width}")


def cast(xp: Any, x: Any, precision: Precision) -> Any:
    """`x` in the type of `precision` (jax without 64-bit types takes its 32-bit ones)."""
    return xp.asarray(x).astype(xp.asarray(np.zeros((), storage_dtype(precision))).dtype)


def erf(xp: Any, x: Any) -> Any:
    """The error function of `x` in the type of `x`; neither array module has one of its own."""
    if xp is np:
        from scipy.special import erf as scipy_erf

        return scipy_erf(x)
    from jax.scipy.special import erf as jax_erf

    return jax_erf(x)


def sigmoid(xp: Any, x: Any) -> Any:
    """1 / (1 + exp(-x)) as a quotient whose exponentials never overflow and whose derivative at 0 is 1/4."""
    rising = xp.exp(xp.minimum(x, 0))
    return rising / (rising + xp.exp(xp.minimum(-x, 0)))


def is_integer(x: Any) -> bool:
    """Whether the array holds integers."""
    return bool(np.issubdtype(np.dtype(x.dtype), np.integer))


def widened(x: Any) -> Any:
    """`x` as int32 if it holds narrower integers, which sums of products would overflow."""
    return x.astype(np.int32) if is_integer(x) and np.dtype(x.dtype).itemsize < 4 else x


def pad_spatial(xp: Any, x: Any, pads: Sequence[int], value: Any = 0) -> Any:
    """Pad the axes after (N, C) by `pads`, all begins before all ends, with `value`."""
    if not any(pads):
        return x
    rank = len(pads) // 2
    widths = [(0, 0)] * (x.ndim - rank) + [(pads[axis], pads[rank + axis]) for axis in range(rank)]
    return xp.pad(x, widths, constant_values=value)


def along(shape: Sequence[int], axis: int, rank: int) -> tuple[int, ...]:
    """`shape` placed at `axis` of `rank` axes, ones elsewhere (a vector over channels as it broadcasts over an
    image)."""
    return (1,) * axis + tuple(shape) + (1,) * (rank - axis - len(shape))
