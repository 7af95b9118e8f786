"""A network's plan on several arrays: groups as tasks, who waits for whom, and what each takes of the shared memory.

Every array has a memory port of its own; behind the ports is one memory. A group may also run at a half, a third, ...
of that memory's speed (any whole number of cycles a beat), costed by the same formulas, so that bandwidth can be shared
and not only taken in turns. Groups are not split between arrays.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

import msgspec

from mapper.across_layers.plan import Group, NetworkPlan
from mapper.across_layers.several_arrays import BANDWIDTH, ArraysSchedule, Mode, Task, schedule_arrays
from model_ir.errors import InputError
from simulator.accelerator import Accelerator

ARRAY, HOST = 0, 1
"""Kinds: the accelerator's arrays; the one host, which runs what they cannot."""


def arrays_of_plan(
    plan: NetworkPlan,
    accelerator: Accelerator,
    arrays: int,
    *,
    inputs: int = 1,
    time_limit_seconds: float = 20.0,
    workers: int = 2,
) -> ArraysSchedule:
    """The plan's groups, once for each of `inputs` independent inputs, on `arrays` arrays alike; tasks are the groups
    of the first input, then of the second, ...

    Raises InputError for no arrays or inputs, and for a plan that keeps tensors on chip between groups: those tie
    groups to one array.
    """
    for option, value in (("arrays", arrays), ("inputs", inputs)):
        if value < 1:
            raise InputError(option, "must be at least 1", value=value, limit=1)
    if plan.residences:
        raise InputError("plan", "keeps tensors on chip between groups, which ties them to one array")
    modes = [tuple(_modes(group, plan, accelerator, arrays)) for group in plan.groups]
    after = _dependencies(plan)
    tasks = [
        Task(
            name=" + ".join(group.names),
            after=tuple(copy * len(plan.groups) + other for other in after[number]),
            modes=modes[number],
        )
        for copy in range(inputs)
        for number, group in enumerate(plan.groups)
    ]
    return schedule_arrays(tasks, (arrays, 1), time_limit_seconds=time_limit_seconds, workers=workers)


def _dependencies(plan: NetworkPlan) -> list[tuple[int, ...]]:
    """For every group the groups that make what it reads."""
    steps = plan.steps.steps
    maker = {steps[number].writes: place for place, group in enumerate(plan.groups) for number in group.numbers}
    return [
        tuple(
            sorted(
                {
                    maker[tensor]
                    for number in group.numbers
                    for tensor in steps[number].reads
                    if tensor in maker and maker[tensor] != place
                }
            )
        )
        for place, group in enumerate(plan.groups)
    ]


def _modes(group: Group, plan: NetworkPlan, accelerator: Accelerator, arrays: int) -> Iterator[Mode]:
    """At full speed of the memory, and at each fraction that makes a difference."""
    of = msgspec.structs.replace
    full = group.cost
    if plan.steps.steps[group.numbers[0]].place == "host":
        busy = full.dram_bytes / accelerator.memory_bytes_per_cycle
        cycles = max(1, ceil(full.cycles), ceil(busy))
        yield Mode(cycles=cycles, share=ceil(BANDWIDTH * busy / cycles), kind=HOST)
        return
    slowest = 0
    fastest = accelerator.memory.cycles_per_beat
    for cycles_per_beat in range(fastest, fastest * arrays + 1):
        memory = of(accelerator.memory, cycles_per_beat=cycles_per_beat)
        cost = group.executed.cost_on(of(accelerator, memory=memory))
        cycles = max(1, ceil(cost.cycles))
        if cycles > slowest:
            yield Mode(cycles=cycles, share=min(BANDWIDTH, ceil(BANDWIDTH * full.read_cycles / cycles)), kind=ARRAY)
            slowest = cycles
