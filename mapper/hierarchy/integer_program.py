"""Mappings of any nest onto any memory hierarchy, each with a proven bound.

The program (`hierarchy.program`) bounds every mapping from below, and the tiles, spreading and orders of its answer are
a mapping up to rounding, from which `hierarchy.descent` moves on while the exact cost falls. What costs more than the
best mapping known is out of question, so a better one makes a tighter program.

Where a gap is allowed nothing is minimised: the program is asked for any point that costs hardly more than its least
without whole numbers, then for any that is better than the best mapping by the gap, until there is none. Without a gap,
or where such points do not round to better mappings, it is solved to the least. Where a nest is small, all mappings
with the tiles and the spreading that the program chose are costed one by one and that choice is struck out: so the
bound rises to the optimum.

The least energy-delay product: a mapping whose cycles lie between two limits costs at least the energy under the larger
times the smaller.
"""

from __future__ import annotations

from math import inf
from time import perf_counter
from typing import Literal, get_args

from mapper.hierarchy.bound import lower_bound
from mapper.hierarchy.cells import Cells
from mapper.hierarchy.descent import Question, found
from mapper.hierarchy.program import Budget
from mapper.hierarchy.run import EXACT, Run, first_mapping
from mapper.solve import Objective, Solve, SolverName
from model_ir.errors import InputError
from simulator.hierarchy.cost import HierarchyCost
from simulator.hierarchy.dataflow import DATAFLOWS
from simulator.hierarchy.description import Dataflow, Hierarchy
from simulator.hierarchy.mapping import HierarchyMapping
from simulator.hierarchy.nest import TensorNest

_BEGIN = 1.1
"""The first budget, over the least cost without whole numbers: the least cost itself is 2 to 25 % above that on the
layers of `benchmarks.bench_hierarchy`, and a solver is the quicker the tighter a budget is."""

_GROWTH = 1.15
"""The next budget over one within which there is nothing."""

_ASKED = 0.9
"""Share of the gap by which a mapping that is asked for shall be better."""

_NARROW = 1.01
"""Ratio of cycles below which no narrower range of them is asked for."""

Goal = Literal["cycles", "bytes", "energy"]
_GOALS: dict[Objective, Goal] = {"latency": "cycles", "traffic": "bytes", "energy": "energy"}


def solve_on_hierarchy(
    nest: TensorNest,
    hierarchy: Hierarchy,
    *,
    objective: Objective = "latency",
    solver: SolverName = "highs",
    flow: Dataflow = DATAFLOWS[0],
    bypass: bool = False,
    gap: float = 0.0,
    time_limit_seconds: float = 10.0,
) -> tuple[HierarchyMapping, HierarchyCost, Solve]:
    """A mapping, its cost, and how far it is at most from any other of that dataflow: within `gap` (relative) unless
    the time runs out. With `bypass` a level need not keep what it stores.

    Raises InfeasibleError where not even tiles of one element fit, InputError for an objective or solver that does not
    exist, and where no mapping with the dataflow was found.
    """
    for path, value, known in (("objective", objective, Objective), ("solver", solver, SolverName)):
        if value not in get_args(known):
            raise InputError(path, f"must be one of {', '.join(get_args(known))}", value=value)
    if not time_limit_seconds > 0:
        raise InputError("time_limit_seconds", "must be positive", value=time_limit_seconds)
    if not 0 <= gap < 1:
        raise InputError("gap", "must be at least 0 and below 1", value=gap)
    started = perf_counter()
    question = Question(nest=nest, hierarchy=hierarchy, objective=objective, flow=flow, bypass=bypass)
    deadline = started + time_limit_seconds
    run = Run(question=question, solver=solver, gap=gap, deadline=deadline, best=first_mapping(question))
    run.bound = min(run.best.key[0], lower_bound(nest, hierarchy, objective))
    if objective == "energy_delay_product":
        _close_product(run)
    else:
        _close(run, _GOALS[objective])
    return run.best.mapping, run.best.cost, run.evidence(perf_counter() - started)


def _close(run: Run, goal: Goal) -> None:
    """Until the bound meets the best mapping, or nothing helps, or time is out."""
    cells = Cells.of(run.question.nest, run.question.hierarchy)
    run.annealed = cells.ways is not None
    if run.gap and run.open:
        run.prove(_approach(run, goal, run.best.key[0]))
        _refute(run, goal)
    _strike(run, goal, cells)


def _approach(run: Run, goal: Goal, most: float, cycles: float | None = None) -> float:
    """Round a point of the program under a budget that is hardly above its least: budgets grow until there is one.
    The result is what every mapping (of so many cycles) costs at least."""
    program, proven = run.program(Budget(**{"cycles": cycles, goal: most})), 0.0
    share = run.relaxed(program, getattr(program, goal))
    budget = most if share is None else min(most, share * most * _BEGIN)
    while perf_counter() < run.deadline:
        program = run.program(Budget(**{"cycles": cycles, goal: budget}))
        nothing, point = run.anything(program)
        if point is not None:
            run.round(program, point)
        if not nothing:
            break
        proven = budget
        if budget >= most:
            break
        budget = min(most, budget * _GROWTH)
    return proven


def _refute(run: Run, goal: Goal) -> None:
    """Ask for what is better than the best mapping by the gap, until there is nothing, or nothing that rounds to
    better."""
    while run.open:
        best = run.best.key[0]
        wanted = best * (1 - _ASKED * run.gap)
        program = run.program(Budget(**{goal: wanted}))
        nothing, point = run.anything(program)
        if nothing:
            run.prove(wanted)
        if point is None:
            return
        run.round(program, point)
        if run.best.key[0] >= best:
            return


def _strike(run: Run, goal: Goal, cells: Cells) -> None:
    """Solve to the least, round and strike out."""
    while run.open:
        budget = run.best.key[0] * (1 + EXACT)
        program = run.program(Budget(**{goal: budget}))
        least, values = run.least(program, getattr(program, goal), budget)
        run.prove(least)
        if values is None or not run.open:
            return
        before = run.best.key[0]
        run.round(program, values)
        run.anneal()
        cell = cells.at(program, values)
        if cell is not None and cell not in run.struck:
            for mapping in cells.mappings(cell, run.question):
                run.take(found(run.question, mapping))
            run.struck.append(cell)
        elif run.best.key[0] >= before:
            return


def _close_product(run: Run) -> None:
    """As `_close`, for the energy-delay product."""
    if run.gap and run.open:
        _approach_product(run)
        _refute_product(run)
    if run.open:
        _sweep(run)


def _approach_product(run: Run) -> None:
    """Round a point of little energy among those of few cycles."""
    program = run.program(Budget(cycles=run.best.cost.cycles))
    share = run.relaxed(program, program.cycles)
    if share is not None:
        cost = run.best.cost
        _approach(run, "energy", cost.energy_pj, cycles=min(1.0, share * _BEGIN) * cost.cycles)


def _refute_product(run: Run) -> None:
    """Ask for what is better than the best mapping by the gap. Few cycles may take much energy, and many take little:
    so range by range of cycles, each as wide as there is nothing in it."""
    low = lower_bound(run.question.nest, run.question.hierarchy, "latency")
    energy = lower_bound(run.question.nest, run.question.hierarchy, "energy")
    width = 1 + run.gap
    while run.open:
        best = run.best.key[0]
        wanted = best * (1 - _ASKED * run.gap)
        if low * energy >= wanted:
            run.prove(wanted)
            return
        program = run.program(Budget(cycles=low * width, energy=wanted / low))
        nothing, point = run.anything(program)
        if nothing:
            low, width = low * width, width**2
            continue
        if point is None:
            return
        run.round(program, point)
        if run.best.key[0] >= best:
            width **= 0.5
            if width < _NARROW:
                return


def _sweep(run: Run) -> None:
    """Least energies under ever more cycles."""
    least_cycles, least_energy = _least(run, "cycles", inf), _least(run, "energy", inf)
    run.bound = max(run.bound, least_cycles * least_energy)
    low, settled = least_cycles, inf
    while low * least_energy < min(run.best.key[0], settled) and perf_counter() < run.deadline:
        high = low * (1 + max(0.02, run.gap / 2))
        energy = max(least_energy, _least(run, "energy", high))
        settled = min(settled, low * energy)
        low = high
    run.bound = min(run.best.key[0], max(run.bound, min(settled, low * least_energy)))


def _least(run: Run, goal: Goal, cycles: float) -> float:
    """The least of a goal, of mappings of at most so many cycles that are not worse than the best."""
    product, cost = run.best.key[0], run.best.cost
    floors = {
        "cycles": lower_bound(run.question.nest, run.question.hierarchy, "latency"),
        "energy": lower_bound(run.question.nest, run.question.hierarchy, "energy"),
    }
    most = {"cycles": product / floors["energy"], "energy": product / floors["cycles"]}
    if goal == "cycles":
        budget = Budget(cycles=min(most["cycles"], cost.cycles))
        full = budget.cycles
    else:
        budget = Budget(energy=most["energy"], cycles=cycles if cycles < inf else None)
        full = budget.energy
    assert full is not None
    program = run.program(budget)
    least, values = run.least(program, getattr(program, goal), full)
    if values is not None:
        run.round(program, values)
    return max(least, floors[goal])
