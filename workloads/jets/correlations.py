"""Energy correlation functions of a jet's particles, compiled: sums over pairs and triples of momentum shares z and
distances theta, with angular exponent b.

    e2 = sum z_i z_j theta_ij^b
    3e3, 2e3, 1e3 = sum z_i z_j z_k (product of all three, of the two smaller, the smallest distance)^b

Larkoski, Salam and Thaler, arXiv 1305.0007; in these names Moult, Necib and Thaler, arXiv 1609.07483.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[Any]


@njit(cache=True)  # type: ignore[untyped-decorator]
def correlations(shares: Array, angles: Array) -> tuple[Array, Array]:
    """e2 (3,) with exponents 0, 1, 2; and 3e3, 2e3, 1e3 (3, 2) with exponents 1 and 2; of shares (n,) and distances
    (n, n)."""
    pairs, triples = np.zeros(3), np.zeros((3, 2))
    for i in range(len(shares)):
        for j in range(i):
            weight, a = shares[i] * shares[j], angles[i, j]
            pairs[0] += weight
            pairs[1] += weight * a
            pairs[2] += weight * a * a
            for k in range(j):
                b, c, product = angles[i, k], angles[j, k], weight * shares[k]
                smallest, largest = min(a, b, c), max(a, b, c)
                two = smallest * max(min(a, b), min(max(a, b), c))
                three = two * largest
                triples[0, 0] += product * three
                triples[0, 1] += product * three * three
                triples[1, 0] += product * two
                triples[1, 1] += product * two * two
                triples[2, 0] += product * smallest
                triples[2, 1] += product * smallest * smallest
    return pairs, triples
