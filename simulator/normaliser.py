"""The arithmetic of Gemmini's normaliser: I-BERT's integer GELU, softmax and LayerNorm, bit by bit, and no timing.

Kim et al., I-BERT (arXiv 2101.01321), sections 3.4 to 3.6 and Algorithms 1 to 4, as Normalizer.scala and
AccumulatorScale.scala (ucb-bar/gemmini at 8c3f992) and the constants of gemmini.h (gemmini-rocc-tests at 180c468) make
them: 32-bit integers that wrap, statistics in integers, and one fp32 factor a row, round half to even. On whole tensors
`model_ir.ops.integer_arithmetic` defines the same functions, and their constants.

One thing departs from that RTL on purpose: at 8c3f992 the body of `iexp` in AccumulatorScale.scala is a copy of
`igelu`, with the exponential standing above it as a comment. The commented one, which is also what the C library
computes, is what `i_exp` is.

The unit keeps two sets of statistics. An mvout's local address carries, in bits 28:26, what a row does to the set that
config_norm chose: nothing (RESET: the row leaves through the activation, then the set starts anew), SUM or MEAN,
VARIANCE or INV_STDDEV, MAX, SUM_EXP or INV_SUM_EXP. The second of a pair finishes what the first gathers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from model_ir.ops.integer_arithmetic import EXP_SHIFT_LIMIT, SOFTMAX_ONE
from simulator.compile_cache import drop_stale_indexes

drop_stale_indexes()

RESET, SUM, MEAN, VARIANCE, INV_STDDEV, MAX, SUM_EXP, INV_SUM_EXP = range(8)
"""NormCmd.scala."""
NO_ACTIVATION, RELU, LAYERNORM, IGELU, SOFTMAX = range(5)
"""Activation.scala."""
STATISTICS_SETS = 2
S_SUM, S_COUNT, S_RUNNING_MAX, S_MAX, S_MEAN, STATISTICS_SIZE = range(6)
F_INV_STDDEV, F_INV_SUM_EXP, FACTORS_SIZE = range(3)
LEAST = -(1 << 31)


@njit(cache=True, inline="always")
def wrapped(value, width):  # type: ignore[no-untyped-def]
    """The low `width` bits of an int64 as a two's-complement number."""
    half = np.int64(1) << (width - 1)
    return ((value + half) & ((half << 1) - 1)) - half


@njit(cache=True, nogil=True)
def i_gelu(q, qb, qc):  # type: ignore[no-untyped-def]
    """I-BERT Algorithm 2 on int32 numbers held in int64: q (sgn(q) ((min(|q|, -qb) + qb)^2 + qc) + qc), wrapping.

    The result's scale is S * S_erf / 2, negative; see `gelu_constants` (AccumulatorScale.scala, igelu).
    """
    sign = np.int64(-1) if q < 0 else np.int64(1)
    clipped = min(wrapped(sign * q, 32), wrapped(-qb, 32))
    shifted = wrapped(clipped + qb, 32)
    erf = wrapped(sign * wrapped(wrapped(shifted * shifted, 32) + qc, 32), 32)
    return wrapped(q * wrapped(erf + qc, 32), 32)


@njit(cache=True, nogil=True)
def i_exp(q, qln2, qln2_inv, qb, qc):  # type: ignore[no-untyped-def]
    """I-BERT Algorithm 3 on q <= 0, int32 numbers held in int64: ((p + qb)^2 + qc) >> z with q = p - z qln2.

    z = floor(-q / qln2) comes by a multiplication with `qln2_inv` = 2^16 / qln2, and above 31 shifts everything out
    (AccumulatorScale.scala, iexp as it is commented there).
    """
    z = wrapped((-q * qln2_inv) >> 16, 32)
    shift = z if 0 <= z < EXP_SHIFT_LIMIT else np.int64(EXP_SHIFT_LIMIT)
    p = wrapped(wrapped(q + z * qln2, 32) + qb, 32)
    return wrapped((wrapped(p * p + qc, 32) & 0xFFFFFFFF) >> shift, 32)


@njit(cache=True, nogil=True)
def i_sqrt(n):  # type: ignore[no-untyped-def]
    """Floor of the square root of the 32 bits of `n`, read without sign (Normalizer.scala, IntSqrt; what I-BERT's
    Algorithm 4 converges to)."""
    rest, root = n & 0xFFFFFFFF, np.int64(0)
    bit = np.int64(1) << 30
    while bit:
        if rest >= root + bit:
            rest -= root + bit
            root = (root >> 1) + bit
        else:
            root >>= 1
        bit >>= 2
    return root


@njit(cache=True, nogil=True)
def _quotient(total, count):  # type: ignore[no-untyped-def]
    """total / count towards zero (Arithmetic.scala, divider: round_minMag)."""
    return total // count if total >= 0 else -(-total // count)


@njit(cache=True, error_model="numpy")
def gather(statistics, factors, command, last_block, row, constants, scale):  # type: ignore[no-untyped-def]
    """One block of a row, int32 (n <= DIM,), passes the set of statistics under normaliser `command`.

    `statistics` int64 (STATISTICS_SIZE,) and `factors` float32 (FACTORS_SIZE,) are the set and are brought up to date;
    on a block that is not its row's last, a finishing command only gathers (NormCmd.non_reset_version). `constants` is
    (qb, qc, qln2, qln2_inv), `scale` the fp32 of config_st, which goes into the factors.
    """
    qb, qc, qln2, qln2_inv = constants
    statistics[S_COUNT] = (statistics[S_COUNT] + row.size) & 0xFFFF
    for element in row:
        value = np.int64(element)
        if command == MAX:
            statistics[S_RUNNING_MAX] = max(statistics[S_RUNNING_MAX], value)
        elif command in (VARIANCE, INV_STDDEV):
            error = wrapped(value - statistics[S_MEAN], 32)
            statistics[S_SUM] = wrapped(statistics[S_SUM] + wrapped(error * error, 32), 32)
        elif command in (SUM_EXP, INV_SUM_EXP):
            exponential = i_exp(wrapped(value - statistics[S_MAX], 32), qln2, qln2_inv, qb, qc)
            statistics[S_SUM] = wrapped(statistics[S_SUM] + exponential, 32)
        else:
            statistics[S_SUM] = wrapped(statistics[S_SUM] + value, 32)
    if command == MAX:
        statistics[S_MAX] = statistics[S_RUNNING_MAX]
    if not last_block or command not in (MEAN, INV_STDDEV, INV_SUM_EXP):
        return
    if command == INV_SUM_EXP:
        factors[F_INV_SUM_EXP] = np.float32(SOFTMAX_ONE) / np.float32(statistics[S_SUM]) * scale
        return
    quotient = _quotient(statistics[S_SUM], statistics[S_COUNT])
    if command == MEAN:
        statistics[S_MEAN] = quotient
    else:
        factors[F_INV_STDDEV] = np.float32(1.0) / np.float32(max(i_sqrt(quotient), 1)) * scale
    restart(statistics)


@njit(cache=True, nogil=True)
def restart(statistics):  # type: ignore[no-untyped-def]
    """What is running in a set of statistics starts anew; maximum, mean and factors stay."""
    statistics[S_SUM], statistics[S_COUNT], statistics[S_RUNNING_MAX] = 0, 0, LEAST


@njit(cache=True, nogil=True)
def activated(value, activation, statistics, constants):  # type: ignore[no-untyped-def]
    """An accumulator element through config_st's activation, before scaling (AccumulatorScale.scala, e_act)."""
    qb, qc, qln2, qln2_inv = constants
    if activation == RELU:
        return max(value, np.int64(0))
    if activation == LAYERNORM:
        return wrapped(value - statistics[S_MEAN], 32)
    if activation == IGELU:
        return i_gelu(value, qb, qc)
    if activation == SOFTMAX:
        return i_exp(wrapped(value - statistics[S_MAX], 32), qln2, qln2_inv, qb, qc)
    return value


@njit(cache=True, nogil=True)
def factor(activation, factors, scale):  # type: ignore[no-untyped-def]
    """The fp32 an activated element is multiplied with (AccumulatorScale.scala, e_scaled)."""
    if activation == LAYERNORM:
        return factors[F_INV_STDDEV]
    if activation == SOFTMAX:
        return factors[F_INV_SUM_EXP]
    return scale


def new_statistics() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Statistics (sets, STATISTICS_SIZE) and factors (sets, FACTORS_SIZE) as after reset."""
    statistics = np.zeros((STATISTICS_SETS, STATISTICS_SIZE), np.int64)
    statistics[:, S_RUNNING_MAX] = statistics[:, S_MAX] = LEAST
    return statistics, np.zeros((STATISTICS_SETS, FACTORS_SIZE), np.float32)
