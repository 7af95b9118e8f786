"""Schedules on several arrays against every order and mode on small cases; legal, and never below their bounds."""

from __future__ import annotations

from itertools import permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapper.across_layers.several_arrays import (
    BANDWIDTH,
    ArraysSchedule,
    Mode,
    Task,
    bounds_of,
    list_schedule,
    schedule_arrays,
)
from model_ir.errors import InputError


@st.composite
def problems(draw: st.DrawFn, largest: int = 5) -> tuple[tuple[Task, ...], tuple[int, ...]]:
    arrays = tuple(draw(st.lists(st.integers(1, 2), min_size=1, max_size=2)))
    tasks = []
    for number in range(draw(st.integers(1, largest))):
        modes = [
            Mode(
                cycles=draw(st.integers(1, 6)),
                share=draw(st.sampled_from((0, 250, 500, 600, 1000))),
                kind=draw(st.integers(0, len(arrays) - 1)),
            )
            for _ in range(draw(st.integers(1, 2)))
        ]
        after = draw(st.sets(st.integers(0, number - 1), max_size=2)) if number else set()
        tasks.append(Task(name=f"t{number}", after=tuple(sorted(after)), modes=tuple(modes)))
    return tuple(tasks), arrays


def _shortest(tasks: tuple[Task, ...], arrays: tuple[int, ...]) -> int:
    """Every order and every mode, each task cycle by cycle as early as it fits: for a makespan one of these is optimal
    (serial schedule generation makes all active schedules; Kolisch, EJOR 90, 1996)."""
    best = sum(max(mode.cycles for mode in task.modes) for task in tasks)
    for modes in product(*(task.modes for task in tasks)):
        for order in permutations(range(len(tasks))):
            if any(order.index(other) > order.index(number) for number in order for other in tasks[number].after):
                continue
            best = min(best, _generated(tasks, arrays, modes, order, best))
    return best


def _generated(
    tasks: tuple[Task, ...], arrays: tuple[int, ...], modes: tuple[Mode, ...], order: tuple[int, ...], best: int
) -> int:
    busy = [[0] * len(arrays) for _ in range(200)]
    share = [0] * 200
    ends: dict[int, int] = {}
    for number in order:
        mode = modes[number]
        start = max((ends[other] for other in tasks[number].after), default=0)
        while any(
            busy[cycle][mode.kind] >= arrays[mode.kind] or share[cycle] + mode.share > BANDWIDTH
            for cycle in range(start, start + mode.cycles)
        ):
            start += 1
        for cycle in range(start, start + mode.cycles):
            busy[cycle][mode.kind] += 1
            share[cycle] += mode.share
        ends[number] = start + mode.cycles
        if ends[number] >= best:
            return best
    return max(ends.values())


def _check(tasks: tuple[Task, ...], arrays: tuple[int, ...], found: ArraysSchedule) -> None:
    """Precedence, one task an array, bandwidth: by looking at every pair and every moment."""
    for placed in found.placed:
        task = tasks[placed.task]
        assert placed.mode in task.modes
        assert placed.end - placed.start == placed.mode.cycles
        assert 0 <= placed.array < arrays[placed.mode.kind]
        assert all(found.placed[other].end <= placed.start for other in task.after)
        running = [other for other in found.placed if other.start <= placed.start < other.end]
        assert sum(other.mode.share for other in running) <= BANDWIDTH
        for other in running:
            if other is not placed and other.mode.kind == placed.mode.kind:
                assert other.array != placed.array
    assert found.cycles == max(placed.end for placed in found.placed)
    assert found.bounds.largest <= found.solve.bound <= found.cycles


@settings(derandomize=True, deadline=None, max_examples=100)
@given(problems())
def test_the_schedule_is_as_short_as_trying_everything_makes_it(
    problem: tuple[tuple[Task, ...], tuple[int, ...]],
) -> None:
    tasks, arrays = problem
    found = schedule_arrays(tasks, arrays, workers=1)
    _check(tasks, arrays, found)
    assert found.solve.status == "optimal"
    assert found.cycles == _shortest(tasks, arrays)
    assert max(end for _, _, end in list_schedule(tasks, arrays)) >= found.cycles


@settings(derandomize=True, deadline=None, max_examples=40)
@given(problems(largest=7))
def test_one_more_array_is_never_slower(problem: tuple[tuple[Task, ...], tuple[int, ...]]) -> None:
    tasks, arrays = problem
    before = schedule_arrays(tasks, arrays, workers=1)
    more = tuple(count + 1 for count in arrays)
    after = schedule_arrays(tasks, more, workers=1)
    _check(tasks, more, after)
    assert after.cycles <= before.cycles


def test_bandwidth_alone_can_bind() -> None:
    hungry = tuple(Task(name=f"t{n}", after=(), modes=(Mode(cycles=10, share=600),)) for n in range(2))
    assert schedule_arrays(hungry, (2,)).cycles == 20
    modest = tuple(
        Task(name=f"t{n}", after=(), modes=(Mode(cycles=10, share=600), Mode(cycles=12, share=500))) for n in range(2)
    )
    assert schedule_arrays(modest, (2,)).cycles == 12
    assert bounds_of(hungry, (2,)).bandwidth == 12
    assert bounds_of(hungry, (2,)).work == 10


def test_what_cannot_be_scheduled_is_refused() -> None:
    task = Task(name="t", after=(), modes=(Mode(cycles=1, share=1),))
    for wrong, message in (
        (Task(name="t", after=(1,), modes=task.modes), "earlier"),
        (Task(name="t", after=(), modes=()), "no way"),
        (Task(name="t", after=(), modes=(Mode(cycles=1, share=1, kind=3),)), "not there"),
        (Task(name="t", after=(), modes=(Mode(cycles=1, share=1001),)), "out of range"),
    ):
        with pytest.raises(InputError, match=message):
            schedule_arrays((wrong,), (1,))
    with pytest.raises(InputError, match="positive"):
        schedule_arrays((task,), (1,), time_limit_seconds=0)
    assert schedule_arrays((), (1,)).cycles == 0
