"""A plan across the layers of a network, as numbers and names: what the page, the terminal and JSON show of it."""

from __future__ import annotations

from typing import Any

import msgspec


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a solver says of its answer; `objective` and `bound` in the unit of what it minimised."""

    solver: str
    status: str
    minimised: str
    objective: float
    bound: float
    gap: float
    seconds: float


class PlanGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Layers `first` to `last` executed as one, or one alone: what it costs, and what its layers cost one by one."""

    names: tuple[str, ...]
    first: int
    last: int
    kind: str
    how: str
    cycles: float
    apart_cycles: float
    dram_bytes: int
    apart_dram_bytes: int
    energy_pj: float
    scratchpad_rows: int
    accumulator_rows: int


class PlanResidence(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor that stays on chip from layer `first` to layer `last`."""

    tensor: str
    memory: str
    rows: int
    first: int
    last: int


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """A group on an array: cycles [start, end), and its mean share of the memory's bandwidth."""

    lane: str
    names: tuple[str, ...]
    input: int
    start: int
    end: int
    share: float


class ArraysReport(msgspec.Struct, frozen=True, kw_only=True):
    """The schedule of `inputs` inputs on `arrays` arrays, beside the same work on one; `fused` says whether groups were
    fused for it."""

    arrays: int
    inputs: int
    fused: bool
    cycles: int
    one_array_cycles: int
    critical_path_cycles: int
    work_cycles: int
    bandwidth_cycles: int
    placements: tuple[Placement, ...]
    evidence: Evidence


class BudgetStage(msgspec.Struct, frozen=True, kw_only=True):
    """One stage under the memory budget: the tensor it makes first, bytes on chip at most, and what comes again."""

    name: str
    peak_bytes: int
    fetched: tuple[str, ...]
    computed_again: tuple[str, ...]


class BudgetReport(msgspec.Struct, frozen=True, kw_only=True):
    """What keeping within `budget_bytes` of activations costs: `least_cycles` is everything computed once, nothing
    fetched; `without_recomputing_cycles` is paging alone (None: not found)."""

    budget_bytes: int
    cycles: int
    least_cycles: int
    without_recomputing_cycles: int | None
    all_bytes: int
    stages: tuple[BudgetStage, ...]
    evidence: Evidence


class PlanReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole plan; `with_path` are cycles and bytes if results could also go to the scratchpad (None: not asked)."""

    network: str
    accelerator: str
    description: str
    clock_hz: float
    objective: str
    result_path: bool
    layers: tuple[str, ...]
    scratchpad_rows: int
    accumulator_rows: int
    groups: tuple[PlanGroup, ...]
    residences: tuple[PlanResidence, ...]
    offered_choices: int
    offered_residences: int
    evidence: Evidence
    notes: tuple[str, ...]
    with_path: tuple[float, int] | None = None
    arrays: ArraysReport | None = None
    budget: BudgetReport | None = None

    @property
    def cycles(self) -> float:
        """Latency of the plan."""
        return sum(group.cycles for group in self.groups)

    @property
    def apart_cycles(self) -> float:
        """Latency layer by layer."""
        return sum(group.apart_cycles for group in self.groups)

    @property
    def dram_bytes(self) -> int:
        """Bytes over the memory port."""
        return sum(group.dram_bytes for group in self.groups)

    @property
    def apart_dram_bytes(self) -> int:
        """Bytes over the memory port, layer by layer."""
        return sum(group.apart_dram_bytes for group in self.groups)


def by_kind(report: PlanReport) -> dict[str, tuple[int, float, float, int, int]]:
    """For every kind of group: how many, cycles planned and layer by layer, DRAM bytes planned and layer by layer; what
    gains most comes first."""
    found: dict[str, tuple[int, float, float, int, int]] = {}
    for group in report.groups:
        count, cycles, apart, moved, moved_apart = found.get(group.kind, (0, 0.0, 0.0, 0, 0))
        found[group.kind] = (
            count + 1,
            cycles + group.cycles,
            apart + group.apart_cycles,
            moved + group.dram_bytes,
            moved_apart + group.apart_dram_bytes,
        )
    return dict(sorted(found.items(), key=lambda item: item[1][1] - item[1][2]))


def change(planned: float, apart: float) -> str:
    """How much less or more, in percent: "-7.4 %"."""
    return f"{100 * (planned / apart - 1):+.1f} %" if apart else "0.0 %"


def plan_as_json(report: PlanReport) -> dict[str, Any]:
    """The report as plain JSON values, with its totals."""
    plain: dict[str, Any] = msgspec.to_builtins(report)
    totals = {
        "cycles": report.cycles,
        "apart_cycles": report.apart_cycles,
        "dram_bytes": report.dram_bytes,
        "apart_dram_bytes": report.apart_dram_bytes,
    }
    return {"totals": totals, **plain}
