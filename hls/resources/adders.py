"""What products with constants and their sums take when they are laid out side by side: adders, by the bit.

A product with a constant is shifts and one addition or subtraction fewer than its canonical signed digits (Reitwiesner,
Advances in Computers 1, 1960): none for a power of two, and a zero takes no product at all. One bit of an adder takes
one LUT of Xilinx's fabric with its carry chain (UltraScale Architecture CLB User Guide, UG574). What synthesis makes of
it is a factor that `calibration` fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

NARROWEST_DSP_OPERAND_BITS = 9
"""A product with an operand narrower than this goes to LUTs: hls4ml 1.3.0 counts no DSP below it
(optimization/dsp_aware_pruning/objectives/vivado_objectives.py)."""

DSP_OPERAND_BITS = (25, 18)
"""One DSP48E1 multiplies so many bits by so many (Fahim et al., arXiv 2103.05579, section 4.1)."""

LUTS_PER_PRODUCT_BIT = 1.2
"""LUTs of a multiplier of two variables over the product of its widths: 365 to 401, by Vivado's option, and 411 by
Vivado HLS for 18 x 18 bits (github.com/fastmachinelearning/hls4ml, issue 99)."""

LUTS_PER_SELECTED_INPUT = 1 / 4
"""A 6-input LUT selects one of four (UG574)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Datapath:
    """The arithmetic of a layer. `adder_bits`: one-bit adders if no product took a DSP; `sum_bits`: those of the sums
    alone; `multiplier_luts`: of multipliers whose both operands change; `dsps`; `levels`: adders behind one another;
    `nonzero`: products with a weight that is not zero."""

    adder_bits: float
    sum_bits: float
    multiplier_luts: float
    dsps: int
    levels: int
    nonzero: int


def sum_width(activation_bits: int, weight_bits: int, terms: int) -> int:
    """Bits of a sum of `terms` products that never overflows."""
    return activation_bits + weight_bits + ceil(log2(max(1, terms)))


def signed_digits(integers: npt.NDArray[Any]) -> Integers:
    """How many digits of each integer are not zero in canonical signed digits: those of q xor 3q."""
    magnitude = np.abs(np.asarray(integers, np.int64))
    return np.asarray(np.bitwise_count(magnitude ^ (3 * magnitude)), np.int64)


def significant_bits(integers: npt.NDArray[Any]) -> Integers:
    """Bits of each integer with its sign and without the zeros at its end; 0 for zero."""
    magnitude = np.abs(np.asarray(integers, np.int64))
    odd = magnitude // np.maximum(magnitude & -magnitude, 1)
    return np.where(odd > 0, np.floor(np.log2(np.maximum(odd, 1))).astype(np.int64) + 2, 0)


def unrolled(
    weights: npt.NDArray[Any],
    *,
    activation_bits: int,
    weight_bits: int,
    dsp_bits: int,
    accumulator_bits: int | None = None,
) -> Datapath:
    """Every product of `weights` (outputs, terms), integers, in hardware of its own.

    A constant of at least `dsp_bits` significant bits takes a DSP if both operands are declared wide enough. Sums are
    balanced trees, of the bits they need or of `accumulator_bits`.
    """
    digits, bits = signed_digits(weights), significant_bits(weights)
    width = sum_width(activation_bits, weight_bits, weights.shape[1] + 1) if accumulator_bits is None else 0
    limit = width or int(accumulator_bits or 0)
    multiplied = np.maximum(digits - 1, 0) * (activation_bits + np.maximum(bits, 1))
    terms = np.count_nonzero(digits, axis=1)
    first = min(limit, activation_bits + weight_bits)
    sums = sum(_tree_bits(int(count) + 1, first, limit) for count in terms)
    wide = min(activation_bits, weight_bits) >= NARROWEST_DSP_OPERAND_BITS
    deepest = int(digits.max(initial=1))
    return Datapath(
        adder_bits=float(multiplied.sum() + sums),
        sum_bits=float(sums),
        multiplier_luts=0.0,
        dsps=int((bits >= dsp_bits).sum()) * _dsps_of_one(activation_bits, weight_bits) if wide else 0,
        levels=ceil(log2(max(1, deepest))) + ceil(log2(int(terms.max(initial=0)) + 1)),
        nonzero=int(terms.sum()),
    )


def reused(outputs: int, terms: int, *, activation_bits: int, weight_bits: int, reuse: int, nonzero: int) -> Datapath:
    """Multipliers that each compute `reuse` of a layer's products, one after another, with weights out of a memory.

    hls4ml's nnet_dense_resource.h: ceil(n_in n_out / reuse) multipliers, each choosing among its inputs, and an
    accumulator an output.
    """
    multipliers = -(-outputs * terms // reuse)
    width = sum_width(activation_bits, weight_bits, terms + 1)
    wide = min(activation_bits, weight_bits) >= NARROWEST_DSP_OPERAND_BITS
    products = 0.0 if wide else multipliers * LUTS_PER_PRODUCT_BIT * activation_bits * weight_bits
    selection = multipliers * activation_bits * min(reuse, terms) * LUTS_PER_SELECTED_INPUT
    at_once = max(1, multipliers // outputs)
    sums = float(outputs * _tree_bits(at_once + 1, activation_bits + weight_bits, width))
    return Datapath(
        adder_bits=sums,
        sum_bits=sums,
        multiplier_luts=products + selection,
        dsps=multipliers * _dsps_of_one(activation_bits, weight_bits) if wide else 0,
        levels=ceil(log2(max(2, weight_bits))) + ceil(log2(at_once + 1)),
        nonzero=nonzero,
    )


def _tree_bits(terms: int, width: int, limit: int) -> int:
    """One-bit adders of a balanced tree over `terms` numbers of `width` bits, no sum wider than `limit`."""
    total = 0
    while terms > 1:
        width = min(width + 1, limit)
        total += terms // 2 * width
        terms -= terms // 2
    return total


def _dsps_of_one(activation_bits: int, weight_bits: int) -> int:
    wide, narrow = sorted((activation_bits, weight_bits), reverse=True)
    return -(-wide // DSP_OPERAND_BITS[0]) * -(-narrow // DSP_OPERAND_BITS[1])
