"""The `Machine` that an `Accelerator` is: every number from its description, none stated twice."""

from __future__ import annotations

from math import inf

from simulator.accelerator import Accelerator
from simulator.rooflines.machine import Level, Machine, Peak, Vector


def machine_of(accelerator: Accelerator) -> Machine:
    """The roofs of a Gemmini: its array's peak, its memory port in each direction, its scratchpad; functions at the
    rate of the vector unit that has them, of the host otherwise, and a row a cycle of those that stores apply.

    The array reads DIM inputs and writes DIM results a cycle, which bounds the way out of the scratchpad; no level
    below it is described, since the array itself keeps only weights.
    """
    clock = accelerator.clock_hz
    number_format = "fp32" if accelerator.array.input_bits == 32 else f"int{accelerator.array.input_bits}"
    host = accelerator.host
    rates = {function: clock / cycles for function, cycles in host.cycles_per_element.items() if cycles > 0}
    if accelerator.vector_unit is not None:
        unit = accelerator.vector_unit
        rates |= {function: clock * unit.lanes / passes for function, passes in unit.passes.items()}
    on_the_way = (*accelerator.fused_activations, *accelerator.store_path_functions)
    rates |= dict.fromkeys(on_the_way, clock * accelerator.dim)
    return Machine(
        name=accelerator.name,
        description=accelerator.description,
        peaks=(
            Peak(
                format=number_format,
                operations_per_second=2 * accelerator.peak_macs_per_cycle * clock,
                source=f"{accelerator.name}.toml: rows x columns x 2 x clock",
            ),
        ),
        levels=(
            Level(name="DRAM", capacity_bytes=inf, source="unlimited: the description states none"),
            Level(
                name="scratchpad",
                capacity_bytes=float(accelerator.scratchpad.capacity_bytes + accelerator.accumulator.capacity_bytes),
                bandwidth_bytes_per_second=accelerator.memory_bytes_per_cycle * clock,
                duplex=True,
                source=f"{accelerator.name}.toml: bus bytes / cycles per beat, scratchpad and accumulator together",
            ),
        ),
        vector=Vector(
            operations_per_second=clock / host.default_cycles_per_element
            if host.default_cycles_per_element > 0
            else clock,
            elements_per_second=rates,
            source=f"{accelerator.name}.toml: vector unit, store path, host",
        ),
    )
