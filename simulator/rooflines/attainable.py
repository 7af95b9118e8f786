"""What a machine attains: the time of an operator is that of its slowest part, compute or one boundary of the memory.

Roofline (Williams, Waterman, Patterson, CACM 2009), one roof for every boundary (Ilic et al., Cache-aware Roofline
model, IEEE CAL 2014).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.rooflines.formats import Number
from simulator.rooflines.machine import Machine, bandwidth_of, peak_of
from simulator.rooflines.traffic import Traffic, compulsory, tiled
from simulator.rooflines.work import Work, ratio


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Attained:
    """Times of one operator, or of many (arrays). `traffic` and `boundary_seconds` go from the outermost boundary in;
    `bound` is 0 where compute is slowest, otherwise 1 + the boundary's place."""

    flops: Number
    traffic: tuple[Traffic, ...]
    compute_seconds: Number
    boundary_seconds: tuple[Number, ...]
    seconds: Number
    bound: Number

    @property
    def flops_per_second(self) -> Number:
        """Attainable performance; 0 where nothing is computed or no time passes."""
        return ratio(self.flops, self.seconds)


def attained(work: Work, machine: Machine, number_format: str, *, ideal: bool = False) -> Attained:
    """Time of `work` with the matrix unit in `number_format`: the longest of compute and of each boundary's bytes over
    its bandwidth. `ideal`: every boundary carries compulsory traffic only, as if each memory held everything.

    Raises InputError for a format that the machine has no peak for.
    """
    traffic = tuple(compulsory(work) if ideal else tiled(work, level) for level in machine.boundaries)
    compute = compute_seconds(work, machine, number_format)
    boundary = tuple(
        boundary_seconds(moved, bandwidth_of(level), duplex=level.duplex)
        for moved, level in zip(traffic, machine.boundaries, strict=True)
    )
    seconds, bound = compute, np.zeros(np.shape(compute), int)
    for place, each in enumerate(boundary):
        bound = np.where(np.asarray(each) > seconds, place + 1, bound)
        seconds = np.maximum(seconds, each)
    return Attained(
        flops=work.flops,
        traffic=traffic,
        compute_seconds=compute,
        boundary_seconds=boundary,
        seconds=seconds,
        bound=bound,
    )


def boundary_seconds(traffic: Traffic, bytes_per_second: float, *, duplex: bool) -> Number:
    """Time of the bytes on a way of `bytes_per_second`, in each direction where it is duplex."""
    if duplex:
        return np.maximum(traffic.read_bytes, traffic.write_bytes) / bytes_per_second
    return traffic.bytes / bytes_per_second


def compute_seconds(work: Work, machine: Machine, number_format: str) -> Number:
    """Time of the operations alone: the matrix unit's peak for matmuls (depth and columns rounded up to the array's
    sides where it has one), the vector rate for the rest."""
    peak = peak_of(machine, number_format).operations_per_second
    operations = work.flops
    if machine.array is not None:
        padded_depth, padded_columns = (
            -(-np.asarray(size) // side) * side
            for size, side in ((work.depth, machine.array.rows), (work.columns, machine.array.columns))
        )
        operations = 2 * work.repeats * work.rows * padded_depth * padded_columns
    return np.where(work.is_matmul, operations / peak, _vector_seconds(work, machine))


def _vector_seconds(work: Work, machine: Machine) -> Any:
    rates = machine.vector.elements_per_second
    by_operations = work.flops / machine.vector.operations_per_second
    if isinstance(work.function, str):
        return work.elements / rates[work.function] if work.function in rates else by_operations
    seconds = np.asarray(by_operations, float)
    for function in np.unique(work.function):
        if str(function) in rates:
            seconds = np.where(work.function == function, work.elements / rates[str(function)], seconds)
    return seconds
