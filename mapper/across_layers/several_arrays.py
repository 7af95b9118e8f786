"""Which array does which layer when: tasks with precedence on arrays that share one memory, by CP-SAT intervals.

A task runs on one array of a kind from start to end without pause, in one of its modes. A mode states the cycles and
the share of the shared memory's bandwidth that the task takes on average meanwhile; the shares of all that run at a
time stay within the whole (a cumulative, as in resource-constrained project scheduling: Brucker et al., EJOR 112,
1999). Arrays of a kind are alike, so how many are busy is a cumulative too, and who does what follows from the
intervals: the first free.

An average share is a fluid picture: tasks may still meet in bursts, which `simulator.shared` times for command streams.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from time import perf_counter
from typing import Any

from ortools.sat.python import cp_model

from mapper.solve import Solve
from model_ir.errors import InputError

BANDWIDTH = 1000
"""The shared memory's whole bandwidth in the unit of a mode's share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One way to run a task: on an array of `kind`, in `cycles`, with `share` of BANDWIDTH."""

    cycles: int
    share: int
    kind: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Work that follows the tasks numbered in `after`."""

    name: str
    after: tuple[int, ...]
    modes: tuple[Mode, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where and when a task runs: array `array` of the mode's kind, cycles [start, end)."""

    task: int
    mode: Mode
    array: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Least cycles of any schedule: the longest chain of tasks, the work shared evenly by the arrays that may do it,
    and the traffic at full bandwidth."""

    critical_path: int
    work: int
    bandwidth: int

    @property
    def largest(self) -> int:
        """The one that binds."""
        return max(self.critical_path, self.work, self.bandwidth)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArraysSchedule:
    """Every task's place, in the order of tasks, with the bounds and the solver's evidence."""

    placed: tuple[Placed, ...]
    cycles: int
    bounds: Bounds
    solve: Solve


def schedule_arrays(
    tasks: Sequence[Task], arrays: Sequence[int], *, time_limit_seconds: float = 20.0, workers: int = 2
) -> ArraysSchedule:
    """The shortest schedule of `tasks` on `arrays[kind]` arrays of every kind, started from a list schedule.

    Raises InputError for tasks out of order, modes no array can run, and a time limit that is not positive.
    """
    if not time_limit_seconds > 0:
        raise InputError("time_limit_seconds", "must be positive", value=time_limit_seconds)
    check_tasks(tasks, arrays)
    started = perf_counter()
    bounds = bounds_of(tasks, arrays)
    listed = min((list_schedule(tasks, arrays, most) for most in _limits(arrays)), key=_length)
    horizon = _length(listed)
    branches = conflicts = 0
    timed, bound = listed, bounds.largest
    if horizon > bound:
        model, starts, chosen = _model(tasks, arrays, horizon, bound)
        for number, (mode, start, _) in enumerate(listed):
            model.add_hint(starts[number], start)
            for place, variable in enumerate(chosen[number]):
                model.add_hint(variable, tasks[number].modes[place] == mode)
        solver = cp_model.CpSolver()
        solver.parameters.max_time_in_seconds = time_limit_seconds
        solver.parameters.num_workers = workers
        solver.parameters.random_seed = 0
        status = solver.solve(model)
        branches, conflicts = solver.num_branches, solver.num_conflicts
        if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            timed = _timed(tasks, starts, chosen, solver)
        cycles = _length(timed)
        proven = cycles if status == cp_model.OPTIMAL else ceil(solver.best_objective_bound - 1e-6)
        bound = min(cycles, max(bound, proven))
    cycles = _length(timed)
    return ArraysSchedule(
        placed=_on_arrays(timed, arrays),
        cycles=cycles,
        bounds=bounds,
        solve=Solve(
            solver="cp-sat",
            status="optimal" if bound == cycles else "feasible",
            minimised="latency",
            objective=cycles,
            bound=bound,
            tie_objective=0,
            tie_bound=0,
            wall_seconds=perf_counter() - started,
            branches=branches,
            conflicts=conflicts,
        ),
    )


def check_tasks(tasks: Sequence[Task], arrays: Sequence[int]) -> None:
    """Raise InputError for what cannot be scheduled."""
    for number, task in enumerate(tasks):
        if any(not 0 <= other < number for other in task.after):
            raise InputError(f"tasks[{number}].after", "must be earlier tasks", value=task.after)
        if not task.modes:
            raise InputError(f"tasks[{number}].modes", "has no way to run")
        for mode in task.modes:
            if not 0 <= mode.kind < len(arrays) or arrays[mode.kind] < 1:
                raise InputError(f"tasks[{number}].modes", "needs an array that is not there", value=mode.kind)
            if mode.cycles < 0 or not 0 <= mode.share <= BANDWIDTH:
                raise InputError(f"tasks[{number}].modes", "share or cycles out of range", value=mode, limit=BANDWIDTH)


def bounds_of(tasks: Sequence[Task], arrays: Sequence[int]) -> Bounds:
    """What no schedule beats."""
    ends: list[int] = []
    for task in tasks:
        begin = max((ends[other] for other in task.after), default=0)
        ends.append(begin + min(mode.cycles for mode in task.modes))
    work = 0
    for kinds in {frozenset(mode.kind for mode in task.modes) for task in tasks}:
        bound_to = [task for task in tasks if {mode.kind for mode in task.modes} <= kinds]
        least = sum(min(mode.cycles for mode in task.modes) for task in bound_to)
        work = max(work, -(-least // sum(arrays[kind] for kind in kinds)))
    traffic = sum(min(mode.cycles * mode.share for mode in task.modes) for task in tasks)
    return Bounds(critical_path=max(ends, default=0), work=work, bandwidth=-(-traffic // BANDWIDTH))


Timed = list[tuple[Mode, int, int]]
"""Mode, start and end of every task."""


def _length(timed: Timed) -> int:
    return max((end for _, _, end in timed), default=0)


def _limits(arrays: Sequence[int]) -> tuple[int, ...]:
    """Shares that list schedules try to keep each task below: the whole bandwidth, a half, a third, ... so that none
    keeps the others waiting."""
    return tuple(BANDWIDTH // parts for parts in range(1, max(arrays, default=1) + 1))


def list_schedule(tasks: Sequence[Task], arrays: Sequence[int], most_share: int = BANDWIDTH) -> Timed:
    """Each task, most urgent chain first, as early as possible in the mode that ends first, of those that take at most
    `most_share` where a task has any."""
    urgency = [0] * len(tasks)
    for number in reversed(range(len(tasks))):
        urgency[number] += min(mode.cycles for mode in tasks[number].modes)
        for other in tasks[number].after:
            urgency[other] = max(urgency[other], urgency[number])
    placed: dict[int, tuple[Mode, int, int]] = {}
    waiting = set(range(len(tasks)))
    while waiting:
        ready = [number for number in waiting if all(other in placed for other in tasks[number].after)]
        number = max(ready, key=lambda candidate: (urgency[candidate], -candidate))
        release = max((placed[other][2] for other in tasks[number].after), default=0)
        options = [
            (start + mode.cycles, start, place)
            for place, mode in enumerate(tasks[number].modes)
            if mode.share <= most_share or all(other.share > most_share for other in tasks[number].modes)
            for start in (earliest(mode, release, list(placed.values()), arrays),)
        ]
        end, start, place = min(options)
        placed[number] = tasks[number].modes[place], start, end
        waiting.remove(number)
    return [placed[number] for number in range(len(tasks))]


def earliest(mode: Mode, release: int, placed: Timed, arrays: Sequence[int]) -> int:
    """The first cycle from `release` on at which `mode` fits beside what is `placed`, for all of its cycles."""
    placed = [other for other in placed if other[2] > release]
    for start in sorted({release, *(end for _, _, end in placed)}):
        end = start + mode.cycles
        moments = [start, *(begin for _, begin, _ in placed if start < begin < end)]
        if all(_room(mode, moment, placed, arrays) for moment in moments):
            return start
    raise AssertionError("after the last task there is room")


def _room(mode: Mode, moment: int, placed: Timed, arrays: Sequence[int]) -> bool:
    running = [other for other, begin, end in placed if begin <= moment < end]
    busy = sum(other.kind == mode.kind for other in running)
    return busy < arrays[mode.kind] and sum(other.share for other in running) + mode.share <= BANDWIDTH


def _model(
    tasks: Sequence[Task], arrays: Sequence[int], horizon: int, bound: int
) -> tuple[Any, list[Any], list[list[Any]]]:
    model = cp_model.CpModel()
    starts = [model.new_int_var(0, horizon, f"start {number}") for number in range(len(tasks))]
    ends = [model.new_int_var(0, horizon, f"end {number}") for number in range(len(tasks))]
    chosen: list[list[Any]] = []
    by_kind: list[list[Any]] = [[] for _ in arrays]
    shares: list[tuple[Any, int]] = []
    for number, task in enumerate(tasks):
        modes = [model.new_bool_var(f"mode {number} {place}") for place in range(len(task.modes))]
        model.add_exactly_one(modes)
        for mode, variable in zip(task.modes, modes, strict=True):
            interval = model.new_optional_interval_var(starts[number], mode.cycles, ends[number], variable, "")
            by_kind[mode.kind].append(interval)
            if mode.share:
                shares.append((interval, mode.share))
        for other in task.after:
            model.add(starts[number] >= ends[other])
        chosen.append(modes)
    for intervals, available in zip(by_kind, arrays, strict=True):
        if intervals:
            model.add_cumulative(intervals, [1] * len(intervals), available)
    if shares:
        model.add_cumulative([interval for interval, _ in shares], [share for _, share in shares], BANDWIDTH)
    last = model.new_int_var(bound, horizon, "last")
    model.add_max_equality(last, ends)
    model.minimize(last)
    return model, starts, chosen


def _timed(tasks: Sequence[Task], starts: list[Any], chosen: list[list[Any]], solver: Any) -> Timed:
    timed = []
    for task, start, modes in zip(tasks, starts, chosen, strict=True):
        mode = next(mode for mode, variable in zip(task.modes, modes, strict=True) if solver.boolean_value(variable))
        begin = solver.value(start)
        timed.append((mode, begin, begin + mode.cycles))
    return timed


def _on_arrays(timed: Timed, arrays: Sequence[int]) -> tuple[Placed, ...]:
    """Give every task the first array of its kind that is free: intervals of which at most n overlap need only n."""
    free = [[0] * count for count in arrays]
    placed: dict[int, Placed] = {}
    for number, (mode, start, end) in _by_start(timed):
        array = next(index for index, until in enumerate(free[mode.kind]) if until <= start)
        free[mode.kind][array] = end
        placed[number] = Placed(task=number, mode=mode, array=array, start=start, end=end)
    return tuple(placed[number] for number in range(len(timed)))


def _by_start(timed: Timed) -> Iterator[tuple[int, tuple[Mode, int, int]]]:
    return iter(sorted(enumerate(timed), key=lambda item: (item[1][1], item[1][2])))
