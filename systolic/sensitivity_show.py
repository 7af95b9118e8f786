"""What `systolic sensitivity` and `systolic bits` print."""

from __future__ import annotations

from dataclasses import asdict
from math import inf
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.units import printable
from systolic.show import print_json

if TYPE_CHECKING:
    from systolic.sensitivity_job import BitsReport, SensitivityReport


def print_sensitivity(report: SensitivityReport, *, as_json: bool) -> None:
    """A row a tensor, activations above weights: trace with its standard error and Omega at every number of bits."""
    if as_json:
        print_json(asdict(report))
        return
    title = f"{report.network}: {report.rows_of_data} rows, loss {report.loss:.5g}; Ω: Omega by bits"
    table = Table(title=Text(printable(title)))
    table.add_column("tensor", overflow="fold")
    for heading in ("elements", "Hessian trace", "probes"):
        table.add_column(heading, no_wrap=True)
    for width in report.rows[0].omega:
        table.add_column(f"Ω{width}", justify="right")
    for row, following in zip(report.rows, (*report.rows[1:], None), strict=True):
        trace = f"{row.trace:.4g} ± {row.standard_error:.2g}" + ("" if row.converged else " (limit)")
        cells = (row.name, f"{row.elements:,}", trace, str(row.probes), *(f"{cost:.2g}" for cost in row.omega.values()))
        last = following is not None and following.kind != row.kind
        table.add_row(*(Text(printable(cell)) for cell in cells), end_section=last)
    console = Console()
    console.print(table)
    for note in report.notes:
        console.print(f"note: {note}", style="dim", markup=False)


def print_bits(report: BitsReport, *, as_json: bool) -> None:
    """Bits of every tensor, what they spend, and the solver's evidence."""
    answer = report.allocation
    if as_json:
        limits = {
            budget.amount.name: None if budget.limit == inf else budget.limit for budget in report.problem.budgets
        }
        units = {budget.amount.name: budget.amount.unit for budget in report.problem.budgets}
        print_json(
            {
                "network": report.network,
                "measure": report.measure,
                **asdict(answer),
                "gap": answer.gap,
                "limits": limits,
                "units": units,
                "notes": list(report.notes),
            }
        )
        return
    table = Table("tensor", "bits", "of", f"{report.measure}", title=Text(printable(report.network)))
    for name, bits in answer.bits.items():
        cost = report.problem.objective.singles[name][bits]
        options = ", ".join(map(str, report.problem.choices[name]))
        table.add_row(Text(printable(name)), str(bits), options, f"{cost:.3g}")
    console = Console()
    console.print(table)
    for budget in report.problem.budgets:
        limit = "" if budget.limit == inf else f" of {budget.limit:,.10g}"
        spent = answer.amounts[budget.amount.name]
        console.print(f"{budget.amount.name}: {spent:,.10g}{limit} {budget.amount.unit}", highlight=False, markup=False)
    evidence = (
        f"{answer.status}, bound {answer.bound:.6g}, gap {answer.gap:.1e}, {answer.solver} {answer.seconds:.2f} s"
    )
    console.print(f"{report.measure} {answer.objective:.6g}: {evidence}", highlight=False, markup=False)
    for note in report.notes:
        console.print(f"note: {note}", style="dim", markup=False)
