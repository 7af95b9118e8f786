"""Compute again, keep, or fetch again: which tensors are on chip when, under a memory budget, at least cost.

Checkmate's integer program (Jain et al., arXiv 1910.02653, section 4), and POET's paging beside it (Patil et al., arXiv
2207.07697, section 4). The computation is unrolled into stages; stage t is the first to compute tensor t and may
compute earlier ones again. Binaries: R computes a tensor in a stage, S keeps it into the stage, FREE drops it after its
last use there (Checkmate's); L fetches it from memory as the stage begins, W writes it to memory once (POET's).
Minimised: the cycles of all R, L and W. Every moment of every stage fits the budget, operands and result of an operator
at once.

Without prices for L and W it is Checkmate's program as printed: recomputation or nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil
from time import perf_counter
from typing import Any

from ortools.sat.python import cp_model

from mapper.solve import Solve
from model_ir.errors import InfeasibleError, InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A tensor and the operator that makes it from the tensors `operands` (numbers of earlier nodes).

    `cycles` to compute it with its operands on chip, `size_bytes` on chip, `fetch_cycles` and `store_cycles` to move it
    between chip and memory. `in_memory`: it is there from the start (an input of the network).
    """

    name: str
    operands: tuple[int, ...]
    cycles: int
    size_bytes: int
    fetch_cycles: int = 0
    store_cycles: int = 0
    in_memory: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What one stage does: tensors kept from before, fetched at its start, computed in order, written to memory."""

    kept: tuple[int, ...]
    fetched: tuple[int, ...]
    computed: tuple[int, ...]
    stored: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rematerialisation:
    """The stages, their cost and the most bytes on chip at once, with the solver's evidence."""

    stages: tuple[Stage, ...]
    cycles: int
    peak_bytes: int
    solve: Solve

    @property
    def computed_again(self) -> tuple[int, ...]:
        """Tensors computed in a later stage than their own, once for each time."""
        return tuple(node for number, stage in enumerate(self.stages) for node in stage.computed if node != number)

    @property
    def fetched_again(self) -> tuple[int, ...]:
        """Tensors fetched from memory, once for each time."""
        return tuple(node for stage in self.stages for node in stage.fetched)


def rematerialise(
    nodes: Sequence[Node],
    budget_bytes: int,
    *,
    paging: bool = True,
    reach: int | None = None,
    time_limit_seconds: float = 20.0,
    workers: int = 2,
) -> Rematerialisation:
    """The cheapest schedule within `budget_bytes`; without `paging` tensors can only be kept or computed again.

    `reach` leaves out what is far: a tensor is kept, fetched or computed in a stage only up to its last reader's, or up
    to `reach` stages after its own (None: no limit, the program as printed). Raises InfeasibleError where an operator's
    operands and result exceed the budget, or no schedule does not; InputError for nodes out of order and a time limit
    that is not positive or too short for any answer.
    """
    if not time_limit_seconds > 0:
        raise InputError("time_limit_seconds", "must be positive", value=time_limit_seconds)
    check_nodes(nodes, budget_bytes)
    started = perf_counter()
    program = _Program(nodes=nodes, budget=budget_bytes, paging=paging, reach=reach)
    program.build()
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = time_limit_seconds
    solver.parameters.num_workers = workers
    solver.parameters.random_seed = 0
    status = solver.solve(program.model)
    if status == cp_model.INFEASIBLE:
        raise InfeasibleError(
            "schedules under the memory budget",
            demand=1,
            capacity=0,
            unit="found",
            hint=f"a budget of {sum(node.size_bytes for node in nodes)} bytes holds everything",
        )
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        raise InputError("time_limit_seconds", "no answer in that time", value=time_limit_seconds)
    stages = program.stages(solver)
    cycles = cost_of(nodes, stages)
    bound = cycles if status == cp_model.OPTIMAL else min(cycles, ceil(solver.best_objective_bound - 1e-6))
    return Rematerialisation(
        stages=stages,
        cycles=cycles,
        peak_bytes=peak_of(nodes, stages),
        solve=Solve(
            solver="cp-sat",
            status="optimal" if bound == cycles else "feasible",
            minimised="latency",
            objective=cycles,
            bound=bound,
            tie_objective=0,
            tie_bound=0,
            wall_seconds=perf_counter() - started,
            branches=solver.num_branches,
            conflicts=solver.num_conflicts,
        ),
    )


def check_nodes(nodes: Sequence[Node], budget_bytes: int) -> None:
    """Raise InputError for operands that are not earlier nodes, InfeasibleError for an operator too large alone."""
    for number, node in enumerate(nodes):
        if any(not 0 <= operand < number for operand in node.operands):
            raise InputError(f"nodes[{number}].operands", "must be earlier nodes", value=node.operands)
        needed = node.size_bytes + sum(nodes[operand].size_bytes for operand in set(node.operands))
        if needed > budget_bytes:
            raise InfeasibleError(
                f"operands and result of {node.name}", demand=needed, capacity=budget_bytes, unit="bytes"
            )


def cost_of(nodes: Sequence[Node], stages: Sequence[Stage]) -> int:
    """Cycles of everything computed, fetched and stored."""
    return sum(
        sum(nodes[node].cycles for node in stage.computed)
        + sum(nodes[node].fetch_cycles for node in stage.fetched)
        + sum(nodes[node].store_cycles for node in stage.stored)
        for stage in stages
    )


def peak_of(nodes: Sequence[Node], stages: Sequence[Stage]) -> int:
    """Replay `stages` and return the most bytes on chip at once; raises InputError where an operand is missing.

    A tensor leaves as soon as its last reader of the stage is done, unless the next stage keeps it.
    """
    peak, memory = 0, {number for number, node in enumerate(nodes) if node.in_memory}
    before: set[int] = set()
    for number, stage in enumerate(stages):
        following = set(stages[number + 1].kept) if number + 1 < len(stages) else set()
        if not set(stage.kept) <= before or not set(stage.fetched) <= memory:
            raise InputError(f"stages[{number}]", "keeps or fetches what is not there")
        present = set(stage.kept) | set(stage.fetched)
        seen = set(present)
        peak = max(peak, sum(nodes[node].size_bytes for node in present))
        for place, node in enumerate(stage.computed):
            if not set(nodes[node].operands) <= present:
                raise InputError(f"stages[{number}]", "computes without an operand", value=node)
            present.add(node)
            seen.add(node)
            peak = max(peak, sum(nodes[one].size_bytes for one in present))
            later = {operand for other in stage.computed[place + 1 :] for operand in nodes[other].operands}
            present -= {one for one in (*nodes[node].operands, node) if one not in later and one not in following}
        if not set(stage.stored) <= seen:
            raise InputError(f"stages[{number}]", "stores what is not there")
        memory |= set(stage.stored)
        before = seen
    return peak


@dataclass(slots=True, kw_only=True)
class _Program:
    """The CP-SAT model; variables by (stage, node), a missing one is zero."""

    nodes: Sequence[Node]
    budget: int
    paging: bool
    reach: int | None
    model: Any = field(default_factory=cp_model.CpModel)
    compute: dict[tuple[int, int], Any] = field(default_factory=dict)
    keep: dict[tuple[int, int], Any] = field(default_factory=dict)
    fetch: dict[tuple[int, int], Any] = field(default_factory=dict)
    store: dict[tuple[int, int], Any] = field(default_factory=dict)

    def build(self) -> None:
        """All variables and constraints."""
        readers: list[list[int]] = [[] for _ in self.nodes]
        for number, reader in enumerate(self.nodes):
            for operand in set(reader.operands):
                readers[operand].append(number)
        for stage, node in self._pairs(readers):
            self.compute[stage, node] = self.model.new_bool_var("")
            if node < stage:
                self.keep[stage, node] = self.model.new_bool_var("")
                if self.paging:
                    self.fetch[stage, node] = self.model.new_bool_var("")
            if self.paging and not self.nodes[node].in_memory:
                self.store[stage, node] = self.model.new_bool_var("")
        for stage in range(len(self.nodes)):
            self._stage(stage)
            self._memory(stage, readers)
        self.model.minimize(
            sum(self.nodes[node].cycles * variable for (_, node), variable in self.compute.items())
            + sum(self.nodes[node].fetch_cycles * variable for (_, node), variable in self.fetch.items())
            + sum(self.nodes[node].store_cycles * variable for (_, node), variable in self.store.items())
        )

    def _pairs(self, readers: list[list[int]]) -> Iterator[tuple[int, int]]:
        for stage in range(len(self.nodes)):
            for node in range(stage + 1):
                last = max(readers[node], default=node)
                if self.reach is None or stage <= max(last, node + self.reach):
                    yield stage, node

    def _stage(self, stage: int) -> None:
        """What a stage may do, given the one before."""
        model = self.model
        model.add(self.compute[stage, stage] == 1)
        for node in range(stage + 1):
            computed = self.compute.get((stage, node), 0)
            if (stage, node) not in self.compute:
                continue
            kept, fetched = self.keep.get((stage, node), 0), self.fetch.get((stage, node), 0)
            if node < stage:
                model.add(computed + kept + fetched <= 1)
                model.add(kept <= sum(self._there(stage - 1, node)))
                if self.paging and not self.nodes[node].in_memory:
                    written = [self.store[s, node] for s in range(node, stage) if (s, node) in self.store]
                    model.add(fetched <= sum(written))
            if (stage, node) in self.store:
                model.add(self.store[stage, node] <= sum(self._there(stage, node)))
            for operand in set(self.nodes[node].operands):
                model.add(computed <= sum(self._there(stage, operand)))

    def _there(self, stage: int, node: int) -> list[Any]:
        """What makes `node` present at some moment of `stage`."""
        return [table[stage, node] for table in (self.compute, self.keep, self.fetch) if (stage, node) in table]

    def _memory(self, stage: int, readers: list[list[int]]) -> None:
        """U of Checkmate: bytes on chip after each computation, before what it sets free is gone."""
        sizes = [node.size_bytes for node in self.nodes]
        used = sum(
            sizes[node] * variable
            for table in (self.keep, self.fetch)
            for node in range(stage)
            if (variable := table.get((stage, node))) is not None
        )
        self.model.add(used <= self.budget)
        for node in range(stage + 1):
            if (stage, node) not in self.compute:
                continue
            used = used + sizes[node] * self.compute[stage, node]
            level = self.model.new_int_var(0, self.budget, "")
            self.model.add(level == used)
            used = level
            for freed in {node, *self.nodes[node].operands}:
                used = used - sizes[freed] * self._free(stage, node, freed, readers[freed])

    def _free(self, stage: int, node: int, freed: int, readers: list[int]) -> Any:
        """FREE: `node` is computed, nobody after it in the stage reads `freed`, and the next stage does not keep it."""
        later = [self.compute[stage, other] for other in readers if other > node and (stage, other) in self.compute]
        kept = [self.keep[stage + 1, freed]] if (stage + 1, freed) in self.keep else []
        variable = self.model.new_bool_var("")
        self.model.add_implication(variable, self.compute[stage, node])
        for hazard in (*later, *kept):
            self.model.add_implication(variable, ~hazard)
        return variable

    def stages(self, solver: Any) -> tuple[Stage, ...]:
        """The solver's answer."""

        def chosen(table: dict[tuple[int, int], Any], stage: int) -> tuple[int, ...]:
            return tuple(
                node for node in range(stage + 1) if (stage, node) in table and solver.boolean_value(table[stage, node])
            )

        return tuple(
            Stage(
                kept=chosen(self.keep, stage),
                fetched=chosen(self.fetch, stage),
                computed=chosen(self.compute, stage),
                stored=chosen(self.store, stage),
            )
            for stage in range(len(self.nodes))
        )
