"""The Quants of a graph as fixed-point grids, and constants that lie on one. Other schemes are refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError
from model_ir.op import Op
from model_ir.ops.checks import refusal
from model_ir.ops.quantisation import Quant

Array = npt.NDArray[Any]
ROUNDINGS = {"ROUND": "even", "HALF_EVEN": "even", "FLOOR": "down"}
"""QONNX's modes that cost an adder at most."""
MOST_BITS = 32
"""Widest Quant: biases lie on the grid of their layer's sums."""
CONSTANT_BITS = 24
"""Integers up to 2^24 are exact in float32, in which graphs execute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedGrid:
    """The values of a Quant, each array broadcastable to its input: multiples of `step` (powers of two) from `low` to
    `high`; where `sign` is set just -step and step."""

    step: Array
    low: Array
    high: Array
    sign: Array
    to_even: bool


def fixed_grid(op: Quant, parameters: Sequence[Array]) -> FixedGrid:
    """The grid of `op` with the values of its scale, zero point and bit width. InputError for another scheme."""
    scale, zero_point, bits = (np.asarray(value, np.float64) for value in parameters)
    mode = op.rounding_mode.upper()
    if mode not in ROUNDINGS:
        raise refusal(op, "rounds in a way that RTL does not have", value=mode, limit=", ".join(ROUNDINGS))
    if not _powers_of_two(scale).all():
        value = float(scale[~_powers_of_two(scale)].ravel()[0])
        raise refusal(op, f"scale {op.inputs[1]!r} must be a power of two in RTL", value=value)
    if (zero_point != 0).any():
        raise refusal(op, f"zero point {op.inputs[2]!r} must be 0 in RTL", value=float(zero_point.ravel()[0]))
    least = 1 if not op.signed or not op.narrow else 2
    fitting = (bits == np.round(bits)) & (bits >= least) & (bits <= MOST_BITS)
    if not fitting.all():
        value = float(bits[~fitting].ravel()[0])
        raise refusal(op, f"bit width {op.inputs[3]!r} does not fit", value=value, limit=f"{least} to {MOST_BITS}")
    half = 2.0 ** (bits - 1)
    low = (-half + op.narrow) * scale if op.signed else 0.0 * scale * half
    high = ((half - 1) if op.signed else (2 * half - 1 - op.narrow)) * scale
    sign = (bits == 1) & op.signed & (scale > 0)
    return FixedGrid(
        step=scale + 0 * low,
        low=np.where(sign, -scale, low),
        high=np.where(sign, scale, high),
        sign=sign,
        to_even=ROUNDINGS[mode] == "even",
    )


def _powers_of_two(scale: Array) -> Array:
    return np.asarray((scale > 0) & np.isfinite(scale) & (np.frexp(np.abs(scale))[0] == 0.5))


def check_constant(op: Op, name: str, value: Array) -> Array:
    """`value` in float64 if all of it lies on one grid of few bits. InputError names the constant otherwise."""
    exact = np.asarray(value, np.float64)
    mantissas, exponents = np.frexp(exact[exact != 0])
    if not np.isfinite(exact).all():
        raise refusal(op, f"constant {name!r} has numbers that are not finite")
    if mantissas.size == 0:
        return exact
    scaled = (mantissas * 2.0**53).astype(np.int64)
    lowest = exponents - 53 + np.log2((scaled & -scaled).astype(np.float64)).astype(np.int64)
    bits = int(exponents.max() - lowest.min())
    if bits > CONSTANT_BITS:
        problem = f"constant {name!r} is on no grid: quantise it"
        raise refusal(op, problem, value=f"{bits} bits", limit=f"{CONSTANT_BITS} bits")
    return exact


def constant_parameters(op: Quant, constants: dict[str, Array]) -> tuple[Array, ...]:
    """Scale, zero point and bit width of `op`. InputError where one is computed."""
    for name in op.inputs[1:]:
        if name not in constants:
            raise refusal(op, f"{name!r} must be a constant")
    return tuple(constants[name] for name in op.inputs[1:])


def one_sample(where: str, name: str, parameter: Array, rank: int) -> Array:
    """`parameter`, which broadcasts to a tensor of `rank` axes; InputError where it differs between samples."""
    if parameter.ndim == rank and parameter.shape[0] != 1:
        raise InputError(where, f"{name!r} differs between samples", value=parameter.shape)
    return parameter
