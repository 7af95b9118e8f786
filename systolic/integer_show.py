"""What `systolic integer` prints: accuracy, what each operator costs in it, and the commands against the executor."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.units import printable, shortened
from systolic.show import print_json

if TYPE_CHECKING:
    from systolic.integer_job import Accuracy, IntegerReport

NAME_CHARACTERS = 30
MOVED = ("Reshape", "Transpose", "Slice", "Split", "Expand", "Tile")


def print_integer(report: IntegerReport, *, as_json: bool) -> None:
    """Tables, or one JSON object."""
    if as_json:
        print_json(report_as_json(report))
        return
    console = Console()
    console.print(_operators(report))
    if report.accuracy is not None:
        console.print(accuracy_text(report.accuracy, apart=report.tested_apart), markup=False, soft_wrap=True)
    if report.checks:
        console.print(checks_text(report), markup=False, soft_wrap=True)
    if report.cycles:
        console.print(cycles_text(report), markup=False, soft_wrap=True)


def report_as_json(report: IntegerReport) -> dict[str, Any]:
    """The report as plain values."""
    accuracy = report.accuracy
    return {
        "network": report.name,
        "calibration": {"method": report.method, "samples": report.calibrated},
        "losses": list(report.losses),
        "operators": [asdict(row) for row in report.errors],
        "accuracy": None
        if accuracy is None
        else asdict(accuracy)
        | {
            "float": accuracy.float_accuracy,
            "float_sigma": accuracy.float_sigma,
            "integer": accuracy.integer_accuracy,
            "integer_sigma": accuracy.integer_sigma,
            "difference_sigma": accuracy.difference_sigma,
            "agreement": accuracy.agreement,
        },
        "tested_apart": report.tested_apart,
        "accelerator": report.accelerator,
        "commands": report.commands,
        "checked_inputs": report.checked_inputs,
        "steps": [
            {
                "name": check.step.name,
                "kind": check.step.kind,
                "place": check.step.place,
                "note": check.step.note,
                "elements": check.elements,
                "mismatches": check.mismatches,
                "cycles": cycles,
            }
            for check, cycles in zip(report.checks, report.cycles or [None] * len(report.checks), strict=True)
        ],
    }


def accuracy_text(accuracy: Accuracy, *, apart: bool) -> str:
    """Both accuracies with their standard errors, the paired difference, and the agreement."""
    difference = accuracy.integer_accuracy - accuracy.float_accuracy
    samples = "test samples" if apart else "samples of the calibration data"
    return (
        f"accuracy on {accuracy.samples:,} {samples}: float {accuracy.float_accuracy:.2%} ± "
        f"{accuracy.float_sigma:.2%}, integer {accuracy.integer_accuracy:.2%} ± {accuracy.integer_sigma:.2%} "
        f"(difference {100 * difference:+.2f} ± {100 * accuracy.difference_sigma:.2f} points); "
        f"same answer on {accuracy.agreement:.2%}"
    )


def checks_text(report: IntegerReport) -> str:
    """What ran where, and whether every number was the executor's."""
    places = Counter(check.step.place for check in report.checks)
    hosted = sorted({check.step.kind for check in report.checks if check.step.place == "host"})
    wrong = [check.step.name for check in report.checks if not check.equal]
    elements = sum(check.elements for check in report.checks)
    where = ", ".join(f"{count} on {place}" for place, count in places.most_common() if place != "view")
    verdict = (
        f"{elements:,} numbers of {len(report.checks)} steps equal the graph executor's, bit for bit"
        if not wrong
        else f"DIFFER from the graph executor: {', '.join(wrong[:5])}"
    )
    return (
        f"{report.commands:,} commands on {report.accelerator}, {report.checked_inputs} inputs: {verdict}\n"
        f"steps: {where}; {places['view']} moves; the host does {', '.join(hosted)}"
    )


def cycles_text(report: IntegerReport) -> str:
    """The engine's cycles of one batch, in all and by place."""
    by_place: Counter[str] = Counter()
    for check, cycles in zip(report.checks, report.cycles, strict=True):
        by_place[check.step.place] += cycles or 0
    total = sum(by_place.values())
    shares = ", ".join(f"{cycles:,} {place}" for place, cycles in by_place.most_common() if cycles)
    return f"cycles of a batch on the engine, step after step, without the host's: {total:,} ({shares})"


def _operators(report: IntegerReport) -> Table:
    title = f"{report.name}: against float, clipped by {report.method} of {report.calibrated} samples"
    table = Table(title=Text(printable(title)), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for head in ("operator", "as"):
        table.add_column(head, no_wrap=True)
    for head in ("bits", "scale", "largest error", "SNR dB"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in report.errors:
        if row.integer_kind not in MOVED:
            numbers = (f"{row.scale:.3g}", f"{row.largest:.3g}", f"{row.signal_to_noise_db:.1f}")
            name = Text(printable(shortened(row.operator, NAME_CHARACTERS)))
            table.add_row(name, row.integer_kind, str(row.bits), *numbers)
    return table
