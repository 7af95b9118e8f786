"""A plan across layers as one HTML page that stands alone."""

from __future__ import annotations

from reports.page_frame import filled, framed, list_items, tile_cards
from reports.plan import ArraysReport, BudgetReport, Evidence, PlanReport, by_kind, change
from reports.plan_figures import ALONE, arrays_figure, budget_figure, gains_figure, memory_figure
from reports.tables import Cell, escaped, number, table
from reports.units import BY, byte_size, count, percent, shortened, si, times

_MEMORIES = ("scratchpad", "accumulator")


def render_plan(report: PlanReport) -> str:
    """The whole page."""
    figures = {"gains": gains_figure(report)}
    figures |= {memory: memory_figure(report, memory) for memory in _MEMORIES}
    if report.arrays is not None:
        figures["arrays"] = arrays_figure(report.arrays)
    if report.budget is not None:
        figures["budget"] = budget_figure(report.budget)
    body = filled(
        "plan.html",
        network=escaped(report.network, 80),
        machine=escaped(report.accelerator, 80),
        machine_description=escaped(report.description),
        headline=escaped(headline(report), 1000),
        tiles=tile_cards(plan_tiles(report)),
        kinds=kinds_table(report),
        residences=_residences(report),
        arrays=_arrays(report.arrays),
        budget=_budget(report.budget),
        groups=groups_table(report),
        solver=solver_table(report),
        notes=list_items(report.notes),
    )
    return framed(title=f"Plan of {report.network} on {report.accelerator}", body=body, figures=figures)


def headline(report: PlanReport) -> str:
    """The plan in one sentence."""
    fused = sum(group.kind != ALONE for group in report.groups)
    text = (
        f"{count(len(report.layers))} layers in {count(len(report.groups))} groups, {count(fused)} of them executed in"
        f" another way than before, with {count(len(report.residences))} tensors kept on chip:"
        f" {change(report.cycles, report.apart_cycles)} latency and"
        f" {change(report.dram_bytes, report.apart_dram_bytes)} DRAM traffic against layer by layer"
    )
    if report.with_path is not None:
        cycles, moved = report.with_path
        text += (
            f"; with a path from the accumulator to the scratchpad {change(cycles, report.apart_cycles)} and"
            f" {change(moved, report.apart_dram_bytes)}"
        )
    return text + "."


def plan_tiles(report: PlanReport) -> list[tuple[str, str, str]]:
    """Name, value and detail of the totals."""
    evidence = report.evidence
    return [
        (
            "Latency",
            change(report.cycles, report.apart_cycles),
            f"{count(report.apart_cycles)} to {count(report.cycles)} cycles",
        ),
        (
            "DRAM traffic",
            change(report.dram_bytes, report.apart_dram_bytes),
            f"{byte_size(report.apart_dram_bytes)} to {byte_size(report.dram_bytes)}",
        ),
        ("Groups", count(len(report.groups)), f"of {count(len(report.layers))} layers"),
        ("Tensors on chip", count(len(report.residences)), f"of {count(report.offered_residences)} possible stays"),
        ("Proof", evidence.status, f"gap {percent(evidence.gap)}, {si(evidence.seconds, 's')}, {evidence.solver}"),
        ("Offered", count(report.offered_choices), "ways to execute layers"),
    ]


def kinds_table(report: PlanReport) -> str:
    """What each kind of group gains, and how many there are."""
    heads = ("Executed as", BY, "Cycles", "Layer by layer", "Change", "DRAM", "Layer by layer", "Change")
    rows = [
        (
            Cell(shown=kind),
            number(groups),
            number(cycles),
            number(apart),
            _change(cycles, apart),
            Cell(shown=byte_size(moved), value=moved),
            Cell(shown=byte_size(moved_apart), value=moved_apart),
            _change(moved, moved_apart),
        )
        for kind, (groups, cycles, apart, moved, moved_apart) in by_kind(report).items()
    ]
    return table(heads, rows, numeric=range(1, 8), sortable=False)


def groups_table(report: PlanReport) -> str:
    """Every group, in the order of execution."""
    heads = ("#", "Layers", "Executed as", "Cycles", "Layer by layer", "Change", "DRAM", "Change", "Energy")
    rows = [
        (
            Cell(shown=str(group.first), value=group.first),
            Cell(
                shown=shortened(" + ".join(group.names), 60),
                whole=" + ".join(group.names),
                below=shortened(group.how, 100),
            ),
            Cell(shown=group.kind),
            number(group.cycles),
            number(group.apart_cycles),
            _change(group.cycles, group.apart_cycles),
            Cell(shown=byte_size(group.dram_bytes), value=group.dram_bytes),
            _change(group.dram_bytes, group.apart_dram_bytes),
            Cell(shown=si(group.energy_pj * 1e-12, "J"), value=group.energy_pj),
        )
        for group in report.groups
    ]
    return table(heads, rows, numeric=(0, *range(3, 9)), identifier="groups")


def solver_table(report: PlanReport) -> str:
    """What every integer program of the plan proved."""
    named: list[tuple[str, Evidence]] = [("across layers", report.evidence)]
    if report.arrays is not None:
        named.append((f"{report.arrays.arrays} arrays", report.arrays.evidence))
    if report.budget is not None:
        named.append(("memory budget", report.budget.evidence))
    heads = ("Program", "Solver", "Status", "Minimised", "Objective", "Bound", "Gap", "Seconds")
    rows = [
        (
            Cell(shown=name),
            Cell(shown=evidence.solver),
            Cell(shown=evidence.status),
            Cell(shown=evidence.minimised),
            number(evidence.objective),
            number(evidence.bound),
            Cell(shown=percent(evidence.gap), value=evidence.gap),
            Cell(shown=f"{evidence.seconds:.2f}", value=evidence.seconds),
        )
        for name, evidence in named
    ]
    return table(heads, rows, numeric=range(4, 8), sortable=False)


def _residences(report: PlanReport) -> str:
    if not report.residences:
        return '<p class="hint">No tensor stays on chip between groups.</p>'
    heads = ("Tensor", "Memory", "Rows", "From", "To")
    rows = [
        (
            Cell(shown=shortened(residence.tensor, 60), whole=residence.tensor),
            Cell(shown=residence.memory),
            number(residence.rows),
            Cell(shown=shortened(report.layers[residence.first], 40), value=residence.first),
            Cell(shown=shortened(report.layers[residence.last], 40), value=residence.last),
        )
        for residence in report.residences
    ]
    return f'<div class="scroll short">{table(heads, rows, numeric=(2,), identifier="residences")}</div>'


def _arrays(arrays: ArraysReport | None) -> str:
    if arrays is None:
        return ""
    ratio = arrays.one_array_cycles / arrays.cycles if arrays.cycles else 1.0
    text = (
        f"{count(arrays.inputs)} input(s) on {count(arrays.arrays)} arrays with one memory:"
        f" {count(arrays.cycles)} cycles against {count(arrays.one_array_cycles)} on one, {times(ratio)}. No schedule"
        f" is below {count(arrays.critical_path_cycles)} (longest chain), {count(arrays.work_cycles)} (work shared"
        f" evenly) or {count(arrays.bandwidth_cycles)} (traffic at full bandwidth)."
        f" {'Fused groups' if arrays.fused else 'Single layers'} made the shorter schedule."
    )
    return (
        f'<section id="arrays" class="card"><h2>Which array does what when</h2><p>{escaped(text, 1000)}</p>'
        '<div class="figure" data-figure="arrays"></div></section>'
    )


def _budget(budget: BudgetReport | None) -> str:
    if budget is None:
        return ""
    fetched = sum(len(stage.fetched) for stage in budget.stages)
    again = sum(len(stage.computed_again) for stage in budget.stages)
    text = (
        f"{byte_size(budget.budget_bytes)} for activations on chip ({byte_size(budget.all_bytes)} hold all): tensors"
        f" are fetched again {count(fetched)} times and computed again {count(again)} times,"
        f" {count(budget.cycles)} cycles against {count(budget.least_cycles)} with memory for everything."
    )
    if budget.without_recomputing_cycles is not None:
        text += f" Fetching alone takes {count(budget.without_recomputing_cycles)}."
    return (
        '<section id="budget" class="card"><h2>Keep, fetch or compute again</h2>'
        f'<p>{escaped(text, 1000)}</p><div class="figure" data-figure="budget"></div></section>'
    )


def _change(planned: float, apart: float) -> Cell:
    return Cell(shown=change(planned, apart), value=planned / apart - 1 if apart else 0.0)
