"""How the engine's functions are compiled: cached, and without reference counting.

The engine's functions pass a few arrays down and never create or keep one. Numba would still count references around
every call, and those atomic operations cost half of the run; `_nrt=False` leaves them out.
"""

from __future__ import annotations

from numba import njit

compiled = njit(cache=True, _nrt=False, nogil=True, error_model="numpy")
inlined = njit(cache=True, _nrt=False, inline="always", error_model="numpy")
