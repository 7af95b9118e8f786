"""What triplicating bits costs, and how much damage is left: selective triple modular redundancy.

A triplicated bit is stored three times and a majority voter outvotes any one flip (Lyons and Vanderkulk, IBM J. Res.
Dev. 6, 1962; chosen bit by bit after a ranking: Weng et al., FKeras, doi 10.1145/3665334): two bits more of storage,
and a function of three inputs, which is one LUT.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model_ir.errors import InputError

Array = npt.NDArray[Any]

ADDED_BITS, VOTER_LUTS = 2, 1
"""For each triplicated bit."""

SHARES = (0.0, 0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
"""Shares of all bits that a curve shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionPoint:
    """With the worst `protected` bits triplicated: storage and voters that takes, the share of all damage that is left
    and the worst single flip among the others (nats)."""

    protected: int
    added_bits: int
    voter_luts: int
    remaining: float
    worst: float


def protection_curve(
    score: Array, damage: Array, protected: Sequence[int] | None = None
) -> tuple[ProtectionPoint, ...]:
    """Damage left when the highest `score` bits are triplicated, for each number of `protected` (default: `SHARES`).

    `damage` (sites,) is what a flip costs; a flip that helps counts as none, so more protection never leaves more.
    Equal scores are taken in the order of the sites. Raises InputError for numbers outside [0, sites].
    """
    count = len(damage)
    numbers = sorted({round(share * count) for share in SHARES}) if protected is None else list(protected)
    if any(not 0 <= number <= count for number in numbers):
        raise InputError("protected bits", "outside the bits there are", value=numbers, limit=f"0 to {count}")
    harm = np.maximum(damage, 0)[np.argsort(-score, kind="stable")]
    # From the least protected end, so that all of the damage is exactly all and the rest never negative.
    left = np.concatenate((np.cumsum(harm[::-1])[::-1], [0.0]))
    worst = np.concatenate((np.maximum.accumulate(harm[::-1])[::-1], [0.0]))
    total = left[0] or 1.0
    return tuple(
        ProtectionPoint(
            protected=number,
            added_bits=ADDED_BITS * number,
            voter_luts=VOTER_LUTS * number,
            remaining=float(left[number] / total),
            worst=float(worst[number]),
        )
        for number in numbers
    )
