"""What `systolic faults` prints."""

from __future__ import annotations

from dataclasses import asdict
from math import isnan
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.units import printable
from systolic.show import print_json, print_whole

if TYPE_CHECKING:
    from hls.faults.ranking import RankCorrelation
    from hls.faults.study import FaultStudy
    from systolic.faults_job import FaultsReport

SHOWN_SHARES = (0.01, 0.1, 0.3)
"""Of all bits, triplicated, in the table of scores."""
SHOWN_WORST = 8


def print_faults(report: FaultsReport, *, as_json: bool) -> None:
    """Damage by tensor, the worst bits, and every score's rank correlation and what protection after it leaves."""
    study = report.study
    if as_json:
        told = asdict(study) | {"exhaustive": study.exhaustive, "best_score": study.best_score}
        print_json(_without_nan(told | {"notes": list(report.notes)}))
        return
    console = Console()
    how = "every stored bit" if study.exhaustive else f"{study.flipped:,} of {study.bits:,} stored bits, drawn,"
    error = "" if study.exhaustive else f" ± {study.expected_error:.2g}"
    for line in (
        f"{study.network}: {how} flipped on {study.samples:,} samples; loss {study.loss:.4g}, accuracy "
        f"{study.accuracy:.2%} without a flip",
        f"a flip adds {study.expected_loss_change:.4g}{error} to the loss on average",
    ):
        console.print(printable(line), highlight=False, markup=False)
    print_whole(_tensors(study))
    print_whole(_worst(study))
    print_whole(_scores(study))
    console.print("each triplicated bit: 2 bits of storage and 1 LUT for its voter", style="dim", markup=False)
    for note in report.notes:
        console.print(f"note: {note}", style="dim", markup=False)


def _tensors(study: FaultStudy) -> Table:
    table = Table(title="Mean change of the loss by the bit's place, lowest first")
    table.add_column("constant", overflow="fold")
    for heading in ("bits", "mean", "worst", "by place"):
        table.add_column(heading, justify="right" if heading != "by place" else "left")
    for row in study.tensors:
        places = " ".join(f"{change:.1g}" for change in row.by_bit)
        cells = (row.parameter, f"{row.bits:,}", f"{row.mean_loss_change:.3g}", f"{row.worst_loss_change:.3g}", places)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def _worst(study: FaultStudy) -> Table:
    table = Table("constant", "element", "bit", "from", "to", "loss", "accuracy", title="Worst flips")
    for bit in study.worst[:SHOWN_WORST]:
        place = ",".join(map(str, bit.element))
        loss = f"{bit.loss_change:+.3g} ± {bit.loss_error:.1g}"
        numbers = (str(bit.bit), str(bit.integer), str(bit.becomes), loss, f"{100 * bit.accuracy_change:+.1f} points")
        table.add_row(Text(printable(bit.parameter)), Text(place), *numbers)
    return table


def _scores(study: FaultStudy) -> Table:
    wanted = [round(share * study.flipped) for share in SHOWN_SHARES]
    heads = (f"left, {share:.0%} in triplicate" for share in SHOWN_SHARES)
    table = Table("score", "rank correlation", "with the size", *heads, title="Rankings")
    for name, curve in study.curves.items():
        left = {point.protected: f"{point.remaining:.1%}" for point in curve}
        cells = (_rho(study.correlations.get(name)), _rho(study.size_correlations.get(name)))
        table.add_row(name, *cells, *(left.get(number, "") for number in wanted))
    return table


def _rho(found: RankCorrelation | None) -> str:
    if found is None:
        return ""
    return "does not vary" if isnan(found.rho) else f"{found.rho:.3f} ± {found.standard_error:.3f}"


def _without_nan(value: Any) -> Any:
    """JSON has no nan: null in its place."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and isnan(value) else value
