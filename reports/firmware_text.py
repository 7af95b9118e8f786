"""A firmware run in words: what page and terminal both say."""

from __future__ import annotations

from reports.firmware import Count, FirmwareRun, Score
from reports.units import byte_size, si


def headline(run: FirmwareRun) -> str:
    """What became firmware, how often it is right, and whether it is the network."""
    chosen = run.design
    reference = next((design for design in run.designs if design.method == "float"), None)
    beside = "" if reference is None else f" (float: {accuracy_text(reference.test)})"
    compared = sum(match.inputs for match in run.matches)
    agreement = (
        f"; {run.mismatches:,} mismatches in {compared:,} outputs compared" if run.matches else "; nothing was compared"
    )
    return f"{chosen.name}: {accuracy_text(chosen.test)}{beside}{agreement}. {run.data}"


def tiles(run: FirmwareRun) -> list[tuple[str, str, str]]:
    """Six numbers of the design that became firmware: name, value, detail."""
    chosen = run.design
    found = [
        (
            "Test accuracy",
            f"{100 * chosen.test.accuracy:.2f} %",
            f"± {100 * chosen.test.sigma:.2f}, {chosen.test.samples:,} samples",
        ),
        ("Bits a weight", f"{chosen.average_bits:.2f}", chosen.method),
        ("Bit operations", si(chosen.bops, ""), "a sample"),
        ("Weights", byte_size(chosen.size_bytes), ""),
    ]
    measured = [item for item in run.counts if item.measured]
    for what in ("LUT", "latency"):
        item = next((item for item in measured if item.what.startswith(what)), None)
        if item is not None:
            found.append((item.what, f"{si(item.value, '')} {item.unit}".rstrip(), item.tool))
    if run.matches:
        found.append(("Mismatches", f"{run.mismatches:,}", f"of {sum(match.inputs for match in run.matches):,}"))
    return found[:6]


def accuracy_text(score: Score) -> str:
    """71.23 ± 0.45 %."""
    return f"{100 * score.accuracy:.2f} ± {100 * score.sigma:.2f} %"


def count_text(item: Count) -> str:
    """A count with its unit, and its interval where it is an estimate."""
    digits = f"{item.value:,.0f}" if float(item.value).is_integer() else f"{item.value:,.4g}"
    interval = "" if item.interval is None else f" ({item.interval[0]:,.0f} to {item.interval[1]:,.0f})"
    return f"{digits} {item.unit}".rstrip() + interval


def proof_text(run: FirmwareRun) -> str:
    """What the integer program proved about the bits."""
    proof = run.proof
    if proof is None:
        return "The bits are the file's own."
    spent = "; ".join(f"{name} {amount:,.0f} of {limit:,.0f} {unit}" for name, amount, limit, unit in proof.budgets)
    return (
        f"{proof.solver}: {proof.status}, {proof.measure} {proof.objective:.4g}, bound {proof.bound:.4g},"
        f" {proof.seconds:.2f} s; {spent}."
    )
