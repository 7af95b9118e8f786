"""Cost of a matmul or convolution together with what follows it in the accumulator, and with operands left on chip.

`simulator.analytical` costs a layer alone: operands come over the memory port, int8 results leave over it. Here a
residual may be added and rows normalised before they leave, and operands may rest on chip; with none of that the cost
is `analytical`'s.

Normalising (softmax over a row, LayerNorm over a row) needs the whole row of int32 sums in the accumulator before its
first output exists: statistics first, outputs in a last pass (I-BERT, Kim et al., arXiv 2101.01321, sections 3.5 and
3.6; Gemmini's sp_tiled_norm and its check "the full J dimension of the matrix must fit in the accumulator", gemmini.h
at 180c468). So a tile holds whole rows, and few of them: that is what the fusion costs (Kim et al., arXiv 2302.14017,
section 5.5.2). It hides the unit's passes behind the array's work on the next tile, which needs the accumulator's
second copy that `simulator.mapping.copies` counts, and it saves the way of the sums to memory and back.

All of it is analytical; the cycle engine does not check these figures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from model_ir.errors import InputError
from simulator.accelerator import Accelerator, VectorUnit
from simulator.analytical import (
    Stream,
    a_stream,
    analytical,
    b_stream,
    bias_stream,
    c_stream,
    copy_cycles,
    latency,
    ramps,
    read_cycles,
)
from simulator.array_nest import ArrayNest
from simulator.cost import Cost
from simulator.energy import energy_pj
from simulator.mapping import Mapping, buffers, ceil_div, copies, tile_counts
from simulator.tile_sums import row_beats, row_requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """What happens to the sums in the accumulator before they leave.

    `residual`: a tensor of the result's shape is added (loaded onto the sums, as sp_tiled_resadd does). `normalise`: a
    function of the vector unit over whole rows, "" for none; its own parameters are `parameter_bytes`, loaded once.
    """

    residual: bool = False
    normalise: str = ""
    parameter_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OnChip:
    """Tensors that do not cross the memory port: the input operand, the residual, the result."""

    a: bool = False
    residual: bool = False
    c: bool = False


NOTHING_FUSED = Tail()
NOTHING_KEPT = OnChip()


def fused_cost(
    nest: ArrayNest,
    mapping: Mapping,
    accelerator: Accelerator,
    *,
    tail: Tail = NOTHING_FUSED,
    on_chip: OnChip = NOTHING_KEPT,
    wide_result: bool = False,
) -> Cost:
    """Cost of `nest` under `mapping` with `tail` applied; with `wide_result` the result leaves as accumulator words.

    Array, both directions of the port and the vector unit overlap but for ramps and the last tile's normalisation.
    Raises InputError or InfeasibleError where the mapping is not legal, where rows are to be normalised and a tile does
    not hold whole ones, or where the machine has no unit for it.
    """
    if on_chip.a:
        mapping = replace(mapping, max_pixels_per_row=1)  # What rests on chip has no copies.
    base = analytical(nest, mapping, accelerator)
    loads = _loads(nest, mapping, accelerator, tail, on_chip)
    store = _store(nest, mapping, accelerator, on_chip, wide_result)
    unit, last = _unit_cycles(nest, mapping, accelerator, tail)
    ramp = ramps(nest, accelerator)
    ramp = replace(ramp, after_compute=ramp.after_compute + last)
    read = read_cycles(
        sum(load.beats for load in loads), sum(load.requests for load in loads), store.requests, accelerator
    )
    pixels = a_stream(nest, mapping, tile_counts(nest, mapping.tile), accelerator)
    read = max(read, copy_cycles(nest, mapping, pixels, accelerator))
    cycles = max(
        latency(int(base.compute_cycles), read, store.beats, ramp),
        ramp.before_store + unit + ramp.after_store if unit else 0,
    )
    return _with_traffic(nest, accelerator, base, cycles, read, loads, store, tail, on_chip)


def tile_rows(nest: ArrayNest, mapping: Mapping, accelerator: Accelerator, on_chip: OnChip) -> tuple[int, int]:
    """Scratchpad and accumulator rows that the layer itself takes: an input that rests on chip needs no buffer of its
    own, a result that stays is not counted here but by whoever keeps it."""
    needed = buffers(nest, replace(mapping, max_pixels_per_row=1) if on_chip.a else mapping, accelerator)
    scratchpad = needed.scratchpad_rows - on_chip.a * needed.a_rows * needed.a_copies
    return scratchpad, 0 if on_chip.c else needed.accumulator_rows


def unit_of(function: str, accelerator: Accelerator) -> VectorUnit:
    """The vector unit, which has `function`; raises InputError where it is missing."""
    unit = accelerator.vector_unit
    if unit is None or function not in unit.passes:
        raise InputError(f"accelerator {accelerator.name}.vector_unit", "has no such function", value=function)
    return unit


def _loads(
    nest: ArrayNest, mapping: Mapping, accelerator: Accelerator, tail: Tail, on_chip: OnChip
) -> tuple[Stream, ...]:
    counts = tile_counts(nest, mapping.tile)
    loads = [b_stream(nest, mapping, counts, accelerator), bias_stream(nest, mapping, accelerator)]  # the weights first
    if not on_chip.a:
        loads.append(a_stream(nest, mapping, counts, accelerator))
    if tail.residual and not on_chip.residual:
        loads.append(_residual_stream(nest, mapping, accelerator))
    if tail.parameter_bytes:
        bus, request = accelerator.dma.bus_bytes, accelerator.dma.request_bytes
        size = tail.parameter_bytes
        loads.append(Stream(beats=ceil_div(size, bus), requests=ceil_div(size, request), bytes=size))
    return tuple(loads)


def _residual_stream(nest: ArrayNest, mapping: Mapping, accelerator: Accelerator) -> Stream:
    """Every element of the residual once, as inputs, in rows of the tile's output channels."""
    rows, tile = nest.repeat_count * nest.pixels, mapping.tile.out_channels
    return Stream(
        beats=rows * row_beats(nest.out_channels, tile, accelerator),
        requests=rows * row_requests(nest.out_channels, tile, accelerator),
        bytes=rows * nest.out_channels * accelerator.input_bytes,
    )


def _store(nest: ArrayNest, mapping: Mapping, accelerator: Accelerator, on_chip: OnChip, wide_result: bool) -> Stream:
    """The way out: nothing where the result stays; else inputs, or accumulator words (acc_read_full_width)."""
    if on_chip.c:
        return Stream(beats=0, requests=0, bytes=0)
    if not wide_result:
        return c_stream(nest, mapping, accelerator)
    if not accelerator.accumulator.full_width_read:
        raise InputError(f"accelerator {accelerator.name}.accumulator", "cannot store accumulators at full width")
    wide = msgspec.structs.replace(accelerator.array, input_bits=accelerator.array.accumulator_bits)
    return c_stream(nest, mapping, msgspec.structs.replace(accelerator, array=wide))


def _unit_cycles(nest: ArrayNest, mapping: Mapping, accelerator: Accelerator, tail: Tail) -> tuple[int, int]:
    """The vector unit's cycles in all, and those that nothing hides: after the last tile's last sum, or, where the
    accumulator holds a single copy of a tile, after every tile's.

    Passes over the rows as in `simulator.vector_cost`; a row is a whole number of unit-wide vectors.
    """
    if not tail.normalise:
        return 0, 0
    unit = unit_of(tail.normalise, accelerator)
    tile = mapping.tile
    if tile.out_channels != nest.out_channels:
        raise InputError(
            "mapping.tile.out_channels",
            f"{tail.normalise} needs whole rows in the accumulator",
            value=tile.out_channels,
            limit=nest.out_channels,
        )
    row = unit.passes[tail.normalise] * ceil_div(nest.out_channels, unit.lanes)
    loops = (nest.images, tile.images), (nest.out_rows, tile.out_rows), (nest.out_columns, tile.out_columns)
    last = 1
    for size, part in loops:
        last *= size % part or part
    busy = nest.repeat_count * nest.pixels * row + unit.latency_cycles
    counts = tile_counts(nest, tile)
    alone = copies(nest, counts, mapping)[2] == 1
    return busy, busy if alone else last * row + unit.latency_cycles


def _with_traffic(
    nest: ArrayNest,
    accelerator: Accelerator,
    base: Cost,
    cycles: int,
    read: int,
    loads: tuple[Stream, ...],
    store: Stream,
    tail: Tail,
    on_chip: OnChip,
) -> Cost:
    """`base` with other traffic over the port, the unit's passes over the accumulator, and the energy of both."""
    outputs = nest.repeat_count * nest.pixels * nest.out_channels * accelerator.accumulator_bytes
    passes = unit_of(tail.normalise, accelerator).passes[tail.normalise] if tail.normalise else 0
    read_bytes = sum(load.bytes for load in loads)
    weights, *_ = loads
    scratchpad_write = weights.bytes if on_chip.a else base.scratchpad_write_bytes
    accumulator_read = base.accumulator_read_bytes + passes * outputs + tail.residual * outputs
    accumulator_write = base.accumulator_write_bytes + tail.residual * outputs
    return replace(
        base,
        cycles=float(cycles),
        read_cycles=float(read),
        write_cycles=float(store.beats),
        dram_read_bytes=read_bytes,
        dram_write_bytes=store.bytes,
        scratchpad_write_bytes=scratchpad_write,
        accumulator_read_bytes=accumulator_read,
        accumulator_write_bytes=accumulator_write,
        energy_pj=energy_pj(
            accelerator,
            macs=nest.macs,
            scratchpad_bytes=base.scratchpad_read_bytes + scratchpad_write,
            accumulator_bytes=accumulator_read + accumulator_write,
            dram_bytes=read_bytes + store.bytes,
        ),
    )
