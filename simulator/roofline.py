"""Roofline: peak compute against compulsory traffic (Williams, Waterman, Patterson, CACM 2009). Below every other
cost model."""

from __future__ import annotations

from dataclasses import replace

from model_ir.loop_nest import Access, Dims, LoopNest, touched
from simulator.accelerator import Accelerator
from simulator.analytical import least_weight_blocks
from simulator.array_nest import ArrayNest
from simulator.cost import Cost
from simulator.energy import energy_pj
from simulator.mapping import ceil_div
from simulator.tile_sums import column_axis, row_axis, sum_of_touched


def roofline(nest: LoopNest, accelerator: Accelerator) -> Cost:
    """Cost of a machine that never stalls and moves every element that the nest touches exactly once, at the nest's
    precisions.

    cycles = max(MACs / peak MACs per cycle, cycles of the memory port). The port's two directions overlap: a cycle
    carries at most one read beat or one write acknowledgement in, and one write beat out.
    """
    read_bytes = sum(touched_bytes(access, nest.dims) for access in nest.reads)
    return _bound(nest.macs, read_bytes, touched_bytes(nest.write, nest.dims), accelerator)


def roofline_of_array_nest(nest: ArrayNest, accelerator: Accelerator) -> Cost:
    """As `roofline`, with the element types of the machine: inputs and outputs of `input_bits`, bias of
    `accumulator_bits`."""
    repeats = {"a": 1, "b": 1, "c": 1}
    for repeat in nest.repeats:
        for operand, stride in (("a", repeat.a_stride), ("b", repeat.b_stride), ("c", repeat.c_stride)):
            repeats[operand] *= repeat.count if stride else 1
    rows = sum_of_touched(row_axis(nest), nest.out_rows, nest.kernel_rows)
    columns = sum_of_touched(column_axis(nest), nest.out_columns, nest.kernel_columns)
    read_bytes = (
        repeats["a"] * nest.images * rows * columns * nest.in_channels * accelerator.input_bytes
        + repeats["b"] * nest.reduction * nest.out_channels * accelerator.input_bytes
        + nest.bias * nest.out_channels * accelerator.accumulator_bytes
    )
    write_bytes = repeats["c"] * nest.pixels * nest.out_channels * accelerator.input_bytes
    return _bound(nest.macs, read_bytes, write_bytes, accelerator)


def quantised_roofline(nest: ArrayNest, accelerator: Accelerator) -> Cost:
    """As `roofline_of_array_nest`, with the array's cycles quantised by its size: a row of DIM inputs a cycle for every
    DIM x DIM block of weights, kernel columns packed where the machine can. No mapping goes below it."""
    bound = roofline_of_array_nest(nest, accelerator)
    compute = float(least_weight_blocks(nest, accelerator) * nest.pixels)
    return replace(bound, compute_cycles=compute, cycles=max(compute, bound.cycles))


def touched_bytes(access: Access, dims: Dims) -> int:
    """Bytes of the elements of `access` that the loops `dims` reach inside the tensor.

    An access that says itself how much it touches is believed. Axes of different loops span a box. Axes that share a
    loop (a diagonal) reach at least as much as the widest alone, which keeps the bound a bound.
    """
    if access.touched_elements is not None or not access.indices:
        return access.touched_bytes
    loops = [loop for index in access.indices for loop, _ in index.terms]
    if len(loops) == len(set(loops)):
        elements = touched(access.shape, access.indices, dims)
    else:
        elements = max(
            touched((size,), (index,), dims) for size, index in zip(access.shape, access.indices, strict=True)
        )
    return ceil_div(elements * access.precision.bits, 8)


def _bound(macs: int, read_bytes: int, write_bytes: int, accelerator: Accelerator) -> Cost:
    dma, beat_cycles = accelerator.dma, accelerator.memory.cycles_per_beat
    acknowledgements = ceil_div(write_bytes, dma.request_bytes)
    compute_cycles = macs / accelerator.peak_macs_per_cycle
    read_cycles = float((ceil_div(read_bytes, dma.bus_bytes) + acknowledgements) * beat_cycles)
    write_cycles = float(ceil_div(write_bytes, dma.bus_bytes))
    return Cost(
        cycles=max(compute_cycles, read_cycles, write_cycles),
        compute_cycles=compute_cycles,
        read_cycles=read_cycles,
        write_cycles=write_cycles,
        macs=macs,
        dram_read_bytes=read_bytes,
        dram_write_bytes=write_bytes,
        scratchpad_read_bytes=0,
        scratchpad_write_bytes=0,
        accumulator_read_bytes=0,
        accumulator_write_bytes=0,
        energy_pj=energy_pj(
            accelerator, macs=macs, scratchpad_bytes=0, accumulator_bytes=0, dram_bytes=read_bytes + write_bytes
        ),
    )
