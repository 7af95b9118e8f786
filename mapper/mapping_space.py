"""All choices under one kernel tile, and what no mapping of a nest goes below.

The choices are non-dominated in every number that the objective reads, so the set depends on the objective: energy
also reads how often weights and partial sums pass the array's ports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from mapper.mapping_plans import UNITS, Plan, Window, plans, wholes_of
from mapper.objective import EnergyQuanta, energy_quanta
from mapper.solve import Objective
from mapper.tile_options import Options, least_array_cycles, out_channel_options, pixel_options
from simulator.accelerator import Accelerator
from simulator.analytical import (
    bias_block,
    latency,
    least_reduction_blocks,
    least_weight_blocks,
    ramps,
    read_cycles,
    reduction_blocks,
    weight_blocks,
)
from simulator.array_nest import ArrayNest
from simulator.mapping import Copies, ceil_div, dataflows


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """All choices under one kernel tile that matter to an objective that reads `energy` or does not."""

    nest: ArrayNest
    accelerator: Accelerator
    kernel: tuple[int, int]
    energy: bool
    pixels: Options
    channels: Options
    plans: tuple[Plan, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """What no mapping of a nest goes below: cycles, bytes over the memory port, quanta of energy."""

    cycles: int
    bytes: int
    energy: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedEnergy:
    """What of a nest's energy no mapping changes, and what it pays per event that a mapping does change, in quanta.

    A mapping pays `fixed`, `per_loaded_element` for every element of A and B loaded, `per_copied_element` for every
    further copy of one, `per_weight_pass` for every time that all weights enter the array, `per_update` for every time
    that all outputs are updated, and `per_bias_block`.
    """

    fixed: int
    per_loaded_element: int
    per_copied_element: int
    per_weight_pass: int
    per_update: int
    per_bias_block: int


def reads_energy(objective: Objective) -> bool:
    """Whether `objective` depends on energy."""
    return objective in ("energy", "energy_delay_product")


def copies_for(objective: Objective) -> Copies:
    """Copies of every buffer: one where only bytes and events count. The model cannot tell what a single buffer costs
    in time, so objectives with latency in them keep two."""
    return 1 if objective in ("traffic", "energy") else 2


def spills_for(objective: Objective) -> bool:
    """Whether partial sums may leave the accumulator: only bytes over the memory port are saved by it."""
    return objective == "traffic"


def space_of(
    nest: ArrayNest,
    accelerator: Accelerator,
    kernel: tuple[int, int],
    objective: Objective,
    cycles_limit: int | None = None,
) -> Space:
    """The non-dominated choices of `nest` under `kernel` (kernel_rows, kernel_columns), without those of which the
    array alone takes more than `cycles_limit`."""
    array_limit = None
    if cycles_limit is not None:
        ramp = ramps(nest, accelerator)
        array_cycles = cycles_limit - ramp.before_compute - ramp.after_compute
        array_limit = array_cycles // least_weight_blocks(nest, accelerator, kernel[1])
    energy = reads_energy(objective)
    pixels = pixel_options(nest, accelerator, kernel, array_limit, every_dataflow=energy)
    copies, spills = copies_for(objective), spills_for(objective)
    possible = (
        plans(nest, accelerator, kernel, every_dataflow=energy, copies_at_most=copies, spills=spills)
        if len(pixels)
        else ()
    )
    return Space(
        nest=nest,
        accelerator=accelerator,
        kernel=kernel,
        energy=energy,
        pixels=pixels,
        channels=out_channel_options(nest, accelerator),
        plans=possible,
    )


def floor_of(nest: ArrayNest, accelerator: Accelerator) -> Floor:
    """Cycles of the best-filled array alone; compulsory bytes; compulsory bytes with every weight entering the array
    once and every output updated as seldom as a dataflow allows."""
    ramp = ramps(nest, accelerator)
    array = least_array_cycles(nest, accelerator)
    whole, everything = wholes_of(nest, accelerator), nest.reduction * nest.out_channels
    bias = bias_block(nest, accelerator).bytes * whole.pixels["output_blocks"]
    loads = whole.pixels["a_elements_panel"] * nest.in_channels + everything
    parts = fixed_energy(nest, accelerator)
    updates = 1 if "os" in dataflows(nest, accelerator) else least_reduction_blocks(nest, accelerator)
    return Floor(
        cycles=ramp.before_compute + least_weight_blocks(nest, accelerator) * array + ramp.after_compute,
        bytes=nest.repeat_count * ((loads + nest.pixels * nest.out_channels) * accelerator.input_bytes + bias),
        energy=parts.fixed
        + parts.per_loaded_element * nest.repeat_count * loads
        + parts.per_weight_pass
        + parts.per_update * updates
        + parts.per_bias_block * nest.repeat_count * whole.pixels["output_blocks"],
    )


def least_cycles(nest: ArrayNest, accelerator: Accelerator, floor: Floor, kernel_columns: int) -> int:
    """Cycles that no mapping with tiles of `kernel_columns` goes below: `floor`'s array cycles a block of weights, for
    the fewest blocks that such tiles can be packed into."""
    ramp, fewest = ramps(nest, accelerator), least_weight_blocks(nest, accelerator)
    array = (floor.cycles - ramp.before_compute - ramp.after_compute) // fewest
    return floor.cycles + (least_weight_blocks(nest, accelerator, kernel_columns) - fewest) * array


def fixed_energy(nest: ArrayNest, accelerator: Accelerator) -> FixedEnergy:
    """The parts of `simulator.analytical`'s energy."""
    quanta: EnergyQuanta = energy_quanta(accelerator)
    outputs = nest.repeat_count * nest.pixels * nest.out_channels
    fed_a = nest.repeat_count * nest.pixels * nest.reduction * ceil_div(nest.out_channels, accelerator.dim)
    weights = nest.repeat_count * nest.reduction * nest.out_channels
    update = 2 * quanta.accumulator_byte * outputs * accelerator.accumulator_bytes
    return FixedEnergy(
        fixed=quanta.mac * nest.macs
        + quanta.scratchpad_byte * fed_a * accelerator.input_bytes
        + nest.bias * update
        + quanta.dram_byte * outputs * accelerator.input_bytes,
        per_loaded_element=(quanta.dram_byte + quanta.scratchpad_byte) * accelerator.input_bytes,
        per_copied_element=quanta.scratchpad_byte * accelerator.input_bytes,
        per_weight_pass=quanta.scratchpad_byte * weights * accelerator.input_bytes,
        per_update=update,
        per_bias_block=quanta.dram_byte * bias_block(nest, accelerator).bytes,
    )


def ceiling_of(space: Space) -> Floor:
    """Cycles, bytes and quanta that no choice in `space` exceeds."""
    nest, accelerator, pixels, channels = space.nest, space.accelerator, space.pixels.columns, space.channels.columns
    most = {name: int(column.max()) for name, column in pixels.items()}
    widest = {name: int(column.max()) for name, column in channels.items()}
    loads = [0] * len(UNITS)
    for plan in space.plans:
        for index, unit in enumerate(UNITS):
            a = plan.a_traffic[index] * most[f"a_{unit}_{plan.a_window}"] * widest["tiles"]
            b = plan.b_traffic[index] * widest[f"b_{unit}"] * most["tiles"]
            loads[index] = max(loads[index], a + b + plan.fixed_traffic[index])
    beats, requests, elements = loads
    pixels_per_row = max((plan.mapping.max_pixels_per_row for plan in space.plans), default=1)
    bias, blocks = bias_block(nest, accelerator), nest.repeat_count * most["output_blocks"]
    stored_rows = nest.repeat_count * nest.pixels
    read = read_cycles(
        beats + bias.beats * blocks,
        requests + bias.requests * blocks,
        stored_rows * widest["acknowledgements"],
        accelerator,
    )
    read = max(read, ceil_div(elements, nest.in_channels) * pixels_per_row)
    os_blocks = max(most.get(f"os_blocks_{window}", 0) for window in get_args(Window))
    array = max(os_blocks * accelerator.dim, *(most[f"ws_cycles_{window}"] for window in get_args(Window)))
    compute = max(weight_blocks(nest, plan.mapping, accelerator) for plan in space.plans) * array
    write = stored_rows * widest["write_cycles"] + max((plan.spill_write_cycles for plan in space.plans), default=0)
    stored = stored_rows * nest.out_channels * accelerator.input_bytes
    parts = fixed_energy(nest, accelerator)
    passes = max(most["tiles"], os_blocks)
    blocks_of_sum = (reduction_blocks(nest, plan.mapping, accelerator.dim) for plan in space.plans)
    updates = max(*blocks_of_sum, *(plan.updates for plan in space.plans))
    return Floor(
        cycles=latency(compute, read, write, ramps(nest, accelerator)),
        bytes=elements * accelerator.input_bytes + bias.bytes * blocks + stored,
        energy=parts.fixed
        + (parts.per_loaded_element + (pixels_per_row - 1) * parts.per_copied_element) * elements
        + parts.per_weight_pass * passes
        + parts.per_update * updates
        + parts.per_bias_block * blocks,
    )
