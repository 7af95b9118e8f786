"""One CP-SAT model: the choices under one kernel tile, solved first for one objective and then for the other among its
optima.

Variables: one of the pixel tiles, one of the output-channel tiles, one of the plans, and integers for their numbers. A
product of two choices' numbers is bounded below once per output-channel tile, enforced when that tile is chosen; the
objective presses from above.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from mapper.mapping_plans import UNITS, Plan, plan_of, plans, wholes_of
from mapper.solve import Objective
from mapper.tile_options import (
    Options,
    least_array_cycles,
    numbers_of_tile,
    out_channel_numbers,
    out_channel_options,
    pixel_options,
)
from simulator.accelerator import Accelerator
from simulator.analytical import analytical, bias_block, latency, ramps, read_cycles, weight_blocks
from simulator.array_nest import ArrayNest
from simulator.cost import Cost
from simulator.mapping import Mapping, Tile, tile_counts
from simulator.tile_sums import IntArray

_SEED = 1
_SAFE_MAGNITUDE = 1 << 42
"""CP-SAT without presolve has been seen to call a program with larger numbers infeasible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """All choices under one kernel tile."""

    nest: ArrayNest
    accelerator: Accelerator
    kernel: tuple[int, int]
    pixels: Options
    channels: Options
    plans: tuple[Plan, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The best mapping found in a space and its cost (None: none found), with the proven bounds of both objectives. A
    space proven empty has no answer."""

    mapping: Mapping | None
    cost: Cost | None
    bound: int
    tie_bound: int
    branches: int
    conflicts: int


def space_of(
    nest: ArrayNest, accelerator: Accelerator, kernel: tuple[int, int], cycles_limit: int | None = None
) -> Space:
    """The non-dominated choices of `nest` under `kernel` (kernel_rows, kernel_columns), without those of which the
    array alone takes more than `cycles_limit`."""
    array_limit = None
    if cycles_limit is not None:
        ramp = ramps(nest, accelerator)
        array_limit = (cycles_limit - ramp.before_compute - ramp.after_compute) // weight_blocks(nest, accelerator)
    return Space(
        nest=nest,
        accelerator=accelerator,
        kernel=kernel,
        pixels=pixel_options(nest, accelerator, kernel, array_limit),
        channels=out_channel_options(nest, accelerator),
        plans=plans(nest, accelerator, kernel),
    )


def solve_space(
    space: Space,
    objective: Objective,
    deadline: float,
    floor: tuple[int, int],
    *,
    hint: Mapping | None = None,
    to_beat: tuple[int, int] | None = None,
) -> Answer | None:
    """The best mapping in `space`, or None where it holds no legal one, or none with a first number as good as
    `to_beat`'s (and, where that is the least possible, a smaller second number).

    `deadline` is a time of perf_counter, `floor` what no mapping of the nest goes below. Deterministic unless the time
    runs out: one worker, fixed seed.
    """
    from ortools.sat.python import cp_model

    if not space.plans or not len(space.pixels):
        return None
    program = _Program(space, cp_model)
    if hint is not None:
        program.hint(hint)
    goals = [program.cycles, program.bytes] if objective == "cycles" else [program.bytes, program.cycles]
    if to_beat is not None:
        program.model.add(goals[0] <= to_beat[0])
        if to_beat[0] == floor[0]:
            program.model.add(goals[1] < to_beat[1])
    mapping, bounds, branches, conflicts = None, list(floor), 0, 0
    for stage, goal in enumerate(goals):
        program.model.minimize(goal)
        # The choices are few and already reduced: presolve costs ten times the search.
        for presolve in (program.magnitude > _SAFE_MAGNITUDE, True):
            solver = cp_model.CpSolver()
            solver.parameters.num_workers = 1
            # Ctrl-C belongs to Python: the solver's own handler ends the process when several solve at once.
            solver.parameters.catch_sigint_signal = False
            solver.parameters.random_seed = _SEED
            solver.parameters.cp_model_presolve = presolve
            solver.parameters.max_time_in_seconds = max(0.01, deadline - perf_counter())
            status = solver.solve(program.model)
            branches, conflicts = branches + solver.num_branches, conflicts + solver.num_conflicts
            if status != cp_model.INFEASIBLE or not program.hinted:
                break  # else a choice that is known to be legal was denied: ask again, with presolve
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            break
        mapping = program.mapping(solver)
        bounds[stage] = max(floor[stage], round(solver.best_objective_bound))
        program.model.add(goal <= round(solver.objective_value))
        program.hint(mapping)
    if mapping is None:
        unknown = Answer(
            mapping=None, cost=None, bound=floor[0], tie_bound=floor[1], branches=branches, conflicts=conflicts
        )
        return None if status == cp_model.INFEASIBLE and not program.hinted else unknown
    return Answer(
        mapping=mapping,
        cost=analytical(space.nest, mapping, space.accelerator),
        bound=bounds[0],
        tie_bound=bounds[1],
        branches=branches,
        conflicts=conflicts,
    )


def least_cycles(nest: ArrayNest, accelerator: Accelerator) -> int:
    """Cycles of the best-filled array alone; no mapping has fewer."""
    ramp = ramps(nest, accelerator)
    array = least_array_cycles(nest, accelerator)
    return ramp.before_compute + weight_blocks(nest, accelerator) * array + ramp.after_compute


def least_bytes(nest: ArrayNest, accelerator: Accelerator) -> int:
    """Compulsory bytes; no mapping has fewer."""
    whole, everything = wholes_of(nest, accelerator), nest.reduction * nest.out_channels
    bias = bias_block(nest, accelerator).bytes * whole.pixels["output_blocks"]
    once = whole.pixels["a_elements_panel"] * nest.in_channels + everything + nest.pixels * nest.out_channels
    return nest.repeat_count * (once * accelerator.input_bytes + bias)


def _limits(space: Space) -> tuple[int, int]:
    """Cycles and bytes that no choice in `space` exceeds."""
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
    bias, blocks = bias_block(nest, accelerator), nest.repeat_count * most["output_blocks"]
    stored_rows = nest.repeat_count * nest.pixels
    read = read_cycles(
        beats + bias.beats * blocks,
        requests + bias.requests * blocks,
        stored_rows * widest["acknowledgements"],
        accelerator,
    )
    compute = weight_blocks(nest, accelerator) * max(most["ws_cycles"], most.get("os_cycles", 0))
    write = stored_rows * widest["write_cycles"]
    stored = stored_rows * nest.out_channels * accelerator.input_bytes
    return (
        latency(compute, read, write, ramps(nest, accelerator)),
        elements * accelerator.input_bytes + bias.bytes * blocks + stored,
    )


class _Program:
    """The CP-SAT model of a space, with both goals as variables; built once, minimised once per goal."""

    def __init__(self, space: Space, cp_model: Any) -> None:
        self.space = space
        self.model: Any = cp_model.CpModel()
        self._numbers: dict[bytes, Any] = {}
        self.hinted = False
        self._products: dict[tuple[str, str], Any] = {}
        self.pixel = [self.model.new_bool_var("") for _ in range(len(space.pixels))]
        self.channel = [self.model.new_bool_var("") for _ in range(len(space.channels))]
        self.plan = [self.model.new_bool_var("") for _ in space.plans]
        for choice in (self.pixel, self.channel, self.plan):
            self.model.add_exactly_one(choice)
        cycles_limit, bytes_limit = _limits(space)
        self.magnitude = max(space.accelerator.dma.requests_in_flight * cycles_limit, bytes_limit)
        self.cycles = self.model.new_int_var(0, cycles_limit, "cycles")
        self.bytes = self.model.new_int_var(0, bytes_limit, "bytes")
        self._link_cuts()
        self._fit_accumulator()
        self._fit_scratchpad()
        self._bound_cycles()
        self._bound_traffic()

    def hint(self, mapping: Mapping) -> None:
        """Start the search from a choice at least as good as `mapping`, if its kernel tile is this space's."""
        nest, accelerator, space = self.space.nest, self.space.accelerator, self.space
        tile = mapping.tile
        if (tile.kernel_rows, tile.kernel_columns) != space.kernel:
            return
        counts = tile_counts(nest, tile)
        pixel = space.pixels.first_not_worse(numbers_of_tile(nest, accelerator, tile))
        channel = space.channels.first_not_worse(out_channel_numbers(nest, accelerator, tile.out_channels))
        cut = (counts.pixels > 1, counts.channels > 1)
        numbers = plan_of(nest, accelerator, wholes_of(nest, accelerator), mapping, cut).numbers()
        same = [(plan.pixels_cut, plan.channels_cut) == cut for plan in space.plans]
        good = [
            fits and all(mine <= theirs for mine, theirs in zip(plan.numbers(), numbers, strict=True))
            for plan, fits in zip(space.plans, same, strict=True)
        ]
        self.hinted = True
        self.model.clear_hints()
        for choice, index in (
            (self.pixel, pixel),
            (self.channel, channel),
            (self.plan, good.index(True) if True in good else -1),
        ):
            for position, variable in enumerate(choice):
                self.model.add_hint(variable, position == index)

    def mapping(self, solver: Any) -> Mapping:
        """The mapping that the solver chose."""
        space = self.space
        pixel, channel, plan = (
            next(index for index, variable in enumerate(choice) if solver.boolean_value(variable))
            for choice in (self.pixel, self.channel, self.plan)
        )
        images, out_rows, out_columns = (int(size) for size in space.pixels.sizes[pixel])
        chosen = space.plans[plan].mapping
        tile: Tile = replace(
            chosen.tile,
            images=images,
            out_rows=out_rows,
            out_columns=out_columns,
            out_channels=int(space.channels.sizes[channel][0]),
        )
        return replace(chosen, tile=tile)

    def _number(self, choice: list[Any], column: IntArray) -> Any:
        """An expression for the chosen entry of `column`: a constant where all are equal, else one shared variable."""
        if (column == column[0]).all():
            return int(column[0])
        key = bytes([choice is self.pixel]) + column.tobytes()
        if key not in self._numbers:
            variable = self.model.new_int_var(int(column.min()), int(column.max()), "")
            self.model.add(variable == sum(int(value) * literal for value, literal in zip(column, choice, strict=True)))
            self._numbers[key] = variable
        return self._numbers[key]

    def _pixel_number(self, name: str) -> Any:
        return self._number(self.pixel, self.space.pixels.columns[name])

    def _channel_number(self, name: str) -> Any:
        return self._number(self.channel, self.space.channels.columns[name])

    def _product(self, pixel_name: str, channel_name: str) -> Any:
        """An upper estimate, tight under minimisation, of a pixel number times an output-channel number."""
        pixel, channel = self._pixel_number(pixel_name), self.space.channels.columns[channel_name]
        if (channel == channel[0]).all() or isinstance(pixel, int):
            return pixel * self._channel_number(channel_name)
        key = (pixel_name, channel_name)
        if key not in self._products:
            most = int(self.space.pixels.columns[pixel_name].max() * channel.max())
            variable = self.model.new_int_var(0, most, "")
            for literal, factor in zip(self.channel, channel.tolist(), strict=True):
                self.model.add(variable >= factor * pixel).only_enforce_if(literal)
            self._products[key] = variable
        return self._products[key]

    def _link_cuts(self) -> None:
        """A plan says whether pixels and output channels are cut; a transposed A kept whole takes no ragged column
        tiles."""
        for plan, literal in zip(self.space.plans, self.plan, strict=True):
            for cut, choice, options in (
                (plan.pixels_cut, self.pixel, self.space.pixels),
                (plan.channels_cut, self.channel, self.space.channels),
            ):
                wrong = (options.columns["tiles"] > 1) != cut
                self.model.add_bool_and(
                    [other.negated() for other, bad in zip(choice, wrong, strict=True) if bad]
                ).only_enforce_if(literal)
            if plan.mapping.a_placement == "whole":
                ragged = self.space.pixels.columns["ragged"]
                self.model.add_bool_and(
                    [other.negated() for other, bad in zip(self.pixel, ragged, strict=True) if bad]
                ).only_enforce_if(literal)

    def _fit_accumulator(self) -> None:
        single = [literal for plan, literal in zip(self.space.plans, self.plan, strict=True) if plan.c_copies == 1]
        rows = self._pixel_number("c_rows")
        capacity = self.space.accelerator.accumulator_rows
        for literal, blocks in zip(self.channel, self.space.channels.columns["blocks"].tolist(), strict=True):
            self.model.add(rows <= capacity // blocks).only_enforce_if(literal)
            # Two copies unless the plan that needs but one is chosen.
            self.model.add(rows <= capacity // (2 * blocks)).only_enforce_if(
                [literal, *(other.negated() for other in single)]
            )

    def _fit_scratchpad(self) -> None:
        for plan, literal in zip(self.space.plans, self.plan, strict=True):
            rows = plan.a_rows * self._pixel_number(f"a_rows_{plan.a_window}")
            rows += plan.b_rows * self._channel_number("b_rows")
            capacity = self.space.accelerator.scratchpad_rows - plan.fixed_rows
            self._enforce(rows, capacity, literal)

    def _bound_cycles(self) -> None:
        """The three activities of `simulator.analytical.latency`, each below the cycles."""
        nest, accelerator = self.space.nest, self.space.accelerator
        ramp, memory, dma = ramps(nest, accelerator), accelerator.memory, accelerator.dma
        flows = {"ws": "ws_cycles", "os": "os_cycles"}
        bias, blocks = bias_block(nest, accelerator), nest.repeat_count * self._pixel_number("output_blocks")
        stored_rows = nest.repeat_count * nest.pixels
        acknowledged = stored_rows * self._channel_number("acknowledgements")
        read = self.cycles - ramp.after_compute
        for plan, literal in zip(self.space.plans, self.plan, strict=True):
            compute = weight_blocks(nest, accelerator) * self._pixel_number(flows[plan.mapping.dataflow])
            self._enforce(ramp.before_compute + compute + ramp.after_compute - self.cycles, 0, literal)
            beats, requests, _ = self._traffic(plan)
            by_bandwidth = (beats + bias.beats * blocks + acknowledged) * memory.cycles_per_beat
            self._enforce(by_bandwidth - read, 0, literal)
            by_latency = (requests + bias.requests * blocks) * memory.latency_cycles
            self._enforce(by_latency - dma.requests_in_flight * read, 0, literal)
        write = stored_rows * self._channel_number("write_cycles")
        self.model.add(self.cycles >= ramp.before_store + write + ramp.after_store)

    def _bound_traffic(self) -> None:
        nest, accelerator = self.space.nest, self.space.accelerator
        stored = nest.repeat_count * nest.pixels * nest.out_channels * accelerator.input_bytes
        bias = bias_block(nest, accelerator).bytes * nest.repeat_count * self._pixel_number("output_blocks")
        for plan, literal in zip(self.space.plans, self.plan, strict=True):
            elements = self._traffic(plan)[2]
            self._enforce(elements * accelerator.input_bytes + bias + stored - self.bytes, 0, literal)

    def _traffic(self, plan: Plan) -> tuple[Any, ...]:
        """Beats, requests and elements of A and B under `plan`."""
        totals = []
        for index, unit in enumerate(UNITS):
            a_name, b_name = f"a_{unit}_{plan.a_window}", f"b_{unit}"
            a = self._product(a_name, "tiles") if plan.a_reloaded else self._pixel_number(a_name)
            b = self._product("tiles", b_name) if plan.b_reloaded else self._channel_number(b_name)
            totals.append(plan.a_traffic[index] * a + plan.b_traffic[index] * b + plan.fixed_traffic[index])
        return tuple(totals)

    def _enforce(self, expression: Any, limit: int, literal: Any) -> None:
        """`expression` <= `limit` when `literal` holds; the expression may be a plain integer."""
        if isinstance(expression, int):
            if expression > limit:
                self.model.add(literal == 0)
            return
        self.model.add(expression <= limit).only_enforce_if(literal)
