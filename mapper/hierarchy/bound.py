"""What no mapping of a nest onto a hierarchy can go below, in closed form: compulsory traffic and peak arithmetic."""

from __future__ import annotations

from math import prod

from mapper.solve import Objective
from simulator.hierarchy.cost import port_cycles
from simulator.hierarchy.counts import elements
from simulator.hierarchy.description import ROLES, Hierarchy, SpatialAxis
from simulator.hierarchy.nest import TensorNest


def lower_bound(nest: TensorNest, hierarchy: Hierarchy, objective: Objective) -> float:
    """Cycles, bytes of the outermost level, picojoules, or picojoules times cycles.

    Roofline (Williams et al., CACM 2009): every element crosses the outermost port once; every multiplier that the
    loops' kinds and sizes let work does one multiply-accumulate a cycle. Energy: those crossings and the arithmetic.
    """
    read_bytes, write_bytes = compulsory_bytes(nest, hierarchy)
    cycles = max(
        nest.macs / busy_multipliers(nest, hierarchy), port_cycles(hierarchy.levels[0], read_bytes, write_bytes)
    )
    dram = hierarchy.levels[0]
    energy = nest.macs * hierarchy.mac_pj + read_bytes * dram.read_pj_per_byte + write_bytes * dram.write_pj_per_byte
    if objective == "latency":
        return cycles
    if objective == "traffic":
        return read_bytes + write_bytes
    return energy if objective == "energy" else energy * cycles


def compulsory_bytes(nest: TensorNest, hierarchy: Hierarchy) -> tuple[int, int]:
    """Bytes read from and written to the outermost level if every element crosses once."""
    words = hierarchy.word_bits
    counts = {role: elements(nest, nest.operand(role), {name: () for name, _ in nest.dims}) for role in ROLES}
    read_bits = (
        counts["inputs"] * words.inputs + counts["weights"] * words.weights + nest.bias_elements * words.partial_sums
    )
    return -(-read_bits // 8), -(-counts["outputs"] * words.outputs // 8)


def busy_multipliers(nest: TensorNest, hierarchy: Hierarchy) -> int:
    """Multipliers that can have work at once: along each axis no more than its loops have positions."""
    return prod(min(axis.size, _positions(nest, axis)) for level in hierarchy.levels for axis in level.fanout)


def _positions(nest: TensorNest, axis: SpatialAxis) -> int:
    return prod(size for (_, size), kind in zip(nest.dims, nest.kinds, strict=True) if kind in axis.dims)
