"""Which constituents of a jet survive grooming: the modified mass drop, which is soft drop with beta = 0.

Dasgupta, Fregoso, Marzani and Salam, arXiv 1307.0007; Larkoski, Marzani, Soyez and Thaler, arXiv 1402.2657: cluster
the jet again with Cambridge/Aachen (Dokshitzer et al., hep-ph/9707323; Wobisch and Wengler, hep-ph/9907280), then undo
its last step, and follow the harder branch, until the softer one has more than a share of both.
"""

from __future__ import annotations

from math import atan2, hypot, log, pi
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[Any]


@njit(cache=True)  # type: ignore[untyped-decorator]
def direction(momentum: Array) -> tuple[float, float]:
    """Rapidity and azimuth of (px, py, pz, energy)."""
    px, py, pz, energy = momentum
    squared = px * px + py * py
    mass_squared = max(0.0, energy * energy - squared - pz * pz)
    # ln((E + |pz|) / m_T): E - |pz| would lose its digits forward.
    rapidity = log((energy + abs(pz)) / (squared + mass_squared) ** 0.5)
    return (rapidity if pz >= 0 else -rapidity), atan2(py, px)


@njit(cache=True)  # type: ignore[untyped-decorator]
def directions(momenta: Array) -> Array:
    """Rapidities and azimuths (n, 2) of (n, 4)."""
    found = np.empty((len(momenta), 2))
    for index in range(len(momenta)):
        found[index] = direction(momenta[index])
    return found


@njit(cache=True)  # type: ignore[untyped-decorator]
def distance_squared(rapidity: float, azimuth: float, other_rapidity: float, other_azimuth: float) -> float:
    """(difference of rapidities)^2 + (difference of azimuths)^2, the latter within pi."""
    turn = abs(azimuth - other_azimuth) % (2 * pi)
    turn = min(turn, 2 * pi - turn)
    return (rapidity - other_rapidity) ** 2 + turn * turn


@njit(cache=True)  # type: ignore[untyped-decorator]
def clustered(momenta: Array) -> tuple[Array, Array]:
    """Cambridge/Aachen over all of (n, 4): momenta (2n - 1, 4) of particles and then of pairs in the order in which
    they were joined, and (2n - 1, 2) which two nodes make each pair, -1 for particles."""
    count = len(momenta)
    nodes = np.zeros((2 * count - 1, 4))
    nodes[:count] = momenta
    branches = np.full((2 * count - 1, 2), -1)
    where = np.zeros((2 * count - 1, 2))
    where[:count] = directions(momenta)
    live = np.arange(count)
    distances = np.full((count, count), np.inf)
    for i in range(count):
        for j in range(i):
            distances[i, j] = distance_squared(where[i, 0], where[i, 1], where[j, 0], where[j, 1])
    for made in range(count, 2 * count - 1):
        left = 2 * count - made
        first, second = 1, 0
        for i in range(left):
            for j in range(i):
                if distances[i, j] < distances[first, second]:
                    first, second = i, j
        branches[made] = live[first], live[second]
        nodes[made] = nodes[live[first]] + nodes[live[second]]
        where[made] = direction(nodes[made])
        # The pair takes the second's place and the last one the first's.
        last = left - 1
        live[second], live[first] = made, live[last]
        for j in range(last):
            if j != first:
                distances[max(first, j), min(first, j)] = distances[last, j]
        for j in range(last):
            if j != second:
                apart = distance_squared(where[made, 0], where[made, 1], where[live[j], 0], where[live[j], 1])
                distances[max(second, j), min(second, j)] = apart
    return nodes, branches


@njit(cache=True)  # type: ignore[untyped-decorator]
def groomed(momenta: Array, share: float) -> Array:
    """Which particles of (n, 4) stay, bool (n,): those of the first node whose softer branch has more than `share` of
    the transverse momenta of both, or the last particle where there is none."""
    nodes, branches = clustered(momenta)
    node = len(nodes) - 1
    while branches[node, 0] >= 0:
        one, other = branches[node]
        pt, other_pt = hypot(nodes[one, 0], nodes[one, 1]), hypot(nodes[other, 0], nodes[other, 1])
        if min(pt, other_pt) > share * (pt + other_pt):
            break
        node = one if pt > other_pt else other
    kept = np.zeros(len(nodes), np.bool_)
    kept[node] = True
    for pair in range(node, len(momenta) - 1, -1):
        if kept[pair]:
            kept[branches[pair, 0]] = kept[branches[pair, 1]] = True
    return kept[: len(momenta)]
