"""A firmware run as one HTML page that stands alone."""

from __future__ import annotations

from typing import Final

from reports.firmware import Design, FirmwareRun
from reports.firmware_figures import COSTS, Figure, figures_of, legend
from reports.firmware_text import accuracy_text, count_text, headline, proof_text, tiles
from reports.page_frame import filled, framed, list_items, tile_cards
from reports.tables import Cell, escaped, facts_table, number, table
from reports.units import UNMEASURED, byte_size, si

_FAULTS: Final = """<section class="card"><h2>Flipped weight bits</h2>
<p class="hint">{about}</p>
<div class="pair"><div class="figure" data-figure="faults"></div><div class="figure" data-figure="rankings"></div></div>
<div class="scroll short">{worst}</div></section>"""


def render_firmware(run: FirmwareRun) -> str:
    """The whole page."""
    figures = figures_of(run)
    body = filled(
        "firmware.html",
        name=escaped(run.name, 80),
        headline=escaped(headline(run), 1000),
        tiles=tile_cards(tiles(run)),
        legend="".join(
            f'<span><b style="background:var({colour})"></b>{escaped(name)}</span>' for name, colour in legend(run)
        ),
        cost_figures="".join(
            f'<div class="figure" data-figure="{name}"></div>' for name in COSTS if name != "bops" and name in figures
        ),
        designs=_designs(run),
        proof=escaped(proof_text(run), 1000),
        tensors=_tensors(run),
        matches=_matches(run),
        counts=_counts(run),
        faults=_faults(run, figures),
        stages=_stages(run),
        files=_files(run),
        versions=facts_table(sorted(run.versions.items())),
        notes=list_items(run.notes),
    )
    return framed(title=f"Firmware: {run.name}", body=body, figures=figures)


def _designs(run: FirmwareRun) -> str:
    heads = (
        "Design",
        "Bits a weight",
        "BOPs",
        "Weights",
        "LUTs (est.)",
        "Cycles (est.)",
        "Validation",
        "Test",
        "Front",
    )
    rows = [
        (
            Cell(shown=design.name, below="became firmware" if design.name == run.chosen else ""),
            Cell(shown=f"{design.average_bits:.2f}", value=design.average_bits),
            number(design.bops),
            Cell(shown=byte_size(design.size_bytes), value=design.size_bytes),
            _luts(design),
            _whole(design.latency_cycles),
            Cell(shown=accuracy_text(design.validation), value=design.validation.accuracy),
            Cell(shown=accuracy_text(design.test), value=design.test.accuracy),
            Cell(shown="yes" if design.on_front else ""),
        )
        for design in run.designs
    ]
    return table(heads, rows, numeric=range(1, 8), identifier="designs")


def _luts(design: Design) -> Cell:
    if design.luts is None:
        return Cell(shown=UNMEASURED)
    below = "" if design.lut_range is None else f"{si(design.lut_range[0], '')} to {si(design.lut_range[1], '')}"
    return Cell(shown=f"{design.luts:,.0f}", value=design.luts, below=below)


def _whole(value: int | None) -> Cell:
    return Cell(shown=UNMEASURED) if value is None else number(value)


def _tensors(run: FirmwareRun) -> str:
    widths = tuple(run.tensors[0].omega) if run.tensors else ()
    heads = (
        "Tensor",
        "Kind",
        "Numbers",
        "Hessian trace",
        "Probes",
        "Bits",
        *(f"Ω at {w}" for w in widths),
    )
    rows = [
        (
            Cell(shown=row.name),
            Cell(shown=row.kind),
            number(row.elements),
            Cell(shown=f"{row.trace:.4g} ± {row.standard_error:.2g}", value=row.trace),
            number(row.probes),
            number(row.bits),
            *(Cell(shown=f"{value:.2g}", value=value) for value in row.omega.values()),
        )
        for row in run.tensors
    ]
    return table(heads, rows, numeric=range(2, 6 + len(widths)), identifier="tensors")


def _matches(run: FirmwareRun) -> str:
    heads = ("What computed it", "Tool", "Inputs", "Mismatches", "Seconds", "Note")
    rows = [
        (
            Cell(shown=match.what),
            Cell(shown=match.tool),
            number(match.inputs),
            number(match.mismatches),
            Cell(shown=si(match.seconds, "s"), value=match.seconds),
            Cell(shown=match.note),
        )
        for match in run.matches
    ]
    return table(heads, rows, numeric=range(2, 5), identifier="matches")


def _counts(run: FirmwareRun) -> str:
    heads = ("What", "Value", "Measured or estimated", "By")
    rows = [
        (
            Cell(shown=item.what),
            Cell(shown=count_text(item), value=item.value),
            Cell(shown="measured" if item.measured else "estimated"),
            Cell(shown=item.tool),
        )
        for item in run.counts
    ]
    return table(heads, rows, numeric=(1,), identifier="counts")


def _faults(run: FirmwareRun, figures: dict[str, Figure]) -> str:
    if run.faults is None or "faults" not in figures:
        return ""
    faults = run.faults
    how = "Every stored bit" if faults.exhaustive else f"A random sample of {faults.bits:,} stored bits"
    about = (
        f"{how} was flipped in the integer network: {faults.flips:,} flips, each on {faults.samples:,} samples."
        " Left: what is left of the damage when the bits that a ranking puts first are kept three times and voted on."
        " Right: how well each score, which needs no flip, ranks the bits."
    )
    rows = [(Cell(shown=name), number(bit), Cell(shown=f"{loss:+.4g}", value=loss)) for name, bit, loss in faults.worst]
    worst = table(("Weight", "Bit", "Loss added by its flip"), rows, numeric=(1, 2), identifier="faults")
    return _FAULTS.format(about=escaped(about, 1000), worst=worst)


def _files(run: FirmwareRun) -> str:
    rows = [(Cell(shown=name), Cell(shown=what)) for name, what in run.files]
    return table(("File", "What it is"), rows, numeric=(), sortable=False)


def _stages(run: FirmwareRun) -> str:
    rows = [
        (Cell(shown=name), Cell(shown=si(seconds, "s"), value=seconds), Cell(shown="taken over" if kept else ""))
        for name, seconds, kept in run.stages
    ]
    return table(("Stage", "Time", ""), rows, numeric=(1,), sortable=False)
