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

from mapper.across_layers.rematerialisation import Node, Stage, check_nodes, cost_of, paged, peak_of
from mapper.solve import Solve
from model_ir.errors import InfeasibleError, InputError


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
    recompute: bool = True,
    reach: int | None = None,
    time_limit_seconds: float = 20.0,
    workers: int = 2,
) -> Rematerialisation:
    """The cheapest schedule within `budget_bytes`; without `paging` tensors can only be kept or computed again,
    without `recompute` only kept or fetched again.

    `reach` leaves out what is far: a tensor is kept, fetched or computed in a stage only up to its last reader's, or up
    to `reach` stages after its own (None: no limit, the program as printed). Raises InfeasibleError where an operator's
    operands and result exceed the budget, or no schedule does not; InputError for nodes out of order and a time limit
    that is not positive or, without paging, too short for any answer.
    """
    if not time_limit_seconds > 0:
        raise InputError("time_limit_seconds", "must be positive", value=time_limit_seconds)
    check_nodes(nodes, budget_bytes)
    started = perf_counter()
    program = _Program(nodes=nodes, budget=budget_bytes, paging=paging, recompute=recompute, reach=reach)
    program.build()
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = time_limit_seconds
    solver.parameters.num_workers = workers
    solver.parameters.random_seed = 0
    fallback = paged(nodes, budget_bytes) if paging else None
    if fallback is not None:
        program.hint(fallback)
    status = solver.solve(program.model)
    if status == cp_model.INFEASIBLE:
        raise InfeasibleError(
            "schedules under the memory budget",
            demand=1,
            capacity=0,
            unit="found",
            hint=f"a budget of {sum(node.size_bytes for node in nodes)} bytes holds everything",
        )
    found = [] if fallback is None else [fallback]
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        found.append(program.stages(solver))
    if not found:
        raise InputError("time_limit_seconds", "no answer in that time", value=time_limit_seconds)
    stages = min(found, key=lambda answer: cost_of(nodes, answer))
    cycles = cost_of(nodes, stages)
    # Whatever else is done, every tensor is computed once.
    least = max(sum(node.cycles for node in nodes), ceil(solver.best_objective_bound - 1e-6))
    bound = cycles if status == cp_model.OPTIMAL else min(cycles, least)
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


@dataclass(slots=True, kw_only=True)
class _Program:
    """The CP-SAT model; variables by (stage, node), a missing one is zero."""

    nodes: Sequence[Node]
    budget: int
    paging: bool
    recompute: bool
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
                if not self.recompute:
                    model.add(computed == 0)
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

    def hint(self, stages: Sequence[Stage]) -> None:
        """Start the search from `stages`."""
        for table, part in (
            (self.keep, "kept"),
            (self.fetch, "fetched"),
            (self.compute, "computed"),
            (self.store, "stored"),
        ):
            for (stage, node), variable in table.items():
                self.model.add_hint(variable, node in getattr(stages[stage], part))

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
