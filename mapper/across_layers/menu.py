"""The ways to execute each step, alone or with its neighbours, with exact costs: what the program across layers chooses
from.

A matmul alone is offered under the mappings that the mapper's own integer program finds for the whole machine and for
what residents would leave of it, so that a tensor kept on chip is paid for by smaller tiles. Costs are the analytical
model's and its fused extensions'; a step alone with nothing resident costs what the layer-by-layer schedule costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import msgspec

from mapper.across_layers.problem import Choice, Memory
from mapper.across_layers.residences import Stay
from mapper.across_layers.steps import Step, Steps
from mapper.objective import key_of
from mapper.schedule import schedule_layers
from mapper.solve import Objective
from model_ir.errors import InfeasibleError, InputError
from model_ir.loop_nest import LoopNest
from simulator.accelerator import Accelerator
from simulator.array_nest import ArrayNest
from simulator.cost import Cost
from simulator.fusion import OnChip, fused_cost
from simulator.mapping import Mapping, buffers, ceil_div
from simulator.vector_cost import vector_cost

GRID = 8
"""Memory left beside residents is rounded down to this many parts of a memory, so that few mappings need solving."""

STREAM_ROWS_PER_DIM = 16
"""Rows in flight of a layer that only streams: DIM rows of a request's width, two loaded and two stored at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """How a choice executes its layers: mapping, or tile in words; the cost; and what it would cost on another machine
    that differs in its memory's speed alone."""

    what: str
    mapping: Mapping | None
    cost: Cost
    cost_on: Callable[[Accelerator], Cost]


class Menu:
    """Choices with what stands behind each (`Choice.detail` is the index into `executed`)."""

    def __init__(self, accelerator: Accelerator, objective: Objective) -> None:
        self.accelerator, self.objective = accelerator, objective
        self.choices: list[Choice] = []
        self.executed: list[Executed] = []

    def offer(
        self,
        layers: tuple[int, ...],
        kind: str,
        executed: Executed,
        rows: tuple[int, int],
        residences: frozenset[int] = frozenset(),
    ) -> None:
        """Add a choice; `rows` of scratchpad and accumulator."""
        amounts: dict[Memory, int] = {"scratchpad": rows[0], "accumulator": rows[1]}
        self.choices.append(
            Choice(
                layers=layers,
                kind=kind,
                residences=residences,
                key=key_of(executed.cost, self.accelerator, self.objective),
                rows=amounts,
                detail=len(self.executed),
            )
        )
        self.executed.append(executed)


@dataclass(frozen=True, slots=True, kw_only=True)
class MenuOptions:
    """How the mapper's own programs are asked."""

    objective: Objective = "latency"
    time_limit_seconds: float = 10.0
    workers: int | None = None
    cache: MutableMapping[str, Any] | None = None
    progress: Callable[[int, int], None] | None = None


def mappings_of(
    steps: Steps, stays: tuple[Stay, ...], accelerator: Accelerator, options: MenuOptions
) -> dict[int, tuple[Mapping, ...]]:
    """For every matmul the mappings to choose from; the first is the layer-by-layer schedule's."""
    wanted: list[tuple[int, Accelerator]] = []
    for number, step in enumerate(steps.steps):
        if step.array_work is not None:
            wanted += [(number, machine) for machine in _machines(number, stays, accelerator)]
    by_machine: dict[tuple[int, int], tuple[Accelerator, list[int]]] = {}
    for number, machine in wanted:
        key = machine.scratchpad.capacity_bytes, machine.accumulator.capacity_bytes
        by_machine.setdefault(key, (machine, []))[1].append(number)
    found: dict[int, list[Mapping]] = {number: [] for number, _ in wanted}
    whole_first = sorted(by_machine.items(), reverse=True)
    for done, (_, (machine, numbers)) in enumerate(whole_first):
        for number, mapping in zip(numbers, _schedules(steps, numbers, machine, options), strict=True):
            if mapping is not None and mapping not in found[number]:
                found[number].append(mapping)
        if options.progress is not None:
            options.progress(done + 1, len(whole_first))
    return {number: tuple(mappings) for number, mappings in found.items()}


def _schedules(steps: Steps, numbers: list[int], machine: Accelerator, options: MenuOptions) -> list[Mapping | None]:
    """The mappings on one machine; None for all where the smallest tile of one does not fit what is left of it."""
    nests = [nest for number in numbers if (nest := steps.steps[number].array_work) is not None]
    try:
        scheduled = schedule_layers(
            nests,
            machine,
            objective=options.objective,
            time_limit_seconds=options.time_limit_seconds,
            workers=options.workers,
            cache=options.cache,
        )
    except InfeasibleError:
        return [None] * len(numbers)
    return [plan.mapping for plan in scheduled]


def _machines(number: int, stays: tuple[Stay, ...], accelerator: Accelerator) -> Iterator[Accelerator]:
    """The machine, and what each resident over this step would leave of it, rounded down to parts of a memory."""
    of = msgspec.structs.replace
    sizes = {"scratchpad": {GRID}, "accumulator": {GRID}}
    capacity = {"scratchpad": accelerator.scratchpad_rows, "accumulator": accelerator.accumulator_rows}
    for stay in stays:
        residence = stay.residence
        if residence.first <= number <= residence.last:
            left = capacity[residence.memory] - residence.rows
            sizes[residence.memory].add(max(1, left * GRID // capacity[residence.memory]))
    for scratchpad, accumulator in product(sorted(sizes["scratchpad"]), sorted(sizes["accumulator"])):
        yield of(
            accelerator,
            scratchpad=of(
                accelerator.scratchpad, capacity_bytes=accelerator.scratchpad.capacity_bytes * scratchpad // GRID
            ),
            accumulator=of(
                accelerator.accumulator, capacity_bytes=accelerator.accumulator.capacity_bytes * accumulator // GRID
            ),
        )


def offer_alone(
    menu: Menu,
    steps: Steps,
    stays: tuple[Stay, ...],
    mappings: dict[int, tuple[Mapping, ...]],
    accelerator: Accelerator,
) -> None:
    """Every step alone, under every agreement with the residences that touch it."""
    for number, step in enumerate(steps.steps):
        for chosen in _agreements(number, step, stays):
            nest = step.array_work
            if nest is not None:
                _offer_matmul(menu, number, nest, mappings[number], chosen, accelerator)
            else:
                _offer_streamed(menu, number, step, chosen, accelerator)


Agreement = dict[int, Stay]
"""The residences in effect at a step, by their numbers."""


def _agreements(number: int, step: Step, stays: tuple[Stay, ...]) -> Iterator[Agreement]:
    """Every choice of at most one residence for each tensor that the step touches; an addition finds at most one of its
    operands in the accumulator."""
    by_tensor: dict[str, list[int | None]] = {}
    for index, stay in enumerate(stays):
        if number in stay.roles:
            by_tensor.setdefault(stay.residence.tensor, [None]).append(index)
    for picks in product(*by_tensor.values()):
        chosen = {index: stays[index] for index in picks if index is not None}
        read = [stay for stay in chosen.values() if stay.roles[number] == "reads"]
        if not (step.is_add and len(read) > 1):
            yield chosen


def _offer_matmul(
    menu: Menu,
    number: int,
    nest: ArrayNest,
    mappings: tuple[Mapping, ...],
    chosen: Agreement,
    accelerator: Accelerator,
) -> None:
    roles = {stay.roles[number]: stay for stay in chosen.values()}
    makes = roles.get("makes")
    on_chip = OnChip(a="reads" in roles, c=makes is not None and not makes.stored)
    in_accumulator = makes is not None and makes.residence.memory == "accumulator"
    offers: list[tuple[Executed, tuple[int, int]]] = []
    for mapping in mappings:
        if "loads" in roles:
            mapping = replace(mapping, a_placement="whole")
        cost_on = partial(fused_cost, nest, mapping, on_chip=on_chip)
        try:
            cost = cost_on(accelerator)
        except (InfeasibleError, InputError):
            continue
        needed = buffers(nest, mapping, accelerator)
        own = needed.scratchpad_rows - (needed.a_rows * needed.a_copies if "loads" in roles or on_chip.a else 0)
        rows = own, 0 if in_accumulator else needed.accumulator_rows
        offers.append((Executed(what="", mapping=mapping, cost=cost, cost_on=cost_on), rows))
    for executed, rows in _undominated(offers):
        menu.offer((number,), "alone", executed, rows, frozenset(chosen))


def _undominated(
    offers: list[tuple[Executed, tuple[int, int]]],
) -> Iterator[tuple[Executed, tuple[int, int]]]:
    """Those that no other matches or beats in cycles, traffic and rows of both memories."""
    seen: list[tuple[float, ...]] = []
    for executed, rows in sorted(offers, key=lambda offer: (offer[0].cost.cycles, offer[0].cost.dram_bytes, offer[1])):
        numbers = (executed.cost.cycles, executed.cost.dram_bytes, *rows)
        if not any(all(a <= b for a, b in zip(other, numbers, strict=True)) for other in seen):
            seen.append(numbers)
            yield executed, rows


def _offer_streamed(menu: Menu, number: int, step: Step, chosen: Agreement, accelerator: Accelerator) -> None:
    """A residual add, a normalisation, a move or the host's work: what is resident is not loaded, what stays is not
    stored."""
    resident = {stay.residence.tensor for stay in chosen.values() if stay.roles[number] == "reads"}
    reads = tuple(
        access for access, name in zip(step.layer.nest.reads, step.reads, strict=True) if name not in resident
    )
    stays = [stay for stay in chosen.values() if stay.roles[number] == "makes"]
    stored = not stays or stays[0].stored
    cost_on = partial(streamed_cost, replace(step.layer.nest, reads=reads), stored)
    rows = [0, 0]
    streamed = min(STREAM_ROWS_PER_DIM * accelerator.dim, accelerator.accumulator_rows // 2)
    if step.place == "store path":
        rows[0 if step.layer.nest.kind == "move" else 1] = streamed
    elif step.place == "unit":
        width = ceil_div(step.layer.nest.write.shape[-1] if step.layer.nest.write.shape else 1, accelerator.dim)
        rows[1] = min(max(streamed, 2 * width), accelerator.accumulator_rows)
    if resident or (stays and stays[0].residence.memory == "accumulator"):
        rows[1] = 0
    executed = Executed(what=str(step.place), mapping=None, cost=cost_on(accelerator), cost_on=cost_on)
    menu.offer((number,), "alone", executed, (rows[0], rows[1]), frozenset(chosen))


def streamed_cost(nest: LoopNest, stored: bool, accelerator: Accelerator) -> Cost:
    """`vector_cost` of `nest`; where its result stays on chip, with the write direction idle and the rest as it was."""
    _, cost = vector_cost(nest, accelerator)
    if stored:
        return cost
    busy = max(cost.compute_cycles, cost.read_cycles, cost.write_cycles)
    return replace(
        cost,
        cycles=max(cost.compute_cycles, cost.read_cycles) + cost.cycles - busy,
        write_cycles=0.0,
        dram_write_bytes=0,
        energy_pj=cost.energy_pj - cost.dram_write_bytes * accelerator.energy.dram_pj_per_byte,
    )
