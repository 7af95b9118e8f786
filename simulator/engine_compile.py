"""How the engine's functions are compiled: cached, and without reference counting.

The engine's functions pass a few arrays down and never create or keep one. Numba would still count references around
every call, and those atomic operations cost half of the run; `_nrt=False` leaves them out.
"""

from __future__ import annotations

from numba import njit

compiled = njit(cache=True, _nrt=False, nogil=True, error_model="numpy")
inlined = njit(cache=True, _nrt=False, inline="always", error_model="numpy")


@inlined
def bits(word, high, low):  # type: ignore[no-untyped-def]
    """Bits high:low of a 64-bit pattern held as int64; high - low < 63."""
    return (word >> low) & ((1 << (high - low + 1)) - 1)


@inlined
def least(one, other):  # type: ignore[no-untyped-def]
    """The smaller of two: numba's own min is a call, and takes as long as what surrounds it."""
    return one if one < other else other


@inlined
def most(one, other):  # type: ignore[no-untyped-def]
    """The greater of two."""
    return one if one > other else other
