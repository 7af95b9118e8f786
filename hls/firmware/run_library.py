"""A program of its own: runs a compiled project's top function on rows of numbers, away from the process that asks."""

from __future__ import annotations

import ctypes
import sys

import numpy as np


def run(library: str, function: str, source: str, result: str, outputs: int) -> None:
    """Rows of float64 in the file `source` through `function`, each giving `outputs` numbers, to the file `result`."""
    rows = np.ascontiguousarray(np.load(source), dtype=np.float64)
    values = np.zeros((len(rows), outputs), dtype=np.float64)
    call = getattr(ctypes.CDLL(library), function)
    call.restype = None
    pointer = ctypes.POINTER(ctypes.c_double)
    for row, value in zip(rows, values, strict=True):
        call(row.ctypes.data_as(pointer), value.ctypes.data_as(pointer))
    np.save(result, values)


if __name__ == "__main__":
    library, function, source, result, outputs = sys.argv[1:]
    run(library, function, source, result, int(outputs))
