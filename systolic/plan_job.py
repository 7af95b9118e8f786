"""`systolic plan`: a network scheduled across its layers, on several arrays or under a memory budget, and its page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from mapper.across_layers.fusions import ATTENTION, DEPTHWISE
from mapper.across_layers.menu import MenuOptions
from mapper.across_layers.plan import Group, NetworkPlan, PlanOptions, plan_network
from mapper.across_layers.plan_arrays import HOST, arrays_of_plan
from mapper.across_layers.plan_recomputation import recompute_network
from mapper.across_layers.recomputation import Rematerialisation
from mapper.across_layers.rematerialisation import Node, peaks_of
from mapper.across_layers.several_arrays import BANDWIDTH, ArraysSchedule
from mapper.lower import Layer, lower
from mapper.solve import Objective, Solve
from model_ir.errors import InfeasibleError, InputError
from model_ir.graph import Graph
from reports.plan import (
    ArraysReport,
    BudgetReport,
    BudgetStage,
    Evidence,
    Placement,
    PlanGroup,
    PlanReport,
    PlanResidence,
)
from reports.plan_page import render_plan
from simulator.accelerator import Accelerator
from simulator.accelerator_file import load_accelerator
from systolic.network import NetworkRequest, load_network
from systolic.pipeline import Progress, prepare
from systolic.recording import mapping_text
from systolic.schedule_cache import ScheduleCache
from systolic.text_file import file_name, write_text

NOTES = (
    "Latencies of layers add up: they run one after another. Every figure is the analytical model's, a lower bound of"
    " the cycle engine's, on both sides of each comparison.",
    "A normalisation fused with a matmul needs whole rows of int32 sums in the accumulator twice; that is why it may"
    " cost more than it saves. These groups exist as commands that the engine times; no other fused group does.",
    "A residual is loaded onto the sums, as Gemmini's library loads a low-precision D; its scale is one that the load's"
    " multiplier represents.",
)
_KIND_NOTES = {
    ATTENTION: "Attention as one passes probabilities from the vector unit to the array through the scratchpad:"
    " Gemmini has no such path.",
    DEPTHWISE: "Depthwise with pointwise as one reads the array's input from the accumulator, which Gemmini can and"
    " the engine does not time.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """What `systolic plan` was asked: network, machine, what to minimise; whether results may go to the scratchpad;
    how many arrays and inputs; bytes for activations on chip (None: not asked); where the page goes."""

    network: NetworkRequest
    accelerator: str = "gemmini"
    objective: Objective = "latency"
    result_path: bool = False
    arrays: int = 1
    inputs: int = 1
    memory_budget_bytes: int | None = None
    time_limit_seconds: float = 20.0
    workers: int | None = None
    cache: Path | None = None
    out: Path | None = None


def plan_job(request: PlanRequest, progress: Progress) -> tuple[Path, PlanReport]:
    """The page that was written and what it shows. Raises InputError for a bad option, network or place,
    InfeasibleError for a layer that does not fit the machine and for a budget below what one operator needs."""
    machine = load_accelerator(request.accelerator)
    graph = prepare(load_network(request.network), machine)
    layers = lower(graph, machine, skip_unsupported=request.network.skip_unsupported)
    planned = _Planner(request=request, machine=machine, graph=graph, layers=layers, progress=progress)
    plan = planned.plan(request.result_path)
    report = _report(plan, request, machine)
    if not request.result_path:
        wider = planned.plan(True)
        report = msgspec.structs.replace(report, with_path=(wider.cycles, wider.dram_bytes))
    if request.arrays > 1 or request.inputs > 1:
        report = msgspec.structs.replace(report, arrays=planned.arrays())
    if request.memory_budget_bytes is not None:
        report = msgspec.structs.replace(report, budget=planned.budget(plan, request.memory_budget_bytes))
    page = request.out or Path("runs") / f"plan-{_file_name(request.network.model)}-{machine.name}.html"
    write_text(page, render_plan(report))
    return page, report


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planner:
    """One network on one machine, asked several questions."""

    request: PlanRequest
    machine: Accelerator
    graph: Graph
    layers: tuple[Layer, ...]
    progress: Progress

    def plan(self, result_path: bool, *, stays: bool = True, fuse: bool = True) -> NetworkPlan:
        """The plan, with or without a path to the scratchpad, tensors that stay, and fusion."""
        stage = "schedule" if not result_path else "with path"
        options = PlanOptions(
            menu=MenuOptions(
                objective=self.request.objective,
                workers=self.request.workers,
                cache=ScheduleCache(self.request.cache) if self.request.cache is not None else {},
                progress=lambda done, total: self.progress(stage, done, total),
            ),
            result_path=result_path,
            stays=stays,
            fuse=fuse,
            time_limit_seconds=self.request.time_limit_seconds,
            workers=self._workers,
        )
        return plan_network(self.graph, self.layers, self.machine, options)

    def arrays(self) -> ArraysReport:
        """The shorter schedule of fused groups and of single layers: a fused group cannot be shared."""
        request = self.request
        found: list[tuple[bool, NetworkPlan, ArraysSchedule]] = []
        for fuse in (True, False):
            plan = self.plan(request.result_path, stays=False, fuse=fuse)
            schedule = arrays_of_plan(
                plan,
                self.machine,
                request.arrays,
                inputs=request.inputs,
                time_limit_seconds=request.time_limit_seconds,
                workers=self._workers,
            )
            found.append((fuse, plan, schedule))
        fuse, plan, best = min(found, key=lambda item: item[2].cycles)
        one = min(round(plan.cycles) for _, plan, _ in found) * request.inputs
        return _arrays_report(plan, best, request, fuse, one)

    def budget(self, plan: NetworkPlan, budget_bytes: int) -> BudgetReport:
        """What the memory budget makes of the network, with and without recomputation."""
        ask = partial(
            recompute_network,
            plan,
            self.machine,
            budget_bytes,
            time_limit_seconds=self.request.time_limit_seconds,
            workers=self._workers,
        )
        nodes, answer = ask()
        alone: int | None = None
        if answer.computed_again:
            try:
                alone = ask(recompute=False)[1].cycles
            except (InfeasibleError, InputError):
                alone = None
        return _budget_report(nodes, answer, budget_bytes, alone)

    @property
    def _workers(self) -> int:
        return self.request.workers or os.cpu_count() or 1


def _report(plan: NetworkPlan, request: PlanRequest, machine: Accelerator) -> PlanReport:
    kinds = {group.kind for group in plan.groups}
    return PlanReport(
        network=request.network.model,
        accelerator=machine.name,
        description=machine.description,
        clock_hz=machine.clock_hz,
        objective=request.objective,
        result_path=plan.result_path,
        layers=tuple(step.name for step in plan.steps.steps),
        scratchpad_rows=machine.scratchpad_rows,
        accumulator_rows=machine.accumulator_rows,
        groups=tuple(_group(group, plan) for group in plan.groups),
        residences=tuple(
            PlanResidence(
                tensor=residence.tensor,
                memory=residence.memory,
                rows=residence.rows,
                first=residence.first,
                last=residence.last,
            )
            for residence in plan.residences
        ),
        offered_choices=plan.offered_choices,
        offered_residences=plan.offered_residences,
        evidence=_evidence(plan.solve),
        notes=(*NOTES, *(note for kind, note in _KIND_NOTES.items() if kind in kinds)),
    )


def _group(group: Group, plan: NetworkPlan) -> PlanGroup:
    executed = group.executed
    return PlanGroup(
        names=group.names,
        first=group.numbers[0],
        last=group.numbers[-1],
        kind=group.kind,
        how=mapping_text(executed.mapping) if executed.mapping is not None else executed.what,
        cycles=group.cost.cycles,
        apart_cycles=sum(plan.apart[number].cycles for number in group.numbers),
        dram_bytes=group.cost.dram_bytes,
        apart_dram_bytes=sum(plan.apart[number].dram_bytes for number in group.numbers),
        energy_pj=group.cost.energy_pj,
        scratchpad_rows=group.rows["scratchpad"],
        accumulator_rows=group.rows["accumulator"],
    )


def _arrays_report(
    plan: NetworkPlan, schedule: ArraysSchedule, request: PlanRequest, fused: bool, one_array_cycles: int
) -> ArraysReport:
    groups = plan.groups
    return ArraysReport(
        arrays=request.arrays,
        inputs=request.inputs,
        fused=fused,
        cycles=schedule.cycles,
        one_array_cycles=one_array_cycles,
        critical_path_cycles=schedule.bounds.critical_path,
        work_cycles=schedule.bounds.work,
        bandwidth_cycles=schedule.bounds.bandwidth,
        placements=tuple(
            Placement(
                lane="host" if placed.mode.kind == HOST else f"array {placed.array + 1}",
                names=groups[placed.task % len(groups)].names,
                input=placed.task // len(groups),
                start=placed.start,
                end=placed.end,
                share=placed.mode.share / BANDWIDTH,
            )
            for placed in schedule.placed
        ),
        evidence=_evidence(schedule.solve),
    )


def _budget_report(
    nodes: Sequence[Node], answer: Rematerialisation, budget_bytes: int, alone: int | None
) -> BudgetReport:
    peaks = peaks_of(nodes, answer.stages)
    return BudgetReport(
        budget_bytes=budget_bytes,
        cycles=answer.cycles,
        least_cycles=sum(node.cycles for node in nodes),
        without_recomputing_cycles=alone,
        all_bytes=sum(node.size_bytes for node in nodes),
        stages=tuple(
            BudgetStage(
                name=nodes[number].name,
                peak_bytes=peaks[number],
                fetched=tuple(nodes[node].name for node in stage.fetched),
                computed_again=tuple(nodes[node].name for node in stage.computed if node != number),
            )
            for number, stage in enumerate(answer.stages)
        ),
        evidence=_evidence(answer.solve),
    )


def _evidence(solve: Solve) -> Evidence:
    return Evidence(
        solver=solve.solver,
        status=solve.status,
        minimised=solve.minimised,
        objective=float(solve.objective),
        bound=float(solve.bound),
        gap=solve.gap,
        seconds=solve.wall_seconds,
    )


def _file_name(model: str) -> str:
    name = Path(model).stem if Path(model).suffix in (".onnx", ".qonnx", ".pb") else model
    return file_name(name, otherwise="network")
