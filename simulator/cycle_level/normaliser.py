"""Timing of Gemmini's normaliser between the accumulator's banks and the scale pipeline (Normalizer.scala at 8c3f992).

A block of a row passes the lanes in a cycle for every `lanes` elements; statistics follow `latency` cycles later. Each
of two sets of statistics holds one block at a time. What finishes a row's statistics keeps its set, and for a while
the entrance: the mean divides, the inverse deviation divides, takes a square root, inverts and scales, the inverse sum
divides and scales, each by a unit of its own that works on one number at a time. Numbers are taken as normal: a
dividend of zero would be quicker, and no values are known here.

The measured machine has no normaliser: none of this is checked against the RTL.
"""

from __future__ import annotations

from simulator.cycle_level.compile import bits, compiled, inlined, most
from simulator.cycle_level.state import (
    NEVER,
    NORMALISER,
    NU_DIVIDER,
    NU_ENTRANCE,
    NU_FREE,
    NU_INVERTER,
    NU_LANES_FIRED,
    NU_MAX_FIRED,
    NU_ROOT,
    NU_ROWS,
    NU_SET,
    NU_SUM_DIVIDER,
    P_NORM_LANES,
    P_NORM_LATENCY,
)

RESET, SUM, MEAN, VARIANCE, INV_STDDEV, MAX, SUM_EXP, INV_SUM_EXP = range(8)
"""NormCmd.scala."""
DIVIDE_CYCLES = (32 + 2) // 2 + 1
"""Integer division (Arithmetic.scala): DivSqrtRecFN_small of hardfloat, two bits a cycle, on the accumulator's 32."""
INVERT_CYCLES = (24 + 2) // 2 + 1
"""fp32 division by the same unit, on 24 bits of significand."""
ROOT_CYCLES = 32 // 2 + 1
"""IntSqrt: one of the root's 16 bits a cycle, then it offers the result."""
SCALE_CYCLES = 2
"""MulPipe: fp32 multiplication by config_st's scale."""


@compiled
def configure_normaliser(m, rs1):  # type: ignore[no-untyped-def]
    """config_norm: the set of statistics that the mvouts behind it use."""
    m[NORMALISER + NU_SET] = bits(rs1, 15, 8)


@inlined
def passage(m, local, columns, last):  # type: ignore[no-untyped-def]
    """What a block of `columns` asks of the normaliser, as one word: command, set, and cycles in the lanes.

    A block that is not its row's last only gathers (NormCmd.non_reset_version).
    """
    command = bits(local, 28, 26) if (local >> 31) & 1 and m[P_NORM_LANES] else RESET
    if not last and (command == MEAN or command == INV_STDDEV or command == INV_SUM_EXP):  # noqa: SIM109
        command -= 1
    groups = (columns + m[P_NORM_LANES] - 1) // m[P_NORM_LANES] if m[P_NORM_LANES] else 0
    return command | (m[NORMALISER + NU_SET] & 1) << 3 | groups << 4


@inlined
def is_stored(word):  # type: ignore[no-untyped-def]
    """Whether the block goes on to the scale pipeline and to memory."""
    return word & 7 == RESET


@compiled
def enter(m, word, earliest):  # type: ignore[no-untyped-def]
    """Cycle, from `earliest` on, in which the block enters; NEVER while its set holds one that has not left."""
    n, kept, command, groups = NORMALISER, NORMALISER + NU_FREE + ((word >> 3) & 1), word & 7, word >> 4
    time = most(earliest, most(m[kept], m[n + NU_ENTRANCE]))
    if time >= NEVER:
        return NEVER
    if command == RESET:
        m[kept] = NEVER
        return time
    m[n + NU_ROWS] += 1
    if command == MAX:
        m[kept] = most(time, m[n + NU_MAX_FIRED]) + groups
        m[n + NU_MAX_FIRED], m[n + NU_ENTRANCE] = m[kept], m[kept] + 1
        return time
    # The lanes start when the maximum's have run empty, and what finishes the statistics when they have.
    free = most(m[n + NU_LANES_FIRED], m[n + NU_MAX_FIRED] + m[P_NORM_LATENCY])
    fired = most(time, free) + groups
    m[n + NU_LANES_FIRED], m[kept] = fired, fired
    drained = fired + m[P_NORM_LATENCY] + 1
    if command == MEAN or command == INV_STDDEV:  # noqa: SIM109
        m[kept] = _mean(m, drained)
        if command == INV_STDDEV:
            m[kept] = _inverse_deviation(m, m[kept])
    elif command == INV_SUM_EXP:
        m[n + NU_ENTRANCE] = fired + 1
        m[n + NU_SUM_DIVIDER] = most(drained, m[n + NU_SUM_DIVIDER]) + INVERT_CYCLES
        m[kept] = m[n + NU_SUM_DIVIDER] + 1 + SCALE_CYCLES
    return time


@compiled
def _mean(m, drained):  # type: ignore[no-untyped-def]
    """Cycle in which the quotient of sum and count is there; nothing enters before the divider has taken the sum."""
    divided = most(drained, m[NORMALISER + NU_DIVIDER])
    m[NORMALISER + NU_ENTRANCE] = divided + 1
    m[NORMALISER + NU_DIVIDER] = divided + DIVIDE_CYCLES
    return divided + DIVIDE_CYCLES


@compiled
def _inverse_deviation(m, variance):  # type: ignore[no-untyped-def]
    """Cycle in which the scaled inverse deviation is there, from that of the variance on."""
    rooted = most(variance + 1, m[NORMALISER + NU_ROOT]) + ROOT_CYCLES
    m[NORMALISER + NU_ROOT] = rooted + 1
    inverse = most(rooted + 1, m[NORMALISER + NU_INVERTER]) + INVERT_CYCLES
    m[NORMALISER + NU_INVERTER] = inverse
    return inverse + 1 + SCALE_CYCLES


@inlined
def leave(m, word, time):  # type: ignore[no-untyped-def]
    """The stored block passes into the scale pipeline in cycle `time`; its set may take the next in the same one."""
    m[NORMALISER + NU_FREE + ((word >> 3) & 1)] = time
