"""A plan on a terminal: the same numbers as the page, in 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from reports.plan import PlanGroup, PlanReport, by_kind, change
from reports.plan_figures import ALONE
from reports.units import BY, byte_size, count, percent, printable, shortened, times

_STYLE: Final[dict[str, Any]] = {
    "title_justify": "left",
    "box": SIMPLE_HEAD,
    "pad_edge": False,
    "collapse_padding": True,
}
_NAME_WIDTH: Final = 30


def plan_tables(report: PlanReport, limit: int = 12) -> Iterator[Table]:
    """Totals with proof; gains by kind of group; the groups that gain most; tensors that stay; arrays; budget."""
    yield _totals(report)
    yield _kinds(report)
    alike = _alike(report)
    if alike:
        table = _table(
            f"groups that gain most, of {len(alike)} kinds", "layers", ("as", BY, "cycles", "apart", "change")
        )
        for group, times_alike in alike[:limit]:
            more = f" +{len(group.names) - 1}" if len(group.names) > 1 else ""
            name = shortened(group.names[0], _NAME_WIDTH) + more
            figures = count(group.cycles), count(group.apart_cycles), change(group.cycles, group.apart_cycles)
            _add(table, name, shortened(group.kind, 20), count(times_alike), *figures)
        yield table
    if report.residences:
        table = _table(f"tensors on chip, of {len(report.residences)}", "tensor", ("memory", "rows", "layers"))
        for residence in report.residences[:limit]:
            name = shortened(residence.tensor, _NAME_WIDTH)
            _add(table, name, residence.memory, count(residence.rows), f"{residence.first} to {residence.last}")
        yield table


def _alike(report: PlanReport) -> list[tuple[PlanGroup, int]]:
    """The first of the groups that are executed in another way than before and cost the same, and how many they are;
    those that gain most together come first."""
    found: dict[tuple[str, float, float], tuple[PlanGroup, int]] = {}
    for group in report.groups:
        if group.kind != ALONE:
            key = group.kind, group.cycles, group.apart_cycles
            first, number = found.get(key, (group, 0))
            found[key] = first, number + 1
    return sorted(found.values(), key=lambda item: item[1] * (item[0].cycles - item[0].apart_cycles))


def _totals(report: PlanReport) -> Table:
    evidence = report.evidence
    table = Table(
        title=Text(printable(f"{report.network} across layers on {report.accelerator}")), show_header=False, **_STYLE
    )
    table.add_column("")
    table.add_column("", justify="right")
    table.add_column("", style="dim")
    latency = f"{count(report.apart_cycles)} to {count(report.cycles)} cycles"
    moved = f"{byte_size(report.apart_dram_bytes)} to {byte_size(report.dram_bytes)}"
    _add(table, "latency", change(report.cycles, report.apart_cycles), latency)
    _add(table, "DRAM traffic", change(report.dram_bytes, report.apart_dram_bytes), moved)
    if report.with_path is not None:
        path = f"{change(report.with_path[0], report.apart_cycles)}"
        _add(
            table,
            "with a path to the scratchpad",
            path,
            f"{change(report.with_path[1], report.apart_dram_bytes)} traffic",
        )
    proof = f"gap {percent(evidence.gap)}, {evidence.seconds:.2f} s, minimising {evidence.minimised}"
    _add(table, f"{evidence.solver}", evidence.status, proof)
    _add(table, "groups", count(len(report.groups)), f"of {count(len(report.layers))} layers")
    if (arrays := report.arrays) is not None:
        ratio = times(arrays.one_array_cycles / arrays.cycles) if arrays.cycles else ""
        bounds = max(arrays.critical_path_cycles, arrays.work_cycles, arrays.bandwidth_cycles)
        text = f"{count(arrays.cycles)} cycles, none below {count(bounds)}; {arrays.evidence.status}, gap"
        name = f"{arrays.inputs} input(s) on {arrays.arrays} arrays"
        _add(table, name, ratio, f"{text} {percent(arrays.evidence.gap)}")
    if (budget := report.budget) is not None:
        fetched = sum(len(stage.fetched) for stage in budget.stages)
        again = sum(len(stage.computed_again) for stage in budget.stages)
        text = (
            f"{fetched} fetched, {again} computed again; {budget.evidence.status}, gap {percent(budget.evidence.gap)}"
        )
        _add(table, f"within {byte_size(budget.budget_bytes)}", change(budget.cycles, budget.least_cycles), text)
    return table


def _kinds(report: PlanReport) -> Table:
    table = _table("", "executed as", (BY, "cycles", "apart", "change", "DRAM"))
    for kind, (groups, cycles, apart, moved, moved_apart) in by_kind(report).items():
        _add(table, kind, count(groups), count(cycles), count(apart), change(cycles, apart), change(moved, moved_apart))
    return table


def _table(title: str, first: str, numbers: Sequence[str]) -> Table:
    table = Table(title=Text(printable(title)) if title else None, **_STYLE)
    table.add_column(first, no_wrap=True)
    for head in numbers:
        table.add_column(head, justify="right", no_wrap=True)
    return table


def _add(table: Table, *cells: str) -> None:
    table.add_row(*(Text(printable(cell)) for cell in cells))
