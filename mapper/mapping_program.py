"""The integer program of a mapping space: its choices, what fits, and the goals as numbers.

Variables: one of the pixel tiles, one of the output-channel tiles, one of the plans, and integers for their numbers. A
product of two choices' numbers is bounded below once per output-channel tile, where that tile is chosen; whatever is
minimised presses from above, so inequalities suffice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from mapper.linear_program import Condition, Linear, LinearProgram, weighted_sum
from mapper.mapping_plans import UNITS, Plan, plan_of, wholes_of
from mapper.mapping_space import Space, ceiling_of, fixed_energy
from mapper.tile_options import numbers_of_tile, out_channel_numbers, unseen
from simulator.analytical import bias_block, ramps, reduction_blocks, weight_blocks
from simulator.mapping import Mapping, in_parts, tile_counts
from simulator.tile_sums import IntArray

Goal = Literal["cycles", "bytes", "energy"]

Traffic = tuple[Linear, Linear, Linear]
"""Beats, requests and elements of A and B."""


class MappingProgram:
    """`linear` is the program; `goals` are the numbers of it that may be minimised."""

    def __init__(self, space: Space, goals: Sequence[Goal]) -> None:
        self.space = space
        self.linear = LinearProgram()
        self._numbers: dict[bytes, Linear] = {}
        self._products: dict[tuple[str, str], Linear] = {}
        self.pixel = self.linear.one_of(len(space.pixels))
        self.channel = self.linear.one_of(len(space.channels))
        self.plan = self.linear.one_of(len(space.plans))
        ceiling = ceiling_of(space)
        self.goals: dict[Goal, Linear] = {goal: self.linear.number(0, getattr(ceiling, goal)) for goal in goals}
        self._link_cuts()
        self._fit_accumulator()
        self._fit_scratchpad()
        traffic = [self._traffic(plan) for plan in space.plans]
        for goal in goals:
            {"cycles": self._bound_cycles, "bytes": self._bound_bytes, "energy": self._bound_energy}[goal](traffic)

    def hints(self, mapping: Mapping) -> dict[int, int]:
        """The choices of a mapping at least as good as `mapping`; none where its kernel tile is not this space's."""
        nest, accelerator, space = self.space.nest, self.space.accelerator, self.space
        tile, flows = mapping.tile, space.energy
        if (tile.kernel_rows, tile.kernel_columns) != space.kernel:
            return {}
        counts = tile_counts(nest, tile)
        pixel = space.pixels.first_not_worse(numbers_of_tile(nest, accelerator, tile, every_dataflow=flows))
        channel = space.channels.first_not_worse(out_channel_numbers(nest, accelerator, tile.out_channels))
        cut = (counts.pixels > 1, counts.channels > 1)
        numbers = plan_of(nest, accelerator, wholes_of(nest, accelerator), mapping, cut).numbers()
        good = [
            (plan.pixels_cut, plan.channels_cut) == cut
            and plan.mapping.dataflow == mapping.dataflow
            and all(mine <= theirs for mine, theirs in zip(plan.numbers(), numbers, strict=True))
            for plan in space.plans
        ]
        if True not in good:
            return {}
        chosen = {self.pixel[pixel], self.channel[channel], self.plan[good.index(True)]}
        return {literal: int(literal in chosen) for choice in self._choices() for literal in choice}

    def mapping(self, values: npt.NDArray[np.int64]) -> Mapping:
        """The mapping that the choices in `values` (variables,) make."""
        pixel, channel, plan = (int(np.argmax(values[list(choice)])) for choice in self._choices())
        images, out_rows, out_columns = (int(size) for size in self.space.pixels.sizes[pixel])
        chosen = self.space.plans[plan].mapping
        tile = replace(
            chosen.tile,
            images=images,
            out_rows=out_rows,
            out_columns=out_columns,
            out_channels=int(self.space.channels.sizes[channel][0]),
        )
        return replace(chosen, tile=tile)

    def _choices(self) -> tuple[tuple[int, ...], ...]:
        return self.pixel, self.channel, self.plan

    def _number(self, choice: tuple[int, ...], column: IntArray) -> Linear:
        """The chosen entry of `column`: a constant where all are equal, else one shared variable."""
        if (column == column[0]).all():
            return Linear(constant=int(column[0]))
        key = bytes([choice is self.pixel]) + column.tobytes()
        if key not in self._numbers:
            number = self.linear.number(int(column.min()), int(column.max()))
            self.linear.equal(weighted_sum(column.tolist(), choice) - number, 0)
            self._numbers[key] = number
        return self._numbers[key]

    def _pixel_number(self, name: str) -> Linear:
        return self._number(self.pixel, self.space.pixels.columns[name])

    def _channel_number(self, name: str) -> Linear:
        return self._number(self.channel, self.space.channels.columns[name])

    def _product(self, pixel_name: str, channel_name: str) -> Linear:
        """An upper estimate, tight under minimisation, of a pixel number times an output-channel number."""
        pixel, channel = self._pixel_number(pixel_name), self.space.channels.columns[channel_name]
        if (channel == channel[0]).all():
            return pixel * int(channel[0])
        if not pixel.terms:
            return self._channel_number(channel_name) * pixel.constant
        key = (pixel_name, channel_name)
        if key not in self._products:
            product = self.linear.number(0, int(self.space.pixels.columns[pixel_name].max() * channel.max()))
            for literal, factor in zip(self.channel, channel.tolist(), strict=True):
                self.linear.at_most(factor * pixel - product, 0, [(literal, True)])
            self._products[key] = product
        return self._products[key]

    def _link_cuts(self) -> None:
        """A plan says whether pixels and output channels are cut; a transposed A kept whole takes no ragged column
        tiles, packed pixels only lines that are seen, and kept whole none that are cut."""
        for plan, literal in zip(self.space.plans, self.plan, strict=True):
            for cut, choice, options in (
                (plan.pixels_cut, self.pixel, self.space.pixels),
                (plan.channels_cut, self.channel, self.space.channels),
            ):
                self._exclude(literal, choice, (options.columns["tiles"] > 1) != cut)
            whole, pixels = plan.mapping.a_placement == "whole", plan.mapping.max_pixels_per_row
            if whole:
                self._exclude(literal, self.pixel, self.space.pixels.columns["ragged"] > 0)
            if pixels > 1:
                self._exclude(literal, self.pixel, self.space.pixels.columns[unseen(plan.a_window, pixels)] > 0)
            if pixels > 1 and whole:
                self._exclude(literal, self.pixel, self.space.pixels.columns["cuts_lines"] > 0)

    def _exclude(self, literal: int, choice: tuple[int, ...], wrong: npt.NDArray[np.bool_]) -> None:
        """`literal` goes with none of the `wrong` ones: of a choice at most one is made in any case."""
        others = [other for other, bad in zip(choice, wrong, strict=True) if bad]
        if others:
            self.linear.at_most_one([literal, *others])

    def _fit_accumulator(self) -> None:
        single = [literal for plan, literal in zip(self.space.plans, self.plan, strict=True) if plan.c_copies == 1]
        rows = self._pixel_number("c_rows")
        capacity = self.space.accelerator.accumulator_rows
        for literal, blocks in zip(self.channel, self.space.channels.columns["blocks"].tolist(), strict=True):
            self.linear.at_most(rows, capacity // blocks, [(literal, True)])
            # Two copies unless the plan that needs but one is chosen.
            double: list[Condition] = [(literal, True), *((other, False) for other in single)]
            self.linear.at_most(rows, capacity // (2 * blocks), double)

    def _fit_scratchpad(self) -> None:
        for plan, literal in zip(self.space.plans, self.plan, strict=True):
            rows = plan.a_rows * self._pixel_number(f"a_rows_{plan.a_window}")
            if plan.mapping.max_pixels_per_row > 1 and plan.a_rows:
                self.linear.at_most(self._pixel_number(f"a_rows_{plan.a_window}"), plan.a_limit, [(literal, True)])
            rows += plan.b_rows * self._channel_number("b_rows")
            self.linear.at_most(rows, self.space.accelerator.scratchpad_rows - plan.fixed_rows, [(literal, True)])

    def _bound_cycles(self, traffic: list[Traffic]) -> None:
        """The three activities of `simulator.analytical.latency`, each below the cycles."""
        nest, accelerator, cycles = self.space.nest, self.space.accelerator, self.goals["cycles"]
        ramp, memory, dma = ramps(nest, accelerator), accelerator.memory, accelerator.dma
        bias, blocks = bias_block(nest, accelerator), nest.repeat_count * self._pixel_number("output_blocks")
        stored_rows = nest.repeat_count * nest.pixels
        acknowledged = stored_rows * self._channel_number("acknowledgements")
        read = cycles - ramp.after_compute
        for plan, literal, (beats, requests, _) in zip(self.space.plans, self.plan, traffic, strict=True):
            chosen = [(literal, True)]
            compute = weight_blocks(nest, plan.mapping, accelerator) * self._array_cycles(plan)
            self.linear.at_most(ramp.before_compute + compute + ramp.after_compute - cycles, 0, chosen)
            by_bandwidth = (beats + bias.beats * blocks + acknowledged) * memory.cycles_per_beat
            self.linear.at_most(by_bandwidth - read, 0, chosen)
            by_latency = (requests + bias.requests * blocks) * memory.latency_cycles
            self.linear.at_most(by_latency - dma.requests_in_flight * read, 0, chosen)
            if plan.mapping.max_pixels_per_row > 1:
                copied = plan.mapping.max_pixels_per_row * self._a_loads(plan, "elements")
                self.linear.at_most(copied - nest.in_channels * read, 0, chosen)
        write = stored_rows * self._channel_number("write_cycles")
        if all(plan.mapping.reduction_parts == 1 for plan in self.space.plans):
            self.linear.at_most(ramp.before_store + write + ramp.after_store - cycles, 0)
            return
        for plan, literal in zip(self.space.plans, self.plan, strict=True):
            first = ramps(in_parts(nest, plan.mapping), accelerator).before_store
            stored = write + plan.spill_write_cycles
            self.linear.at_most(first + stored + ramp.after_store - cycles, 0, [(literal, True)])

    def _array_cycles(self, plan: Plan) -> Linear:
        """Cycles that the array takes for a weight block."""
        if plan.mapping.dataflow == "ws":
            return self._pixel_number(f"ws_cycles_{plan.a_window}")
        return self._pixel_number(f"os_blocks_{plan.a_window}") * self.space.accelerator.dim

    def _bound_bytes(self, traffic: list[Traffic]) -> None:
        nest, accelerator = self.space.nest, self.space.accelerator
        stored = nest.repeat_count * nest.pixels * nest.out_channels * accelerator.input_bytes
        bias = bias_block(nest, accelerator).bytes * nest.repeat_count * self._pixel_number("output_blocks")
        for literal, (_, _, elements) in zip(self.plan, traffic, strict=True):
            moved = elements * accelerator.input_bytes + bias + stored
            self.linear.at_most(moved - self.goals["bytes"], 0, [(literal, True)])

    def _bound_energy(self, traffic: list[Traffic]) -> None:
        nest, accelerator = self.space.nest, self.space.accelerator
        parts = fixed_energy(nest, accelerator)
        bias = parts.per_bias_block * nest.repeat_count * self._pixel_number("output_blocks")
        for plan, literal, (_, _, elements) in zip(self.space.plans, self.plan, traffic, strict=True):
            stationary = plan.mapping.dataflow == "ws"
            passes = self._pixel_number("tiles" if stationary else f"os_blocks_{plan.a_window}")
            updates = reduction_blocks(nest, plan.mapping, accelerator.dim) if stationary else plan.updates
            energy = parts.per_loaded_element * elements + parts.per_weight_pass * passes + bias
            if plan.mapping.max_pixels_per_row > 1:
                copies = (plan.mapping.max_pixels_per_row - 1) * parts.per_copied_element
                energy += copies * self._a_loads(plan, "elements")
            energy += parts.fixed + parts.per_update * updates
            self.linear.at_most(energy - self.goals["energy"], 0, [(literal, True)])

    def _traffic(self, plan: Plan) -> Traffic:
        totals = []
        for index, unit in enumerate(UNITS):
            b_name = f"b_{unit}"
            b = self._product("tiles", b_name) if plan.b_reloaded else self._channel_number(b_name)
            totals.append(self._a_loads(plan, unit) + plan.b_traffic[index] * b)
        beats, requests, elements = totals
        return beats, requests, elements

    def _a_loads(self, plan: Plan, unit: str) -> Linear:
        """What A moves, and partial sums if there are any."""
        name, index = f"a_{unit}_{plan.a_window}", UNITS.index(unit)
        a = self._product(name, "tiles") if plan.a_reloaded else self._pixel_number(name)
        return plan.a_traffic[index] * a + plan.fixed_traffic[index]
