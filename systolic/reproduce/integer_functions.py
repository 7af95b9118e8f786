"""Errors of I-BERT's integer functions, as Gemmini's normaliser computes them (`simulator.normaliser`)."""

from __future__ import annotations

from math import erf, exp, log, sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from model_ir.ops.integer_arithmetic import gelu_constants
from simulator.normaliser import i_exp, i_gelu
from systolic.reproduce.published import Ours, PublishedTable

FloatArray = npt.NDArray[np.float64]
RANGE: Final = 4.0
GELU_SCALE: Final = sqrt(2) * 1.769 / 800.001
"""So fine that rounding the inputs does not show, and coarse enough that 32 bits hold every result on [-4, 4]; -b over
it is just above a whole number, to which the constants are cut off."""
EXP_POLYNOMIAL: Final = (0.35815147, 0.96963238, 1.0)
"""I-BERT's p^2, p and constant terms of exp on (-ln 2, 0] (arXiv 2101.01321, section 3.5, in the digits of its code).
gemmini.h rounds them to 0.3585 (p + 1.353)^2 + 0.344, whose error reaches 2.09e-3."""
EXP_SCALE: Final = EXP_POLYNOMIAL[1] / EXP_POLYNOMIAL[0] / 2 / 32000
"""As fine as 32 bits hold, with the polynomial's middle at a whole number."""


def i_bert(_: PublishedTable) -> Ours:
    """Largest and root mean square error of i-GELU on [-4, 4], largest of i-exp on (-ln 2, 0], against the float
    functions at every integer input."""
    gelu, exponential = _gelu_errors(), _exp_errors()
    return {
        ("i-GELU, largest on [-4, 4]", "error"): float(np.abs(gelu).max()),
        ("i-GELU, root mean square on [-4, 4]", "error"): float(np.sqrt(np.mean(gelu**2))),
        ("i-exp, largest", "error"): float(np.abs(exponential).max()),
    }


def _gelu_errors() -> FloatArray:
    constants, unit = gelu_constants(GELU_SCALE), GELU_SCALE * -0.2888 * GELU_SCALE**2 / 4
    most = int(RANGE / GELU_SCALE)
    return np.array(
        [
            unit * i_gelu(q, constants.qb, constants.qc) - q * GELU_SCALE * (1 + erf(q * GELU_SCALE / sqrt(2))) / 2
            for q in range(-most, most + 1)
        ]
    )


def _exp_errors() -> FloatArray:
    square, linear, constant = EXP_POLYNOMIAL
    unit, middle = square * EXP_SCALE**2, linear / square / 2
    qb, qc = round(middle / EXP_SCALE), round((constant / square - middle**2) / EXP_SCALE**2)
    qln2 = round(log(2) / EXP_SCALE)
    return np.array([unit * i_exp(-q, qln2, 65536 // qln2, qb, qc) - exp(-q * EXP_SCALE) for q in range(qln2)])
