"""How the engine's functions are compiled: cached, and without reference counting.

The engine's functions pass a few arrays down and never create or keep one. Numba would still count references around
every call, and those atomic operations cost half of the run; `_nrt=False` leaves them out.
"""

from __future__ import annotations

from numba import njit

from simulator import command_check

compiled = njit(cache=True, _nrt=False, nogil=True, error_model="numpy")
inlined = njit(cache=True, _nrt=False, inline="always", error_model="numpy")
bits = inlined(command_check.bits.py_func)


@inlined
def least(one, other):  # type: ignore[no-untyped-def]
    """The smaller of two: numba's own min is a call, and takes as long as what surrounds it."""
    return one if one < other else other


@inlined
def most(one, other):  # type: ignore[no-untyped-def]
    """The greater of two."""
    return one if one > other else other
